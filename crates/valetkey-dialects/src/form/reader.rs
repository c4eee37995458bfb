//! Reads a form as it comes.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use memchr::memmem;
use valetkey::Denial;

use super::part::PartHead;
use super::split::{Split, Splitter, boundary};
use super::{Form, headers, malformed};
use crate::detect::Language;
use crate::head::RequestHead;

/// How many fields may stand before the file.
const FIELDS_MAX: usize = 100;
/// How long one field's value may be, in bytes.
const VALUE_BYTES_MAX: usize = 64 * 1024;
/// How long all fields may be together, names and values, in bytes. They are held before anybody vouches for them;
/// S3 takes 20 KB.
const FIELDS_BYTES_MAX: usize = 128 * 1024;
/// How long the head of one part may be, in bytes.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// How much of the input is looked at together where a head may end in it, in bytes: so much of the file is copied
/// at most.
const LOOK_BYTES: usize = 4 * 1024;
/// How much may follow the file, in bytes. It is not looked at.
const REST_BYTES_MAX: usize = 1024 * 1024;
/// No delimiter is longer with its line, in bytes.
const DELIMITER_BYTES_MAX: usize = 128;

/// Takes a form apart, in pieces of any length, without waiting for any.
///
/// Where the boundaries lie between the pieces that come in makes no difference to what is read.
pub struct FormReader {
    splitter: Splitter,
    at: At,
    fields: Vec<(String, String)>,
    fields_bytes: usize,
    /// What of the file came with the end of its head.
    begun: Vec<u8>,
    rest_bytes: usize,
    language: Option<Language>,
}

/// Where in the form we are.
enum At {
    /// Before the first boundary.
    Start,
    /// In the head of a part; up to where it was searched for its end.
    Head {
        lines: Vec<u8>,
        searched: usize,
    },
    /// In the value of a field.
    Field {
        name: String,
        value: Vec<u8>,
    },
    File,
    /// After the file, before the last boundary.
    Rest,
    End,
}

/// What comes out of a form, in this order.
#[derive(Debug, PartialEq, Eq)]
pub enum FormEvent<'i> {
    /// The fields are complete, and the file begins.
    File(Form),
    /// A piece of the file, never empty: it lies in the input, but for a few bytes that had to be held.
    Piece(Cow<'i, [u8]>),
    /// The file is complete, and the form too.
    End,
}

impl FormReader {
    /// Begins to read the form of a request.
    ///
    /// # Errors
    /// [`Denial::BadRequest`] where the request's `Content-Type` is none of a form, or has no boundary, and where its
    /// head says what a form says in its fields.
    pub fn of(head: &RequestHead<'_>) -> Result<Self, Denial> {
        headers::check_head(head)?;
        Self::new(head.one("content-type")?.unwrap_or_default())
    }

    /// Begins a form by its request's `Content-Type`.
    fn new(content_type: &str) -> Result<Self, Denial> {
        Ok(Self {
            splitter: Splitter::new(boundary(content_type)?),
            at: At::Start,
            fields: Vec::new(),
            fields_bytes: 0,
            begun: Vec::new(),
            rest_bytes: 0,
            language: None,
        })
    }

    /// The language that the fields so far speak, sound or not, if they tell one.
    pub fn language(&self) -> Option<Language> {
        self.language
    }

    /// How long the file is at least of which nothing was taken yet, where `left_bytes` of the body are to come.
    pub fn file_bytes_min(&self, left_bytes: u64) -> u64 {
        let rest_bytes = u64::try_from(REST_BYTES_MAX + DELIMITER_BYTES_MAX).unwrap_or(u64::MAX);
        left_bytes.saturating_sub(rest_bytes)
    }

