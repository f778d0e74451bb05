//! The registry of functions and operators, and how calls are made. Each family is a file of `functions`, which adds its
//! entries with [`define!`]; the core is not touched.

use std::{
    collections::{BTreeMap, HashMap},
    sync::LazyLock,
};

use super::{EvalContext, Expr, FunctionId, aggregate, cast, resolve};
use crate::{
    error::{Result, SqlError, SqlState},
    types::{DataType, Value, parse_type_name},
};

/// One function or operator.
pub struct Function {
    /// The SQL name, or the operator.
    pub name: &'static str,
    /// As written in the source, such as `substr(text, int4) text`.
    pub signature: &'static str,
    pub operator: bool,
    pub args: Vec<DataType>,
    /// The last argument may be repeated (its type in `args` is the element's).
    pub variadic: bool,
    pub returns: DataType,
    /// Returns a set of rows: allowed in FROM and, through a plan node, in the select list.
    pub returns_set: bool,
    /// NULL in, NULL out, without calling the body.
    pub strict: bool,
    pub volatility: Volatility,
    /// Must be evaluated at the gateway: it looks at the session's catalog or sequences.
    pub local: bool,
    pub body: Body,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Volatility {
    /// Depends on its arguments only.
    Immutable,
    /// The same within a statement: depends on settings, time, catalog.
    Stable,
    Volatile,
}

/// The code of a function, by number of arguments, so that the common ones need no vector.
pub enum Body {
    Zero(fn(&Call<'_>) -> Result<Value>),
    One(fn(&Call<'_>, &Value) -> Result<Value>),
    Two(fn(&Call<'_>, &Value, &Value) -> Result<Value>),
    Three(fn(&Call<'_>, &Value, &Value, &Value) -> Result<Value>),
    Many(fn(&Call<'_>, &[Value]) -> Result<Value>),
    /// Set-returning; each element is a row's value (a `Record` where there are several columns).
    Set(fn(&Call<'_>, &[Value]) -> Result<Vec<Value>>),
    /// An aggregate: not a function of one row; see `expr::aggregate`.
    Aggregate(aggregate::Kind),
}

/// What a body may ask besides its arguments.
pub struct Call<'a> {
    /// The function's name, where one body serves several.
    pub name: &'static str,
    pub context: &'a EvalContext,
    /// The concrete result type.
    pub ty: DataType,
    /// The argument expressions, for their types.
    pub args: &'a [Expr],
}

/// All functions and operators.
pub struct Registry {
    functions: Vec<Function>,
    by_name: BTreeMap<&'static str, Vec<FunctionId>>,
    operators: BTreeMap<&'static str, Vec<FunctionId>>,
    stable: Vec<u64>,
    by_stable: HashMap<u64, FunctionId>,
}

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let mut registry = Registry {
        functions: Vec::new(),
        by_name: BTreeMap::new(),
        operators: BTreeMap::new(),
        stable: Vec::new(),
        by_stable: HashMap::new(),
    };
    super::functions::register(&mut registry);
    registry
});

pub fn get(id: FunctionId) -> &'static Function {
    &REGISTRY.functions[id.0 as usize]
}

/// Every function and operator, in order of id (`pg_proc`, `pg_operator`).
pub fn all() -> impl Iterator<Item = (FunctionId, &'static Function)> {
    REGISTRY.functions.iter().enumerate().map(|(index, function)| (FunctionId(index as u32), function))
}

/// The form in which an id travels and is stored.
pub fn stable_id(id: FunctionId) -> u64 {
    REGISTRY.stable[id.0 as usize]
}

pub fn from_stable_id(stable: u64) -> Option<FunctionId> {
    REGISTRY.by_stable.get(&stable).copied()
}

/// The candidates of a name, in order of registration.
pub fn candidates(name: &str, operator: bool) -> &'static [FunctionId] {
    let names = if operator { &REGISTRY.operators } else { &REGISTRY.by_name };
    names.get(name).map_or(&[], Vec::as_slice)
}

/// Whether a function of this name exists (any arguments).
pub fn exists(name: &str) -> bool {
    REGISTRY.by_name.contains_key(name)
}

/// What resolution found.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    pub id: FunctionId,
    /// One for each actual argument: what it must be coerced to.
    pub arg_types: Vec<DataType>,
    /// Concrete: polymorphic types are replaced.
    pub return_type: DataType,
}

/// Finds the function for these argument types by PostgreSQL's rules (UNKNOWN for untyped literals and parameters). `schema`
/// may be `pg_catalog` or none. Errors: 42883 with PostgreSQL's message and hint, 42725 when ambiguous.
pub fn resolve(name: &str, schema: Option<&str>, arg_types: &[DataType]) -> Result<Resolved> {
    let found = match schema {
        None | Some("pg_catalog") => resolve::select(candidates(name, false), arg_types, false),
        Some(_) => resolve::Selection::None,
    };
    match found {
        resolve::Selection::One(resolved) => Ok(resolved),
        other => Err(resolve::function_error(name, schema, arg_types, other)),
    }
}

/// Finds an operator; `left` is `None` for a prefix operator.
pub fn resolve_operator(name: &str, left: Option<DataType>, right: DataType) -> Result<Resolved> {
    let types: Vec<DataType> = left.into_iter().chain([right]).collect();
    match resolve::select(candidates(canonical_operator(name), true), &types, true) {
        resolve::Selection::One(resolved) => Ok(resolved),
        other => Err(resolve::operator_error(name, left, right, other)),
    }
}

/// Builds the call of a function: resolves, coerces the arguments. A type's name with one argument is a cast, as in
/// PostgreSQL.
pub fn call(name: &str, schema: Option<&str>, args: Vec<Expr>) -> Result<Expr> {
    let types: Vec<DataType> = args.iter().map(Expr::ty).collect();
    match resolve(name, schema, &types) {
        Ok(resolved) => build(resolved, args),
        Err(error) => {
            if let ([from], Ok((to, typmod))) = (&types[..], parse_type_name(name))
                && error.state() == SqlState::UNDEFINED_FUNCTION
                && (*from == DataType::UNKNOWN || cast::can_cast(*from, to, cast::CastContext::Explicit))
            {
                let arg = args.into_iter().next().unwrap_or(Expr::null(to));
                return cast::coerce(arg, to, typmod, cast::CastContext::Explicit);
            }
            Err(error)
        }
    }
}

/// Builds the call of an operator; `left` is `None` for a prefix operator.
pub fn operator(name: &str, left: Option<Expr>, right: Expr) -> Result<Expr> {
    let resolved = resolve_operator(name, left.as_ref().map(Expr::ty), right.ty())?;
    build(resolved, left.into_iter().chain([right]).collect())
}

/// `left IS [NOT] DISTINCT FROM right`.
pub fn distinct_from(left: Expr, right: Expr, negated: bool) -> Result<Expr> {
    // The comparison that `=` would make decides the types; the body then compares values of these.
    let resolved = resolve_operator("=", Some(left.ty()), right.ty())?;
    let args = coerce_args(&resolved, vec![left, right])?;
    let name = if negated { "is_not_distinct_from" } else { "is_distinct_from" };
    let function = candidates(name, false).first().copied().ok_or_else(|| SqlError::internal(name))?;
    Ok(Expr::Call { function, args, ty: DataType::BOOL })
}

/// `left [NOT] IN (list)`.
pub fn in_list(left: Expr, list: Vec<Expr>, negated: bool) -> Result<Expr> {
    let mut all = vec![left];
    all.extend(list);
    let types: Vec<DataType> = all.iter().map(Expr::ty).collect();
    // PostgreSQL unifies the list where there is a common type; else each comparison is resolved by itself.
    let expr = match cast::common_type(&types) {
        Ok(common) => {
            let mut all = all
                .into_iter()
                .map(|expr| cast::coerce(expr, common, -1, cast::CastContext::Implicit))
                .collect::<Result<Vec<_>>>()?;
            let left = all.remove(0);
            let resolved = resolve_operator("=", Some(common), common)?;
            let left = cast::coerce(left, resolved.arg_types[0], -1, cast::CastContext::Implicit)?;
            let list = all
                .into_iter()
                .map(|expr| cast::coerce(expr, resolved.arg_types[1], -1, cast::CastContext::Implicit))
                .collect::<Result<Vec<_>>>()?;
            Expr::InList { function: resolved.id, left: Box::new(left), list }
        }
        Err(_) => {
            let left = all.remove(0);
            let parts: Result<Vec<Expr>> =
                all.into_iter().map(|item| operator("=", Some(left.clone()), item)).collect();
            Expr::Or(parts?)
        }
    };
    Ok(if negated { Expr::Not(Box::new(expr)) } else { expr })
}

/// `left OP ANY (array)` or `ALL`. An untyped array takes the left side's type.
pub fn array_compare(name: &str, left: Expr, array: Expr, all: bool) -> Result<Expr> {
    let element = match array.ty() {
        DataType::UNKNOWN => DataType::UNKNOWN,
        other => other.element().ok_or_else(|| {
            SqlError::new(SqlState::WRONG_OBJECT_TYPE, "op ANY/ALL (array) requires array on right side")
        })?,
    };
    let resolved = resolve_operator(name, Some(left.ty()), element)?;
    if resolved.return_type != DataType::BOOL {
        return Err(SqlError::new(
            SqlState::WRONG_OBJECT_TYPE,
            "op ANY/ALL (array) requires operator to yield boolean",
        ));
    }
    let left = cast::coerce(left, resolved.arg_types[0], -1, cast::CastContext::Implicit)?;
    let wanted = resolved.arg_types[1]
        .array()
        .ok_or_else(|| SqlError::unsupported(format!("an array of {}", resolved.arg_types[1])))?;
    let array = cast::coerce(array, wanted, -1, cast::CastContext::Implicit)?;
    Ok(Expr::ArrayCompare { function: resolved.id, left: Box::new(left), array: Box::new(array), all })
}

fn build(resolved: Resolved, args: Vec<Expr>) -> Result<Expr> {
    let args = coerce_args(&resolved, args)?;
    Ok(Expr::Call { function: resolved.id, args, ty: resolved.return_type })
}

fn coerce_args(resolved: &Resolved, args: Vec<Expr>) -> Result<Vec<Expr>> {
    args.into_iter()
        .zip(&resolved.arg_types)
        .map(|(arg, ty)| cast::coerce(arg, *ty, -1, cast::CastContext::Implicit))
        .collect()
}

fn canonical_operator(name: &str) -> &str {
    match name {
        "!=" => "<>",
        other => other,
    }
}

impl Registry {
    /// Adds a function. The signature reads `name(type, …) type`, with `variadic` before the last argument's type where it
    /// may be repeated and `setof` before a set's. Operators are named by their symbol.
    pub fn add(&mut self, signature: &'static str, body: Body) -> &mut Function {
        let (name, rest) = signature.split_once('(').expect("a signature has parentheses");
        let (args, returns) = rest.rsplit_once(") ").expect("a signature has a result type");
        let operator = !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let variadic = args.contains("variadic ");
        let parse = |text: &str| {
            let text = text.trim().trim_start_matches("variadic ").trim();
            parse_type_name(text).unwrap_or_else(|_| panic!("unknown type in signature {signature}")).0
        };
        let args: Vec<DataType> = args.split(',').filter(|arg| !arg.trim().is_empty()).map(parse).collect();
        let returns_set = returns.starts_with("setof ");
        let id = FunctionId(self.functions.len() as u32);
        let stable = fnv(signature);
        assert!(self.by_stable.insert(stable, id).is_none(), "registered twice: {signature}");
        self.stable.push(stable);
        let names = if operator { &mut self.operators } else { &mut self.by_name };
        names.entry(name).or_default().push(id);
        self.functions.push(Function {
            name,
            signature,
            operator,
            args,
            variadic,
            returns: parse(returns.trim_start_matches("setof ")),
            returns_set,
            strict: true,
            volatility: Volatility::Immutable,
            local: false,
            body,
        });
        self.functions.last_mut().expect("just pushed")
    }
}

impl Function {
    pub fn stable(&mut self) -> &mut Function {
        self.volatility = Volatility::Stable;
        self
    }

    pub fn volatile(&mut self) -> &mut Function {
        self.volatility = Volatility::Volatile;
        self
    }

    /// The body sees NULLs.
    pub fn null_aware(&mut self) -> &mut Function {
        self.strict = false;
        self
    }

    pub fn local(&mut self) -> &mut Function {
        self.local = true;
        self
    }
}

/// FNV-1a: stable for ever, unlike the standard library's hashers.
fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

impl Call<'_> {
    pub fn arg_type(&self, index: usize) -> DataType {
        self.args.get(index).map_or(DataType::UNKNOWN, Expr::ty)
    }
}

/// Adds functions to a registry: `define!(registry, "sqrt(float8) float8", |_, x: f64| …)`. The first parameter is the
/// [`Call`]; the others are read from the arguments (`types::convert::FromValue`), the result is any
/// `types::convert::IntoResult`. Yields `&mut Function` for `.stable()` and the like.
macro_rules! define {
    ($registry:expr, $signature:expr, |$call:pat_param| $body:expr) => {
        $registry.add(
            $signature,
            $crate::expr::function::Body::Zero(|$call| {
                #[allow(unused_braces)]
                let result = $body;
                $crate::types::convert::IntoResult::into_result(result)
            }),
        )
    };
    ($registry:expr, $signature:expr, |$call:pat_param, $a:ident: $ta:ty| $body:expr) => {
        $registry.add(
            $signature,
            $crate::expr::function::Body::One(|$call, a| {
                let $a = <$ta as $crate::types::convert::FromValue>::from_value(a)?;
                #[allow(unused_braces)]
                let result = $body;
                $crate::types::convert::IntoResult::into_result(result)
            }),
        )
    };
    ($registry:expr, $signature:expr, |$call:pat_param, $a:ident: $ta:ty, $b:ident: $tb:ty| $body:expr) => {
        $registry.add(
            $signature,
            $crate::expr::function::Body::Two(|$call, a, b| {
                let $a = <$ta as $crate::types::convert::FromValue>::from_value(a)?;
                let $b = <$tb as $crate::types::convert::FromValue>::from_value(b)?;
                #[allow(unused_braces)]
                let result = $body;
                $crate::types::convert::IntoResult::into_result(result)
            }),
        )
    };
    ($registry:expr, $signature:expr, |$call:pat_param, $a:ident: $ta:ty, $b:ident: $tb:ty, $c:ident: $tc:ty| $body:expr) => {
        $registry.add(
            $signature,
            $crate::expr::function::Body::Three(|$call, a, b, c| {
                let $a = <$ta as $crate::types::convert::FromValue>::from_value(a)?;
                let $b = <$tb as $crate::types::convert::FromValue>::from_value(b)?;
                let $c = <$tc as $crate::types::convert::FromValue>::from_value(c)?;
                #[allow(unused_braces)]
                let result = $body;
                $crate::types::convert::IntoResult::into_result(result)
            }),
        )
    };
}
pub(crate) use define;
