//! A full disk, as a small tmpfs: said plainly, nothing lost, and over when there is space again.

use std::path::Path;
use std::process::Command;

use valetkey_tests::expect::{accepted, refused, refused_in_words};
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::{Request, chunked};
use valetkey_tests::key::Key;

/// A mounted tmpfs of 4 MiB; unmounted and removed at the end.
pub(super) struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"])
            .arg(folder.path())
            .status()
            .unwrap();
        assert!(status.success(), "mounting a small disk needs root");
        Self(folder)
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let status = Command::new("umount").arg("-l").arg(self.path()).status();
        assert!(status.is_ok_and(|status| status.success()) || std::thread::panicking(), "unmount");
    }
}

#[test]
fn full_disk_refuses_uploads_and_loses_nothing() {
    let disk = SmallDisk::new();
    let gateway = Gateway::builder().store(disk.path()).start();
    let key = |object: &str| Key::new(object, "delete,read,write");
    accepted(&gateway.send(&Request::put(key("/files/old").url(), "the old object")), 200);
    accepted(&gateway.send(&Request::put(key("/files/filler").url(), vec![1; 2 << 20])), 200);
    let before = gateway.stored();
    let big = vec![2; 3 << 20];
    for object in ["/files/new/one", "/files/old"] {
        let counted = key(object).set("uses", "2").set("id", &object.replace('/', "."));
        let declared = gateway.send(&Request::put(counted.url(), big.clone()));
        refused_in_words(&declared, 507, "quota_exceeded");
        let framed =
            Request::put(counted.url(), chunked(&big, 65_536)).header("Transfer-Encoding", "chunked");
        refused_in_words(&gateway.send(&framed), 507, "quota_exceeded");
        assert_eq!(gateway.stored(), before, "nothing of it is left");
        // Refused uploads took no use.
        accepted(&gateway.send(&Request::put(counted.url(), "small")), 200);
        accepted(&gateway.send(&Request::put(counted.url(), "the old object")), 200);
        refused(&gateway.send(&Request::put(counted.url(), "third")), 403, "uses_exhausted");
        if object != "/files/old" {
            accepted(&gateway.send(&Request::delete(key(object).url())), 204);
        }
    }
    assert_eq!(gateway.get(key("/files/old").url()).body, b"the old object");
    accepted(&gateway.send(&Request::delete(key("/files/filler").url())), 204);
    accepted(&gateway.send(&Request::put(key("/files/new/one").url(), big.clone())), 200);
    assert_eq!(gateway.get(key("/files/new/one").url()).body, big);
}
