//! What has happened on a node that people may want to know: a ring in memory, lost when the process ends.

use std::collections::VecDeque;

use base::{NodeId, RangeId};
use serde::{Deserialize, Serialize};

/// Events kept by one node; the oldest go first.
const EVENTS_MAX: usize = 256;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeEvent {
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// Grows by one with every event of a node since its start.
    pub serial: u64,
    pub kind: EventKind,
    pub range: Option<RangeId>,
    /// The other node that this is about.
    pub node: Option<NodeId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    NodeStarted,
    /// Another node is heard of, for the first time or again.
    PeerUp,
    /// Another node has not been heard of for a while.
    PeerDown,
    /// This node serves a range from now on.
    LeaderGained,
    LeaderLost,
    /// Applied here: `range` is the new right half.
    Split,
}

impl EventKind {
    pub fn name(self) -> &'static str {
        match self {
            EventKind::NodeStarted => "node started",
            EventKind::PeerUp => "node up",
            EventKind::PeerDown => "node down",
            EventKind::LeaderGained => "leader gained",
            EventKind::LeaderLost => "leader lost",
            EventKind::Split => "range split",
        }
    }
}

#[derive(Debug, Default)]
pub struct Events {
    ring: VecDeque<NodeEvent>,
    serial: u64,
}

impl Events {
    pub fn note(&mut self, at_ms: u64, kind: EventKind, range: Option<RangeId>, node: Option<NodeId>) {
        if self.ring.len() >= EVENTS_MAX {
            self.ring.pop_front();
        }
        self.serial += 1;
        self.ring.push_back(NodeEvent { at_ms, serial: self.serial, kind, range, node });
    }

    /// The oldest first.
    pub fn list(&self) -> Vec<NodeEvent> {
        self.ring.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first() {
        let mut events = Events::default();
        for at_ms in 0..1000 {
            events.note(at_ms, EventKind::Split, None, None);
        }
        let kept = events.list();
        let serials: Vec<u64> = kept.iter().map(|event| event.serial).collect();
        assert_eq!(serials, (1000 - EVENTS_MAX as u64 + 1..=1000).collect::<Vec<u64>>());
    }
}
