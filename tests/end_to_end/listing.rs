//! Listings: what is there, in order, a page at a time, and nothing outside of the key's scope.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use valetkey_tests::audit::record_of;
use valetkey_tests::expect::{accepted, refused, refused_in_words};
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::{Answer, Request};
use valetkey_tests::key::{Key, encode};
use valetkey_tests::process::memory_bytes;

/// A page as a client reads it.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) names: Vec<String>,
    prefixes: Vec<String>,
    pub(super) next: Option<String>,
}

impl Page {
    pub(super) fn of(answer: &Answer) -> Self {
        accepted(answer, 200);
        assert_eq!(answer.header("content-type"), Some("application/xml"));
        let text = answer.text();
        let names = elements(&text, "Key");
        let prefixes: Vec<_> =
            elements(&text, "CommonPrefixes").iter().flat_map(|inner| elements(inner, "Prefix")).collect();
        assert_eq!(element(&text, "KeyCount"), (names.len() + prefixes.len()).to_string());
        let next = elements(&text, "NextContinuationToken").pop();
        assert_eq!(element(&text, "IsTruncated"), next.is_some().to_string());
        Self { names, prefixes, next }
    }

    pub(super) fn entries(&self) -> Vec<String> {
        let mut entries = [self.names.clone(), self.prefixes.clone()].concat();
        entries.sort();
        entries
    }
}

/// The content of each element of this name, unescaped once it holds no element.
pub(super) fn elements(text: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let contents = text.split(&open).skip(1).map(|rest| rest.split(&close).next().unwrap().to_owned());
    contents.map(|inner| if inner.contains('<') { inner } else { unescape(&inner) }).collect()
}

fn element(text: &str, name: &str) -> String {
    let found = elements(text, name);
    assert!(!found.is_empty(), "{name} in {text}");
    found[0].clone()
}

fn unescape(text: &str) -> String {
    let escapes = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    escapes.iter().fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

/// A key that lists the whole bucket.
fn lister() -> Key {
    Key::new("/files/", "list")
}

fn ask(gateway: &Gateway, key: &Key, parameters: &[(&str, &str)]) -> Answer {
    let query: String =
        parameters.iter().map(|(name, value)| format!("&{name}={}", encode(value, ""))).collect();
    gateway.get(format!("{}{query}", key.url()))
}

pub(super) fn list(gateway: &Gateway, parameters: &[(&str, &str)]) -> Page {
    Page::of(&ask(gateway, &lister(), parameters))
}

/// All entries, page after page, as each page had them.
pub(super) fn list_all(gateway: &Gateway, parameters: &[(&str, &str)]) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut token: Option<String> = None;
    loop {
        let mut parameters = parameters.to_vec();
        if let Some(token) = &token {
            parameters.push(("continuation-token", token));
        }
        let page = list(gateway, &parameters);
        pages.push(page.entries());
        token = page.next;
        if token.is_none() {
            return pages;
        }
    }
}

fn sorted(names: impl IntoIterator<Item = impl Into<String>>) -> Vec<String> {
    let mut names: Vec<String> = names.into_iter().map(Into::into).collect();
    names.sort();
    names
}

