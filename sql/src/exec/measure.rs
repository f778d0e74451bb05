//! Measures a plan while it runs: EXPLAIN ANALYZE builds its operators with an envelope around each.

use std::sync::Arc;

use async_trait::async_trait;
use base::{Monotonic, Runtime};
use txn::Txn;

use super::{Run, operator::Operator};
use crate::{
    error::Result,
    plan::{
        Plan,
        figures::{Figures, NodeKey},
    },
    types::Row,
};

/// The nodes that are at work, outermost first, and what all have taken so far.
#[derive(Default)]
pub(crate) struct Measuring {
    runtime: Option<Arc<dyn Runtime>>,
    open: Vec<NodeKey>,
    figures: Figures,
}

impl Measuring {
    pub fn new(runtime: Option<Arc<dyn Runtime>>, timing: bool) -> Measuring {
        Measuring { runtime, open: Vec::new(), figures: Figures::new(timing) }
    }

    pub fn finish(self) -> Figures {
        self.figures
    }

    fn now(&self) -> Option<Monotonic> {
        self.runtime.as_ref().map(|runtime| runtime.now())
    }

    /// What has been asked of ranges until here was asked by the innermost node.
    fn settle(&mut self, txn: &mut Txn) {
        let asked = txn.take_trace();
        if let Some(node) = self.open.last() {
            let took = self.figures.of(*node);
            for (range, work) in asked {
                took.ranges.entry(range).or_default().add(work);
            }
        }
    }
}

/// One step of a node, while it is under way.
pub(crate) struct Stage {
    node: NodeKey,
    begun: Option<Monotonic>,
}

impl Run<'_> {
    /// A node begins to work; `None`: nothing is measured.
    pub fn enter(&mut self, node: NodeKey) -> Option<Stage> {
        let measuring = self.state.measuring.as_mut()?;
        measuring.settle(self.txn);
        measuring.open.push(node);
        Some(Stage { node, begun: measuring.now() })
    }

    /// It has done so, and brought so many rows. `first`: for the first time in this loop.
    pub fn leave(&mut self, stage: Option<Stage>, rows: u64, first: bool) {
        let (Some(stage), Some(measuring)) = (stage, self.state.measuring.as_mut()) else { return };
        measuring.settle(self.txn);
        measuring.open.pop();
        let elapsed = match (stage.begun, measuring.now()) {
            (Some(begun), Some(now)) => now.since(begun),
            _ => std::time::Duration::ZERO,
        };
        let took = measuring.figures.of(stage.node);
        took.rows += rows;
        took.time += elapsed;
        if first {
            took.loops += 1;
            took.startup += elapsed;
        }
    }
}

/// An operator in its envelope.
pub(crate) struct Measured {
    pub inner: Box<dyn Operator>,
    pub started: bool,
}

#[async_trait]
impl Operator for Measured {
    async fn next(&mut self, plan: &Plan, run: &mut Run<'_>) -> Result<Option<Vec<Row>>> {
        let stage = run.enter(NodeKey::from(plan));
        let result = self.inner.next(plan, run).await;
        let rows = result.as_ref().ok().and_then(Option::as_ref).map_or(0, Vec::len);
        run.leave(stage, rows as u64, !std::mem::replace(&mut self.started, true));
        result
    }
}
