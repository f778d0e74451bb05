//! Square root, exponential, logarithm and power of NUMERIC, at the scales that PostgreSQL chooses. The work is done on
//! integers scaled by a power of ten, with spare digits that are rounded away at the end.

use bigdecimal::num_bigint::BigInt;
use bigdecimal::num_traits::{One, Signed, ToPrimitive, Zero};

use super::numeric::{
    DISPLAY_SCALE_MAX, Numeric, SIGNIFICANT_DIGITS_MIN, checked, divide_half_up, divide_rounded, overflow,
    power_of_ten, weight,
};
use crate::error::{Result, SqlError, SqlState};

use std::f64::consts::LOG10_E;

/// Digits computed beyond those shown.
const SPARE_DIGITS: i64 = 12;

fn result_scale(wanted: i64, at_least: i64) -> i64 {
    wanted.max(at_least).clamp(0, DISPLAY_SCALE_MAX)
}

fn argument_error(state: &'static str, message: &str) -> SqlError {
    SqlError::new(SqlState(state), message)
}

const INVALID_ARGUMENT_FOR_LOG: &str = "2201E";
const INVALID_ARGUMENT_FOR_POWER: &str = "2201F";

impl Numeric {
    pub fn sqrt(&self) -> Result<Numeric> {
        let Some((digits, scale)) = self.parts() else {
            if matches!(self, Numeric::NegativeInfinity) {
                return Err(negative_root());
            }
            return Ok(self.clone());
        };
        if digits.is_negative() {
            return Err(negative_root());
        }
        let (weight, _) = weight(&digits, scale);
        let shown = result_scale(SIGNIFICANT_DIGITS_MIN - ((weight + 1) * 4 / 2 - 1), scale);
        // sqrt(d / 10^s) = sqrt(d * 10^(2r - s)) / 10^r, with one more digit for rounding.
        let precise = shown + 1;
        let shift = 2 * precise - scale;
        let radicand =
            if shift >= 0 { digits.as_ref() * power_of_ten(shift) } else { digits.as_ref() / power_of_ten(-shift) };
        Ok(Numeric::new(divide_half_up(&radicand.sqrt(), &BigInt::from(10)), shown))
    }

    pub fn exp(&self) -> Result<Numeric> {
        let Some((_, scale)) = self.parts() else {
            return Ok(if matches!(self, Numeric::NegativeInfinity) { Numeric::zero() } else { self.clone() });
        };
        // PostgreSQL gives up where the result would have three times its greatest scale in digits.
        if self.to_f64() >= 6000.0 {
            return Err(overflow());
        }
        let approximate = (self.to_f64() * LOG10_E).clamp(-2000.0, 200_000.0);
        let shown = result_scale(SIGNIFICANT_DIGITS_MIN - approximate as i64, scale);
        let precise = shown + SPARE_DIGITS + (approximate.max(0.0) as i64);
        let value = exp_fixed(&fixed(self, precise), precise);
        checked(divide_half_up(&value, &power_of_ten(precise - shown)), shown)
    }

    pub fn ln(&self) -> Result<Numeric> {
        self.check_logarithm()?;
        let Some((_, scale)) = self.parts() else { return Ok(self.clone()) };
        let shown = result_scale(SIGNIFICANT_DIGITS_MIN - self.estimate_ln_weight(), scale);
        let precise = shown + SPARE_DIGITS;
        Ok(Numeric::new(divide_half_up(&self.ln_fixed(precise), &power_of_ten(precise - shown)), shown))
    }

