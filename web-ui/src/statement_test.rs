use super::*;

fn split(text: &str) -> Vec<&str> {
    statements(text).into_iter().map(|range| &text[range]).collect()
}

#[test]
fn keywords_are_sorted_for_the_search() {
    assert!(KEYWORDS.is_sorted());
}

#[test]
fn statements_end_at_semicolons_outside_of_quotes() {
    assert_eq!(split("select 1; select ';' ;"), ["select 1", "select ';'"]);
    assert_eq!(split("select 'it''s;' -- ; no\n; x"), ["select 'it''s;'", "x"]);
    assert_eq!(split("do $f$ a; b $f$; c"), ["do $f$ a; b $f$", "c"]);
    assert_eq!(split("/* a; /* b; */ c; */ select \"a;b\""), ["select \"a;b\""]);
    assert_eq!(split(r"select e'\';' ; y"), [r"select e'\';'", "y"]);
    assert!(split(" ;; -- nothing").is_empty());
}

#[test]
fn tokens_are_the_whole_text() {
    for text in ["", "sélect 'ü", "$1 + $x", "/* never ends", "\"open", "a.b::int4 <> 1.5e3;", "e'\\", "'", "$tag$"] {
        let joined: String = tokens(text).iter().map(|token| token.text).collect();
        assert_eq!(joined, text);
    }
}

#[test]
fn kinds() {
    let kinds = |text: &str| tokens(text).iter().map(|token| token.kind).collect::<Vec<_>>();
    assert_eq!(kinds("select x1"), [Kind::Keyword, Kind::Space, Kind::Name]);
    assert_eq!(kinds("1.5;'a'"), [Kind::Number, Kind::Semicolon, Kind::Text]);
    assert_eq!(kinds("$1"), [Kind::Other, Kind::Number]);
}

#[test]
fn the_word_that_is_being_typed() {
    assert_eq!(word_before("select * from pub.or", 20), "pub.or");
    assert_eq!(word_before("select (nam", 11), "nam");
    assert_eq!(word_before("select ", 7), "");
    assert_eq!(word_before("“ab", 5), "ab");
}

#[test]
fn names_and_texts_are_quoted_when_they_must_be() {
    assert_eq!(
        [quote_name("orders"), quote_name("Order"), quote_name("table"), quote_name("a\"b")],
        ["orders", "\"Order\"", "\"table\"", "\"a\"\"b\""]
    );
    assert_eq!(quote_text("it's"), "'it''s'");
    assert_eq!(verb("  -- c\n update t set x = 1"), "UPDATE");
}

#[test]
fn secrets_are_run_and_not_shown() {
    let statement = "ALTER ROLE clerk PASSWORD";
    assert_eq!(with_text(statement, "o'clock"), "ALTER ROLE clerk PASSWORD 'o''clock'");
    assert_eq!(with_text_hidden(statement), "ALTER ROLE clerk PASSWORD '…'");
}
