//! Data types and values. A type is its PostgreSQL OID, so that hundreds more can be added as table rows: what is known of
//! each (name, category, array type, length) is in `registry`; text formats in `text`, binary formats in `binary`.
//!
//! `Value` has PostgreSQL's order of one type's values as its `Ord` (NULL last, NaN greatest, numeric scale ignored; values
//! of related types compare too), and `Hash` to match: rows can be keys of maps. SQL's three-valued comparison is
//! [`Value::compare`].

use std::sync::Arc;

use bytes::Bytes;

pub mod array;
pub mod binary;
pub mod compare;
pub mod convert;
pub mod datetime;
pub mod float;
pub mod format;
pub mod interval;
pub mod name;
pub mod numeric;
pub mod numeric_math;
pub mod registry;
pub mod text;
pub mod timezone;

pub use binary::{decode_binary, encode_binary};
pub use format::FormatOptions;
pub use name::{format_type, parse_type_name};
pub use numeric::Numeric;
pub use text::{decode_text, encode_text, to_text};

/// A PostgreSQL type OID. Type modifiers (length, precision) are kept beside it where they matter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
pub struct DataType(pub u32);

impl DataType {
    pub const BOOL: DataType = DataType(16);
    pub const BYTEA: DataType = DataType(17);
    /// The one-byte `"char"`.
    pub const INTERNAL_CHAR: DataType = DataType(18);
    pub const NAME: DataType = DataType(19);
    pub const INT8: DataType = DataType(20);
    pub const INT2: DataType = DataType(21);
    pub const INT2VECTOR: DataType = DataType(22);
    pub const INT4: DataType = DataType(23);
    pub const REGPROC: DataType = DataType(24);
    pub const TEXT: DataType = DataType(25);
    pub const OID: DataType = DataType(26);
    pub const OIDVECTOR: DataType = DataType(30);
    pub const JSON: DataType = DataType(114);
    pub const FLOAT4: DataType = DataType(700);
    pub const FLOAT8: DataType = DataType(701);
    pub const UNKNOWN: DataType = DataType(705);
    pub const BPCHAR: DataType = DataType(1042);
    pub const VARCHAR: DataType = DataType(1043);
    pub const DATE: DataType = DataType(1082);
    pub const TIME: DataType = DataType(1083);
    pub const TIMESTAMP: DataType = DataType(1114);
    pub const TIMESTAMPTZ: DataType = DataType(1184);
    pub const INTERVAL: DataType = DataType(1186);
    pub const NUMERIC: DataType = DataType(1700);
    pub const REGCLASS: DataType = DataType(2205);
    pub const REGTYPE: DataType = DataType(2206);
    pub const REGNAMESPACE: DataType = DataType(4089);
    pub const RECORD: DataType = DataType(2249);
    pub const VOID: DataType = DataType(2278);
    pub const UUID: DataType = DataType(2950);

    /// Pseudo-types of function signatures.
    pub const ANY: DataType = DataType(2276);
    pub const ANYARRAY: DataType = DataType(2277);
    pub const ANYNONARRAY: DataType = DataType(2776);
    pub const ANYELEMENT: DataType = DataType(2283);
    pub const ANYCOMPATIBLE: DataType = DataType(5077);
    pub const ANYCOMPATIBLEARRAY: DataType = DataType(5078);

    pub const BOOL_ARRAY: DataType = DataType(1000);
    pub const NAME_ARRAY: DataType = DataType(1003);
    pub const INT2_ARRAY: DataType = DataType(1005);
    pub const INT4_ARRAY: DataType = DataType(1007);
    pub const TEXT_ARRAY: DataType = DataType(1009);
    pub const VARCHAR_ARRAY: DataType = DataType(1015);
    pub const INT8_ARRAY: DataType = DataType(1016);
    pub const FLOAT8_ARRAY: DataType = DataType(1022);
    pub const OID_ARRAY: DataType = DataType(1028);
    pub const INTERNAL_CHAR_ARRAY: DataType = DataType(1002);
}

impl DataType {
    pub fn is_array(self) -> bool {
        self.element().is_some()
    }

    /// The element type of an array type.
    pub fn element(self) -> Option<DataType> {
        registry::get(self).and_then(|info| info.element)
    }

    /// The array type over this type.
    pub fn array(self) -> Option<DataType> {
        registry::get(self).and_then(|info| info.array)
    }
}

/// As `format_type` shows it: `integer`, `character varying`, `text[]`.
impl std::fmt::Display for DataType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&format_type(*self, -1))
    }
}

/// A row: one value a column.
pub type Row = Vec<Value>;

/// A value of any type. The representation is shared by types that differ only in name: `text`, `varchar`, `bpchar` and
/// `name` are `Text`; `oid` and the `reg*` types are `Oid`.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub enum Value {
    #[default]
    Null,
    Bool(bool),
    Int2(i16),
    Int4(i32),
    Int8(i64),
    Float4(f32),
    Float8(f64),
    Numeric(Numeric),
    #[serde(with = "text_serde")]
    Text(Arc<str>),
    Bytea(Bytes),
    /// Days since 2000-01-01; `i32::MIN` and `i32::MAX` are -infinity and infinity.
    Date(i32),
    /// Microseconds since midnight.
    Time(i64),
    /// Microseconds since 2000-01-01 00:00:00; `i64::MIN` and `i64::MAX` are -infinity and infinity.
    Timestamp(i64),
    /// As `Timestamp`, in UTC.
    TimestampTz(i64),
    Interval(Interval),
    Uuid([u8; 16]),
    Oid(u32),
    /// The one-byte `"char"`.
    Char(u8),
    Array(Box<Array>),
    Record(Vec<Value>),
}

/// Months, days and microseconds are kept apart, as PostgreSQL does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Interval {
    pub months: i32,
    pub days: i32,
    pub micros: i64,
}

/// A one-dimensional array (lower bound 1, but 0 for `int2vector` and `oidvector`).
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Array {
    pub element: DataType,
    pub values: Vec<Value>,
}

impl Value {
    pub fn text(text: impl Into<Arc<str>>) -> Value {
        Value::Text(text.into())
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }
}

mod text_serde {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(text)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
        Ok(String::deserialize(deserializer)?.into())
    }
}

#[cfg(test)]
#[path = "formats_test.rs"]
mod formats_test;
