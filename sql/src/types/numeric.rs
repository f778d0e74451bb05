//! NUMERIC: arbitrary precision, with NaN and the infinities, display scale kept as PostgreSQL does.

use std::{
    borrow::Cow,
    cmp::Ordering,
    hash::{Hash, Hasher},
};

use bigdecimal::{
    BigDecimal,
    num_bigint::{BigInt, Sign},
    num_traits::{Signed, ToPrimitive, Zero},
};

use super::{Value, float};
use crate::error::{Result, SqlError, SqlState};

#[derive(Clone, Debug)]
pub enum Numeric {
    /// The scale of the decimal is the display scale, never negative.
    Finite(Box<BigDecimal>),
    NaN,
    Infinity,
    NegativeInfinity,
}

/// PostgreSQL's limits: digits before and after the point.
const WHOLE_DIGITS_MAX: u64 = 131_072;
const SCALE_MAX: i64 = 16_383;
/// A quotient has at least so many significant digits, and at most so many after the point.
pub(super) const SIGNIFICANT_DIGITS_MIN: i64 = 16;
pub(super) const DISPLAY_SCALE_MAX: i64 = 1000;

impl Numeric {
    pub fn new(digits: BigInt, scale: i64) -> Numeric {
        debug_assert!(scale >= 0);
        Numeric::Finite(Box::new(BigDecimal::new(digits, scale)))
    }

    pub fn zero() -> Numeric {
        Numeric::new(BigInt::zero(), 0)
    }

    /// Digits and display scale of a finite value.
    pub fn parts(&self) -> Option<(Cow<'_, BigInt>, i64)> {
        match self {
            Numeric::Finite(decimal) => Some(decimal.as_bigint_and_scale()),
            _ => None,
        }
    }

    pub fn is_special(&self) -> bool {
        !matches!(self, Numeric::Finite(_))
    }

    pub fn is_nan(&self) -> bool {
        matches!(self, Numeric::NaN)
    }

    pub fn is_zero(&self) -> bool {
        self.parts().is_some_and(|(digits, _)| digits.is_zero())
    }

    pub fn is_negative(&self) -> bool {
        match self {
            Numeric::Finite(decimal) => decimal.sign() == Sign::Minus,
            other => matches!(other, Numeric::NegativeInfinity),
        }
    }

    /// Digits after the point that are shown.
    pub fn scale(&self) -> i64 {
        self.parts().map_or(0, |(_, scale)| scale)
    }

    /// -1, 0 or 1; NaN has none.
    pub fn signum(&self) -> Option<i32> {
        match self {
            Numeric::NaN => None,
            Numeric::Infinity => Some(1),
            Numeric::NegativeInfinity => Some(-1),
            Numeric::Finite(_) => Some(if self.is_zero() {
                0
            } else if self.is_negative() {
                -1
            } else {
                1
            }),
        }
    }

    /// Any SQL number.
    pub fn from_number(value: &Value) -> Result<Numeric> {
        match value {
            Value::Numeric(numeric) => Ok(numeric.clone()),
            other => other
                .as_integer()
                .map(Numeric::from)
                .ok_or_else(|| SqlError::internal("an aggregate met a value that is no number")),
        }
    }

    /// As PostgreSQL's cast from double precision: 15 significant digits.
    pub fn from_f64(value: f64) -> Result<Numeric> {
        Numeric::from_rounded(value, 15)
    }

    /// As PostgreSQL's cast from real: 6 significant digits.
    pub fn from_f32(value: f32) -> Result<Numeric> {
        Numeric::from_rounded(f64::from(value), 6)
    }

    fn from_rounded(value: f64, digits: usize) -> Result<Numeric> {
        let mut text = String::new();
        float::rounded(value, digits, &mut text);
        Numeric::parse(&text)
    }

    pub fn to_f64(&self) -> f64 {
        match self {
            Numeric::NaN => f64::NAN,
            Numeric::Infinity => f64::INFINITY,
            Numeric::NegativeInfinity => f64::NEG_INFINITY,
            // Through text: the one conversion that rounds correctly at any length.
            Numeric::Finite(_) => self.to_string().parse().unwrap_or(f64::NAN),
        }
    }

    /// Rounded to an integer, half away from zero; `None` when it is special or does not fit.
    pub fn to_i64(&self) -> Option<i64> {
        let rounded = self.round(0);
        rounded.parts().and_then(|(digits, _)| digits.to_i64())
    }

