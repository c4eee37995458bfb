//! Listings against a model: sort all names, take them together, cut.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::atomic::AtomicBool;

use super::super::{Listed, ListedEntry, Query};
use super::Store;

fn text(entry: &ListedEntry) -> &str {
    match entry {
        ListedEntry::Object { name, .. } => name,
        ListedEntry::Prefix(prefix) => prefix,
    }
}

impl Store {
    fn list(&self, prefix: &str, delimiter: &str, after: &str, entries_max: usize) -> Listed {
        let query = Query {
            prefix: prefix.to_owned(),
            delimiter: delimiter.to_owned(),
            after: after.to_owned(),
            entries_max,
        };
        self.folder.list(&query, &AtomicBool::new(false)).unwrap()
    }

    /// The texts of a page, and whether there is more.
    pub(super) fn page(
        &self,
        prefix: &str,
        delimiter: &str,
        after: &str,
        entries_max: usize,
    ) -> (Vec<String>, bool) {
        let listed = self.list(prefix, delimiter, after, entries_max);
        (listed.entries.iter().map(|entry| text(entry).to_owned()).collect(), listed.truncated)
    }
}

/// What a page must hold of all the `names`.
fn expected(
    names: &BTreeSet<String>,
    (prefix, delimiter, after): (&str, &str, &str),
    entries_max: usize,
) -> (Vec<String>, bool) {
    let groups: BTreeSet<&str> = names
        .iter()
        .filter_map(|name| {
            let rest = name.strip_prefix(prefix)?;
            let end = if delimiter.is_empty() { None } else { rest.find(delimiter) };
            Some(end.map_or(name.as_str(), |end| &name[..prefix.len() + end + delimiter.len()]))
        })
        .filter(|entry| *entry > after)
        .collect();
    let page = groups.iter().take(entries_max).map(ToString::to_string).collect();
    (page, entries_max > 0 && groups.len() > entries_max)
}

/// Numbers that look random and are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

#[test]
fn pages_are_those_of_the_model() {
    const SEGMENTS: [&str; 9] = ["a", "a-", "a.b", "ab", "b", "-", "é", "a!", "0"];
    let store = Store::new();
    let mut numbers = Numbers(7);
    let mut names = BTreeSet::new();
    for n in 0..400 {
        let depth = 1 + numbers.below(if n % 20 == 0 { 14 } else { 4 });
        let segments: Vec<_> = (0..depth).map(|_| numbers.pick(&SEGMENTS)).collect();
        let name = segments.join("/");
        let path = store.path(&name);
        if n % 10 == 0 {
            // Folders that hold nothing; some get objects later.
            let made = fs::create_dir_all(&path);
            if n % 20 == 10 && made.is_ok() && fs::write(path.join(".valetkey-folder"), "").is_ok() {
                names.insert(name + "/");
            }
        } else if fs::create_dir_all(path.parent().unwrap()).is_ok() && fs::write(path, "x").is_ok() {
            names.insert(name);
        }
    }
    assert!(names.len() > 100, "{}", names.len());
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    for _ in 0..3000 {
        let name = numbers.pick(&all);
        let cut = |text: &str, at: usize| text.chars().take(at).collect::<String>();
        let prefix = cut(name, numbers.below(7));
        let delimiter = numbers.pick(&["", "/", "-", "a", "a/", "/a", ".b/", "b", "é", "zz"]);
        let other = numbers.pick(&all);
        let after = match numbers.below(4) {
            0 => String::new(),
            1 => other.to_owned(),
            2 => cut(other, numbers.below(9)),
            _ => cut(name, numbers.below(9)) + numbers.pick(&["", "/", "!", "~", "é"]),
        };
        let entries_max = [0, 1, 2, 7, 1000][numbers.below(5)];
        assert_eq!(
            store.page(&prefix, delimiter, &after, entries_max),
            expected(&names, (&prefix, delimiter, &after), entries_max),
            "prefix {prefix:?} delimiter {delimiter:?} after {after:?} {entries_max}"
        );
    }
}

/// Deeper than the folders that keep all their next names in memory.
#[test]
fn wide_folders_within_each_other_are_listed_whole() {
    let store = Store::new();
    let mut names = BTreeSet::new();
    let mut path = String::new();
    for _ in 0..20 {
        for n in 0..40 {
            let name = format!("{path}x{n:02}");
            store.plant(&name, "");
            names.insert(name);
        }
        path.push_str("d/");
    }
    let mut found: Vec<String> = Vec::new();
    loop {
        let after = found.last().cloned().unwrap_or_default();
        let (page, more) = store.page("", "", &after, 300);
        found.extend(page);
        if !more {
            break;
        }
    }
    assert_eq!(found, names.into_iter().collect::<Vec<_>>());
}

#[test]
fn no_prefix_leads_out_of_the_folder_or_around_its_names() {
    let store = Store::new();
    store.plant("a/b", "x");
    fs::write(store.outside("secret"), "x").unwrap();
    fs::write(store.dir.path().join("root/tenants/neighbour"), "x").unwrap();
    symlink(store.dir.path().join("outside"), store.path("link")).unwrap();
    symlink("a", store.path("alias")).unwrap();
    for prefix in
        ["../", "..", "a/../", "a/./", "./", "/", "//", "a//", "/a/", "link/", "alias/", "a/b/", "a\0/"]
    {
        for delimiter in ["", "/", "."] {
            assert_eq!(store.page(prefix, delimiter, "", 1000), (Vec::new(), false), "{prefix:?}");
        }
    }
    assert_eq!(store.page("", "", "", 1000).0, ["a/b"]);
    assert_eq!(store.page("", "/", "", 1000).0, ["a/"]);
}

#[test]
fn names_end_at_1024_bytes_in_listings_too() {
    let store = Store::new();
    let folder = vec!["d".repeat(204); 4].join("/") + "/" + &"e".repeat(199) + "/";
    assert_eq!(folder.len(), 1020);
    store.plant(&format!("{folder}1234"), "x");
    store.plant(&format!("{folder}12345"), "x");
    store.plant(&format!("{folder}123/4"), "x");
    assert_eq!(store.page("", "", "", 1000).0, [format!("{folder}1234")]);
    assert_eq!(store.page(&folder, "/", "", 1000).0, [format!("{folder}1234")]);
}

/// Root may read everything, so this tells something only to others.
#[test]
fn what_may_not_be_read_is_left_out() {
    let store = Store::new();
    store.plant("a", "x");
    store.plant("closed/b", "x");
    store.plant("secret", "x");
    for name in ["closed", "secret"] {
        fs::set_permissions(store.path(name), fs::Permissions::from_mode(0o000)).unwrap();
    }
    let (names, _) = store.page("", "", "", 1000);
    let expected: &[&str] =
        if rustix::process::geteuid().is_root() { &["a", "closed/b", "secret"] } else { &["a"] };
    assert_eq!(names, expected);
    fs::set_permissions(store.path("closed"), fs::Permissions::from_mode(0o700)).unwrap();
}
