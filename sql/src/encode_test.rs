use std::cmp::Ordering;

use proptest::prelude::*;

use super::*;
use crate::types::{Array, Interval, Numeric};

/// Numbers near each other, of every size, with trailing zeros.
fn numeric() -> impl Strategy<Value = Value> {
    prop_oneof![
        (any::<i64>(), 0i64..12).prop_map(|(digits, scale)| Numeric::new(digits.into(), scale)),
        (-200i64..200, 0i64..4).prop_map(|(digits, scale)| Numeric::new(digits.into(), scale)),
        (any::<i128>(), 0i64..60).prop_map(|(digits, scale)| Numeric::new(digits.into(), scale)),
        Just(Numeric::NaN),
        Just(Numeric::Infinity),
        Just(Numeric::NegativeInfinity),
    ]
    .prop_map(Value::Numeric)
}

fn text() -> impl Strategy<Value = Value> {
    prop_oneof!["[a-c\u{0}\u{1}\u{ff}é ]{0,6}", ".{0,12}"].prop_map(Value::text)
}

/// Values of one indexable type, two at a time.
fn pair() -> impl Strategy<Value = (DataType, Value, Value)> {
    fn of<S>(ty: DataType, values: impl Fn() -> S) -> BoxedStrategy<(DataType, Value, Value)>
    where
        S: Strategy<Value = Value> + 'static,
    {
        let or_null = || prop_oneof![1 => Just(Value::Null), 9 => values()];
        (or_null(), or_null()).prop_map(move |(a, b)| (ty, a, b)).boxed()
    }
    let interval = || {
        (-5i32..5, -70i32..70, any::<i32>()).prop_map(|(months, days, micros)| {
            Value::Interval(Interval { months, days, micros: i64::from(micros) * 100 })
        })
    };
    let array = || {
        prop::collection::vec(prop_oneof![Just(Value::Null), (-3i32..3).prop_map(Value::Int4)], 0..4)
            .prop_map(|values| Value::Array(Box::new(Array { element: DataType::INT4, values })))
    };
    prop_oneof![
        of(DataType::INT4, || any::<i32>().prop_map(Value::Int4)),
        of(DataType::INT8, || any::<i64>().prop_map(Value::Int8)),
        of(DataType::INT2, || any::<i16>().prop_map(Value::Int2)),
        of(DataType::BOOL, || any::<bool>().prop_map(Value::Bool)),
        of(DataType::FLOAT8, || any::<f64>().prop_map(Value::Float8)),
        of(DataType::FLOAT4, || any::<f32>().prop_map(Value::Float4)),
        of(DataType::NUMERIC, numeric),
        of(DataType::TEXT, text),
        of(DataType::BYTEA, || any::<Vec<u8>>().prop_map(|bytes| Value::Bytea(bytes.into()))),
        of(DataType::DATE, || any::<i32>().prop_map(Value::Date)),
        of(DataType::TIMESTAMP, || any::<i64>().prop_map(Value::Timestamp)),
        of(DataType::UUID, || any::<[u8; 16]>().prop_map(Value::Uuid)),
        of(DataType::INTERVAL, interval),
        of(DataType::INT4_ARRAY, array),
    ]
}

