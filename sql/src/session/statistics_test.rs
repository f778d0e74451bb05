use super::*;

#[test]
fn fingerprints() {
    for (text, expected) in [
        ("select 1", "select $1"),
        ("SELECT  a1,\n b FROM t2 WHERE c = 'it''s' AND d=-1.5e-3 ;", "SELECT a1, b FROM t2 WHERE c = $1 AND d=-$2"),
        ("select $1 + 2, $3", "select $1 + $4, $3"),
        ("select E'a\\'b', x'ff', $q$ 'no' $q$, \"q 'x' 1\"", "select $1 /*, ... */, \"q 'x' 1\""),
        ("select /* hint /* 1 */ 2 */ a -- 3\n from t", "select a from t"),
        ("select * from t where a in (1, 2,3, 'x')", "select * from t where a in ($1 /*, ... */)"),
        ("insert into t values (1, a, 2), (3, b, 4)", "insert into t values ($1, a, $2), ($3, b, $4)"),
        ("alter role clerk password 'p1'", "alter role clerk password $1"),
        ("select 0x1F, 1_000, .5", "select $1 /*, ... */"),
        ("select 'open", "select $1"),
        ("/* open", ""),
        ("select größe, 'ü' from \"ä\"", "select größe, $1 from \"ä\""),
        ("", ""),
    ] {
        assert_eq!(fingerprint(text), expected, "{text}");
    }
}

#[test]
fn a_fingerprint_is_bounded() {
    let long = format!("select {}", "a, ".repeat(10_000));
    assert!(fingerprint(&long).len() <= FINGERPRINT_BYTES_MAX + 8);
}

#[test]
fn secrets_are_not_shown() {
    let shown = |text: &str| without_secrets(&text.into()).to_string();
    assert_eq!(shown("select 'x'"), "select 'x'");
    assert_eq!(shown("ALTER ROLE r PassWord 'hunter2'"), "ALTER ROLE r PassWord $1");
    assert_eq!(shown("SET locus.otp = '123456'"), "SET locus.otp = $1");
}

fn call(text: &str, millis: u64) -> Call<'_> {
    Call { text, first: true, took: Duration::from_millis(millis), rows: 2, error: None, retries: 1, plan: None, at: 7 }
}

#[test]
fn counted_by_fingerprint() {
    let statistics = Statistics::default();
    statistics.record(call("select 1", 10));
    statistics.record(call("select 2", 20));
    statistics.record(Call { error: Some(SqlState::DIVISION_BY_ZERO), ..call("select 1/0", 1) });
    let list = statistics.list();
    let (text, first) = &list[0];
    assert_eq!((&**text, first.calls, first.rows, first.retries), ("select $1", 2, 4, 2));
    assert_eq!((first.micros_min, first.micros_max, first.mean_millis()), (10_000, 20_000, 15.0));
    assert!((first.stddev_millis() - 5.0).abs() < 1e-9);
    assert_eq!(list[1].1.errors, BTreeMap::from([("22012", 1)]));
    assert_eq!(statistics.totals().calls, 3);
}

#[test]
fn what_is_called_least_is_forgotten() {
    let statistics = Statistics::default();
    for round in 0..3 {
        for name in 0..FINGERPRINTS_MAX + 100 {
            if round == 0 || name < 100 {
                statistics.record(call(&format!("select c{name}"), 1));
            }
        }
    }
    let list = statistics.list();
    assert!(list.len() <= FINGERPRINTS_MAX);
    assert!(statistics.totals().forgotten > 0);
    assert_eq!(rows_of_tag("INSERT 0 17") + rows_of_tag("SELECT 3") + rows_of_tag("CREATE TABLE"), 20);
}
