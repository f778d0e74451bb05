use super::*;

fn column(ty: DataType) -> OutputColumn {
    OutputColumn { name: "c".into(), ty, typmod: -1, origin: None }
}

fn bind(formats: &[i16], parameters: &[Option<&'static [u8]>]) -> Bind {
    Bind {
        parameter_formats: formats.to_vec(),
        parameters: parameters.iter().map(|bytes| bytes.map(Bytes::from_static)).collect(),
        ..Bind::default()
    }
}

fn state_of(bind: &Bind, types: &[DataType]) -> &'static str {
    parameters(bind, types, &FormatOptions::default()).unwrap_err().state().0
}

#[test]
fn a_row_in_text_and_in_binary() {
    let columns = [column(DataType::INT4), column(DataType::TEXT), column(DataType::INT4)];
    let row = vec![Value::Int4(258), Value::text("hé"), Value::Null];
    let mut output = BytesMut::from(&b"before"[..]);
    let formats = Formats::new(&[1, 0, 1], 3).unwrap().unwrap();
    put_row(&mut output, &row, &columns, &formats, &FormatOptions::default()).unwrap();
    assert_eq!(output, &b"beforeD\0\0\0\x19\0\x03\0\0\0\x04\0\0\x01\x02\0\0\0\x03h\xc3\xa9\xff\xff\xff\xff"[..]);
    let mut output = BytesMut::new();
    put_row(&mut output, &row[..1].to_vec(), &columns[..1], &Formats::text(), &FormatOptions::default()).unwrap();
    assert_eq!(output, &b"D\0\0\0\x0d\0\x01\0\0\0\x03258"[..]);
}

#[test]
fn format_codes_are_for_all_or_for_each() {
    let formats = |codes: &[i16]| Formats::new(codes, 2);
    assert_eq!(formats(&[]).unwrap().unwrap().of(1), Format::Text);
    assert_eq!(formats(&[1]).unwrap().unwrap().of(1), Format::Binary);
    assert_eq!(formats(&[1, 0]).unwrap().unwrap().of(1), Format::Text);
    assert_eq!(formats(&[1, 0, 1]).unwrap(), None);
    assert_eq!(formats(&[2]).unwrap_err().state().0, "22023");
}

#[test]
fn parameters_of_both_formats() {
    let bind = bind(&[0, 1, 1], &[Some(b"42"), Some(b"\0\0\0\x2a"), None]);
    let types = [DataType::INT4, DataType::INT4, DataType::TEXT];
    let values = parameters(&bind, &types, &FormatOptions::default()).unwrap();
    assert!(matches!(values[..], [Value::Int4(42), Value::Int4(42), Value::Null]));
}

#[test]
fn bad_parameters_have_their_sqlstates() {
    assert_eq!(state_of(&bind(&[], &[Some(b"x")]), &[DataType::INT4]), "22P02");
    assert_eq!(state_of(&bind(&[1], &[Some(b"\0\0\x01")]), &[DataType::INT4]), "22P03");
    assert_eq!(state_of(&bind(&[], &[Some(b"\xff")]), &[DataType::TEXT]), "22021");
    assert_eq!(state_of(&bind(&[], &[Some(b"a\0b")]), &[DataType::TEXT]), "22021");
    assert_eq!(state_of(&bind(&[], &[]), &[DataType::TEXT]), "08P01");
    assert_eq!(state_of(&bind(&[0, 0], &[None]), &[DataType::TEXT]), "08P01");
    assert_eq!(state_of(&bind(&[7], &[None]), &[DataType::TEXT]), "22023");
}
