//! What the nodes of a plan took when it ran, for EXPLAIN ANALYZE.

use std::{collections::BTreeMap, time::Duration};

use base::RangeId;
use txn::RangeWork;

use super::{Change, Plan};

/// A node, by where it lies: a plan that runs does not move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeKey {
    Plan(usize),
    /// The change itself: its source, which may lie at the same place, is a node of its own.
    Change(usize),
}

impl From<&Plan> for NodeKey {
    fn from(plan: &Plan) -> NodeKey {
        match plan {
            Plan::Change(change) => NodeKey::from(&**change),
            plan => NodeKey::Plan(std::ptr::from_ref(plan).addr()),
        }
    }
}

impl From<&Change> for NodeKey {
    fn from(change: &Change) -> NodeKey {
        NodeKey::Change(std::ptr::from_ref(change).addr())
    }
}

/// What one node took, its inputs included, all its loops together.
#[derive(Clone, Debug, Default)]
pub struct Took {
    pub loops: u64,
    pub rows: u64,
    /// Until the first rows of each loop.
    pub startup: Duration,
    pub time: Duration,
    /// What it asked of ranges itself, without its inputs.
    pub ranges: BTreeMap<RangeId, RangeWork>,
}

#[derive(Clone, Debug, Default)]
pub struct Figures {
    nodes: BTreeMap<NodeKey, Took>,
    /// Whether times are told.
    timing: bool,
}

impl Figures {
    pub fn new(timing: bool) -> Figures {
        Figures { nodes: BTreeMap::new(), timing }
    }

    pub fn of(&mut self, node: NodeKey) -> &mut Took {
        self.nodes.entry(node).or_default()
    }

    /// What PostgreSQL writes behind a node: times and rows of one loop on the average.
    pub(super) fn summary(&self, node: NodeKey) -> String {
        let Some(took) = self.nodes.get(&node).filter(|took| took.loops > 0) else {
            return " (never executed)".to_owned();
        };
        let loops = took.loops as f64;
        let rows = (took.rows as f64 / loops).round();
        let time = |time: Duration| millis(time) / loops;
        let times = match self.timing {
            true => format!("time={:.3}..{:.3} ", time(took.startup), time(took.time)),
            false => String::new(),
        };
        format!(" (actual {times}rows={rows} loops={})", took.loops)
    }

    /// A line for each range that the node asked.
    pub(super) fn ranges(&self, node: NodeKey) -> Vec<(String, String)> {
        let ranges = self.nodes.get(&node).into_iter().flat_map(|took| &took.ranges);
        let line = |(range, work): (&RangeId, &RangeWork)| {
            let time = match self.timing {
                true => format!(" time={:.3}", millis(work.time)),
                false => String::new(),
            };
            let RangeWork { requests, scanned, rows, .. } = work;
            (format!("On Range {}", range.0), format!("requests={requests} scanned={scanned} rows={rows}{time}"))
        };
        ranges.map(line).collect()
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
