//! Settings (`SET`, `SHOW`): what exists, what is valid, and the values of one session with PostgreSQL's transactional
//! behaviour (a `SET` is undone with its transaction, a `SET LOCAL` ends with it).

mod identity;

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    error::{Result, SqlError, SqlState},
    parse::Level,
};

/// What a setting accepts and how it is shown.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Bool,
    /// A plain number within bounds.
    Int(i64, i64),
    Real(f64, f64),
    /// Milliseconds; units `us ms s min h d`.
    Millis(i64, i64),
    /// Kilobytes; units `B kB MB GB TB`.
    KiloBytes(i64, i64),
    Text,
    Enum(&'static [&'static str]),
    /// `client_encoding`: UTF8 under its many names.
    Encoding,
    TimeZone,
    DateStyle,
    /// Can be shown and not set.
    ReadOnly,
}

/// One known setting.
#[derive(Debug)]
pub struct Definition {
    pub name: &'static str,
    pub kind: Kind,
    pub default: &'static str,
    pub description: &'static str,
}

const fn define(name: &'static str, kind: Kind, default: &'static str, description: &'static str) -> Definition {
    Definition { name, kind, default, description }
}

const ISOLATION: Kind = Kind::Enum(&["serializable", "repeatable read", "read committed", "read uncommitted"]);
const MESSAGE_LEVELS: Kind = Kind::Enum(&[
    "debug5", "debug4", "debug3", "debug2", "debug1", "debug", "log", "info", "notice", "warning", "error",
]);
const INT_MAX: i64 = i32::MAX as i64;

/// The PostgreSQL version whose behaviour is followed.
pub const SERVER_VERSION: &str = "15.0 (Locus 0.1.0)";
pub const SERVER_VERSION_NUM: &str = "150000";

