//! Window functions. The whole input is read; each call sorts it into partitions and computes its column.

use async_trait::async_trait;

use super::{
    BATCH_ROWS, Run,
    basic::{eval_all, some},
    drain, mismatch,
    operator::Operator,
    sort::{compare, sort_values},
};
use crate::{
    error::{Result, SqlError, SqlState},
    plan::{FrameBound, FrameUnit, Plan, WindowCall, WindowFunction},
    types::{Row, Value},
};

pub(crate) struct Window {
    input: Box<dyn Operator>,
    output: Option<std::vec::IntoIter<Row>>,
}

impl Window {
    pub fn new(input: Box<dyn Operator>) -> Window {
        Window { input, output: None }
    }
}

#[async_trait]
impl Operator for Window {
    async fn next(&mut self, plan: &Plan, run: &mut Run<'_>) -> Result<Option<Vec<Row>>> {
        let Plan::Window { input, calls } = plan else { return Err(mismatch()) };
        if self.output.is_none() {
            let mut rows = drain(&mut *self.input, input, run).await?;
            let mut columns = Vec::with_capacity(calls.len());
            for call in calls {
                columns.push(column(call, &rows, run)?);
            }
            for (position, row) in rows.iter_mut().enumerate() {
                row.extend(columns.iter_mut().map(|column| std::mem::take(&mut column[position])));
            }
            self.output = Some(rows.into_iter());
        }
        let output = self.output.iter_mut().flatten();
        Ok(some(output.take(BATCH_ROWS).collect()))
    }
}

/// A row's place: its position in the input, and the values it is sorted by.
struct Place {
    position: usize,
    order: Vec<Value>,
}

/// One partition, sorted. `peers[i]` is the half-open range of the rows that tie with row i.
struct Partition<'a> {
    rows: &'a [Row],
    places: &'a [Place],
    peers: Vec<(usize, usize)>,
}

/// The values of one call, by position of the row in the input.
fn column(call: &WindowCall, rows: &[Row], run: &mut Run<'_>) -> Result<Vec<Value>> {
    let mut places = Vec::with_capacity(rows.len());
    for (position, row) in rows.iter().enumerate() {
        let partition = eval_all(&call.partition_by, row, run.eval)?;
        places.push((partition, Place { position, order: sort_values(&call.order_by, row, run.eval)? }));
    }
    places.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| compare(&call.order_by, &a.1.order, &b.1.order)));
    let mut column = vec![Value::Null; rows.len()];
    let bounds: Vec<usize> = (1..places.len()).filter(|&i| places[i].0 != places[i - 1].0).collect();
    let places: Vec<Place> = places.into_iter().map(|(_, place)| place).collect();
    let mut start = 0;
    for end in bounds.into_iter().chain([places.len()]) {
        run.check()?;
        if start < end {
            let partition = Partition::new(call, rows, &places[start..end]);
            partition.fill(call, run, &mut column)?;
        }
        start = end;
    }
    Ok(column)
}

