//! Which of several functions of one name a call means: PostgreSQL's rules (manual, section 10.2 and 10.3; the order of the
//! steps is that of `func_select_candidate`).

use super::{
    FunctionId,
    cast::{self, CastContext},
    function::{self, Function, Resolved},
};
use crate::{
    error::{SqlError, SqlState},
    types::{DataType, registry},
};

pub(crate) enum Selection {
    One(Resolved),
    None,
    Ambiguous,
    /// A polymorphic type could not be determined.
    Undetermined(String),
}

/// A function with its arguments expanded to the number of actual ones.
struct Candidate {
    id: FunctionId,
    args: Vec<DataType>,
}

pub(crate) fn select(ids: &[FunctionId], actual: &[DataType], operator: bool) -> Selection {
    let candidates: Vec<Candidate> = ids.iter().filter_map(|id| expand(*id, actual.len())).collect();
    if let Some(exact) = exact(&candidates, actual, operator) {
        return finish(exact, actual);
    }
    let matching: Vec<Candidate> = candidates.into_iter().filter(|candidate| accepts(candidate, actual)).collect();
    match narrow(matching, actual) {
        Ok(Some(candidate)) => finish(&candidate, actual),
        Ok(None) => Selection::None,
        Err(()) => Selection::Ambiguous,
    }
}

fn expand(id: FunctionId, count: usize) -> Option<Candidate> {
    let function: &Function = function::get(id);
    let mut args = function.args.clone();
    if function.variadic {
        let last = *args.last()?;
        // `f(VARIADIC any)` needs at least one; so do the others, as in PostgreSQL.
        if count < args.len() {
            return None;
        }
        args.resize(count, last);
    }
    (args.len() == count).then_some(Candidate { id, args })
}

fn exact<'a>(candidates: &'a [Candidate], actual: &[DataType], operator: bool) -> Option<&'a Candidate> {
    if let Some(found) = candidates.iter().find(|candidate| candidate.args == actual) {
        return Some(found);
    }
    // Of a binary operator, an unknown side is first taken to have the other's type.
    let assumed = match actual {
        [DataType::UNKNOWN, other] | [other, DataType::UNKNOWN] if operator => *other,
        _ => return None,
    };
    if assumed == DataType::UNKNOWN {
        return None;
    }
    candidates.iter().find(|candidate| candidate.args.iter().all(|arg| *arg == assumed))
}

/// Whether every argument can be implicitly coerced.
fn accepts(candidate: &Candidate, actual: &[DataType]) -> bool {
    candidate.args.iter().zip(actual).all(|(declared, actual)| accepts_one(*actual, *declared))
        && !matches!(Polymorphic::solve(&candidate.args, actual), Err(Conflict::Mismatch))
}

fn accepts_one(actual: DataType, declared: DataType) -> bool {
    if actual == DataType::UNKNOWN || declared == DataType::ANY {
        return true;
    }
    match declared {
        DataType::ANYELEMENT | DataType::ANYCOMPATIBLE => true,
        DataType::ANYARRAY | DataType::ANYCOMPATIBLEARRAY => actual.is_array(),
        _ => cast::can_cast(actual, declared, CastContext::Implicit),
    }
}

/// `Ok(None)`: nothing matched; `Err`: more than one is left.
fn narrow(candidates: Vec<Candidate>, actual: &[DataType]) -> Result<Option<Candidate>, ()> {
    type Step = fn(Vec<Candidate>, &[DataType]) -> Vec<Candidate>;
    let steps: [Step; 4] = [most_exact, most_preferred, by_unknown_category, as_known_type];
    let mut left = candidates;
    if left.is_empty() {
        return Ok(None);
    }
    for step in steps {
        if left.len() > 1 {
            left = step(left, actual);
        }
    }
    if left.len() == 1 { Ok(left.pop()) } else { Err(()) }
}

fn keep_best(candidates: Vec<Candidate>, score: impl Fn(&Candidate) -> usize) -> Vec<Candidate> {
    let best = candidates.iter().map(&score).max().unwrap_or(0);
    candidates.into_iter().filter(|candidate| score(candidate) == best).collect()
}

