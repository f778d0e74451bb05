use pgwire::messages::extendedquery::ParseComplete;
use tokio::io::duplex;

use super::*;

fn wire(limit: usize) -> (Wire, tokio::io::DuplexStream) {
    let (near, far) = duplex(1 << 16);
    (Wire::new(Box::new(near), limit), far)
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    bytes.extend((body.len() as u32 + 4).to_be_bytes());
    bytes.extend(body);
    bytes
}

fn is_violation<T: std::fmt::Debug>(result: Result<T, End>) -> bool {
    matches!(result, Err(End::Fatal(error)) if error.state().0 == "08P01")
}

#[tokio::test]
async fn messages_come_whole_however_the_bytes_arrive() {
    let (mut wire, mut far) = wire(1000);
    for byte in message(b'Q', b"select 1\0") {
        assert_eq!(wire.try_next().unwrap(), None);
        far.write_all(&[byte]).await.unwrap();
        wire.fill().await;
    }
    let expected = Incoming::Message { tag: b'Q', body: Bytes::from_static(b"select 1\0") };
    assert_eq!(wire.next().await.unwrap(), expected);
}

#[tokio::test]
async fn what_has_arrived_can_be_seen_ahead() {
    let (mut wire, mut far) = wire(1000);
    let mut bytes = [message(b'E', b"\0\0\0\0\0"), message(b'S', b"")].concat();
    bytes.extend(&message(b'Q', b"unfinished\0")[..8]);
    far.write_all(&bytes).await.unwrap();
    wire.fill().await;
    assert_eq!(wire.arrived().collect::<Vec<_>>(), [b'E', b'S']);
    wire.next().await.unwrap();
    assert_eq!(wire.arrived().collect::<Vec<_>>(), [b'S']);
}

#[tokio::test]
async fn an_oversized_message_is_skipped_and_the_next_one_read() {
    let (mut wire, mut far) = wire(100);
    let writer = tokio::io::AsyncWriteExt::write_all;
    let sent = [message(b'Q', &[b'x'; 200_000]), message(b'S', b"")].concat();
    let received = async {
        let first = wire.next().await.unwrap();
        let second = wire.next().await.unwrap();
        (first, second, wire.input.capacity())
    };
    let (_, (first, second, capacity)) = tokio::join!(writer(&mut far, &sent), received);
    assert_eq!(first, Incoming::TooLarge { tag: b'Q', length: 200_004 });
    assert_eq!(second, Incoming::Message { tag: b'S', body: Bytes::new() });
    assert!(capacity < 100_000, "it was not stored: {capacity}");
}

#[tokio::test]
async fn impossible_lengths_are_violations() {
    for length in [0u32, 3, 0x4000_0000, u32::MAX] {
        let (mut wire, mut far) = wire(100);
        far.write_all(b"Q").await.unwrap();
        far.write_all(&length.to_be_bytes()).await.unwrap();
        assert!(is_violation(wire.next().await), "{length}");
    }
}

#[tokio::test]
async fn startup_packets_are_small() {
    for length in [0u32, 7, 10_001, u32::MAX] {
        let (mut wire, mut far) = wire(1 << 20);
        far.write_all(&length.to_be_bytes()).await.unwrap();
        assert!(is_violation(wire.next_startup().await), "{length}");
    }
}

#[tokio::test]
async fn the_end_of_the_stream_ends_the_wire_after_what_was_complete() {
    let (mut wire, mut far) = wire(100);
    far.write_all(&message(b'S', b"")).await.unwrap();
    far.write_all(b"Q\0\0").await.unwrap();
    drop(far);
    assert!(matches!(wire.next().await, Ok(Incoming::Message { tag: b'S', .. })));
    assert!(matches!(wire.next().await, Err(End::Closed)));
}

#[tokio::test]
async fn a_large_message_does_not_keep_its_memory() {
    let (mut wire, mut far) = wire(64 << 20);
    let sent = message(b'Q', &vec![b'x'; 8 << 20]);
    let (_, incoming) = tokio::join!(far.write_all(&sent), wire.next());
    assert!(matches!(incoming, Ok(Incoming::Message { tag: b'Q', body }) if body.len() == 8 << 20));
    wire.input.reserve(1);
    assert!(wire.input.capacity() < 1 << 20, "{}", wire.input.capacity());
}

#[tokio::test]
async fn output_waits_for_a_flush() {
    let (mut wire, mut far) = wire(100);
    wire.put(&ParseComplete::new()).unwrap();
    wire.flush_if_large().await.unwrap();
    assert_eq!(wire.output().len(), 5);
    wire.flush().await.unwrap();
    let mut bytes = [0; 5];
    far.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"1\0\0\0\x04");
}

#[tokio::test]
async fn output_can_be_taken_back_until_it_is_sent() {
    let (mut wire, _far) = wire(1000);
    wire.put(&ParseComplete::new()).unwrap();
    let mark = wire.mark();
    wire.put(&ParseComplete::new()).unwrap();
    assert!(wire.is_all_here(mark));
    wire.take_back(mark);
    assert_eq!(wire.output().len(), 5, "what was there before stays");
    wire.put(&ParseComplete::new()).unwrap();
    wire.flush().await.unwrap();
    assert!(!wire.is_all_here(mark), "some of it is gone");
    // Nothing was there to be sent: nothing has left.
    let mark = wire.mark();
    wire.flush().await.unwrap();
    assert!(wire.is_all_here(mark));
}
