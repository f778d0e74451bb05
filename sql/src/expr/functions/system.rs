//! The session and the system: who, where, settings, types, sequences, and the functions that the catalog answers.

use crate::{
    error::{Result, SqlError, SqlState},
    expr::function::{Body, Call, Registry, define},
    types::{Array, DataType, Value, convert::Oid, format_type, parse_type_name, registry as types},
};

/// What `version()` says: drivers look for the first number.
pub const VERSION: &str = "PostgreSQL 15.0 (Locus) on x86_64-pc-linux-gnu";

pub(super) fn register(registry: &mut Registry) {
    session(registry);
    types_and_settings(registry);
    catalog(registry);
    sequences(registry);
    identifiers(registry);
}

fn session(registry: &mut Registry) {
    define!(registry, "version() text", |_| VERSION);
    define!(registry, "session_user() name", |call| call.context.session.session_user.as_str()).stable();
    for name in ["current_user", "user", "current_role", "getpgusername"] {
        define!(registry, super::leak(format!("{name}() name")), |call| call.context.session.user.as_str()).stable();
    }
    for name in ["current_database", "current_catalog"] {
        define!(registry, super::leak(format!("{name}() name")), |call| call.context.session.database.as_str())
            .stable();
    }
    define!(registry, "current_schema() name", |call| {
        call.context.session.search_path.iter().find(|name| !name.starts_with('$')).map(String::as_str)
    })
    .stable();
    define!(registry, "current_schemas(bool) name[]", |call, implicit: bool| {
        let path = &call.context.session.search_path;
        let mut values: Vec<Value> = Vec::new();
        if implicit && path.iter().all(|name| name != "pg_catalog") {
            values.push(Value::text("pg_catalog"));
        }
        values.extend(path.iter().filter(|name| !name.starts_with('$')).map(|name| Value::text(name.as_str())));
        Array { element: DataType::NAME, values }
    })
    .stable();
    define!(registry, "pg_backend_pid() int4", |call| call.context.session.backend_pid).stable();
    define!(registry, "pg_is_in_recovery() bool", |_| false);
    // No table is a partition; psql asks for each one that is referenced.
    registry.add("pg_partition_ancestors(regclass) setof regclass", Body::Set(|_, _| Ok(Vec::new())));
    define!(registry, "pg_my_temp_schema() oid", |_| Oid(0));
    define!(registry, "pg_is_other_temp_schema(oid) bool", |_, _schema: Oid| false);
    define!(registry, "pg_client_encoding() name", |_| "UTF8");
    define!(registry, "pg_encoding_to_char(int4) name", |_, encoding: i32| match encoding {
        6 => "UTF8",
        0 => "SQL_ASCII",
        _ => "",
    });
    define!(registry, "pg_char_to_encoding(name) int4", |_, name: &str| match name.to_ascii_lowercase().as_str() {
        "utf8" | "utf-8" | "unicode" => 6,
        "sql_ascii" => 0,
        _ => -1,
    });
    define!(registry, "getdatabaseencoding() name", |_| "UTF8");
    define!(registry, "inet_server_addr() text", |_| None::<&str>).stable();
    define!(registry, "inet_client_addr() text", |_| None::<&str>).stable();
    define!(registry, "inet_server_port() int4", |_| None::<i32>).stable();
    define!(registry, "inet_client_port() int4", |_| None::<i32>).stable();
}

fn types_and_settings(registry: &mut Registry) {
    registry
        .add("pg_typeof(any) regtype", Body::One(|call, _| Ok(Value::Oid(call.arg_type(0).0))))
        .null_aware()
        .stable();
    define!(registry, "format_type(oid, int4) text", |_, ty: Option<Oid>, typmod: Option<i32>| {
        ty.map(|ty| match ty.0 {
            0 => "-".to_owned(),
            // Told the modifier, PostgreSQL calls CHAR without a length by its internal name.
            1042 if typmod == Some(-1) => "bpchar".to_owned(),
            oid => format_type(DataType(oid), typmod.unwrap_or(-1)),
        })
    })
    .null_aware();
    define!(registry, "to_regtype(text) regtype", |_, name: &str| {
        parse_type_name(name).ok().map(|(ty, _)| Oid(ty.0))
    })
    .stable();
    define!(registry, "pg_column_size(any) int4", |call, value: &Value| {
        let fixed = types::get(call.arg_type(0)).map_or(-1, |info| info.len);
        match value {
            _ if fixed > 0 => i32::from(fixed),
            other => super::text::output(call, 0, other).len() as i32 + 1,
        }
    })
    .stable();
    define!(registry, "current_setting(text) text", |call, name: &str| setting(call, name, false)).stable();
    define!(registry, "current_setting(text, bool) text", |call, name: &str, missing_ok: bool| {
        setting(call, name, missing_ok)
    })
    .stable();
}

fn setting(call: &Call<'_>, name: &str, missing_ok: bool) -> Result<Option<String>> {
    let session = &call.context.session;
    let lower = name.to_ascii_lowercase();
    if let Some(value) = session.settings.get(&lower) {
        return Ok(Some(value.clone()));
    }
    match lower.as_str() {
        "timezone" => Ok(Some(session.time_zone.clone())),
        "search_path" => Ok(Some(session.search_path.join(", "))),
        _ if missing_ok => Ok(None),
        _ => Err(SqlError::new(SqlState::UNDEFINED_OBJECT, format!("unrecognized configuration parameter \"{name}\""))),
    }
}

