//! Arithmetic operators on numbers: 22003 on overflow, 22012 on division by zero, with PostgreSQL's messages.

use crate::{
    error::{Result, SqlError, SqlState},
    expr::function::{Registry, define},
    types::{Numeric, numeric::division_by_zero},
};

pub(super) fn register(registry: &mut Registry) {
    integers(registry);
    floats(registry);
    numerics(registry);
}

pub(super) fn out_of_range(ty: &str) -> SqlError {
    SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("{ty} out of range"))
}

/// The operators of two integer types whose result has the wider one.
macro_rules! integer_pair {
    ($registry:expr, $left:ty, $right:ty, $wide:ty, $a:literal, $b:literal, $c:literal, $name:literal) => {
        define!($registry, concat!("+(", $a, ", ", $b, ") ", $c), |_, a: $left, b: $right| {
            <$wide>::from(a).checked_add(<$wide>::from(b)).ok_or_else(|| out_of_range($name))
        });
        define!($registry, concat!("-(", $a, ", ", $b, ") ", $c), |_, a: $left, b: $right| {
            <$wide>::from(a).checked_sub(<$wide>::from(b)).ok_or_else(|| out_of_range($name))
        });
        define!($registry, concat!("*(", $a, ", ", $b, ") ", $c), |_, a: $left, b: $right| {
            <$wide>::from(a).checked_mul(<$wide>::from(b)).ok_or_else(|| out_of_range($name))
        });
        define!($registry, concat!("/(", $a, ", ", $b, ") ", $c), |_, a: $left, b: $right| {
            if b == 0 {
                return Err(division_by_zero());
            }
            <$wide>::from(a).checked_div(<$wide>::from(b)).ok_or_else(|| out_of_range($name))
        });
    };
}

/// The operators of one integer type.
macro_rules! integer {
    ($registry:expr, $ty:ty, $a:literal, $name:literal) => {
        integer_pair!($registry, $ty, $ty, $ty, $a, $a, $a, $name);
        for name in ["%", "mod"] {
            define!($registry, super::leak(format!("{name}({0}, {0}) {0}", $a)), |_, a: $ty, b: $ty| {
                if b == 0 {
                    return Err(division_by_zero());
                }
                // The one overflow, MIN % -1, is 0.
                Ok(a.checked_rem(b).unwrap_or(0))
            });
        }
        define!($registry, concat!("-(", $a, ") ", $a), |_, a: $ty| a.checked_neg().ok_or_else(|| out_of_range($name)));
        define!($registry, concat!("+(", $a, ") ", $a), |_, a: $ty| a);
        for name in ["abs", "@"] {
            define!($registry, super::leak(format!("{name}({0}) {0}", $a)), |_, a: $ty| {
                a.checked_abs().ok_or_else(|| out_of_range($name))
            });
        }
        define!($registry, concat!("&(", $a, ", ", $a, ") ", $a), |_, a: $ty, b: $ty| a & b);
        define!($registry, concat!("|(", $a, ", ", $a, ") ", $a), |_, a: $ty, b: $ty| a | b);
        define!($registry, concat!("#(", $a, ", ", $a, ") ", $a), |_, a: $ty, b: $ty| a ^ b);
        define!($registry, concat!("~(", $a, ") ", $a), |_, a: $ty| !a);
        define!($registry, concat!("<<(", $a, ", int4) ", $a), |_, a: $ty, b: i32| a.wrapping_shl(b as u32));
        define!($registry, concat!(">>(", $a, ", int4) ", $a), |_, a: $ty, b: i32| a.wrapping_shr(b as u32));
    };
}

fn integers(registry: &mut Registry) {
    integer!(registry, i32, "int4", "integer");
    integer!(registry, i64, "int8", "bigint");
    integer!(registry, i16, "int2", "smallint");
    integer_pair!(registry, i32, i64, i64, "int4", "int8", "int8", "bigint");
    integer_pair!(registry, i64, i32, i64, "int8", "int4", "int8", "bigint");
    integer_pair!(registry, i16, i32, i32, "int2", "int4", "int4", "integer");
    integer_pair!(registry, i32, i16, i32, "int4", "int2", "int4", "integer");
    integer_pair!(registry, i16, i64, i64, "int2", "int8", "int8", "bigint");
    integer_pair!(registry, i64, i16, i64, "int8", "int2", "int8", "bigint");
    for (ty, wide) in [("int4", false), ("int8", true)] {
        let signature = |name: &str| super::leak(format!("{name}({ty}, {ty}) {ty}"));
        if wide {
            define!(registry, signature("gcd"), |_, a: i64, b: i64| gcd(a.into(), b.into()).and_then(to_i64));
            define!(registry, signature("lcm"), |_, a: i64, b: i64| lcm(a.into(), b.into()).and_then(to_i64));
        } else {
            define!(registry, signature("gcd"), |_, a: i32, b: i32| gcd(a.into(), b.into()).and_then(to_i32));
            define!(registry, signature("lcm"), |_, a: i32, b: i32| lcm(a.into(), b.into()).and_then(to_i32));
        }
    }
}

