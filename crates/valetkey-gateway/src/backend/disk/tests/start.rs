//! Opening a root, and what is found there.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::backend::disk::OpenError;

fn temporary_folder(store: &Store) -> PathBuf {
    store.dir.path().join("root/.valetkey-tmp")
}

#[test]
fn a_missing_root_is_made_for_the_gateway_alone() {
    let dir = TempDir::new().unwrap();
    let root = dir.path().join("data/objects");
    let disk = Disk::open(&root).unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&root) & 0o077, 0);
    assert_eq!(mode(&root.join(".valetkey-tmp")) & 0o077, 0);
    assert_eq!(
        disk.capabilities(),
        Capabilities { writable: true, attributes: true, rename_noreplace: true }
    );
    assert_eq!(fs::read_dir(root.join(".valetkey-tmp")).unwrap().count(), 0);
}

#[test]
fn a_root_that_is_no_folder_is_refused() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    symlink("nowhere", dir.path().join("dangling")).unwrap();
    for root in ["file", "file/below", "dangling", "dangling/below"] {
        let refused = Disk::open(&dir.path().join(root));
        assert!(matches!(refused, Err(OpenError::Io { .. })), "{root}: {refused:?}");
    }
    assert!(!dir.path().join("nowhere").exists());
}

#[test]
fn left_over_uploads_are_cleared_and_nothing_else() {
    let store = Store::new();
    store.create("a", "kept").unwrap();
    let folder = temporary_folder(&store);
    fs::write(folder.join("upload-0123"), "half").unwrap();
    fs::write(folder.join("notes.txt"), "the operator's").unwrap();
    fs::create_dir(folder.join("upload-folder")).unwrap();
    symlink(store.path("a"), folder.join("upload-link")).unwrap();
    Disk::open(&store.dir.path().join("root")).unwrap();
    let mut left: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["notes.txt", "upload-folder", "upload-link"]);
    assert_eq!(store.read("a"), "kept");
}

#[test]
fn uploads_of_a_running_gateway_are_not_cleared() {
    let store = Store::new();
    let mut upload = store.folder.begin(None).unwrap();
    upload.write(&[Bytes::from_static(b"whole")]).unwrap();
    let finished = store.finished("done");
    Disk::open(&store.dir.path().join("root")).unwrap();
    assert_eq!(store.temporaries(), 2);
    let other = upload.finish(Attributes::default()).unwrap();
    store.folder.publish(other, "a", Publish::Create).unwrap();
    store.folder.publish(finished, "b", Publish::Create).unwrap();
    assert_eq!((store.read("a"), store.read("b")), ("whole".into(), "done".into()));
    assert_eq!(store.temporaries(), 0);
}

#[test]
fn a_dropped_upload_leaves_nothing() {
    let store = Store::new();
    let mut upload = store.folder.begin(Some(1 << 20)).unwrap();
    upload.write(&[Bytes::from_static(b"half")]).unwrap();
    assert_eq!(store.temporaries(), 1);
    drop(upload);
    assert_eq!(store.temporaries(), 0);
    let finished = store.finished("whole");
    assert_eq!(store.temporaries(), 1);
    drop(finished);
    assert_eq!(store.temporaries(), 0);
    assert_eq!(store.entries(), [""; 0]);
}

#[test]
fn a_temporary_folder_that_someone_removed_is_made_again() {
    let store = Store::new();
    fs::remove_dir(temporary_folder(&store)).unwrap();
    store.create("a", "x").unwrap();
    assert_eq!(store.read("a"), "x");
}

#[test]
fn a_temporary_folder_that_is_a_link_is_refused() {
    let dir = TempDir::new().unwrap();
    fs::create_dir_all(dir.path().join("root")).unwrap();
    fs::create_dir(dir.path().join("outside")).unwrap();
    symlink("../outside", dir.path().join("root/.valetkey-tmp")).unwrap();
    let refused = Disk::open(&dir.path().join("root"));
    assert!(matches!(refused, Err(OpenError::Io { .. })), "{refused:?}");
}

#[test]
fn a_prefix_that_is_no_folders_name_is_refused() {
    let store = Store::new();
    fs::write(store.dir.path().join("root/file"), "").unwrap();
    for prefix in ["/", "a", "../", "a//", "a/../b/", "./", ".valetkey-tmp/", "/a/", "a/b"] {
        let refused = store.disk.folder(prefix);
        let is_bad_name = matches!(refused, Err(OpenError::Prefix { source: StoreError::BadName, .. }));
        assert!(is_bad_name, "{prefix}: {refused:?}");
    }
    let refused = store.disk.folder("file/");
    assert!(
        matches!(refused, Err(OpenError::Prefix { source: StoreError::NameConflict, .. })),
        "{refused:?}"
    );
}

#[test]
fn a_bucket_may_be_the_whole_root_without_reaching_our_own_files() {
    let store = Store::new();
    let whole = store.disk.folder("").unwrap();
    store.create("a", "x").unwrap();
    assert_eq!(content(&whole.open("tenants/one/a").unwrap()), "x");
    assert_refused!(whole.open(".valetkey-tmp/x"), StoreError::BadName);
    whole.publish(store.finished("y"), "b", Publish::Create).unwrap();
    assert_eq!(fs::read(store.dir.path().join("root/b")).unwrap(), b"y");
    assert_eq!(whole.delete("b", &|_| true).unwrap(), Removed::Yes);
    assert!(store.dir.path().join("root").exists());
}