/// An object stands in a listing as it is served.
#[test]
fn entries_say_what_a_head_says() {
    let gateway = Gateway::new();
    let key = Key::new("/files/u/a.txt", "create,read");
    accepted(&gateway.send(&Request::put(key.url(), "hello")), 200);
    gateway.plant("/files/u/planted", "12");
    let answer = ask(&gateway, &lister(), &[("list-type", "2"), ("prefix", "u/"), ("fetch-owner", "true")]);
    let text = answer.text();
    assert!(text.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>"), "{text}");
    assert!(text.contains("<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"), "{text}");
    assert_eq!(element(&text, "Name"), "files");
    assert_eq!(element(&text, "Prefix"), "u/");
    assert_eq!(element(&text, "MaxKeys"), "1000");
    assert_eq!(elements(&text, "Key"), ["u/a.txt", "u/planted"]);
    assert_eq!(elements(&text, "Size"), ["5", "2"]);
    assert_eq!(elements(&text, "StorageClass"), ["STANDARD", "STANDARD"]);
    for (at, object) in ["/files/u/a.txt", "/files/u/planted"].iter().enumerate() {
        let head = gateway.send(&Request::head(Key::new(object, "stat").url()));
        assert_eq!(head.header("etag"), Some(elements(&text, "ETag")[at].as_str()), "{object}");
        let modified = &elements(&text, "LastModified")[at];
        assert_eq!((modified.len(), &modified[10..11], &modified[23..]), (24, "T", "Z"), "{modified}");
        let head_time = head.header("last-modified").unwrap();
        assert!(head_time.contains(&modified[11..19]), "{head_time} {modified}");
    }
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

/// UTF-8 bytes decide, and a folder sorts as its name with the slash.
#[test]
fn order_is_that_of_bytes() {
    let gateway = Gateway::new();
    let names = ["A", "a", "a!", "a-b/c", "a.txt", "a/b", "a/b.c", "a/c/d", "a0", "b", "é", "\u{ffee}", "😀"];
    for name in names.iter().rev().filter(|name| **name != "a") {
        gateway.plant(&format!("/files/{name}"), "x");
    }
    let expected = sorted(names.iter().copied().filter(|name| *name != "a"));
    assert_eq!(list(&gateway, &[]).names, expected);
    for size in ["1", "2", "3"] {
        assert_eq!(list_all(&gateway, &[("max-keys", size)]).concat(), expected, "{size}");
    }
    let page = list(&gateway, &[("delimiter", "/")]);
    assert_eq!(page.prefixes, ["a-b/", "a/"]);
    assert_eq!(page.names, sorted(["A", "a!", "a.txt", "a0", "b", "é", "\u{ffee}", "😀"]));
}

/// The bucket's name with and without its slash is one resource; a folder's URL lists below the folder.
#[test]
fn bucket_and_folder_are_listed_by_their_urls() {
    let gateway = Gateway::new();
    for object in ["/files/a", "/files/f/b", "/files/f/g/c", "/files/fx", "/other/d"] {
        gateway.plant(object, "x");
    }
    let at = |target: &str, key: &Key, more: &str| gateway.get(format!("{target}?{}{more}", key.query()));
    let all = ["a", "f/b", "f/g/c", "fx"];
    assert_eq!(Page::of(&at("/files", &lister(), "")).names, all);
    assert_eq!(Page::of(&at("/files/", &lister(), "&list-type=2&prefix=")).names, all);
    let wide = lister().set("path", "/files/");
    assert_eq!(Page::of(&at("/files/f/", &wide, "")).names, ["f/b", "f/g/c"]);
    assert_eq!(Page::of(&at("/files/f/", &wide, "&prefix=")).names, ["f/b", "f/g/c"]);
    assert_eq!(Page::of(&at("/files/f/", &wide, "&prefix=f/g")).names, ["f/g/c"]);
    assert_eq!(Page::of(&at("/files/f/", &wide, "&delimiter=/")).prefixes, ["f/g/"]);
    for outside in ["f", "g", "a", "fx", "/f/", "F/"] {
        refused_in_words(&at("/files/f/", &wide, &format!("&prefix={outside}")), 403, "out_of_scope");
    }
    let folder = Key::new("/files/f/", "list");
    assert_eq!(Page::of(&gateway.get(folder.url())).names, ["f/b", "f/g/c"]);
    // What is not there holds nothing.
    assert_eq!(Page::of(&at("/files/none/", &wide, "")).names, [""; 0]);
    assert_eq!(Page::of(&at("/files/a/", &wide, "")).names, [""; 0]);
    let target = Key::new("/files/f", "list").url();
    refused(&gateway.get(target), 403, "not_allowed");
}

/// HEAD asks whether there could be a listing.
#[test]
fn head_answers_without_a_body() {
    let gateway = Gateway::new();
    gateway.plant("/files/f/a", "x");
    for target in ["/files/", "/files/f/"] {
        let answer = gateway.send(&Request::head(Key::new(target, "list").url()));
        accepted(&answer, 200);
        assert!(answer.body.is_empty());
        refused(&gateway.send(&Request::head(Key::new(target, "read,stat").url())), 403, "not_allowed");
        refused(&gateway.get(Key::new(target, "create,delete,read,stat,write").url()), 403, "not_allowed");
    }
    let outside = lister().set("path", "/files/f/");
    refused(&gateway.send(&Request::head(outside.url())), 403, "out_of_scope");
}

/// A bucket that the configuration does not have.
#[test]
fn bucket_that_is_not_there_is_not_found() {
    let gateway =
        Gateway::builder().signer("wide", "d2lkZS1zZWNyZXQtd2lkZS1zZWNyZXQ=", "allow = [\"list\"]").start();
    let key = Key::new("/absent/", "list").signed_by("wide", "d2lkZS1zZWNyZXQtd2lkZS1zZWNyZXQ=");
    refused_in_words(&gateway.get(key.url()), 404, "not_found");
    refused(&gateway.send(&Request::head(key.url())), 404, "not_found");
}

/// A045: what is asked lies in the key's scope by whole segments.
#[test]
fn scope_bounds_what_is_listed() {
    let gateway = Gateway::new();
    for object in
        ["/files/u42/a", "/files/u42/photos/b", "/files/u420/c", "/files/u4", "/files/z", "/other/d"]
    {
        gateway.plant(object, "x");
    }
    let scoped = lister().set("path", "/files/u42/");
    for (prefix, names) in [
        ("u42/", &["u42/a", "u42/photos/b"][..]),
        ("u42/ph", &["u42/photos/b"]),
        ("u42/photos/", &["u42/photos/b"]),
        ("u42/none", &[]),
        ("u42/../", &[]),
        ("u42/../z", &[]),
        ("u42/./", &[]),
        ("u42//", &[]),
        ("u42/photos/../../", &[]),
        ("u42/\u{1}", &[]),
    ] {
        let answer = ask(&gateway, &scoped, &[("prefix", prefix)]);
        assert_eq!(Page::of(&answer).names, names, "{prefix}");
    }
    let outside =
        ["", "u", "u4", "u42", "u420/", "z", "/u42/", "U42/", "u42%2F", "../other/", "/", "u42\\", "u420"];
    for prefix in outside {
        for delimiter in ["", "/", "u", "2"] {
            let answer = ask(&gateway, &scoped, &[("prefix", prefix), ("delimiter", delimiter)]);
            refused_in_words(&answer, 403, "out_of_scope");
            assert!(
                !answer.text().contains("u420") && !answer.text().contains("photos"),
                "{}",
                answer.text()
            );
        }
    }
    refused_in_words(&gateway.get(scoped.url()), 403, "out_of_scope");
    refused_in_words(&gateway.get(format!("/other/?{}", scoped.query())), 403, "out_of_scope");
    // Nothing that chooses where a page begins leads out of the prefix.
    for after in ["", "a", "u41", "u42/photos/b", "u42/zzz", "u420/", "z", "../"] {
        let page = Page::of(&ask(&gateway, &scoped, &[("prefix", "u42/"), ("start-after", after)]));
        assert!(page.names.iter().all(|name| name.starts_with("u42/")), "{after}: {page:?}");
    }
    // A delimiter that ends outside of the scope's text shows no more than the scope.
    let page = Page::of(&ask(&gateway, &scoped, &[("prefix", "u42/"), ("delimiter", "u42")]));
    assert_eq!(page.entries(), ["u42/a", "u42/photos/b"]);
    // One object's key lists nothing: other names begin as the object's does.
    let one = lister().set("path", "/files/u42");
    for prefix in ["u42", "u42/", ""] {
        refused_in_words(&ask(&gateway, &one, &[("prefix", prefix)]), 403, "out_of_scope");
    }
    let narrowed = lister().narrow(&[("path", "/files/u42/")]);
    assert_eq!(Page::of(&ask(&gateway, &narrowed, &[("prefix", "u42/a")])).names, ["u42/a"]);
    refused_in_words(&gateway.get(narrowed.url()), 403, "out_of_scope");
}

/// A045: a token is one that this listing gave, or it is refused.
#[test]
fn forged_tokens_are_refused() {
    let gateway = Gateway::new();
    for object in
        ["/files/a/1", "/files/a/2", "/files/a/3", "/files/b/1", "/files/b/2", "/other/a/1", "/other/a/2"]
    {
        gateway.plant(object, "x");
    }
    let page = |bucket: &str, prefix: &str| {
        let key = Key::new(&format!("/{bucket}/"), "list");
        Page::of(&ask(&gateway, &key, &[("prefix", prefix), ("max-keys", "1")]))
    };
    let token = page("files", "a/").next.unwrap();
    let scoped = lister().set("path", "/files/a/");
    let with = |token: &str| ask(&gateway, &scoped, &[("prefix", "a/"), ("continuation-token", token)]);
    assert_eq!(Page::of(&with(&token)).names, ["a/2", "a/3"]);
    let foreign = [
        page("files", "b/").next.unwrap(),
        page("files", "").next.unwrap(),
        page("files", "a").next.unwrap(),
        page("other", "a/").next.unwrap(),
    ];
    for forged in foreign {
        refused_in_words(&with(&forged), 400, "bad_request");
    }
    let plain =
        ["", "a", "a/1", "YS8x", "Yi8x", "../", "AAAA", "%00", "0", &token[1..], &format!("{token}A")];
    for forged in plain {
        refused_in_words(&with(forged), 400, "bad_request");
    }
    for at in [0, token.len() / 2, token.len() - 1] {
        let mut forged = token.clone().into_bytes();
        forged[at] = if forged[at] == b'x' { b'y' } else { b'x' };
        refused_in_words(&with(std::str::from_utf8(&forged).unwrap()), 400, "bad_request");
    }
    // It outlives what it was the end of, and counts more than where to start.
    std::fs::remove_file(gateway.file_of("/files/a/1")).unwrap();
    let both = [("prefix", "a/"), ("continuation-token", token.as_str()), ("start-after", "a/9")];
    assert_eq!(Page::of(&ask(&gateway, &scoped, &both)).names, ["a/2", "a/3"]);
}

#[test]
fn parameters_without_meaning_are_refused() {
    let gateway = Gateway::new();
    for n in 0..3 {
        gateway.plant(&format!("/files/{n}"), "x");
    }
    for (name, value) in [
        ("max-keys", "-1"),
        ("max-keys", ""),
        ("max-keys", "ten"),
        ("max-keys", "1.5"),
        ("max-keys", "+1"),
        ("encoding-type", "base64"),
        ("list-type", "1"),
    ] {
        refused_in_words(&ask(&gateway, &lister(), &[(name, value)]), 400, "bad_request");
    }
    for query in ["&prefix=a&prefix=a", "&max-keys=1&max-keys=1", "&prefix=%ff", "&delimiter=%zz"] {
        refused_in_words(&gateway.get(lister().url() + query), 400, "bad_request");
    }
    for (max_keys, told, count) in [("1", "1", 1), ("3", "3", 3), ("1000", "1000", 3), ("1001", "1000", 3)] {
        let answer = ask(&gateway, &lister(), &[("max-keys", max_keys)]);
        assert_eq!(
            (element(&answer.text(), "MaxKeys").as_str(), Page::of(&answer).names.len()),
            (told, count)
        );
    }
    let none = list(&gateway, &[("max-keys", "0")]);
    assert_eq!((none.entries(), none.next), (Vec::new(), None));
}

/// Every page is full but the last, and all of them together tell each entry once, in order.
#[test]
fn pages_of_2500_objects_add_up() {
    let gateway = Gateway::new();
    let mut names = Vec::new();
    for n in 0..2500 {
        let name = match n % 5 {
            0 => format!("d{:02}/s{}/{n}", n % 47, n % 3),
            1 => format!("flat-{n}"),
            _ => format!("one/{n:04}.bin"),
        };
        gateway.plant(&format!("/files/{name}"), "");
        names.push(name);
    }
    names.sort();
    let lengths = |pages: &[Vec<String>]| pages.iter().map(Vec::len).collect::<Vec<_>>();
    let pages = list_all(&gateway, &[]);
    assert_eq!(lengths(&pages), [1000, 1000, 500]);
    assert_eq!(pages.concat(), names);
    let pages = list_all(&gateway, &[("max-keys", "7")]);
    assert_eq!((pages.len(), pages.concat()), (358, names.clone()));
    // Just as many as there are: nothing follows.
    assert_eq!(lengths(&list_all(&gateway, &[("max-keys", "500"), ("prefix", "flat-")])), [500]);
    for (prefix, delimiter) in [
        ("", "/"),
        ("", "-"),
        ("", "0/"),
        ("one/", "/"),
        ("one/", "."),
        ("d", "s"),
        ("", "1"),
        ("", "in"),
        ("", "é"),
    ] {
        let expected: BTreeSet<String> = names
            .iter()
            .filter_map(|name| {
                let rest = name.strip_prefix(prefix)?;
                let end = rest.find(delimiter).map_or(name.len(), |at| prefix.len() + at + delimiter.len());
                Some(name[..end].to_owned())
            })
            .collect();
        let expected: Vec<_> = expected.into_iter().collect();
        for size in ["1000", "3"] {
            let asked = [("prefix", prefix), ("delimiter", delimiter), ("max-keys", size)];
            assert_eq!(list_all(&gateway, &asked).concat(), expected, "{prefix:?} {delimiter:?} {size}");
        }
    }
}

/// A page begins after the text that is asked for, whether something stands there or not.
#[test]
fn start_after_is_a_text_and_not_an_object() {
    let gateway = Gateway::new();
    for name in ["a/1", "a/2", "b", "c/1", "c/2", "d"] {
        gateway.plant(&format!("/files/{name}"), "x");
    }
    for (after, names) in [
        ("", &["a/1", "a/2", "b", "c/1", "c/2", "d"][..]),
        ("a/1", &["a/2", "b", "c/1", "c/2", "d"]),
        ("a/11", &["a/2", "b", "c/1", "c/2", "d"]),
        ("a/2", &["b", "c/1", "c/2", "d"]),
        ("a0", &["b", "c/1", "c/2", "d"]),
        ("c", &["c/1", "c/2", "d"]),
        ("c/", &["c/1", "c/2", "d"]),
        ("c/9", &["d"]),
        ("d", &[]),
        ("é", &[]),
    ] {
        assert_eq!(list(&gateway, &[("start-after", after)]).names, names, "{after}");
    }
    for (after, entries) in [
        ("", &["a/", "b", "c/", "d"][..]),
        ("a", &["a/", "b", "c/", "d"]),
        ("a/", &["b", "c/", "d"]),
        ("a/1", &["b", "c/", "d"]),
        ("b", &["c/", "d"]),
        ("c/", &["d"]),
    ] {
        let page = list(&gateway, &[("start-after", after), ("delimiter", "/")]);
        assert_eq!(page.entries(), entries, "{after}");
    }
}

/// Names that XML and URLs escape come back as they are, and can be asked for.
#[test]
fn names_that_need_escapes_come_back() {
    let gateway = Gateway::new();
    let names =
        ["&amp;", "<Key>", "a \"b\" 'c'", "a+b", "a%20b", "a%2Fb", "]]>", "é/😀", "\\", "?#", "x\u{fffd}"];
    for name in names {
        let key = Key::new(&format!("/files/{name}"), "create");
        accepted(&gateway.send(&Request::put(key.url(), "x")), 200);
    }
    let expected = sorted(names);
    assert_eq!(list(&gateway, &[]).names, expected);
    assert_eq!(list_all(&gateway, &[("max-keys", "1")]).concat(), expected);
    let answer = ask(&gateway, &lister(), &[("encoding-type", "url")]);
    assert_eq!(element(&answer.text(), "EncodingType"), "url");
    assert_eq!(Page::of(&answer).names, expected.iter().map(|name| encode(name, "/")).collect::<Vec<_>>());
    assert!(!ask(&gateway, &lister(), &[]).text().contains("EncodingType"));
    // What XML cannot carry at all is encoded without being asked for, and said to be.
    gateway.plant("/files/\u{ffff}", "x");
    let answer = ask(&gateway, &lister(), &[]);
    assert_eq!(element(&answer.text(), "EncodingType"), "url");
    assert!(elements(&answer.text(), "Key").contains(&"%EF%BF%BF".to_owned()), "{}", answer.text());
}

/// Only what could be served is listed: no link, no device, no name of ours, no name that is none.
#[test]
fn what_is_no_object_is_not_listed() {
    let gateway = Gateway::new();
    gateway.plant("/files/f/a", "x");
    gateway.plant("/other/secret", "x");
    let root = gateway.file_of("/files");
    symlink(gateway.file_of("/other"), root.join("link")).unwrap();
    symlink(gateway.file_of("/other"), root.join("f/link")).unwrap();
    symlink(gateway.file_of("/files/f/a"), root.join("f/alias")).unwrap();
    let mode = rustix::fs::Mode::RUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, root.join("f/pipe"), mode).unwrap();
    std::fs::create_dir_all(root.join("empty/in/side")).unwrap();
    std::fs::create_dir_all(root.join(".valetkey-x")).unwrap();
    std::fs::write(root.join(".valetkey-x/a"), "x").unwrap();
    std::fs::write(root.join("f/.valetkey-y"), "x").unwrap();
    std::fs::write(root.join(std::ffi::OsStr::from_bytes(b"f/\xff")), "x").unwrap();
    std::fs::write(root.join("f/new\nline"), "x").unwrap();
    for _ in 0..2 {
        assert_eq!(list(&gateway, &[]).entries(), ["f/a"]);
        assert_eq!(list(&gateway, &[("delimiter", "/")]).entries(), ["f/"]);
        assert_eq!(list(&gateway, &[("delimiter", "l")]).entries(), ["f/a"]);
        assert_eq!(list(&gateway, &[("delimiter", "m")]).entries(), ["f/a"]);
    }
    for prefix in ["link/", "f/link/", "empty/", ".valetkey-x/", "f/a/", "f/.valetkey"] {
        assert_eq!(list(&gateway, &[("prefix", prefix)]).entries(), [""; 0], "{prefix}");
    }
    for folder in ["/files/.valetkey-x/", "/files/f/.valetkey-y/", &format!("/files/{}/", "a".repeat(256))] {
        let answer = gateway.get(lister().set("path", "/files/").on(folder).url());
        refused_in_words(&answer, 400, "bad_request");
    }
    assert_eq!(gateway.stderr().matches("listings leave something out").count(), 1, "{}", gateway.stderr());
}

/// An object that stands throughout is listed once, whatever comes and goes beside it.
#[test]
fn listing_is_stable_while_objects_come_and_go() {
    let gateway = Gateway::new();
    let lasting: Vec<String> = (0..600).map(|n| format!("{}/{n:03}", ["k", "k/sub", "m"][n % 3])).collect();
    for name in &lasting {
        gateway.plant(&format!("/files/{name}"), "x");
    }
    let lasting = sorted(lasting);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for folder in ["k", "k/sub", "k/gone", "l", "m"] {
            let (gateway, done) = (&gateway, &done);
            scope.spawn(move || {
                let mut connection = gateway.connect();
                for n in (0..).take_while(|_| !done.load(Ordering::Relaxed)) {
                    let name = format!("/files/{folder}/x{:03}", n * 37 % 500);
                    let key = Key::new(&name, "delete,write").url();
                    accepted(&connection.exchange(&Request::put(key.as_str(), "y")).unwrap(), 200);
                    if n % 2 == 0 {
                        accepted(&connection.exchange(&Request::delete(key)).unwrap(), 204);
                    }
                }
            });
        }
        let until = Instant::now() + Duration::from_secs(4);
        let mut rounds = 0;
        while Instant::now() < until || rounds < 3 {
            let all = list_all(&gateway, &[("max-keys", "97")]).concat();
            assert!(all.is_sorted_by(|a, b| a < b), "in order and once");
            let found: Vec<_> = all.into_iter().filter(|name| !name.contains('x')).collect();
            assert_eq!(found, lasting);
            rounds += 1;
        }
        done.store(true, Ordering::Relaxed);
    });
}