/// All known settings, by name (case does not matter), sorted as `SHOW ALL` lists them.
#[rustfmt::skip]
pub const DEFINITIONS: &[Definition] = &[
    define("application_name", Kind::Text, "", "Sets the application name to be reported in statistics and logs."),
    define("array_nulls", Kind::Bool, "on", "Enable input of NULL elements in arrays."),
    define("backslash_quote", Kind::Enum(&["safe_encoding", "on", "off"]), "safe_encoding", "Sets whether \"\\'\" is allowed in string literals."),
    define("bytea_output", Kind::Enum(&["hex"]), "hex", "Sets the output format for bytea."),
    define("check_function_bodies", Kind::Bool, "on", "Check routine bodies during CREATE FUNCTION and CREATE PROCEDURE."),
    define("client_encoding", Kind::Encoding, "UTF8", "Sets the client's character set encoding."),
    define("client_min_messages", MESSAGE_LEVELS, "notice", "Sets the message levels that are sent to the client."),
    define("DateStyle", Kind::DateStyle, "ISO, MDY", "Sets the display format for date and time values."),
    define("deadlock_timeout", Kind::Millis(1, INT_MAX), "1000", "Sets the time to wait on a lock before checking for deadlock."),
    define("default_table_access_method", Kind::Text, "heap", "Sets the default table access method for new tables."),
    define("default_tablespace", Kind::Text, "", "Sets the default tablespace to create tables and indexes in."),
    define("default_transaction_deferrable", Kind::Bool, "off", "Sets the default deferrable status of new transactions."),
    define("default_transaction_isolation", ISOLATION, "serializable", "Sets the transaction isolation level of each new transaction."),
    define("default_transaction_read_only", Kind::Bool, "off", "Sets the default read-only status of new transactions."),
    define("enable_hashjoin", Kind::Bool, "on", "Enables the planner's use of hash join plans."),
    define("enable_indexscan", Kind::Bool, "on", "Enables the planner's use of index-scan plans."),
    define("enable_mergejoin", Kind::Bool, "on", "Enables the planner's use of merge join plans."),
    define("enable_nestloop", Kind::Bool, "on", "Enables the planner's use of nested-loop join plans."),
    define("enable_seqscan", Kind::Bool, "on", "Enables the planner's use of sequential-scan plans."),
    define("escape_string_warning", Kind::Bool, "on", "Warn about backslash escapes in ordinary string literals."),
    define("extra_float_digits", Kind::Int(-15, 3), "1", "Sets the number of digits displayed for floating-point values."),
    define("from_collapse_limit", Kind::Int(1, INT_MAX), "8", "Sets the FROM-list size beyond which subqueries are not collapsed."),
    define("geqo", Kind::Bool, "on", "Enables genetic query optimization."),
    define("idle_in_transaction_session_timeout", Kind::Millis(0, INT_MAX), "0", "Sets the maximum allowed idle time between queries, when in a transaction."),
    define("idle_session_timeout", Kind::Millis(0, INT_MAX), "0", "Sets the maximum allowed idle time between queries, when not in a transaction."),
    define("in_hot_standby", Kind::ReadOnly, "off", "Shows whether hot standby is currently active."),
    define("integer_datetimes", Kind::ReadOnly, "on", "Shows whether datetimes are integer based."),
    define("IntervalStyle", Kind::Enum(&["postgres"]), "postgres", "Sets the display format for interval values."),
    define("is_superuser", Kind::ReadOnly, "off", "Shows whether the current user is a superuser."),
    define("jit", Kind::Bool, "off", "Allow JIT compilation."),
    define("join_collapse_limit", Kind::Int(1, INT_MAX), "8", "Sets the FROM-list size beyond which JOIN constructs are not flattened."),
    define("lc_collate", Kind::ReadOnly, "C", "Shows the collation order locale."),
    define("lc_ctype", Kind::ReadOnly, "C.UTF-8", "Shows the character classification and case conversion locale."),
    define("lc_messages", Kind::Text, "C", "Sets the language in which messages are displayed."),
    define("lc_monetary", Kind::Text, "C", "Sets the locale for formatting monetary amounts."),
    define("lc_numeric", Kind::Text, "C", "Sets the locale for formatting numbers."),
    define("lc_time", Kind::Text, "C", "Sets the locale for formatting date and time values."),
    define("lock_timeout", Kind::Millis(0, INT_MAX), "0", "Sets the maximum allowed duration of any wait for a lock."),
    define("log_min_messages", MESSAGE_LEVELS, "warning", "Sets the message levels that are logged."),
    define("log_statement", Kind::Enum(&["none", "ddl", "mod", "all"]), "none", "Sets the type of statements logged."),
    define("maintenance_work_mem", Kind::KiloBytes(1024, INT_MAX), "65536", "Sets the maximum memory to be used for maintenance operations."),
    define("max_connections", Kind::ReadOnly, "1000", "Sets the maximum number of concurrent connections."),
    define("max_identifier_length", Kind::ReadOnly, "63", "Shows the maximum identifier length."),
    define("max_index_keys", Kind::ReadOnly, "32", "Shows the maximum number of index keys."),
    define("max_parallel_workers_per_gather", Kind::Int(0, 1024), "0", "Sets the maximum number of parallel processes per executor node."),
    define("password_encryption", Kind::Enum(&["argon2id", "scram-sha-256"]), "argon2id", "Chooses the algorithm for encrypting passwords."),
    define("plan_cache_mode", Kind::Enum(&["auto", "force_generic_plan", "force_custom_plan"]), "auto", "Controls the planner's selection of custom or generic plan."),
    define("quote_all_identifiers", Kind::Bool, "off", "When generating SQL fragments, quote all identifiers."),
    define("random_page_cost", Kind::Real(0.0, f64::MAX), "4", "Sets the planner's estimate of the cost of a nonsequentially fetched disk page."),
    define("role", Kind::ReadOnly, "none", "Sets the current role."),
    define("row_security", Kind::Bool, "on", "Enable row security."),
    define("search_path", Kind::Text, "\"$user\", public", "Sets the schema search order for names that are not schema-qualified."),
    define("seed", Kind::Text, "unavailable", "Sets the seed for random-number generation."),
    define("server_encoding", Kind::ReadOnly, "UTF8", "Shows the server (database) character set encoding."),
    define("server_version", Kind::ReadOnly, SERVER_VERSION, "Shows the server version."),
    define("server_version_num", Kind::ReadOnly, SERVER_VERSION_NUM, "Shows the server version as an integer."),
    define("session_authorization", Kind::ReadOnly, "", "Sets the session user name."),
    define("session_replication_role", Kind::Enum(&["origin", "replica", "local"]), "origin", "Sets the session's behavior for triggers and rewrite rules."),
    define("shared_buffers", Kind::ReadOnly, "128MB", "Sets the number of shared memory buffers used by the server."),
    define("standard_conforming_strings", Kind::Enum(&["on"]), "on", "Causes '...' strings to treat backslashes literally."),
    define("statement_timeout", Kind::Millis(0, INT_MAX), "0", "Sets the maximum allowed duration of any statement."),
    define("synchronize_seqscans", Kind::Bool, "on", "Enable synchronized sequential scans."),
    define("synchronous_commit", Kind::Enum(&["on", "off", "local", "remote_write", "remote_apply"]), "on", "Sets the current transaction's synchronization level."),
    define("TimeZone", Kind::TimeZone, "UTC", "Sets the time zone for displaying and interpreting time stamps."),
    define("transaction_deferrable", Kind::Bool, "off", "Whether to defer a read-only serializable transaction until it can be executed with no possible serialization failures."),
    define("transaction_isolation", ISOLATION, "serializable", "Sets the current transaction's isolation level."),
    define("transaction_read_only", Kind::Bool, "off", "Sets the current transaction's read-only status."),
    define("transform_null_equals", Kind::Bool, "off", "Treats \"expr=NULL\" as \"expr IS NULL\"."),
    define("vacuum_cost_delay", Kind::Real(0.0, 100.0), "0", "Vacuum cost delay in milliseconds."),
    define("wal_level", Kind::ReadOnly, "replica", "Sets the level of information written to the WAL."),
    define("work_mem", Kind::KiloBytes(64, INT_MAX), "65536", "Sets the maximum memory to be used for query workspaces."),
    define("xmlbinary", Kind::Enum(&["base64", "hex"]), "base64", "Sets how binary values are to be encoded in XML."),
    define("xmloption", Kind::Enum(&["content", "document"]), "content", "Sets whether XML data in implicit parsing and serialization operations is to be considered as documents or content fragments."),
];

