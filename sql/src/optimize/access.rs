//! Which index a scan uses, and how: by full unique key where the conditions give one, else by the longest prefix they fix.

use super::{
    bottom_up,
    predicates::{combine, comparison, is_fixed, split},
};
use crate::{
    error::Result,
    expr::{Expr, function},
    plan::{Access, Bound, Plan, Scan},
    types::{DataType, registry},
};

pub(super) fn apply(plan: Plan) -> Result<Plan> {
    bottom_up(plan, &mut |plan| match plan {
        Plan::Scan(scan) => Ok(Plan::Scan(Box::new(choose(*scan)))),
        other => Ok(other),
    })
}

/// What a condition says about one column.
enum Fact {
    Equal(Expr),
    In(Vec<Expr>),
    InArray(Expr),
    Lower(Bound),
    Upper(Bound),
}

/// A way to reach the rows, and the conditions it has used up.
struct Candidate {
    index: usize,
    access: Access,
    used: Vec<usize>,
    cost: f64,
}

/// Rough guesses, as long as there are no statistics: rows of a table, shares that conditions let through.
const ROWS: f64 = 1000.0;
const EQUAL_SHARE: f64 = 0.01;
const RANGE_SHARE: f64 = 0.3;
/// Fetching a row by key next to reading one in a scan.
const FETCH: f64 = 5.0;

fn choose(mut scan: Scan) -> Scan {
    let free = matches!(&scan.access, Access::Range { prefix, lower: None, upper: None } if prefix.is_empty());
    if !free || scan.filter.is_none() {
        return scan;
    }
    let mut conditions: Vec<Expr> = scan.filter.take().into_iter().flat_map(split).collect();
    let facts: Vec<Option<(usize, Fact)>> = conditions.iter().map(|condition| fact(condition, &scan)).collect();
    let candidates = (0..scan.layouts.len()).filter_map(|index| candidate(&scan, index, &facts));
    let best = candidates.min_by(|a, b| a.cost.total_cmp(&b.cost));
    if let Some(best) = best {
        scan.index = best.index;
        scan.access = best.access;
        let mut position = 0;
        conditions.retain(|_| {
            position += 1;
            !best.used.contains(&(position - 1))
        });
    }
    scan.filter = combine(conditions);
    scan
}

fn candidate(scan: &Scan, index: usize, facts: &[Option<(usize, Fact)>]) -> Option<Candidate> {
    let layout = &scan.layouts[index];
    let table_index = &scan.table().indexes[index];
    if table_index.hidden_row_id {
        return None;
    }
    let about = |slot: usize| {
        facts.iter().enumerate().filter_map(move |(at, fact)| match fact {
            Some((column, fact)) if *column == slot => Some((at, fact)),
            _ => None,
        })
    };
    let mut prefix: Vec<Expr> = Vec::new();
    let mut used = Vec::new();
    for column in layout.columns() {
        let equal = about(column.slot).find_map(|(at, fact)| match fact {
            Fact::Equal(value) => Some((at, value.clone())),
            _ => None,
        });
        let Some((at, value)) = equal else { break };
        prefix.push(value);
        used.push(at);
    }
    let count = layout.columns().len();
    // Any entry of a secondary index leads to the row, unless all that is asked for is in the entry.
    let covered = scan.columns.iter().all(|&slot| layout.provides(slot)) && index != 0;
    let per_row = if index == 0 || covered { 1.0 } else { FETCH };
    if table_index.unique && prefix.len() == count {
        return Some(Candidate { index, access: Access::Points(vec![prefix]), used, cost: 0.5 * per_row });
    }
    let next = layout.columns().get(prefix.len())?;
    if table_index.unique && prefix.len() + 1 == count {
        let list = about(next.slot).find_map(|(at, fact)| match fact {
            Fact::In(values) => {
                let keys = values.iter().map(|value| [&prefix[..], std::slice::from_ref(value)].concat());
                Some((at, values.len(), Access::Points(keys.collect())))
            }
            Fact::InArray(array) if prefix.is_empty() => Some((at, 10, Access::PointArray(array.clone()))),
            _ => None,
        });
        if let Some((at, keys, access)) = list {
            used.push(at);
            return Some(Candidate { index, access, used, cost: keys as f64 * per_row });
        }
    }
    let mut rows = ROWS * EQUAL_SHARE.powi(prefix.len() as i32);
    let (mut lower, mut upper) = (None, None);
    for (at, fact) in about(next.slot) {
        match fact {
            Fact::Lower(bound) if lower.is_none() => lower = Some(bound.clone()),
            Fact::Upper(bound) if upper.is_none() => upper = Some(bound.clone()),
            _ => continue,
        }
        rows *= RANGE_SHARE;
        used.push(at);
    }
    if used.is_empty() {
        return None;
    }
    Some(Candidate { index, access: Access::Range { prefix, lower, upper }, used, cost: rows * per_row })
}

