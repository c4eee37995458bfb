//! `ListParts` and `ListMultipartUploads`.

use http::Response;
use valetkey::{Action, Denial, ResourcePath};
use valetkey_dialects::aws::operation::{ListMultipartUploads, ListParts, PartNumber, UploadId};
use valetkey_dialects::aws::reply::{PartEntry, PartsReply, Refusal, UploadEntry, UploadsReply};
use valetkey_ledger::{Part, UnixSeconds};

use super::{Asker, check_bucket, multipart};
use crate::respond;
use crate::transfer::body::Body;
use crate::transfer::session::{self, Marks};

/// How many sessions are looked at for one page of a list, whoever's they are.
const LOOKED_AT_MAX: usize = 20_000;

/// Tells which parts of an upload are there.
///
/// # Errors
/// [`Refusal::no_such_upload`].
pub(crate) async fn parts(asker: &Asker<'_>, asked: &ListParts) -> Result<Response<Body>, Refusal> {
    let at = asker.at;
    let permit = asker.of_object(Action::Part)?;
    let open = multipart::find(at, &asked.upload, &permit).await?;
    at.recorder.does("list");
    // One more than is told says whether there is more.
    let max = u32::try_from(asked.parts_max.saturating_add(1)).unwrap_or(u32::MAX);
    let mut found = session::parts(at.gateway, &open, asked.after.into(), max.min(PAGE)).await?;
    if found.len() == PAGE_LENGTH && max > PAGE {
        let last = found.last().map_or(0, |part| part.id.number);
        found.extend(session::parts(at.gateway, &open, last, 1).await?);
    }
    let truncated = found.len() > asked.parts_max && asked.parts_max > 0;
    found.truncate(asked.parts_max);
    let entries = found.iter().filter_map(|part| entry(part).transpose()).collect::<Result<Vec<_>, _>>()?;
    let reply = PartsReply { path: &permit.path, parts: &entries, truncated, owner: &permit.bearer.signer };
    Ok(at.recorder.listed(respond::document(reply.document(asked), at.parts)))
}

/// The most that the ledger tells at once.
const PAGE: u32 = 1000;
const PAGE_LENGTH: usize = 1000;

fn entry(part: &Part) -> Result<Option<PartEntry>, Denial> {
    let number = u16::try_from(part.id.number).ok().and_then(PartNumber::new);
    let Some(number) = number else { return Ok(None) };
    let marks = Marks::of_part(part)?;
    Ok(Some(PartEntry {
        number,
        size_bytes: part.bytes,
        modified_ms: milliseconds(part.finished),
        etag: marks.etag(),
        checksums: marks.checksums(),
    }))
}

/// Tells which uploads in parts the asker has under way.
///
/// # Errors
/// [`Refusal::no_such_bucket`], and what a listing is refused for.
pub(crate) async fn list(
    asker: &Asker<'_>,
    bucket: &ResourcePath,
    asked: &ListMultipartUploads,
) -> Result<Response<Body>, Refusal> {
    let at = asker.at;
    let permit = asker.permit(Action::List, bucket, &asked.prefix, None)?;
    check_bucket(at, &permit)?;
    let root = format!("/{}/", bucket.bucket());
    let mut entries: Vec<UploadEntry> = Vec::new();
    let mut after = multipart::marker(&root, asked);
    let mut looked_at = 0;
    let mut truncated = false;
    'all: loop {
        if asked.uploads_max == 0 {
            break;
        }
        let start = format!("{root}{}", asked.prefix);
        let page = session::of_bearer(at.gateway, &permit, start, after.take()).await?;
        looked_at += page.looked_at;
        for session in page.sessions {
            let Some(name) = session.path.strip_prefix(&root) else { continue };
            let Some(upload) = UploadId::parse(&session.id.to_string()) else { continue };
            let entry = match common_prefix(name, asked) {
                // What a page before told as one prefix is not told again.
                Some(prefix) if asked.key_marker.starts_with(prefix) => continue,
                Some(prefix) => UploadEntry::Prefix(prefix.to_owned()),
                None => {
                    let begun_ms = milliseconds(session.begun);
                    UploadEntry::Upload { name: name.to_owned(), upload, begun_ms }
                }
            };
            if entries.last() == Some(&entry) {
                continue;
            }
            if entries.len() == asked.uploads_max {
                truncated = true;
                break 'all;
            }
            entries.push(entry);
        }
        after = page.next;
        if after.is_none() {
            break;
        }
        if looked_at > LOOKED_AT_MAX {
            return Err(Denial::TooManyAtOnce.into());
        }
    }
    let reply =
        UploadsReply { bucket: bucket.bucket(), entries: &entries, truncated, owner: &permit.bearer.signer };
    Ok(at.recorder.listed(respond::document(reply.document(asked), at.parts)))
}

/// What is told instead of the names that begin with it.
fn common_prefix<'a>(name: &'a str, asked: &ListMultipartUploads) -> Option<&'a str> {
    if asked.delimiter.is_empty() {
        return None;
    }
    let rest = name.get(asked.prefix.len()..)?;
    let at = rest.find(&asked.delimiter)?;
    name.get(..asked.prefix.len() + at + asked.delimiter.len())
}

/// As the ledger counts seconds, in milliseconds.
pub(crate) fn milliseconds(time: UnixSeconds) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX).saturating_mul(1000)
}
