//! The document of
//! [`CompleteMultipartUpload`](https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html).

use alloc::string::String;
use alloc::vec::Vec;

use super::{DOCUMENT_BYTES_MAX, PartNumber};
use crate::aws::reply::{Code, Refusal};
use crate::integrity::Checksum;
use crate::xml::{Malformed, Reader};

/// How long an entity tag in the document may be, in bytes.
const ETAG_BYTES_MAX: usize = 128;

/// One part of which the object is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletedPart {
    /// Which.
    pub number: PartNumber,
    /// The entity tag that its upload was answered with, without quotes.
    pub etag: String,
    /// What it has to hash to.
    pub checksums: Vec<Checksum>,
}

/// Of which parts the object is made: at least one, their numbers ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletedParts(Vec<CompletedPart>);

impl CompletedParts {
    /// Reads the document, at most [`DOCUMENT_BYTES_MAX`] long.
    ///
    /// # Errors
    /// [`Code::MalformedXml`] for what is no such document, [`Code::InvalidPartOrder`] for numbers that do not
    /// ascend.
    pub fn parse(document: &[u8]) -> Result<Self, Refusal> {
        if document.len() > DOCUMENT_BYTES_MAX {
            return Err(malformed());
        }
        let mut reader = Reader::open(document, "CompleteMultipartUpload").map_err(|_| malformed())?;
        let mut parts: Vec<CompletedPart> = Vec::new();
        while let Some(name) = reader.child().map_err(|_| malformed())? {
            if name != "Part" {
                reader.skip().map_err(|_| malformed())?;
                continue;
            }
            let part = part(&mut reader)?;
            if parts.last().is_some_and(|last| last.number >= part.number) {
                return Err(Refusal::bad_request(
                    Code::InvalidPartOrder,
                    alloc::format!("part {} does not stand in ascending order", part.number),
                ));
            }
            parts.push(part);
        }
        reader.end().map_err(|_| malformed())?;
        if parts.is_empty() { Err(malformed()) } else { Ok(Self(parts)) }
    }

    /// The parts.
    pub fn as_slice(&self) -> &[CompletedPart] {
        &self.0
    }
}

fn part(reader: &mut Reader<'_>) -> Result<CompletedPart, Refusal> {
    let (mut number, mut etag, mut checksums) = (None, None, Vec::new());
    while let Some(name) = reader.child().map_err(|_| malformed())? {
        if name == "Part" {
            return Err(malformed());
        }
        let text = reader.text().map_err(|_| malformed())?;
        match name {
            "PartNumber" => once(&mut number, PartNumber::parse(text.trim()).ok_or(Malformed))?,
            "ETag" => once(&mut etag, unquoted(&text).ok_or(Malformed))?,
            _ => {
                let Some(checksum) = Checksum::of_s3_element(name, text.trim()) else { continue };
                let checksum = checksum.map_err(|()| malformed())?;
                if checksums.iter().any(|known: &Checksum| known.algorithm == checksum.algorithm) {
                    return Err(malformed());
                }
                checksums.push(checksum);
            }
        }
    }
    let (number, etag) = number.zip(etag).ok_or_else(malformed)?;
    Ok(CompletedPart { number, etag, checksums })
}

/// Clients send it with its quotes and without.
pub(super) fn unquoted(text: &str) -> Option<String> {
    let text = text.trim();
    let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    (1..=ETAG_BYTES_MAX).contains(&bare.len()).then(|| bare.into())
}

/// Sets what may be said once.
pub(super) fn once<T>(slot: &mut Option<T>, value: Result<T, Malformed>) -> Result<(), Refusal> {
    match slot.replace(value.map_err(|_| malformed())?) {
        None => Ok(()),
        Some(_) => Err(malformed()),
    }
}

pub(super) fn malformed() -> Refusal {
    Refusal::bad_request(
        Code::MalformedXml,
        "the XML was not well formed, says something twice, or is not what this call takes",
    )
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec;

    use super::*;

    fn check(content: &str, expected: Result<&[(u16, &str)], Code>) {
        let document = format!("<CompleteMultipartUpload>{content}</CompleteMultipartUpload>");
        let parsed = CompletedParts::parse(document.as_bytes()).map_err(|refusal| refusal.code);
        let parsed = parsed.as_ref().map(|parts| {
            parts.as_slice().iter().map(|part| (part.number.get(), part.etag.as_str())).collect::<Vec<_>>()
        });
        assert_eq!(parsed.map_err(|code| *code), expected.map(<[_]>::to_vec), "{content:.200}");
    }

    fn part(number: &str, etag: &str) -> String {
        format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
    }

    #[test]
    fn parts_ascend() {
        let (one, three) = (part("1", "&quot;ab-1&quot;"), part("3", "cd"));
        check(&format!("{one}{three}"), Ok(&[(1, "ab-1"), (3, "cd")]));
        check(&part("10000", "\"ab\""), Ok(&[(10_000, "ab")]));
        check(&format!("{three}{one}"), Err(Code::InvalidPartOrder));
        check(&format!("{one}{one}"), Err(Code::InvalidPartOrder));
    }

    #[test]
    fn what_is_no_part_is_refused() {
        for content in [
            String::new(),
            "<Part/>".into(),
            part("0", "ab"),
            part("10001", "ab"),
            part("x", "ab"),
            part("1", ""),
            part("1", "\"\""),
            part("1", &"a".repeat(129)),
            "<Part><PartNumber>1</PartNumber></Part>".into(),
            "<Part><PartNumber>1</PartNumber><PartNumber>1</PartNumber><ETag>a</ETag></Part>".into(),
            "<Part><Part/></Part>".into(),
            "<Part><PartNumber>1</PartNumber><ETag>a</ETag><ChecksumCRC32>AA==</ChecksumCRC32></Part>".into(),
        ] {
            check(&content, Err(Code::MalformedXml));
        }
    }

    #[test]
    fn checksums_are_read() {
        let document = "<CompleteMultipartUpload xmlns='x'><Part><ChecksumCRC32>NhCmhg==</ChecksumCRC32>\
            <ETag>ab</ETag><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>";
        let parts = CompletedParts::parse(document.as_bytes()).unwrap();
        assert_eq!(parts.as_slice()[0].checksums[0].value, vec![0x36, 0x10, 0xa6, 0x86]);
    }

    #[test]
    fn hostile_documents_cost_their_length() {
        let attributes: String = (0..100_000).map(|number| format!(" a{number}=''")).collect();
        let nested = "<Part>".repeat(100_000);
        for document in [
            format!("<CompleteMultipartUpload{attributes}>{}</CompleteMultipartUpload>", part("1", "a")),
            format!("<CompleteMultipartUpload>{nested}"),
            "<!DOCTYPE x [<!ENTITY a \"b\">]><CompleteMultipartUpload/>".into(),
        ] {
            let parsed = CompletedParts::parse(document.as_bytes());
            let taken = parsed.map(|parts| parts.as_slice().len()).map_err(|refusal| refusal.code);
            assert_eq!(taken, Err(Code::MalformedXml));
        }
    }
}