/// Reads a condition as a statement about one column of the table.
fn fact(condition: &Expr, scan: &Scan) -> Option<(usize, Fact)> {
    match condition {
        Expr::InList { function, left, list } if is_equal(*function) => {
            let (slot, ty) = column(left)?;
            let usable = list.iter().all(|item| is_fixed(item) && comparable(ty, item.ty()));
            usable.then(|| (slot, Fact::In(list.clone())))
        }
        Expr::ArrayCompare { function, left, array, all: false } if is_equal(*function) => {
            let (slot, ty) = column(left)?;
            let usable = is_fixed(array) && array.ty().element().is_some_and(|element| comparable(ty, element));
            usable.then(|| (slot, Fact::InArray((**array).clone())))
        }
        // A bare boolean column.
        Expr::Column { slot, ty: DataType::BOOL } if *slot < scan.relation.columns().len() => {
            Some((*slot, Fact::Equal(Expr::boolean(true))))
        }
        _ => {
            let (name, left, right) = comparison(condition)?;
            let (slot, ty, value, name) = match (column(left), column(right)) {
                (Some((slot, ty)), _) if is_fixed(right) => (slot, ty, right, name),
                (_, Some((slot, ty))) if is_fixed(left) => (slot, ty, left, flipped(name)),
                _ => return None,
            };
            if !comparable(ty, value.ty()) {
                return None;
            }
            let bound = |inclusive| Bound { value: value.clone(), inclusive };
            Some((
                slot,
                match name {
                    "=" => Fact::Equal(value.clone()),
                    ">" | ">=" => Fact::Lower(bound(name == ">=")),
                    _ => Fact::Upper(bound(name == "<=")),
                },
            ))
        }
    }
}

/// A column, perhaps relabelled as another type of the same order.
pub(super) fn column(expr: &Expr) -> Option<(usize, DataType)> {
    match expr {
        Expr::Column { slot, ty } => Some((*slot, *ty)),
        Expr::Cast { expr, to, typmod: -1, .. } => {
            column(expr).filter(|(_, ty)| *ty != DataType::BPCHAR && *to != DataType::BPCHAR && comparable(*ty, *to))
        }
        _ => None,
    }
}

/// Whether a value of the other type has the same key as the equal value of the column's type.
pub(super) fn comparable(column: DataType, value: DataType) -> bool {
    let integer = |ty| matches!(ty, DataType::INT2 | DataType::INT4 | DataType::INT8);
    let float = |ty| matches!(ty, DataType::FLOAT4 | DataType::FLOAT8);
    let text = |ty| registry::is_text_like(ty) && ty != DataType::BPCHAR;
    column == value
        || (integer(column) && integer(value))
        || (float(column) && float(value))
        || (text(column) && text(value))
}

fn is_equal(function: crate::expr::FunctionId) -> bool {
    let function = function::get(function);
    function.operator && function.name == "="
}

fn flipped(name: &'static str) -> &'static str {
    match name {
        "<" => ">",
        "<=" => ">=",
        ">" => "<",
        ">=" => "<=",
        other => other,
    }
}
