//! Markers of folders: objects without content whose names end in a slash.

use std::fs;

use super::*;

#[test]
fn a_marker_is_an_object_that_keeps_its_folder() {
    let store = Store::new();
    let attributes =
        Attributes { content_type: Some("application/x-directory".to_owned()), ..Default::default() };
    let finished = store.finished_with("", attributes.clone());
    let published = store.folder.publish(finished, "a/b/", Publish::Create).unwrap();
    assert_eq!((published.size_bytes, published.attributes), (0, attributes));
    assert!(store.folder.probe("a/b/").unwrap().is_some());
    assert_eq!(store.folder.probe("a/").unwrap(), None);
    assert!(matches!(store.folder.stat("a/b"), Err(StoreError::NotFound)));
    assert!(matches!(store.create("a/b/", ""), Err(StoreError::AlreadyExists)));

    store.create("a/b/c", "x").unwrap();
    assert_eq!(store.delete("a/b/c").unwrap(), Removed::Yes);
    assert!(store.path("a/b").is_dir());
    assert_eq!(store.delete("a/b/").unwrap(), Removed::Yes);
    assert!(!store.path("a").exists());
    assert_eq!(store.delete("a/b/").unwrap(), Removed::NothingThere);
}

#[test]
fn a_marker_and_an_object_do_not_share_a_name() {
    let store = Store::new();
    store.create("a", "x").unwrap();
    assert!(matches!(store.create("a/", ""), Err(StoreError::NameConflict)));
    store.create("b/", "").unwrap();
    assert!(matches!(store.create("b", "x"), Err(StoreError::NameConflict)));
    for name in ["/", "a//", "../", "a/../", ".valetkey-x/", "b/.valetkey-folder", "b/.valetkey-folder/"] {
        assert!(matches!(store.create(name, ""), Err(StoreError::BadName)), "{name}");
        assert!(matches!(store.folder.stat(name), Err(StoreError::BadName)), "{name}");
    }
}

#[test]
fn markers_are_listed_before_what_their_folders_hold() {
    let store = Store::new();
    store.create("a/", "").unwrap();
    for name in ["a/!", "a/b", "a-", "a0"] {
        store.plant(name, "x");
    }
    store.create("c/d/", "").unwrap();
    fs::create_dir(store.path("empty")).unwrap();
    // One in the bucket's own folder is the marker of nothing.
    store.plant(".valetkey-folder", "");
    let all = ["a-", "a/", "a/!", "a/b", "a0", "c/d/"];
    assert_eq!(store.page("", "", "", 1000), (all.map(ToOwned::to_owned).to_vec(), false));
    for (at, after) in all.iter().enumerate() {
        assert_eq!(store.page("", "", after, 1000).0, all[at + 1..]);
        assert_eq!(store.page("", "", if at == 0 { "" } else { all[at - 1] }, 1).0, [*after]);
    }
    assert_eq!(store.page("", "/", "", 1000).0, ["a-", "a/", "a0", "c/"]);
    assert_eq!(store.page("a/", "/", "", 1000).0, ["a/", "a/!", "a/b"]);
    assert_eq!(store.page("c/", "/", "", 1000).0, ["c/d/"]);
    assert_eq!(store.page("c/d/", "/", "", 1000).0, ["c/d/"]);
    assert_eq!(store.page("c/d", "", "", 1000).0, ["c/d/"]);
    assert_eq!(store.page("a/b", "", "", 1000).0, ["a/b"]);
}
