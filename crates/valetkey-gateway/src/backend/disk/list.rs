//! Listing: the names below a prefix in the order of their bytes, a page at a time.
//!
//! A folder of the file system stands in no order, so a page reads the folders that it touches from end to end
//! and keeps only the names that come next: memory does not grow with the folder, and its first page costs what
//! its last page costs. Some names [`ahead`](super::ahead) are kept for the next pages of a folder that does not
//! change. So a page tells what stands there when it is asked for, and an object that stands throughout is told
//! once.
//!
//! A folder is sorted as its name with the slash, as it stands in the names of the objects in it: `a.txt` comes
//! before `a/b`, and that before `a0`.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use super::ahead::{NAMES_MAX, Of, State, Window};
use super::names::is_folder_name;
use super::nearest::{Found, Kind, Nearest};
use super::{Folder, StoreError, entries};

/// What a listing asks for.
#[derive(Debug, Clone)]
pub struct Query {
    /// What every name begins with.
    pub prefix: String,
    /// Up to which text after the prefix names are taken together; empty where they are not.
    pub delimiter: String,
    /// The text that every entry sorts after; empty for all.
    pub after: String,
    /// How many entries are wanted at most.
    pub entries_max: usize,
}

/// A part of a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    /// In the order of their bytes.
    pub entries: Vec<ListedEntry>,
    /// Whether there is more after the last entry.
    pub truncated: bool,
}

/// One entry of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListedEntry {
    /// An object.
    Object {
        /// Its name.
        name: String,
        /// The length of its content, in bytes.
        size_bytes: u64,
        /// When its content was last changed.
        modified: SystemTime,
        /// Its entity tag without quotes.
        etag: String,
    },
    /// What the names of one or more objects begin with, up to and with the delimiter.
    Prefix(String),
}

/// From how many folders below each other on the outer ones keep few names in memory, and how many.
const FOLDERS_IN_FULL: usize = 8;
const OUTER_NAMES_MAX: usize = 16;

impl Folder {
    /// Lists a page. Links, what is neither file nor folder, names that no object can have, and what the gateway
    /// may not read are left out; so is a prefix below which no object stands.
    ///
    /// It stops early, with a page that nobody will read, once `abandoned` is set.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn list(&self, query: &Query, abandoned: &AtomicBool) -> Result<Listed, StoreError> {
        let mut listed = Listed::default();
        if query.entries_max == 0 {
            return Ok(listed);
        }
        let mut walk = Walk::new(self, query, abandoned)?;
        while let Some(next) = walk.next()? {
            if listed.entries.len() == query.entries_max {
                listed.truncated = true;
                break;
            }
            let entry = match next {
                Next::Prefix(prefix) => ListedEntry::Prefix(prefix),
                Next::Object(name) => match self.stat(&name) {
                    Ok(found) => ListedEntry::Object {
                        name,
                        size_bytes: found.size_bytes,
                        modified: found.modified,
                        etag: found.etag,
                    },
                    // It was deleted meanwhile.
                    Err(StoreError::NotFound) => continue,
                    Err(StoreError::Io { source, .. })
                        if source.kind() == std::io::ErrorKind::PermissionDenied =>
                    {
                        self.disk.left_out.tell("a file that the gateway may not read", &name);
                        continue;
                    }
                    Err(error) => return Err(error),
                },
            };
            listed.entries.push(entry);
        }
        Ok(listed)
    }
}

/// What a walk comes to.
enum Next {
    Object(String),
    Prefix(String),
}

/// A walk through the folders below a prefix, in the order of names.
struct Walk<'a> {
    folder: &'a Folder,
    query: &'a Query,
    abandoned: &'a AtomicBool,
    /// No name below this is of interest any more. It need not be UTF-8.
    least: Vec<u8>,
    /// The folder that is read, and those that it stands in, outermost first.
    open: Vec<Level>,
}

/// A folder on the way.
struct Level {
    /// Its path, empty or ending in `/`.
    path: String,
    /// The next names in it.
    next: VecDeque<Found>,
    /// Whether these are all.
    whole: bool,
}

impl<'a> Walk<'a> {
    fn new(folder: &'a Folder, query: &'a Query, abandoned: &'a AtomicBool) -> Result<Self, StoreError> {
        let Query { prefix, delimiter, after, .. } = query;
        let mut walk = Self { folder, query, abandoned, least: Vec::new(), open: Vec::new() };
        if !after.is_empty() {
            let group = after.strip_prefix(prefix.as_str()).and_then(|rest| group_bytes(rest, delimiter));
            walk.least = match group {
                Some(bytes) => past(&after[..prefix.len() + bytes]),
                None => behind(after),
            };
        }
        let path = &prefix[..prefix.rfind('/').map_or(0, |slash| slash + 1)];
        // Below a text that is no sound path stands nothing, and no system call is to read it otherwise.
        if is_folder_name(path) && !path.chars().any(char::is_control) {
            walk.enter(path.to_owned())?;
        }
        Ok(walk)
    }

    fn next(&mut self) -> Result<Option<Next>, StoreError> {
        loop {
            if self.abandoned.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let Some(level) = self.open.last_mut() else { return Ok(None) };
            let Some(found) = level.next.pop_front() else {
                if level.whole {
                    self.least = past(&level.path);
                    self.open.pop();
                } else {
                    let path = std::mem::take(&mut level.path);
                    self.open.pop();
                    self.enter(path)?;
                }
                continue;
            };
            let text = format!("{}{}", level.path, found.text);
            match found.kind {
                Kind::Object => {
                    self.least = behind(&text);
                    return Ok(Some(Next::Object(text)));
                }
                Kind::Folder => self.enter(text)?,
                Kind::Prefix { folder } => {
                    let path = level.path.clone();
                    self.least = past(&text);
                    if self.holds_object(&path, &found.text, folder.as_deref())? {
                        return Ok(Some(Next::Prefix(text)));
                    }
                }
            }
        }
    }

