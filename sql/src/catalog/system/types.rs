//! Types, functions, access methods, collations: what is the same in every cluster.

use super::{Output, PG_CATALOG_OID, SystemViews, flag, int2, int4, letter, objects::collation, oid, text};
use crate::{
    expr::function::{self, Volatility},
    types::{Array, DataType, Value, registry},
};

const BOOTSTRAP_OID: u32 = 10;
/// OIDs of functions begin here, in order of the registry.
const FIRST_FUNCTION_OID: u32 = 20_000_000;

pub(in crate::catalog) fn function_oid(id: crate::expr::FunctionId) -> u32 {
    FIRST_FUNCTION_OID + id.0
}

impl SystemViews {
    pub(super) fn pg_type(&self, output: &mut Output<'_>) {
        for info in registry::all() {
            let len = i64::from(info.len);
            output.row([
                ("oid", oid(info.oid.0)),
                ("typname", text(info.name)),
                ("typnamespace", oid(PG_CATALOG_OID)),
                ("typowner", oid(BOOTSTRAP_OID)),
                ("typlen", int2(len)),
                ("typbyval", flag((1..=8).contains(&len))),
                ("typtype", letter(info.kind)),
                ("typcategory", letter(info.category)),
                ("typispreferred", flag(info.preferred)),
                ("typisdefined", flag(true)),
                ("typdelim", letter(info.delimiter)),
                ("typrelid", oid(0)),
                ("typsubscript", oid(0)),
                ("typelem", oid(info.element.map_or(0, |element| element.0))),
                ("typarray", oid(info.array.map_or(0, |array| array.0))),
                ("typinput", oid(0)),
                ("typoutput", oid(0)),
                ("typreceive", oid(0)),
                ("typsend", oid(0)),
                ("typmodin", oid(0)),
                ("typmodout", oid(0)),
                ("typanalyze", oid(0)),
                ("typalign", letter('i')),
                ("typstorage", letter(if info.len == -1 { 'x' } else { 'p' })),
                ("typnotnull", flag(false)),
                ("typbasetype", oid(0)),
                ("typtypmod", int4(-1)),
                ("typndims", int4(0)),
                ("typcollation", oid(collation(info.oid))),
            ]);
        }
    }

    pub(super) fn pg_proc(&self, output: &mut Output<'_>) {
        for (id, function) in function::all().filter(|(_, function)| !function.operator) {
            let args = function.args.iter().map(|ty| oid(ty.0)).collect();
            let volatility = match function.volatility {
                Volatility::Immutable => 'i',
                Volatility::Stable => 's',
                Volatility::Volatile => 'v',
            };
            output.row([
                ("oid", oid(function_oid(id))),
                ("proname", text(function.name)),
                ("pronamespace", oid(PG_CATALOG_OID)),
                ("proowner", oid(BOOTSTRAP_OID)),
                ("prolang", oid(12)),
                ("procost", Value::Float4(1.0)),
                ("prorows", Value::Float4(if function.returns_set { 1000.0 } else { 0.0 })),
                ("provariadic", oid(0)),
                ("prosupport", oid(0)),
                ("prokind", letter('f')),
                ("prosecdef", flag(false)),
                ("proleakproof", flag(false)),
                ("proisstrict", flag(function.strict)),
                ("proretset", flag(function.returns_set)),
                ("provolatile", letter(volatility)),
                ("proparallel", letter('s')),
                ("pronargs", int2(function.args.len() as i64)),
                ("pronargdefaults", int2(0)),
                ("prorettype", oid(function.returns.0)),
                ("proargtypes", Value::Array(Box::new(Array { element: DataType::OID, values: args }))),
                ("prosrc", text(function.name)),
            ]);
        }
    }

    pub(super) fn pg_am(&self, output: &mut Output<'_>) {
        for (id, name, kind) in [(2, "heap", 't'), (403, "btree", 'i')] {
            output.row([("oid", oid(id)), ("amname", text(name)), ("amhandler", oid(0)), ("amtype", letter(kind))]);
        }
    }

    pub(super) fn pg_collation(&self, output: &mut Output<'_>) {
        for (id, name, provider, locale) in
            [(100, "default", 'd', None), (950, "C", 'c', Some("C")), (951, "POSIX", 'c', Some("POSIX"))]
        {
            let locale = || locale.map_or(Value::Null, text);
            output.row([
                ("oid", oid(id)),
                ("collname", text(name)),
                ("collnamespace", oid(PG_CATALOG_OID)),
                ("collowner", oid(BOOTSTRAP_OID)),
                ("collprovider", letter(provider)),
                ("collisdeterministic", flag(true)),
                ("collencoding", int4(-1)),
                ("collcollate", locale()),
                ("collctype", locale()),
            ]);
        }
    }

    pub(super) fn pg_language(&self, output: &mut Output<'_>) {
        for (id, name) in [(12, "internal"), (14, "sql")] {
            output.row([
                ("oid", oid(id)),
                ("lanname", text(name)),
                ("lanowner", oid(BOOTSTRAP_OID)),
                ("lanispl", flag(false)),
                ("lanpltrusted", flag(name == "sql")),
                ("lanplcallfoid", oid(0)),
                ("laninline", oid(0)),
                ("lanvalidator", oid(0)),
            ]);
        }
    }
}