/// What the protocol reports to the client whenever it changes.
const REPORTED: &[&str] = &[
    "application_name",
    "client_encoding",
    "DateStyle",
    "default_transaction_read_only",
    "in_hot_standby",
    "integer_datetimes",
    "IntervalStyle",
    "is_superuser",
    "server_encoding",
    "server_version",
    "session_authorization",
    "standard_conforming_strings",
    "TimeZone",
];

/// What a one-time code is called in the start-up packet. It is not a setting: nothing keeps it.
pub const ONE_TIME_CODE: &str = "locus.otp";

/// Finds a setting by name; case does not matter.
pub fn definition(name: &str) -> Option<&'static Definition> {
    let order = |known: &Definition| {
        let known = known.name.bytes().map(|byte| byte.to_ascii_lowercase());
        known.cmp(name.bytes().map(|byte| byte.to_ascii_lowercase()))
    };
    DEFINITIONS.binary_search_by(order).ok().map(|found| &DEFINITIONS[found])
}

/// Values that differ from the defaults, by lower-case name.
pub type Overrides = Arc<BTreeMap<String, String>>;

/// The values of one session.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What holds when nothing was set: start-up values of this connection over the built-in ones.
    startup: Overrides,
    /// What survives the transaction.
    session: Overrides,
    /// What holds now: `session` and what was `SET LOCAL`.
    current: Overrides,
    /// What `transaction_isolation` and its kin show.
    characteristics: Characteristics,
    /// What the client was told, and the generation that it was right for. Shared: every statement has a copy of the settings.
    reported: Arc<BTreeMap<&'static str, String>>,
    reported_at: Option<u64>,
    /// Grows with every change: whoever derives something from settings compares it.
    generation: u64,
}

/// What a transaction is like. It belongs to the transaction; the settings show it under the names that PostgreSQL gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Characteristics {
    pub level: Level,
    pub read_only: bool,
    pub deferrable: bool,
}

impl Default for Characteristics {
    fn default() -> Characteristics {
        Characteristics { level: Level::Serializable, read_only: false, deferrable: false }
    }
}

impl Characteristics {
    fn show(self, name: &str) -> Option<&'static str> {
        let switch = |on: bool| Some(if on { "on" } else { "off" });
        match name {
            "transaction_isolation" => Some(self.level.name()),
            "transaction_read_only" => switch(self.read_only),
            "transaction_deferrable" => switch(self.deferrable),
            _ => None,
        }
    }
}

/// A point to return to.
#[derive(Clone, Debug)]
pub struct SettingsMark {
    session: Overrides,
    current: Overrides,
}

impl Settings {
    pub fn new(user: &str) -> Settings {
        let startup = Arc::new(BTreeMap::from([("session_authorization".to_owned(), user.to_owned())]));
        Settings {
            session: Arc::clone(&startup),
            current: Arc::clone(&startup),
            startup,
            characteristics: Characteristics::default(),
            reported: Arc::default(),
            reported_at: None,
            generation: 0,
        }
    }

