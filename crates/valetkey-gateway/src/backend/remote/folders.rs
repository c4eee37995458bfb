//! The names of a store that lists folder by folder, in the order of their bytes all the same.
//!
//! SeaweedFS keeps objects in folders and walks them, so `a/b` comes before `a-b`, though `-` sorts before `/`. Clients
//! rely on the order of S3: they go on after the last name of a page, and some compare two listings side by side. Only a
//! folder can come too early: before siblings that go on from its own name with something below `/`. So one that does
//! not end within a page is kept back until what stands beside it sorts after it, and is then listed by itself.
//!
//! What is relied on: the folder `a` comes right after the object `a`; what is asked for after `a` begins behind the
//! folder, and after `a/` within it.

use std::borrow::Cow;
use std::collections::{BTreeSet, VecDeque};
use std::io;

use super::Remote;
use super::list::{asks, cut, group, last_of, text};
use super::name::FILE_NAME_BYTES_MAX;
use super::pages::{PAGE, Pages};
use crate::backend::{ListedEntry, Query, StoreError};

/// How many names are asked for where few are likely to be used.
const FEW: usize = 8;

/// What follows a name in the last text that sorts before the name with a slash.
const LAST_BELOW_SLASH: &str = ".\u{10ffff}";

/// A walk through the folders of a store. It comes upon all names after the query's, and upon some before.
pub(super) struct Walk<'a> {
    pages: Pages<'a>,
    query: &'a Query,
    /// The folder that is listed, and those that it stands in, outermost first.
    levels: Vec<Level>,
}

/// A folder on the way.
#[derive(Debug, Default)]
struct Level {
    /// Its name, empty or ending in `/`.
    path: String,
    /// After which text more is asked for. No name to come sorts before it.
    from: String,
    /// After which text `ready` was asked for.
    before: String,
    /// Names that sort before all that are to come, but for those in `folders`.
    ready: VecDeque<ListedEntry>,
    /// Folders in it that are still to be listed, if they are there at all.
    folders: BTreeSet<String>,
    /// How many names are asked for at once.
    asks: usize,
    /// Whether nothing is to come but `ready` and `folders`.
    whole: bool,
}

impl<'a> Walk<'a> {
    /// A walk that begins where the query does.
    ///
    /// # Errors
    /// As [`Pages::next`].
    pub(super) async fn new(remote: &'a Remote, query: &'a Query) -> Result<Self, StoreError> {
        let mut pages = Pages::new(remote);
        let mut levels = levels(query);
        // Folders in which nothing more is to come need not be asked one by one.
        if let [_, _, .., last] = &levels[..] {
            let from = if last.from.is_empty() { &last.path } else { &last.from };
            let (names, _) = pages.after(&query.prefix, from, 1).await?;
            for level in &mut levels {
                level.whole = !names.first().is_some_and(|name| text(name).starts_with(&level.path));
            }
        }
        Ok(Self { pages, query, levels })
    }

    /// Whether it took so many pages that it ends where it has found anything.
    pub(super) fn is_long(&self) -> bool {
        self.pages.are_enough()
    }

    /// The next entry; `wanted` is how many more the page may need.
    ///
    /// # Errors
    /// As [`Pages::next`], and where the pages of the store do not go on.
    pub(super) async fn next(&mut self, wanted: usize) -> Result<Option<ListedEntry>, StoreError> {
        loop {
            let Some(level) = self.levels.last_mut() else { return Ok(None) };
            match (level.ready.front(), level.folders.first()) {
                (Some(entry), folder) if folder.is_none_or(|folder| text(entry) < folder.as_str()) => {
                    return Ok(level.ready.pop_front());
                }
                (ready, Some(folder))
                    if ready.is_some()
                        || level.whole
                        || folder.as_str() < level.from.trim_end_matches('/') =>
                {
                    let Some(folder) = level.folders.pop_first() else { continue };
                    if self.query.delimiter != "/" {
                        self.enter(folder);
                    } else if !self.pages.after(&folder, "", 1).await?.0.is_empty() {
                        return Ok(Some(ListedEntry::Prefix(folder)));
                    }
                }
                (_, None) if level.whole => drop(self.levels.pop()),
                _ => level.read(&mut self.pages, self.query, wanted).await?,
            }
        }
    }

    /// Leaves out what is still to be asked for and begins so.
    pub(super) fn skip(&mut self, beginning: &str) {
        leave_out(&mut self.levels, beginning, self.query);
    }

    fn enter(&mut self, path: String) {
        if let Some(outer) = self.levels.last_mut() {
            outer.shrink();
        }
        self.levels.push(Level { path, asks: PAGE, ..Level::default() });
    }
}

