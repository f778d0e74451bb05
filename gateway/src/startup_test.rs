use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

fn packet(code: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = (body.len() as u32 + 8).to_be_bytes().to_vec();
    bytes.extend(code.to_be_bytes());
    bytes.extend(body);
    bytes
}

fn wire() -> (Wire, DuplexStream) {
    let (near, far) = duplex(1 << 16);
    (Wire::new(Box::new(near), 1000), far)
}

fn decode(body: &[u8]) -> Result<Packet, SqlError> {
    Packet::decode(3 << 16, Bytes::copy_from_slice(body))
}

async fn opened(bytes: &[u8]) -> Result<Opening, End> {
    let (mut wire, mut far) = wire();
    far.write_all(bytes).await.unwrap();
    open(&mut wire, None).await
}

#[tokio::test]
async fn encryption_is_declined_and_the_session_goes_on_in_clear() {
    let (mut wire, mut far) = wire();
    let client = async {
        let mut answer = [0];
        for code in [CODE_GSS, CODE_SSL] {
            far.write_all(&packet(code, b"")).await.unwrap();
            far.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"N");
        }
        far.write_all(&packet(3 << 16, b"user\0clerk\0database\0shop\0\0")).await.unwrap();
    };
    let (opening, ()) = tokio::join!(open(&mut wire, None), client);
    let Ok(Opening::Session(packet)) = opening else { panic!("no session") };
    assert_eq!((packet.user.as_str(), packet.database.as_str()), ("clerk", "shop"));
}

#[tokio::test]
async fn asking_for_encryption_again_and_again_ends_the_connection() {
    let twice = [packet(CODE_SSL, b""), packet(CODE_SSL, b"")].concat();
    assert!(matches!(opened(&twice).await, Err(End::Fatal(_))));
}

#[tokio::test]
async fn a_cancel_request_names_number_and_secret() {
    let opening = opened(&packet(CODE_CANCEL, b"\0\0\0\x07\xff\xff\xff\xff")).await;
    assert!(matches!(opening, Ok(Opening::Cancel { pid: 7, secret: -1 })));
    assert!(matches!(opened(&packet(CODE_CANCEL, b"\0\0")).await, Err(End::Fatal(_))));
}

#[test]
fn settings_come_from_parameters_and_options() {
    let packet =
        decode(b"user\0u\0application_name\0psql\0options\0-c a=1  --b-c=x\\ y -cd=\0replication\0false\0\0").unwrap();
    let settings: Vec<(&str, &str)> = packet.settings.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(settings, [("application_name", "psql"), ("a", "1"), ("b_c", "x y"), ("d", "")]);
    assert_eq!(packet.negotiate, None);
}

#[test]
fn bad_packets_have_their_sqlstates() {
    let state = |body: &[u8]| decode(body).unwrap_err().state().0;
    assert_eq!(state(b"database\0d\0\0"), "28000");
    assert_eq!(state(b"user\0u\0"), "08P01");
    assert_eq!(state(b"user\0u"), "08P01");
    assert_eq!(state(b"user\0u\0\0more"), "08P01");
    assert_eq!(state(b"user\0\xff\0\0"), "22021");
    assert_eq!(state(b"user\0u\0options\0-x\0\0"), "42601");
    assert_eq!(state(b"user\0u\0options\0-c\0\0"), "42601");
    assert_eq!(state(b"user\0u\0options\0-c novalue\0\0"), "42601");
    assert_eq!(state(b"user\0u\0replication\0database\0\0"), "0A000");
    let version_2 = Packet::decode(2 << 16, Bytes::from_static(b"user\0u\0\0"));
    assert_eq!(version_2.unwrap_err().state().0, "0A000");
}

#[tokio::test]
async fn a_newer_minor_version_is_negotiated_down() {
    let newer = Packet::decode((3 << 16) | 2, Bytes::from_static(b"user\0u\0_pq_.x\x001\0\0")).unwrap();
    let (mut wire, mut far) = wire();
    newer.negotiate(&mut wire).unwrap();
    wire.flush().await.unwrap();
    let mut answer = vec![0; 20];
    far.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, *b"v\0\0\0\x13\0\x03\0\0\0\0\0\x01_pq_.x\0");
}

#[test]
fn a_code_is_no_setting_and_never_shown() {
    let packet = decode(b"user\0u\0options\0-c locus.otp=123456 -c a=1\0\0").unwrap();
    assert_eq!(packet.code.as_deref(), Some("123456"));
    assert_eq!(packet.settings, [("a".to_owned(), "1".to_owned())]);
    assert!(!format!("{packet:?}").contains("123456"));
}
