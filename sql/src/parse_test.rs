use super::*;

fn error(text: &str) -> (String, Option<u32>) {
    let error = parse(text).unwrap_err();
    assert_eq!(error.state(), SqlState::SYNTAX_ERROR);
    (error.fields().message.clone(), error.fields().position)
}

#[test]
fn errors_name_the_token_and_its_place() {
    assert_eq!(error("selec 1"), ("syntax error at or near \"selec\"".into(), Some(1)));
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
    assert_eq!(shown("select * from t for no key update"), "SELECT * FROM t FOR UPDATE");
    assert_eq!(shown("select * from t for key share nowait"), "SELECT * FROM t FOR SHARE NOWAIT");
    assert_eq!(shown("select * from a, b for update of a, b"), "SELECT * FROM a, b FOR UPDATE OF a FOR UPDATE OF b");
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
fn deep_nesting_is_refused() {
    let text = format!("select {}1{}", "(".repeat(5000), ")".repeat(5000));
    assert_eq!(parse(&text).unwrap_err().state(), SqlState::STATEMENT_TOO_COMPLEX);
}
