//! The stores of the harness: what is put there stands there, and a killed one has it still.

use std::time::Duration;

use valetkey_tests::http::Request;
use valetkey_tests::process::wait_until;
use valetkey_tests::stores::{Azurite, FakeGcs, SeaweedFs, Store, elements};

fn keeps_what_it_is_given(store: &dyn Store) {
    let (bucket, other) = (store.bucket(), store.bucket());
    assert_ne!(bucket, other);
    assert_eq!(store.get(&bucket, "a/b c.txt"), None);
    store.put(&bucket, "a/b c.txt", b"one");
    store.put(&bucket, "a/&é+%.txt", b"two");
    store.put(&bucket, "z", b"");
    assert_eq!(store.get(&bucket, "a/b c.txt").unwrap(), b"one");
    assert_eq!(store.get(&bucket, "a/&é+%.txt").unwrap(), b"two");
    let mut names = store.list(&bucket);
    names.sort();
    assert_eq!(names, ["a/&é+%.txt", "a/b c.txt", "z"]);
    store.delete(&bucket, "z");
    assert_eq!(store.get(&bucket, "z"), None);
    assert_eq!(store.list(&other), Vec::<String>::new());
}

#[test]
fn seaweedfs_keeps_what_it_is_given() {
    let store = SeaweedFs::shared();
    keeps_what_it_is_given(store);
    assert_eq!(store.open_uploads(&store.bucket()), Vec::<String>::new());
}

/// What the gateway's listings rely on and what they mend, asked of the store itself.
#[test]
fn seaweedfs_lists_folder_by_folder() {
    let store = SeaweedFs::shared();
    let bucket = store.bucket();
    let list = |query: &str| {
        let answer = store.ask(Request::get(format!("/{bucket}?{query}")));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.header("server").unwrap().starts_with("SeaweedFS"), "{answer:?}");
        answer.text()
    };
    let names = |query: &str| elements(&list(&format!("list-type=2&{query}")), "Key");
    for name in ["a", "a-b", "a.txt", "a/b", "a/b/c", "a/d", "a0", "gone/x"] {
        store.put(&bucket, name, b"x");
    }
    store.delete(&bucket, "gone/x");
    assert_eq!(names("prefix=a"), ["a", "a/b", "a/b/c", "a/d", "a-b", "a.txt", "a0"]);
    assert_eq!(names("start-after=a"), ["a-b", "a.txt", "a0"]);
    assert_eq!(names("start-after=a%2F"), ["a/b", "a/b/c", "a/d", "a-b", "a.txt", "a0"]);
    assert_eq!(names("start-after=a%2Fb"), ["a/d", "a-b", "a.txt", "a0"]);
    assert_eq!(names("start-after=a%2Fb%2F"), ["a/b/c", "a/d", "a-b", "a.txt", "a0"]);
    assert_eq!(names("start-after=a-b%2F"), ["a.txt", "a0"]);
    assert_eq!(names("prefix=gone%2F"), Vec::<String>::new());
    let folders = list("delimiter=%2F&list-type=2");
    assert!(folders.contains("<CommonPrefixes><Prefix>gone/</Prefix></CommonPrefixes>"), "{folders}");

    store.put(&bucket, "back\\slash", b"x");
    assert_eq!(names("prefix=back"), ["back/slash"]);
}

#[test]
fn azurite_keeps_what_it_is_given() {
    keeps_what_it_is_given(Azurite::shared());
}

#[test]
fn fake_gcs_keeps_what_it_is_given() {
    keeps_what_it_is_given(FakeGcs::shared());
}

#[test]
fn a_killed_store_answers_no_more_until_it_is_started_again() {
    let mut store = SeaweedFs::start();
    let bucket = store.bucket();
    store.put(&bucket, "a", b"one");
    store.kill9();
    assert!(store.try_ask(store.reading(&bucket, "a")).is_err());
    store.restart();
    assert_eq!(store.get(&bucket, "a").unwrap(), b"one");
    let (folder, address) = (store.process().folder().to_owned(), store.address());
    drop(store);
    let is_gone = || std::net::TcpStream::connect(address).is_err() && !folder.exists();
    wait_until(Duration::from_secs(5), "the store and its folder are gone", is_gone).unwrap();
}
