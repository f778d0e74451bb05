//! Rows by full key: point gets, and joins that look up one table's keys for each row of another.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use bytes::Bytes;
use txn::{LockMode, WaitPolicy};

use super::{
    Run,
    join::key,
    mismatch,
    operator::Operator,
    recheck, rows,
    scan::{project, project_columns, rows_with_prefix},
};
use crate::{
    encode::IndexLayout,
    error::Result,
    expr::Expr,
    plan::{self, Access, JoinKind, Plan, Scan},
    types::{Row, Value},
};

/// How rows are read by key.
#[derive(Clone, Copy)]
pub(super) enum Read {
    /// As of the statement.
    Plain,
    /// As they are now, and still will be at the commit (`Txn::get_latest`).
    Latest,
    /// Locked, and at their newest.
    Locked(LockMode, WaitPolicy),
}

/// The storage rows under keys of the primary index, with their keys; keys without a row (or, with SKIP LOCKED, held by
/// somebody else) are left out.
pub(super) async fn fetch(
    layouts: &[IndexLayout],
    keys: Vec<Bytes>,
    read: Read,
    run: &mut Run<'_>,
) -> Result<Vec<(Row, Bytes)>> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let values: Vec<Option<Bytes>> = match read {
        Read::Plain => run.txn.get(&keys).await?,
        Read::Latest => run.txn.get_latest(&keys).await?,
        Read::Locked(mode, wait) => {
            let locked = run.txn.lock(&keys, mode, wait).await?;
            locked.into_iter().map(|row| row.value.filter(|_| row.granted)).collect()
        }
    };
    run.state.scanned += keys.len() as u64;
    let mut found = Vec::with_capacity(keys.len());
    for (key, value) in keys.into_iter().zip(values) {
        if let Some(value) = value {
            found.push((rows::storage_row(layouts, &key, &value)?, key));
        }
    }
    Ok(found)
}

/// The rows behind full keys of a unique index.
async fn fetch_unique(
    layouts: &[IndexLayout],
    index: usize,
    wanted: &[Vec<Value>],
    read: Read,
    run: &mut Run<'_>,
) -> Result<Vec<(Row, Bytes)>> {
    let mut keys = Vec::with_capacity(wanted.len());
    for values in wanted {
        keys.push(Bytes::from(layouts[index].prefix_key(values)?));
    }
    if index == 0 {
        return fetch(layouts, keys, read, run).await;
    }
    let entries = run.txn.get(&keys).await?;
    let mut primary = Vec::with_capacity(keys.len());
    for (key, entry) in keys.iter().zip(entries) {
        if let Some(entry) = entry {
            primary.push(rows::primary_key(layouts, index, key, &entry)?);
        }
    }
    let mut found = fetch(layouts, primary, read, run).await?;
    if matches!(read, Read::Locked(..)) {
        // At its newest a row may stand elsewhere in the index.
        let mut moved = Vec::new();
        for (position, (row, _)) in found.iter().enumerate() {
            if !keys.contains(&layouts[index].encode_key(row)?) {
                moved.push(position);
            }
        }
        let mut position = 0;
        found.retain(|_| {
            position += 1;
            !moved.contains(&(position - 1))
        });
    }
    Ok(found)
}

/// `Access::Points` and `Access::PointArray`.
#[derive(Default)]
pub(crate) struct Points {
    done: bool,
}

#[async_trait]
impl Operator for Points {
    async fn next(&mut self, plan: &Plan, run: &mut Run<'_>) -> Result<Option<Vec<Row>>> {
        let Plan::Scan(scan) = plan else { return Err(mismatch()) };
        if self.done {
            return Ok(None);
        }
        self.done = true;
        let wanted = point_values(scan, run)?;
        if let Some(pinned) = run.pinned(scan.mark) {
            let reaches = |layout: &IndexLayout, key: &Bytes| {
                let keys: Result<Vec<Vec<u8>>> = wanted.iter().map(|values| layout.prefix_key(values)).collect();
                Ok(keys?.iter().any(|wanted| wanted[..] == key[..]))
            };
            return recheck::scan(scan, reaches, pinned, run);
        }
        let found = match scan.index != 0 && scan.lock.is_none() && !scan.with_key && scan.is_covered() {
            true => entries(&scan.layouts[scan.index], &wanted, run).await?,
            false => {
                let read = scan.lock.map_or(Read::Plain, |(mode, wait)| Read::Locked(mode, wait));
                fetch_unique(&scan.layouts, scan.index, &wanted, read, run).await?
            }
        };
        let mut batch = Vec::with_capacity(found.len());
        for (row, key) in found {
            if scan.filter.as_ref().map_or(Ok(true), |filter| filter.eval_filter(&row, run.eval))? {
                batch.push(project(scan, row, key));
            }
        }
        Ok((!batch.is_empty()).then_some(batch))
    }
}

