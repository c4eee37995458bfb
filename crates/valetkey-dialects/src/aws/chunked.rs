//! Bodies in aws-chunked form: lines between the bytes, which say how many follow and who vouches for them.
//!
//! [Signed chunks](https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html),
//! [trailers](https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html). The decoder is
//! pushed slices of the body as they come, however they are cut, and keeps no more than one line.

use alloc::string::ToString;
use alloc::vec::Vec;

use sha2::{Digest as _, Sha256};
use valetkey::Denial;

use super::payload::{Framing, bad};
use super::signature::{CredentialScope, Signature, SigningKey, hex};
use crate::integrity::{Checksum, ChecksumAlgorithm};

/// The longest line before a chunk, in bytes: 16 digits, and a signature.
const LINE_BYTES_MAX: usize = 128;

/// The longest trailer, in bytes.
const TRAILER_BYTES_MAX: usize = 4096;

/// What signs the chunks of one body, each by the one before, the first by the request.
#[derive(Clone, Debug)]
pub struct ChunkSigner {
    key: SigningKey,
    scope: CredentialScope,
    previous: Signature,
}

impl ChunkSigner {
    pub(super) fn new(key: SigningKey, scope: CredentialScope, seed: Signature) -> Self {
        Self { key, scope, previous: seed }
    }

    pub(super) fn chunk(&mut self, hash: Sha256) -> Signature {
        let of_nothing = hex(&Sha256::digest(b""));
        self.next("AWS4-HMAC-SHA256-PAYLOAD", &[&of_nothing, "\n", &hex(&hash.finalize())])
    }

    pub(super) fn trailer(&mut self, hash: Sha256) -> Signature {
        self.next("AWS4-HMAC-SHA256-TRAILER", &[&hex(&hash.finalize())])
    }

    fn next(&mut self, algorithm: &str, hashes: &[&str]) -> Signature {
        let (scope, previous) = (self.scope.to_string(), self.previous.reveal());
        let lines = [algorithm, "\n", self.scope.time(), "\n", &scope, "\n", &previous, "\n"];
        self.previous = self.key.sign(&(lines.concat() + &hashes.concat()));
        self.previous.clone()
    }
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The line before a chunk.
    Line,
    Data {
        left: u64,
    },
    /// The end of the line that a chunk's bytes are.
    DataEnd,
    /// A line of the trailer, or the empty one that ends it.
    Trailer {
        is_signed: bool,
    },
    /// The empty line of a body without a trailer.
    End,
    /// Nothing.
    Done,
    Failed,
}

/// Takes a body in aws-chunked form apart.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    /// The part of a line that came so far.
    line: Vec<u8>,
    /// How many bytes of the upload are still to come.
    decoded_left: u64,
    signer: Option<ChunkSigner>,
    /// What the chunk under way hashes to, and its signature.
    hash: Sha256,
    claimed: Option<Signature>,
    announced: Option<Vec<ChecksumAlgorithm>>,
    trailer_bytes: usize,
    checksums: Vec<Checksum>,
}

impl Decoder {
    /// A decoder of one body. `signer` is what the request's signature gave.
    ///
    /// # Errors
    /// [`Denial::BadSignature`] where the chunks are signed and nothing vouches for them.
    pub fn new(framing: &Framing, signer: Option<ChunkSigner>) -> Result<Self, Denial> {
        let signer = signer.filter(|_| framing.is_signed);
        if framing.is_signed && signer.is_none() {
            return Err(Denial::BadSignature);
        }
        Ok(Self {
            state: State::Line,
            line: Vec::new(),
            decoded_left: framing.decoded_bytes,
            signer,
            hash: Sha256::new(),
            claimed: None,
            announced: framing.trailer.clone(),
            trailer_bytes: 0,
            checksums: Vec::new(),
        })
    }