    /// Reads the names that come next in a folder, and goes on with them.
    fn enter(&mut self, path: String) -> Result<(), StoreError> {
        let (next, whole) = self.read(&path)?;
        self.open.push(Level { path, next: next.into(), whole });
        // Folders within folders do not add up: an outer one is read again when the walk comes back to it.
        if let Some(outer) = self.open.len().checked_sub(FOLDERS_IN_FULL + 1)
            && let Some(level) = self.open.get_mut(outer)
            && level.next.len() > OUTER_NAMES_MAX
        {
            level.next.truncate(OUTER_NAMES_MAX);
            level.next.shrink_to_fit();
            level.whole = false;
        }
        Ok(())
    }

    fn read(&self, path: &str) -> Result<(Vec<Found>, bool), StoreError> {
        let Query { prefix, delimiter, entries_max, .. } = self.query;
        let Some(least) = below(&self.least, path) else { return Ok((Vec::new(), true)) };
        let leaf = prefix.get(path.len()..).unwrap_or("");
        // One more than the page holds, which tells whether there is more.
        let most = entries_max + 1;
        let Some(folder) = entries::open(self.folder, path)? else { return Ok((Vec::new(), true)) };
        let state = State::of(&folder)?;
        let of = Of {
            place: format!("{}{path}", self.folder.prefix),
            prefix: prefix.clone(),
            delimiter: delimiter.clone(),
        };
        let ahead = &self.folder.disk.ahead;
        if let Some(state) = state
            && let Some(next) = ahead.next(&of, state, least, most)
        {
            return Ok(next);
        }
        let mut nearest = Nearest::new(if state.is_some() { NAMES_MAX } else { most });
        let mut full = path.to_owned();
        entries::read(self.folder, (path, &folder), self.abandoned, &mut |name, is_folder| {
            full.truncate(path.len());
            full.push_str(name);
            if is_folder {
                full.push('/');
            }
            let text = &full[path.len()..];
            let in_range = text.as_bytes() >= least || (is_folder && least.starts_with(text.as_bytes()));
            if !in_range || !text.starts_with(leaf) {
                return Ok(true);
            }
            let group = group_bytes(&full[prefix.len()..], delimiter);
            let (text, kind) = match group {
                Some(bytes) => {
                    let group = &full[path.len()..prefix.len() + bytes];
                    (group, Kind::Prefix { folder: is_folder.then(|| name.to_owned()) })
                }
                None if is_folder => (text, Kind::Folder),
                None => (text, Kind::Object),
            };
            nearest.take(text, kind);
            Ok(true)
        })?;
        let (found, whole) = nearest.sorted();
        if found.len() <= most {
            return Ok((found, whole));
        }
        let next = found[..most].to_vec();
        if let Some(state) = state.filter(|_| !self.abandoned.load(Ordering::Relaxed)) {
            ahead.keep(Window { of, state, least: least.to_vec(), found, whole });
        }
        Ok((next, false))
    }

    /// Whether any object's name begins with a prefix that was found in the folder at `path`. It was found by an
    /// object, or else by a folder, which may hold none.
    fn holds_object(&self, path: &str, prefix: &str, by: Option<&str>) -> Result<bool, StoreError> {
        let Some(by) = by else { return Ok(true) };
        let all_of_it = prefix.strip_suffix('/') == Some(by);
        Ok(self.any_object(&format!("{path}{by}/"), "")? || (!all_of_it && self.any_object(path, prefix)?))
    }

    /// Whether an object stands in or below the folder at `path`, whose name in it begins with `start`.
    fn any_object(&self, path: &str, start: &str) -> Result<bool, StoreError> {
        let mut found = false;
        let Some(folder) = entries::open(self.folder, path)? else { return Ok(false) };
        entries::read(self.folder, (path, &folder), self.abandoned, &mut |name, is_folder| {
            if is_folder {
                // A start that ends within a name, or a slash later: it is the text of a prefix.
                let text = format!("{name}/");
                if text.starts_with(start) {
                    found = self.any_object(&format!("{path}{text}"), "")?;
                }
            } else {
                found = name.starts_with(start);
            }
            Ok(!found)
        })?;
        Ok(found)
    }
}

/// How many bytes of `rest`, which follows the prefix, make up what names are taken together by.
fn group_bytes(rest: &str, delimiter: &str) -> Option<usize> {
    if delimiter.is_empty() {
        return None;
    }
    rest.find(delimiter).map(|at| at + delimiter.len())
}

/// The least text after `text`. No name holds a NUL.
fn behind(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

/// The least text after all that begin with `text`. UTF-8 has no byte 255.
fn past(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    if let Some(last) = bytes.last_mut() {
        *last = last.saturating_add(1);
    }
    bytes
}

/// What `least` means for the names in the folder at `path`; `None` where all of them come before it.
fn below<'a>(least: &'a [u8], path: &str) -> Option<&'a [u8]> {
    match least.strip_prefix(path.as_bytes()) {
        Some(rest) => Some(rest),
        None if least < path.as_bytes() => Some(&[]),
        None => None,
    }
}
