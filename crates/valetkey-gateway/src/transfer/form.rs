//! The fields of a form, and the beginning of its file.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use tokio::time::timeout;
use valetkey::Denial;
use valetkey_dialects::form::{Form, FormEvent, FormReader};

use super::arriving::broken_off;
use super::source::Source;

/// How long a client may take for the fields of a form, whose sender nobody knows yet.
const FIELDS_MAX: Duration = Duration::from_secs(30);

/// A form that was read as far as its file.
pub(crate) struct Opened {
    pub(crate) form: Form,
    /// What of the file came with the last field.
    begun: Bytes,
}

impl Opened {
    /// Reads the fields.
    ///
    /// # Errors
    /// As [`FormReader::next`]; [`Denial::BadRequest`] where the body ends, breaks off or takes too long before its
    /// file begins.
    pub(crate) async fn read(reader: &mut FormReader, body: &mut Incoming) -> Result<Self, Denial> {
        let read = async {
            loop {
                let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await;
                let Some(frame) = frame.transpose().map_err(broken_off)? else {
                    reader.finish()?;
                    return Err(Denial::BadRequest("the form has no part named file".to_owned()));
                };
                let data = frame.into_data().unwrap_or_default();
                let mut input = &data[..];
                if let Some(FormEvent::File(form)) = reader.next(&mut input)? {
                    return Ok(Self { form, begun: data.slice_ref(input) });
                }
            }
        };
        timeout(FIELDS_MAX, read).await.unwrap_or_else(|_| {
            let secs = FIELDS_MAX.as_secs();
            Err(Denial::BadRequest(format!("the form's fields took longer than {secs} s")))
        })
    }

    /// How long the file is at least, by the length that the request declares.
    pub(crate) fn file_bytes_min(&self, reader: &FormReader, body: &Incoming) -> u64 {
        let begun_bytes = u64::try_from(self.begun.len()).unwrap_or(u64::MAX);
        body.size_hint().exact().map_or(0, |left| reader.file_bytes_min(left.saturating_add(begun_bytes)))
    }

    /// The file, to be read to its end.
    pub(crate) fn source(self, reader: FormReader, body: &mut Incoming) -> Source<'_> {
        Source::Form { body, reader: Box::new(reader), begun: Some(self.begun) }
    }
}