/// Functions that the catalog answers (`CatalogFunctions::call`). NULL in, NULL out.
pub const CATALOG_FUNCTIONS: &[&str] = &[
    "pg_get_userbyid(oid) name",
    "pg_table_is_visible(oid) bool",
    "pg_type_is_visible(oid) bool",
    "pg_function_is_visible(oid) bool",
    "pg_operator_is_visible(oid) bool",
    "pg_opclass_is_visible(oid) bool",
    "pg_collation_is_visible(oid) bool",
    "pg_get_indexdef(oid) text",
    "pg_get_indexdef(oid, int4, bool) text",
    "pg_get_constraintdef(oid) text",
    "pg_get_constraintdef(oid, bool) text",
    "pg_get_expr(text, oid) text",
    "pg_get_expr(text, oid, bool) text",
    "pg_get_viewdef(oid) text",
    "pg_get_viewdef(oid, bool) text",
    "pg_get_functiondef(oid) text",
    "pg_get_function_arguments(oid) text",
    "pg_get_function_identity_arguments(oid) text",
    "pg_get_function_result(oid) text",
    "pg_get_triggerdef(oid) text",
    "pg_get_triggerdef(oid, bool) text",
    "pg_get_ruledef(oid) text",
    "pg_get_ruledef(oid, bool) text",
    "pg_get_partkeydef(oid) text",
    "pg_get_statisticsobjdef_columns(oid) text",
    "pg_get_serial_sequence(text, text) text",
    "pg_relation_is_publishable(regclass) bool",
    "pg_relation_size(regclass) int8",
    "pg_relation_size(regclass, text) int8",
    "pg_total_relation_size(regclass) int8",
    "pg_table_size(regclass) int8",
    "pg_indexes_size(regclass) int8",
    "pg_database_size(name) int8",
    "pg_database_size(oid) int8",
    "pg_tablespace_location(oid) text",
    "obj_description(oid) text",
    "obj_description(oid, name) text",
    "col_description(oid, int4) text",
    "shobj_description(oid, name) text",
    "to_regclass(text) regclass",
    "to_regnamespace(text) regnamespace",
    "has_table_privilege(text, text) bool",
    "has_table_privilege(oid, text) bool",
    "has_table_privilege(name, text, text) bool",
    "has_table_privilege(name, oid, text) bool",
    "has_any_column_privilege(oid, text) bool",
    "has_column_privilege(text, text, text) bool",
    "has_column_privilege(oid, int2, text) bool",
    "has_column_privilege(oid, text, text) bool",
    "has_schema_privilege(text, text) bool",
    "has_schema_privilege(oid, text) bool",
    "has_schema_privilege(name, oid, text) bool",
    "has_schema_privilege(name, text, text) bool",
    "has_database_privilege(text, text) bool",
    "has_database_privilege(oid, text) bool",
    "has_database_privilege(name, text, text) bool",
    "has_sequence_privilege(text, text) bool",
    "has_sequence_privilege(oid, text) bool",
    "has_function_privilege(oid, text) bool",
    "has_type_privilege(oid, text) bool",
    "pg_has_role(name, text) bool",
    "pg_has_role(oid, text) bool",
    "pg_has_role(name, name, text) bool",
    "pg_sequence_last_value(regclass) int8",
];

fn catalog(registry: &mut Registry) {
    for signature in CATALOG_FUNCTIONS {
        registry.add(signature, Body::Many(ask_catalog)).stable().local();
    }
    for signature in ["pg_cancel_backend(int4) bool", "pg_terminate_backend(int4) bool"] {
        registry.add(signature, Body::Many(ask_catalog)).volatile().local();
    }
}

fn ask_catalog(call: &Call<'_>, args: &[Value]) -> Result<Value> {
    let catalog = call
        .context
        .catalog
        .as_ref()
        .ok_or_else(|| SqlError::internal("a catalog function was evaluated without a catalog"))?;
    catalog.call(call.name, args, &call.context.session)
}

fn sequences(registry: &mut Registry) {
    define!(registry, "nextval(regclass) int8", |call, sequence: Oid| source(call)?.nextval(sequence.0))
        .volatile()
        .local();
    define!(registry, "currval(regclass) int8", |call, sequence: Oid| source(call)?.currval(sequence.0))
        .volatile()
        .local();
    define!(registry, "lastval() int8", |call| source(call)?.lastval()).volatile().local();
    define!(registry, "setval(regclass, int8) int8", |call, sequence: Oid, value: i64| {
        source(call)?.setval(sequence.0, value, true)
    })
    .volatile()
    .local();
    define!(registry, "setval(regclass, int8, bool) int8", |call, sequence: Oid, value: i64, is_called: bool| {
        source(call)?.setval(sequence.0, value, is_called)
    })
    .volatile()
    .local();
    // The binder makes a plan's step of it; here it is for its signature.
    define!(registry, "pg_sleep(float8) void", |_call, _seconds: f64| {
        Err::<i64, _>(SqlError::unsupported("pg_sleep in this place"))
    })
    .volatile()
    .local();
}

fn source<'a>(call: &'a Call<'_>) -> Result<&'a dyn crate::expr::SequenceFunctions> {
    call.context
        .sequences
        .as_deref()
        .ok_or_else(|| SqlError::internal("a sequence function was evaluated without sequences"))
}

fn identifiers(registry: &mut Registry) {
    for name in ["gen_random_uuid", "uuid_generate_v4"] {
        define!(registry, super::leak(format!("{name}() uuid")), |call| {
            call.context.runtime().map(|runtime| {
                uuid::Builder::from_random_bytes(runtime.random_u128().to_be_bytes()).into_uuid().into_bytes()
            })
        })
        .volatile();
    }
}