    /// Logarithm of `self` to a base.
    pub fn log(&self, base: &Numeric) -> Result<Numeric> {
        base.check_logarithm()?;
        self.check_logarithm()?;
        let (Some((_, scale)), Some((_, base_scale))) = (self.parts(), base.parts()) else { return Ok(Numeric::NaN) };
        let result_weight = self.estimate_ln_weight() - base.estimate_ln_weight();
        let shown = result_scale(SIGNIFICANT_DIGITS_MIN - result_weight, scale.max(base_scale));
        let precise = shown + SPARE_DIGITS + base.estimate_ln_weight().abs() + result_weight.abs();
        let (numerator, denominator) = (self.ln_fixed(precise), base.ln_fixed(precise));
        if denominator.is_zero() {
            return Err(super::numeric::division_by_zero());
        }
        checked(divide_rounded(&numerator, 0, &denominator, 0, shown), shown)
    }

    pub fn power(&self, exponent: &Numeric) -> Result<Numeric> {
        if let Some(special) = self.special_power(exponent)? {
            return Ok(special);
        }
        let (Some((_, scale)), Some((_, exponent_scale))) = (self.parts(), exponent.parts()) else {
            return Ok(Numeric::NaN);
        };
        let whole = exponent.trunc(0);
        if whole == *exponent
            && let Some(power) = whole.to_i64().and_then(|power| i32::try_from(power).ok())
        {
            return self.power_integer(i64::from(power), exponent_scale);
        }
        if self.is_zero() {
            return Ok(Numeric::new(BigInt::zero(), SIGNIFICANT_DIGITS_MIN));
        }
        if self.is_negative() {
            // The exponent is whole here, though too great for powers by squaring.
            let odd = !exponent.rem(&Numeric::from(2i64))?.is_zero();
            let power = self.abs().power(exponent)?;
            return Ok(if odd { power.neg() } else { power });
        }
        let magnitude = (self.abs().to_f64().ln() * exponent.to_f64() * LOG10_E).clamp(-2000.0, 200_000.0);
        if magnitude > 131_072.0 {
            return Err(overflow());
        }
        let shown = result_scale(SIGNIFICANT_DIGITS_MIN - magnitude as i64, scale.max(exponent_scale));
        let precise = shown + SPARE_DIGITS + magnitude.max(0.0) as i64 + 10;
        let product = self.ln_fixed(precise) * fixed(exponent, precise);
        let value = exp_fixed(&divide_half_up(&product, &power_of_ten(precise)), precise);
        checked(divide_half_up(&value, &power_of_ten(precise - shown)), shown)
    }

    /// Powers that need no computing, and those that are errors.
    fn special_power(&self, exponent: &Numeric) -> Result<Option<Numeric>> {
        let one = || Some(Numeric::from(1i64));
        if self.is_special() || exponent.is_special() {
            if exponent.is_zero() || *self == Numeric::from(1i64) {
                return Ok(one());
            }
            if self.is_nan() || exponent.is_nan() {
                return Ok(Some(Numeric::NaN));
            }
            let power = self.to_f64().powf(exponent.to_f64());
            return Ok(Some(Numeric::from_f64(power)?));
        }
        if self.is_zero() && exponent.is_negative() {
            return Err(argument_error(INVALID_ARGUMENT_FOR_POWER, "zero raised to a negative power is undefined"));
        }
        if self.is_negative() && exponent.trunc(0) != *exponent {
            return Err(argument_error(
                INVALID_ARGUMENT_FOR_POWER,
                "a negative number raised to a non-integer power yields a complex result",
            ));
        }
        Ok(None)
    }

