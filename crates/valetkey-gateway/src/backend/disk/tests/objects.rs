//! What is put is what is got, and what is remembered of it is true.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, SystemTime};

use super::*;

fn attributes() -> Attributes {
    Attributes {
        content_type: Some("text/plain".to_owned()),
        headers: vec![("x-amz-meta-album".to_owned(), "summer".to_owned())],
        hold: Some("h1".to_owned()),
        etag: None,
    }
}

#[test]
fn an_object_is_the_file_of_its_name_byte_for_byte() {
    let store = Store::new();
    store.create("a/b c/é.txt", "hello").unwrap();
    assert_eq!(fs::read(store.path("a/b c/é.txt")).unwrap(), b"hello");
    assert_eq!(store.read("a/b c/é.txt"), "hello");
    assert_eq!(store.temporaries(), 0);
}

#[test]
fn what_was_said_of_an_object_is_said_again() {
    let store = Store::new();
    let finished = store.finished_with("hello", attributes());
    assert_eq!(finished.size_bytes, 5);
    assert_eq!(finished.digest, *blake3::hash(b"hello").as_bytes());
    let published = store.folder.publish(finished, "a", Publish::Create).unwrap();
    assert_eq!(published.attributes, attributes());
    assert_eq!(published.digest, Some(*blake3::hash(b"hello").as_bytes()));
    assert_eq!(published.etag, "ea8f163db38682925e4491c5e58d4bb3-1");
    assert_eq!(published.size_bytes, 5);
    assert!(published.modified.elapsed().unwrap() < Duration::from_secs(3600));
    assert_eq!(store.folder.stat("a").unwrap(), published);
    assert_eq!(store.folder.open("a").unwrap().metadata, published);
    assert_eq!(store.folder.probe("a").unwrap(), Some(published));
}

#[test]
fn an_upload_may_come_in_any_pieces() {
    let store = Store::new();
    let whole: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let whole = Bytes::from(whole);
    let declared = u64::try_from(whole.len()).unwrap();
    for declared in [None, Some(declared), Some(declared * 3), Some(1)] {
        let mut upload = store.folder.begin(declared).unwrap();
        // More pieces in one call than the kernel takes at once, an empty one among them.
        let (small, large) = whole.split_at(3_000);
        let small: Vec<Bytes> = small.iter().map(|byte| Bytes::copy_from_slice(&[*byte])).collect();
        upload.write(&small).unwrap();
        upload.write(&[]).unwrap();
        upload.write(&[Bytes::new(), Bytes::copy_from_slice(large), Bytes::new()]).unwrap();
        assert_eq!(upload.size_bytes(), 1_200_000);
        let finished = upload.finish(Attributes::default()).unwrap();
        assert_eq!(finished.digest, *blake3::hash(&whole).as_bytes());
        store.folder.publish(finished, "large", ALWAYS).unwrap();
        assert_eq!(fs::read(store.path("large")).unwrap(), whole);
    }
}

#[test]
fn space_that_was_declared_and_not_used_is_given_back() {
    let store = Store::new();
    let mut upload = store.folder.begin(Some(8 << 20)).unwrap();
    upload.write(&[Bytes::from_static(b"short")]).unwrap();
    let finished = upload.finish(Attributes::default()).unwrap();
    store.folder.publish(finished, "a", Publish::Create).unwrap();
    let found = fs::metadata(store.path("a")).unwrap();
    assert_eq!(found.size(), 5);
    assert!(found.blocks() * 512 < 1 << 20, "{} blocks", found.blocks());
}

#[test]
fn an_empty_object_is_an_object() {
    let store = Store::new();
    let finished = store.folder.begin(Some(0)).unwrap().finish(attributes()).unwrap();
    store.folder.publish(finished, "a", Publish::Create).unwrap();
    let found = store.folder.stat("a").unwrap();
    assert_eq!((found.size_bytes, found.attributes), (0, attributes()));
}

#[test]
fn an_operator_may_read_what_is_stored() {
    let store = Store::new();
    store.create("a/b", "x").unwrap();
    let mode = |path| fs::metadata(store.path(path)).unwrap().permissions().mode() & 0o777;
    // The test's own umask may take bits away, and nothing adds any.
    assert_eq!(mode("a/b") & !0o640, 0);
    assert_eq!(mode("a/b") & 0o600, 0o600);
    assert_eq!(mode("a") & !0o750, 0);
    assert_eq!(mode("a") & 0o700, 0o700);
}