fn most_exact(candidates: Vec<Candidate>, actual: &[DataType]) -> Vec<Candidate> {
    keep_best(candidates, |candidate| {
        candidate
            .args
            .iter()
            .zip(actual)
            .filter(|(declared, actual)| **actual != DataType::UNKNOWN && declared == actual)
            .count()
    })
}

fn most_preferred(candidates: Vec<Candidate>, actual: &[DataType]) -> Vec<Candidate> {
    keep_best(candidates, |candidate| {
        candidate
            .args
            .iter()
            .zip(actual)
            .filter(|(declared, actual)| {
                **actual != DataType::UNKNOWN
                    && (declared == actual
                        || (registry::category(**declared) == registry::category(**actual)
                            && registry::is_preferred(**declared)))
            })
            .count()
    })
}

/// For each unknown argument: a string where any candidate takes one, else the category that all agree on; then the
/// preferred type of the category where any candidate takes it.
fn by_unknown_category(candidates: Vec<Candidate>, actual: &[DataType]) -> Vec<Candidate> {
    let unknown: Vec<usize> = (0..actual.len()).filter(|slot| actual[*slot] == DataType::UNKNOWN).collect();
    let mut wanted = Vec::new();
    for slot in &unknown {
        let categories: Vec<char> = candidates.iter().map(|c| registry::category(c.args[*slot])).collect();
        let category = if categories.contains(&'S') { 'S' } else { categories[0] };
        if category != 'S' && categories.iter().any(|other| *other != category) {
            return candidates;
        }
        let preferred = candidates
            .iter()
            .any(|c| registry::category(c.args[*slot]) == category && registry::is_preferred(c.args[*slot]));
        wanted.push((*slot, category, preferred));
    }
    let fits = |candidate: &Candidate| {
        wanted.iter().all(|(slot, category, preferred)| {
            let declared = candidate.args[*slot];
            registry::category(declared) == *category && (!preferred || registry::is_preferred(declared))
        })
    };
    if unknown.is_empty() || !candidates.iter().any(fits) {
        return candidates;
    }
    candidates.into_iter().filter(|candidate| fits(candidate)).collect()
}

/// Where all known arguments have one type, the unknown ones are taken to have it too.
fn as_known_type(candidates: Vec<Candidate>, actual: &[DataType]) -> Vec<Candidate> {
    let mut known = actual.iter().filter(|ty| **ty != DataType::UNKNOWN);
    let Some(first) = known.next() else { return candidates };
    if known.any(|ty| ty != first) || !actual.contains(&DataType::UNKNOWN) {
        return candidates;
    }
    let assumed = vec![*first; actual.len()];
    if candidates.iter().filter(|candidate| accepts(candidate, &assumed)).count() != 1 {
        return candidates;
    }
    candidates.into_iter().filter(|candidate| accepts(candidate, &assumed)).collect()
}

fn finish(candidate: &Candidate, actual: &[DataType]) -> Selection {
    let function = function::get(candidate.id);
    let solved = match Polymorphic::solve(&candidate.args, actual) {
        Ok(solved) => solved,
        Err(Conflict::Mismatch) => return Selection::None,
        Err(Conflict::Unknown) => {
            return Selection::Undetermined(
                "could not determine polymorphic type because input has type unknown".to_owned(),
            );
        }
    };
    let arg_types = candidate
        .args
        .iter()
        .zip(actual)
        .map(|(declared, actual)| match *declared {
            DataType::ANY => *actual,
            DataType::ANYNONARRAY if *actual == DataType::UNKNOWN => DataType::TEXT,
            DataType::ANYNONARRAY => *actual,
            other => solved.replace(other),
        })
        .collect();
    Selection::One(Resolved { id: candidate.id, arg_types, return_type: solved.replace(function.returns) })
}

