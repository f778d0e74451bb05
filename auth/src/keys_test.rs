use super::*;

/// A P-256 key in a certificate signed with SHA-384, by OpenSSL.
const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----
MIIBdzCCAR2gAwIBAgIUQXshlwp+rSYI/JBRwQETzBDCWJwwCgYIKoZIzj0EAwMw
EDEOMAwGA1UEAwwFY2xlcmswIBcNMjYxMTI0MTMxNTU5WhgPMjEwOTAxMTMxMzE1
NTlaMBAxDjAMBgNVBAMMBWNsZXJrMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
+h1VRnOJA2b4SLUKmesrtCH5AAMayEVg7hQg9Ov2w5t1w2kwNAEF2jjhmxxLBEOc
o0uMTVxMuCenM9oqAlpiAaNTMFEwHQYDVR0OBBYEFGXyIjtpAlQnUtJl7tsSCYTn
LaqEMB8GA1UdIwQYMBaAFGXyIjtpAlQnUtJl7tsSCYTnLaqEMA8GA1UdEwEB/wQF
MAMBAf8wCgYIKoZIzj0EAwMDSAAwRQIgSdRbCuy5XV5mzP08B1S2yL5mikXYWZNH
tt/i0j4lkDACIQD/NW5Onk/AmVVS8APJHRARlCjSf+21Xr9eo9Gnnd2H7Q==
-----END CERTIFICATE-----
";
const PUBLIC_KEY: &str = "\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE+h1VRnOJA2b4SLUKmesrtCH5AAMa
yEVg7hQg9Ov2w5t1w2kwNAEF2jjhmxxLBEOco0uMTVxMuCenM9oqAlpiAQ==
-----END PUBLIC KEY-----
";
/// `openssl ec -pubout -outform DER | openssl dgst -sha256`
const PIN: &str = "SHA256:o68H1KscHdXsUn/ke5vvw8caa5qLYuCFdmsxZkP9AM8=";
/// `openssl x509 -outform DER | openssl dgst -sha384`
const END_POINT: &str =
    "58e5d5f81485dff91b09c91d69ba9226480d374ddb35cd04713508dd1a1b7ac704e73a5838933e602c58f16b7ade0d54";

fn der() -> Vec<u8> {
    let body: String = CERTIFICATE.lines().filter(|line| !line.starts_with('-')).collect();
    BASE64.decode(body).unwrap()
}

#[test]
fn a_certificate_and_its_key_have_one_pin() {
    for text in [CERTIFICATE, PUBLIC_KEY, PIN] {
        assert_eq!(Pin::parse(text).unwrap().to_string(), PIN);
    }
    assert_eq!(Pin::of_certificate(&der()).unwrap().to_string(), PIN);
}

#[test]
fn the_end_point_is_hashed_as_its_signature_says() {
    let hash: String = end_point(&der()).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hash, END_POINT);
}

#[test]
fn what_is_no_key_has_no_pin() {
    for text in
        ["", "SHA256:", "SHA256:AAAA", "-----BEGIN CERTIFICATE-----", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END "]
    {
        assert_eq!(Pin::parse(text), None, "{text}");
    }
}

#[test]
fn damaged_certificates_are_refused_or_have_another_pin_but_never_panic() {
    let good = der();
    for end in 0..good.len() {
        let _ = (Pin::of_certificate(&good[..end]), end_point(&good[..end]));
    }
    for position in 0..good.len() {
        for value in [0, 0x30, 0x7f, 0x80, 0x83, 0xff] {
            let mut changed = good.clone();
            changed[position] = value;
            let _ = (Pin::of_certificate(&changed), end_point(&changed));
        }
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_taken(bytes: Vec<u8>) {
        let _ = (Pin::of_certificate(&bytes), end_point(&bytes));
    }
}

#[test]
fn certificates_have_their_time() {
    // 2026-11-24 13:15:59 to 2109-01-13 13:15:59
    let (begin, end) = (1_795_526_159, 4_387_526_159);
    assert_eq!(is_valid_at(&der(), begin), Some(true));
    assert_eq!(is_valid_at(&der(), begin - 1), Some(false));
    assert_eq!(is_valid_at(&der(), end), Some(true));
    assert_eq!(is_valid_at(&der(), end + 1), Some(false));
    assert_eq!(is_valid_at(&der()[..40], begin), None);
    assert_eq!(stamp(951_782_400), 20_000_229_000_000);
    assert_eq!(stamp(0), 19_700_101_000_000);
}