    fn power_integer(&self, exponent: i64, exponent_scale: i64) -> Result<Numeric> {
        let Some((digits, scale)) = self.parts() else { return Ok(Numeric::NaN) };
        let estimate = if self.is_zero() { 0.0 } else { self.abs().to_f64().log10() * exponent as f64 };
        if estimate > 131_072.0 {
            return Err(overflow());
        }
        let shown = result_scale(SIGNIFICANT_DIGITS_MIN, scale.max(exponent_scale));
        if estimate < -2000.0 {
            return Ok(Numeric::new(BigInt::zero(), shown));
        }
        // By squaring, with as many digits as the result needs and some to spare.
        let precise = shown + SPARE_DIGITS + estimate.abs() as i64 + 12;
        let unit = power_of_ten(precise);
        let mut base = digits.as_ref() * power_of_ten(precise) / power_of_ten(scale);
        if exponent < 0 {
            if base.is_zero() {
                return Ok(Numeric::new(BigInt::zero(), shown));
            }
            base = divide_rounded(digits.as_ref(), scale, &BigInt::one(), 0, precise + scale);
            base = &unit * &unit * power_of_ten(scale) / base;
        }
        let exact = exponent >= 0 && scale * exponent <= precise;
        if exact {
            let power = digits.pow(exponent as u32);
            return checked(power, scale * exponent).map(|value| value.round(shown));
        }
        let mut result = unit.clone();
        let mut rest = exponent.unsigned_abs();
        while rest > 0 {
            if rest & 1 == 1 {
                result = divide_half_up(&(&result * &base), &unit);
            }
            rest >>= 1;
            if rest > 0 {
                base = divide_half_up(&(&base * &base), &unit);
            }
        }
        checked(divide_half_up(&result, &power_of_ten(precise - shown)), shown)
    }

    fn check_logarithm(&self) -> Result<()> {
        match self.signum() {
            Some(0) => Err(argument_error(INVALID_ARGUMENT_FOR_LOG, "cannot take logarithm of zero")),
            Some(-1) => Err(argument_error(INVALID_ARGUMENT_FOR_LOG, "cannot take logarithm of a negative number")),
            _ => Ok(()),
        }
    }

    /// The decimal position of the first digit of the logarithm, as PostgreSQL estimates it.
    fn estimate_ln_weight(&self) -> i64 {
        let Some((digits, scale)) = self.parts() else { return 0 };
        let value = self.to_f64();
        if (0.9..=1.1).contains(&value) {
            let difference = self.sub(&Numeric::from(1i64)).unwrap_or_else(|_| Numeric::zero());
            let Some((difference, difference_scale)) = difference.parts() else { return 0 };
            if difference.is_zero() {
                return 0;
            }
            let (weight, first) = weight(&difference, difference_scale);
            return weight * 4 + (first.max(1) as f64).log10() as i64;
        }
        let (weight, first) = weight(&digits, scale);
        let logarithm = if value > 0.0 && value.is_finite() {
            value.ln()
        } else {
            (first.max(1) as f64).ln() + weight as f64 * 4.0 * std::f64::consts::LN_10
        };
        logarithm.abs().log10() as i64
    }

    /// ln(self) * 10^precise.
    fn ln_fixed(&self, precise: i64) -> BigInt {
        let working = precise + 10;
        let unit = power_of_ten(working);
        // Bring the value near one by square roots, then sum the series of the inverse hyperbolic tangent.
        let mut value = fixed(self, working + 20) / power_of_ten(20);
        if value.is_zero() {
            value = BigInt::one();
        }
        // Powers of ten come out first: their logarithm is a constant.
        let mut tens = 0i64;
        let ten = BigInt::from(10);
        while value > &unit * 3 {
            value = &value / &ten;
            tens += 1;
        }
        while &value * 3 < unit {
            value *= &ten;
            tens -= 1;
        }
        if tens != 0 {
            // Divide the exact digits, so that nothing is lost to the repeated divisions above.
            let (digits, scale) = self.parts().map_or((BigInt::one(), 0), |(d, s)| (d.into_owned(), s));
            value = divide_rounded(&digits, scale + tens, &BigInt::one(), 0, working);
            let shift = divide_half_up(&(ln_near_one(&(&unit * 10), working) * tens), &power_of_ten(working - precise));
            return shift + divide_half_up(&ln_near_one(&value, working), &power_of_ten(working - precise));
        }
        divide_half_up(&ln_near_one(&value, working), &power_of_ten(working - precise))
    }
}