/// Names are read ahead for the next pages only as long as nothing changes.
#[test]
fn page_tells_what_stands_there_when_it_is_asked_for() {
    let gateway = Gateway::new();
    for n in 0..3000 {
        gateway.plant(&format!("/files/f/{n:04}"), "");
    }
    // Until then the folder may change without its times telling, and nothing is read ahead.
    thread::sleep(Duration::from_millis(3100));
    let first = list(&gateway, &[("prefix", "f/"), ("max-keys", "10")]);
    assert_eq!(first.names.len(), 10);
    let key = |name: &str| Key::new(name, "create,delete").url();
    accepted(&gateway.send(&Request::put(key("/files/f/0010-new"), "x")), 200);
    accepted(&gateway.send(&Request::delete(key("/files/f/0011"))), 204);
    let after =
        |token: &str| list(&gateway, &[("prefix", "f/"), ("max-keys", "3"), ("continuation-token", token)]);
    assert_eq!(after(&first.next.clone().unwrap()).names, ["f/0010", "f/0010-new", "f/0012"]);
    thread::sleep(Duration::from_millis(3100));
    for _ in 0..2 {
        assert_eq!(after(&first.next.clone().unwrap()).names, ["f/0010", "f/0010-new", "f/0012"]);
    }
    accepted(&gateway.send(&Request::delete(key("/files/f/0012"))), 204);
    gateway.plant("/files/f/0010-", "x");
    assert_eq!(after(&first.next.unwrap()).names, ["f/0010", "f/0010-", "f/0010-new"]);
}

