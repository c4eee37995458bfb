//! Conditions, and names that cannot stand beside each other.

use std::cell::{Cell, RefCell};
use std::os::unix::net::UnixListener;

use super::*;

#[test]
fn a_create_leaves_what_is_there() {
    let store = Store::new();
    store.create("a", "first").unwrap();
    assert_refused!(store.create("a", "second"), StoreError::AlreadyExists);
    assert_eq!(store.read("a"), "first");
    store.plant("b", "the operator's");
    assert_refused!(store.create("b", "ours"), StoreError::AlreadyExists);
    assert_eq!(store.read("b"), "the operator's");
    assert_eq!(store.temporaries(), 0);
}

#[test]
fn a_create_by_link_leaves_what_is_there_and_one_name() {
    let store = Store::lacking(|capabilities| capabilities.rename_noreplace = false);
    let published = store.create("a/b", "first").unwrap();
    assert_refused!(store.create("a/b", "second"), StoreError::AlreadyExists);
    assert_eq!(store.folder.stat("a/b").unwrap(), published);
    assert_eq!(store.read("a/b"), "first");
    assert_eq!(store.temporaries(), 0);
    let links = std::os::unix::fs::MetadataExt::nlink(&fs::metadata(store.path("a/b")).unwrap());
    assert_eq!(links, 1);
    fs::create_dir(store.path("c")).unwrap();
    assert_refused!(store.create("c", "x"), StoreError::NameConflict);
}

#[test]
fn a_guard_sees_what_is_there_and_decides() {
    let store = Store::new();
    let seen = RefCell::new(Vec::new());
    let answer = Cell::new(true);
    let guard = |there: Option<&Metadata>| {
        seen.borrow_mut().push(there.map(|there| there.etag.clone()));
        answer.get()
    };
    let put = |content| {
        let rule = Publish::Replace { guard: &guard };
        store.folder.publish(store.finished(content), "a/b", rule)
    };
    let first = put("first").unwrap();
    let second = put("second").unwrap();
    answer.set(false);
    assert_refused!(put("third"), StoreError::PreconditionFailed);
    assert_eq!(store.read("a/b"), "second");
    assert_refused!(store.folder.delete("a/b", &guard), StoreError::PreconditionFailed);
    assert_eq!(store.read("a/b"), "second");
    answer.set(true);
    store.folder.delete("a/b", &guard).unwrap();
    answer.set(false);
    assert_refused!(store.folder.delete("a/b", &guard), StoreError::PreconditionFailed);
    assert_refused!(put("fourth"), StoreError::PreconditionFailed);
    let (first, second) = (Some(first.etag), Some(second.etag));
    let expected = [None, first, second.clone(), second.clone(), second, None, None];
    assert_eq!(seen.into_inner(), expected);
    assert_eq!(store.entries(), [""; 0], "folders of the refused upload are gone");
    assert_eq!(store.temporaries(), 0);
}

#[test]
fn a_file_and_a_folder_of_one_name_conflict_in_both_orders() {
    let store = Store::new();
    for put in [Store::create, Store::replace] {
        put(&store, "a", "file").unwrap();
        for below in ["a/b", "a/b/c"] {
            assert_refused!(put(&store, below, "x"), StoreError::NameConflict);
            assert_refused!(store.folder.probe(below), StoreError::NameConflict);
            assert_refused!(store.folder.open(below), StoreError::NotFound);
        }
        assert_eq!(store.read("a"), "file");
        assert_eq!(store.delete("a").unwrap(), Removed::Yes);

        put(&store, "a/b/c", "below").unwrap();
        for above in ["a", "a/b"] {
            assert_refused!(put(&store, above, "x"), StoreError::NameConflict);
            assert_refused!(store.folder.probe(above), StoreError::NameConflict);
            assert_refused!(store.folder.open(above), StoreError::NotFound);
            assert_eq!(store.delete(above).unwrap(), Removed::NothingThere);
        }
        assert_eq!(store.read("a/b/c"), "below");
        assert_eq!(store.delete("a/b/c").unwrap(), Removed::Yes);
    }
    assert_eq!(store.temporaries(), 0);
}

#[test]
fn an_empty_folder_is_not_taken_for_a_free_name() {
    let store = Store::new();
    fs::create_dir(store.path("a")).unwrap();
    for put in [Store::create, Store::replace] {
        assert_refused!(put(&store, "a", "x"), StoreError::NameConflict);
    }
    assert_eq!(store.entries(), ["a"]);
}