#[test]
fn an_edited_file_is_a_plain_file() {
    let store = Store::new();
    let published =
        store.folder.publish(store.finished_with("hello", attributes()), "a", Publish::Create).unwrap();

    // Another length.
    fs::write(store.path("a"), "hello, world").unwrap();
    let edited = store.folder.stat("a").unwrap();
    assert_ne!(edited.etag, published.etag);
    assert_eq!((edited.digest, edited.attributes), (None, Attributes::default()));
    assert!(edited.etag.ends_with("-2"), "{}", edited.etag);

    // The same length at another time.
    fs::write(store.path("a"), "HELLO").unwrap();
    let file = File::options().write(true).open(store.path("a")).unwrap();
    file.set_modified(published.modified + Duration::from_nanos(1)).unwrap();
    let edited_again = store.folder.stat("a").unwrap();
    assert_eq!(edited_again.digest, None);
    assert_ne!(edited_again.etag, edited.etag);
    assert_eq!(store.read("a"), "HELLO");
    assert!(!store.folder.find_hold("a", "h1").unwrap());
}

#[test]
fn a_touched_file_gets_its_word_back_with_its_time() {
    let store = Store::new();
    let published =
        store.folder.publish(store.finished_with("hello", attributes()), "a", Publish::Create).unwrap();
    let file = File::options().write(true).open(store.path("a")).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH - Duration::from_millis(1500)).unwrap();
    let touched = store.folder.stat("a").unwrap();
    assert_eq!(touched.digest, None);
    assert_eq!(touched.modified, SystemTime::UNIX_EPOCH - Duration::from_millis(1500));
    file.set_modified(published.modified).unwrap();
    assert_eq!(store.folder.stat("a").unwrap(), published);
}

#[test]
fn a_file_that_was_there_before_is_served_as_it_stands() {
    let store = Store::new();
    store.plant("old/letter.txt", "dear");
    let found = store.folder.stat("old/letter.txt").unwrap();
    assert_eq!((found.size_bytes, found.digest), (4, None));
    assert_eq!(found.attributes, Attributes::default());
    let (hex, kind) = found.etag.split_once('-').unwrap();
    assert_eq!((hex.len(), kind), (32, "2"));
    assert!(hex.bytes().all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase()));
    assert_eq!(store.read("old/letter.txt"), "dear");
    assert_eq!(store.folder.stat("old/letter.txt").unwrap().etag, found.etag);
}

#[test]
fn an_edit_that_keeps_length_and_time_changes_a_plain_files_etag() {
    let store = Store::new();
    store.plant("a", "one");
    let file = File::options().write(true).open(store.path("a")).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let before = store.folder.stat("a").unwrap();
    // The change time's clock may tick as slowly as a few milliseconds.
    let changed = || fs::metadata(store.path("a")).unwrap().ctime_nsec();
    let ticked = changed();
    while changed() == ticked {
        fs::write(store.path("a"), "two").unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    }
    let after = store.folder.stat("a").unwrap();
    assert_eq!(after.modified, before.modified);
    assert_ne!(after.etag, before.etag);
}

#[test]
fn a_foreign_attribute_makes_a_plain_file_and_no_error() {
    let store = Store::new();
    store.plant("a", "x");
    for value in [&b""[..], b"\xff\xfe", b"valetkey/1\n", &[b'v'; 4000]] {
        let file = File::options().write(true).open(store.path("a")).unwrap();
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::fsetxattr(&file, "user.valetkey.object", value, flags).unwrap();
        assert_eq!(store.folder.stat("a").unwrap().digest, None);
        assert_eq!(store.read("a"), "x");
    }
}

#[test]
fn the_attributes_move_with_the_file() {
    let store = Store::new();
    let finished = store.finished_with("hello", attributes());
    let published = store.folder.publish(finished, "a", Publish::Create).unwrap();
    fs::rename(store.path("a"), store.path("b")).unwrap();
    assert_eq!(store.folder.stat("b").unwrap(), published);
}

