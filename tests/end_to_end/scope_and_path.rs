//! Names and scopes: one meaning for each path, nothing outside the scope or the store, no name of ours.

use std::os::unix::fs::symlink;

use valetkey_tests::expect::{accepted, refused, refused_in_words};
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::{Answer, Request};
use valetkey_tests::key::Key;

const ALL: &str = "create,delete,list,read,stat,write";

/// A key for the whole bucket on whatever raw target a test wants to send.
fn bucket_wide(raw_path: &str) -> String {
    let key = Key::new("/files/x", ALL).set("path", "/files/");
    format!("{raw_path}?{}", key.query())
}

fn each_method(gateway: &Gateway, target: &str) -> Vec<Answer> {
    let methods = ["GET", "HEAD", "DELETE"];
    let mut answers: Vec<_> = methods.map(|method| gateway.send(&Request::new(method, target))).into();
    answers.push(gateway.send(&Request::put(target, "new")));
    answers
}

/// A029, A030: a scope ends on a segment.
#[test]
fn scope_is_by_whole_segments() {
    let gateway = Gateway::new();
    for object in ["/files/team1/x", "/files/team10/x", "/files/team1x", "/files/b", "/other/team1/x"] {
        gateway.plant(object, object);
    }
    let key = |object: &str| Key::new(object, "read").set("path", "/files/team1/").url();
    accepted(&gateway.get(key("/files/team1/x")), 200);
    for outside in
        ["/files/team10/x", "/files/team1x", "/files/b", "/files/team1", "/files/team", "/other/team1/x"]
    {
        let answer = gateway.get(key(outside));
        refused_in_words(&answer, 403, "out_of_scope");
        assert!(!answer.text().contains(outside), "{}", answer.text());
    }
    let one = Key::new("/files/b", "read").set("path", "/files/b");
    accepted(&gateway.get(one.url()), 200);
    refused(&gateway.get(one.clone().on("/files/b/c").url()), 403, "out_of_scope");
    refused(&gateway.get(one.on("/files/bb").url()), 403, "out_of_scope");
    let whole = Key::new("/files/b", "read").set("path", "/files/");
    accepted(&gateway.get(whole.url()), 200);
    refused(&gateway.get(whole.on("/other/team1/x").url()), 403, "out_of_scope");
    // No wildcards: a star is a star.
    let star = Key::new("/files/b", "read").set("path", "/files/*");
    refused(&gateway.get(star.url()), 403, "out_of_scope");
}

/// A031, A036, A043, A044 and section 2: names that are not names, in whatever spelling.
#[test]
fn names_that_are_not_names_are_refused() {
    let gateway = Gateway::new();
    std::fs::write(gateway.home().join("valetkey-data/secret"), "outside").unwrap();
    let before = gateway.stored();
    let long = "a".repeat(256);
    let too_long = vec!["b".repeat(128); 8].join("/") + "/c";
    let raw_paths = [
        "/files/../secret",
        "/files/%2e%2e/secret",
        "/files/%2E%2E/secret",
        "/files/.%2e/secret",
        "/files/..%2fsecret",
        "/files/..%2Fsecret",
        "/files/%2e%2e%2fsecret",
        "/files/a/../b",
        "/files/a/./b",
        "/files/.",
        "/files/..",
        "/files/%2e",
        "/files//a",
        "/files/a//b",
        "/files/%2fa",
        "/files/a%2f%2fb",
        "/files/a/",
        "/files/a%2f",
        "/files/a%00b",
        "/files/%00",
        "/files/a%0ab",
        "/files/a%0db",
        "/files/a%1fb",
        "/files/a%7fb",
        "/files/a%c2%80b",
        "/files/a%c2%9fb",
        "/files/%ff",
        "/files/a%c0%aeb",
        "/files/%ed%a0%80",
        "/files/%",
        "/files/%2",
        "/files/%zz",
        "/files/a%",
        "/files/.valetkey-tmp",
        "/files/.valetkey-tmp/x",
        "/files/a/.valetkey-x",
        "/files/%2evaletkey-x",
        "/files/.valetkey-",
        &format!("/files/{long}"),
        &format!("/files/a/{long}/b"),
        &format!("/files/{too_long}"),
    ];
    for raw in raw_paths {
        for answer in each_method(&gateway, &bucket_wide(raw)) {
            let listing = raw.ends_with('/') || raw.ends_with("%2f");
            let reasons: &[(u16, &str)] = if listing {
                // A folder's URL reads as a listing, and takes nothing else.
                &[(400, "bad_request"), (200, "")]
            } else {
                &[(400, "bad_request")]
            };
            let got = (answer.status, answer.reason());
            assert!(reasons.contains(&got), "{raw:.60}: {got:?}");
            assert!(!answer.text().contains("outside"));
        }
    }
    assert_eq!(gateway.stored(), before);
}

