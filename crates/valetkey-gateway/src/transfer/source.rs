//! Where the bytes of an upload come from: a body, a body with lines between its chunks, a form, or another object.

use std::borrow::Cow;

use bytes::Bytes;
use hyper::body::Incoming;
use valetkey::Denial;
use valetkey_dialects::aws::Decoder;
use valetkey_dialects::form::{FormEvent, FormReader};
use valetkey_dialects::{Checksum, ChecksumAlgorithm};

use super::copied::Copied;

/// Where the bytes of an upload come from.
pub(crate) enum Source<'a> {
    /// They are the body.
    Plain(&'a mut Incoming),
    /// They are in the body, with lines between them.
    Chunked { body: &'a mut Incoming, decoder: Box<Decoder>, announced: Vec<ChecksumAlgorithm> },
    /// They are those of the file in a form, whose fields were read; what came with those is the file's beginning.
    Form { body: &'a mut Incoming, reader: Box<FormReader>, begun: Option<Bytes> },
    /// They are those of an object that is there.
    Object(Copied),
}

impl<'a> Source<'a> {
    /// The body that has to be waited for.
    pub(super) fn body(&mut self) -> Option<&mut Incoming> {
        match self {
            Self::Plain(body) | Self::Chunked { body, .. } | Self::Form { body, .. } => Some(body),
            Self::Object(_) => None,
        }
    }

    /// The object that is copied.
    pub(super) fn copied(&self) -> Option<&Copied> {
        match self {
            Self::Object(copied) => Some(copied),
            Self::Plain(_) | Self::Chunked { .. } | Self::Form { .. } => None,
        }
    }

    /// What came of the body before it became a source, once.
    pub(super) fn begun(&mut self) -> Option<Bytes> {
        match self {
            Self::Form { begun, .. } => begun.take(),
            Self::Plain(_) | Self::Chunked { .. } | Self::Object(_) => None,
        }
    }

    /// By which functions the end of the body will say what its bytes hash to.
    pub(super) fn announced(&self) -> &[ChecksumAlgorithm] {
        match self {
            Self::Chunked { announced, .. } => announced,
            Self::Plain(_) | Self::Form { .. } | Self::Object(_) => &[],
        }
    }

    /// The bytes of the upload that a piece of the body brings.
    ///
    /// Pieces of one chunk each would be a pile of slices, each of which keeps all of `data` in memory, so what
    /// comes in several is joined.
    ///
    /// # Errors
    /// As [`Decoder::next`] and [`FormReader::next`].
    pub(super) fn decode(&mut self, data: Bytes) -> Result<Bytes, Denial> {
        if let Self::Plain(_) = self {
            return Ok(data);
        }
        let mut input = &data[..];
        let Some(first) = self.next(&mut input)? else { return Ok(Bytes::new()) };
        let first = match first {
            Cow::Borrowed(piece) => data.slice_ref(piece),
            Cow::Owned(piece) => piece.into(),
        };
        let Some(second) = self.next(&mut input)? else { return Ok(first) };
        let mut joined = Vec::with_capacity(first.len() + data.len());
        joined.extend_from_slice(&first);
        joined.extend_from_slice(&second);
        while let Some(piece) = self.next(&mut input)? {
            joined.extend_from_slice(&piece);
        }
        Ok(joined.into())
    }

    /// Takes the next bytes of the upload off `input`.
    fn next<'i>(&mut self, input: &mut &'i [u8]) -> Result<Option<Cow<'i, [u8]>>, Denial> {
        match self {
            Self::Plain(_) | Self::Object(_) => Ok(None),
            Self::Chunked { decoder, .. } => Ok(decoder.next(input)?.map(Cow::Borrowed)),
            Self::Form { reader, .. } => loop {
                match reader.next(input)? {
                    Some(FormEvent::Piece(piece)) => return Ok(Some(piece)),
                    Some(FormEvent::File(_) | FormEvent::End) => {}
                    None => return Ok(None),
                }
            },
        }
    }

    /// The checksums that the end of the body says.
    ///
    /// # Errors
    /// As [`Decoder::finish`] and [`FormReader::finish`].
    pub(super) fn finish(self) -> Result<Vec<Checksum>, Denial> {
        match self {
            Self::Chunked { decoder, .. } => decoder.finish(),
            Self::Form { reader, .. } => reader.finish().map(|()| Vec::new()),
            Self::Plain(_) | Self::Object(_) => Ok(Vec::new()),
        }
    }
}
