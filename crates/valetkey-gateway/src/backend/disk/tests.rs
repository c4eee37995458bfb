//! The store against a real file system: both sides of each rule.

mod conflicts;
mod containment;
mod durability;
mod full_disk;
mod listing;
mod markers;
mod objects;
mod parts;
mod races;
mod start;

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tempfile::TempDir;

use super::{
    Attributes, Capabilities, Disk, Finished, Folder, Metadata, Opened, Publish, Removed, StoreError,
};

/// A root with a bucket's folder in it, and a place outside of both.
struct Store {
    dir: TempDir,
    disk: Arc<Disk>,
    folder: Folder,
}

const BUCKET: &str = "tenants/one/";

impl Store {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        let disk = Disk::open(&dir.path().join("root")).unwrap();
        let folder = disk.folder(BUCKET).unwrap();
        Self { dir, disk, folder }
    }

    /// On a file system that offers less than the one of the tests.
    fn lacking(change: impl FnOnce(&mut Capabilities)) -> Self {
        let Self { dir, disk, folder } = Self::new();
        drop(folder);
        let mut disk = Arc::into_inner(disk).unwrap();
        change(&mut disk.capabilities);
        let disk = Arc::new(disk);
        let folder = disk.folder(BUCKET).unwrap();
        Self { dir, disk, folder }
    }

    /// Where an object's file stands.
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("root").join(BUCKET).join(name)
    }

    fn outside(&self, name: &str) -> PathBuf {
        self.dir.path().join("outside").join(name)
    }

    /// Puts a file there as an operator does.
    fn plant(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn plant_fifo(&self, name: &str) {
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, self.path(name), mode).unwrap();
    }

    fn finished(&self, content: &str) -> Finished {
        self.finished_with(content, Attributes::default())
    }

    fn finished_with(&self, content: &str, attributes: Attributes) -> Finished {
        let mut upload = self.folder.begin(None).unwrap();
        upload.write(&[Bytes::copy_from_slice(content.as_bytes())]).unwrap();
        upload.finish(attributes).unwrap()
    }

    fn create(&self, name: &str, content: &str) -> Result<Metadata, StoreError> {
        self.folder.publish(self.finished(content), name, Publish::Create)
    }

    fn replace(&self, name: &str, content: &str) -> Result<Metadata, StoreError> {
        self.folder.publish(self.finished(content), name, ALWAYS)
    }

    fn delete(&self, name: &str) -> Result<Removed, StoreError> {
        self.folder.delete(name, &|_| true)
    }

    fn read(&self, name: &str) -> String {
        content(&self.folder.open(name).unwrap())
    }

    /// How many temporary files stand in the root.
    fn temporaries(&self) -> usize {
        let folder = self.dir.path().join("root/.valetkey-tmp");
        fs::read_dir(folder).unwrap().count()
    }

    /// The entries of the bucket's folder, sorted.
    fn entries(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.path(""))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

const ALWAYS: Publish<'static> = Publish::Replace { guard: &|_| true };

fn content(opened: &Opened) -> String {
    let mut text = String::new();
    opened.file.as_ref().read_to_string(&mut text).unwrap();
    text
}

/// Asserts that a result is this error.
macro_rules! assert_refused {
    ($result:expr, $error:pat $(, $($message:tt)+)?) => {{
        let result = $result;
        assert!(
            matches!(result, Err($error)),
            "{result:?} is not {}{}",
            stringify!($error),
            String::new() $(+ " of " + &format!($($message)+))?
        );
    }};
}
use assert_refused;
