use std::cmp::Ordering;

use proptest::prelude::*;

use super::*;

fn encode<T>(put: impl Fn(&mut Vec<u8>, T), value: T) -> Vec<u8> {
    let mut key = Vec::new();
    put(&mut key, value);
    key
}

fn order(a: f64, b: f64) -> Ordering {
    // PostgreSQL: NaN equals NaN and is greater than everything else; -0 equals 0.
    match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        _ => a.partial_cmp(&b).unwrap(),
    }
}

proptest! {
    #[test]
    fn integers_keep_their_order(a: i64, b: i64) {
        let (x, y) = (encode(put_i64, a), encode(put_i64, b));
        prop_assert_eq!(x.cmp(&y), a.cmp(&b));
        prop_assert_eq!(take_i64(&mut &x[..]), Ok(a));
    }

    #[test]
    fn floats_keep_their_order(a in any::<f64>(), b in any::<f64>()) {
        prop_assert_eq!(encode(put_f64, a).cmp(&encode(put_f64, b)), order(a, b));
        let back = take_f64(&mut &encode(put_f64, a)[..]).unwrap();
        prop_assert_eq!(order(a, back), Ordering::Equal);
    }

    #[test]
    fn bytes_keep_their_order_and_are_prefix_free(a: Vec<u8>, b: Vec<u8>) {
        let (x, y) = (encode(|k, v: &Vec<u8>| put_bytes(k, v), &a), encode(|k, v: &Vec<u8>| put_bytes(k, v), &b));
        prop_assert_eq!(x.cmp(&y), a.cmp(&b));
        prop_assert!(a == b || !y.starts_with(&x));
        prop_assert_eq!(take_bytes(&mut &x[..]), Ok(a));
    }

    #[test]
    fn descending_is_the_reverse(a: Vec<u8>, b: Vec<u8>) {
        let (mut x, mut y) = (encode(|k, v: &Vec<u8>| put_bytes(k, v), &a), encode(|k, v: &Vec<u8>| put_bytes(k, v), &b));
        invert(&mut x, 0);
        invert(&mut y, 0);
        prop_assert_eq!(x.cmp(&y), b.cmp(&a));
    }

    #[test]
    fn any_bytes_decode_or_fail_without_panic(input: Vec<u8>) {
        let _ = take_bytes(&mut &input[..]);
        let _ = take_f64(&mut &input[..]);
        let _ = take_null(&mut &input[..]);
    }
}

#[test]
fn special_floats() {
    assert_eq!(encode(put_f64, 0.0), encode(put_f64, -0.0));
    assert_eq!(encode(put_f64, f64::NAN), encode(put_f64, -f64::NAN));
    assert!(encode(put_f64, f64::INFINITY) < encode(put_f64, f64::NAN));
}
