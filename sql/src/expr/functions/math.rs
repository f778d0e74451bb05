//! Mathematical functions.

use crate::{
    error::{Result, SqlError, SqlState},
    expr::function::{Body, Registry, define},
    types::{Numeric, Value, numeric_math},
};

use super::arithmetic::{checked, overflow, underflow};

pub(super) fn register(registry: &mut Registry) {
    rounding(registry);
    powers(registry);
    trigonometry(registry);
    numbers(registry);
    series(registry);
}

fn rounding(registry: &mut Registry) {
    define!(registry, "floor(float8) float8", |_, x: f64| x.floor());
    for name in ["ceil", "ceiling"] {
        define!(registry, super::leak(format!("{name}(float8) float8")), |_, x: f64| x.ceil());
        define!(registry, super::leak(format!("{name}(numeric) numeric")), |_, x: &Numeric| x.ceil());
    }
    define!(registry, "floor(numeric) numeric", |_, x: &Numeric| x.floor());
    define!(registry, "round(float8) float8", |_, x: f64| x.round_ties_even());
    define!(registry, "trunc(float8) float8", |_, x: f64| x.trunc());
    define!(registry, "round(numeric) numeric", |_, x: &Numeric| x.round(0));
    define!(registry, "trunc(numeric) numeric", |_, x: &Numeric| x.trunc(0));
    define!(registry, "round(numeric, int4) numeric", |_, x: &Numeric, scale: i32| x
        .round(scale.clamp(-2000, 2000).into()));
    define!(registry, "trunc(numeric, int4) numeric", |_, x: &Numeric, scale: i32| x
        .trunc(scale.clamp(-2000, 2000).into()));
    define!(registry, "scale(numeric) int4", |_, x: &Numeric| (!x.is_special()).then(|| x.scale() as i32));
    define!(registry, "min_scale(numeric) int4", |_, x: &Numeric| (!x.is_special()).then(|| x.min_scale() as i32));
    define!(registry, "trim_scale(numeric) numeric", |_, x: &Numeric| x.trim_scale());
    define!(registry, "sign(float8) float8", |_, x: f64| {
        if x > 0.0 {
            1.0
        } else if x < 0.0 {
            -1.0
        } else {
            x
        }
    });
    define!(registry, "sign(numeric) numeric", |_, x: &Numeric| {
        x.signum().map_or(Numeric::NaN, |sign| Numeric::from(i64::from(sign)))
    });
}

fn domain(state: &'static str, message: &str) -> SqlError {
    SqlError::new(SqlState(state), message)
}

const POWER: &str = "2201F";
const LOG: &str = "2201E";

fn powers(registry: &mut Registry) {
    for name in ["sqrt", "|/"] {
        define!(registry, super::leak(format!("{name}(float8) float8")), |_, x: f64| {
            if x < 0.0 { Err(domain(POWER, "cannot take square root of a negative number")) } else { Ok(x.sqrt()) }
        });
    }
    define!(registry, "sqrt(numeric) numeric", |_, x: &Numeric| x.sqrt());
    for name in ["cbrt", "||/"] {
        define!(registry, super::leak(format!("{name}(float8) float8")), |_, x: f64| x.cbrt());
    }
    for name in ["power", "pow", "^"] {
        define!(registry, super::leak(format!("{name}(float8, float8) float8")), |_, x: f64, y: f64| power(x, y));
        define!(registry, super::leak(format!("{name}(numeric, numeric) numeric")), |_, x: &Numeric, y: &Numeric| {
            x.power(y)
        });
    }
    define!(registry, "exp(float8) float8", |_, x: f64| {
        let result = x.exp();
        if result == 0.0 && x.is_finite() { Err(underflow()) } else { checked(result, x.is_finite()) }
    });
    define!(registry, "exp(numeric) numeric", |_, x: &Numeric| x.exp());
    define!(registry, "ln(float8) float8", |_, x: f64| logarithm(x).map(f64::ln));
    define!(registry, "ln(numeric) numeric", |_, x: &Numeric| x.ln());
    for name in ["log", "log10"] {
        define!(registry, super::leak(format!("{name}(float8) float8")), |_, x: f64| logarithm(x).map(f64::log10));
        define!(registry, super::leak(format!("{name}(numeric) numeric")), |_, x: &Numeric| {
            x.log(&Numeric::from(10i64))
        });
    }
    define!(registry, "log(numeric, numeric) numeric", |_, base: &Numeric, x: &Numeric| x.log(base));
}

fn power(x: f64, y: f64) -> Result<f64> {
    if x == 0.0 && y < 0.0 {
        return Err(domain(POWER, "zero raised to a negative power is undefined"));
    }
    if x < 0.0 && x.is_finite() && y.is_finite() && y.fract() != 0.0 {
        return Err(domain(POWER, "a negative number raised to a non-integer power yields a complex result"));
    }
    let result = x.powf(y);
    if result.is_infinite() && x.is_finite() && y.is_finite() {
        return Err(overflow());
    }
    if result == 0.0 && x != 0.0 && x.is_finite() && y.is_finite() {
        return Err(underflow());
    }
    Ok(result)
}