/// What the entries of a unique index alone tell of the rows.
async fn entries(layout: &IndexLayout, wanted: &[Vec<Value>], run: &mut Run<'_>) -> Result<Vec<(Row, Bytes)>> {
    let keys: Result<Vec<Bytes>> = wanted.iter().map(|values| Ok(layout.prefix_key(values)?.into())).collect();
    let keys = keys?;
    let values = run.txn.get(&keys).await?;
    run.state.scanned += keys.len() as u64;
    let mut found = Vec::with_capacity(keys.len());
    for (key, value) in keys.into_iter().zip(values) {
        if let Some(value) = value {
            let mut row = layout.empty_row();
            layout.decode(&key, &value, &mut row, None)?;
            found.push((row, key));
        }
    }
    Ok(found)
}

/// The keys asked for, in order and once each. NULL equals nothing.
fn point_values(scan: &Scan, run: &Run<'_>) -> Result<Vec<Vec<Value>>> {
    match &scan.access {
        // The common case needs no set.
        Access::Points(keys) if keys.len() == 1 => Ok(key(keys[0].iter(), &[], run.eval)?.into_iter().collect()),
        Access::Points(keys) => {
            let mut wanted = BTreeSet::new();
            for exprs in keys {
                wanted.extend(key(exprs.iter(), &[], run.eval)?);
            }
            Ok(wanted.into_iter().collect())
        }
        Access::PointArray(array) => {
            let Value::Array(array) = array.eval(&[], run.eval)? else { return Ok(Vec::new()) };
            let values: BTreeSet<Value> = array.values.into_iter().filter(|value| !value.is_null()).collect();
            Ok(values.into_iter().map(|value| vec![value]).collect())
        }
        Access::Range { .. } => Err(mismatch()),
    }
}

pub(crate) struct LookupJoin {
    input: Box<dyn Operator>,
}

impl LookupJoin {
    pub fn new(input: Box<dyn Operator>) -> LookupJoin {
        LookupJoin { input }
    }

    /// The rows for each distinct key.
    async fn matches(
        join: &plan::LookupJoin,
        keys: BTreeSet<Vec<Value>>,
        run: &mut Run<'_>,
    ) -> Result<BTreeMap<Vec<Value>, Vec<Row>>> {
        let layout = &join.layouts[join.index];
        let full =
            join.keys.len() == layout.columns().len() && plan::table_of(&join.relation).indexes[join.index].unique;
        let found = if let Some(pinned) = run.pinned(join.mark) {
            pinned.into_iter().collect()
        } else if full {
            let wanted: Vec<Vec<Value>> = keys.into_iter().collect();
            fetch_unique(&join.layouts, join.index, &wanted, Read::Plain, run).await?
        } else {
            let mut found = Vec::new();
            for values in keys {
                found.extend(rows_with_prefix(&join.layouts, join.index, &values, false, run).await?);
            }
            found
        };
        let mut matches: BTreeMap<Vec<Value>, Vec<Row>> = BTreeMap::new();
        for (row, key) in found {
            if join.filter.as_ref().map_or(Ok(true), |filter: &Expr| filter.eval_filter(&row, run.eval))? {
                let columns = layout.columns().iter().take(join.keys.len());
                let values = columns.map(|column| row[column.slot].clone()).collect();
                let output = project_columns(&join.columns, join.with_key, row, key);
                matches.entry(values).or_default().push(output);
            }
        }
        Ok(matches)
    }
}

#[async_trait]
impl Operator for LookupJoin {
    async fn next(&mut self, plan: &Plan, run: &mut Run<'_>) -> Result<Option<Vec<Row>>> {
        let Plan::LookupJoin(join) = plan else { return Err(mismatch()) };
        while let Some(batch) = self.input.next(&join.input, run).await? {
            run.check()?;
            let mut keys = Vec::with_capacity(batch.len());
            for row in &batch {
                keys.push(key(join.keys.iter(), row, run.eval)?);
            }
            let matches = LookupJoin::matches(join, keys.iter().flatten().cloned().collect(), run).await?;
            let width = join.columns.len() + usize::from(join.with_key);
            let mut output = Vec::with_capacity(batch.len());
            for (row, key) in batch.into_iter().zip(keys) {
                let candidates = key.and_then(|key| matches.get(&key)).map_or(&[][..], Vec::as_slice);
                let mut found = false;
                for candidate in candidates {
                    let mut pair = Vec::with_capacity(row.len() + width);
                    pair.extend_from_slice(&row);
                    pair.extend_from_slice(candidate);
                    if !join.on.as_ref().map_or(Ok(true), |on| on.eval_filter(&pair, run.eval))? {
                        continue;
                    }
                    found = true;
                    if matches!(join.kind, JoinKind::Semi | JoinKind::Anti) {
                        break;
                    }
                    output.push(pair);
                }
                match join.kind {
                    JoinKind::Semi if found => output.push(row),
                    JoinKind::Anti if !found => output.push(row),
                    JoinKind::Left if !found => {
                        let mut padded = row;
                        padded.resize(padded.len() + width, Value::Null);
                        output.push(padded);
                    }
                    _ => {}
                }
            }
            if !output.is_empty() {
                return Ok(Some(output));
            }
        }
        Ok(None)
    }
}