/// A listing is free, and recorded.
#[test]
fn listing_takes_no_use_and_is_recorded() {
    let gateway = Gateway::new();
    gateway.plant("/files/f/a", "x");
    let key = Key::new("/files/f/", "list,read").set("uses", "1").set("id", "counted");
    for _ in 0..3 {
        let answer = gateway.get(key.url());
        assert_eq!(Page::of(&answer).names, ["f/a"]);
        let record = record_of(&gateway, answer.header("x-request-id").unwrap()).unwrap();
        assert_eq!(record["action"], "list");
        assert_eq!((&record["bucket"], &record["object"]), (&"files".into(), &"f/".into()));
        assert_eq!((&record["status"], &record["bytes_out"]), (&200.into(), &answer.body.len().into()));
        assert_eq!(record["key"], key.fingerprint().as_str());
    }
    let read = key.clone().set("path", "/files/f/").on("/files/f/a");
    accepted(&gateway.get(read.url()), 200);
    let refused_listing = gateway.get(key.set("path", "/files/f/").on("/files/g/").url());
    refused(&refused_listing, 403, "out_of_scope");
    let record = record_of(&gateway, refused_listing.header("x-request-id").unwrap()).unwrap();
    assert_eq!(record["bytes_out"], serde_json::Value::Null);
}

