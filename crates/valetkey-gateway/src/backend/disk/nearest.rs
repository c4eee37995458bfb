//! The first names of many, in order, in little memory.

/// What was found in a folder: its text below the folder, a folder's with its slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) text: String,
    pub(super) kind: Kind,
}

/// What a text stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Folder,
    /// What several names begin with, found by an object, or else by this folder.
    Prefix {
        folder: Option<String>,
    },
}

/// Takes names in any order and keeps the first `most` of them.
///
/// Twice as many are in memory at most, so that sorting them is rare.
#[derive(Debug)]
pub(super) struct Nearest {
    most: usize,
    kept: Vec<Found>,
    /// The last name that is kept, once names were dropped.
    last: Option<String>,
}

impl Nearest {
    pub(super) fn new(most: usize) -> Self {
        Self { most, kept: Vec::new(), last: None }
    }

    /// Takes a name, which may come more than once.
    pub(super) fn take(&mut self, text: &str, kind: Kind) {
        if self.last.as_deref().is_some_and(|last| text > last) {
            return;
        }
        self.kept.push(Found { text: text.to_owned(), kind });
        if self.kept.len() >= 2 * self.most {
            self.sort();
        }
    }

    /// The names that were kept, in order, and whether these are all.
    pub(super) fn sorted(mut self) -> (Vec<Found>, bool) {
        self.sort();
        (self.kept, self.last.is_none())
    }

    fn sort(&mut self) {
        self.kept.sort_unstable_by(|a, b| a.text.cmp(&b.text));
        self.kept.dedup_by(|later, kept| {
            let same = later.text == kept.text;
            // One object is enough for a prefix to be there.
            if same && let Kind::Prefix { folder: None } = later.kind {
                kept.kind = Kind::Prefix { folder: None };
            }
            same
        });
        if self.kept.len() > self.most {
            self.kept.truncate(self.most);
            self.last = self.kept.last().map(|found| found.text.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nearest(most: usize, texts: &[&str]) -> (Vec<String>, bool) {
        let mut nearest = Nearest::new(most);
        for text in texts {
            nearest.take(text, Kind::Object);
            assert!(nearest.kept.len() < 2 * most);
        }
        let (kept, whole) = nearest.sorted();
        (kept.into_iter().map(|found| found.text).collect(), whole)
    }

    #[test]
    fn the_first_names_are_kept_in_order() {
        let names = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(nearest(2, &[]), (vec![], true));
        assert_eq!(nearest(2, &["b", "a"]), (names(&["a", "b"]), true));
        assert_eq!(nearest(2, &["c", "b", "a"]), (names(&["a", "b"]), false));
        assert_eq!(nearest(2, &["a", "b", "c", "d", "e", "f", "0"]), (names(&["0", "a"]), false));
        assert_eq!(nearest(2, &["b", "a", "b", "a", "a", "b"]), (names(&["a", "b"]), true));
    }

    #[test]
    fn an_object_makes_a_prefix_sure() {
        let by_folder = || Kind::Prefix { folder: Some("a-b".to_owned()) };
        for order in [[Some(()), None], [None, Some(())]] {
            let mut nearest = Nearest::new(5);
            for folder in order {
                let kind = if folder.is_some() { by_folder() } else { Kind::Prefix { folder: None } };
                nearest.take("a-", kind);
            }
            let (kept, _) = nearest.sorted();
            assert_eq!(kept, [Found { text: "a-".to_owned(), kind: Kind::Prefix { folder: None } }]);
        }
    }
}
