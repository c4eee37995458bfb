//! What is to be deleted, and under which conditions:
//! [`DeleteObject`](https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html), and the document of
//! [`DeleteObjects`](https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html).

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use valetkey::{Denial, Timestamp};

use super::complete::{malformed, once, unquoted};
use super::{DOCUMENT_BYTES_MAX, header, values};
use crate::aws::credential::whole;
use crate::aws::reply::Refusal;
use crate::head::RequestHead;
use crate::http_date;
use crate::query::bad_value;
use crate::xml::{Malformed, Reader};

const SIZE: &str = "x-amz-if-match-size";
const MODIFIED: &str = "x-amz-if-match-last-modified-time";

/// How many objects one call deletes at most.
const KEYS_MAX: usize = 1000;

/// What an object must be to be deleted. Of one that is not there every condition holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteConditions {
    /// Its entity tag, or `*`, in a document; a header says it as that of any other request.
    pub etag: Option<String>,
    /// When it was last changed.
    pub modified: Option<Timestamp>,
    /// Its length.
    pub size_bytes: Option<u64>,
}

impl DeleteConditions {
    /// Whether a request says any that only a delete has.
    pub(super) fn are_said(head: &RequestHead<'_>) -> bool {
        [SIZE, MODIFIED].into_iter().any(|name| values(head, name).next().is_some())
    }

    /// Those of one object, in the headers of the request.
    pub(super) fn of(head: &RequestHead<'_>) -> Result<Self, Refusal> {
        let unsound = |name, text: &str, instead| Refusal::invalid_argument(bad_value(name, text, instead));
        let size_bytes = header(head, SIZE)?
            .map(|text| whole(&text).ok_or_else(|| unsound(SIZE, &text, "write a number of bytes")))
            .transpose()?;
        let modified = header(head, MODIFIED)?
            .map(|text| time(&text).ok_or_else(|| unsound(MODIFIED, &text, "write a date as HTTP has them")))
            .transpose()?;
        Ok(Self { etag: None, modified, size_bytes })
    }
}

/// Clients write a time as HTTP does; one in the form of the documents is read too.
fn time(text: &str) -> Option<Timestamp> {
    let whole_seconds = |text: &str| {
        let (seconds, fraction) = text.strip_suffix('Z')?.split_once('.')?;
        let is_fraction = fraction.bytes().all(|byte| byte.is_ascii_digit());
        is_fraction.then(|| Timestamp::parse(&alloc::format!("{seconds}Z"))).flatten()
    };
    http_date::parse(text).or_else(|| Timestamp::parse(text)).or_else(|| whole_seconds(text))
}

/// One object that is to be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteKey {
    /// Its name below the bucket, as it was sent: it has to be parsed and admitted by itself.
    pub key: String,
    /// Under which conditions.
    pub conditions: DeleteConditions,
}

/// Which objects are to be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delete {
    /// Each of them.
    pub keys: Vec<DeleteKey>,
    /// Whether only failures are to be told.
    pub quiet: bool,
}

impl Delete {
    /// Reads the document, at most [`DOCUMENT_BYTES_MAX`] long.
    ///
    /// # Errors
    /// [`Code::MalformedXml`](crate::aws::reply::Code::MalformedXml) for what is no such document or names
    /// none or over 1000 keys, [`Code::NotImplemented`](crate::aws::reply::Code::NotImplemented) for a version.
    pub fn parse(document: &[u8]) -> Result<Self, Refusal> {
        if document.len() > DOCUMENT_BYTES_MAX {
            return Err(malformed());
        }
        let mut reader = Reader::open(document, "Delete").map_err(|_| malformed())?;
        let mut keys = Vec::new();
        let mut quiet = None;
        while let Some(name) = reader.child().map_err(|_| malformed())? {
            match name {
                "Object" if keys.len() < KEYS_MAX => keys.push(object(&mut reader)?),
                "Object" => return Err(malformed()),
                "Quiet" => once(&mut quiet, flag(&mut reader))?,
                _ => reader.skip().map_err(|_| malformed())?,
            }
        }
        reader.end().map_err(|_| malformed())?;
        if keys.is_empty() {
            return Err(malformed());
        }
        Ok(Self { keys, quiet: quiet.unwrap_or(false) })
    }
}

fn object(reader: &mut Reader<'_>) -> Result<DeleteKey, Refusal> {
    let mut key = None;
    let (mut etag, mut modified, mut size_bytes) = (None, None, None);
    while let Some(name) = reader.child().map_err(|_| malformed())? {
        match name {
            "Key" => once(&mut key, reader.text().map(Cow::into_owned))?,
            "VersionId" => {
                let version = reader.text().map_err(|_| malformed())?;
                if !matches!(version.as_ref(), "" | "null") {
                    return Err(Denial::CallNotSupported("a version of an object").into());
                }
            }
            "ETag" => once(&mut etag, reader.text().and_then(|text| unquoted(&text).ok_or(Malformed)))?,
            "LastModifiedTime" => {
                once(&mut modified, reader.text().and_then(|text| time(text.trim()).ok_or(Malformed)))?;
            }
            "Size" => {
                once(&mut size_bytes, reader.text().and_then(|text| whole(text.trim()).ok_or(Malformed)))?;
            }
            _ => reader.skip().map_err(|_| malformed())?,
        }
    }
    let key = key.filter(|key| !key.is_empty()).ok_or_else(malformed)?;
    Ok(DeleteKey { key, conditions: DeleteConditions { etag, modified, size_bytes } })
}

