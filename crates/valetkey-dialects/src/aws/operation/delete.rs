//! The document of
//! [`DeleteObjects`](https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html).

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use valetkey::Denial;

use super::DOCUMENT_BYTES_MAX;
use super::complete::{malformed, once};
use crate::aws::reply::Refusal;
use crate::xml::{Malformed, Reader};

/// How many objects one call deletes at most.
const KEYS_MAX: usize = 1000;

/// Which objects are to be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delete {
    /// Their names below the bucket, as they were sent: each has to be parsed and admitted by itself.
    pub keys: Vec<String>,
    /// Whether only failures are to be told.
    pub quiet: bool,
}

impl Delete {
    /// Reads the document, at most [`DOCUMENT_BYTES_MAX`] long.
    ///
    /// # Errors
    /// [`Code::MalformedXml`](crate::aws::reply::Code::MalformedXml) for what is no such document or names
    /// none or over 1000 keys, [`Code::NotImplemented`](crate::aws::reply::Code::NotImplemented) for a version
    /// or a condition on an object.
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

fn object(reader: &mut Reader<'_>) -> Result<String, Refusal> {
    let mut key = None;
    while let Some(name) = reader.child().map_err(|_| malformed())? {
        match name {
            "Key" => once(&mut key, reader.text().map(Cow::into_owned))?,
            "VersionId" => {
                let version = reader.text().map_err(|_| malformed())?;
                if !matches!(version.as_ref(), "" | "null") {
                    return Err(Denial::CallNotSupported("a version of an object").into());
                }
            }
            "ETag" | "LastModifiedTime" | "Size" => {
                return Err(Denial::CallNotSupported("a delete under this condition").into());
            }
            _ => reader.skip().map_err(|_| malformed())?,
        }
    }
    key.filter(|key| !key.is_empty()).ok_or_else(malformed)
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
        let parsed =
            parsed.map(|delete| (delete.keys.iter().map(String::as_str).collect::<Vec<_>>(), delete.quiet));
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
        assert_eq!(Delete::parse(document).unwrap(), Delete { keys: vec!["a".into()], quiet: false });
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
        check("<Object><Key>a</Key><ETag>7</ETag></Object>", Err("NotImplemented"));
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
