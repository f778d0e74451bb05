use super::*;

fn decode(tag: u8, body: &[u8]) -> Result<ClientMessage, Invalid> {
    ClientMessage::decode(tag, Bytes::copy_from_slice(body))
}

/// A Bind of statement `s` to portal `p` with two parameters, one of them NULL.
const BIND: &[u8] = b"p\0s\0\0\x01\0\x01\0\x02\0\0\0\x02hi\xff\xff\xff\xff\0\x01\0\0";

#[test]
fn the_messages_of_the_extended_protocol() {
    let parse = ClientMessage::Parse { name: "s".into(), query: "select $1".into(), types: vec![23] };
    assert_eq!(decode(b'P', b"s\0select $1\0\0\x01\0\0\0\x17"), Ok(parse));
    let bind = Bind {
        portal: "p".into(),
        statement: "s".into(),
        parameter_formats: vec![1],
        parameters: vec![Some(Bytes::from_static(b"hi")), None],
        result_formats: vec![0],
    };
    assert_eq!(decode(b'B', BIND), Ok(ClientMessage::Bind(bind)));
    let describe = ClientMessage::Describe { target: Target::Portal, name: String::new() };
    assert_eq!(decode(b'D', b"P\0"), Ok(describe));
    let execute = |max_rows| Ok(ClientMessage::Execute { portal: "p".into(), max_rows });
    assert_eq!(decode(b'E', b"p\0\0\0\0\x05"), execute(5));
    assert_eq!(decode(b'E', b"p\0\xff\xff\xff\xff"), execute(0));
    assert_eq!(decode(b'S', b""), Ok(ClientMessage::Sync));
}

#[test]
fn every_truncation_is_an_error() {
    for length in 0..BIND.len() {
        assert!(matches!(decode(b'B', &BIND[..length]), Err(Invalid::Malformed(_))), "{length}");
    }
}

#[test]
fn counts_and_lengths_that_lie_are_errors() {
    let lies: &[(u8, &[u8])] = &[
        (b'P', b"s\0select 1\0\xff\xff\0\0\0\x17"),
        (b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xffx\0\0"),
        (b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0"),
        (b'B', b"\0\0\xff\xff"),
        (b'E', b"p\0\0\0"),
        (b'D', b"Xname\0"),
        (b'C', b""),
        (b'Q', b"select 1"),
        (b'Q', b"select 1\0trailing"),
        (b'S', b"x"),
    ];
    for (tag, body) in lies {
        assert!(matches!(decode(*tag, body), Err(Invalid::Malformed(_))), "{} {body:?}", *tag as char);
    }
    assert_eq!(decode(b'?', b""), Err(Invalid::UnknownType(b'?')));
}

#[test]
fn invalid_utf8_is_an_error_of_its_own() {
    let error = |bytes: &[u8]| match decode(b'Q', bytes) {
        Err(Invalid::Encoding(text)) => text.into_error(),
        other => panic!("{other:?}"),
    };
    let bad = error(b"select '\xc3\x28'\0");
    assert_eq!(bad.state().0, "22021");
    assert_eq!(bad.fields().message, "invalid byte sequence for encoding \"UTF8\": 0xc3");
    assert_eq!(error(b"\xe2\x82\0").fields().message, "invalid byte sequence for encoding \"UTF8\": 0xe2 0x82");
    assert!(utf8(b"a\0b").is_err());
    assert_eq!(utf8("grün".as_bytes()), Ok("grün"));
}

#[test]
fn any_bytes_decode_or_fail_without_panic() {
    // A few hundred mutations of a valid message: every byte replaced by extremes.
    for at in 0..BIND.len() {
        for byte in [0, 1, 0x7f, 0x80, 0xff] {
            let mut body = BIND.to_vec();
            body[at] = byte;
            for tag in b"QPBDECHSXcfdpF".iter() {
                let _ = decode(*tag, &body);
            }
        }
    }
}