    /// A value given at start-up: it is also what `RESET` returns to.
    pub fn set_startup(&mut self, name: &str, value: &str) -> Result<()> {
        let (key, value) = validated(name, value)?;
        Arc::make_mut(&mut self.startup).insert(key, value);
        self.session = Arc::clone(&self.startup);
        self.current = Arc::clone(&self.startup);
        self.generation += 1;
        Ok(())
    }

    /// `SET [LOCAL]`; `None` resets.
    pub fn set(&mut self, name: &str, value: Option<&str>, local: bool) -> Result<()> {
        let (key, value) = match value {
            Some(value) => validated(name, value).map(|(key, value)| (key, Some(value)))?,
            None => {
                let key = known_key(name)?;
                let value = self.startup.get(&key).cloned();
                (key, value)
            }
        };
        let apply = |map: &mut Overrides| match &value {
            Some(value) => {
                Arc::make_mut(map).insert(key.clone(), value.clone());
            }
            None => {
                Arc::make_mut(map).remove(&key);
            }
        };
        apply(&mut self.current);
        if !local {
            apply(&mut self.session);
        }
        self.generation += 1;
        Ok(())
    }

    /// From now on this is what the settings of the current transaction show.
    pub fn mirror(&mut self, characteristics: Characteristics) {
        if self.characteristics != characteristics {
            self.characteristics = characteristics;
            self.generation += 1;
        }
    }

    /// The value as `SHOW` prints it; `None` for a setting that does not exist.
    pub fn show(&self, name: &str) -> Option<String> {
        let key = name.to_ascii_lowercase();
        if let Some(value) = self.characteristics.show(&key) {
            return Some(value.to_owned());
        }
        let raw = self.current.get(&key).map(String::as_str);
        match definition(name) {
            Some(definition) => Some(display(definition.kind, raw.unwrap_or(definition.default))),
            None => raw.map(str::to_owned),
        }
    }

    /// The value of a setting known to exist.
    pub fn get(&self, name: &'static str) -> &str {
        let plain = !name.bytes().any(|byte| byte.is_ascii_uppercase());
        let raw = if plain { self.current.get(name) } else { self.current.get(&name.to_ascii_lowercase()) };
        let raw = raw.map(String::as_str);
        raw.or_else(|| definition(name).map(|definition| definition.default)).unwrap_or("")
    }

    pub fn is_on(&self, name: &'static str) -> bool {
        self.get(name) == "on"
    }

    /// A number (milliseconds, kilobytes).
    pub fn number(&self, name: &'static str) -> i64 {
        self.get(name).parse().unwrap_or(0)
    }

    /// The schemas of `search_path`, `"$user"` replaced.
    pub fn search_path(&self, user: &str) -> Vec<String> {
        split_identifiers(self.get("search_path"))
            .into_iter()
            .map(|name| if name == "$user" { user.to_owned() } else { name })
            .collect()
    }

    /// All known settings and custom ones, as `SHOW ALL` lists them: name, value, description.
    pub fn all(&self) -> Vec<(String, String, &'static str)> {
        let mut all: Vec<_> = DEFINITIONS
            .iter()
            .map(|known| (known.name.to_owned(), self.show(known.name).unwrap_or_default(), known.description))
            .collect();
        let custom = self.current.iter().filter(|(name, _)| definition(name).is_none());
        all.extend(custom.map(|(name, value)| (name.clone(), value.clone(), "")));
        all
    }

    pub fn mark(&self) -> SettingsMark {
        SettingsMark { session: Arc::clone(&self.session), current: Arc::clone(&self.current) }
    }

    pub fn return_to(&mut self, mark: SettingsMark) {
        self.session = mark.session;
        self.current = mark.current;
        self.generation += 1;
    }

    /// The transaction has committed: what was `LOCAL` ends.
    pub fn end_local(&mut self) {
        if !Arc::ptr_eq(&self.current, &self.session) {
            self.current = Arc::clone(&self.session);
            self.generation += 1;
        }
    }

    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Reported settings whose values differ from what was reported last.
    pub fn take_changes(&mut self) -> Vec<(String, String)> {
        let mut changes = Vec::new();
        if self.reported_at.replace(self.generation) == Some(self.generation) {
            return changes;
        }
        for name in REPORTED {
            let value = self.show(name).unwrap_or_default();
            if self.reported.get(name) != Some(&value) {
                changes.push(((*name).to_owned(), value.clone()));
                Arc::make_mut(&mut self.reported).insert(name, value);
            }
        }
        changes
    }
}

