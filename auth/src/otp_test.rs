use super::*;

const SECRET: &[u8] = b"12345678901234567890";

#[test]
fn the_vectors_of_rfc_6238() {
    let vectors = [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (1_111_111_111, "050471"),
        (1_234_567_890, "005924"),
        (2_000_000_000, "279037"),
        (20_000_000_000, "353130"),
    ];
    for (seconds, code) in vectors {
        assert_eq!(matching_step(SECRET, code, seconds), Some(seconds / 30), "{seconds}");
    }
}

#[test]
fn what_is_no_code_matches_nothing() {
    for code in ["", "28708", "2870820", "28708x", "２８７０８２", "-87082"] {
        assert_eq!(matching_step(SECRET, code, 59), None, "{code}");
    }
    assert_eq!(matching_step(SECRET, "287082", 0), None);
}

#[test]
fn the_uri_names_issuer_account_and_secret() {
    let uri = uri(SECRET, "Locus: shop", "clerk").unwrap();
    assert!(uri.starts_with("otpauth://totp/"), "{uri}");
    assert!(uri.contains("secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"), "{uri}");
    assert!(uri.contains("clerk"), "{uri}");
}

#[test]
fn recovery_codes_look_like_recovery_codes() {
    let mut random = [0; RECOVERY_CODES * 10];
    for (position, byte) in random.iter_mut().enumerate() {
        *byte = (position * 7) as u8;
    }
    let codes = recovery_codes(&random);
    assert_eq!(codes.len(), RECOVERY_CODES);
    assert!(codes.iter().all(|code| is_recovery_code(code)));
    assert!(!is_recovery_code("abcde-1bcde") && !is_recovery_code("abcdefbcdea") && !is_recovery_code("287082"));
    assert_eq!(recovery_hash("ABCDE-23456"), recovery_hash("abcde-23456"));
}
