//! The revocations in force, in memory: what every request is compared with.
//!
//! A table for each kind of target holds, instead of a name, 128 bits of two keyed hashes of it: under keys that are
//! drawn at the start and told to nobody, no choice of names makes two of them one, nor one table slow. A kind of
//! which nothing is revoked costs a request nothing, and while nothing at all is revoked there is not even a lock.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher, Hash, Hasher, RandomState};
use std::sync::PoisonError;

use tokio::sync::watch;

use super::{Revocation, Target};
use crate::UnixSeconds;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{RwLock, RwLockReadGuard};

/// One name by which a request may be revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocable<'a> {
    /// A level of its key, by its name.
    Level(&'a str),
    /// A level of its key, by its fingerprint.
    Fingerprint([u8; 16]),
    /// The id of its base level.
    Id {
        /// The signer.
        signer: &'a str,
        /// The id.
        id: &'a str,
    },
    /// The subject that its key names.
    Subject {
        /// The signer.
        signer: &'a str,
        /// The subject.
        subject: &'a str,
    },
    /// Its signer.
    Signer(&'a str),
    /// A policy that bounds it.
    Policy(&'a str),
    /// What it asks for: the path itself, and every folder above it.
    Path(&'a str),
}

/// The revocations in force, shared by all who ask. Every change is in it before the ledger's answer is given.
pub struct RevocationView {
    is_empty: AtomicBool,
    tables: RwLock<Tables>,
    cleared_before: AtomicU64,
    changes: watch::Sender<u64>,
}

/// What becomes of one target: `None` where nothing revokes it any more, else before when it must have been issued.
pub(crate) struct Change {
    pub(crate) target: Target,
    pub(crate) revoked: Option<Option<UnixSeconds>>,
}

impl RevocationView {
    pub(crate) fn new() -> Self {
        Self {
            is_empty: AtomicBool::new(true),
            tables: RwLock::new(Tables::default()),
            cleared_before: AtomicU64::new(0),
            changes: watch::Sender::new(0),
        }
    }

    /// The revocations as they are now; `None` while there are none. Whoever holds it holds up changes, so it is to
    /// be dropped at once.
    pub fn read(&self) -> Option<Reading<'_>> {
        match self.is_empty.load(Ordering::Acquire) {
            true => None,
            false => Some(Reading(self.tables.read().unwrap_or_else(PoisonError::into_inner))),
        }
    }

    /// Keys that ended before this moment open nothing more, whatever the clock says: what revoked them may be gone.
    pub fn cleared_before(&self) -> UnixSeconds {
        UnixSeconds(self.cleared_before.load(Ordering::Relaxed))
    }

    /// Tells of every change from now on.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// How many targets are revoked.
    pub fn len(&self) -> usize {
        self.read().map_or(0, |reading| reading.0.kinds.iter().map(HashMap::len).sum())
    }

    /// Whether nothing is revoked.
    pub fn is_empty(&self) -> bool {
        self.is_empty.load(Ordering::Acquire)
    }

    pub(crate) fn clear_before(&self, moment: UnixSeconds) {
        self.cleared_before.store(moment.0, Ordering::Relaxed);
    }

    /// Adds rows that were read at the start, each of which may be one of several of its target.
    pub(crate) fn load(&self, rows: Vec<Revocation>) {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        for row in rows {
            tables.raise(&row);
        }
        self.is_empty.store(false, Ordering::Release);
    }

    pub(crate) fn apply(&self, changes: impl IntoIterator<Item = Change>) {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            tables.apply(&change);
        }
        self.is_empty.store(tables.kinds.iter().all(HashMap::is_empty), Ordering::Release);
        drop(tables);
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// The revocations at one moment.
pub struct Reading<'a>(RwLockReadGuard<'a, Tables>);

impl Reading<'_> {
    /// Whether what bears this name and was issued then is revoked. What does not say when it was issued is.
    pub fn revokes(&self, name: Revocable<'_>, issued: Option<UnixSeconds>) -> bool {
        let tables = &*self.0;
        match name {
            Revocable::Level(name) => tables.holds(Kind::Level, issued, |digest| digest.text(name)),
            Revocable::Fingerprint(bytes) => {
                tables.holds(Kind::Fingerprint, issued, |digest| digest.bytes(&bytes))
            }
            Revocable::Id { signer, id } => tables.holds_of_signer(Kind::Id, signer, id, issued),
            Revocable::Subject { signer, subject } => {
                tables.holds_of_signer(Kind::Subject, signer, subject, issued)
            }
            Revocable::Signer(name) => tables.holds(Kind::Signer, issued, |digest| digest.text(name)),
            Revocable::Policy(name) => tables.holds(Kind::Policy, issued, |digest| digest.text(name)),
            Revocable::Path(path) => tables.hold_path(path, issued),
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Level,
    Fingerprint,
    Id,
    Subject,
    Signer,
    Policy,
    Path,
}

/// By the digest of its name, before when a thing must have been issued to be revoked; [`WHENEVER`] is always.
type Table = HashMap<Digest, u64, BuildHasherDefault<First>>;

const WHENEVER: u64 = u64::MAX;

#[derive(Default)]
struct Tables {
    keys: [RandomState; 2],
    kinds: [Table; 7],
}

impl Tables {
    fn apply(&mut self, change: &Change) {
        let (kind, digest) = self.digest(&change.target);
        let table = &mut self.kinds[place(kind)];
        match change.revoked {
            Some(before) => table.insert(digest, moment(before)),
            None => table.remove(&digest),
        };
    }

    /// Takes the later moment of two.
    fn raise(&mut self, row: &Revocation) {
        let (kind, digest) = self.digest(&row.target);
        let before = self.kinds[place(kind)].entry(digest).or_default();
        *before = moment(row.before).max(*before);
    }

    fn digest(&self, target: &Target) -> (Kind, Digest) {
        let digest = Digesting::begin(&self.keys);
        let (kind, digest) = match target {
            Target::Level(name) => (Kind::Level, digest.text(name.as_str())),
            Target::Fingerprint(bytes) => (Kind::Fingerprint, digest.bytes(bytes)),
            Target::Id { signer, id } => (Kind::Id, digest.of_signer(signer.as_deref(), id)),
            Target::Subject { signer, subject } => {
                (Kind::Subject, digest.of_signer(signer.as_deref(), subject))
            }
            Target::Signer(name) => (Kind::Signer, digest.text(name)),
            Target::Policy(name) => (Kind::Policy, digest.text(name)),
            // By the segment, as a request's path is taken.
            Target::Path(path) => {
                (Kind::Path, path.split_inclusive('/').fold(digest, |digest, segment| digest.text(segment)))
            }
        };
        (kind, digest.end())
    }

    fn holds(
        &self,
        kind: Kind,
        issued: Option<UnixSeconds>,
        name: impl FnOnce(Digesting) -> Digesting,
    ) -> bool {
        let table = &self.kinds[place(kind)];
        !table.is_empty() && found(table, &name(Digesting::begin(&self.keys)), issued)
    }

    fn holds_of_signer(&self, kind: Kind, signer: &str, name: &str, issued: Option<UnixSeconds>) -> bool {
        [Some(signer), None]
            .into_iter()
            .any(|signer| self.holds(kind, issued, |digest| digest.of_signer(signer, name)))
    }

    fn hold_path(&self, path: &str, issued: Option<UnixSeconds>) -> bool {
        let table = &self.kinds[place(Kind::Path)];
        if table.is_empty() {
            return false;
        }
        let mut digest = Digesting::begin(&self.keys);
        path.split_inclusive('/').any(|segment| {
            digest = digest.clone().text(segment);
            found(table, &digest, issued)
        })
    }
}

fn moment(before: Option<UnixSeconds>) -> u64 {
    before.map_or(WHENEVER, |before| before.0)
}

fn place(kind: Kind) -> usize {
    match kind {
        Kind::Level => 0,
        Kind::Fingerprint => 1,
        Kind::Id => 2,
        Kind::Subject => 3,
        Kind::Signer => 4,
        Kind::Policy => 5,
        Kind::Path => 6,
    }
}

fn found(table: &Table, digest: &Digesting, issued: Option<UnixSeconds>) -> bool {
    table
        .get(&digest.clone().end())
        .is_some_and(|before| *before == WHENEVER || issued.is_none_or(|issued| issued.0 < *before))
}

/// Two keyed hashes of one text.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Digest([u64; 2]);

impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0[0]);
    }
}

/// A digest is as good as random already.
#[derive(Default)]
struct First(u64);

impl Hasher for First {
    fn write(&mut self, _: &[u8]) {
        unreachable!("only a digest is hashed, as one number");
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[derive(Clone)]
struct Digesting([DefaultHasher; 2]);

impl Digesting {
    fn begin(keys: &[RandomState; 2]) -> Self {
        Self([keys[0].build_hasher(), keys[1].build_hasher()])
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        for hasher in &mut self.0 {
            hasher.write(bytes);
        }
        self
    }

    fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    /// A byte that no text has stands between the two, so that no other pair reads the same.
    fn of_signer(self, signer: Option<&str>, name: &str) -> Self {
        self.text(signer.unwrap_or("")).bytes(&[0xff]).text(name)
    }

    fn end(self) -> Digest {
        let [first, second] = self.0;
        Digest([first.finish(), second.finish()])
    }
}