fn gcd(a: i128, b: i128) -> Result<i128> {
    let (mut a, mut b) = (a.abs(), b.abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    Ok(a)
}

fn lcm(a: i128, b: i128) -> Result<i128> {
    if a == 0 || b == 0 { Ok(0) } else { Ok((a / gcd(a, b)? * b).abs()) }
}

fn to_i64(value: i128) -> Result<i64> {
    i64::try_from(value).map_err(|_| out_of_range("bigint"))
}

fn to_i32(value: i128) -> Result<i32> {
    i32::try_from(value).map_err(|_| out_of_range("integer"))
}

pub(super) fn overflow() -> SqlError {
    SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: overflow")
}

pub(super) fn underflow() -> SqlError {
    SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: underflow")
}

/// PostgreSQL checks float results: infinity from finite operands is an overflow.
pub(super) fn checked(result: f64, finite_operands: bool) -> Result<f64> {
    if result.is_infinite() && finite_operands { Err(overflow()) } else { Ok(result) }
}

/// As [`checked`]; and a zero that no operand explains is an underflow.
fn checked_product(result: f64, finite_operands: bool, zero_expected: bool) -> Result<f64> {
    if result == 0.0 && !zero_expected { Err(underflow()) } else { checked(result, finite_operands) }
}

fn single(result: f64, finite_operands: bool, zero_expected: bool) -> Result<f32> {
    let narrow = result as f32;
    checked_product(f64::from(narrow), finite_operands, zero_expected).map(|_| narrow)
}

/// The operators of two float types.
macro_rules! float_pair {
    ($registry:expr, $left:ty, $right:ty, $a:literal, $b:literal) => {
        define!($registry, concat!("+(", $a, ", ", $b, ") float8"), |_, a: $left, b: $right| {
            let (a, b) = (f64::from(a), f64::from(b));
            checked(a + b, a.is_finite() && b.is_finite())
        });
        define!($registry, concat!("-(", $a, ", ", $b, ") float8"), |_, a: $left, b: $right| {
            let (a, b) = (f64::from(a), f64::from(b));
            checked(a - b, a.is_finite() && b.is_finite())
        });
        define!($registry, concat!("*(", $a, ", ", $b, ") float8"), |_, a: $left, b: $right| {
            let (a, b) = (f64::from(a), f64::from(b));
            checked_product(a * b, a.is_finite() && b.is_finite(), a == 0.0 || b == 0.0)
        });
        define!($registry, concat!("/(", $a, ", ", $b, ") float8"), |_, a: $left, b: $right| {
            let (a, b) = (f64::from(a), f64::from(b));
            if b == 0.0 && !a.is_nan() {
                return Err(division_by_zero());
            }
            checked_product(a / b, a.is_finite() && b.is_finite(), a == 0.0 || b.is_infinite())
        });
    };
}

fn floats(registry: &mut Registry) {
    float_pair!(registry, f64, f64, "float8", "float8");
    float_pair!(registry, f32, f64, "float4", "float8");
    float_pair!(registry, f64, f32, "float8", "float4");
    define!(registry, "+(float4, float4) float4", |_, a: f32, b: f32| {
        single(f64::from(a + b), a.is_finite() && b.is_finite(), true)
    });
    define!(registry, "-(float4, float4) float4", |_, a: f32, b: f32| {
        single(f64::from(a - b), a.is_finite() && b.is_finite(), true)
    });
    define!(registry, "*(float4, float4) float4", |_, a: f32, b: f32| {
        single(f64::from(a * b), a.is_finite() && b.is_finite(), a == 0.0 || b == 0.0)
    });
    define!(registry, "/(float4, float4) float4", |_, a: f32, b: f32| {
        if b == 0.0 && !a.is_nan() {
            return Err(division_by_zero());
        }
        single(f64::from(a / b), a.is_finite() && b.is_finite(), a == 0.0 || b.is_infinite())
    });
    define!(registry, "-(float8) float8", |_, a: f64| -a);
    define!(registry, "-(float4) float4", |_, a: f32| -a);
    define!(registry, "+(float8) float8", |_, a: f64| a);
    define!(registry, "+(float4) float4", |_, a: f32| a);
    define!(registry, "abs(float8) float8", |_, a: f64| a.abs());
    define!(registry, "abs(float4) float4", |_, a: f32| a.abs());
    define!(registry, "@(float8) float8", |_, a: f64| a.abs());
}

fn numerics(registry: &mut Registry) {
    define!(registry, "+(numeric, numeric) numeric", |_, a: &Numeric, b: &Numeric| a.add(b));
    define!(registry, "-(numeric, numeric) numeric", |_, a: &Numeric, b: &Numeric| a.sub(b));
    define!(registry, "*(numeric, numeric) numeric", |_, a: &Numeric, b: &Numeric| a.mul(b));
    define!(registry, "/(numeric, numeric) numeric", |_, a: &Numeric, b: &Numeric| a.div(b));
    define!(registry, "%(numeric, numeric) numeric", |_, a: &Numeric, b: &Numeric| a.rem(b));
    define!(registry, "mod(numeric, numeric) numeric", |_, a: &Numeric, b: &Numeric| a.rem(b));
    define!(registry, "-(numeric) numeric", |_, a: &Numeric| a.neg());
    define!(registry, "+(numeric) numeric", |_, a: &Numeric| a.clone());
    define!(registry, "abs(numeric) numeric", |_, a: &Numeric| a.abs());
    define!(registry, "@(numeric) numeric", |_, a: &Numeric| a.abs());
}
