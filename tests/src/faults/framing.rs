//! Where a message of HTTP/1.1 ends.

use std::io::{self, BufRead, Read as _};

use super::broken;

/// The longest head, line or trailer that is taken, in bytes.
const LINE_BYTES_MAX: u64 = 256 << 10;

/// The head of a request or an answer, as it came.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) bytes: Vec<u8>,
    /// The first line's words.
    first: Vec<String>,
    length: Option<u64>,
    is_chunked: bool,
}

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Bytes(u64),
    Chunks,
    /// Whatever comes until the connection ends.
    Rest,
}

impl Head {
    /// Reads a head; `None` where the connection ended before it.
    pub(super) fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut head = Self { bytes: Vec::new(), first: Vec::new(), length: None, is_chunked: false };
        loop {
            let line = read_line(from)?;
            head.bytes.extend_from_slice(&line);
            if line.is_empty() {
                return if head.bytes.is_empty() { Ok(None) } else { Err(broken("a head without an end")) };
            }
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end();
            if head.first.is_empty() {
                head.first = text.split(' ').map(str::to_owned).collect();
            } else if let Some((name, value)) = text.split_once(':') {
                match name.to_ascii_lowercase().as_str() {
                    "content-length" => head.length = value.trim().parse().ok(),
                    "transfer-encoding" => head.is_chunked = value.trim().eq_ignore_ascii_case("chunked"),
                    _ => {}
                }
            } else if text.is_empty() {
                return Ok(Some(head));
            }
        }
    }

    /// The method and target of a request.
    pub(super) fn asked(&self) -> io::Result<(&str, &str)> {
        match self.first.as_slice() {
            [method, target, _] => Ok((method, target)),
            _ => Err(broken("no request line")),
        }
    }

    /// The status of an answer.
    pub(super) fn status(&self) -> io::Result<u16> {
        self.first.get(1).and_then(|word| word.parse().ok()).ok_or_else(|| broken("no status line"))
    }

    /// The body of a request.
    pub(super) fn body(&self) -> Body {
        if self.is_chunked { Body::Chunks } else { Body::Bytes(self.length.unwrap_or(0)) }
    }

    /// The body of an answer to `method`.
    pub(super) fn body_for(&self, method: &str) -> io::Result<Body> {
        let is_bodiless = method == "HEAD" || matches!(self.status()?, 204 | 304);
        Ok(match self.length {
            _ if is_bodiless => Body::Bytes(0),
            None if !self.is_chunked => Body::Rest,
            _ => self.body(),
        })
    }
}

impl Body {
    /// Hands on the body as it travels.
    pub(super) fn pass(
        self,
        from: &mut impl BufRead,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        match self {
            Self::Bytes(length) => pass(from, length, sink),
            Self::Chunks => loop {
                let line = read_line(from)?;
                let text = String::from_utf8_lossy(&line);
                let size = text.trim_end().split(';').next().unwrap_or_default();
                let size = u64::from_str_radix(size, 16).map_err(|_| broken("no chunk size"))?;
                sink(&line)?;
                if size > 0 {
                    pass(from, size.saturating_add(2), sink)?;
                    continue;
                }
                loop {
                    let trailer = read_line(from)?;
                    sink(&trailer)?;
                    match trailer.as_slice() {
                        b"\r\n" => return Ok(()),
                        b"" => return Err(broken("a trailer without an end")),
                        _ => {}
                    }
                }
            },
            Self::Rest => loop {
                let piece = from.fill_buf()?;
                let taken = piece.len();
                if taken == 0 {
                    return Ok(());
                }
                sink(piece)?;
                from.consume(taken);
            },
        }
    }
}

fn pass(
    from: &mut impl BufRead,
    length: u64,
    sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut left = length;
    while left > 0 {
        let piece = from.fill_buf()?;
        if piece.is_empty() {
            return Err(broken("a body without an end"));
        }
        let taken = usize::try_from(left).map_or(piece.len(), |left| left.min(piece.len()));
        sink(&piece[..taken])?;
        from.consume(taken);
        left -= u64::try_from(taken).expect("a length fits");
    }
    Ok(())
}

fn read_line(from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    from.take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    Ok(line)
}
