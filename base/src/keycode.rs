//! Order-preserving encoding of values into keys: the order of the bytes is the order of the values, and no complete
//! key is a prefix of another complete key of the same shape (MVCC relies on that, see `txn::mvcc`).
//!
//! | value | bytes |
//! |---|---|
//! | NULL (sorts last, as in PostgreSQL) | `0xff` |
//! | anything else | `0x01`, then the value |
//! | bool | 1 byte |
//! | integers | 8 bytes big-endian, sign bit flipped |
//! | floats | 8 bytes big-endian, sign bit flipped, all bits flipped if negative; NaN greatest, -0 = 0 |
//! | bytes, text | each `0x00` as `0x00 0xff`, then `0x00 0x01` |
//!
//! A descending column has every byte of its encoding inverted. The types of `sql` are mapped onto these few by
//! `sql::encode`.

/// A column that could not be decoded: the key is corrupt or of another shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

const NULL: u8 = 0xff;
const NOT_NULL: u8 = 0x01;

pub fn put_null(key: &mut Vec<u8>) {
    key.push(NULL);
}

/// Marks that a value follows; the counterpart of [`put_null`].
pub fn put_not_null(key: &mut Vec<u8>) {
    key.push(NOT_NULL);
}

/// Reads the marker: true when the column is NULL.
pub fn take_null(input: &mut &[u8]) -> Result<bool, Malformed> {
    match take(input, 1)? {
        [NULL] => Ok(true),
        [NOT_NULL] => Ok(false),
        _ => Err(Malformed),
    }
}

pub fn put_bool(key: &mut Vec<u8>, value: bool) {
    key.push(u8::from(value));
}

pub fn take_bool(input: &mut &[u8]) -> Result<bool, Malformed> {
    match take(input, 1)? {
        [0] => Ok(false),
        [1] => Ok(true),
        _ => Err(Malformed),
    }
}

pub fn put_u32(key: &mut Vec<u8>, value: u32) {
    key.extend_from_slice(&value.to_be_bytes());
}

pub fn take_u32(input: &mut &[u8]) -> Result<u32, Malformed> {
    Ok(u32::from_be_bytes(take(input, 4)?.try_into().map_err(|_| Malformed)?))
}

pub fn put_u64(key: &mut Vec<u8>, value: u64) {
    key.extend_from_slice(&value.to_be_bytes());
}

pub fn take_u64(input: &mut &[u8]) -> Result<u64, Malformed> {
    Ok(u64::from_be_bytes(take(input, 8)?.try_into().map_err(|_| Malformed)?))
}

const SIGN: u64 = 1 << 63;

pub fn put_i64(key: &mut Vec<u8>, value: i64) {
    put_u64(key, value as u64 ^ SIGN);
}

pub fn take_i64(input: &mut &[u8]) -> Result<i64, Malformed> {
    Ok((take_u64(input)? ^ SIGN) as i64)
}

pub fn put_f64(key: &mut Vec<u8>, value: f64) {
    // One representation for each of NaN and zero, so that equal values are equal keys.
    let value = if value.is_nan() {
        f64::NAN
    } else if value == 0.0 {
        0.0
    } else {
        value
    };
    let bits = value.to_bits() & if value.is_nan() { !SIGN } else { u64::MAX };
    put_u64(key, if bits & SIGN == 0 { bits ^ SIGN } else { !bits });
}

pub fn take_f64(input: &mut &[u8]) -> Result<f64, Malformed> {
    let bits = take_u64(input)?;
    Ok(f64::from_bits(if bits & SIGN != 0 { bits ^ SIGN } else { !bits }))
}

pub fn put_bytes(key: &mut Vec<u8>, value: &[u8]) {
    for byte in value {
        key.push(*byte);
        if *byte == 0 {
            key.push(0xff);
        }
    }
    key.extend_from_slice(&[0x00, 0x01]);
}

pub fn take_bytes(input: &mut &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut value = Vec::new();
    loop {
        match take(input, 1)? {
            [0] => match take(input, 1)? {
                [0xff] => value.push(0),
                [0x01] => return Ok(value),
                _ => return Err(Malformed),
            },
            other => value.extend_from_slice(other),
        }
    }
}

/// Inverts the encoding of a column from `from` to the end of `key`: its order becomes descending.
pub fn invert(key: &mut [u8], from: usize) {
    for byte in &mut key[from..] {
        *byte = !*byte;
    }
}

fn take<'a>(input: &mut &'a [u8], count: usize) -> Result<&'a [u8], Malformed> {
    let (head, tail) = input.split_at_checked(count).ok_or(Malformed)?;
    *input = tail;
    Ok(head)
}

#[cfg(test)]
#[path = "keycode_test.rs"]
mod tests;
