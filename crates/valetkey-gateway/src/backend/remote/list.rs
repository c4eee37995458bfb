//! Listing: the names below a prefix in the order of their bytes, a page at a time.
//!
//! The store is asked for its own pages. It takes names together by itself where the delimiter is `/`, which all of
//! them do; other delimiters are looked for here. One that lists folder by folder is [walked through](Walk).

use std::borrow::Cow;
use std::time::SystemTime;

use object_store::list::PaginatedListOptions;

use super::folders::Walk;
use super::{Kind, Remote, error};
use crate::backend::{Listed, ListedEntry, Metadata, Query, StoreError};

/// How many entries are asked for at once: what all stores give.
pub(super) const PAGE: usize = 1000;

impl Remote {
    /// Lists a page.
    ///
    /// # Errors
    /// [`StoreError::Io`], also where the store holds a name in the page that no object here can have.
    pub(crate) async fn list(&self, query: &Query) -> Result<Listed, StoreError> {
        if query.entries_max == 0 {
            return Ok(Listed::default());
        }
        let _turn = self.service.listings.acquire().await;
        if !self.service.lists_by_folder() {
            let listed = self.list_by_bytes(query).await?;
            // What store it is, its first answer may have told.
            if !self.service.lists_by_folder() {
                return Ok(listed);
            }
        }
        self.list_by_folder(query).await
    }

    async fn list_by_bytes(&self, query: &Query) -> Result<Listed, StoreError> {
        let mut listed = Listed::default();
        if self.service.kind == Kind::Azure && query.after < query.prefix {
            let entry = self.named(&query.prefix).await?;
            listed.entries.extend(entry);
        }
        let mut token = None;
        loop {
            let options = PaginatedListOptions {
                delimiter: (query.delimiter == "/").then_some(Cow::Borrowed("/")),
                page_token: token,
                ..options(&self.prefix, &query.after, asks(query, query.entries_max + 2))
            };
            let (mut entries, next) = self.entries(&query.prefix, options).await?;
            entries.sort_by(|one, other| text(one).cmp(text(other)));
            for entry in entries {
                if take(&mut listed, together(entry, query), query) {
                    return Ok(listed);
                }
            }
            token = next;
            if token.is_none() {
                return Ok(listed);
            }
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

    async fn list_by_folder(&self, query: &Query) -> Result<Listed, StoreError> {
        let mut listed = Listed::default();
        let mut walk = Walk::new(self, query).await?;
        while let Some(entry) = walk.next(query.entries_max + 1 - listed.entries.len()).await? {
            let entry = together(entry, query);
            if let ListedEntry::Prefix(prefix) = &entry {
                walk.skip(prefix);
            }
            if take(&mut listed, entry, query) {
                break;
            }
        }
        Ok(listed)
    }

    /// The objects whose names begin with `prefix` and come after `after` in the store's own order, at most
    /// `entries_max`; and whether there are more.
    ///
    /// # Errors
    /// [`StoreError::Io`], also where the store holds a name in the page that no object here can have.
    pub(super) async fn page(
        &self,
        prefix: &str,
        after: &str,
        entries_max: usize,
    ) -> Result<(Vec<ListedEntry>, bool), StoreError> {
        let (entries, next) = self.entries(prefix, options(&self.prefix, after, entries_max)).await?;
        Ok((entries, next.is_some()))
    }

    /// One of the store's pages, objects before prefixes, and the token of the next. Names outside the bucket are none
    /// of its.
    async fn entries(
        &self,
        prefix: &str,
        options: PaginatedListOptions,
    ) -> Result<(Vec<ListedEntry>, Option<String>), StoreError> {
        let prefix = format!("{}{prefix}", self.prefix);
        let has_prefixes = options.delimiter.is_some();
        let page = self.service.pages.list_paginated(Some(&prefix), options).await;
        let page = page.map_err(|error| error::sorted("list objects", &error))?;
        let objects = page.result.objects.iter().filter_map(|meta| {
            Some(ListedEntry::Object {
                name: self.name(&meta.location)?.to_owned(),
                size_bytes: meta.size,
                modified: SystemTime::from(meta.last_modified),
                etag: self.etag(meta.e_tag.as_deref(), meta.size),
            })
        });
        let prefixes = page.result.common_prefixes.iter().filter(|_| has_prefixes);
        let prefixes =
            prefixes.filter_map(|path| Some(ListedEntry::Prefix(format!("{}/", self.name(path)?))));
        Ok((objects.chain(prefixes).collect(), page.page_token.filter(|token| !token.is_empty())))
    }
}

/// What a page is asked for with, `prefix` being the bucket's.
fn options(prefix: &str, after: &str, entries_max: usize) -> PaginatedListOptions {
    PaginatedListOptions {
        offset: (!after.is_empty()).then(|| format!("{prefix}{after}")),
        max_keys: Some(entries_max),
        ..PaginatedListOptions::default()
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

pub(super) fn text(entry: &ListedEntry) -> &str {
    match entry {
        ListedEntry::Object { name, .. } => name,
        ListedEntry::Prefix(prefix) => prefix,
    }
}