fn encode_column(value: &Value, column: &KeyColumn) -> Vec<u8> {
    let mut out = Vec::new();
    key::put(&mut out, value, column).unwrap();
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn keys_order_as_values((ty, a, b) in pair(), descending: bool, nulls_first: bool) {
        let column = KeyColumn { slot: 0, ty, descending, nulls_first };
        let (x, y) = (encode_column(&a, &column), encode_column(&b, &column));
        prop_assert_eq!(x.cmp(&y), a.cmp_sort(&b, descending, nulls_first), "{:?} {:?}", a, b);
        prop_assert!(a == b || !y.starts_with(&x), "one key is a prefix of the other");
    }

    #[test]
    fn keys_decode_to_equal_values((ty, a, b) in pair(), descending: bool, nulls_first: bool) {
        let column = KeyColumn { slot: 0, ty, descending, nulls_first };
        let mut bytes = encode_column(&a, &column);
        bytes.extend(encode_column(&b, &column));
        let mut input = &bytes[..];
        let (x, y) = (key::take(&mut input, &column).unwrap(), key::take(&mut input, &column).unwrap());
        prop_assert!(input.is_empty());
        prop_assert_eq!((&x, &y), (&a, &b));
        if !key::is_lossy(ty) {
            prop_assert_eq!(format!("{x:?}"), format!("{a:?}"));
        }
    }

    #[test]
    fn values_come_back_exactly((ty, a, b) in pair()) {
        let mut out = vec![value::VERSION];
        value::put(&mut out, 3, &a).unwrap();
        value::put(&mut out, 900, &b).unwrap();
        let mut fields = value::Fields::new(&out).unwrap();
        for (id, expected) in [(3, &a), (900, &b)] {
            let field = fields.next().unwrap().unwrap();
            prop_assert_eq!(field.id, id);
            // Debug, not equality: the scale of a numeric and the sign of a zero must survive too.
            prop_assert_eq!(format!("{:?}", field.decode(ty).unwrap()), format!("{expected:?}"));
        }
        prop_assert!(fields.next().unwrap().is_none());
    }

    #[test]
    fn any_bytes_decode_or_fail_without_panic(bytes: Vec<u8>, (ty, _, _) in pair(), descending: bool) {
        let column = KeyColumn { slot: 0, ty, descending, nulls_first: false };
        let _ = key::take(&mut &bytes[..], &column);
        if let Some(mut fields) = value::Fields::new(&bytes) {
            while let Ok(Some(field)) = fields.next() {
                let _ = field.decode(ty);
            }
        }
    }
}

fn column(id: u16, ty: DataType) -> Column {
    Column {
        id: ColumnId(id),
        name: format!("c{id}"),
        ty,
        typmod: -1,
        not_null: false,
        default: None,
        owned_sequence: None,
        missing: None,
        identity: None,
    }
}

fn index(id: u32, kind: IndexKind, unique: bool, columns: &[u16], include: &[u16]) -> Index {
    Index {
        id: IndexId(id),
        oid: id,
        name: format!("i{id}"),
        kind,
        unique,
        constraint: false,
        columns: columns
            .iter()
            .map(|id| IndexColumn { column: ColumnId(*id), descending: false, nulls_first: false })
            .collect(),
        include: include.iter().map(|id| ColumnId(*id)).collect(),
        hidden_row_id: columns.is_empty(),
    }
}

/// a int, b text, c numeric, d text; keyed by (b, a).
fn table(indexes: Vec<Index>) -> Table {
    Table {
        columns: vec![
            column(1, DataType::INT4),
            column(2, DataType::TEXT),
            column(3, DataType::NUMERIC),
            column(4, DataType::TEXT),
        ],
        next_column_id: 5,
        indexes,
        next_index_id: 9,
        checks: Vec::new(),
        foreign_keys: Vec::new(),
    }
}

fn row(a: i32, b: &str, c: &str, d: Option<&str>) -> Vec<Value> {
    vec![Value::Int4(a), Value::text(b), Value::Numeric(Numeric::parse(c).unwrap()), d.map_or(Value::Null, Value::text)]
}

fn shown(row: &[Value]) -> String {
    format!("{row:?}")
}

fn layout(table: &Table, at: usize) -> IndexLayout {
    IndexLayout::new(TableId(7), table, &table.indexes[at]).unwrap()
}

#[test]
fn rows_come_back_from_every_index() {
    let table = table(vec![
        index(1, IndexKind::Primary, true, &[2, 1], &[]),
        index(2, IndexKind::Secondary, false, &[3], &[4]),
        index(3, IndexKind::Secondary, true, &[4], &[3]),
    ]);
    for source in [row(1, "x", "1.50", Some("d")), row(-5, "", "0.00", None)] {
        for at in 0..3 {
            let layout = layout(&table, at);
            let (key, value) = layout.encode(&source).unwrap();
            assert!(layout.span().contains(&key));
            assert_eq!(locate(&key), Some((TableId(7), IndexId(at as u32 + 1))));
            assert!((0..4).all(|slot| layout.provides(slot)));
            let mut back = layout.empty_row();
            layout.decode(&key, &value, &mut back, None).unwrap();
            assert_eq!(shown(&back), shown(&source), "index {at}");
        }
    }
}

#[test]
fn unique_keys_collide_unless_null() {
    let table =
        table(vec![index(1, IndexKind::Primary, true, &[1], &[]), index(2, IndexKind::Secondary, true, &[4], &[])]);
    let layout = layout(&table, 1);
    let key = |a, d| layout.encode_key(&row(a, "x", "1", d)).unwrap();
    assert_eq!(key(1, Some("d")), key(2, Some("d")));
    assert_ne!(key(1, None), key(2, None));
    assert!(layout.must_be_unique(&row(1, "x", "1", Some("d"))));
    assert!(!layout.must_be_unique(&row(1, "x", "1", None)));
}

