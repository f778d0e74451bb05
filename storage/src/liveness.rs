//! Which nodes are alive, from one stream of heartbeats per pair of nodes (not per range). Any message counts.
//! Liveness is a hint for placement and for people; correctness never rests on it.

use std::{collections::BTreeMap, time::Duration};

use base::{Monotonic, NodeId};

/// What takes longer is not a round trip but a pause.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub struct Liveness {
    nodes: BTreeMap<NodeId, Heard>,
}

#[derive(Debug)]
struct Heard {
    last: Monotonic,
    /// The first message since the node was last thought dead.
    since: Monotonic,
    /// Its newest stamp, and when that came.
    stamp: Option<(Monotonic, Monotonic)>,
    round_trip: Option<Duration>,
}

impl Liveness {
    pub fn heard(&mut self, node: NodeId, now: Monotonic, timeout: Duration) {
        let heard = self.nodes.entry(node).or_insert(Heard { last: now, since: now, stamp: None, round_trip: None });
        if now.since(heard.last) > timeout {
            heard.since = now;
        }
        heard.last = heard.last.max(now);
    }

    /// A heartbeat of a node that [`Liveness::heard`] knows: `echo` is our own stamp that it has got, and for how long it had it.
    pub fn heartbeat(&mut self, node: NodeId, stamp: Monotonic, echo: Option<(Monotonic, Duration)>, now: Monotonic) {
        let Some(heard) = self.nodes.get_mut(&node) else { return };
        heard.stamp = Some((stamp, now));
        // A peer may say anything: a stamp from the future, or one of before our restart, tells nothing.
        let measured = echo.filter(|(ours, _)| *ours <= now).and_then(|(ours, held)| now.since(ours).checked_sub(held));
        if let Some(measured) = measured.filter(|measured| *measured < ROUND_TRIP_MAX) {
            heard.round_trip = Some(match heard.round_trip {
                Some(before) => (before * 7 + measured) / 8,
                None => measured,
            });
        }
    }

    /// What to send back to a node: its newest stamp, and for how long we have had it.
    pub fn echo(&self, node: NodeId, now: Monotonic) -> Option<(Monotonic, Duration)> {
        let (stamp, at) = self.nodes.get(&node)?.stamp?;
        Some((stamp, now.since(at)))
    }

    pub fn round_trip(&self, node: NodeId) -> Option<Duration> {
        self.nodes.get(&node)?.round_trip
    }

    /// Whether the node was heard of within `timeout`.
    pub fn is_live(&self, node: NodeId, now: Monotonic, timeout: Duration) -> bool {
        self.nodes.get(&node).is_some_and(|heard| now.since(heard.last) <= timeout)
    }

    /// Whether the node has been alive without a break for `duration`.
    pub fn is_stable(&self, node: NodeId, now: Monotonic, timeout: Duration, duration: Duration) -> bool {
        self.is_live(node, now, timeout)
            && self.nodes.get(&node).is_some_and(|heard| now.since(heard.since) >= duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alive_stable_dead() {
        let (node, timeout) = (NodeId(2), Duration::from_secs(2));
        let at = |seconds: u64| Monotonic(seconds * 1_000_000_000);
        let mut liveness = Liveness::default();
        assert!(!liveness.is_live(node, at(0), timeout));
        liveness.heard(node, at(1), timeout);
        liveness.heard(node, at(2), timeout);
        assert!(liveness.is_live(node, at(4), timeout) && !liveness.is_live(node, at(5), timeout));
        assert!(liveness.is_stable(node, at(3), timeout, Duration::from_secs(2)));
        liveness.heard(node, at(9), timeout);
        assert!(!liveness.is_stable(node, at(10), timeout, Duration::from_secs(2)), "came back only now");
    }

    #[test]
    fn round_trips() {
        let (node, timeout) = (NodeId(2), Duration::from_secs(2));
        let at = |millis: u64| Monotonic(millis * 1_000_000);
        let mut liveness = Liveness::default();
        liveness.heard(node, at(1000), timeout);
        liveness.heartbeat(node, at(77), None, at(1000));
        assert_eq!(liveness.echo(node, at(1150)), Some((at(77), Duration::from_millis(150))));
        assert_eq!(liveness.round_trip(node), None, "nothing of ours has come back");
        // Sent at 1150, kept there for 180 ms, back at 1350: 20 ms under way.
        liveness.heartbeat(node, at(300), Some((at(1150), Duration::from_millis(180))), at(1350));
        assert_eq!(liveness.round_trip(node), Some(Duration::from_millis(20)));
        for (ours, held) in [(at(9000), 0), (at(1000), 5000), (at(0), 0)] {
            let now = if ours == at(0) { at(100_000) } else { at(1500) };
            liveness.heartbeat(node, at(400), Some((ours, Duration::from_millis(held))), now);
        }
        assert_eq!(liveness.round_trip(node), Some(Duration::from_millis(20)), "nonsense changes nothing");
    }
}
