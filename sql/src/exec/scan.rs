//! Scans of a span of an index: in pages, filtered and projected where the rows lie.

use std::ops;

use async_trait::async_trait;
use base::Span;
use bytes::Bytes;
use txn::ScanRequest;

use super::{
    Run,
    basic::row_count,
    lookup::{Read, fetch},
    mismatch,
    operator::Operator,
    recheck, rows,
};
use crate::{
    encode::IndexLayout,
    error::Result,
    expr::{EvalContext, Expr},
    plan::{Access, AggregateCall, Bound, Plan, Scan},
    pushdown::{Group, Output, Program, decode_pushed},
    types::{Row, Value},
};

#[derive(Default)]
pub(crate) struct RangeScan {
    state: State,
}

#[derive(Default)]
enum State {
    #[default]
    Unstarted,
    Running(Box<Running>),
    Done,
}

/// What is worked out once.
struct Running {
    request: ScanRequest,
    /// Rows still wanted.
    left: Option<u64>,
    /// What has to be checked here, over storage rows.
    filter: Option<Expr>,
    /// Slots to decode from the entries of the index.
    needed: Vec<bool>,
    /// Whether the rows themselves must be fetched.
    incomplete: bool,
}

#[async_trait]
impl Operator for RangeScan {
    async fn next(&mut self, plan: &Plan, run: &mut Run<'_>) -> Result<Option<Vec<Row>>> {
        let Plan::Scan(scan) = plan else { return Err(mismatch()) };
        if let State::Unstarted = self.state {
            if let Some(pinned) = run.pinned(scan.mark) {
                self.state = State::Done;
                let Access::Range { prefix, lower, upper } = &scan.access else { return Err(mismatch()) };
                let reaches = |layout: &IndexLayout, key: &Bytes| {
                    let span = span(layout, prefix, lower.as_ref(), upper.as_ref(), run.eval)?;
                    Ok(span.is_some_and(|span| span.contains(key)))
                };
                return recheck::scan(scan, reaches, pinned, run);
            }
            self.state = match start(scan, run)? {
                Some(running) => State::Running(Box::new(running)),
                None => State::Done,
            };
        }
        while let State::Running(running) = &mut self.state {
            run.check()?;
            if let Some(left) = running.left.filter(|_| running.filter.is_none()) {
                running.request.limit_rows = left;
            }
            let page = run.txn.scan(&running.request).await?;
            run.state.scanned += page.scanned;
            for pushed in &page.pushed {
                decode_pushed(pushed)?;
            }
            let mut batch = running.decode(scan, page.rows, run).await?;
            match page.resume {
                Some(span) => running.request.span = span,
                None => self.state = State::Done,
            }
            if let State::Running(running) = &mut self.state
                && let Some(left) = &mut running.left
            {
                batch.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= batch.len() as u64;
                if *left == 0 {
                    self.state = State::Done;
                }
            }
            if !batch.is_empty() {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }
}

/// `None`: nothing can match.
fn start(scan: &Scan, run: &mut Run<'_>) -> Result<Option<Running>> {
    let Access::Range { prefix, lower, upper } = &scan.access else { return Err(mismatch()) };
    let layout = &scan.layouts[scan.index];
    let Some(span) = span(layout, prefix, lower.as_ref(), upper.as_ref(), run.eval)? else { return Ok(None) };
    let left = row_count(scan.limit.as_ref(), "LIMIT", run.eval)?;
    if left == Some(0) || span.is_empty() {
        return Ok(None);
    }
    let mut wanted = vec![false; layout.width()];
    scan.columns.iter().for_each(|&slot| wanted[slot] = true);
    let filter_slots = scan.filter.as_ref().map(Expr::columns).unwrap_or_default();
    let covered = |slots: &[usize]| slots.iter().all(|&slot| layout.provides(slot));
    let incomplete = !covered(&scan.columns) || !covered(&filter_slots);
    // Entries that lead to the row need their key columns; its key needs them too.
    let needs_key = incomplete || (scan.with_key && scan.index != 0);
    let own_writes = run.txn.has_writes_in(&span);
    let mut filter = scan.filter.clone().map(|filter| filter.freeze(run.eval));
    let mut program = None;
    let pushable = filter.as_ref().is_none_or(Expr::is_pushable) && covered(&filter_slots);
    if pushable {
        let keep = filter.is_none() || own_writes;
        let mut slots: Vec<usize> = scan.columns.clone();
        if keep {
            slots.extend(&filter_slots);
        }
        let all =
            needs_key || (0..layout.width()).all(|slot| slots.contains(&slot) || Some(slot) == layout.hidden_slot());
        let output = if all { Output::Rows } else { Output::Columns(slots) };
        if filter.is_some() || !all {
            program = Some(Program::new(layout.clone(), filter.clone(), output, run.eval).encode()?);
        }
        // Own rows do not pass the program.
        if !own_writes {
            filter = None;
        }
    }
    if filter.is_some() {
        filter_slots.iter().for_each(|&slot| wanted[slot] = true);
    }
    let needed = if needs_key { vec![true; layout.width()] } else { wanted };
    let request = ScanRequest { span, reverse: scan.reverse, limit_rows: 0, pushdown: program };
    Ok(Some(Running { request, left, filter, needed, incomplete }))
}

impl Running {
    async fn decode(&self, scan: &Scan, entries: Vec<(Bytes, Bytes)>, run: &mut Run<'_>) -> Result<Vec<Row>> {
        let layout = &scan.layouts[scan.index];
        let mut found: Vec<(Row, Bytes)> = Vec::with_capacity(entries.len());
        if self.incomplete {
            let mut keys = Vec::with_capacity(entries.len());
            for (key, value) in &entries {
                keys.push(rows::primary_key(&scan.layouts, scan.index, key, value)?);
            }
            found = fetch(&scan.layouts, keys, Read::Plain, run).await?;
        } else {
            for (key, value) in entries {
                let mut row = layout.empty_row();
                layout.decode(&key, &value, &mut row, Some(&self.needed))?;
                let key = match scan.index {
                    0 => key,
                    _ if scan.with_key => scan.layouts[0].encode_key(&row)?,
                    _ => Bytes::new(),
                };
                found.push((row, key));
            }
        }
        let mut batch = Vec::with_capacity(found.len());
        for (row, key) in found {
            if self.filter.as_ref().map_or(Ok(true), |filter| filter.eval_filter(&row, run.eval))? {
                batch.push(project(scan, row, key));
            }
        }
        Ok(batch)
    }
}

/// The output row of a scan.
pub(super) fn project(scan: &Scan, row: Row, key: Bytes) -> Row {
    project_columns(&scan.columns, scan.with_key, row, key)
}

pub(super) fn project_columns(columns: &[usize], with_key: bool, mut row: Row, key: Bytes) -> Row {
    let in_place = columns.iter().copied().eq(0..columns.len());
    let mut output = if in_place {
        row.truncate(columns.len());
        row
    } else {
        columns.iter().map(|&slot| row[slot].clone()).collect()
    };
    if with_key {
        output.push(Value::Bytea(key));
    }
    output
}

/// The span of an access; `None` where a NULL is compared with.
fn span(
    layout: &IndexLayout,
    prefix: &[Expr],
    lower: Option<&Bound>,
    upper: Option<&Bound>,
    eval: &EvalContext,
) -> Result<Option<Span>> {
    let mut values = Vec::with_capacity(prefix.len());
    for expr in prefix {
        match expr.eval(&[], eval)? {
            Value::Null => return Ok(None),
            value => values.push(value),
        }
    }
    if lower.is_none() && upper.is_none() {
        return layout.prefix_span(&values).map(Some);
    }
    let bound = |bound: Option<&Bound>| -> Result<Option<ops::Bound<Value>>> {
        let Some(bound) = bound else { return Ok(Some(ops::Bound::Unbounded)) };
        Ok(match bound.value.eval(&[], eval)? {
            Value::Null => None,
            value if bound.inclusive => Some(ops::Bound::Included(value)),
            value => Some(ops::Bound::Excluded(value)),
        })
    };
    let (Some(lower), Some(upper)) = (bound(lower)?, bound(upper)?) else { return Ok(None) };
    layout.range_span(&values, lower.as_ref(), upper.as_ref()).map(Some)
}

/// The storage rows whose first index columns have these values, and their keys; `latest`: as they are now, and as they will
/// still be at the commit (`Txn::scan_latest`).
pub(super) async fn rows_with_prefix(
    layouts: &[IndexLayout],
    index: usize,
    prefix: &[Value],
    latest: bool,
    run: &mut Run<'_>,
) -> Result<Vec<(Row, Bytes)>> {
    let mut request = ScanRequest { span: layouts[index].prefix_span(prefix)?, ..ScanRequest::default() };
    let mut found = Vec::new();
    loop {
        run.check()?;
        let page = if latest { run.txn.scan_latest(&request).await? } else { run.txn.scan(&request).await? };
        run.state.scanned += page.scanned;
        if index == 0 {
            for (key, value) in page.rows {
                found.push((rows::storage_row(layouts, &key, &value)?, key));
            }
        } else {
            let keys: Result<Vec<Bytes>> =
                page.rows.iter().map(|(key, value)| rows::primary_key(layouts, index, key, value)).collect();
            found.extend(fetch(layouts, keys?, if latest { Read::Latest } else { Read::Plain }, run).await?);
        }
        match page.resume {
            Some(span) => request.span = span,
            None => return Ok(found),
        }
    }
}

/// Aggregates a scan at the leaders; `None` where that cannot be done.
pub(super) async fn partial_aggregates(
    input: &Plan,
    groups: &[Expr],
    aggregates: &[AggregateCall],
    run: &mut Run<'_>,
) -> Result<Option<Vec<Group>>> {
    let Plan::Scan(scan) = input else { return Ok(None) };
    let Access::Range { prefix, lower, upper } = &scan.access else { return Ok(None) };
    let layout = &scan.layouts[scan.index];
    if scan.limit.is_some() || scan.with_key || !scan.is_covered() {
        return Ok(None);
    }
    let Some(span) = span(layout, prefix, lower.as_ref(), upper.as_ref(), run.eval)? else {
        return Ok(Some(Vec::new()));
    };
    if run.txn.has_writes_in(&span) {
        return Ok(None);
    }
    // The program sees storage rows.
    let stored = |expr: &Expr| {
        expr.clone().transform(&mut |part| match part {
            Expr::Column { slot, ty } => Expr::Column { slot: scan.columns[slot], ty },
            other => other,
        })
    };
    let calls = aggregates.iter().map(|call| AggregateCall {
        args: call.args.iter().map(&stored).collect(),
        filter: call.filter.as_ref().map(&stored),
        ..call.clone()
    });
    let output = Output::Aggregate { group_by: groups.iter().map(&stored).collect(), aggregates: calls.collect() };
    let program = Program::new(layout.clone(), scan.filter.clone(), output, run.eval);
    if !program.is_pushable() {
        return Ok(None);
    }
    let mut request = ScanRequest { span, reverse: false, limit_rows: 0, pushdown: Some(program.encode()?) };
    let mut found = Vec::new();
    loop {
        run.check()?;
        let page = run.txn.scan(&request).await?;
        run.state.scanned += page.scanned;
        for pushed in &page.pushed {
            found.extend(decode_pushed(pushed)?);
        }
        match page.resume {
            Some(span) => request.span = span,
            None => return Ok(Some(found)),
        }
    }
}
