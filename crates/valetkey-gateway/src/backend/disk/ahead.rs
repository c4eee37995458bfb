//! Names read ahead for the next pages of large folders.
//!
//! To find the names of one page a folder is read from end to end. So that the next pages need not, more names
//! are kept than the page holds, and used again as long as the folder says that nothing in it has changed: its
//! names are those that reading it again would give. Where a folder changes all the time each page reads it.

use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::StoreError;
use super::nearest::{Found, Kind};

/// How many names are kept of one folder, and of how many folders: some 10 MiB of common names in all, and
/// 40 MiB of the longest.
pub(super) const NAMES_MAX: usize = 16 << 10;
const FOLDERS_MAX: usize = 8;

/// A folder that changed within this time may change again without its times telling: file systems count them in
/// steps, of up to two seconds.
const STEP: Duration = Duration::from_secs(2);

/// Which names were read: of which folder, below which prefix, taken together by which delimiter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Of {
    pub(super) place: String,
    pub(super) prefix: String,
    pub(super) delimiter: String,
}

/// The state of a folder. No name comes or goes without a change of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    device: u64,
    inode: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl State {
    /// `None` where later changes might not show.
    pub(super) fn of(folder: &OwnedFd) -> Result<Option<Self>, StoreError> {
        let failed = |source| StoreError::Io { attempt: "read folder", source };
        let found = File::from(folder.try_clone().map_err(failed)?).metadata().map_err(failed)?;
        let changed = UNIX_EPOCH + Duration::from_secs(u64::try_from(found.ctime()).unwrap_or(0));
        let rested = SystemTime::now().duration_since(changed).is_ok_and(|age| age > STEP);
        Ok(rested.then(|| Self {
            device: found.dev(),
            inode: found.ino(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }))
    }
}

/// The names of some folders.
#[derive(Debug, Default)]
pub(super) struct Ahead(Mutex<VecDeque<Arc<Window>>>);

/// All names of a folder from one on, up to the last that is here.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) of: Of,
    pub(super) state: State,
    /// The least text that was asked for.
    pub(super) least: Vec<u8>,
    /// In order.
    pub(super) found: Vec<Found>,
    /// Whether no more follow.
    pub(super) whole: bool,
}

impl Ahead {
    /// The next names from `least` on, at most `most` and at least one, and whether these are all that follow.
    pub(super) fn next(
        &self,
        of: &Of,
        state: State,
        least: &[u8],
        most: usize,
    ) -> Option<(Vec<Found>, bool)> {
        let window = {
            let mut windows = self.lock();
            let at = windows.iter().position(|window| window.of == *of)?;
            let window = windows.remove(at)?;
            // What changed is of no use any more; what is used goes last.
            if window.state != state {
                return None;
            }
            windows.push_back(Arc::clone(&window));
            window
        };
        if least < window.least.as_slice() {
            return None;
        }
        let after = window.found.partition_point(|found| found.text.as_bytes() < least);
        // The folder in which `least` lies sorts right before it.
        let around = window.found[..after]
            .last()
            .is_some_and(|found| found.kind == Kind::Folder && least.starts_with(found.text.as_bytes()));
        let rest = &window.found[after - usize::from(around)..];
        if rest.is_empty() && !window.whole {
            return None;
        }
        let next = &rest[..rest.len().min(most)];
        Some((next.to_vec(), window.whole && next.len() == rest.len()))
    }

    /// Keeps names for the next pages.
    pub(super) fn keep(&self, window: Window) {
        let mut windows = self.lock();
        windows.retain(|kept| kept.of != window.of);
        if windows.len() == FOLDERS_MAX {
            windows.pop_front();
        }
        windows.push_back(Arc::new(window));
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Window>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(place: &str) -> Of {
        Of { place: place.to_owned(), prefix: String::new(), delimiter: String::new() }
    }

    fn state(changed: i64) -> State {
        State { device: 1, inode: 2, modified: (3, 0), changed: (changed, 0) }
    }

    fn keep(ahead: &Ahead, place: &str, least: &str, texts: &[&str], whole: bool) {
        let found = texts.iter().map(|text| Found {
            text: (*text).to_owned(),
            kind: if text.ends_with('/') { Kind::Folder } else { Kind::Object },
        });
        ahead.keep(Window {
            of: of(place),
            state: state(0),
            least: least.as_bytes().to_vec(),
            found: found.collect(),
            whole,
        });
    }

    #[test]
    fn names_are_given_from_where_they_are_asked_for() {
        for whole in [true, false] {
            let ahead = Ahead::default();
            keep(&ahead, "a/", "b", &["b", "c/", "d", "e"], whole);
            let next = |least: &str, most| {
                let (found, all) = ahead.next(&of("a/"), state(0), least.as_bytes(), most)?;
                Some((found.into_iter().map(|found| found.text).collect::<Vec<_>>().join(" "), all))
            };
            assert_eq!(next("a", 9), None);
            assert_eq!(next("b", 2), Some(("b c/".to_owned(), false)));
            assert_eq!(next("b", 4), Some(("b c/ d e".to_owned(), whole)));
            assert_eq!(next("c/x", 2), Some(("c/ d".to_owned(), false)));
            assert_eq!(next("c0", 9), Some(("d e".to_owned(), whole)));
            assert_eq!(next("f", 9), whole.then(|| (String::new(), true)));
        }
    }

    #[test]
    fn names_of_a_folder_that_changed_are_forgotten() {
        let ahead = Ahead::default();
        keep(&ahead, "a/", "", &["b"], true);
        assert_eq!(ahead.next(&of("b/"), state(0), b"", 9), None);
        assert!(ahead.next(&of("a/"), state(0), b"", 9).is_some());
        assert_eq!(ahead.next(&of("a/"), state(1), b"", 9), None);
        assert_eq!(ahead.next(&of("a/"), state(0), b"", 9), None);
    }

    #[test]
    fn the_folder_that_was_not_asked_for_longest_goes_first() {
        let ahead = Ahead::default();
        for n in 0..FOLDERS_MAX {
            keep(&ahead, &n.to_string(), "", &["b"], true);
        }
        let is_kept = |place: &str| ahead.next(&of(place), state(0), b"", 9).is_some();
        assert!(is_kept("0"));
        keep(&ahead, "new", "", &["b"], true);
        assert!(is_kept("0") && is_kept("new") && !is_kept("1"));
    }
}
