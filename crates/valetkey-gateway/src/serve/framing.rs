//! Where each request of an HTTP/1 connection begins, and whether the end of its body is in doubt.
//!
//! A request with two lengths ends in one place for one reader and elsewhere for another, so that what stands
//! behind it may be run by one of them only. hyper takes such a request by one of its lengths and drops the
//! other before we see it. So the bytes are followed here too, as they arrive, and each request is told apart
//! from what hyper made of it. Where this reader loses the thread no verdict is given, and a request without
//! a verdict is refused: it may be stricter than hyper, and must never be laxer.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use super::connection::HEAD_BYTES_MAX;

/// Put with a request whose body may end in more than one place. It is refused, and its connection closed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DoubtfulFraming;

/// One verdict for each request that has arrived, in order, from a connection's reader to its service.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdicts(Rc<RefCell<VecDeque<Result<(), DoubtfulFraming>>>>);

impl Verdicts {
    /// The verdict on the next request.
    ///
    /// # Errors
    /// [`DoubtfulFraming`], also where nothing is known of it.
    pub(crate) fn next(&self) -> Result<(), DoubtfulFraming> {
        self.0.borrow_mut().pop_front().unwrap_or(Err(DoubtfulFraming))
    }
}

/// Follows the bytes of a connection.
#[derive(Debug)]
pub(crate) struct Framing {
    verdicts: Verdicts,
    place: Place,
    /// The beginning of a line whose end has not arrived.
    line: Vec<u8>,
    head: Head,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// A line of a head.
    Head,
    /// A body with this many bytes left.
    Body(u64),
    /// The line with a chunk's size.
    ChunkSize,
    /// A chunk with this many bytes left, the line's end behind it included.
    Chunk(u64),
    /// A line behind the last chunk.
    Trailer,
    /// Nobody knows.
    Lost,
}

/// What a head has said so far.
#[derive(Debug, Default)]
struct Head {
    begun: bool,
    bytes: usize,
    content_lengths: usize,
    transfer_codings: usize,
    /// The last `Content-Length`, where it is a number.
    body_bytes: Option<u64>,
}

impl Framing {
    pub(crate) fn new(verdicts: Verdicts) -> Self {
        Self { verdicts, place: Place::Head, line: Vec::new(), head: Head::default() }
    }

    /// Follows `bytes`, which have just arrived.
    pub(crate) fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.place {
                Place::Lost => return,
                Place::Body(left) => self.place = skip(left, &mut bytes, Place::Body, Place::Head),
                Place::Chunk(left) => self.place = skip(left, &mut bytes, Place::Chunk, Place::ChunkSize),
                Place::Head | Place::ChunkSize | Place::Trailer => {
                    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
                        self.begin_line(bytes);
                        return;
                    };
                    let (line, rest) = bytes.split_at(end);
                    bytes = &rest[1..];
                    if self.line.is_empty() {
                        self.place = self.end_line(line);
                    } else {
                        // The usual head arrives whole, and only one that does not is copied.
                        self.begin_line(line);
                        let line = std::mem::take(&mut self.line);
                        self.place = self.end_line(&line);
                    }
                }
            }
        }
    }

    fn begin_line(&mut self, part: &[u8]) {
        if self.place != Place::Lost && self.line.len() + part.len() <= HEAD_BYTES_MAX {
            self.line.extend_from_slice(part);
        } else {
            self.place = Place::Lost;
            self.line = Vec::new();
        }
    }

    /// Where a line, whose `\n` is cut off, leads.
    fn end_line(&mut self, line: &[u8]) -> Place {
        let ended = line.strip_suffix(b"\r");
        match (self.place, ended) {
            // hyper takes a bare `\n` in a head, and nowhere else.
            (Place::Head, _) => self.head_line(ended.unwrap_or(line)),
            (Place::ChunkSize, Some(line)) => match chunk_bytes(line) {
                Some(0) => Place::Trailer,
                Some(bytes) => bytes.checked_add(2).map_or(Place::Lost, Place::Chunk),
                None => Place::Lost,
            },
            (Place::Trailer, Some([])) => Place::Head,
            (Place::Trailer, Some(line)) if !line.contains(&b'\r') => Place::Trailer,
            _ => Place::Lost,
        }
    }

    fn head_line(&mut self, line: &[u8]) -> Place {
        if line.is_empty() {
            // Empty lines before a request are nothing.
            return if self.head.begun { self.end_head() } else { Place::Head };
        }
        self.head.bytes += line.len();
        if self.head.bytes > HEAD_BYTES_MAX {
            return Place::Lost;
        }
        if std::mem::replace(&mut self.head.begun, true)
            && let Some(colon) = line.iter().position(|byte| *byte == b':')
        {
            let (name, value) = (&line[..colon], &line[colon + 1..]);
            if name.eq_ignore_ascii_case(b"content-length") {
                self.head.content_lengths += 1;
                self.head.body_bytes = decimal(value.trim_ascii());
            } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
                self.head.transfer_codings += 1;
            }
        }
        Place::Head
    }

    fn end_head(&mut self) -> Place {
        let head = std::mem::take(&mut self.head);
        let (verdict, place) = match (head.content_lengths, head.transfer_codings, head.body_bytes) {
            (0, 0, _) => (Ok(()), Place::Head),
            (1, 0, Some(bytes)) => (Ok(()), Place::Body(bytes)),
            (0, 1, _) => (Ok(()), Place::ChunkSize),
            _ => (Err(DoubtfulFraming), Place::Lost),
        };
        self.verdicts.0.borrow_mut().push_back(verdict);
        place
    }
}