/// What the polymorphic types of one call stand for: `anyelement` and `anyarray` are tied exactly, the `anycompatible` ones
/// by their common type.
struct Polymorphic {
    exact: Option<DataType>,
    compatible: Option<DataType>,
}

enum Conflict {
    Mismatch,
    Unknown,
}

impl Polymorphic {
    fn solve(declared: &[DataType], actual: &[DataType]) -> Result<Polymorphic, Conflict> {
        let mut exact: Option<DataType> = None;
        let mut compatible: Vec<DataType> = Vec::new();
        let (mut has_exact, mut has_compatible) = (false, false);
        for (declared, actual) in declared.iter().zip(actual) {
            let element = match *declared {
                DataType::ANYARRAY | DataType::ANYCOMPATIBLEARRAY => actual.element(),
                DataType::ANYELEMENT | DataType::ANYCOMPATIBLE => Some(*actual),
                _ => continue,
            }
            .filter(|ty| *ty != DataType::UNKNOWN);
            if matches!(*declared, DataType::ANYARRAY | DataType::ANYELEMENT) {
                has_exact = true;
                match (exact, element) {
                    (Some(known), Some(new)) if known != new => return Err(Conflict::Mismatch),
                    (None, Some(new)) => exact = Some(new),
                    _ => {}
                }
            } else {
                has_compatible = true;
                compatible.extend(element);
            }
        }
        if has_exact && exact.is_none() {
            return Err(Conflict::Unknown);
        }
        let compatible = match (has_compatible, compatible.is_empty()) {
            (false, _) => None,
            (true, true) => Some(DataType::TEXT),
            (true, false) => Some(cast::common_type(&compatible).map_err(|_| Conflict::Mismatch)?),
        };
        Ok(Polymorphic { exact, compatible })
    }

    fn replace(&self, ty: DataType) -> DataType {
        let array = |element: Option<DataType>| element.and_then(DataType::array);
        match ty {
            DataType::ANYELEMENT => self.exact,
            DataType::ANYARRAY => array(self.exact),
            DataType::ANYCOMPATIBLE => self.compatible,
            DataType::ANYCOMPATIBLEARRAY => array(self.compatible),
            other => Some(other),
        }
        .unwrap_or(ty)
    }
}

pub(crate) fn function_error(name: &str, schema: Option<&str>, args: &[DataType], found: Selection) -> SqlError {
    let types: Vec<String> = args.iter().map(DataType::to_string).collect();
    let name = match schema {
        Some(schema) => format!("{schema}.{name}"),
        None => name.to_owned(),
    };
    no_match("function", &format!("{name}({})", types.join(", ")), false, found)
}

pub(crate) fn operator_error(name: &str, left: Option<DataType>, right: DataType, found: Selection) -> SqlError {
    let call = match left {
        Some(left) => format!("{left} {name} {right}"),
        None => format!("{name} {right}"),
    };
    no_match("operator", &call, left.is_none(), found)
}

fn no_match(what: &str, call: &str, prefix: bool, found: Selection) -> SqlError {
    let function = what == "function";
    match found {
        Selection::Ambiguous => {
            let message = if function {
                format!("function {call} is not unique")
            } else {
                format!("operator is not unique: {call}")
            };
            SqlError::new(SqlState::AMBIGUOUS_FUNCTION, message)
                .hint(format!("Could not choose a best candidate {what}. You might need to add explicit type casts."))
        }
        Selection::Undetermined(message) => SqlError::new(SqlState::DATATYPE_MISMATCH, message),
        Selection::One(_) | Selection::None => {
            let message = if function {
                format!("function {call} does not exist")
            } else {
                format!("operator does not exist: {call}")
            };
            let (types, casts) =
                if prefix { ("type", "an explicit type cast") } else { ("types", "explicit type casts") };
            SqlError::new(SqlState::UNDEFINED_FUNCTION, message)
                .hint(format!("No {what} matches the given name and argument {types}. You might need to add {casts}."))
        }
    }
}

#[cfg(test)]
#[path = "resolve_test.rs"]
mod tests;
