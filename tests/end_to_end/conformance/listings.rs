//! Listings: what is there, in the order of the names' bytes, a page at a time.

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
    let is_fit = |name: &&str| place.kind.by_bytes || !["a-b", "a.txt"].contains(name);
    let names: Vec<_> = NAMES.into_iter().filter(is_fit).collect();
    for name in &names {
        place.put(name, b"x");
    }
    let all: &[(Parameters<'_>, &[&str])] = &[
        (&[], &NAMES),
        (&[("delimiter", "/")], &["a-b", "a.txt", "a/", "a0", "photos/", "zü"]),
        (&[("prefix", "photos/")], &["photos/2025/x.jpg", "photos/2026/y.jpg", "photos/z"]),
        (&[("prefix", "photos/"), ("delimiter", "/")], &["photos/2025/", "photos/2026/", "photos/z"]),
        (&[("delimiter", "2")], &["a-b", "a.txt", "a/b", "a/c/d", "a0", "photos/2", "photos/z", "zü"]),
    ];
    for (parameters, expected) in all {
        for size in ["1", "2", "4"] {
            let parameters = [parameters, &[("max-keys", size)][..]].concat();
            let pages = list_all(&place.gateway, &parameters);
            let size: usize = size.parse().unwrap();
            assert!(pages.iter().rev().skip(1).all(|page| page.len() == size), "{parameters:?}: {pages:?}");
            let expected: Vec<_> = expected.iter().copied().filter(is_fit).collect();
            assert_eq!(pages.concat(), expected, "{parameters:?}");
        }
    }
}
