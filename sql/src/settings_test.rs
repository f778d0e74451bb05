use super::*;

fn state(result: Result<()>) -> &'static str {
    result.map_or_else(|error| error.state().0, |()| "ok")
}

#[test]
fn values_are_normalised_and_shown_with_units() {
    let mut settings = Settings::new("u");
    for (name, value, shown) in [
        ("statement_timeout", "90s", "90s"),
        ("statement_timeout", "120000", "2min"),
        ("work_mem", "4MB", "4MB"),
        ("STATEMENT_TIMEOUT", "0", "0"),
        ("datestyle", "iso, dmy", "ISO, DMY"),
        ("client_encoding", "utf-8", "UTF8"),
        ("jit", "tr", "on"),
        ("my.own", "x", "x"),
    ] {
        settings.set(name, Some(value), false).unwrap();
        assert_eq!(settings.show(name).as_deref(), Some(shown), "{name}");
    }
}

#[test]
fn bad_values_are_refused() {
    let mut settings = Settings::new("u");
    assert_eq!(state(settings.set("no_such", Some("1"), false)), "42704");
    assert_eq!(state(settings.set("jit", Some("o"), false)), "22023");
    assert_eq!(state(settings.set("statement_timeout", Some("-1"), false)), "22023");
    assert_eq!(state(settings.set("statement_timeout", Some("1x"), false)), "22023");
    assert_eq!(state(settings.set("TimeZone", Some("Mars/Olympus"), false)), "22023");
    assert_eq!(state(settings.set("server_version", Some("1"), false)), "55P02");
}

#[test]
fn local_ends_with_the_transaction_and_rollback_returns() {
    let mut settings = Settings::new("u");
    settings.set("lock_timeout", Some("1s"), false).unwrap();
    let mark = settings.mark();
    settings.set("lock_timeout", Some("2s"), true).unwrap();
    assert_eq!(settings.show("lock_timeout").unwrap(), "2s");
    settings.end_local();
    assert_eq!(settings.show("lock_timeout").unwrap(), "1s");
    settings.set("lock_timeout", Some("3s"), false).unwrap();
    settings.return_to(mark);
    assert_eq!(settings.show("lock_timeout").unwrap(), "1s");
}

#[test]
fn changes_are_reported_once() {
    let mut settings = Settings::new("u");
    assert!(settings.take_changes().iter().any(|(name, _)| name == "server_version"));
    assert!(settings.take_changes().is_empty());
    settings.set("application_name", Some("psql"), false).unwrap();
    assert_eq!(settings.take_changes(), [("application_name".to_owned(), "psql".to_owned())]);
}

#[test]
fn search_path_is_split_like_identifiers() {
    let mut settings = Settings::new("joe");
    assert_eq!(settings.search_path("joe"), ["joe", "public"]);
    settings.set("search_path", Some("A, \"B c\""), false).unwrap();
    assert_eq!(settings.search_path("joe"), ["a", "B c"]);
}

#[test]
fn every_setting_is_found() {
    for known in DEFINITIONS {
        let found = definition(&known.name.to_uppercase());
        assert_eq!(found.map(|found| found.name), Some(known.name), "the list must be in order");
    }
    assert!(definition("no_such_setting").is_none());
}

#[test]
fn the_transaction_is_shown() {
    let mut settings = Settings::new("somebody");
    let before = settings.generation();
    settings.mirror(Characteristics::default());
    assert_eq!(settings.generation(), before, "nothing has changed");
    settings.mirror(Characteristics { level: Level::ReadCommitted, read_only: true, deferrable: false });
    assert_ne!(settings.generation(), before);
    assert_eq!(settings.show("transaction_isolation").as_deref(), Some("read committed"));
    assert_eq!(settings.show("TRANSACTION_READ_ONLY").as_deref(), Some("on"));
    assert_eq!(settings.show("transaction_deferrable").as_deref(), Some("off"));
}