fn logarithm(x: f64) -> Result<f64> {
    if x == 0.0 {
        return Err(domain(LOG, "cannot take logarithm of zero"));
    }
    if x < 0.0 {
        return Err(domain(LOG, "cannot take logarithm of a negative number"));
    }
    Ok(x)
}

fn in_domain(x: f64, inside: bool, result: f64) -> Result<f64> {
    if inside || x.is_nan() { Ok(result) } else { Err(input_out_of_range()) }
}

fn input_out_of_range() -> SqlError {
    SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "input is out of range")
}

fn trigonometry(registry: &mut Registry) {
    define!(registry, "pi() float8", |_| std::f64::consts::PI);
    define!(registry, "sin(float8) float8", |_, x: f64| in_domain(x, x.is_finite(), x.sin()));
    define!(registry, "cos(float8) float8", |_, x: f64| in_domain(x, x.is_finite(), x.cos()));
    define!(registry, "tan(float8) float8", |_, x: f64| in_domain(x, x.is_finite(), x.tan()));
    define!(registry, "cot(float8) float8", |_, x: f64| in_domain(x, x.is_finite(), 1.0 / x.tan()));
    define!(registry, "asin(float8) float8", |_, x: f64| in_domain(x, x.abs() <= 1.0, x.asin()));
    define!(registry, "acos(float8) float8", |_, x: f64| in_domain(x, x.abs() <= 1.0, x.acos()));
    define!(registry, "atan(float8) float8", |_, x: f64| x.atan());
    define!(registry, "atan2(float8, float8) float8", |_, y: f64, x: f64| y.atan2(x));
    define!(registry, "sinh(float8) float8", |_, x: f64| x.sinh());
    define!(registry, "cosh(float8) float8", |_, x: f64| x.cosh());
    define!(registry, "tanh(float8) float8", |_, x: f64| x.tanh());
    define!(registry, "asinh(float8) float8", |_, x: f64| x.asinh());
    define!(registry, "acosh(float8) float8", |_, x: f64| in_domain(x, x >= 1.0, x.acosh()));
    define!(registry, "atanh(float8) float8", |_, x: f64| in_domain(x, x.abs() <= 1.0, x.atanh()));
    define!(registry, "degrees(float8) float8", |_, x: f64| checked(x / (std::f64::consts::PI / 180.0), x.is_finite()));
    define!(registry, "radians(float8) float8", |_, x: f64| x * (std::f64::consts::PI / 180.0));
    define!(registry, "sind(float8) float8", |_, x: f64| in_domain(x, x.is_finite(), sine_of_degrees(x)));
    define!(registry, "cosd(float8) float8", |_, x: f64| in_domain(
        x,
        x.is_finite(),
        sine_of_degrees(90.0 - x % 360.0)
    ));
}

/// Exact at the multiples of 30 where the result is.
fn sine_of_degrees(x: f64) -> f64 {
    let reduced = x % 360.0;
    match reduced {
        0.0 | 180.0 | -180.0 => 0.0,
        30.0 | 150.0 | -210.0 | -330.0 => 0.5,
        90.0 | -270.0 => 1.0,
        270.0 | -90.0 => -1.0,
        210.0 | 330.0 | -30.0 | -150.0 => -0.5,
        other => other.to_radians().sin(),
    }
}

fn numbers(registry: &mut Registry) {
    define!(registry, "div(numeric, numeric) numeric", |_, a: &Numeric, b: &Numeric| a.div_trunc(b));
    define!(registry, "gcd(numeric, numeric) numeric", |_, a: &Numeric, b: &Numeric| numeric_math::gcd(a, b));
    define!(registry, "lcm(numeric, numeric) numeric", |_, a: &Numeric, b: &Numeric| numeric_math::lcm(a, b));
    define!(registry, "factorial(int8) numeric", |_, n: i64| numeric_math::factorial(n));
    define!(registry, "random() float8", |call| {
        // 53 random bits, as PostgreSQL draws them.
        call.context.runtime().map(|runtime| (runtime.random_u64() >> 11) as f64 / (1u64 << 53) as f64)
    })
    .volatile();
    registry.add(
        "width_bucket(float8, float8, float8, int4) int4",
        Body::Many(|_, args| match args {
            [Value::Float8(x), Value::Float8(low), Value::Float8(high), Value::Int4(count)] => {
                width_bucket(*x, *low, *high, *count).map(Value::Int4)
            }
            _ => Ok(Value::Null),
        }),
    );
    registry.add(
        "width_bucket(numeric, numeric, numeric, int4) int4",
        Body::Many(|_, args| match args {
            [Value::Numeric(x), Value::Numeric(low), Value::Numeric(high), Value::Int4(count)] => {
                numeric_bucket(x, low, high, *count).map(Value::Int4)
            }
            _ => Ok(Value::Null),
        }),
    );
}

fn bucket_error(message: &str) -> SqlError {
    SqlError::new(SqlState("2201G"), message)
}

