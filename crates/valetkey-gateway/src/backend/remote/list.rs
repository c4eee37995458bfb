//! Listing: the names below a prefix in the order of their bytes, a page at a time.
//!
//! The store is asked for its own pages. It takes names together by itself where the delimiter is `/`, which all of
//! them do; other delimiters are looked for here. One that lists folder by folder is [walked through](Walk).

use std::borrow::Cow;

use object_store::list::PaginatedListOptions;
use tokio::time::{Instant, timeout, timeout_at};

use super::folders::Walk;
use super::name::NAME_BYTES_MAX;
use super::pages::{PAGE, Pages};
use super::{Kind, Remote, error};
use crate::backend::{Listed, ListedEntry, Metadata, Query, StoreError};

/// How many times the store may stall in one listing, the wait for its turn among them.
const STALLS_MAX: u32 = 2;

impl Remote {
    /// Lists a page. Where the store takes long it is shorter than what was asked for, and there is more.
    ///
    /// # Errors
    /// [`StoreError::Io`], also where the store holds a name in the page that no object here can have.
    pub(crate) async fn list(&self, query: &Query) -> Result<Listed, StoreError> {
        if query.entries_max == 0 || !self.is_beginning(&query.prefix) {
            return Ok(Listed::default());
        }
        let service = &self.service;
        let until = Instant::now() + service.stall * STALLS_MAX;
        let turn = timeout(service.stall, service.listings.acquire()).await;
        let Ok(_turn) = turn else { return Err(error::stalled("wait for a listing's turn")) };
        let mut listed = Listed::default();
        match timeout_at(until, self.fill(&mut listed, query)).await {
            Ok(filled) => filled?,
            Err(_) if listed.entries.is_empty() => return Err(error::stalled("list objects")),
            Err(_) => listed.truncated = true,
        }
        Ok(listed)
    }

    /// Whether an object's name may begin so.
    fn is_beginning(&self, prefix: &str) -> bool {
        prefix.is_empty() || self.path(prefix).is_ok() || self.path(&format!("{prefix}-")).is_ok()
    }

    /// Puts entries on the page, each in its place: it may be ended after any of them.
    async fn fill(&self, listed: &mut Listed, query: &Query) -> Result<(), StoreError> {
        if !self.service.lists_by_folder() {
            self.fill_by_bytes(listed, query).await?;
            if !self.service.lists_by_folder() {
                return Ok(());
            }
            *listed = Listed::default();
        }
        self.fill_by_folder(listed, query).await
    }

    async fn fill_by_bytes(&self, listed: &mut Listed, query: &Query) -> Result<(), StoreError> {
        if self.service.kind == Kind::Azure && query.after < query.prefix {
            let entry = self.named(&query.prefix).await?;
            listed.entries.extend(entry);
        }
        let mut pages = Pages::new(self);
        let begin = cut(&query.after);
        let mut after = passed(begin, query).unwrap_or_else(|| begin.to_owned());
        let mut token = None;
        loop {
            let options = PaginatedListOptions {
                delimiter: (query.delimiter == "/").then_some(Cow::Borrowed("/")),
                page_token: token,
                ..pages.options(&after, asks(query, query.entries_max + 2))
            };
            let (mut entries, next) = pages.next(&query.prefix, options).await?;
            // What store it is, its first answer may have told; its order is not that of a page then.
            if self.service.lists_by_folder() {
                return Ok(());
            }
            entries.sort_by(|one, other| text(one).cmp(text(other)));
            let passed = entries.last().and_then(|last| passed(text(last), query));
            for entry in entries {
                if take(listed, together(entry, query), query) {
                    return Ok(());
                }
            }
            if next.is_none() {
                return Ok(());
            }
            if pages.are_enough() && !listed.entries.is_empty() {
                listed.truncated = true;
                return Ok(());
            }
            (after, token) = passed.map_or((after, next), |passed| (passed, None));
        }
    }

    /// The object that is called as the prefix is: `object_store` leaves it out of its listings of Azure.
    async fn named(&self, prefix: &str) -> Result<Option<ListedEntry>, StoreError> {
        let found = match self.probe(prefix).await {
            // Folders are called so.
            Err(StoreError::BadName) => None,
            found => found?,
        };
        Ok(found.map(|Metadata { size_bytes, modified, etag, .. }| {
            let name = prefix.to_owned();
            ListedEntry::Object { name, size_bytes, modified, etag }
        }))
    }

    async fn fill_by_folder(&self, listed: &mut Listed, query: &Query) -> Result<(), StoreError> {
        let mut walk = Walk::new(self, query).await?;
        while let Some(entry) = walk.next(query.entries_max + 1 - listed.entries.len()).await? {
            let entry = together(entry, query);
            if let ListedEntry::Prefix(prefix) = &entry {
                walk.skip(prefix);
            }
            if take(listed, entry, query) {
                break;
            }
            if walk.is_long() && !listed.entries.is_empty() {
                listed.truncated = true;
                break;
            }
        }
        Ok(())
    }
}

/// How many names to ask for where this many entries are wanted. Those that are taken together here may be many.
pub(super) fn asks(query: &Query, wanted: usize) -> usize {
    match query.delimiter.as_str() {
        "" | "/" => wanted.clamp(1, PAGE),
        _ => PAGE,
    }
}

/// Puts an entry on the page, if it comes after those that stand there; says whether the page is full without it.
fn take(listed: &mut Listed, entry: ListedEntry, query: &Query) -> bool {
    let is_new = listed.entries.last().is_none_or(|last| text(last) < text(&entry));
    if !is_new || text(&entry) <= query.after.as_str() || !text(&entry).starts_with(&query.prefix) {
        return false;
    }
    listed.truncated = listed.entries.len() == query.entries_max;
    if !listed.truncated {
        listed.entries.push(entry);
    }
    listed.truncated
}

/// What an entry is told as, where the names that share its beginning are taken together.
///
/// The store's own are looked at too: after a name in a folder, some tell the folders in that one.
fn together(entry: ListedEntry, query: &Query) -> ListedEntry {
    let beginning = group(text(&entry), query).map(str::to_owned);
    beginning.map_or(entry, ListedEntry::Prefix)
}

/// With what beginning this name is taken together with others, if it is.
pub(super) fn group<'a>(name: &'a str, query: &Query) -> Option<&'a str> {
    if query.delimiter.is_empty() {
        return None;
    }
    let at = name.strip_prefix(&query.prefix)?.find(&query.delimiter)?;
    name.get(..query.prefix.len() + at + query.delimiter.len())
}

/// As much of a text to go on after as the store is told: no name is longer, and a URL has bounds.
pub(super) fn cut(after: &str) -> &str {
    &after[..after.floor_char_boundary(NAME_BYTES_MAX)]
}

/// A text behind this name and the others that are taken together with it, here and not by the store.
fn passed(name: &str, query: &Query) -> Option<String> {
    let beginning = group(name, query).filter(|_| query.delimiter != "/")?;
    Some(last_of(beginning)).filter(|last| name < last.as_str())
}

/// A text behind all that begin so, but for what no client writes.
pub(super) fn last_of(beginning: &str) -> String {
    format!("{beginning}\u{10ffff}")
}

pub(super) fn text(entry: &ListedEntry) -> &str {
    match entry {
        ListedEntry::Object { name, .. } => name,
        ListedEntry::Prefix(prefix) => prefix,
    }
}
