//! Parts: kept aside, gone on with, put together.

use super::*;
use crate::backend::disk::{StoredPart, Upload};

const SESSION: &str = "00000000000000ab-1f";

fn written(mut upload: Upload, content: &str) -> Upload {
    upload.write(&[Bytes::copy_from_slice(content.as_bytes())]).unwrap();
    upload
}

fn put(store: &Store, part: &str, content: &str) -> StoredPart {
    let kept = written(store.folder.begin_part(SESSION, part, None).unwrap(), content).keep().unwrap();
    assert_eq!(kept.digest, *blake3::hash(content.as_bytes()).as_bytes());
    StoredPart { name: part.to_owned(), bytes: kept.size_bytes }
}

/// Puts parts together and publishes them, and says what was seen on the way.
fn publish(store: &Store, parts: &[StoredPart], name: &str) -> Result<(Metadata, Vec<u8>), StoreError> {
    let mut seen = Vec::new();
    let upload = store.folder.assemble(SESSION, parts, |piece| {
        seen.extend_from_slice(&piece);
        Ok::<_, StoreError>(())
    })?;
    let finished = upload.finish(Attributes::default())?;
    Ok((store.folder.publish(finished, name, Publish::Create)?, seen))
}

fn files(store: &Store) -> Vec<String> {
    let folder = store.dir.path().join("root/.valetkey-sessions").join(SESSION);
    let mut names: Vec<_> = fs::read_dir(folder)
        .map(|entries| entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect())
        .unwrap_or_default();
    names.sort();
    names
}

#[test]
fn parts_become_one_object_in_the_order_that_is_said() {
    let store = Store::new();
    let large = "x".repeat((1 << 20) + 5);
    let parts = [put(&store, "2-1", "world"), put(&store, "1-2", &large), put(&store, "3-3", "")];
    let order = [parts[1].clone(), parts[0].clone(), parts[2].clone()];
    let (metadata, seen) = publish(&store, &order, "a").unwrap();
    let whole = format!("{large}world");
    assert_eq!(store.read("a"), whole);
    assert_eq!(seen, whole.as_bytes());
    assert_eq!(metadata.digest, Some(*blake3::hash(whole.as_bytes()).as_bytes()));
    assert_eq!(store.temporaries(), 0);
    store.folder.remove_session(SESSION);
    assert_eq!(files(&store), [""; 0]);
    assert_eq!(store.read("a"), whole);
}

#[test]
fn no_part_is_an_empty_object_and_one_part_is_the_object() {
    let store = Store::new();
    publish(&store, &[], "empty").unwrap();
    assert_eq!(store.read("empty"), "");
    let only = put(&store, "1-1", "content");
    let (metadata, seen) = publish(&store, &[only], "a").unwrap();
    assert_eq!((store.read("a").as_str(), seen.as_slice()), ("content", b"content".as_slice()));
    assert_eq!(metadata.digest, Some(*blake3::hash(b"content").as_bytes()));
    store.folder.remove_session(SESSION);
    assert_eq!(store.read("a"), "content");
    assert_eq!(store.temporaries(), 0);
}

#[test]
fn refused_object_leaves_its_parts() {
    let store = Store::new();
    for parts in
        [vec![put(&store, "1-1", "one")], vec![put(&store, "2-2", "two"), put(&store, "3-3", "three")]]
    {
        let refused = store.folder.assemble(SESSION, &parts, |_| Err(StoreError::PreconditionFailed));
        assert_refused!(refused, StoreError::PreconditionFailed);
        assert_eq!(store.temporaries(), 0);
        publish(&store, &parts, &parts[0].name).unwrap();
    }
    assert_eq!((store.read("1-1"), store.read("2-2")), ("one".into(), "twothree".into()));
}

#[test]
fn part_goes_on_at_its_end_and_over_what_broke_off() {
    let store = Store::new();
    put(&store, "1-1", "abc");
    drop(written(store.folder.append_part(SESSION, "1-1", 3, Some(1 << 20)).unwrap(), "broken off"));
    let upload = store.folder.append_part(SESSION, "1-1", 3, None).unwrap();
    assert_eq!(written(upload, "def").keep().unwrap().size_bytes, 6);
    drop(written(store.folder.append_part(SESSION, "1-1", 6, None).unwrap(), "broken off"));
    publish(&store, &[StoredPart { name: "1-1".to_owned(), bytes: 6 }], "a").unwrap();
    assert_eq!(store.read("a"), "abcdef");
}

#[test]
fn part_that_is_gone_or_cut_short_is_refused() {
    let store = Store::new();
    let part = put(&store, "1-1", "abc");
    let longer = StoredPart { bytes: 4, ..part.clone() };
    assert_refused!(publish(&store, &[longer], "a"), StoreError::Io { .. });
    assert_refused!(store.folder.append_part(SESSION, "1-1", 4, None), StoreError::Io { .. });
    store.folder.remove_part(SESSION, "1-1");
    assert_refused!(publish(&store, std::slice::from_ref(&part), "a"), StoreError::NotFound);
    assert_refused!(publish(&store, &[part.clone(), part], "a"), StoreError::NotFound);
    assert_refused!(store.folder.append_part(SESSION, "1-1", 3, None), StoreError::NotFound);
}

#[test]
fn names_that_are_not_ours_lead_nowhere() {
    let store = Store::new();
    for name in ["", "..", ".", "a/b", "A", "x", "../../tenants"] {
        assert_refused!(store.folder.begin_part(name, "1-1", None), StoreError::BadName, "{name}");
        assert_refused!(store.folder.begin_part(SESSION, name, None), StoreError::BadName, "{name}");
    }
}

#[test]
fn dropped_part_leaves_nothing_and_a_start_keeps_what_is_wanted() {
    let store = Store::new();
    drop(written(store.folder.begin_part(SESSION, "1-1", None).unwrap(), "half"));
    assert_eq!(files(&store), [""; 0]);
    put(&store, "1-2", "kept");
    put(&store, "2-3", "left over");
    let others = store.dir.path().join("root/.valetkey-sessions/00000000000000cd-1f");
    fs::create_dir(&others).unwrap();
    store.folder.keep_sessions("00000000000000ab-", |_| Some(vec!["1-2".to_owned()])).unwrap();
    assert_eq!(files(&store), ["1-2"]);
    store.folder.keep_sessions("00000000000000ab-", |_| None).unwrap();
    assert_eq!(files(&store), [""; 0]);
    assert!(others.exists(), "another gateway's");
    assert_refused!(store.folder.open(".valetkey-sessions"), StoreError::BadName | StoreError::NotFound);
}
