use super::*;

fn read(text: &str) -> Result<Value, Error> {
    Cursor::new(text.as_bytes()).value()
}

#[test]
fn values_are_read_and_written_back() {
    for text in [
        "nil",
        "true",
        "-17",
        "3.25",
        "1/2",
        ":ok",
        ":a/b",
        "sym",
        "\"a \\\"b\\\" \\n ä\"",
        "\\newline",
        "\\(",
        "[1 [2 nil] #{3}]",
        "{:a 1, \"b\" [2]}",
        "#inst \"2026-11-24\"",
    ] {
        assert_eq!(read(text).map(|value| value.to_string()), Ok(text.to_owned()));
    }
    assert_eq!(read("12N"), Ok(Value::Integer(12)));
    assert_eq!(read("99999999999999999999"), Ok(Value::Number("99999999999999999999".into())));
    assert_eq!(read("; a comment\n #_ (gone [1]) , [1 ; another\n 2]").unwrap().to_string(), "[1 2]");
}

#[test]
fn broken_texts_are_errors_with_a_place() {
    for (text, offset) in [("[1 2", 4), ("{:a}", 0), ("\"abc", 0), ("[1 }", 3), ("", 0), ("\"\\q\"", 2)] {
        assert_eq!(read(text).unwrap_err().offset, offset, "{text}");
        assert!(Cursor::new(text.as_bytes()).skip().is_err() || text == "{:a}" || text == "\"\\q\"", "{text}");
    }
}

#[test]
fn depth_is_bounded() {
    for deep in ["[".repeat(100_000), "#_[".repeat(100_000), "#a ".repeat(100_000), "{:a ".repeat(100_000)] {
        assert!(read(&deep).is_err());
        assert!(Cursor::new(deep.as_bytes()).skip().is_err());
    }
    let fits = format!("{}{}", "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX));
    assert!(read(&fits).is_ok());
}

/// Whatever the bytes, reading ends, and what can be read can be skipped to the same place.
#[test]
fn any_bytes_are_read_or_refused() {
    let mut rng = base::Rng::new(7);
    let alphabet = b"[](){}#_\"\\;:a1-N \n,\xff";
    for _ in 0..20_000 {
        let text: Vec<u8> = (0..rng.below(24)).map(|_| alphabet[rng.below(alphabet.len() as u64) as usize]).collect();
        let (mut one, mut other) = (Cursor::new(&text), Cursor::new(&text));
        if one.value().is_ok() {
            assert!(other.skip().is_ok(), "{:?}", String::from_utf8_lossy(&text));
            assert_eq!(one.offset(), other.offset(), "{:?}", String::from_utf8_lossy(&text));
        }
        let mut forms = Forms::new(&text[..]);
        while let Ok(Some(_)) = forms.next_form() {}
    }
}

#[test]
fn forms_are_found_in_lines_and_in_vectors() {
    let text = "; history\n[{:a \"}\"} {:b \\} :c #{1}},\n #tag{:d {:e 1}}]\n";
    // A reader that hands out one byte at a time.
    let mut forms = Forms::new(std::io::BufReader::with_capacity(1, text.as_bytes()));
    let mut found = Vec::new();
    while let Some(form) = forms.next_form().unwrap() {
        found.push((form.line, String::from_utf8_lossy(form.text).into_owned()));
    }
    let expected = [(2, "{:a \"}\"}"), (2, "{:b \\} :c #{1}}"), (3, "{:d {:e 1}}")];
    assert_eq!(found, expected.map(|(line, text)| (line, text.to_owned())));
    assert!(Forms::new(&b"{:a"[..]).next_form().is_err());
    assert!(Forms::new(&b"hello"[..]).next_form().is_err());
}
