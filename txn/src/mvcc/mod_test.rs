use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn newer_versions_come_first(key in "[a-z]{3}", a: u64, b: u64) {
        let (x, y) = (data_key(key.as_bytes(), Timestamp(a)), data_key(key.as_bytes(), Timestamp(b)));
        prop_assert_eq!(x.cmp(&y), b.cmp(&a));
        prop_assert_eq!(parse_data_key(&x).unwrap(), (key.as_bytes(), Timestamp(a)));
    }

    #[test]
    fn all_versions_lie_below_the_end_of_the_point(key in "[a-z]{3}", ts: u64) {
        let end = data_end(&base::Span::point(key.clone().into_bytes()).end);
        prop_assert!(data_key(key.as_bytes(), Timestamp(ts)) < end);
    }

    #[test]
    fn versions_and_records_come_back(
        writer: u128, batch: Option<u32>, value: Option<Vec<u8>>, staged: Option<Vec<Vec<u8>>>,
    ) {
        let version = Version { writer: TxnId(writer), batch, value: value.as_deref() };
        let raw = version.encode();
        prop_assert_eq!(Version::decode(&raw).unwrap(), version);
        let record = Record::Intent(Intent {
            txn: TxnId(writer),
            begin_ts: Timestamp(1),
            write_ts: Timestamp(2),
            primary: Bytes::from_static(b"p"),
            value: value.map(Bytes::from),
            staged: staged.map(|keys| keys.into_iter().map(Bytes::from).collect()),
        });
        prop_assert_eq!(Record::decode(&record.encode()).unwrap(), record);
        let marker = Record::Marker { at: Timestamp(7) };
        prop_assert_eq!(Record::decode(&marker.encode()).unwrap(), marker);
    }

    #[test]
    fn any_bytes_decode_or_are_corrupt(raw: Vec<u8>) {
        let _ = Version::decode(&raw);
        let _ = Record::decode(&raw);
        let _ = parse_data_key(&raw);
    }
}