fn flag(reader: &mut Reader<'_>) -> Result<bool, Malformed> {
    match reader.text()?.trim() {
        "true" | "TRUE" | "True" => Ok(true),
        "false" | "FALSE" | "False" | "" => Ok(false),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec;

    use super::*;

    fn check(content: &str, expected: Result<(&[&str], bool), &str>) {
        let parsed = Delete::parse(format!("<Delete>{content}</Delete>").as_bytes());
        let parsed = parsed.as_ref().map_err(|refusal| refusal.code.name());
        let parsed = parsed
            .map(|delete| (delete.keys.iter().map(|named| &*named.key).collect::<Vec<_>>(), delete.quiet));
        let expected = expected.map(|(keys, quiet)| (keys.to_vec(), quiet));
        assert_eq!(parsed, expected, "{content:.200}");
    }

    #[test]
    fn keys_are_read_as_they_were_sent() {
        check(
            "<Object><Key>a&amp;b</Key></Object><Quiet>true</Quiet><Object><VersionId>null</VersionId>\
             <Key> ../c</Key><Unknown><Deep/></Unknown></Object>",
            Ok((&["a&b", " ../c"], true)),
        );
        check("<Object><Key>a</Key></Object><Quiet>false</Quiet>", Ok((&["a"], false)));
        let document = b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
            <Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Object><Key>a</Key></Object></Delete>";
        let a = DeleteKey { key: "a".into(), conditions: DeleteConditions::default() };
        assert_eq!(Delete::parse(document).unwrap(), Delete { keys: vec![a], quiet: false });
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        for content in [
            "",
            "<Object/>",
            "<Object><Key/></Object>",
            "<Object><Key>a</Key><Key>b</Key></Object>",
            "<Object><Key><b/></Key></Object>",
            "<Object><Key>a</Key></Object><Quiet>maybe</Quiet>",
            "<Object><Key>a</Key></Object><Quiet>true</Quiet><Quiet>true</Quiet>",
            "<Object><Key>&e;</Key></Object>",
            "text",
        ] {
            check(content, Err("MalformedXML"));
        }
        check("<Object><Key>a</Key><VersionId>7</VersionId></Object>", Err("NotImplemented"));
        for condition in [
            "<ETag/>",
            "<ETag>7</ETag><ETag>7</ETag>",
            "<Size>-1</Size>",
            "<Size>+1</Size>",
            "<LastModifiedTime>yesterday</LastModifiedTime>",
            "<LastModifiedTime>2015-01-01T00:00:00.x0Z</LastModifiedTime>",
        ] {
            check(&format!("<Object><Key>a</Key>{condition}</Object>"), Err("MalformedXML"));
        }
    }

    #[test]
    fn conditions_are_read_of_each_object() {
        let document = "<Delete><Object><Key>a</Key><ETag>&quot;ab-1&quot;</ETag><Size>5</Size>\
            <LastModifiedTime>Thu, 01 Jan 2015 00:00:00 GMT</LastModifiedTime></Object>\
            <Object><Key>b</Key><LastModifiedTime>2015-01-01T00:00:00.000Z</LastModifiedTime></Object></Delete>";
        let delete = Delete::parse(document.as_bytes()).unwrap();
        let modified = Some(Timestamp::from_unix(1_420_070_400));
        let first = DeleteConditions { etag: Some("ab-1".into()), modified, size_bytes: Some(5) };
        assert_eq!(delete.keys[0].conditions, first);
        assert_eq!(delete.keys[1].conditions, DeleteConditions { modified, ..Default::default() });
    }

    #[test]
    fn a_request_says_conditions_in_headers() {
        use super::super::Operation;
        use super::super::test::with_headers;
        let read = |method, path, headers: &[(&str, &str)]| {
            with_headers(method, path, "", headers).map_err(|refusal| refusal.code.name())
        };
        let both = [(SIZE, "0"), (MODIFIED, "Thu, 01 Jan 2015 00:00:00 GMT")];
        let modified = Some(Timestamp::from_unix(1_420_070_400));
        let expected = DeleteConditions { etag: None, modified, size_bytes: Some(0) };
        assert_eq!(read("DELETE", "/files/a", &both), Ok(Operation::DeleteObject(expected)));
        for (name, value) in [(SIZE, "many"), (SIZE, ""), (MODIFIED, "1420070400")] {
            assert_eq!(read("DELETE", "/files/a", &[(name, value)]), Err("InvalidArgument"));
        }
        // Where nobody would look at them, they are not left out.
        assert_eq!(read("PUT", "/files/a", &both), Err("NotImplemented"));
        assert_eq!(read("GET", "/files/a", &both), Err("NotImplemented"));
    }

    #[test]
    fn a_thousand_keys_and_no_more() {
        let objects = |count| format!("<Delete>{}</Delete>", "<Object><Key>a</Key></Object>".repeat(count));
        assert_eq!(Delete::parse(objects(1000).as_bytes()).unwrap().keys.len(), 1000);
        assert!(Delete::parse(objects(1001).as_bytes()).is_err());
    }

    #[test]
    fn documents_end_at_two_mib() {
        let padded = |bytes: usize| {
            let document = "<Delete><Object><Key>a</Key></Object></Delete>";
            format!("{document}{}", " ".repeat(bytes - document.len()))
        };
        assert!(Delete::parse(padded(DOCUMENT_BYTES_MAX).as_bytes()).is_ok());
        assert!(Delete::parse(padded(DOCUMENT_BYTES_MAX + 1).as_bytes()).is_err());
    }
}
