//! Listings of a bucket or a folder.

use std::time::{SystemTime, UNIX_EPOCH};

use http::request::Parts;
use http::{Method, Response};
use valetkey::{Denial, Permit};
use valetkey_dialects::listing::{Entry, Listing, Page};
use valetkey_ledger::Purpose;

use super::body::{Body, as_u64};
use crate::admit::Held;
use crate::backend::{Listed, ListedEntry, Query};
use crate::flow::Connection;
use crate::gateway::Snapshot;
use crate::respond;
use crate::settle::Recorder;

/// Makes the page that a listing is answered with.
///
/// The page is whole before its first byte is sent, so that a fault of the store is told as one. At most a
/// thousand entries are in memory.
///
/// # Errors
/// [`Denial::BadRequest`] for parameters without meaning, a forged continuation token, and a folder's name that
/// the store cannot hold,
/// [`Denial::NotFound`] for a bucket that does not exist, [`Denial::BackendUnavailable`].
pub(crate) async fn find(
    snapshot: &Snapshot,
    permit: &Permit,
    parts: &Parts,
    listing: &Listing,
) -> Result<FoundPage, Denial> {
    let space = snapshot.space(&permit.path).ok_or(Denial::NotFound)?;
    if !space.is_folder_name(permit.path.name()) {
        return Err(super::bad_name());
    }
    // Nobody reads the page of a HEAD, which asks whether there could be one.
    let entries_max = if parts.method == Method::HEAD { 0 } else { listing.entries_max() };
    let query = Query {
        prefix: listing.prefix().to_owned(),
        delimiter: listing.delimiter().to_owned(),
        after: listing.after().to_owned(),
        entries_max,
    };
    let page = page(space.list(query).await.map_err(|error| super::fault(&error))?);
    Ok(FoundPage(listing.document(&page, &permit.bearer.signer)))
}

/// A page, ready to be sent.
pub(crate) struct FoundPage(String);

impl FoundPage {
    /// What the ledger is to hold: the bytes of the answer, and no use. Nothing is sent for a HEAD.
    pub(crate) fn purpose(&self, parts: &Parts) -> Purpose {
        let bytes = if parts.method == Method::HEAD { 0 } else { as_u64(self.0.len()) };
        Purpose::Answer { bytes }
    }
}

/// Sends the page that was found. One that is slowed ends where it is revoked.
pub(crate) fn send(
    held: Held,
    found: FoundPage,
    parts: &Parts,
    connection: &Connection,
    recorder: &Recorder,
) -> Response<Body> {
    connection.end.take_over(&held.end);
    recorder.listed(respond::listing(found.0, held.throttle, parts))
}

fn page(listed: Listed) -> Page {
    let entries = listed.entries.into_iter().map(|entry| match entry {
        ListedEntry::Object { name, size_bytes, modified, etag } => {
            Entry::Object { name, size_bytes, modified_ms: milliseconds(modified), etag }
        }
        ListedEntry::Prefix(prefix) => Entry::Prefix(prefix),
    });
    Page { entries: entries.collect(), truncated: listed.truncated }
}

/// Milliseconds since the Unix epoch, rounded down.
pub(crate) fn milliseconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => {
            i64::try_from(before.duration().as_nanos().div_ceil(1_000_000)).map_or(i64::MIN, |ms| -ms)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_told_in_whole_milliseconds() {
        assert_eq!(milliseconds(UNIX_EPOCH + Duration::from_micros(1999)), 1);
        assert_eq!(milliseconds(UNIX_EPOCH - Duration::from_micros(1001)), -2);
    }
}
