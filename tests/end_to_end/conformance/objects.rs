//! Objects: their names, their bytes, and what is said of them.

use valetkey_tests::expect::{accepted, refused};
use valetkey_tests::http::{Request, chunked};

use super::{Place, bytes};
use crate::listing::elements;

/// Names that are easily taken for one another on the way.
const NAMES: [&str; 14] = [
    "a b",
    "a+b",
    "a%20b",
    "a%2Fb",
    "a%252Fb",
    "ü",
    "u\u{308}",
    "it's \"quoted\"",
    "&<tag>;",
    "#?=",
    "~/*!()",
    "日本/語",
    "UPPER",
    "upper",
];

pub(super) fn names_are_kept_apart_and_as_they_are(place: &Place) {
    let mut names: Vec<String> = NAMES.iter().map(|&name| name.to_owned()).collect();
    // As long as it may be, with the backend's prefix.
    let segment = "s".repeat(200);
    names.push(vec![segment; 5].join("/") + "/thirteenbytes");
    assert_eq!(names.last().unwrap().len() + "files/".len(), 1024);
    if place.kind.backslash {
        names.push("back\\slash".to_owned());
    }
    if place.kind.dot_at_end {
        names.push("dot./at.".to_owned());
    }
    if place.kind.long_segment {
        names.push("l".repeat(300));
    }
    // What is streamed goes by another request than what is gathered.
    for name in &names {
        place.put(name, &bytes(300 << 10));
        assert!(place.get(name).body == bytes(300 << 10), "{name}");
    }
    for name in &names {
        place.put(name, name.as_bytes());
    }
    for name in &names {
        let answer = place.get(name);
        accepted(&answer, 200);
        assert_eq!(answer.text(), *name);
    }
    let mut expected: Vec<_> = names.iter().map(|name| format!("files/{name}")).collect();
    expected.sort();
    let mut kept = place.kept();
    kept.retain(|name| name.starts_with("files/"));
    kept.sort();
    assert_eq!(kept, expected, "the store has them as they are");
    let mut listed: Vec<_> = crate::listing::list(&place.gateway, &[]).names;
    names.sort();
    assert_eq!(listed, names, "in the order of their bytes");
    listed.dedup();
    assert_eq!(listed.len(), names.len());
}

pub(super) fn names_that_cannot_be_held_are_refused(place: &Place) {
    let mut names = vec![vec!["s".repeat(200); 5].join("/") + "/fourteen-bytes"];
    if !place.kind.backslash {
        names.push("back\\slash".to_owned());
    }
    if !place.kind.dot_at_end {
        names.extend(["dot.".to_owned(), "dot./a".to_owned()]);
    }
    if place.kind.store.is_none() {
        // The limit of the disk is that of a segment; with its prefix a name may have more than 1024 bytes.
        names = vec!["l".repeat(300), ".valetkey-own".to_owned()];
    }
    let before = place.kept();
    for name in &names {
        refused(&place.send(name, b"x", &[]), 400, "bad_request");
        refused(&place.get(name), 400, "bad_request");
        refused(&place.ask("DELETE", name, &[]), 400, "bad_request");
    }
    assert_eq!(place.kept(), before);
    place.put("a/b", b"below");
    let beside = place.send("a", b"beside", &[]);
    if let Some((status, reason)) = place.kind.beside_folder {
        refused(&beside, status, reason);
        refused(&place.get("a"), 404, "not_found");
    } else {
        accepted(&beside, 200);
        assert_eq!(place.get("a").body, b"beside");
    }
    assert_eq!(place.get("a/b").body, b"below");
}

pub(super) fn bodies_of_every_length_come_back(place: &Place) {
    // Nothing, what is gathered, its edge, what is streamed, and what is more than one part.
    for length in [0, 1, 1000, 256 << 10, (256 << 10) + 1, 300 << 10, 6 << 20] {
        let body = bytes(length);
        place.put("declared", &body);
        let answer = place.get("declared");
        accepted(&answer, 200);
        assert_eq!(answer.header("content-length"), Some(length.to_string().as_str()));
        assert!(answer.body == body, "{length} bytes, declared");
        let head = place.ask("HEAD", "declared", &[]);
        assert_eq!(head.header("content-length"), Some(length.to_string().as_str()));

        let url = Place::key("chunked").url();
        let request = Request::put(url, chunked(&body, 100_000)).header("Transfer-Encoding", "chunked");
        let answer = place.gateway.send(&request);
        if length > 5 << 20 && !place.kind.parts {
            refused(&answer, 503, "backend_unavailable");
            continue;
        }
        accepted(&answer, 200);
        assert!(place.get("chunked").body == body, "{length} bytes, chunked");
    }
}