    /// The next bytes of the upload, a piece of `input`, which is moved past it; `None` where all of `input`
    /// was taken.
    ///
    /// A chunk's signature is compared when its last byte has come. Until [`Decoder::finish`] nothing vouches
    /// for the whole.
    ///
    /// # Errors
    /// [`Denial::BadRequest`] for a body that is not in its form, or longer than it was said to be;
    /// [`Denial::BadSignature`]. After an error it gives nothing more.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Denial> {
        let piece = self.step(input);
        if piece.is_err() {
            self.state = State::Failed;
        }
        piece
    }

    /// The checksums of the trailer, once the whole body was pushed.
    ///
    /// # Errors
    /// [`Denial::BadRequest`] where the body is not at its end.
    pub fn finish(self) -> Result<Vec<Checksum>, Denial> {
        if self.state == State::Done {
            Ok(self.checksums)
        } else {
            Err(bad("the body ends before its last chunk"))
        }
    }

    fn step<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Denial> {
        loop {
            match self.state {
                State::Data { left } => return self.data(left, input),
                State::Done if input.is_empty() => return Ok(None),
                State::Done => return Err(bad("the body goes on after its last chunk")),
                State::Failed => return Err(bad("the body is not in aws-chunked form")),
                State::Line | State::DataEnd | State::Trailer { .. } | State::End => {
                    let Some(line) = self.line(input)? else { return Ok(None) };
                    self.state = match self.state {
                        State::Line => self.chunk(&line)?,
                        State::Trailer { is_signed } => self.trailer(&line, is_signed)?,
                        _ if !line.is_empty() => return Err(bad("a chunk is longer than it says")),
                        State::DataEnd => State::Line,
                        _ => State::Done,
                    };
                }
            }
        }
    }

    fn data<'a>(&mut self, left: u64, input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Denial> {
        if input.is_empty() {
            return Ok(None);
        }
        let bytes = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
        let (piece, rest) = input.split_at(bytes);
        *input = rest;
        let taken = u64::try_from(bytes).unwrap_or(left);
        if self.signer.is_some() {
            self.hash.update(piece);
        }
        self.state = State::Data { left: left - taken };
        if taken == left {
            self.check_chunk()?;
            self.state = State::DataEnd;
        }
        Ok(Some(piece))
    }

    /// One line without its end; `None` where the end has not come yet.
    fn line(&mut self, input: &mut &[u8]) -> Result<Option<Vec<u8>>, Denial> {
        let in_trailer = matches!(self.state, State::Trailer { .. });
        let end = input.iter().position(|byte| *byte == b'\n');
        let bytes = end.map_or(input.len(), |at| at + 1);
        let bytes_max = if in_trailer { TRAILER_BYTES_MAX - self.trailer_bytes } else { LINE_BYTES_MAX };
        if self.line.len() + bytes > bytes_max {
            return Err(bad("a line between the chunks, or the trailer, is too long"));
        }
        let (piece, rest) = input.split_at(bytes);
        *input = rest;
        self.line.extend_from_slice(piece);
        if end.is_none() {
            return Ok(None);
        }
        let mut line = core::mem::take(&mut self.line);
        if in_trailer {
            self.trailer_bytes += line.len();
        }
        line.pop();
        match line.pop() {
            Some(b'\r') => {}
            // Amazon's own page ends lines of a trailer with a newline alone.
            last if in_trailer => line.extend(last),
            _ => return Err(bad("a line between the chunks does not end with CRLF")),
        }
        Ok(Some(line))
    }

    /// Reads the line before a chunk: its length in hex, and its signature.
    fn chunk(&mut self, line: &[u8]) -> Result<State, Denial> {
        let malformed = || bad("the line before a chunk is not in its form");
        let digits = match &self.signer {
            None => line,
            Some(_) => {
                let at = line.iter().position(|byte| *byte == b';').ok_or_else(malformed)?;
                let (digits, rest) = line.split_at(at);
                let signature = rest.strip_prefix(b";chunk-signature=").ok_or_else(malformed)?;
                self.claimed = Some(Signature::parse(signature).ok_or(Denial::BadSignature)?);
                digits
            }
        };
        let is_number = (1..=16).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit);
        let number = core::str::from_utf8(digits).ok().filter(|_| is_number);
        let size = number.and_then(|digits| u64::from_str_radix(digits, 16).ok()).ok_or_else(malformed)?;
        self.decoded_left = (self.decoded_left.checked_sub(size))
            .ok_or_else(|| bad("the body is longer than x-amz-decoded-content-length says"))?;
        if size > 0 {
            return Ok(State::Data { left: size });
        }
        if self.decoded_left > 0 {
            return Err(bad("the body is shorter than x-amz-decoded-content-length says"));
        }
        self.check_chunk()?;
        Ok(if self.announced.is_some() { State::Trailer { is_signed: false } } else { State::End })
    }

    fn check_chunk(&mut self) -> Result<(), Denial> {
        let Some(signer) = &mut self.signer else { return Ok(()) };
        let expected = signer.chunk(core::mem::take(&mut self.hash));
        match self.claimed.take() {
            Some(claimed) if expected.matches(&claimed) => Ok(()),
            _ => Err(Denial::BadSignature),
        }
    }

    fn trailer(&mut self, line: &[u8], is_signed: bool) -> Result<State, Denial> {
        let line = core::str::from_utf8(line).map_err(|_| bad("the trailer is no text in UTF-8"))?;
        if line.is_empty() {
            return self.trailer_end(is_signed);
        }
        let (name, value) = line.split_once(':').ok_or_else(|| bad("a line of the trailer has no colon"))?;
        let (name, value) = (name.to_ascii_lowercase(), value.trim_matches([' ', '\t']));
        if is_signed {
            return Err(bad("the trailer goes on after its signature"));
        }
        if let Some(signer) = &mut self.signer
            && name == "x-amz-trailer-signature"
        {
            let expected = signer.trailer(core::mem::take(&mut self.hash));
            let holds = Signature::parse(value.as_bytes()).is_some_and(|claimed| expected.matches(&claimed));
            return if holds { Ok(State::Trailer { is_signed: true }) } else { Err(Denial::BadSignature) };
        }
        let checksum = ChecksumAlgorithm::of_s3_header(&name)
            .filter(|algorithm| self.announced.iter().flatten().any(|known| known == algorithm))
            .filter(|algorithm| self.checksums.iter().all(|known| known.algorithm != *algorithm));
        if checksum.is_none() {
            return Err(bad("the trailer has a line that x-amz-trailer does not announce"));
        }
        for piece in [&name, ":", value, "\n"] {
            self.hash.update(piece.as_bytes());
        }
        self.checksums.extend(Checksum::of_s3(&name, value)?);
        Ok(State::Trailer { is_signed })
    }

    fn trailer_end(&mut self, is_signed: bool) -> Result<State, Denial> {
        if self.checksums.len() < self.announced.iter().flatten().count() {
            return Err(bad("the trailer lacks what x-amz-trailer announces"));
        }
        // Amazon's own page has an empty line before the signature.
        let is_whole = is_signed || self.signer.is_none();
        Ok(if is_whole { State::Done } else { State::Trailer { is_signed } })
    }
}

