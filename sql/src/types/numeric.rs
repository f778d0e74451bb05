//! NUMERIC: arbitrary precision, with NaN and the infinities, display scale kept as PostgreSQL does.

use bigdecimal::BigDecimal;

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub enum Numeric {
    /// The scale of the decimal is the display scale, never negative.
    Finite(Box<BigDecimal>),
    NaN,
    Infinity,
    NegativeInfinity,
}