    pub fn parse(text: &str) -> Result<Numeric> {
        let invalid = || {
            SqlError::new(
                SqlState::INVALID_TEXT_REPRESENTATION,
                format!("invalid input syntax for type numeric: \"{text}\""),
            )
        };
        let trimmed = text.trim_matches(|c: char| c.is_ascii_whitespace());
        let (negative, unsigned) = match trimmed.as_bytes().first().ok_or_else(invalid)? {
            b'-' => (true, &trimmed[1..]),
            b'+' => (false, &trimmed[1..]),
            _ => (false, trimmed),
        };
        if unsigned.eq_ignore_ascii_case("nan") && unsigned.len() == trimmed.len() {
            return Ok(Numeric::NaN);
        }
        if unsigned.eq_ignore_ascii_case("infinity") || unsigned.eq_ignore_ascii_case("inf") {
            return Ok(if negative { Numeric::NegativeInfinity } else { Numeric::Infinity });
        }
        let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
            Some(at) => (&unsigned[..at], unsigned[at + 1..].parse::<i64>().map_err(|_| invalid())?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits_only = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !digits_only(whole) || !digits_only(fraction) {
            return Err(invalid());
        }
        let scale = fraction.len() as i64 - exponent.clamp(-1_000_000, 1_000_000);
        if whole.len() as i64 - scale + fraction.len() as i64 > WHOLE_DIGITS_MAX as i64 || scale > SCALE_MAX {
            return Err(overflow());
        }
        let digits = format!("{whole}{fraction}");
        let mut digits: BigInt = digits.parse().map_err(|_| invalid())?;
        if negative {
            digits = -digits;
        }
        Ok(if scale < 0 { Numeric::new(digits * power_of_ten(-scale), 0) } else { Numeric::new(digits, scale) })
    }

    pub fn add(&self, other: &Numeric) -> Result<Numeric> {
        match (self, other) {
            (Numeric::Finite(_), Numeric::Finite(_)) => {
                let (a, b, scale) = aligned(self, other);
                checked(a.as_ref() + b.as_ref(), scale)
            }
            (Numeric::NaN, _) | (_, Numeric::NaN) => Ok(Numeric::NaN),
            (Numeric::Infinity, Numeric::NegativeInfinity) | (Numeric::NegativeInfinity, Numeric::Infinity) => {
                Ok(Numeric::NaN)
            }
            (Numeric::Finite(_), special) | (special, _) => Ok(special.clone()),
        }
    }

    pub fn sub(&self, other: &Numeric) -> Result<Numeric> {
        self.add(&other.neg())
    }

    pub fn neg(&self) -> Numeric {
        match self {
            Numeric::Finite(decimal) => Numeric::Finite(Box::new(-decimal.as_ref().clone())),
            Numeric::NaN => Numeric::NaN,
            Numeric::Infinity => Numeric::NegativeInfinity,
            Numeric::NegativeInfinity => Numeric::Infinity,
        }
    }

    pub fn abs(&self) -> Numeric {
        if self.is_negative() { self.neg() } else { self.clone() }
    }

    pub fn mul(&self, other: &Numeric) -> Result<Numeric> {
        match (self.parts(), other.parts()) {
            (Some((a, s)), Some((b, t))) => {
                let product = checked(a.as_ref() * b.as_ref(), s + t)?;
                Ok(if s + t > SCALE_MAX { product.round(SCALE_MAX) } else { product })
            }
            _ => Ok(match (self.signum(), other.signum()) {
                (Some(a), Some(b)) if a * b > 0 => Numeric::Infinity,
                (Some(a), Some(b)) if a * b < 0 => Numeric::NegativeInfinity,
                _ => Numeric::NaN,
            }),
        }
    }

    /// The quotient, at the scale that PostgreSQL chooses. 22012 for zero.
    pub fn div(&self, other: &Numeric) -> Result<Numeric> {
        match (self.parts(), other.parts()) {
            (Some((a, s)), Some((b, t))) => {
                if b.is_zero() {
                    return Err(division_by_zero());
                }
                let scale = quotient_scale((&a, s), (&b, t));
                checked(divide_rounded(&a, s, &b, t, scale), scale)
            }
            (None, None) => Ok(Numeric::NaN),
            _ if self.is_nan() || other.is_nan() => Ok(Numeric::NaN),
            (Some(_), None) => Ok(Numeric::zero()),
            (None, Some(_)) => match other.signum() {
                Some(0) => Err(division_by_zero()),
                Some(1) => Ok(self.clone()),
                _ => Ok(self.neg()),
            },
        }
    }

    /// The quotient's whole part.
    pub fn div_trunc(&self, other: &Numeric) -> Result<Numeric> {
        match (self.parts(), other.parts()) {
            (Some((a, s)), Some((b, t))) => {
                if b.is_zero() {
                    return Err(division_by_zero());
                }
                Ok(Numeric::new((a.as_ref() * power_of_ten(t)) / (b.as_ref() * power_of_ten(s)), 0))
            }
            _ => self.div(other),
        }
    }

    /// The remainder, with the sign of the dividend. 22012 for zero.
    pub fn rem(&self, other: &Numeric) -> Result<Numeric> {
        match (self, other) {
            (Numeric::Finite(_), Numeric::Finite(_)) => {
                if other.is_zero() {
                    return Err(division_by_zero());
                }
                let (a, b, scale) = aligned(self, other);
                Ok(Numeric::new(a.as_ref() % b.as_ref(), scale))
            }
            (Numeric::Finite(_), Numeric::Infinity | Numeric::NegativeInfinity) => Ok(self.clone()),
            (Numeric::Infinity | Numeric::NegativeInfinity, Numeric::Finite(_)) if other.is_zero() => {
                Err(division_by_zero())
            }
            _ => Ok(Numeric::NaN),
        }
    }

    /// Rounded half away from zero to `scale` digits after the point (negative: before it).
    pub fn round(&self, scale: i64) -> Numeric {
        self.rescale(scale, true)
    }

    pub fn trunc(&self, scale: i64) -> Numeric {
        self.rescale(scale, false)
    }

    fn rescale(&self, scale: i64, round: bool) -> Numeric {
        let Some((digits, current)) = self.parts() else { return self.clone() };
        let wanted = scale.clamp(-SCALE_MAX * 10, SCALE_MAX);
        if wanted >= current {
            return Numeric::new(digits.as_ref() * power_of_ten(wanted - current), wanted);
        }
        let divisor = power_of_ten(current - wanted);
        let kept = if round { divide_half_up(&digits, &divisor) } else { digits.as_ref() / divisor };
        if wanted < 0 { Numeric::new(kept * power_of_ten(-wanted), 0) } else { Numeric::new(kept, wanted) }
    }

    pub fn floor(&self) -> Numeric {
        let whole = self.trunc(0);
        if self.is_negative() && whole != *self { whole.sub(&Numeric::from(1i64)).unwrap_or(whole) } else { whole }
    }

    pub fn ceil(&self) -> Numeric {
        self.neg().floor().neg()
    }

    /// Without trailing zeros after the point.
    pub fn trim_scale(&self) -> Numeric {
        let scale = self.min_scale();
        self.trunc(scale)
    }

    /// The least scale that shows the value in full.
    pub fn min_scale(&self) -> i64 {
        let text = self.to_string();
        text.split_once('.').map_or(0, |(_, fraction)| fraction.trim_end_matches('0').len() as i64)
    }

    /// Applies `numeric(p,s)`: rounds, then 22003 where it does not fit.
    pub fn with_precision(&self, precision: i32, scale: i32) -> Result<Numeric> {
        let too_large = |reason: &str| {
            let detail = format!("A field with precision {precision}, scale {scale} {reason}");
            Err(SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow").detail(detail))
        };
        match self {
            Numeric::NaN => Ok(Numeric::NaN),
            Numeric::Infinity | Numeric::NegativeInfinity => too_large("cannot hold an infinite value."),
            Numeric::Finite(_) => {
                let rounded = self.round(i64::from(scale));
                let whole = precision - scale;
                let fits = match rounded.parts() {
                    Some((digits, _)) if digits.is_zero() => true,
                    Some((digits, kept)) => decimal_digits(&digits) as i64 - kept <= i64::from(whole),
                    None => false,
                };
                if fits {
                    return Ok(rounded);
                }
                match whole {
                    0 => too_large("must round to an absolute value less than 1."),
                    _ => too_large(&format!("must round to an absolute value less than 10^{whole}.")),
                }
            }
        }
    }

    /// Appends the value as PostgreSQL prints it.
    pub fn write(&self, out: &mut String) {
        let Some((digits, scale)) = self.parts() else {
            out.push_str(match self {
                Numeric::NaN => "NaN",
                Numeric::Infinity => "Infinity",
                _ => "-Infinity",
            });
            return;
        };
        if digits.sign() == Sign::Minus {
            out.push('-');
        }
        let text = match digits.magnitude().to_u64() {
            Some(small) => small.to_string(),
            None => digits.magnitude().to_string(),
        };
        let scale = scale as usize;
        if scale == 0 {
            return out.push_str(&text);
        }
        if text.len() <= scale {
            out.push_str("0.");
            out.extend(std::iter::repeat_n('0', scale - text.len()));
            out.push_str(&text);
        } else {
            out.push_str(&text[..text.len() - scale]);
            out.push('.');
            out.push_str(&text[text.len() - scale..]);
        }
    }
}

impl From<i64> for Numeric {
    fn from(value: i64) -> Numeric {
        Numeric::new(BigInt::from(value), 0)
    }
}

impl From<i128> for Numeric {
    fn from(value: i128) -> Numeric {
        Numeric::new(BigInt::from(value), 0)
    }
}

impl std::fmt::Display for Numeric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::new();
        self.write(&mut text);
        f.write_str(&text)
    }
}

