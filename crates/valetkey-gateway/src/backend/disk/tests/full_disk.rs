//! A disk that fills up, and disks that offer less than a developer's.
//!
//! Such a disk is mounted in a mount namespace that this test's own process, run again, has to itself.
//! That takes no privilege where users may make namespaces, and leaves nothing mounted.

use std::path::Path;
use std::process::Command;

use super::*;

/// Where the run inside the namespace finds its disk.
const DISK: &str = "VALETKEY_TEST_DISK";

/// Runs the test of this name again with a fresh disk, or its body if this is that run.
fn on_disk(test: &str, options: &str, body: impl FnOnce(&Path)) {
    if let Some(disk) = std::env::var_os(DISK) {
        return body(Path::new(&disk));
    }
    let dir = TempDir::new().unwrap();
    let mount = format!("mount -t tmpfs {options} none \"${DISK}\" && exec \"$0\" \"$@\"");
    let run = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", &mount])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg(format!("backend::disk::tests::full_disk::{test}"))
        .env(DISK, dir.path())
        .output()
        .expect("unshare (util-linux) runs");
    let text = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{text}{}", String::from_utf8_lossy(&run.stderr));
    assert!(text.contains("1 passed"), "{text}");
}

fn pieces(kib: usize) -> [Bytes; 1] {
    [Bytes::from(vec![7; kib * 1024])]
}

#[test]
fn a_full_disk_refuses_and_recovers_and_keeps_what_it_has() {
    let test = "a_full_disk_refuses_and_recovers_and_keeps_what_it_has";
    on_disk(test, "-o size=1m", |disk| {
        let disk = Disk::open(&disk.join("root")).unwrap();
        let folder = disk.folder("").unwrap();
        let put = |name: &str, declared: Option<u64>, kib: usize| {
            let mut upload = folder.begin(declared)?;
            upload.write(&pieces(kib))?;
            let finished = upload.finish(Attributes::default())?;
            folder.publish(finished, name, ALWAYS)
        };
        put("kept", None, 300).unwrap();
        for _ in 0..3 {
            // Known at once, from the declared length; or else as soon as it is full.
            assert_refused!(folder.begin(Some(1 << 20)), StoreError::NoSpace);
            assert_refused!(folder.begin(Some(1 << 40)), StoreError::NoSpace);
            assert_refused!(folder.begin(Some(u64::MAX)), StoreError::NoSpace);
            assert_refused!(put("new", None, 900), StoreError::NoSpace);
            assert_refused!(put("kept", Some(10), 900), StoreError::NoSpace);
            assert_eq!(folder.stat("kept").unwrap().size_bytes, 300 * 1024);
            assert_refused!(folder.stat("new"), StoreError::NotFound);
            // What failed gave its space back.
            put("fits", Some(600 * 1024), 600).unwrap();
            // Reserved is taken.
            assert_refused!(folder.begin(Some(200 * 1024)), StoreError::NoSpace);
            folder.delete("fits", &|_| true).unwrap();
        }
    });
}

#[test]
fn a_failed_write_cannot_be_built_upon() {
    on_disk("a_failed_write_cannot_be_built_upon", "-o size=1m", |disk| {
        let disk = Disk::open(&disk.join("root")).unwrap();
        let folder = disk.folder("").unwrap();
        let mut upload = folder.begin(None).unwrap();
        assert_refused!(upload.write(&pieces(2000)), StoreError::NoSpace);
        assert_refused!(upload.write(&pieces(1)), StoreError::Io { .. });
        assert_eq!(upload.size_bytes(), 0);
        assert_refused!(upload.finish(Attributes::default()), StoreError::Io { .. });
    });
}

#[test]
fn a_disk_without_room_for_another_file_is_full() {
    on_disk("a_disk_without_room_for_another_file_is_full", "-o nr_inodes=8", |disk| {
        let disk = Disk::open(&disk.join("root")).unwrap();
        let folder = disk.folder("").unwrap();
        let finished = folder.begin(None).unwrap().finish(Attributes::default()).unwrap();
        let refused = folder.publish(finished, "a/b/c/d/e/f/g/h", Publish::Create);
        assert_refused!(refused, StoreError::NoSpace);
        let left: Vec<_> = (0..8).map_while(|_| folder.begin(None).ok()).collect();
        assert!(left.len() >= 4, "the folders it made are gone: {}", left.len());
        assert_refused!(folder.begin(None), StoreError::NoSpace);
    });
}

#[test]
fn a_read_only_disk_is_read() {
    on_disk("a_read_only_disk_is_read", "-o size=1m", |mounted| {
        let root = mounted.join("root");
        let folder = Disk::open(&root).unwrap().folder("b/").unwrap();
        let finished = folder.begin(None).unwrap().finish(Attributes::default()).unwrap();
        folder.publish(finished, "a", Publish::Create).unwrap();
        drop(folder);
        let remounted = Command::new("mount").args(["-o", "remount,bind,ro"]).arg(mounted).status().unwrap();
        assert!(remounted.success());
        let disk = Disk::open(&root).unwrap();
        assert!(!disk.capabilities().writable);
        let folder = disk.folder("b/").unwrap();
        assert_eq!(folder.stat("a").unwrap().size_bytes, 0);
        assert_refused!(folder.begin(None), StoreError::Io { .. });
        assert_refused!(folder.delete("a", &|_| true), StoreError::Io { .. });
    });
}

#[test]
fn a_bucket_on_another_disk_than_its_root_is_refused() {
    on_disk("a_bucket_on_another_disk_than_its_root_is_refused", "-o size=1m", |mounted| {
        fs::create_dir_all(mounted.join("root/a")).unwrap();
        let remounted =
            Command::new("mount").args(["-t", "tmpfs", "none"]).arg(mounted.join("root/a")).status().unwrap();
        assert!(remounted.success());
        let disk = Disk::open(&mounted.join("root")).unwrap();
        let refused = disk.folder("a/");
        assert!(
            matches!(refused, Err(crate::backend::disk::OpenError::OtherFileSystem { .. })),
            "{refused:?}"
        );
    });
}

#[test]
fn a_disk_without_extended_attributes_keeps_plain_files() {
    // ramfs has no extended attributes of users.
    on_disk("a_disk_without_extended_attributes_keeps_plain_files", "", |mounted| {
        let ramfs = mounted.join("plain");
        fs::create_dir(&ramfs).unwrap();
        let made = Command::new("mount").args(["-t", "ramfs", "none"]).arg(&ramfs).status().unwrap();
        assert!(made.success());
        let disk = Disk::open(&ramfs).unwrap();
        assert!(!disk.capabilities().attributes);
        let folder = disk.folder("").unwrap();
        let attributes = Attributes { content_type: Some("text/plain".to_owned()), ..Attributes::default() };
        let mut upload = folder.begin(Some(1 << 20)).unwrap();
        upload.write(&pieces(1)).unwrap();
        let finished = upload.finish(attributes).unwrap();
        let published = folder.publish(finished, "a/b", Publish::Create).unwrap();
        assert_eq!(published.digest, None);
        assert_eq!(published.attributes, Attributes::default());
        assert_eq!(folder.stat("a/b").unwrap(), published);
    });
}