    /// Takes the next event off `input`; `None` where all of it is taken and more is needed.
    ///
    /// # Errors
    /// [`Denial::BadRequest`] for a form that is not in its form, says a field twice, exceeds a bound, or has no
    /// file. The form is of no use then.
    pub fn next<'i>(&mut self, input: &mut &'i [u8]) -> Result<Option<FormEvent<'i>>, Denial> {
        if !self.begun.is_empty() {
            return Ok(Some(FormEvent::Piece(Cow::Owned(core::mem::take(&mut self.begun)))));
        }
        loop {
            let all = *input;
            let look_bytes = match self.at {
                At::Start | At::Head { .. } => all.len().min(LOOK_BYTES),
                At::Field { .. } | At::File | At::Rest | At::End => all.len(),
            };
            let mut looked_at = &all[..look_bytes];
            let split = self.splitter.next(&mut looked_at)?;
            let taken = look_bytes - looked_at.len();
            *input = &all[taken..];
            if matches!(self.at, At::Rest | At::End) {
                self.rest_bytes = self.rest_bytes.saturating_add(taken);
                if self.rest_bytes > REST_BYTES_MAX {
                    return Err(malformed("more than 1 MiB follows the form's file, which has to be last"));
                }
            }
            let event = match split {
                None if input.is_empty() => return Ok(None),
                None => continue,
                Some(Split::Data(data)) => self.data(data)?,
                Some(Split::Part) => self.part(false)?,
                Some(Split::Close) => self.part(true)?,
            };
            if event.is_some() {
                return Ok(event);
            }
        }
    }

    /// To be asked when the body has ended.
    ///
    /// # Errors
    /// [`Denial::BadRequest`] where the form has not.
    pub fn finish(&self) -> Result<(), Denial> {
        match self.at {
            At::End => Ok(()),
            _ => Err(malformed("the form ends before its last boundary")),
        }
    }

    fn data<'i>(&mut self, data: Cow<'i, [u8]>) -> Result<Option<FormEvent<'i>>, Denial> {
        match &mut self.at {
            // Some clients begin with the end of a line, and the splitter begins with one of its own.
            At::Start if data.is_empty() || *data == *b"\r\n" => Ok(None),
            At::Start => Err(malformed("the form does not begin with its boundary")),
            At::Head { lines, searched } => {
                lines.extend_from_slice(&data);
                let Some(end) = memmem::find(&lines[*searched..], b"\r\n\r\n") else {
                    *searched = lines.len().saturating_sub(3);
                    return if lines.len() > HEAD_BYTES_MAX { Err(head_too_long()) } else { Ok(None) };
                };
                let end = *searched + end;
                if end > HEAD_BYTES_MAX {
                    return Err(head_too_long());
                }
                let head = PartHead::parse(&lines[..end])?;
                let begun = lines.split_off(end + 4);
                self.begin(head, begun)
            }
            At::Field { value, .. } => {
                if value.len() + data.len() > VALUE_BYTES_MAX {
                    return Err(malformed("a field of the form exceeds 64 KiB"));
                }
                value.extend_from_slice(&data);
                Ok(None)
            }
            At::File => Ok((!data.is_empty()).then_some(FormEvent::Piece(data))),
            At::Rest | At::End => Ok(None),
        }
    }

    /// The head of a part is complete; `begun` is what of its content came with it.
    fn begin<'i>(&mut self, head: PartHead, begun: Vec<u8>) -> Result<Option<FormEvent<'i>>, Denial> {
        if !head.name.eq_ignore_ascii_case("file") {
            let twice = self.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case(&head.name));
            if twice {
                let shown: String = head.name.chars().filter(|char| !char.is_control()).take(40).collect();
                return Err(malformed(format!("the form says the field {shown} twice")));
            }
            if self.fields.len() == FIELDS_MAX {
                return Err(malformed("the form has more than 100 fields"));
            }
            // A key among the fields says it, whatever else there is.
            self.language = match (self.language, super::language(&head.name)) {
                (Some(Language::Native), _) | (_, Some(Language::Native)) => Some(Language::Native),
                (known, told) => known.or(told),
            };
            self.at = At::Field { name: head.name, value: Vec::new() };
            return self.data(Cow::Owned(begun));
        }
        self.at = At::File;
        self.begun = begun;
        Ok(Some(FormEvent::File(Form {
            fields: core::mem::take(&mut self.fields),
            filename: head.filename,
            file_type: head.content_type,
        })))
    }

    /// A boundary: what was read before it is complete.
    fn part<'i>(&mut self, last: bool) -> Result<Option<FormEvent<'i>>, Denial> {
        let head = At::Head { lines: Vec::new(), searched: 0 };
        match core::mem::replace(&mut self.at, head) {
            At::Field { name, value } => {
                let value =
                    String::from_utf8(value).map_err(|_| malformed("a field of the form is not UTF-8"))?;
                self.fields_bytes += name.len() + value.len();
                if self.fields_bytes > FIELDS_BYTES_MAX {
                    return Err(malformed("the fields of the form exceed 128 KiB"));
                }
                self.fields.push((name, value));
            }
            At::Start => {}
            At::Head { .. } => return Err(malformed("the head of a form's part does not end")),
            At::File | At::Rest if last => {
                self.at = At::End;
                return Ok(Some(FormEvent::End));
            }
            At::File | At::Rest | At::End => {
                self.at = At::Rest;
                return Ok(None);
            }
        }
        if last { Err(malformed("the form has no part named file")) } else { Ok(None) }
    }
}

fn head_too_long() -> Denial {
    malformed("the head of a form's part exceeds 8 KiB")
}

#[cfg(test)]
mod tests;
