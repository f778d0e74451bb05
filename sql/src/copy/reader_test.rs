use super::*;

fn options(format: Format) -> Options {
    let csv = format == Format::Csv;
    Options {
        format,
        delimiter: if csv { b',' } else { b'\t' },
        null: if csv { String::new() } else { "\\N".to_owned() },
        header: false,
        quote: b'"',
        escape: b'"',
        force_quote: Vec::new(),
        force_not_null: Vec::new(),
        force_null: Vec::new(),
    }
}

/// Reads everything, fed in pieces of `size` bytes.
fn read(options: &Options, input: &[u8], size: usize) -> Vec<Vec<Field>> {
    let mut reader = Reader::new(options.clone(), &["a".into(), "b".into()]);
    let mut rows = Vec::new();
    for piece in input.chunks(size) {
        reader.push(piece).unwrap();
        while let Some(line) = reader.next_line(false).unwrap() {
            rows.push(reader.fields(&line).unwrap());
        }
    }
    while let Some(line) = reader.next_line(true).unwrap() {
        rows.push(reader.fields(&line).unwrap());
    }
    rows
}

fn some(text: &str) -> Field {
    Some(text.to_owned())
}

#[test]
fn text_is_cut_the_same_whatever_the_pieces() {
    let input = b"1\t\\N\r\n2\ta\\tb\\\nc\\x41\\101\\\\\n\t\n\\.\n9\t9\n";
    let expected = vec![vec![some("1"), None], vec![some("2"), some("a\tb\ncAA\\")], vec![some(""), some("")]];
    for size in 1..=input.len() {
        assert_eq!(read(&options(Format::Text), input, size), expected, "pieces of {size}");
    }
}

#[test]
fn csv_is_cut_the_same_whatever_the_pieces() {
    let input = b"1,\n2,\"\"\n3,\"a \"\"q\"\" ,\nb\"\r\n4,x\"y,\"z";
    let expected = vec![
        vec![some("1"), None],
        vec![some("2"), some("")],
        vec![some("3"), some("a \"q\" ,\nb")],
        vec![some("4"), some("xy,z")],
    ];
    for size in 1..=input.len() {
        assert_eq!(read(&options(Format::Csv), input, size), expected, "pieces of {size}");
    }
}

#[test]
fn a_header_is_left_out_and_an_open_quote_is_an_error() {
    let with_header = Options { header: true, ..options(Format::Csv) };
    assert_eq!(read(&with_header, b"a,b\n1,2\n", 3), vec![vec![some("1"), some("2")]]);
    let mut reader = Reader::new(options(Format::Csv), &["a".into()]);
    reader.push(b"\"abc\n").unwrap();
    assert!(reader.next_line(false).unwrap().is_none());
    assert_eq!(reader.next_line(true).unwrap_err().state().0, "22P04");
}

#[test]
fn bad_utf8_is_named() {
    let mut reader = Reader::new(options(Format::Text), &["a".into()]);
    reader.push(b"a\xff\n").unwrap();
    let line = reader.next_line(false).unwrap().unwrap();
    let error = reader.fields(&line).unwrap_err();
    assert_eq!(error.fields().message, "invalid byte sequence for encoding \"UTF8\": 0xff");
}