#[test]
fn attributes_that_do_not_fit_are_no_full_disk() {
    let store = Store::new();
    let with = |length: usize| Attributes {
        headers: vec![("x-amz-meta-a".to_owned(), "v".repeat(length))],
        ..Attributes::default()
    };
    let finish = |length| store.folder.begin(None).unwrap().finish(with(length));
    assert!(finish(3_000).is_ok());
    assert_refused!(finish(5_000), StoreError::AttributesTooLarge);
    assert_refused!(finish(100_000), StoreError::AttributesTooLarge);
    assert_eq!(store.temporaries(), 0);
}

#[test]
fn a_value_that_is_no_header_is_refused_and_leaves_nothing() {
    let store = Store::new();
    let evil = Attributes { hold: Some("x\ncontent-type: text/html".to_owned()), ..Attributes::default() };
    let refused = store.folder.begin(None).unwrap().finish(evil);
    assert_refused!(refused, StoreError::BadAttribute);
    assert_eq!(store.temporaries(), 0);
}

#[test]
fn a_hold_is_found_with_its_object_alone() {
    let store = Store::new();
    store.folder.publish(store.finished_with("x", attributes()), "a/b", Publish::Create).unwrap();
    let found = |name, hold| store.folder.find_hold(name, hold).unwrap();
    assert!(found("a/b", "h1"));
    assert!(!found("a/b", "h2"));
    assert!(!found("a/b", ""));
    assert!(!found("a/c", "h1"));
    assert!(!found("a/b/c", "h1"));
    store.replace("a/b", "y").unwrap();
    assert!(!found("a/b", "h1"));
}

#[test]
fn a_reader_keeps_the_object_it_opened() {
    let store = Store::new();
    store.create("a", "old").unwrap();
    let opened = store.folder.open("a").unwrap();
    store.replace("a", "new content").unwrap();
    assert_eq!(content(&opened), "old");
    assert_eq!(store.read("a"), "new content");
    let opened = store.folder.open("a").unwrap();
    store.delete("a").unwrap();
    assert_eq!(content(&opened), "new content");
}

#[test]
fn a_hard_link_elsewhere_keeps_its_content() {
    let store = Store::new();
    fs::write(store.outside("kept"), "kept").unwrap();
    fs::hard_link(store.outside("kept"), store.path("a")).unwrap();
    store.replace("a", "new").unwrap();
    assert_eq!(store.read("a"), "new");
    assert_eq!(fs::read(store.outside("kept")).unwrap(), b"kept");
    assert_eq!(fs::metadata(store.outside("kept")).unwrap().nlink(), 1);
}

#[test]
fn what_is_in_memory_is_opened_without_the_disk() {
    let store = Store::new();
    store.create("a/b", "x").unwrap();
    // Opening it once brings its whole name into memory.
    let opened = store.folder.open("a/b").unwrap();
    let cached = store.folder.open_cached("a/b").unwrap().unwrap();
    assert_eq!(cached.metadata, opened.metadata);
    assert_eq!(content(&cached), "x");
    assert_refused!(store.folder.open_cached("a/../b"), StoreError::BadName);
}

#[test]
fn nothing_there_is_not_found() {
    let store = Store::new();
    store.create("a", "x").unwrap();
    for name in ["b", "a/b", "a/b/c", "c/d"] {
        assert_refused!(store.folder.open(name), StoreError::NotFound, "{name}");
        assert_refused!(store.folder.stat(name), StoreError::NotFound, "{name}");
        let cached = store.folder.open_cached(name);
        assert!(matches!(cached, Ok(None) | Err(StoreError::NotFound)), "{name}");
    }
}

#[test]
fn a_delete_removes_one_object_once() {
    let store = Store::new();
    store.create("a", "x").unwrap();
    store.create("b", "y").unwrap();
    assert_eq!(store.delete("a").unwrap(), Removed::Yes);
    assert_eq!(store.delete("a").unwrap(), Removed::NothingThere);
    assert_eq!(store.delete("b/c").unwrap(), Removed::NothingThere);
    assert_eq!(store.delete("c/d").unwrap(), Removed::NothingThere);
    assert_eq!(store.entries(), ["b"]);
}