/// A path is decoded once, and everywhere by the same rule.
#[test]
fn spellings_of_one_name_are_one_object() {
    let gateway = Gateway::new();
    let key = Key::new("/files/a/b c.txt", "read,write");
    accepted(&gateway.send(&Request::put(key.url(), "one")), 200);
    for raw in
        ["/files/a/b%20c.txt", "/files/%61/b%20c.txt", "/files/a%2fb%20c.txt", "/files/a%2Fb%20c%2etxt"]
    {
        let answer = gateway.get(format!("{raw}?{}", key.query()));
        assert_eq!((answer.status, answer.text().as_str()), (200, "one"), "{raw}");
    }
    assert_eq!(std::fs::read(gateway.file_of("/files/a/b c.txt")).unwrap(), b"one");
    refused(&gateway.get(format!("/files/a/b+c.txt?{}", key.query())), 403, "bad_signature");
}

/// A017: never decoded twice.
#[test]
fn doubly_encoded_name_is_a_name_with_a_percent_sign() {
    let gateway = Gateway::new();
    gateway.plant("/files/%2e%2e", "percent");
    gateway.plant("/files/a%2fb", "slashless");
    assert_eq!(gateway.get(bucket_wide("/files/%252e%252e")).text(), "percent");
    assert_eq!(gateway.get(bucket_wide("/files/a%252fb")).text(), "slashless");
    refused(&gateway.get(bucket_wide("/files/a%2fb")), 404, "not_found");
}

/// A033, A034, A037, A038: different names never reach the same bytes.
#[test]
fn odd_names_are_ordinary_and_distinct() {
    let gateway = Gateway::new();
    let names = [
        "CON",
        "nul.txt",
        "a:stream",
        "C:",
        "trailing.",
        "trailing ",
        "trailing",
        " lead",
        "back\\slash",
        "..\\up",
        "...",
        "..a",
        ".hidden",
        "-rf",
        "~",
        "*",
        "?",
        "a'b\"c",
        "$(x)",
        "é",
        "e\u{301}",
        "Key",
        "key",
        "ß",
        "\u{202e}rtl",
        "😀",
        "+",
        "%41",
        "A",
        "a=b&c",
        "#frag",
        "\u{feff}bom",
        "valetkey-x",
        "x.valetkey-y",
    ];
    for name in names {
        let key = Key::new(&format!("/files/odd/{name}"), "create");
        accepted(&gateway.send(&Request::put(key.url(), format!("bytes of {name}"))), 200);
    }
    for name in names {
        let answer = gateway.get(Key::new(&format!("/files/odd/{name}"), "read").url());
        assert_eq!((answer.status, answer.text()), (200, format!("bytes of {name}")), "{name:?}");
        assert!(gateway.file_of("/files/odd").join(name).is_file(), "{name:?} lies under its own name");
    }
    assert_eq!(std::fs::read_dir(gateway.file_of("/files/odd")).unwrap().count(), names.len());
}

/// A035: the longest names that are names.
#[test]
fn longest_names_are_stored() {
    let gateway = Gateway::new();
    let segment = "a".repeat(255);
    let whole = vec!["b".repeat(127); 8].join("/") + "c";
    assert_eq!(whole.len(), 1024);
    let deep = vec!["d"; 500].join("/");
    for name in [segment, whole, deep, "ü".repeat(127)] {
        let key = Key::new(&format!("/files/{name}"), "delete,read,write");
        accepted(&gateway.send(&Request::put(key.url(), "x")), 200);
        assert_eq!(gateway.get(key.url()).text(), "x");
        accepted(&gateway.send(&Request::delete(key.url())), 204);
    }
}

/// A039: a link in the store is nothing, whatever it points to and wherever it stands.
#[test]
fn planted_links_are_not_followed_or_touched() {
    let gateway = Gateway::new();
    let outside = gateway.home().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("file"), "outside").unwrap();
    gateway.plant("/files/inside", "inside");
    let store = gateway.file_of("/files/");
    symlink(outside.join("file"), store.join("to-file")).unwrap();
    symlink(&outside, store.join("to-folder")).unwrap();
    symlink("inside", store.join("to-inside")).unwrap();
    symlink("../../../outside/new", store.join("dangling")).unwrap();
    symlink("/etc", store.join("to-etc")).unwrap();
    for name in ["to-file", "to-folder", "to-folder/file", "to-inside", "dangling", "to-etc/hostname"] {
        let target = bucket_wide(&format!("/files/{name}"));
        refused(&gateway.get(&target), 404, "not_found");
        refused(&gateway.send(&Request::head(&target)), 404, "not_found");
        let put = gateway.send(&Request::put(&target, "new"));
        assert!(
            [(404, "not_found"), (409, "name_conflict")].contains(&(put.status, put.reason())),
            "{name}: {}",
            put.status
        );
        let delete = gateway.send(&Request::delete(&target));
        assert!([204, 404].contains(&delete.status), "{name}: {}", delete.status);
    }
    assert_eq!(std::fs::read(outside.join("file")).unwrap(), b"outside");
    assert!(!outside.join("new").exists());
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
    for name in ["to-file", "to-folder", "to-inside", "dangling", "to-etc"] {
        assert!(store.join(name).is_symlink(), "{name} is still the operator's");
    }
}