impl Ord for Numeric {
    fn cmp(&self, other: &Numeric) -> Ordering {
        let rank = |numeric: &Numeric| match numeric {
            Numeric::NegativeInfinity => 0,
            Numeric::Finite(_) => 1,
            Numeric::Infinity => 2,
            Numeric::NaN => 3,
        };
        match (self, other) {
            (Numeric::Finite(_), Numeric::Finite(_)) => {
                let (a, b, _) = aligned(self, other);
                a.cmp(&b)
            }
            _ => rank(self).cmp(&rank(other)),
        }
    }
}

impl PartialOrd for Numeric {
    fn partial_cmp(&self, other: &Numeric) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Numeric {
    fn eq(&self, other: &Numeric) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Numeric {}

impl Hash for Numeric {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // 1.0 and 1.00 are equal, so the trailing zeros must not count.
        let trimmed = self.trim_scale();
        std::mem::discriminant(self).hash(state);
        if let Some((digits, scale)) = trimmed.parts() {
            digits.hash(state);
            scale.hash(state);
        }
    }
}

/// As bytes: the library's own form does not survive `postcard`.
impl serde::Serialize for Numeric {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serde::Serialize::serialize(&self.to_bytes(), serializer)
    }
}

impl<'de> serde::Deserialize<'de> for Numeric {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Numeric, D::Error> {
        let bytes = <Vec<u8> as serde::Deserialize>::deserialize(deserializer)?;
        Numeric::from_bytes(&bytes).ok_or_else(|| serde::de::Error::custom("malformed numeric"))
    }
}

