//! A sync that fails, at each of the places where one must not.

use super::*;
use crate::backend::disk::durable::failing;

/// Runs `operation` with its sync number `good` failing.
fn failing_sync<T>(good: usize, operation: impl FnOnce() -> T) -> T {
    failing::after(good);
    let done = operation();
    assert_eq!(failing::call_off(), None, "there was no sync number {good}");
    done
}

/// Asserts that `operation` succeeds, and makes exactly this many syncs.
fn check_syncs(count: usize, operation: impl FnOnce() -> bool) {
    failing::after(count);
    assert!(operation());
    assert_eq!(failing::call_off(), Some(0), "there were not {count} syncs");
}

#[test]
fn an_upload_syncs_its_content_each_new_folder_and_its_name() {
    let store = Store::new();
    check_syncs(4, || store.create("a/b/c", "x").is_ok());
    failing_sync(3, || {
        let refused = store.create("x/y/z", "x");
        assert_refused!(refused, StoreError::Io { .. });
    });
    check_syncs(2, || store.create("a/b/d", "x").is_ok());
    failing_sync(1, || assert_refused!(store.create("a/b/e", "x"), StoreError::Io { .. }));
}

#[test]
fn content_that_is_not_durable_is_no_upload() {
    let store = Store::new();
    let mut upload = store.folder.begin(None).unwrap();
    upload.write(&[Bytes::from_static(b"x")]).unwrap();
    let refused = failing_sync(0, || upload.finish(Attributes::default()));
    assert_refused!(refused, StoreError::Io { .. });
    assert_eq!(store.temporaries(), 0);
}

#[test]
fn a_failed_sync_on_the_way_leaves_nothing_of_a_create() {
    let store = Store::new();
    // Of the first folder, of the second, and of the object's name in it.
    for good in [0, 1, 2] {
        let finished = store.finished("x");
        let refused = failing_sync(good, || store.folder.publish(finished, "a/b/c", Publish::Create));
        assert_refused!(refused, StoreError::Io { .. });
        assert_eq!(store.entries(), [""; 0]);
        assert_eq!(store.temporaries(), 0);
    }
    assert_eq!(store.create("a/b/c", "y").unwrap().size_bytes, 1);
}

#[test]
fn a_failed_sync_of_a_replaced_name_is_unsettled() {
    let store = Store::new();
    store.create("a/b", "old").unwrap();
    let finished = store.finished("new");
    let refused = failing_sync(0, || store.folder.publish(finished, "a/b", ALWAYS));
    assert_refused!(refused, StoreError::Unsettled { .. });
    // It cannot be undone, and says so: the old object is gone.
    assert_eq!(store.read("a/b"), "new");
    assert_eq!(store.temporaries(), 0);
}

#[test]
fn a_failed_sync_of_a_new_name_is_taken_back_from_a_replace_too() {
    let store = Store::new();
    let finished = store.finished("new");
    let refused = failing_sync(2, || store.folder.publish(finished, "a/b/c", ALWAYS));
    assert_refused!(refused, StoreError::Io { .. });
    assert_eq!(store.entries(), [""; 0]);
}

#[test]
fn a_failed_sync_of_a_delete_is_unsettled() {
    let store = Store::new();
    store.create("a/b", "x").unwrap();
    let refused = failing_sync(0, || store.delete("a/b"));
    assert_refused!(refused, StoreError::Unsettled { .. });
    assert_refused!(store.folder.open("a/b"), StoreError::NotFound);
}

#[test]
fn a_delete_syncs_once_whatever_it_prunes() {
    let store = Store::new();
    store.create("a/b/c", "x").unwrap();
    store.create("d", "x").unwrap();
    check_syncs(1, || store.delete("a/b/c").is_ok());
    check_syncs(1, || store.delete("d").is_ok());
    check_syncs(0, || store.delete("d").is_ok());
}

#[test]
fn a_folder_that_someone_else_is_making_is_synced_before_it_is_used() {
    let store = Store::new();
    fs::create_dir_all(store.path("a/b")).unwrap();
    let announcement = store.disk.announced.announce(&store.folder, "a");
    let other = store.disk.announced.announce(&store.folder, "other");
    check_syncs(3, || store.create("a/b/c", "x").is_ok());
    failing_sync(1, || assert_refused!(store.create("a/b/d", "x"), StoreError::Io { .. }));
    // Also where the rest of the way is still to be made.
    check_syncs(4, || store.create("a/new/c", "x").is_ok());
    drop(announcement);
    check_syncs(2, || store.create("a/b/e", "x").is_ok());
    drop(other);
}

#[test]
fn no_error_names_a_path() {
    let store = Store::new();
    fs::remove_dir_all(store.path("")).unwrap();
    let error = store.create("a/b", "x").unwrap_err();
    let text = format!("{error} {error:?}");
    assert_refused!(Err::<(), _>(error), StoreError::Io { .. });
    assert!(!text.contains('/') && !text.contains("root"), "{text}");
}
