//! Text and binary forms read back what they wrote.

use bytes::BytesMut;
use proptest::prelude::*;

use super::{
    Array, DataType, FormatOptions, Interval, Numeric, Value, decode_binary, decode_text, encode_binary, encode_text,
};

fn value() -> impl Strategy<Value = (DataType, Value)> {
    let numeric =
        (any::<i128>(), 0i64..40).prop_map(|(digits, scale)| Value::Numeric(Numeric::new(digits.into(), scale)));
    let timestamp = || -210_000_000_000_000_000i64..900_000_000_000_000_000;
    let interval = (any::<i16>(), any::<i16>(), any::<i32>()).prop_map(|(months, days, micros)| Interval {
        months: i32::from(months),
        days: i32::from(days),
        micros: i64::from(micros) * 1000,
    });
    let items =
        prop::collection::vec(prop_oneof![Just(Value::Null), "[a-z\"\\\\{}, ]{0,5}".prop_map(Value::text)], 0..5);
    prop_oneof![
        any::<bool>().prop_map(|v| (DataType::BOOL, Value::Bool(v))),
        any::<i16>().prop_map(|v| (DataType::INT2, Value::Int2(v))),
        any::<i32>().prop_map(|v| (DataType::INT4, Value::Int4(v))),
        any::<i64>().prop_map(|v| (DataType::INT8, Value::Int8(v))),
        any::<f32>().prop_map(|v| (DataType::FLOAT4, Value::Float4(v))),
        any::<f64>().prop_map(|v| (DataType::FLOAT8, Value::Float8(v))),
        numeric.prop_map(|v| (DataType::NUMERIC, v)),
        "[^\u{0}]{0,10}".prop_map(|v| (DataType::TEXT, Value::text(v))),
        any::<Vec<u8>>().prop_map(|v| (DataType::BYTEA, Value::Bytea(v.into()))),
        (-2_400_000i32..2_100_000_000).prop_map(|v| (DataType::DATE, Value::Date(v))),
        (0i64..86_400_000_000).prop_map(|v| (DataType::TIME, Value::Time(v))),
        timestamp().prop_map(|v| (DataType::TIMESTAMP, Value::Timestamp(v))),
        timestamp().prop_map(|v| (DataType::TIMESTAMPTZ, Value::TimestampTz(v))),
        interval.prop_map(|v| (DataType::INTERVAL, Value::Interval(v))),
        any::<[u8; 16]>().prop_map(|v| (DataType::UUID, Value::Uuid(v))),
        any::<u32>().prop_map(|v| (DataType::OID, Value::Oid(v))),
        items.prop_map(|values| {
            (DataType::TEXT_ARRAY, Value::Array(Box::new(Array { element: DataType::TEXT, values })))
        }),
    ]
}

#[test]
fn years_before_christ_have_their_own_leap_days() {
    let options = FormatOptions::default();
    let read = |text: &str| decode_text(text, DataType::DATE, -1, &options);
    for text in ["0005-02-29 BC", "bc 0005-02-29", "00050229 BC", "29 feb 0005 bc"] {
        let mut out = BytesMut::new();
        encode_text(&read(text).unwrap(), DataType::DATE, &options, &mut out);
        assert_eq!(out, "0005-02-29 BC", "{text}");
    }
    for text in ["0004-02-29 BC", "0005-02-29", "0000-01-01 BC"] {
        assert!(read(text).is_err(), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn text_reads_back((ty, value) in value()) {
        let options = FormatOptions::default();
        let mut out = BytesMut::new();
        encode_text(&value, ty, &options, &mut out);
        let text = std::str::from_utf8(&out).unwrap();
        let back = decode_text(text, ty, -1, &options).unwrap();
        prop_assert_eq!(&back, &value, "{}", text);
    }

    #[test]
    fn binary_reads_back((ty, value) in value()) {
        let mut out = BytesMut::new();
        encode_binary(&value, ty, &mut out);
        let back = decode_binary(&out, ty, -1).unwrap();
        prop_assert_eq!(&back, &value);
    }

    #[test]
    fn any_bytes_decode_or_fail_without_panic((ty, _) in value(), bytes: Vec<u8>) {
        let _ = decode_binary(&bytes, ty, -1);
        let _ = decode_text(&String::from_utf8_lossy(&bytes), ty, -1, &FormatOptions::default());
    }

    #[test]
    fn any_date_text_reads_or_fails_without_panic(text in "[-0-9:/. TZaApPmMbBcCjJ+]{0,24}") {
        for ty in [DataType::DATE, DataType::TIME, DataType::TIMESTAMP, DataType::TIMESTAMPTZ, DataType::INTERVAL, DataType::NUMERIC] {
            let _ = decode_text(&text, ty, -1, &FormatOptions::default());
        }
    }

    #[test]
    fn values_travel((_, value) in value()) {
        let bytes = postcard::to_stdvec(&value).unwrap();
        prop_assert_eq!(postcard::from_bytes::<Value>(&bytes).unwrap(), value);
    }
}

#[test]
fn numerics_have_postgresqls_binary_form() {
    let hex = |text: &str| {
        let mut out = BytesMut::new();
        encode_binary(&Value::Numeric(Numeric::parse(text).unwrap()), DataType::NUMERIC, &mut out);
        out.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    // What PostgreSQL 15's numeric_send answers.
    assert_eq!(hex("12345.678"), "0003000100000003000109291a7c");
    assert_eq!(hex("-0.5"), "0001ffff400000011388");
    assert_eq!(hex("0"), "0000000000000000");
    assert_eq!(hex("0.00"), "0000000000000002");
    assert_eq!(hex("10000"), "00010001000000000001");
    assert_eq!(hex("0.00001"), "0001fffe0000000503e8");
    assert_eq!(hex("NaN"), "00000000c0000000");
}

#[test]
fn hostile_texts_are_errors_not_panics() {
    let digits = "9".repeat(18);
    let texts = [
        format!("{digits}:00"),
        format!("{digits}.123"),
        format!("{digits}-01-01"),
        format!("{digits}0101"),
        format!("J{digits}"),
        format!("{digits} years"),
        format!("{digits} days {digits} hours"),
        format!("P{digits}Y"),
        format!("1e{digits}"),
        format!("1e-{digits}"),
        "infinity 12:00".to_owned(),
        "today 24:00".to_owned(),
        "-".to_owned(),
        "::".to_owned(),
        "T".to_owned(),
        "{".to_owned(),
        "\u{1F600}".to_owned(),
        "2024-05-06 07:08:09+99:99".to_owned(),
    ];
    for ty in super::registry::all().map(|info| info.oid) {
        for text in &texts {
            if let Ok(value) = decode_text(text, ty, -1, &FormatOptions::default()) {
                let _ = super::to_text(&value, ty, &FormatOptions::default());
            }
        }
    }
}

#[test]
fn extreme_intervals_are_written_in_every_style() {
    use super::format::IntervalStyle;
    let extreme = Value::Interval(Interval { months: i32::MIN, days: i32::MIN, micros: i64::MIN });
    for interval_style in
        [IntervalStyle::Postgres, IntervalStyle::PostgresVerbose, IntervalStyle::SqlStandard, IntervalStyle::Iso8601]
    {
        let options = FormatOptions { interval_style, ..FormatOptions::default() };
        assert!(!super::to_text(&extreme, DataType::INTERVAL, &options).is_empty());
    }
}
