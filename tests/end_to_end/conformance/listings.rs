//! Listings: what is there, in the order of the names' bytes, a page at a time.

use valetkey_tests::expect::accepted;

use super::Place;
use crate::listing::{list, list_all};

const NAMES: [&str; 9] =
    ["a-b", "a.txt", "a/b", "a/c/d", "a0", "photos/2025/x.jpg", "photos/2026/y.jpg", "photos/z", "zü"];

/// What a listing is asked with.
type Parameters<'a> = &'a [(&'a str, &'a str)];

pub(super) fn listings_tell_what_is_there(place: &Place) {
    let entries = |parameters: &[(&str, &str)]| list(&place.gateway, parameters).entries();
    let none: [&str; 0] = [];
    assert_eq!(entries(&[]), none);
    assert_eq!(entries(&[("prefix", "a"), ("delimiter", "/")]), none);
    for name in NAMES {
        place.put(name, b"x");
    }
    assert_eq!(list(&place.gateway, &[]).names, NAMES);
    assert_eq!(entries(&[("prefix", "a/")]), ["a/b", "a/c/d"]);
    assert_eq!(entries(&[("delimiter", "/")]), ["a-b", "a.txt", "a/", "a0", "photos/", "zü"]);
    assert_eq!(entries(&[("prefix", "a/"), ("delimiter", "/")]), ["a/b", "a/c/"]);
    assert_eq!(
        entries(&[("prefix", "photos/"), ("delimiter", "/")]),
        ["photos/2025/", "photos/2026/", "photos/z"]
    );
    assert_eq!(entries(&[("prefix", "none/")]), none);
    assert_eq!(
        entries(&[("delimiter", ".")]),
        ["a-b", "a.", "a/b", "a/c/d", "a0", "photos/2025/x.", "photos/2026/y.", "photos/z", "zü"]
    );
    assert_eq!(
        entries(&[("start-after", "a/b")]),
        ["a/c/d", "a0", "photos/2025/x.jpg", "photos/2026/y.jpg", "photos/z", "zü"]
    );
    assert_eq!(entries(&[("start-after", "a/b"), ("delimiter", "/")]), ["a0", "photos/", "zü"]);
    assert_eq!(entries(&[("start-after", "zz")]), ["zü"]);
    assert_eq!(entries(&[("start-after", "zü")]), none);
    assert_eq!(entries(&[("max-keys", "0")]), none);
}

pub(super) fn pages_follow_each_other(place: &Place) {
    for name in NAMES {
        place.put(name, b"x");
    }
    check_pages(place, &[], &NAMES);
    check_pages(place, &[("delimiter", "/")], &["a-b", "a.txt", "a/", "a0", "photos/", "zü"]);
    let photos = ["photos/2025/x.jpg", "photos/2026/y.jpg", "photos/z"];
    check_pages(place, &[("prefix", "photos/")], &photos);
    let folders = ["photos/2025/", "photos/2026/", "photos/z"];
    check_pages(place, &[("prefix", "photos/"), ("delimiter", "/")], &folders);
    let twos = ["a-b", "a.txt", "a/b", "a/c/d", "a0", "photos/2", "photos/z", "zü"];
    check_pages(place, &[("delimiter", "2")], &twos);
}

/// Folders, and names that go on from theirs with what sorts before `/`.
pub(super) fn pages_follow_each_other_past_folders(place: &Place) {
    let mut names = vec!["a!/x", "a-/x", "a-b.c", "a-b/c", "a.txt", "a/b-c/d", "a/b.txt", "a/b/c", "a/b0"];
    if place.kind.beside_folder.is_none() {
        names.extend(["a", "a-", "a-b", "a/b"]);
    }
    names.sort_unstable();
    for name in &names {
        place.put(name, b"x");
    }
    check_pages(place, &[], &names);
    let below =
        |prefix: &str| names.iter().copied().filter(|name| name.starts_with(prefix)).collect::<Vec<_>>();
    for prefix in ["a-", "a-b", "a/", "a/b", "a/b/"] {
        check_pages(place, &[("prefix", prefix)], &below(prefix));
    }
    for (at, after) in names.iter().enumerate() {
        assert_eq!(list(&place.gateway, &[("start-after", after)]).names, names[at + 1..], "{after}");
    }
    for delimiter in ["/", "-", ".", "b", "/b"] {
        let together = |name: &&'static str| {
            let end = name.find(delimiter).map_or(name.len(), |at| at + delimiter.len());
            &name[..end]
        };
        let mut entries: Vec<_> = names.iter().map(together).collect();
        entries.sort_unstable();
        entries.dedup();
        check_pages(place, &[("delimiter", delimiter)], &entries);
    }
}

/// More names than a page beside a folder, on both sides of its own name.
pub(super) fn pages_miss_no_sibling_of_a_folder(place: &Place) {
    let mut names: Vec<String> = (0..20).map(|number| format!("a--{number:02}")).collect();
    names.extend((1..8).map(|number| format!("a-{number}")));
    names.extend(["a-b".to_owned(), "a-b-x/y".to_owned()]);
    names.extend((0..50).map(|number| format!("a-b-x.{number:02}")));
    names.sort_unstable();
    for name in &names {
        place.put(name, b"x");
    }
    for size in ["7", "20", "78"] {
        let pages = list_all(&place.gateway, &[("max-keys", size)]);
        assert_eq!(pages.concat(), names, "{size}");
    }
}

pub(super) fn a_folder_without_objects_is_not_listed(place: &Place) {
    for name in ["a/b/c", "a/d", "e/f"] {
        place.put(name, b"x");
    }
    for name in ["a/b/c", "e/f"] {
        accepted(&place.ask("DELETE", name, &[]), 204);
    }
    assert_eq!(list(&place.gateway, &[("delimiter", "/")]).entries(), ["a/"]);
    assert_eq!(list(&place.gateway, &[("prefix", "a/"), ("delimiter", "/")]).entries(), ["a/d"]);
    check_pages(place, &[], &["a/d"]);
}

/// That pages of few entries, each going on after the last, hold all of them.
fn check_pages(place: &Place, parameters: Parameters<'_>, expected: &[&str]) {
    for size in ["1", "2", "3", "4"] {
        let parameters = [parameters, &[("max-keys", size)][..]].concat();
        let pages = list_all(&place.gateway, &parameters);
        let size: usize = size.parse().unwrap();
        assert!(pages.iter().rev().skip(1).all(|page| page.len() == size), "{parameters:?}: {pages:?}");
        assert_eq!(pages.concat(), expected, "{parameters:?}");
    }
}