impl Level {
    /// Asks for the names that come next.
    async fn read(&mut self, pages: &mut Pages<'_>, query: &Query, wanted: usize) -> Result<(), StoreError> {
        let prefix = if query.prefix.len() > self.path.len() { &query.prefix } else { &self.path };
        let (names, more) = pages.after(prefix, &self.from, self.asks.min(asks(query, wanted))).await?;
        if !more {
            self.whole = true;
            self.before = std::mem::take(&mut self.from);
            self.keep(names);
            return Ok(());
        }
        let last = names.last().and_then(|last| text(last).strip_prefix(&self.path)).ok_or_else(astray)?;
        let (child, is_folder) = last.split_once('/').map_or((last, false), |(child, _)| (child, true));
        let reached = format!("{}{child}", self.path);
        // The object goes on with the folder of its name, and the folder with its sibling.
        let from = if is_folder { reached.clone() } else { format!("{reached}/") };
        let place = |from: &str| (from.trim_end_matches('/').to_owned(), !from.ends_with('/'));
        if !self.from.is_empty() && place(&from) <= place(&self.from) {
            return Err(astray());
        }
        self.asks = if is_folder { FEW } else { (self.asks * 4).min(PAGE) };
        let (ready, early): (Vec<_>, _) = names.into_iter().partition(|name| text(name) <= reached.as_str());
        for name in early {
            let folder = text(&name).strip_prefix(&self.path).and_then(|rest| rest.split_once('/'));
            let (folder, _) = folder.ok_or_else(astray)?;
            self.folders.insert(format!("{}{folder}/", self.path));
        }
        self.before = std::mem::replace(&mut self.from, from);
        self.keep(ready);
        Ok(())
    }

    fn keep(&mut self, mut names: Vec<ListedEntry>) {
        names.sort_by(|one, other| text(one).cmp(text(other)));
        self.ready = names.into();
    }

    /// Keeps few names in memory while a folder in it is listed: folders within folders do not add up. The others are
    /// asked for again.
    fn shrink(&mut self) {
        if self.ready.len() > FEW {
            self.ready = VecDeque::new();
            self.from = std::mem::take(&mut self.before);
            self.asks = FEW;
            self.whole = false;
        }
    }
}

/// The folders that a query goes on in.
fn levels(query: &Query) -> Vec<Level> {
    let Query { prefix, after, .. } = query;
    let mut path = &prefix[..prefix.rfind('/').map_or(0, |slash| slash + 1)];
    // Below a text that is no sound path stands nothing, and the store might read it otherwise.
    if !path.split_terminator('/').all(is_name) {
        return Vec::new();
    }
    if after <= prefix {
        return vec![Level { path: path.to_owned(), asks: PAGE, ..Level::default() }];
    }
    if !after.starts_with(prefix) {
        return Vec::new();
    }
    let after = sound(cut(after));
    let mut levels = Vec::new();
    loop {
        let mut level = Level { path: path.to_owned(), asks: PAGE, ..Level::default() };
        let rest = after.get(path.len()..).unwrap_or_default();
        let (segment, below) =
            rest.split_once('/').map_or((rest, None), |(segment, rest)| (segment, Some(rest)));
        if !segment.is_empty() {
            // The level below goes on within the folder, or this one with the folder of the object's name.
            level.from = format!("{path}{segment}{}", below.map_or("/", |_| LAST_BELOW_SLASH));
            level.folders = passed(path, segment).filter(|folder| folder.starts_with(prefix)).collect();
        }
        levels.push(level);
        if below.is_none() {
            break;
        }
        path = &after[..path.len() + segment.len() + 1];
    }
    if let Some(beginning) = group(&after, query) {
        leave_out(&mut levels, beginning, query);
    }
    levels
}

fn leave_out(levels: &mut Vec<Level>, beginning: &str, query: &Query) {
    levels.retain(|level| !level.path.starts_with(beginning));
    for level in levels {
        level.folders.retain(|folder| !folder.starts_with(beginning));
        // By the delimiter `/` they are in folders, which are passed as a whole.
        if query.delimiter != "/" && level.from.starts_with(beginning) {
            level.from = last_of(beginning).max(std::mem::take(&mut level.from));
        }
    }
}

/// A text that the same names come after, and that the store reads as it stands: without the segments that no name has.
fn sound(after: &str) -> Cow<'_, str> {
    let mut begin = 0;
    for segment in after.split('/') {
        let end = begin + segment.len();
        let is_last = end == after.len();
        let before = |end: usize, last: &str| Cow::Owned(format!("{}{last}", &after[..end]));
        match segment {
            "" if is_last => {}
            "" | "." | ".." if !is_last => return before(end, LAST_BELOW_SLASH),
            "." | ".." => return before(end - 1, "-\u{10ffff}"),
            _ => {
                if let Some(at) = segment.find('\\') {
                    return before(begin + at, "[\u{10ffff}");
                }
            }
        }
        begin = end + 1;
    }
    Cow::Borrowed(after)
}