/// A folder with very many objects is listed in little memory, its last page as fast as its first. With
/// `VALETKEY_LONG` it holds a million.
#[test]
fn large_folder_is_listed_in_flat_time_and_memory() {
    let count = if std::env::var_os("VALETKEY_LONG").is_some() { 1_000_000 } else { 30_000 };
    let gateway = Gateway::new();
    gateway.plant("/files/small/object", "");
    gateway.plant("/files/large/object-0000000.bin", "");
    for n in 1..count {
        std::fs::File::create(gateway.file_of(&format!("/files/large/object-{n:07}.bin"))).unwrap();
    }
    let page = |parameters: &[(&str, &str)]| {
        let begun = Instant::now();
        let page = list(&gateway, parameters);
        (page, begun.elapsed())
    };
    let (_, small) = page(&[("prefix", "small/")]);
    let before = memory_bytes(gateway.pid(), "VmHWM").unwrap();
    let mut times = Vec::new();
    let mut token: Option<String> = None;
    let mut seen = 0;
    loop {
        let mut parameters = vec![("prefix", "large/")];
        parameters.extend(token.as_deref().map(|token| ("continuation-token", token)));
        let (found, time) = page(&parameters);
        for name in found.names {
            assert_eq!(name, format!("large/object-{seen:07}.bin"));
            seen += 1;
        }
        times.push(time);
        token = found.next;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(seen, count);
    let grown = memory_bytes(gateway.pid(), "VmHWM").unwrap() - before;
    let total: Duration = times.iter().sum();
    let (first, last) = (times[0], times[times.len() - 1]);
    println!(
        "{count} objects in {} pages: first {first:?}, last {last:?}, all {total:?}; a folder of one {small:?}; \
         memory grew by {grown} bytes",
        times.len()
    );
    assert!(grown < 48 << 20, "memory grew by {grown} bytes");
    // Half of the pages against the other half, so that one slow moment of the machine does not count.
    let (early, late) = times.split_at(times.len() / 2);
    let median = |times: &[Duration]| {
        let mut times = times.to_vec();
        times.sort();
        times[times.len() / 2]
    };
    assert!(median(late) < 4 * median(early) + Duration::from_millis(20), "{early:?} {late:?}");
}