#[test]
fn what_is_no_file_is_neither_read_nor_replaced_nor_removed() {
    let store = Store::new();
    store.plant_fifo("fifo");
    let _listener = UnixListener::bind(store.path("socket")).unwrap();
    for name in ["fifo", "socket"] {
        assert_refused!(store.folder.open(name), StoreError::NotFound, "{name}");
        assert_refused!(store.folder.stat(name), StoreError::NotFound, "{name}");
        let cached = store.folder.open_cached(name);
        assert!(matches!(cached, Ok(None) | Err(StoreError::NotFound)), "{cached:?}");
        assert_refused!(store.folder.probe(name), StoreError::NameConflict, "{name}");
        assert_refused!(store.create(name, "x"), StoreError::NameConflict, "{name}");
        assert_refused!(store.replace(name, "x"), StoreError::NameConflict, "{name}");
        let below = format!("{name}/x");
        assert_refused!(store.create(&below, "x"), StoreError::NameConflict, "{name}");
        assert_eq!(store.delete(name).unwrap(), Removed::NothingThere);
    }
    assert_eq!(store.entries(), ["fifo", "socket"]);
}

#[test]
fn a_probe_tells_a_free_name_from_a_taken_one() {
    let store = Store::new();
    store.create("a/b", "x").unwrap();
    for free in ["c", "a/c", "a/c/d", "c/d"] {
        assert_eq!(store.folder.probe(free).unwrap(), None, "{free}");
    }
    assert!(store.folder.probe("a/b").unwrap().is_some());
    assert_eq!(store.entries(), ["a"], "a probe makes nothing");
}

#[test]
fn folders_that_hold_nothing_go_with_their_last_object() {
    let store = Store::new();
    store.create("a/b/c/d", "x").unwrap();
    store.create("a/b/e", "y").unwrap();
    store.delete("a/b/c/d").unwrap();
    assert!(!store.path("a/b/c").exists());
    assert_eq!(store.read("a/b/e"), "y");
    store.delete("a/b/e").unwrap();
    assert_eq!(store.entries(), [""; 0]);
    assert!(store.path("").exists(), "the bucket's folder stays");
    store.create("a", "now a file").unwrap();
    assert_eq!(store.read("a"), "now a file");
}

#[test]
fn a_failed_publish_removes_the_folders_it_made() {
    let store = Store::new();
    let never = Publish::Replace { guard: &|_| false };
    let refused = store.folder.publish(store.finished("x"), "a/b/c/d", never);
    assert_refused!(refused, StoreError::PreconditionFailed);
    assert_eq!(store.entries(), [""; 0]);

    store.plant("a/kept", "x");
    let refused = store.folder.publish(store.finished("x"), "a/b/c/d", never);
    assert_refused!(refused, StoreError::PreconditionFailed);
    assert_eq!(store.entries(), ["a"]);
    assert!(!store.path("a/b").exists());
}

#[test]
fn a_name_that_no_disk_can_hold_is_a_bad_name_everywhere() {
    let store = Store::new();
    let long = "s".repeat(256);
    let deep = format!("{}{long}", "d/".repeat(300));
    for name in ["", "a//", "/a", "../one/a", ".valetkey-tmp", "a/.valetkey-x", &long, &deep] {
        assert_refused!(store.folder.open(name), StoreError::BadName, "{name}");
        assert_refused!(store.folder.open_cached(name), StoreError::BadName, "{name}");
        assert_refused!(store.folder.stat(name), StoreError::BadName, "{name}");
        assert_refused!(store.folder.probe(name), StoreError::BadName, "{name}");
        assert_refused!(store.folder.find_hold(name, "h"), StoreError::BadName, "{name}");
        assert_refused!(store.create(name, "x"), StoreError::BadName, "{name}");
        assert_refused!(store.replace(name, "x"), StoreError::BadName, "{name}");
        assert_refused!(store.delete(name), StoreError::BadName, "{name}");
    }
    assert_eq!(store.temporaries(), 0);
}

#[test]
fn five_hundred_folders_deep_is_an_ordinary_name() {
    let store = Store::new();
    let name = format!("{}x", "d/".repeat(500));
    store.create(&name, "deep").unwrap();
    assert_eq!(store.read(&name), "deep");
    assert_eq!(store.delete(&name).unwrap(), Removed::Yes);
    assert_eq!(store.entries(), [""; 0]);
}

#[test]
fn names_that_differ_in_a_byte_are_different_objects() {
    let store = Store::new();
    let names = ["key", "Key", "\u{e9}", "e\u{301}", "CON", "a:stream", "dot.", "dot", "b\\c", "b%2fc"];
    for name in names {
        store.create(name, name).unwrap();
    }
    for name in names {
        assert_eq!(store.read(name), name);
    }
}