/// A041: the other name of a hard link keeps its content.
#[test]
fn overwriting_a_hard_link_leaves_the_other_name_alone() {
    let gateway = Gateway::new();
    let outside = gateway.home().join("outside");
    std::fs::write(&outside, "outside").unwrap();
    let inside = gateway.file_of("/files/linked");
    std::fs::create_dir_all(inside.parent().unwrap()).unwrap();
    std::fs::hard_link(&outside, &inside).unwrap();
    accepted(&gateway.send(&Request::put(Key::new("/files/linked", "write").url(), "new")), 200);
    assert_eq!(std::fs::read(&inside).unwrap(), b"new");
    assert_eq!(std::fs::read(&outside).unwrap(), b"outside");
}

#[test]
fn planted_pipes_and_folders_are_not_objects() {
    let gateway = Gateway::new();
    gateway.plant("/files/folder/x", "x");
    let pipe = gateway.file_of("/files/pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for name in ["pipe", "folder"] {
        let target = bucket_wide(&format!("/files/{name}"));
        refused(&gateway.get(&target), 404, "not_found");
        refused(&gateway.send(&Request::head(&target)), 404, "not_found");
        refused(&gateway.send(&Request::put(&target, "new")), 409, "name_conflict");
    }
    let answer = gateway.send(&Request::delete(bucket_wide("/files/folder")));
    assert!([204, 404, 409].contains(&answer.status), "{}", answer.status);
    assert_eq!(std::fs::read(gateway.file_of("/files/folder/x")).unwrap(), b"x");
}

/// A042: no data of either is lost.
#[test]
fn object_cannot_stand_beside_a_folder_of_its_name() {
    let gateway = Gateway::new();
    let put = |object: &str, body: &str| gateway.send(&Request::put(Key::new(object, "write").url(), body));
    accepted(&put("/files/a", "file"), 200);
    refused_in_words(&put("/files/a/b", "below"), 409, "name_conflict");
    refused_in_words(&put("/files/a/b/c", "below"), 409, "name_conflict");
    accepted(&put("/files/d/e", "below"), 200);
    refused_in_words(&put("/files/d", "file"), 409, "name_conflict");
    assert_eq!(std::fs::read(gateway.file_of("/files/a")).unwrap(), b"file");
    assert_eq!(std::fs::read(gateway.file_of("/files/d/e")).unwrap(), b"below");
    refused(&gateway.get(Key::new("/files/a/b", "read").url()), 404, "not_found");
    // With its last object gone the folder does not stand in the way.
    accepted(&gateway.send(&Request::delete(Key::new("/files/d/e", "delete").url())), 204);
    accepted(&put("/files/d", "file"), 200);
}

/// A044: a bucket is one of those configured, under its one name.
#[test]
fn buckets_that_are_not_are_refused() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "x");
    let buckets = [
        "..",
        ".",
        "",
        "FILES",
        "Files",
        "file",
        "filess",
        "files.",
        "nothing",
        &"f".repeat(300),
        "fi%00les",
        "%2e%2e",
        "-files",
        "valetkey-data",
    ];
    for bucket in buckets {
        for answer in each_method(&gateway, &bucket_wide(&format!("/{bucket}/a"))) {
            assert!(
                [400, 403, 404].contains(&answer.status),
                "{bucket:.20}: {} {}",
                answer.status,
                answer.reason()
            );
        }
    }
    let wide = Gateway::builder()
        .signer("all", "all secret all secret all secret all", "scope = [\"/files/\"]\nallow = [\"read\"]")
        .start();
    let key = Key::new("/nothing/a", "read").signed_by("all", "all secret all secret all secret all");
    let answer = wide.get(key.url());
    assert!([403, 404].contains(&answer.status), "{}", answer.status);
}

/// Two buckets on one backend do not see each other.
#[test]
fn buckets_are_apart() {
    let gateway = Gateway::new();
    accepted(&gateway.send(&Request::put(Key::new("/files/a", "write").url(), "of files")), 200);
    refused(&gateway.get(Key::new("/other/a", "read").url()), 404, "not_found");
    accepted(&gateway.send(&Request::put(Key::new("/other/a", "write").url(), "of other")), 200);
    assert_eq!(gateway.get(Key::new("/files/a", "read").url()).text(), "of files");
    refused(&gateway.get(Key::new("/other/a", "read").set("path", "/files/a").url()), 403, "out_of_scope");
}

#[test]
fn name_in_a_refusal_cannot_forge_a_header_or_a_line() {
    let gateway = Gateway::new();
    for raw in ["/files/a%0d%0aX-Evil:%201", "/files/%1b%5b31m", "/files/a%e2%80%a8b"] {
        let answer = gateway.get(bucket_wide(raw));
        assert_eq!(answer.header("x-evil"), None);
        assert!([400, 404].contains(&answer.status));
    }
    assert!(!gateway.stderr().contains("\u{1b}[31m"));
}
