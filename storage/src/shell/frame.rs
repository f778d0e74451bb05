//! Frames on a connection, between nodes and from gateways to nodes.
//!
//! ```text
//! | length of the rest 4, big endian | kind 1 | payload |
//! ```
//!
//! A connection begins with a `Hello` each way. Raft messages are carried as they are; everything else is `postcard`.

use std::io;

use base::NodeId;
use bytes::{Buf, Bytes, BytesMut};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::message::{Request, Response, ResponseBody};

/// The version of everything on the wire between our own processes.
pub const PROTOCOL_VERSION: u16 = 1;

/// No frame is longer; who announces a longer one is disconnected.
pub const FRAME_BYTES_MAX: usize = 64 << 20;

/// Of frames before the other side is known.
pub const HELLO_BYTES_MAX: usize = 4 << 10;

/// Free room made in the buffer before each read.
const READ_BYTES: usize = 64 << 10;

/// Who is on the other side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    pub version: u16,
    /// Nodes of different clusters refuse each other.
    pub cluster: String,
    pub role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// A node; from here on it only sends messages.
    Node(NodeId),
    /// A gateway; from here on it sends requests.
    Client,
}

#[derive(Debug)]
pub enum Frame {
    Hello(Hello),
    /// The other side does not want to talk to us, and says why.
    Reject(String),
    Peer(Bytes),
    Request(Request),
    Response(Response),
    Ping,
    Pong,
}

const HELLO: u8 = 1;
const REJECT: u8 = 2;
const PEER: u8 = 3;
const REQUEST: u8 = 4;
const RESPONSE: u8 = 5;
const PING: u8 = 6;
const PONG: u8 = 7;

/// Appends a frame; `false` (and nothing appended) when it would be too long.
pub fn encode(buffer: &mut Vec<u8>, frame: &Frame) -> bool {
    match frame {
        Frame::Hello(hello) => encode_value(buffer, HELLO, hello),
        Frame::Reject(reason) => encode_value(buffer, REJECT, reason),
        Frame::Peer(message) => encode_bytes(buffer, PEER, message),
        Frame::Request(request) => encode_value(buffer, REQUEST, request),
        Frame::Response(response) => encode_response(buffer, response),
        Frame::Ping => encode_bytes(buffer, PING, &[]),
        Frame::Pong => encode_bytes(buffer, PONG, &[]),
    }
}

pub fn encode_peer(buffer: &mut Vec<u8>, message: &[u8]) -> bool {
    encode_bytes(buffer, PEER, message)
}

pub fn encode_request(buffer: &mut Vec<u8>, request: &Request) -> bool {
    encode_value(buffer, REQUEST, request)
}

/// An answer that is too long is replaced by a refusal: the asker must not wait in vain.
pub fn encode_response(buffer: &mut Vec<u8>, response: &Response) -> bool {
    encode_value(buffer, RESPONSE, response) || {
        let body = ResponseBody::Refused("the answer does not fit into a message".into());
        encode_value(buffer, RESPONSE, &Response { id: response.id, body })
    }
}

fn encode_bytes(buffer: &mut Vec<u8>, kind: u8, payload: &[u8]) -> bool {
    let start = begin(buffer, kind);
    buffer.extend_from_slice(payload);
    finish(buffer, start)
}

fn encode_value(buffer: &mut Vec<u8>, kind: u8, value: &impl Serialize) -> bool {
    let start = begin(buffer, kind);
    // Into memory, and our types are plain data: this cannot fail. If it did, the frame would be left out.
    match postcard::to_io(value, &mut *buffer) {
        Ok(_) => finish(buffer, start),
        Err(_) => {
            buffer.truncate(start);
            false
        }
    }
}

fn begin(buffer: &mut Vec<u8>, kind: u8) -> usize {
    let start = buffer.len();
    buffer.extend_from_slice(&[0, 0, 0, 0, kind]);
    start
}

fn finish(buffer: &mut Vec<u8>, start: usize) -> bool {
    let length = buffer.len() - start - 4;
    if length > FRAME_BYTES_MAX {
        buffer.truncate(start);
        return false;
    }
    buffer[start..start + 4].copy_from_slice(&(length as u32).to_be_bytes());
    true
}

/// Takes the first frame off the buffer, if it is there in full.
pub fn decode(buffer: &mut BytesMut, bytes_max: usize) -> io::Result<Option<Frame>> {
    let Some(header) = buffer.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*header) as usize;
    if length == 0 || length > bytes_max {
        return Err(invalid(format!("a frame of {length} bytes")));
    }
    if buffer.len() < 4 + length {
        return Ok(None);
    }
    buffer.advance(4);
    let mut payload = buffer.split_to(length).freeze();
    let kind = payload.get_u8();
    Ok(Some(match kind {
        HELLO => Frame::Hello(value(&payload)?),
        REJECT => Frame::Reject(value(&payload)?),
        PEER => Frame::Peer(payload),
        REQUEST => Frame::Request(value(&payload)?),
        RESPONSE => Frame::Response(value(&payload)?),
        PING => Frame::Ping,
        PONG => Frame::Pong,
        _ => return Err(invalid(format!("a frame of kind {kind}"))),
    }))
}

fn value<T: DeserializeOwned>(payload: &[u8]) -> io::Result<T> {
    postcard::from_bytes(payload).map_err(|error| invalid(format!("a malformed frame: {error}")))
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// The receiving half of a connection.
pub struct FrameReader {
    stream: Box<dyn AsyncRead + Send + Unpin>,
    buffer: BytesMut,
}

impl FrameReader {
    pub fn new(stream: Box<dyn AsyncRead + Send + Unpin>) -> FrameReader {
        FrameReader { stream, buffer: BytesMut::new() }
    }

    /// Waits for at least one frame and takes all that have arrived. May be dropped at any await without loss.
    pub async fn read(&mut self, frames: &mut Vec<Frame>, bytes_max: usize) -> io::Result<()> {
        loop {
            while let Some(frame) = decode(&mut self.buffer, bytes_max)? {
                frames.push(frame);
                if bytes_max == HELLO_BYTES_MAX {
                    // What follows the hello is subject to another limit.
                    return Ok(());
                }
            }
            if !frames.is_empty() {
                return Ok(());
            }
            self.buffer.reserve(READ_BYTES);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}