/// The folders that the store lists before `segment` though they sort after it, if they are there.
fn passed<'a>(path: &'a str, segment: &'a str) -> impl Iterator<Item = String> + 'a {
    let lower = segment.char_indices().filter(|(_, next)| *next < '/').map(|(at, _)| &segment[..at]);
    let lower = lower.filter(|name| is_name(name) && name.len() <= FILE_NAME_BYTES_MAX);
    lower.map(move |name| format!("{path}{name}/"))
}

/// Whether a folder or an object can have this name. SeaweedFS reads `\` as `/`.
fn is_name(segment: &str) -> bool {
    !matches!(segment, "" | "." | "..") && !segment.contains('\\')
}

fn astray() -> StoreError {
    let source = io::Error::other("the store's listing does not go on from folder to folder");
    StoreError::Io { attempt: "list objects", source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::remote::name::NAME_BYTES_MAX;

    /// Each level as where it goes on, `>` being the last text below a slash, and what is looked for behind.
    fn check(prefix: &str, delimiter: &str, after: &str, expected: &[(&str, &[&str])]) {
        let (prefix, delimiter, after) = (prefix.to_owned(), delimiter.to_owned(), after.to_owned());
        let levels = levels(&Query { prefix, delimiter, after: after.clone(), entries_max: 1 });
        let found: Vec<(_, Vec<_>)> = levels
            .iter()
            .map(|level| (level.from.clone(), level.folders.iter().map(|folder| &**folder).collect()))
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(from, folders)| (from.replace('>', LAST_BELOW_SLASH), folders.to_vec()))
            .collect();
        assert_eq!(found, expected, "{after}");
    }

    #[test]
    fn a_listing_goes_on_in_every_folder_on_the_way() {
        check("", "", "", &[("", &[])]);
        check("", "", "a", &[("a/", &[])]);
        check("", "", "a/b/c", &[("a>", &[]), ("a/b>", &[]), ("a/b/c/", &[])]);
        check("a/", "", "a/b/c", &[("a/b>", &[]), ("a/b/c/", &[])]);
        check("a/", "", "a/", &[("", &[])]);
        check("", "", "a/", &[("a>", &[]), ("", &[])]);
        check("a/", "", "b", &[]);
        check("b/", "", "a", &[("", &[])]);
    }

    #[test]
    fn folders_that_the_store_told_before_are_looked_for() {
        check("", "", "a-b.txt", &[("a-b.txt/", &["a-b/", "a/"])]);
        check("", "", "a-b/c.d", &[("a-b>", &["a/"]), ("a-b/c.d/", &["a-b/c/"])]);
        check("a-b", "", "a-b.txt", &[("a-b.txt/", &["a-b/"])]);
        check("", "", "..-x", &[("..-x/", &[])]);
        check("", "", "é!", &[("é!/", &["é/"])]);
    }

    #[test]
    fn what_is_told_as_one_is_passed() {
        check("", "/", "a/", &[("a>", &[])]);
        check("", "/", "a-b/c", &[("a-b>", &["a/"])]);
        check("p/", "/", "p/20/1", &[("p/20>", &[])]);
        check("", "2", "p/20/1", &[("p>", &[]), ("p/2\u{10ffff}", &[])]);
        check("", "-", "a-b-c.d", &[("a-\u{10ffff}", &["a/"])]);
    }

    #[test]
    fn what_no_object_can_be_called_leads_nowhere() {
        for (after, from) in [
            ("/", ".\u{10ffff}/"),
            ("//a", ".\u{10ffff}/"),
            ("./a", "..\u{10ffff}/"),
            ("../a", "...\u{10ffff}/"),
            (".", "-\u{10ffff}/"),
            ("..", ".-\u{10ffff}/"),
            ("a\\b/c", "a[\u{10ffff}/"),
        ] {
            let levels = levels(&Query {
                prefix: String::new(),
                delimiter: String::new(),
                after: after.to_owned(),
                entries_max: 1,
            });
            let found: Vec<_> = levels.iter().map(|level| &*level.from).collect();
            assert_eq!(found, [from], "{after}");
        }
        for prefix in ["/", "a//", "../", "a/./b", "a\\/b"] {
            check(prefix, "", "", &[]);
        }
        let long = "a/".repeat(4000);
        let levels =
            levels(&Query { prefix: String::new(), delimiter: String::new(), after: long, entries_max: 1 });
        assert_eq!(levels.len(), NAME_BYTES_MAX / 2 + 1);
        assert_eq!(passed("", &"-".repeat(1000)).count(), FILE_NAME_BYTES_MAX);
    }
}