fn known_key(name: &str) -> Result<String> {
    if name.eq_ignore_ascii_case(ONE_TIME_CODE) {
        let message = format!("parameter \"{ONE_TIME_CODE}\" cannot be set after connection start");
        return Err(SqlError::new(SqlState("55P02"), message));
    }
    if definition(name).is_none() && !name.contains('.') {
        return Err(unknown(name));
    }
    Ok(name.to_ascii_lowercase())
}

/// The error for a setting that does not exist.
pub fn unknown(name: &str) -> SqlError {
    SqlError::new(SqlState::UNDEFINED_OBJECT, format!("unrecognized configuration parameter \"{name}\""))
}

/// The error for a value that a switch does not take.
pub fn not_boolean(name: &str) -> SqlError {
    let message = format!("parameter \"{name}\" requires a Boolean value");
    SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// The error for a value that a known setting does not take.
pub fn invalid(name: &str, value: &str) -> SqlError {
    let error = SqlError::new(SqlState::INVALID_PARAMETER_VALUE, invalid_message(name, value));
    match definition(name).map(|definition| definition.kind) {
        Some(Kind::Enum(choices)) => error.hint(format!("Available values: {}.", choices.join(", "))),
        _ => error,
    }
}

/// Checks a value and brings it into the form that is stored.
fn validated(name: &str, value: &str) -> Result<(String, String)> {
    let key = known_key(name)?;
    let Some(definition) = definition(name) else {
        return Ok((key, value.to_owned()));
    };
    let name = definition.name;
    let invalid = || invalid(name, value);
    let value = match definition.kind {
        Kind::ReadOnly => {
            let message = format!("parameter \"{name}\" cannot be changed");
            return Err(SqlError::new(SqlState("55P02"), message));
        }
        Kind::Text => value.to_owned(),
        Kind::Bool => match parse_bool(value) {
            Some(true) => "on".to_owned(),
            Some(false) => "off".to_owned(),
            None => return Err(not_boolean(name)),
        },
        Kind::Int(low, high) => bounded(name, value.trim().parse().map_err(|_| invalid())?, low, high, "")?,
        Kind::Real(low, high) => {
            let number: f64 = value.trim().parse().map_err(|_| invalid())?;
            if !(low..=high).contains(&number) {
                return Err(outside(name, number, low, high, ""));
            }
            number.to_string()
        }
        Kind::Millis(low, high) => {
            let units = "Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", and \"d\".";
            bounded(name, with_unit(value, MILLIS).ok_or_else(|| invalid().hint(units))?, low, high, " ms")?
        }
        Kind::KiloBytes(low, high) => {
            let units = "Valid units for this parameter are \"B\", \"kB\", \"MB\", \"GB\", and \"TB\".";
            bounded(name, with_unit(value, KILOBYTES).ok_or_else(|| invalid().hint(units))?, low, high, " kB")?
        }
        Kind::Enum(choices) => match choices.iter().find(|choice| choice.eq_ignore_ascii_case(value)) {
            Some(choice) => (*choice).to_owned(),
            None => return Err(invalid()),
        },
        Kind::Encoding => {
            let plain: String = value.chars().filter(char::is_ascii_alphanumeric).collect();
            match plain.to_ascii_uppercase().as_str() {
                "UTF8" | "UNICODE" => "UTF8".to_owned(),
                // A client that says so takes the bytes as they are, which is UTF-8.
                "SQLASCII" => "SQL_ASCII".to_owned(),
                _ => return Err(invalid()),
            }
        }
        Kind::TimeZone => time_zone(value).ok_or_else(invalid)?,
        Kind::DateStyle => date_style(value).ok_or_else(invalid)?,
    };
    Ok((key, value))
}

fn invalid_message(name: &str, value: &str) -> String {
    format!("invalid value for parameter \"{name}\": \"{value}\"")
}

fn bounded(name: &str, number: i64, low: i64, high: i64, unit: &str) -> Result<String> {
    if (low..=high).contains(&number) { Ok(number.to_string()) } else { Err(outside(name, number, low, high, unit)) }
}

fn outside<T: std::fmt::Display>(name: &str, number: T, low: T, high: T, unit: &str) -> SqlError {
    let message = format!("{number}{unit} is outside the valid range for parameter \"{name}\" ({low} .. {high})");
    SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// Units in multiples of the base unit, greatest first; below one as fractions.
const MILLIS: &[(&str, f64)] =
    &[("d", 86_400_000.0), ("h", 3_600_000.0), ("min", 60_000.0), ("s", 1000.0), ("ms", 1.0), ("us", 0.001)];
const KILOBYTES: &[(&str, f64)] =
    &[("TB", 1_073_741_824.0), ("GB", 1_048_576.0), ("MB", 1024.0), ("kB", 1.0), ("B", 1.0 / 1024.0)];

fn with_unit(text: &str, units: &[(&str, f64)]) -> Option<i64> {
    let text = text.trim();
    let digits = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '-' | '+' | '.'))).unwrap_or(text.len());
    let number: f64 = text[..digits].parse().ok()?;
    let factor = match text[digits..].trim() {
        "" => 1.0,
        unit => units.iter().find(|(name, _)| *name == unit)?.1,
    };
    let value = (number * factor).round();
    // Beyond this a float no longer counts every integer; the bounds of all settings are far below.
    (value.abs() < 9e15).then_some(value as i64)
}

