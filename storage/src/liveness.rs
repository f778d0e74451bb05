//! Which nodes are alive, from one stream of heartbeats per pair of nodes (not per range). Any message counts.
//! Liveness is a hint for placement and for people; correctness never rests on it.

use std::{collections::BTreeMap, time::Duration};

use base::{Monotonic, NodeId};

#[derive(Debug, Default)]
pub struct Liveness {
    nodes: BTreeMap<NodeId, Heard>,
}

#[derive(Debug)]
struct Heard {
    last: Monotonic,
    /// The first message since the node was last thought dead.
    since: Monotonic,
}

impl Liveness {
    pub fn heard(&mut self, node: NodeId, now: Monotonic, timeout: Duration) {
        let heard = self.nodes.entry(node).or_insert(Heard { last: now, since: now });
        if now.since(heard.last) > timeout {
            heard.since = now;
        }
        heard.last = heard.last.max(now);
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
}