#[test]
fn added_and_dropped_columns_need_no_rewriting() {
    let before = table(vec![index(1, IndexKind::Primary, true, &[1], &[])]);
    let (key, value) = layout(&before, 0).encode(&row(1, "old", "2.5", Some("gone"))).unwrap();
    let mut after = before.clone();
    after.columns.retain(|column| column.id.0 != 4);
    let mut added = column(5, DataType::INT4);
    added.missing = Some(Value::Int4(42));
    after.columns.push(added);
    let layout = layout(&after, 0);
    let mut back = layout.empty_row();
    layout.decode(&key, &value, &mut back, None).unwrap();
    assert_eq!(back[1..], [Value::text("old"), Value::Numeric(Numeric::parse("2.5").unwrap()), Value::Int4(42)]);
    // A NULL that was written is not the missing value.
    back[3] = Value::Null;
    let (key, value) = layout.encode(&back).unwrap();
    let mut again = layout.empty_row();
    layout.decode(&key, &value, &mut again, None).unwrap();
    assert!(again[3].is_null());
}

#[test]
fn a_hidden_row_id_takes_the_last_slot() {
    let table =
        table(vec![index(1, IndexKind::Primary, true, &[], &[]), index(2, IndexKind::Secondary, true, &[1], &[])]);
    // `index` marks every index without columns as hidden; the secondary one has columns.
    let mut source = row(1, "x", "1", None);
    source.push(Value::Int8(77));
    for at in 0..2 {
        let layout = layout(&table, at);
        assert_eq!((layout.width(), layout.hidden_slot()), (5, Some(4)));
        let (key, value) = layout.encode(&source).unwrap();
        let mut back = layout.empty_row();
        layout.decode(&key, &value, &mut back, None).unwrap();
        assert_eq!((&back[0], &back[4]), (&Value::Int4(1), &Value::Int8(77)));
    }
}

#[test]
fn ranges_hold_what_they_should() {
    for descending in [false, true] {
        let mut table = table(vec![
            index(1, IndexKind::Primary, true, &[1], &[]),
            index(2, IndexKind::Secondary, false, &[2, 4], &[]),
        ]);
        table.indexes[1].columns[1].descending = descending;
        let layout = layout(&table, 1);
        let key = |d: Option<&str>| layout.encode_key(&row(1, "x", "1", d)).unwrap();
        let (b, d) = (Value::text("b"), Value::text("d"));
        let equal = [Value::text("x")];
        let inside = |lower, upper| -> Vec<Option<&str>> {
            let span = layout.range_span(&equal, lower, upper).unwrap();
            let all = [Some("a"), Some("b"), Some("bb"), Some("d"), Some("e"), None];
            all.into_iter().filter(|d| span.contains(&key(*d))).collect()
        };
        assert_eq!(inside(Bound::Included(&b), Bound::Excluded(&d)), [Some("b"), Some("bb")]);
        assert_eq!(inside(Bound::Excluded(&b), Bound::Included(&d)), [Some("bb"), Some("d")]);
        assert_eq!(inside(Bound::Unbounded, Bound::Excluded(&b)), [Some("a")]);
        assert_eq!(inside(Bound::Included(&d), Bound::Unbounded), [Some("d"), Some("e")]);
        assert_eq!(inside(Bound::Unbounded, Bound::Unbounded).len(), 5);
        let null = layout.prefix_span(&[Value::text("x"), Value::Null]).unwrap();
        assert!(null.contains(&key(None)) && !null.contains(&key(Some("a"))));
    }
}

#[test]
fn numeric_keys_ignore_the_scale() {
    let column = KeyColumn { slot: 0, ty: DataType::NUMERIC, descending: false, nulls_first: false };
    let key = |text: &str| encode_column(&Value::Numeric(Numeric::parse(text).unwrap()), &column);
    assert_eq!(key("1.0"), key("1.000"));
    assert_eq!(key("0"), key("-0.00"));
    assert_eq!(key("9.99").cmp(&key("10")), Ordering::Less);
    assert_eq!(key("-10").cmp(&key("-9.99")), Ordering::Less);
}