fn check_buckets(equal_bounds: bool, count: i32) -> Result<()> {
    if count <= 0 {
        return Err(bucket_error("count must be greater than zero"));
    }
    if equal_bounds {
        return Err(bucket_error("lower bound cannot equal upper bound"));
    }
    Ok(())
}

fn width_bucket(x: f64, low: f64, high: f64, count: i32) -> Result<i32> {
    if x.is_nan() || low.is_nan() || high.is_nan() {
        return Err(bucket_error("operand, lower bound, and upper bound cannot be NaN"));
    }
    if low.is_infinite() || high.is_infinite() {
        return Err(bucket_error("lower and upper bounds must be finite"));
    }
    check_buckets(low == high, count)?;
    let (x, low, high) = if low < high { (x, low, high) } else { (-x, -low, -high) };
    if x < low {
        return Ok(0);
    }
    if x >= high {
        return count.checked_add(1).ok_or_else(|| super::arithmetic::out_of_range("integer"));
    }
    Ok(((f64::from(count) * ((x - low) / (high - low))) as i32).saturating_add(1))
}

fn numeric_bucket(x: &Numeric, low: &Numeric, high: &Numeric, count: i32) -> Result<i32> {
    if x.is_nan() || low.is_nan() || high.is_nan() {
        return Err(bucket_error("operand, lower bound, and upper bound cannot be NaN"));
    }
    if low.is_special() || high.is_special() {
        return Err(bucket_error("lower and upper bounds must be finite"));
    }
    check_buckets(low == high, count)?;
    let (x, low, high) =
        if low < high { (x.clone(), low.clone(), high.clone()) } else { (x.neg(), low.neg(), high.neg()) };
    if x < low {
        return Ok(0);
    }
    if x >= high {
        return count.checked_add(1).ok_or_else(|| super::arithmetic::out_of_range("integer"));
    }
    let place = x.sub(&low)?.mul(&Numeric::from(i64::from(count)))?.div_trunc(&high.sub(&low)?)?;
    Ok(place.to_i64().unwrap_or(0) as i32 + 1)
}

/// `generate_series`: the last row is the last value that does not pass the end.
fn series(registry: &mut Registry) {
    registry
        .add("generate_series(int4, int4) setof int4", Body::Set(|_, args| integers(args, |n| Value::Int4(n as i32))));
    registry.add(
        "generate_series(int4, int4, int4) setof int4",
        Body::Set(|_, args| integers(args, |n| Value::Int4(n as i32))),
    );
    registry.add("generate_series(int8, int8) setof int8", Body::Set(|_, args| integers(args, Value::Int8)));
    registry.add("generate_series(int8, int8, int8) setof int8", Body::Set(|_, args| integers(args, Value::Int8)));
    registry.add("generate_series(numeric, numeric) setof numeric", Body::Set(|_, args| numerics(args)));
    registry.add("generate_series(numeric, numeric, numeric) setof numeric", Body::Set(|_, args| numerics(args)));
}

pub(super) const STEP_ZERO: &str = "step size cannot equal zero";
/// A series is made in memory.
pub(super) const SERIES_MAX: usize = 20_000_000;

pub(super) fn series_too_long() -> SqlError {
    SqlError::new(SqlState::OUT_OF_MEMORY, "out of memory").detail("The series has too many rows.")
}

fn integers(args: &[Value], make: fn(i64) -> Value) -> Result<Vec<Value>> {
    let number = |index: usize| args.get(index).and_then(Value::as_integer);
    let (Some(mut at), Some(end)) = (number(0), number(1)) else { return Ok(Vec::new()) };
    let step = number(2).unwrap_or(1);
    if step == 0 {
        return Err(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, STEP_ZERO));
    }
    let mut rows = Vec::new();
    while if step > 0 { at <= end } else { at >= end } {
        if rows.len() == SERIES_MAX {
            return Err(series_too_long());
        }
        rows.push(make(at));
        match at.checked_add(step) {
            Some(next) => at = next,
            None => break,
        }
    }
    Ok(rows)
}

fn numerics(args: &[Value]) -> Result<Vec<Value>> {
    let (Some(Value::Numeric(start)), Some(Value::Numeric(end))) = (args.first(), args.get(1)) else {
        return Ok(Vec::new());
    };
    let step = match args.get(2) {
        Some(Value::Numeric(step)) => step.clone(),
        _ => Numeric::from(1i64),
    };
    if start.is_special() || end.is_special() || step.is_special() {
        let message = "start value, stop value and step size cannot be NaN or infinity";
        return Err(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message));
    }
    if step.is_zero() {
        return Err(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, STEP_ZERO));
    }
    let mut rows = Vec::new();
    let mut at = start.clone();
    while if step.is_negative() { at >= *end } else { at <= *end } {
        if rows.len() == SERIES_MAX {
            return Err(series_too_long());
        }
        rows.push(Value::Numeric(at.clone()));
        at = at.add(&step)?;
    }
    Ok(rows)
}
