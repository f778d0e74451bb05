use super::*;

fn error(text: &str) -> (String, Option<u32>) {
    let error = parse(text).unwrap_err();
    assert_eq!(error.state(), SqlState::SYNTAX_ERROR);
    (error.fields().message.clone(), error.fields().position)
}

#[test]
fn errors_name_the_token_and_its_place() {
    assert_eq!(error("selec 1"), ("syntax error at or near \"selec\"".into(), Some(1)));
    assert_eq!(error("select 1 from where"), ("syntax error at or near \"where\"".into(), Some(15)));
    assert_eq!(error("select (1"), ("syntax error at end of input".into(), Some(10)));
    assert_eq!(error("select 'abc"), ("unterminated quoted string at or near \"'abc\"".into(), Some(8)));
    assert_eq!(error("select 1; é selec"), ("syntax error at or near \"é\"".into(), Some(11)));
}

#[test]
fn texts_are_split() {
    let texts: Vec<String> =
        parse(" select 1 ;; select ';' ; ").unwrap().iter().map(|parsed| parsed.text.to_string()).collect();
    assert_eq!(texts, ["select 1", "select ';'"]);
    assert!(matches!(parse(" ; -- nothing\n").unwrap()[0].body, Body::Empty));
}

#[test]
fn rescued_statements() {
    let shown = |text: &str| match &parse(text).unwrap()[0].body {
        Body::Sql(statement) => statement.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(shown("select * from t for no key update"), "SELECT * FROM t FOR UPDATE OF \"\u{1}\"");
    assert_eq!(shown("select * from t for key share nowait"), "SELECT * FROM t FOR SHARE OF \"\u{1}\" NOWAIT");
    assert_eq!(
        shown("select * from a, b for key share of s.a, b skip locked for read only for update of a limit 1"),
        "SELECT * FROM a, b LIMIT 1 FOR SHARE OF \"\u{1}\".s.a SKIP LOCKED FOR SHARE OF \"\u{1}\".b SKIP LOCKED FOR UPDATE OF a"
    );
    assert_eq!(
        shown("insert into t values (1) on conflict (a) where b > 0 do nothing"),
        "INSERT INTO t VALUES (1) ON CONFLICT(a) DO NOTHING"
    );
    assert_eq!(shown("drop index concurrently i"), "DROP INDEX i");
    for text in ["vacuum t", "vacuum analyze t", "vacuum (verbose, analyze) t", "vacuum full analyze t"] {
        assert!(matches!(parse(text).unwrap()[0].body, Body::Own(_)), "{text}");
    }
    let freeze = shown("copy t from stdin with (freeze on, header off)");
    assert_eq!(freeze, shown("copy t from stdin with (freeze true, header false)"));
    let Body::SplitAt { rows, is_index, .. } = &parse("alter table s.t split at values (1), (2)").unwrap()[0].body
    else {
        panic!()
    };
    assert_eq!((rows.len(), *is_index), (2, false));
    let Body::Own(own) = &parse("alter range 7 transfer leader to 2").unwrap()[0].body else { panic!() };
    assert!(matches!(**own, OwnStatement::TransferLeader { range: 7, node: 2 }));
    for text in ["alter range 7 transfer leader", "alter range x transfer leader to 2", "alter range 7 transfer to 2"] {
        assert!(parse(text).is_err(), "{text}");
    }
}

#[test]
fn reserved_words_are_no_names() {
    let near = |text: &str| {
        let (message, position) = error(text);
        (message.trim_start_matches("syntax error at or near ").to_owned(), position)
    };
    assert_eq!(near("select 1 from where x = 1"), ("\"where\"".into(), Some(15)));
    assert_eq!(near("select * from a join order on true"), ("\"order\"".into(), Some(22)));
    assert_eq!(near("delete from USING"), ("\"USING\"".into(), Some(13)));
    assert_eq!(near("insert into select values (1)"), ("\"select\"".into(), Some(13)));
    assert_eq!(near("create table desc (a int)"), ("\"desc\"".into(), Some(14)));
    assert_eq!(near("select 1 day"), ("\"day\"".into(), Some(10)));
    for text in [
        "select 1 as from, 2 as day, t.from from t",
        "select * from \"where\", s.where",
        "select a is distinct from not b, substring(a from case when b then 1 end) from t",
        "select * from lateral (select 1) x",
        "select trim(leading 'x' from a), extract(day from b) from t",
        "select 1 all",
    ] {
        parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    }
}

#[test]
fn modes_of_transactions() {
    let shown = |text: &str| match &parse(text).unwrap()[0].body {
        Body::Own(own) => format!("{own:?}"),
        other => panic!("{other:?}"),
    };
    assert_eq!(shown("begin work"), "Transaction(Begin { start: false, modes: [] })");
    assert_eq!(
        shown("start transaction isolation level repeatable read read only, not deferrable"),
        "Transaction(Begin { start: true, modes: [Isolation(RepeatableRead), ReadOnly(true), Deferrable(false)] })"
    );
    assert_eq!(
        shown("set session characteristics as transaction isolation level read uncommitted"),
        "Transaction(SetDefaults([Isolation(ReadUncommitted)]))"
    );
    assert_eq!(shown("set local transaction read write"), "Transaction(Set([ReadOnly(false)]))");
    assert!(shown("begin as of system time '-1s'").contains("AsOf"));
    assert_eq!(error("set transaction"), ("syntax error at end of input".into(), Some(16)));
    assert_eq!(error("begin isolation level chaos"), ("syntax error at or near \"chaos\"".into(), Some(23)));
}

#[test]
fn times_of_the_past() {
    let read = |text: &str| {
        let parsed = parse(text).unwrap().remove(0);
        let Body::Sql(statement) = &parsed.body else { panic!() };
        (statement.to_string(), parsed.as_of.map(|time| time.to_string()))
    };
    assert_eq!(
        read("select * from t as of system time '-10s' where a = 1"),
        ("SELECT * FROM t WHERE a = 1".into(), Some("'-10s'".into()))
    );
    assert_eq!(
        read("explain select 1 as of system time now() - interval '1 s'"),
        ("EXPLAIN SELECT 1".into(), Some("now() - INTERVAL '1 s'".into()))
    );
    assert_eq!(error("select * from (select 1 as of system time '-1s') x").0, "syntax error at or near \"as\"");
}

#[test]
fn deep_nesting_is_refused() {
    let text = format!("select {}1{}", "(".repeat(5000), ")".repeat(5000));
    assert_eq!(parse(&text).unwrap_err().state(), SqlState::STATEMENT_TOO_COMPLEX);
}