pub(super) fn what_is_said_of_an_object_comes_back(place: &Place) {
    let said = [
        ("content-type", "text/plain; charset=utf-8"),
        ("content-language", "de-AT"),
        ("x-amz-meta-album", "summer 2026"),
        ("x-amz-meta-place", "Łódź"),
        ("x-amz-meta-empty", ""),
        ("x-amz-meta-under_score", "a_x20b"),
        ("x-amz-meta-9", "%41 = A, or not"),
    ];
    let told = said.iter().copied().chain([("cache-control", "no-store")]).collect::<Vec<_>>();
    // What is gathered, what is streamed, and what goes in parts.
    for length in [10, 300 << 10, 6 << 20] {
        let url = Place::key("a").url();
        let is_chunked = length > 5 << 20 && place.kind.parts;
        let body = bytes(length);
        let request = match is_chunked {
            true => Request::put(url, chunked(&body, 100_000)).header("Transfer-Encoding", "chunked"),
            false => Request::put(url, body),
        };
        let request = told.iter().fold(request, |request, (name, value)| request.header(name, *value));
        accepted(&place.gateway.send(&request), 200);
        for method in ["GET", "HEAD"] {
            let answer = place.ask(method, "a", &[]);
            accepted(&answer, 200);
            for (name, value) in said {
                assert_eq!(answer.header(name), Some(value), "{name} of {length} bytes, {method}");
            }
            assert!(answer.header("cache-control").unwrap().contains("no-store"), "{:?}", answer.headers);
            let others = answer.headers.iter().filter(|(name, _)| name.contains("valetkey"));
            assert_eq!(others.count(), 0, "{:?}", answer.headers);
        }
    }
    // What is not said is not remembered of what stood there before.
    place.put("a", b"x");
    let answer = place.get("a");
    assert!(answer.headers.iter().all(|(name, _)| !name.starts_with("x-amz-meta-")), "{:?}", answer.headers);
    assert_eq!(answer.header("content-language"), None);
}

pub(super) fn an_entity_tag_is_the_same_everywhere(place: &Place) {
    let mut seen = Vec::new();
    for length in [0, 10, 300 << 10, 6 << 20] {
        let tag = place.put("a", &bytes(length));
        let bare = tag.trim_matches('"');
        let (digits, number) = bare.split_once('-').unwrap();
        assert!(digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()), "{tag}");
        assert!(number.bytes().all(|byte| byte.is_ascii_digit()), "{tag}");
        for method in ["GET", "HEAD"] {
            assert_eq!(
                place.ask(method, "a", &[]).header("etag"),
                Some(tag.as_str()),
                "{method} of {length}"
            );
        }
        let listing = place
            .gateway
            .get(format!("{}&list-type=2", valetkey_tests::key::Key::new("/files/", "list").url()));
        assert_eq!(elements(&listing.text(), "ETag"), [tag.as_str()]);
        assert_eq!(elements(&listing.text(), "Size"), [length.to_string()]);
        assert!(!seen.contains(&tag), "other bytes have another tag");
        seen.push(tag);
    }
}

pub(super) fn ranges_are_answered_to_the_byte(place: &Place) {
    let body = bytes(300 << 10);
    let last = body.len() - 1;
    let tag = place.put("a", &body);
    for (range, first, end) in [
        ("0-0".to_owned(), 0, 0),
        ("0-99999".to_owned(), 0, 99_999),
        ("262143-262145".to_owned(), 262_143, 262_145),
        (format!("{last}-"), last, last),
        ("-1".to_owned(), last, last),
        ("-1000".to_owned(), last - 999, last),
        ("1000-99999999".to_owned(), 1000, last),
        ("0-".to_owned(), 0, last),
    ] {
        let answer = place.ask("GET", "a", &[("Range", &format!("bytes={range}"))]);
        accepted(&answer, 206);
        assert!(answer.body == body[first..=end], "{range}");
        let told = format!("bytes {first}-{end}/{}", body.len());
        assert_eq!(answer.header("content-range"), Some(told.as_str()));
        assert_eq!(answer.header("etag"), Some(tag.as_str()));
    }
    for range in [format!("{}-", body.len()), "-0".to_owned(), "99999999-".to_owned()] {
        let answer = place.ask("GET", "a", &[("Range", &format!("bytes={range}"))]);
        assert_eq!(answer.status, 416, "{range}");
        assert_eq!(answer.header("content-range"), Some(format!("bytes */{}", body.len()).as_str()));
    }
    for range in ["bytes=0-1,5-6", "bytes=5-4", "lines=0-1"] {
        let answer = place.ask("GET", "a", &[("Range", range)]);
        accepted(&answer, 200);
        assert!(answer.body == body, "{range}");
    }
    let whole = place.ask("GET", "a", &[("Range", "bytes=0-1"), ("If-Range", "\"other\"")]);
    accepted(&whole, 200);
    accepted(&place.ask("GET", "a", &[("Range", "bytes=0-1"), ("If-Range", &tag)]), 206);
    place.put("empty", b"");
    assert_eq!(place.ask("GET", "empty", &[("Range", "bytes=0-0")]).status, 416);
}