fn negative_root() -> SqlError {
    argument_error(INVALID_ARGUMENT_FOR_POWER, "cannot take square root of a negative number")
}

/// value * 10^scale, truncated.
fn fixed(value: &Numeric, scale: i64) -> BigInt {
    let Some((digits, own)) = value.parts() else { return BigInt::zero() };
    if scale >= own { digits.as_ref() * power_of_ten(scale - own) } else { digits.as_ref() / power_of_ten(own - scale) }
}

/// ln(value / 10^scale) * 10^scale for a value not far from one.
fn ln_near_one(value: &BigInt, scale: i64) -> BigInt {
    let unit = power_of_ten(scale);
    let mut value = value.clone();
    let mut doublings = 0;
    // Within a tenth of one the series gains two digits a term.
    while (&value - &unit).abs() * 10 > unit {
        value = (&value * &unit).sqrt();
        doublings += 1;
    }
    // ln(v) = 2 artanh((v - 1) / (v + 1))
    let quotient = (&value - &unit) * &unit / (&value + &unit);
    let square = &quotient * &quotient / &unit;
    let mut term = quotient.clone();
    let mut sum = quotient;
    let mut divisor = 3;
    while !term.is_zero() {
        term = &term * &square / &unit;
        sum += &term / divisor;
        divisor += 2;
    }
    sum * 2 * BigInt::from(2).pow(doublings)
}

/// exp(value / 10^scale) * 10^scale.
fn exp_fixed(value: &BigInt, scale: i64) -> BigInt {
    let working = scale + 20;
    let unit = power_of_ten(working);
    let mut argument = value * power_of_ten(working - scale);
    // Halve until small, then square back.
    let mut halvings = 0u32;
    while argument.abs() * 8 > unit {
        argument /= 2;
        halvings += 1;
    }
    let extra = i64::from(halvings);
    // Each squaring may double the error: carry a digit for each.
    let working = working + extra;
    let unit = power_of_ten(working);
    let argument = {
        let exact = value * power_of_ten(working - scale);
        exact / BigInt::from(2).pow(halvings)
    };
    let mut term = unit.clone();
    let mut sum = unit.clone();
    let mut index = 1;
    while !term.is_zero() {
        term = &term * &argument / &unit / index;
        sum += &term;
        index += 1;
    }
    for _ in 0..halvings {
        sum = divide_half_up(&(&sum * &sum), &unit);
    }
    divide_half_up(&sum, &power_of_ten(working - scale))
}

/// The greatest common divisor of two numerics, at the greater scale.
pub fn gcd(a: &Numeric, b: &Numeric) -> Result<Numeric> {
    let (mut a, mut b) = (a.abs(), b.abs());
    if a.is_special() || b.is_special() {
        return Ok(Numeric::NaN);
    }
    let scale = a.scale().max(b.scale());
    while !b.is_zero() {
        let rest = a.rem(&b)?;
        a = std::mem::replace(&mut b, rest);
    }
    Ok(a.round(scale))
}

/// The least common multiple, at the greater scale.
pub fn lcm(a: &Numeric, b: &Numeric) -> Result<Numeric> {
    let divisor = gcd(a, b)?;
    let scale = a.scale().max(b.scale());
    if divisor.is_special() {
        return Ok(Numeric::NaN);
    }
    if divisor.is_zero() {
        return Ok(Numeric::zero().round(scale));
    }
    Ok(a.abs().div_trunc(&divisor)?.mul(&b.abs())?.round(scale))
}

/// `n!`; 22003 for negative numbers and beyond PostgreSQL's limit.
pub fn factorial(n: i64) -> Result<Numeric> {
    if n < 0 {
        return Err(SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "factorial of a negative number is undefined"));
    }
    if n > 32_177 {
        return Err(overflow());
    }
    let product = (2..=n.to_u32().unwrap_or(0)).fold(BigInt::one(), |product, factor| product * factor);
    checked(product, 0)
}
