//! Leader leases (DESIGN section 7, Ongaro's thesis section 6.4.1): a leader answers reads from its own state while a
//! quorum has heard of it recently enough that none of them can vote for anybody else yet.
//!
//! ```text
//! leader    ──stamp 10──►                       lease holds until 10 + lease (on the leader's clock)
//! follower             ◄─ steps it: refuses votes for at least election_ticks - 2 ticks from here on
//!           ◄──echo 10───
//! ```
//!
//! Followers echo the leader's own clock, so no two clocks are ever compared; they only must not drift apart by more than
//! the margin between `lease` and the election timeout within that time. The rest of the argument: `Options::validate`,
//! `Replica::may_vote` (restarts), `Lease::forfeit` (leader transfer, where `raft` lets followers vote at once).

use std::{collections::BTreeMap, time::Duration};

use base::{Monotonic, NodeId};

/// The leader's side. One per term of leadership.
#[derive(Debug, Default)]
pub struct Lease {
    acknowledged: BTreeMap<NodeId, Monotonic>,
    forfeited: bool,
}

impl Lease {
    /// A follower has stepped a message that this leader made at `stamp`.
    pub fn acknowledge(&mut self, node: NodeId, stamp: Monotonic) {
        let newest = self.acknowledged.entry(node).or_default();
        *newest = stamp.max(*newest);
    }

    /// Somebody may be told to campaign in spite of the lease (leader transfer): no reads in this term any more.
    pub fn forfeit(&mut self) {
        self.forfeited = true;
    }

    pub fn is_forfeited(&self) -> bool {
        self.forfeited
    }

    /// The moment at which the lease ends; `None` when there is none.
    pub fn valid_until(&self, me: NodeId, voters: &[NodeId], now: Monotonic, duration: Duration) -> Option<Monotonic> {
        if self.forfeited {
            return None;
        }
        let mut stamps: Vec<Option<Monotonic>> = voters
            .iter()
            .map(|node| if *node == me { Some(now) } else { self.acknowledged.get(node).copied() })
            .collect();
        stamps.sort_unstable_by(|a, b| b.cmp(a));
        let quorum = voters.len() / 2 + 1;
        let end = stamps.get(quorum - 1).copied().flatten()? + duration;
        (now < end).then_some(end)
    }
}

/// The follower's side: what to echo.
#[derive(Debug, Default)]
pub struct Echo {
    term: u64,
    stamp: Option<u64>,
}

impl Echo {
    pub fn stepped(&mut self, term: u64, stamp: u64) {
        if term != self.term {
            *self = Echo { term, stamp: None };
        }
        self.stamp = Some(self.stamp.map_or(stamp, |newest| newest.max(stamp)));
    }

    pub fn of_term(&self, term: u64) -> Option<u64> {
        self.stamp.filter(|_| term == self.term)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_nanos(10);

    #[test]
    fn the_quorum_decides() {
        let nodes = [NodeId(1), NodeId(2), NodeId(3)];
        let mut lease = Lease::default();
        let until = |lease: &Lease, now| lease.valid_until(NodeId(1), &nodes, Monotonic(now), LEASE).map(|end| end.0);
        assert_eq!(until(&lease, 5), None, "nobody has answered");
        lease.acknowledge(NodeId(2), Monotonic(4));
        assert_eq!(until(&lease, 5), Some(14));
        lease.acknowledge(NodeId(3), Monotonic(8));
        assert_eq!(until(&lease, 9), Some(18));
        lease.acknowledge(NodeId(3), Monotonic(6));
        assert_eq!(until(&lease, 17), Some(18), "an old echo does not shorten it");
        assert_eq!(until(&lease, 18), None, "over");
        lease.forfeit();
        assert_eq!(until(&lease, 9), None);
    }

    #[test]
    fn alone_it_always_holds() {
        let lease = Lease::default();
        assert_eq!(lease.valid_until(NodeId(1), &[NodeId(1)], Monotonic(7), LEASE), Some(Monotonic(17)));
    }

    #[test]
    fn echoes_are_per_term() {
        let mut echo = Echo::default();
        echo.stepped(3, 100);
        echo.stepped(3, 50);
        assert_eq!(echo.of_term(3), Some(100));
        assert_eq!(echo.of_term(2), None);
        echo.stepped(4, 1);
        assert_eq!(echo.of_term(4), Some(1));
    }
}
