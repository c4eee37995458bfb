//! One suite for every kind of backend: what a client is told and what the store holds does not depend on where the
//! bytes live, but for what stands in [`Kind`].

mod changes;
mod copies;
mod listings;
mod objects;
mod refusals;
mod s3;

use valetkey_tests::expect::accepted;
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::{Answer, Request};
use valetkey_tests::key::Key;
use valetkey_tests::stores::{Azurite, FakeGcs, SeaweedFs, Store};

/// A kind of backend, and all in which it differs from the others.
struct Kind {
    /// The store; `None` for a folder on the local disk.
    store: Option<fn() -> &'static dyn Store>,
    /// The uploads in parts that the store still waits for.
    open_uploads: fn(&str) -> Vec<String>,
    /// Whether a name may have a `\`. Azure reads it as `/`, and so does SeaweedFS.
    backslash: bool,
    /// Whether a segment may end in a dot. Azure drops it.
    dot_at_end: bool,
    /// Whether a segment may have more than 255 bytes. A disk's file names, of which SeaweedFS and the emulator of
    /// Google's store make theirs, do not.
    long_segment: bool,
    /// What an upload to `a` beside `a/b` is told; nothing where it can stand there. In a file system it cannot, and the
    /// emulator of Google's store, which has one below, only says that it failed.
    beside_folder: Option<(u16, &'static str)>,
    /// Whether it takes uploads in parts. The emulator of Google's store has no such calls of XML.
    parts: bool,
    /// Whether the hold is with an object that was made of a client's parts, so that its completion can be asked for
    /// twice. S3 takes what is kept with such an object when its upload begins, before there is a hold.
    completes_twice: bool,
    /// Whether it answers while it receives an upload. The emulator of Google's store answers nobody until that is
    /// whole, so what asks in the middle of a streamed one waits for ever.
    at_once: bool,
}

const DISK: Kind = Kind {
    store: None,
    open_uploads: |_| Vec::new(),
    backslash: true,
    dot_at_end: true,
    long_segment: false,
    beside_folder: Some((409, "name_conflict")),
    parts: true,
    completes_twice: true,
    at_once: true,
};

const SEAWEEDFS: Kind = Kind {
    store: Some(|| SeaweedFs::shared()),
    open_uploads: |bucket| SeaweedFs::shared().open_uploads(bucket),
    backslash: false,
    beside_folder: None,
    completes_twice: false,
    ..DISK
};

const AZURITE: Kind = Kind {
    store: Some(|| Azurite::shared()),
    backslash: false,
    dot_at_end: false,
    long_segment: true,
    beside_folder: None,
    ..DISK
};

const FAKE_GCS: Kind = Kind {
    store: Some(|| FakeGcs::shared()),
    beside_folder: Some((503, "backend_unavailable")),
    parts: false,
    at_once: false,
    ..DISK
};

/// A gateway over a bucket of its own.
struct Place {
    gateway: Gateway,
    kind: &'static Kind,
    bucket: String,
}

impl Place {
    fn new(kind: &'static Kind) -> Self {
        let builder = Gateway::builder();
        let Some(store) = kind.store else {
            return Self { gateway: builder.start(), kind, bucket: String::new() };
        };
        let store = store();
        let bucket = store.bucket();
        let gateway = builder.remote(store, store.address(), &bucket).start();
        Self { gateway, kind, bucket }
    }

    /// A key for everything with this object.
    fn key(name: &str) -> Key {
        Key::new(&format!("/files/{name}"), "delete,read,write")
    }

    /// Asks about an object; `headers` go with it.
    fn ask(&self, method: &str, name: &str, headers: &[(&str, &str)]) -> Answer {
        let request = Request::new(method, Self::key(name).url());
        self.gateway
            .send(&headers.iter().fold(request, |request, (name, value)| request.header(name, *value)))
    }

    fn get(&self, name: &str) -> Answer {
        self.ask("GET", name, &[])
    }

    /// Uploads an object.
    fn send(&self, name: &str, body: &[u8], headers: &[(&str, &str)]) -> Answer {
        let request = Request::put(Self::key(name).url(), body);
        self.gateway
            .send(&headers.iter().fold(request, |request, (name, value)| request.header(name, *value)))
    }

    /// Uploads an object, and returns its entity tag.
    fn put(&self, name: &str, body: &[u8]) -> String {
        let answer = self.send(name, body, &[]);
        accepted(&answer, 200);
        answer.header("etag").unwrap().to_owned()
    }

    /// What the store itself holds, and what it still waits for.
    fn kept(&self) -> Vec<String> {
        let Some(store) = self.kind.store else {
            let root = self.gateway.file_of("");
            let is_file = |name: &String| root.join(name).is_file();
            return self.gateway.stored().into_iter().filter(is_file).collect();
        };
        let mut names = store().list(&self.bucket);
        names.sort();
        names.extend((self.kind.open_uploads)(&self.bucket).iter().map(|name| format!("parts of {name}")));
        names
    }
}

impl Kind {
    /// The lengths of a small body and of one that is streamed, where others may ask meanwhile.
    fn lengths(&self) -> &'static [usize] {
        if self.at_once { &[1000, 300 << 10] } else { &[1000] }
    }
}

/// Bytes that repeat nowhere.
fn bytes(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(b"conformance").finalize_xof().fill(&mut bytes);
    bytes
}

/// The suite, for one kind.
macro_rules! holds_for {
    ($kind:expr, $($part:ident::$rule:ident),+ $(,)?) => {
        $(#[test]
        fn $rule() {
            super::$part::$rule(&super::Place::new(&$kind));
        })+
    };
    ($kind:expr) => {
        holds_for!(
            $kind,
            objects::names_are_kept_apart_and_as_they_are,
            objects::names_that_cannot_be_held_are_refused,
            objects::bodies_of_every_length_come_back,
            objects::what_is_said_of_an_object_comes_back,
            objects::an_entity_tag_is_the_same_everywhere,
            objects::ranges_are_answered_to_the_byte,
            changes::conditions_are_judged,
            changes::a_race_of_creates_has_one_winner,
            changes::a_race_of_replacements_has_one_winner,
            changes::deletes_take_what_is_there,
            changes::parts_become_one_object,
            changes::parts_that_are_given_up_leave_nothing,
            copies::objects_are_copied,
            copies::a_copy_keeps_what_its_source_says_or_says_something_else,
            copies::a_copy_keeps_to_its_conditions,
            copies::a_copy_keeps_to_every_limit_of_an_upload,
            copies::parts_are_copied,
            listings::listings_tell_what_is_there,
            listings::pages_follow_each_other,
            listings::pages_follow_each_other_past_folders,
            listings::pages_miss_no_sibling_of_a_folder,
            listings::a_folder_without_objects_is_not_listed,
            refusals::what_is_too_large_leaves_nothing,
            refusals::what_hashes_to_something_else_leaves_nothing,
            refusals::what_belies_its_type_leaves_nothing,
            refusals::what_breaks_off_leaves_nothing,
            refusals::what_is_revoked_leaves_nothing,
        );
    };
}

mod disk {
    holds_for!(super::DISK);
}

mod seaweedfs {
    holds_for!(super::SEAWEEDFS);
}

mod azurite {
    holds_for!(super::AZURITE);
}

mod fake_gcs {
    holds_for!(super::FAKE_GCS);
}