fn display(kind: Kind, raw: &str) -> String {
    let units = match kind {
        Kind::Millis(..) => MILLIS,
        Kind::KiloBytes(..) => KILOBYTES,
        _ => return raw.to_owned(),
    };
    let Ok(number) = raw.parse::<i64>() else { return raw.to_owned() };
    if number == 0 {
        return raw.to_owned();
    }
    let fits = |factor: f64| factor >= 1.0 && number % factor as i64 == 0;
    match units.iter().find(|(_, factor)| fits(*factor)) {
        Some((unit, factor)) => format!("{}{unit}", number / *factor as i64),
        None => raw.to_owned(),
    }
}

/// `on`, `off` and their kin; unambiguous beginnings count.
pub fn parse_bool(text: &str) -> Option<bool> {
    let text = text.trim().to_ascii_lowercase();
    if text.is_empty() {
        return None;
    }
    match text.as_str() {
        "on" | "1" => Some(true),
        "off" | "of" | "0" => Some(false),
        word if "true".starts_with(word) || "yes".starts_with(word) => Some(true),
        word if "false".starts_with(word) || "no".starts_with(word) => Some(false),
        _ => None,
    }
}

fn time_zone(value: &str) -> Option<String> {
    let value = value.trim();
    if value.eq_ignore_ascii_case("default") || value.eq_ignore_ascii_case("local") {
        return Some("UTC".to_owned());
    }
    if value.eq_ignore_ascii_case("utc") || value.eq_ignore_ascii_case("gmt") || value.eq_ignore_ascii_case("z") {
        return Some(value.to_ascii_uppercase().replace('Z', "UTC"));
    }
    if value.parse::<f64>().is_ok_and(|hours| hours.abs() < 16.0) {
        return Some(value.to_owned());
    }
    let fixed = value.strip_prefix(['+', '-']).is_some_and(|rest| {
        !rest.is_empty() && rest.split(':').all(|part| part.len() <= 2 && part.parse::<u8>().is_ok())
    });
    if fixed {
        return Some(value.to_owned());
    }
    let zone = jiff::tz::TimeZone::get(value).ok()?;
    Some(zone.iana_name().unwrap_or(value).to_owned())
}

fn date_style(value: &str) -> Option<String> {
    let mut order = "MDY";
    for word in value.split(',').map(str::trim) {
        match word.to_ascii_uppercase().as_str() {
            "ISO" | "DEFAULT" => {}
            "MDY" | "US" | "NONEUROPEAN" => order = "MDY",
            "DMY" | "EURO" | "EUROPEAN" => order = "DMY",
            "YMD" => order = "YMD",
            _ => return None,
        }
    }
    Some(format!("ISO, {order}"))
}

/// Splits a list of identifiers as in `search_path`: quotes are removed, unquoted names folded to lower case.
pub fn split_identifiers(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut name = String::new();
    let mut quoted = false;
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => names.push(std::mem::take(&mut name)),
            c if c.is_whitespace() && !quoted => {}
            c if quoted => name.push(c),
            c => name.extend(c.to_lowercase()),
        }
    }
    names.push(name);
    names.retain(|name| !name.is_empty());
    names
}

#[cfg(test)]
#[path = "settings_test.rs"]
mod tests;
