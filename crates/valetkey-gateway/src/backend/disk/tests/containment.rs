//! Symbolic links, planted by whoever can write to the disk: never followed, replaced or removed.

use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;

/// Asserts that no operation on `name` finds anything, and that none changes anything.
fn check_dead_end(store: &Store, name: &str) {
    assert_refused!(store.folder.open(name), StoreError::NotFound, "{name}");
    assert_refused!(store.folder.stat(name), StoreError::NotFound, "{name}");
    let cached = store.folder.open_cached(name);
    assert!(matches!(cached, Ok(None) | Err(StoreError::NotFound)), "{name}: {cached:?}");
    assert_refused!(store.folder.probe(name), StoreError::NotFound, "{name}");
    assert_refused!(store.create(name, "evil"), StoreError::NotFound, "{name}");
    assert_refused!(store.replace(name, "evil"), StoreError::NotFound, "{name}");
    assert_refused!(store.delete(name), StoreError::NotFound, "{name}");
    assert!(!store.folder.find_hold(name, "h").unwrap());
    assert_eq!(store.temporaries(), 0);
}

#[test]
fn a_link_as_the_last_segment_leads_nowhere() {
    let store = Store::new();
    fs::write(store.outside("secret"), "secret").unwrap();
    store.plant("inside", "inside");
    symlink(store.outside("secret"), store.path("absolute")).unwrap();
    symlink("../../../outside/secret", store.path("relative")).unwrap();
    symlink("inside", store.path("harmless")).unwrap();
    symlink("nothing", store.path("dangling")).unwrap();
    symlink("loop", store.path("loop")).unwrap();
    symlink(store.outside(""), store.path("folder")).unwrap();
    let names = ["absolute", "dangling", "folder", "harmless", "loop", "relative"];
    for name in names {
        check_dead_end(&store, name);
        assert!(store.path(name).is_symlink(), "{name} stays");
    }
    assert_eq!(fs::read(store.outside("secret")).unwrap(), b"secret");
    assert_eq!(store.read("inside"), "inside");
    assert!(!store.path("nothing").exists());
}

#[test]
fn a_link_on_the_way_leads_nowhere() {
    let store = Store::new();
    fs::write(store.outside("secret"), "secret").unwrap();
    store.plant("real/file", "inside");
    fs::create_dir(store.path("a")).unwrap();
    symlink(store.outside(""), store.path("a/out")).unwrap();
    symlink("../real", store.path("a/in")).unwrap();
    for name in ["a/out/secret", "a/out/new", "a/out/new/er", "a/in/file", "a/in/new", "a/in/n/m"] {
        check_dead_end(&store, name);
    }
    let outside: Vec<_> = fs::read_dir(store.outside("")).unwrap().collect();
    assert_eq!(outside.len(), 1, "nothing was made outside");
    assert_eq!(fs::read(store.outside("secret")).unwrap(), b"secret");
    assert_eq!(store.read("real/file"), "inside");
}

#[test]
fn a_magic_link_of_procfs_leads_nowhere() {
    let dir = TempDir::new().unwrap();
    // The whole of procfs as a root: it is full of links that jump without a path.
    let folder = Folder {
        disk: Disk::open(&dir.path().join("root")).unwrap(),
        descriptor: Arc::new(fs::File::open("/proc").unwrap().into()),
        prefix: Arc::from(""),
    };
    for name in ["self/root/etc/passwd", "self/exe", "self/cwd/Cargo.toml", "thread-self/exe"] {
        assert_refused!(folder.open(name), StoreError::NotFound, "{name}");
    }
}

#[test]
fn a_bucket_does_not_lead_through_a_link_and_the_root_may() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("disk")).unwrap();
    symlink("disk", dir.path().join("root")).unwrap();
    let disk = Disk::open(&dir.path().join("root")).unwrap();
    symlink("/", dir.path().join("disk/out")).unwrap();
    for prefix in ["out/", "out/tmp/"] {
        let refused = disk.folder(prefix);
        assert!(matches!(
            refused,
            Err(crate::backend::disk::OpenError::Prefix { source: StoreError::NotFound, .. })
        ));
    }
    assert!(disk.folder("in/").is_ok());
    assert!(dir.path().join("disk/in").is_dir());
}

/// Someone swaps a folder for a link to the outside and back, as fast as they can.
#[test]
fn a_folder_swapped_for_a_link_while_publishing_lets_nothing_out() {
    const ROUNDS: usize = 300;
    let store = Store::new();
    fs::write(store.outside("x"), "outside").unwrap();
    store.plant("a/keep", "keep");
    symlink(store.outside(""), store.path("link")).unwrap();
    let exchange = || {
        rustix::fs::renameat_with(
            rustix::fs::CWD,
            store.path("a"),
            rustix::fs::CWD,
            store.path("link"),
            rustix::fs::RenameFlags::EXCHANGE,
        )
        .unwrap();
    };
    let done = AtomicBool::new(false);
    let mut stored = 0;
    let mut refused = 0;
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                exchange();
            }
        });
        for round in 0..ROUNDS {
            for name in ["a/x", "a/new/y"] {
                match store.replace(name, &round.to_string()) {
                    Ok(_) => stored += 1,
                    Err(StoreError::NotFound) => refused += 1,
                    Err(error) => panic!("{error:?}"),
                }
                match store.folder.open(name) {
                    Ok(opened) => assert_ne!(content(&opened), "outside"),
                    Err(StoreError::NotFound) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
            match store.delete("a/x") {
                Ok(_) | Err(StoreError::NotFound) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(stored > 0 && refused > 0, "{stored} stored, {refused} refused");
    assert_eq!(fs::read(store.outside("x")).unwrap(), b"outside");
    let outside: Vec<_> = fs::read_dir(store.outside("")).unwrap().collect();
    assert_eq!(outside.len(), 1, "{outside:?}");
    assert_eq!(store.temporaries(), 0);
}
