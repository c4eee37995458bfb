//! Listing: the names below a prefix in the order of their bytes, a page at a time.
//!
//! The store is asked for its own pages. It takes names together by itself where the delimiter is `/`, which all of
//! them do; other delimiters are looked for here.

use std::borrow::Cow;
use std::time::SystemTime;

use object_store::ListResult;
use object_store::list::PaginatedListOptions;

use super::{Remote, error};
use crate::backend::{Listed, ListedEntry, Query, StoreError};

/// How many entries are asked for at once: what all stores give.
const PAGE: usize = 1000;

impl Remote {
    /// Lists a page.
    ///
    /// # Errors
    /// [`StoreError::Io`], also where the store holds a name in the page that no object here can have.
    pub(crate) async fn list(&self, query: &Query) -> Result<Listed, StoreError> {
        let mut listed = Listed::default();
        if query.entries_max == 0 {
            return Ok(listed);
        }
        let slash = query.delimiter == "/";
        let prefix = format!("{}{}", self.prefix, query.prefix);
        let mut token = None;
        loop {
            let options = PaginatedListOptions {
                offset: (!query.after.is_empty()).then(|| format!("{}{}", self.prefix, query.after)),
                delimiter: slash.then_some(Cow::Borrowed("/")),
                max_keys: Some(query.entries_max.saturating_add(2).min(PAGE)),
                page_token: token,
                ..PaginatedListOptions::default()
            };
            let page = self.service.pages.list_paginated(Some(&prefix), options).await;
            let page = page.map_err(|error| error::sorted("list objects", &error))?;
            for entry in self.entries(page.result, slash) {
                let entry = together(entry, query);
                let is_new = listed.entries.last().is_none_or(|last| text(last) < text(&entry));
                if !is_new || text(&entry) <= query.after.as_str() || !text(&entry).starts_with(&query.prefix)
                {
                    continue;
                }
                if listed.entries.len() == query.entries_max {
                    listed.truncated = true;
                    return Ok(listed);
                }
                listed.entries.push(entry);
            }
            token = page.page_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(listed);
            }
        }
    }

    /// The entries of one of the store's pages, in their order. Names outside the bucket are none of its.
    fn entries(&self, page: ListResult, slash: bool) -> Vec<ListedEntry> {
        let objects = page.objects.iter().filter_map(|meta| {
            Some(ListedEntry::Object {
                name: self.name(&meta.location)?.to_owned(),
                size_bytes: meta.size,
                modified: SystemTime::from(meta.last_modified),
                etag: self.etag(meta.e_tag.as_deref(), meta.size),
            })
        });
        let prefixes = page.common_prefixes.iter().filter(|_| slash);
        let prefixes =
            prefixes.filter_map(|path| Some(ListedEntry::Prefix(format!("{}/", self.name(path)?))));
        let mut entries: Vec<_> = objects.chain(prefixes).collect();
        entries.sort_by(|one, other| text(one).cmp(text(other)));
        entries
    }
}

/// What an entry is told as, where the names that share its beginning are taken together.
fn together(entry: ListedEntry, query: &Query) -> ListedEntry {
    if let ListedEntry::Object { name, .. } = &entry
        && !query.delimiter.is_empty()
        && let Some(rest) = name.strip_prefix(&query.prefix)
        && let Some(at) = rest.find(&query.delimiter)
    {
        let end = query.prefix.len() + at + query.delimiter.len();
        return ListedEntry::Prefix(name[..end].to_owned());
    }
    entry
}

fn text(entry: &ListedEntry) -> &str {
    match entry {
        ListedEntry::Object { name, .. } => name,
        ListedEntry::Prefix(prefix) => prefix,
    }
}
