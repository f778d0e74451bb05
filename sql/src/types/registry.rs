//! What is known of each type: the table behind `pg_type`. A new type is a new row here, and its input and output in
//! `text` and `binary`.

use std::{collections::BTreeMap, sync::LazyLock};

use super::DataType;

#[derive(Clone, Debug)]
pub struct TypeInfo {
    pub oid: DataType,
    /// `pg_type.typname`.
    pub name: &'static str,
    /// As `format_type` shows it.
    pub sql_name: &'static str,
    /// `pg_type.typcategory`.
    pub category: char,
    pub preferred: bool,
    /// `pg_type.typlen`; -1 for variable length.
    pub len: i16,
    pub array: Option<DataType>,
    pub element: Option<DataType>,
    /// `pg_type.typtype`: `b` base, `p` pseudo.
    pub kind: char,
    pub delimiter: char,
}

/// (oid, typname, SQL name, category, preferred, length, array oid)
type Line = (u32, &'static str, &'static str, char, bool, i16, u32);

#[rustfmt::skip]
const BASE: &[Line] = &[
    (16,   "bool",        "boolean",                     'B', true,   1, 1000),
    (17,   "bytea",       "bytea",                       'U', false, -1, 1001),
    (18,   "char",        "\"char\"",                    'Z', false,  1, 1002),
    (19,   "name",        "name",                        'S', false, 64, 1003),
    (20,   "int8",        "bigint",                      'N', false,  8, 1016),
    (21,   "int2",        "smallint",                    'N', false,  2, 1005),
    (22,   "int2vector",  "int2vector",                  'A', false, -1, 1006),
    (23,   "int4",        "integer",                     'N', false,  4, 1007),
    (24,   "regproc",     "regproc",                     'N', false,  4, 1008),
    (25,   "text",        "text",                        'S', true,  -1, 1009),
    (26,   "oid",         "oid",                         'N', true,   4, 1028),
    (30,   "oidvector",   "oidvector",                   'A', false, -1, 1013),
    (114,  "json",        "json",                        'U', false, -1, 199),
    (700,  "float4",      "real",                        'N', false,  4, 1021),
    (701,  "float8",      "double precision",            'N', true,   8, 1022),
    (705,  "unknown",     "unknown",                     'X', false, -2, 0),
    (1042, "bpchar",      "character",                   'S', false, -1, 1014),
    (1043, "varchar",     "character varying",           'S', false, -1, 1015),
    (1082, "date",        "date",                        'D', false,  4, 1182),
    (1083, "time",        "time without time zone",      'D', false,  8, 1183),
    (1114, "timestamp",   "timestamp without time zone", 'D', false,  8, 1115),
    (1184, "timestamptz", "timestamp with time zone",    'D', true,   8, 1185),
    (1186, "interval",    "interval",                    'T', true,  16, 1187),
    (1700, "numeric",     "numeric",                     'N', false, -1, 1231),
    (2205, "regclass",    "regclass",                    'N', false,  4, 2210),
    (2206, "regtype",     "regtype",                     'N', false,  4, 2211),
    (4089, "regnamespace","regnamespace",                'N', false,  4, 4090),
    (4096, "regrole",     "regrole",                     'N', false,  4, 4097),
    (2950, "uuid",        "uuid",                        'U', false, 16, 2951),
    // Pseudo-types.
    (2249, "record",      "record",                      'P', false, -1, 2287),
    (2278, "void",        "void",                        'P', false,  4, 0),
    (2276, "any",         "\"any\"",                     'P', false,  4, 0),
    (2277, "anyarray",    "anyarray",                    'P', false, -1, 0),
    (2776, "anynonarray", "anynonarray",                 'P', false,  4, 0),
    (2283, "anyelement",  "anyelement",                  'P', false,  4, 0),
    (5077, "anycompatible", "anycompatible",             'P', false,  4, 0),
    (5078, "anycompatiblearray", "anycompatiblearray",   'P', false, -1, 0),
    (2279, "trigger",     "trigger",                     'P', false,  4, 0),
];

/// (array typname, element oid): the names of array types are `_` and the element's.
static TYPES: LazyLock<BTreeMap<DataType, TypeInfo>> = LazyLock::new(|| {
    let mut types = BTreeMap::new();
    for (oid, name, sql_name, category, preferred, len, array) in BASE.iter().copied() {
        let oid = DataType(oid);
        let element = match oid {
            DataType::INT2VECTOR => Some(DataType::INT2),
            DataType::OIDVECTOR => Some(DataType::OID),
            _ => None,
        };
        let array = (array != 0).then_some(DataType(array));
        let kind = if category == 'P' { 'p' } else { 'b' };
        let info = TypeInfo { oid, name, sql_name, category, preferred, len, array, element, kind, delimiter: ',' };
        types.insert(oid, info);
        if let Some(array) = array {
            // Leaked once, at first use: the names live as long as the program.
            let array_name: &'static str = Box::leak(format!("_{name}").into_boxed_str());
            let array_sql: &'static str = Box::leak(format!("{sql_name}[]").into_boxed_str());
            let info = TypeInfo {
                oid: array,
                name: array_name,
                sql_name: array_sql,
                category: if category == 'P' { 'P' } else { 'A' },
                preferred: false,
                len: -1,
                array: None,
                element: Some(oid),
                kind: if category == 'P' { 'p' } else { 'b' },
                delimiter: ',',
            };
            types.insert(array, info);
        }
    }
    types
});

pub fn get(ty: DataType) -> Option<&'static TypeInfo> {
    TYPES.get(&ty)
}

/// By `typname` (`int4`, `_text`).
pub fn by_name(name: &str) -> Option<&'static TypeInfo> {
    TYPES.values().find(|info| info.name == name)
}

/// Every type, in order of OID.
pub fn all() -> impl Iterator<Item = &'static TypeInfo> {
    TYPES.values()
}

pub fn category(ty: DataType) -> char {
    get(ty).map_or('X', |info| info.category)
}

pub fn is_preferred(ty: DataType) -> bool {
    get(ty).is_some_and(|info| info.preferred)
}

/// Types whose values are `Value::Oid`.
pub fn is_oid_like(ty: DataType) -> bool {
    matches!(
        ty,
        DataType::OID
            | DataType::REGPROC
            | DataType::REGCLASS
            | DataType::REGTYPE
            | DataType::REGNAMESPACE
            | DataType(4096)
    )
}

/// Types whose values are `Value::Text`.
pub fn is_text_like(ty: DataType) -> bool {
    matches!(
        ty,
        DataType::TEXT | DataType::VARCHAR | DataType::BPCHAR | DataType::NAME | DataType::JSON | DataType::UNKNOWN
    )
}
