//! The store's own pages, of which one listing asks for no more than it may.
//!
//! A listing is short for the store, or it is told in pages. One that never ends, goes round in a circle or has no entry
//! in page after page is the store's fault, and costs no more than so many requests.

use std::collections::HashSet;
use std::io;
use std::time::SystemTime;

use object_store::list::PaginatedListOptions;

use super::bounded::Expected;
use super::{Remote, error};
use crate::backend::{ListedEntry, StoreError};

/// How many entries are asked for at once: what all stores give.
pub(super) const PAGE: usize = 1000;

/// After how many pages a listing ends with what it has. Its client goes on from there.
const ENOUGH: usize = 100;

/// How many pages are asked for where none has what is listed: a name of 1024 bytes may have a folder to look for behind
/// each of them.
const PAGES_MAX: usize = 1100;

/// How long the store's token of the next page may be, in bytes: it goes back in a URL.
const TOKEN_BYTES_MAX: usize = 8 << 10;

/// The pages of one listing.
pub(super) struct Pages<'a> {
    remote: &'a Remote,
    asked: usize,
    /// The tokens that were followed so far.
    tokens: HashSet<String>,
}

impl<'a> Pages<'a> {
    pub(super) fn new(remote: &'a Remote) -> Self {
        Self { remote, asked: 0, tokens: HashSet::new() }
    }

    /// Whether so many were asked for that a listing that has an entry ends with what it has.
    pub(super) fn are_enough(&self) -> bool {
        self.asked >= ENOUGH
    }

    /// The objects whose names begin with `prefix` and come after `after` in the store's own order, at most
    /// `entries_max`; and whether there are more.
    ///
    /// # Errors
    /// As [`Pages::next`].
    pub(super) async fn after(
        &mut self,
        prefix: &str,
        after: &str,
        entries_max: usize,
    ) -> Result<(Vec<ListedEntry>, bool), StoreError> {
        let options = self.options(after, entries_max);
        let (entries, next) = self.next(prefix, options).await?;
        Ok((entries, next.is_some()))
    }

    /// What a page is asked for with.
    pub(super) fn options(&self, after: &str, entries_max: usize) -> PaginatedListOptions {
        PaginatedListOptions {
            offset: (!after.is_empty()).then(|| format!("{}{after}", self.remote.prefix)),
            max_keys: Some(entries_max),
            ..PaginatedListOptions::default()
        }
    }

    /// One page, objects before prefixes, and the token of the next. Names outside the bucket are none of its.
    ///
    /// # Errors
    /// [`StoreError::Io`], also where the store holds a name in the page that no object here can have, and where its
    /// pages do not end.
    pub(super) async fn next(
        &mut self,
        prefix: &str,
        mut options: PaginatedListOptions,
    ) -> Result<(Vec<ListedEntry>, Option<String>), StoreError> {
        let remote = self.remote;
        let is_followed = |token: &String| !self.tokens.insert(token.clone());
        if self.asked == PAGES_MAX || options.page_token.as_ref().is_some_and(is_followed) {
            return Err(endless());
        }
        self.asked += 1;
        let prefix = format!("{}{prefix}", remote.prefix);
        let has_prefixes = options.delimiter.is_some();
        options.extensions = Expected::Page.extensions();
        let page = remote.service.pages.list_paginated(Some(&prefix), options).await;
        let page = page.map_err(|error| error::sorted("list objects", &error))?;
        let token = page.page_token.filter(|token| !token.is_empty());
        if token.as_ref().is_some_and(|token| token.len() > TOKEN_BYTES_MAX) {
            return Err(fault("the token of the store's next page is too long"));
        }
        let objects = page.result.objects.iter().filter_map(|meta| {
            Some(ListedEntry::Object {
                name: remote.name(&meta.location)?.to_owned(),
                size_bytes: meta.size,
                modified: SystemTime::from(meta.last_modified),
                etag: remote.etag(meta.e_tag.as_deref(), meta.size),
            })
        });
        let prefixes = page.result.common_prefixes.iter().filter(|_| has_prefixes);
        let prefixes =
            prefixes.filter_map(|path| Some(ListedEntry::Prefix(format!("{}/", remote.name(path)?))));
        Ok((objects.chain(prefixes).collect(), token))
    }
}

fn endless() -> StoreError {
    fault("the store's listing does not end")
}

fn fault(what: &'static str) -> StoreError {
    StoreError::Io { attempt: "list objects", source: io::Error::other(what) }
}