/// Takes what is there of `left` bytes.
fn skip(left: u64, bytes: &mut &[u8], within: impl FnOnce(u64) -> Place, behind: Place) -> Place {
    let taken = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
    *bytes = &bytes[taken..];
    match left - u64::try_from(taken).unwrap_or(left) {
        0 => behind,
        left => within(left),
    }
}

fn decimal(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    digits.then(|| std::str::from_utf8(text).ok()?.parse().ok()).flatten()
}

/// The size on a chunk's line, whatever extension follows it.
fn chunk_bytes(line: &[u8]) -> Option<u64> {
    let end = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    u64::from_str_radix(std::str::from_utf8(&line[..end]).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdicts on `bytes`, whether they arrive at once or in pieces of any size.
    #[track_caller]
    fn check(bytes: &str, expected: &[bool]) {
        for piece_bytes in [bytes.len().max(1), 1, 2, 3, 7, 16] {
            let verdicts = Verdicts::default();
            let mut framing = Framing::new(verdicts.clone());
            bytes.as_bytes().chunks(piece_bytes).for_each(|piece| framing.follow(piece));
            let found: Vec<bool> = verdicts.0.borrow().iter().map(Result::is_ok).collect();
            assert_eq!(found, expected, "{bytes:?} in pieces of {piece_bytes}");
        }
    }

    #[test]
    fn each_request_has_a_verdict() {
        check("", &[]);
        check("GET / HTTP/1.1\r\nHost: a\r\n", &[]);
        check("GET / HTTP/1.1\r\nHost: a\r\n\r\n", &[true]);
        check("\r\n\n\r\nGET / HTTP/1.1\nHost: a\n\nGET / HTTP/1.1\r\n\r\n", &[true, true]);
    }

    #[test]
    fn bodies_are_skipped() {
        let inner = "GET / HTTP/1.1\r\n\r\n";
        let length = inner.len();
        check(&format!("PUT / HTTP/1.1\r\ncontent-length:\t {length} \r\n\r\n{inner}{inner}"), &[true, true]);
        check(&format!("PUT / HTTP/1.1\r\nContent-Length: 0\r\n\r\n{inner}"), &[true, true]);
        let chunked = "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        check(&format!("{chunked}{length:x}\r\n{inner}\r\n0\r\n\r\n{inner}"), &[true, true]);
        check(&format!("{chunked}{length:X} ;a=b\r\n{inner}\r\n00\r\nA: b\r\n\r\n{inner}"), &[true, true]);
    }

    #[test]
    fn two_lengths_are_doubtful_and_nothing_behind_them_is_known() {
        for lengths in [
            "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
            "transfer-encoding: chunked\r\nA: b\r\nCONTENT-LENGTH: 3\r\n",
            "Content-Length: 3\r\nContent-Length: 3\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: 3, 3\r\n",
            "Content-Length: +3\r\n",
            "Content-Length:\n",
            "Content-Length: 18446744073709551616\r\n",
        ] {
            let behind = "0\r\n\r\nGET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n";
            check(&format!("GET / HTTP/1.1\r\n\r\nPUT / HTTP/1.1\r\n{lengths}\r\n{behind}"), &[true, false]);
        }
    }

    #[test]
    fn what_only_some_readers_take_ends_the_thread() {
        let behind = "GET / HTTP/1.1\r\n\r\n";
        for body in [
            "3\nabc\r\n0\r\n\r\n",
            "3;\nGET\r\n0\r\n\r\n",
            "0\r\nA: b\n\n",
            "0\r\n\n",
            "0\r\nA: b\r\r\n\r\n",
            "x\r\n",
            "\r\n",
            "fffffffffffffffff\r\n",
            "ffffffffffffffff\r\n",
        ] {
            check(&format!("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}{behind}"), &[true]);
        }
    }

    #[test]
    fn what_is_kept_of_a_head_is_bounded() {
        let mut framing = Framing::new(Verdicts::default());
        for _ in 0..100 {
            framing.follow(&[b'x'; 1000]);
            assert!(framing.line.len() <= HEAD_BYTES_MAX);
        }
        assert_eq!(framing.place, Place::Lost);
        check(&format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(HEAD_BYTES_MAX / 4)), &[]);
    }

    #[test]
    fn a_request_without_a_verdict_is_refused() {
        assert!(Verdicts::default().next().is_err());
    }
}