/// Frames `pieces` as one body, as a client does.
#[cfg(test)]
pub(super) fn encode(
    pieces: &[&[u8]],
    signer: Option<ChunkSigner>,
    trailer: Option<&[(&str, &str)]>,
) -> Vec<u8> {
    let mut signer = signer;
    let mut body = Vec::new();
    for piece in pieces.iter().copied().chain([b"".as_slice()]) {
        let mut line = alloc::format!("{:x}", piece.len());
        if let Some(signer) = &mut signer {
            line += &[";chunk-signature=", &signer.chunk(Sha256::new_with_prefix(piece)).reveal()].concat();
        }
        body.extend_from_slice(line.as_bytes());
        body.extend_from_slice(b"\r\n");
        body.extend_from_slice(piece);
        if !piece.is_empty() {
            body.extend_from_slice(b"\r\n");
        }
    }
    let mut hash = Sha256::new();
    for (name, value) in trailer.into_iter().flatten() {
        hash.update([name, ":", value, "\n"].concat());
        body.extend_from_slice([name, ":", value, "\r\n"].concat().as_bytes());
    }
    if let (Some(signer), Some(_)) = (&mut signer, trailer) {
        let line = ["x-amz-trailer-signature:", &signer.trailer(hash).reveal(), "\r\n"].concat();
        body.extend_from_slice(line.as_bytes());
    }
    body.extend_from_slice(b"\r\n");
    body
}
