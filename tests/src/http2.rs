//! A small HTTP/2 client that sends the frames it is told to, sound or not, over plain TCP.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::http::Connection;

/// Kinds of frames. [RFC 9113, section 6](https://www.rfc-editor.org/rfc/rfc9113#section-6).
pub const DATA: u8 = 0;
/// As above.
pub const HEADERS: u8 = 1;
/// As above.
pub const RST_STREAM: u8 = 3;
/// As above.
pub const SETTINGS: u8 = 4;
/// As above.
pub const PING: u8 = 6;
/// As above.
pub const GOAWAY: u8 = 7;
/// As above.
pub const CONTINUATION: u8 = 9;

/// The flag of a stream's last frame, and of an acknowledgement.
pub const END_STREAM: u8 = 1;
/// As above.
pub const ACK: u8 = 1;
/// The flag of a head's last frame.
pub const END_HEADERS: u8 = 4;

/// What a client sends first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Its kind.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream; 0 for the connection.
    pub stream: u32,
    /// What it carries.
    pub payload: Vec<u8>,
}

/// A frame's bytes.
///
/// # Panics
/// If the payload is longer than a frame can say.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a payload is small").to_be_bytes();
    assert_eq!(length[0], 0, "a payload is small");
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The preface and a SETTINGS frame with these.
pub fn opening(settings: &[(u16, u32)]) -> Vec<u8> {
    let settings: Vec<u8> = settings
        .iter()
        .flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()[..]].concat())
        .collect();
    [PREFACE, &frame(SETTINGS, 0, 0, &settings)].concat()
}

/// The head of a request, each header spelled out.
pub fn head(method: &str, target: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let own = [(":method", method), (":scheme", "http"), (":authority", "localhost"), (":path", target)];
    let mut block = Vec::new();
    for (name, value) in own.iter().chain(headers) {
        block.push(0);
        for text in [name, value] {
            length(text.len(), &mut block);
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// A number with a prefix of seven bits. [RFC 7541, section 5.1](https://www.rfc-editor.org/rfc/rfc7541#section-5.1).
fn length(length: usize, into: &mut Vec<u8>) {
    let byte = |number: usize| u8::try_from(number).expect("it was reduced to a byte");
    if length < 127 {
        into.push(byte(length));
        return;
    }
    into.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        into.push(byte(rest % 128 + 128));
        rest /= 128;
    }
    into.push(byte(rest));
}

/// Reads the next frame.
///
/// # Errors
/// If the peer closes or falls silent.
pub fn read_frame(connection: &mut Connection) -> Result<Frame> {
    let head = connection.read_some(9)?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
    let payload = connection.read_some(usize::try_from(length)?)?;
    Ok(Frame { kind: head[3], flags: head[4], stream, payload })
}

/// Reads frames, and acknowledges every ping, until one that `wanted` accepts. The others are dropped.
///
/// # Errors
/// If it does not come within `limit`, or the peer closes before.
pub fn wait_for(
    connection: &mut Connection,
    limit: Duration,
    wanted: impl Fn(&Frame) -> bool,
) -> Result<Frame> {
    let begun = Instant::now();
    loop {
        let left = limit.checked_sub(begun.elapsed()).context("the frame did not come in time")?;
        connection.set_patience(left.max(Duration::from_millis(1)))?;
        let frame = read_frame(connection)?;
        if wanted(&frame) {
            return Ok(frame);
        }
        if frame.kind == PING && frame.flags & ACK == 0 {
            connection.send(&self::frame(PING, ACK, 0, &frame.payload))?;
        }
    }
}