impl Numeric {
    /// A compact form: a byte for the specials, else the scale and the two's complement digits.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Numeric::NaN => vec![1],
            Numeric::Infinity => vec![2],
            Numeric::NegativeInfinity => vec![3],
            Numeric::Finite(decimal) => {
                let (digits, scale) = decimal.as_bigint_and_scale();
                let mut bytes = vec![0];
                bytes.extend_from_slice(&(scale as u16).to_le_bytes());
                match digits.to_i64() {
                    // The common case needs no big integer.
                    Some(small) => bytes.extend_from_slice(trimmed(&small.to_le_bytes())),
                    None => bytes.extend_from_slice(&digits.to_signed_bytes_le()),
                }
                bytes
            }
        }
    }

    pub fn from_bytes(bytes: &[u8]) -> Option<Numeric> {
        match bytes {
            [1] => Some(Numeric::NaN),
            [2] => Some(Numeric::Infinity),
            [3] => Some(Numeric::NegativeInfinity),
            [0, low, high, digits @ ..] => {
                let scale = i64::from(u16::from_le_bytes([*low, *high]));
                (scale <= SCALE_MAX).then(|| Numeric::new(BigInt::from_signed_bytes_le(digits), scale))
            }
            _ => None,
        }
    }
}

/// Without the sign bytes that the next lower byte repeats.
fn trimmed(bytes: &[u8; 8]) -> &[u8] {
    let mut len = 8;
    while len > 1 {
        let redundant = match bytes[len - 1] {
            0x00 => bytes[len - 2] < 0x80,
            0xff => bytes[len - 2] >= 0x80,
            _ => false,
        };
        if !redundant {
            break;
        }
        len -= 1;
    }
    &bytes[..len]
}

