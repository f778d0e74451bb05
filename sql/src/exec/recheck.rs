//! READ COMMITTED, when a locked row is newer than what its statement reads: is it still meant? As in PostgreSQL (its sources call
//! it EvalPlanQual) the plan below is run once more for this row alone: the scans that gave the locked rows give their newest
//! versions and nothing else, the others read what the statement reads. What comes out takes the place of the old row.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Run, drain, rows, scan::project};
use crate::{
    encode::IndexLayout,
    error::Result,
    plan::{Mark, Plan, Scan},
    types::Row,
};

/// What marked scans give instead of what they would find: the storage row and its key, or no row.
pub(super) type Pins = BTreeMap<Mark, Option<(Row, Bytes)>>;

/// A locked row at its newest.
pub(super) fn pin(layouts: &[IndexLayout], key: &Bytes, value: &[u8]) -> Result<Option<(Row, Bytes)>> {
    Ok(Some((rows::storage_row(layouts, key, value)?, key.clone())))
}

/// Runs a plan again with these rows.
pub(super) async fn run_again(plan: &Plan, pins: Pins, run: &mut Run<'_>) -> Result<Vec<Row>> {
    let outer = std::mem::replace(&mut run.state.pins, pins);
    let mut operator = run.build(plan);
    let rows = drain(&mut *operator, plan, run).await;
    run.state.pins = outer;
    rows
}

impl Run<'_> {
    /// The row that stands for all of a scan, if it is pinned.
    pub(super) fn pinned(&self, mark: Option<Mark>) -> Option<Option<(Row, Bytes)>> {
        self.state.pins.get(&mark?).cloned()
    }
}

/// The output of a pinned scan: its row, if the scan would have reached it.
pub(super) fn scan(
    scan: &Scan,
    reaches: impl FnOnce(&IndexLayout, &Bytes) -> Result<bool>,
    pinned: Option<(Row, Bytes)>,
    run: &Run<'_>,
) -> Result<Option<Vec<Row>>> {
    let Some((row, key)) = pinned else { return Ok(None) };
    let layout = &scan.layouts[scan.index];
    let matches = reaches(layout, &layout.encode_key(&row)?)?
        && scan.filter.as_ref().map_or(Ok(true), |filter| filter.eval_filter(&row, run.eval))?;
    Ok(matches.then(|| vec![project(scan, row, key)]))
}
