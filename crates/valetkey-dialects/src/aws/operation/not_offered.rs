//! What S3 knows and is not offered, with the words for it.

use valetkey::Denial;

use super::{Selector, Target};
use crate::head::RequestHead;
use crate::query::Parameters;

/// Names in a query, and what they ask for.
const PARAMETERS: [(&str, &str); 35] = [
    ("abac", "access control by tags"),
    ("accelerate", "transfer acceleration"),
    ("analytics", "analytics of a bucket"),
    ("annotation", "annotations of an object"),
    ("append", "appending to an object"),
    ("cors", "setting a bucket's CORS rules by a call"),
    ("encryption", "setting a bucket's encryption"),
    ("intelligent-tiering", "storage tiers"),
    ("inventory", "an inventory of a bucket"),
    ("legal-hold", "a legal hold"),
    ("lifecycle", "lifecycle rules"),
    ("logging", "setting a bucket's logging by a call"),
    ("metadataConfiguration", "metadata tables"),
    ("metadataInventoryTable", "metadata tables"),
    ("metadataJournalTable", "metadata tables"),
    ("metadataTable", "metadata tables"),
    ("metrics", "setting a bucket's metrics by a call"),
    ("notification", "setting a bucket's notifications by a call"),
    ("object-lock", "object lock"),
    ("ownershipControls", "setting a bucket's ownership"),
    ("policy", "a bucket policy"),
    ("policyStatus", "a bucket policy"),
    ("publicAccessBlock", "public access"),
    ("renameObject", "renaming an object"),
    ("replication", "replication"),
    ("requestPayment", "payment by the requester"),
    ("restore", "restoring an archived object"),
    ("retention", "retention of an object"),
    ("select", "a query over an object's content"),
    ("select-type", "a query over an object's content"),
    ("session", "a session"),
    ("torrent", "BitTorrent"),
    ("version-id-marker", "versions of objects"),
    ("versions", "versions of objects"),
    ("website", "serving a bucket as a website"),
];

/// Beginnings of headers that change what is stored, deleted or copied, and what they ask for.
const HEADERS: [(&str, &str); 12] = [
    ("x-amz-grant-", "an access control list"),
    ("x-amz-server-side-encryption", "encryption by keys of the caller's choice"),
    ("x-amz-copy-source-server-side-encryption", "encryption by keys of the caller's choice"),
    ("x-amz-object-lock-", "object lock"),
    ("x-amz-bypass-governance-retention", "object lock"),
    ("x-amz-website-redirect-location", "serving a bucket as a website"),
    ("x-amz-write-offset-bytes", "appending to an object"),
    ("x-amz-rename-source", "renaming an object"),
    ("x-amz-mfa", "versions of objects"),
    ("x-amz-expected-bucket-owner", "a request for a bucket of a certain owner"),
    ("x-amz-source-expected-bucket-owner", "a request for a bucket of a certain owner"),
    ("x-amz-optional-object-attributes", "a listing with further attributes"),
];

/// Headers whose values say whether they ask for more than every object has anyway.
const HARMLESS: [(&str, &[&str], &str); 3] = [
    ("x-amz-acl", &["private", "bucket-owner-full-control"], "an access control list"),
    ("x-amz-storage-class", &["STANDARD"], "another storage class"),
    ("x-amz-tagging", &[""], "tags on an object"),
];

/// Refuses what would otherwise be ignored although its caller counts on it.
pub(super) fn check(parameters: Parameters<'_>, head: &RequestHead<'_>) -> Result<(), Denial> {
    for name in parameters.names() {
        if let Some((_, what)) = PARAMETERS.iter().find(|(known, _)| *known == name) {
            return Err(Denial::CallNotSupported(what));
        }
    }
    // Of an object without versions, this is the name of what there is.
    if parameters.value("versionId")?.is_some_and(|version| version != "null") {
        return Err(Denial::CallNotSupported("a version of an object"));
    }
    for (name, value) in parameters.pairs() {
        let name = name.to_ascii_lowercase();
        refuse_headers(core::iter::once((name.as_str(), value.as_deref().unwrap_or("\0").as_bytes())))?;
    }
    refuse_headers(head.headers.iter().copied())
}

/// Refuses headers, or fields of a form that stand for them, that ask for what is not offered. Names are in lower
/// case.
pub(crate) fn refuse_headers<'a>(headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> Result<(), Denial> {
    for (name, value) in headers {
        let value = value.trim_ascii();
        let family = HEADERS.iter().find(|(known, _)| name.starts_with(known)).map(|(_, what)| *what);
        let valued = HARMLESS.iter().find(|(known, ..)| *known == name).and_then(|(_, harmless, what)| {
            (!harmless.iter().any(|harmless| harmless.as_bytes() == value)).then_some(*what)
        });
        if let Some(what) = family.or(valued) {
            return Err(Denial::CallNotSupported(what));
        }
    }
    Ok(())
}

/// The words for a call that is none of the table's.
pub(super) fn call(target: Target, method: &str, selector: Option<Selector>) -> &'static str {
    match (target, method, selector) {
        (Target::Bucket, "DELETE", None) => "deleting a bucket, which the configuration does,",
        (_, "PUT", Some(Selector::Acl)) => "an access control list",
        (_, "PUT", Some(Selector::Versioning)) => "keeping versions of objects",
        (_, _, Some(Selector::Tagging)) => "tags",
        (Target::Object, "POST", None) => "an upload by POST to an object's URL",
        _ => "this call",
    }
}