pub(super) fn power_of_ten(exponent: i64) -> BigInt {
    match u32::try_from(exponent).ok().and_then(|exponent| 10u64.checked_pow(exponent)) {
        Some(small) => BigInt::from(small),
        None => BigInt::from(10).pow(exponent.max(0) as u32),
    }
}

/// How many decimal digits a number has; 1 for zero.
pub(super) fn decimal_digits(digits: &BigInt) -> u64 {
    match digits.magnitude().to_u64() {
        Some(small) => u64::from(small.checked_ilog10().unwrap_or(0)) + 1,
        None => digits.magnitude().to_string().len() as u64,
    }
}

/// Both numbers' digits at the greater scale.
fn aligned<'a>(a: &'a Numeric, b: &'a Numeric) -> (Cow<'a, BigInt>, Cow<'a, BigInt>, i64) {
    let zero = || (Cow::Owned(BigInt::zero()), 0);
    let (a, s) = a.parts().unwrap_or_else(zero);
    let (b, t) = b.parts().unwrap_or_else(zero);
    match s.cmp(&t) {
        Ordering::Equal => (a, b, s),
        Ordering::Less => (Cow::Owned(a.as_ref() * power_of_ten(t - s)), b, t),
        Ordering::Greater => (a, Cow::Owned(b.as_ref() * power_of_ten(s - t)), s),
    }
}

/// Half away from zero; the divisor is positive.
pub(super) fn divide_half_up(digits: &BigInt, divisor: &BigInt) -> BigInt {
    let half = divisor / 2;
    let adjusted = if digits.is_negative() { digits - half } else { digits + half };
    adjusted / divisor
}

/// `a / 10^s / (b / 10^t)` as digits at `scale`, rounded half away from zero.
pub(super) fn divide_rounded(a: &BigInt, s: i64, b: &BigInt, t: i64, scale: i64) -> BigInt {
    let shift = scale + t - s;
    let (mut numerator, mut denominator) = (a.clone(), b.clone());
    if shift >= 0 {
        numerator *= power_of_ten(shift);
    } else {
        denominator *= power_of_ten(-shift);
    }
    if denominator.is_negative() {
        numerator = -numerator;
        denominator = -denominator;
    }
    // Doubled, so that the half is exact for odd divisors too.
    divide_half_up(&(numerator * 2), &(denominator * 2))
}

/// The position of the first base-10000 digit, and that digit: PostgreSQL reckons scales by these.
pub(super) fn weight(digits: &BigInt, scale: i64) -> (i64, i64) {
    if digits.is_zero() {
        return (0, 0);
    }
    let exponent = decimal_digits(digits) as i64 - scale - 1;
    let weight = exponent.div_euclid(4);
    let kept = exponent.rem_euclid(4) + 1;
    let text = digits.magnitude().to_string();
    let mut first: i64 = text[..text.len().min(kept as usize)].parse().unwrap_or(0);
    for _ in text.len()..kept as usize {
        first *= 10;
    }
    (weight, first)
}

fn quotient_scale((a, s): (&BigInt, i64), (b, t): (&BigInt, i64)) -> i64 {
    let (weight_a, first_a) = weight(a, s);
    let (weight_b, first_b) = weight(b, t);
    let mut quotient = weight_a - weight_b;
    if first_a <= first_b {
        quotient -= 1;
    }
    (SIGNIFICANT_DIGITS_MIN - quotient * 4).max(s).max(t).clamp(0, DISPLAY_SCALE_MAX)
}

/// Refuses what has too many digits before the point.
pub(super) fn checked(digits: BigInt, scale: i64) -> Result<Numeric> {
    if digits.bits() > WHOLE_DIGITS_MAX * 3 && decimal_digits(&digits) as i64 - scale > WHOLE_DIGITS_MAX as i64 {
        return Err(overflow());
    }
    Ok(Numeric::new(digits, scale))
}

pub(super) fn overflow() -> SqlError {
    SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format")
}

pub(crate) fn division_by_zero() -> SqlError {
    SqlError::new(SqlState::DIVISION_BY_ZERO, "division by zero")
}