impl<'a> Partition<'a> {
    fn new(call: &WindowCall, rows: &'a [Row], places: &'a [Place]) -> Partition<'a> {
        let mut peers = Vec::with_capacity(places.len());
        let mut start = 0;
        while start < places.len() {
            let tie = |place: &Place| compare(&call.order_by, &place.order, &places[start].order).is_eq();
            let end = start + places[start..].iter().take_while(|place| tie(place)).count();
            peers.resize(end, (start, end));
            start = end;
        }
        Partition { rows, places, peers }
    }

    fn row(&self, index: usize) -> &Row {
        &self.rows[self.places[index].position]
    }

    fn len(&self) -> usize {
        self.places.len()
    }

    fn fill(&self, call: &WindowCall, run: &Run<'_>, column: &mut [Value]) -> Result<()> {
        if let WindowFunction::Aggregate(_) = call.function {
            return self.fill_aggregate(call, run, column);
        }
        let mut dense = 0;
        for index in 0..self.len() {
            let (first, last) = self.peers[index];
            dense += i64::from(first == index);
            let count = self.len() as f64;
            column[self.places[index].position] = match call.function {
                WindowFunction::RowNumber => Value::Int8(index as i64 + 1),
                WindowFunction::Rank => Value::Int8(first as i64 + 1),
                WindowFunction::DenseRank => Value::Int8(dense),
                WindowFunction::PercentRank if self.len() == 1 => Value::Float8(0.0),
                WindowFunction::PercentRank => Value::Float8(first as f64 / (count - 1.0)),
                WindowFunction::CumeDist => Value::Float8(last as f64 / count),
                WindowFunction::Ntile => self.ntile(call, index, run)?,
                WindowFunction::Lag => self.offset(call, index, -1, run)?,
                WindowFunction::Lead => self.offset(call, index, 1, run)?,
                _ => self.framed(call, index, run)?,
            };
        }
        Ok(())
    }

    fn ntile(&self, call: &WindowCall, index: usize, run: &Run<'_>) -> Result<Value> {
        let buckets = match call.args[0].eval(self.row(0), run.eval)? {
            Value::Int4(buckets) if buckets > 0 => buckets as usize,
            Value::Null => return Ok(Value::Null),
            _ => return Err(SqlError::new(SqlState("22014"), "argument of ntile must be greater than zero")),
        };
        // The first `extra` buckets have one row more.
        let (size, extra) = (self.len() / buckets, self.len() % buckets);
        let long = extra * (size + 1);
        let bucket = if index < long { index / (size + 1) } else { extra + (index - long) / size.max(1) };
        Ok(Value::Int4(bucket as i32 + 1))
    }

    fn offset(&self, call: &WindowCall, index: usize, direction: i64, run: &Run<'_>) -> Result<Value> {
        let row = self.row(index);
        let distance = match call.args.get(1).map(|arg| arg.eval(row, run.eval)).transpose()? {
            None => 1,
            Some(Value::Int4(distance)) => i64::from(distance),
            Some(_) => return Ok(Value::Null),
        };
        let target = index as i64 + direction * distance;
        if (0..self.len() as i64).contains(&target) {
            return call.args[0].eval(self.row(target as usize), run.eval);
        }
        call.args.get(2).map_or(Ok(Value::Null), |default| default.eval(row, run.eval))
    }

    fn framed(&self, call: &WindowCall, index: usize, run: &Run<'_>) -> Result<Value> {
        let (start, end) = self.frame(call, index, run)?;
        let chosen = match call.function {
            _ if start >= end => None,
            WindowFunction::FirstValue => Some(start),
            WindowFunction::LastValue => Some(end - 1),
            _ => match call.args[1].eval(self.row(index), run.eval)? {
                Value::Int4(n) if n > 0 => Some(start + n as usize - 1).filter(|chosen| *chosen < end),
                Value::Null => None,
                _ => return Err(SqlError::new(SqlState("22016"), "argument of nth_value must be greater than zero")),
            },
        };
        chosen.map_or(Ok(Value::Null), |chosen| call.args[0].eval(self.row(chosen), run.eval))
    }

    /// The rows of the frame of row `index`, half open.
    fn frame(&self, call: &WindowCall, index: usize, run: &Run<'_>) -> Result<(usize, usize)> {
        let distance = |expr: &crate::expr::Expr| match expr.eval(&[], run.eval)? {
            Value::Int8(distance) if distance >= 0 => Ok(usize::try_from(distance).unwrap_or(usize::MAX)),
            _ => Err(SqlError::new(SqlState("22013"), "frame offset must not be negative or null")),
        };
        let groups = call.frame.unit == FrameUnit::Groups;
        let (peer_start, peer_end) = self.peers[index];
        // Steps by rows, or from group to group.
        let back = |steps: usize| -> usize {
            if !groups {
                return index.saturating_sub(steps);
            }
            let mut at = peer_start;
            for _ in 0..steps {
                if at == 0 {
                    break;
                }
                at = self.peers[at - 1].0;
            }
            at
        };
        let ahead = |steps: usize| -> usize {
            if !groups {
                return index.saturating_add(steps).saturating_add(1).min(self.len());
            }
            let mut at = peer_end;
            for _ in 0..steps {
                if at >= self.len() {
                    break;
                }
                at = self.peers[at].1;
            }
            at
        };
        let by_rows = call.frame.unit == FrameUnit::Rows;
        let start = match &call.frame.start {
            FrameBound::UnboundedPreceding => 0,
            FrameBound::Preceding(steps) => back(distance(steps)?),
            FrameBound::CurrentRow => {
                if by_rows {
                    index
                } else {
                    peer_start
                }
            }
            FrameBound::Following(steps) if by_rows => index.saturating_add(distance(steps)?),
            FrameBound::Following(steps) => ahead(distance(steps)?.saturating_sub(1)),
            FrameBound::UnboundedFollowing => self.len(),
        };
        let end = match &call.frame.end {
            FrameBound::UnboundedPreceding => 0,
            FrameBound::Preceding(steps) if by_rows => (index + 1).saturating_sub(distance(steps)?),
            FrameBound::Preceding(steps) => back(distance(steps)?.saturating_sub(1)),
            FrameBound::CurrentRow => {
                if by_rows {
                    index + 1
                } else {
                    peer_end
                }
            }
            FrameBound::Following(steps) => ahead(distance(steps)?),
            FrameBound::UnboundedFollowing => self.len(),
        };
        Ok((start.min(self.len()), end.min(self.len())))
    }

    fn fill_aggregate(&self, call: &WindowCall, run: &Run<'_>, column: &mut [Value]) -> Result<()> {
        let WindowFunction::Aggregate(aggregate) = &call.function else { return Err(mismatch()) };
        // A frame that only grows at its end is computed by one running state.
        let growing = matches!(call.frame.start, FrameBound::UnboundedPreceding);
        let mut state = aggregate.start()?;
        let mut done = 0;
        let mut last: Option<(usize, Value)> = None;
        for index in 0..self.len() {
            let (start, end) = self.frame(call, index, run)?;
            if !growing {
                state = aggregate.start()?;
                done = start;
                last = None;
            }
            while done < end {
                aggregate.update(&mut state, self.row(done), run.eval)?;
                done += 1;
            }
            let value = match &last {
                Some((at, value)) if *at == end => value.clone(),
                _ => state.clone().finish()?,
            };
            last = Some((end, value.clone()));
            column[self.places[index].position] = value;
        }
        Ok(())
    }
}
