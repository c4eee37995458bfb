//! The names that are revoked, as digests.
//!
//! Instead of a name a table holds two hashes of it, 128 bits, under keys that are drawn at the start and told to
//! nobody: no choice of names makes two of them one, nor a table slow. The first hash finds the place; the second is
//! made only where the first agrees, so that a name which is not revoked costs one hash and one look into memory.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::view::Revocable;
use super::{Revocation, Target};
use crate::UnixSeconds;

/// Always, as a moment before which a thing must have been issued to be revoked.
const WHENEVER: u64 = u64::MAX;

/// What is revoked, by kind: a kind of which nothing is costs nothing.
#[derive(Default)]
pub(super) struct Tables {
    keys: [RandomState; 2],
    kinds: [HashTable<Row>; 7],
}

struct Row {
    digest: [u64; 2],
    /// Before when a thing must have been issued to be revoked.
    before: u64,
}

impl Tables {
    pub(super) fn len(&self) -> usize {
        self.kinds.iter().map(HashTable::len).sum()
    }

    /// Whether what bears this name and was issued then is revoked.
    pub(super) fn revokes(&self, name: Revocable<'_>, issued: Option<UnixSeconds>) -> bool {
        match name {
            Revocable::Level(name) => self.hold(Kind::Level, Name::Text(name), issued),
            Revocable::Fingerprint(bytes) => self.hold(Kind::Fingerprint, Name::Bytes(&bytes), issued),
            Revocable::Id { signer, id } => self.hold_of_signer(Kind::Id, signer, id, issued),
            Revocable::Subject { signer, subject } => {
                self.hold_of_signer(Kind::Subject, signer, subject, issued)
            }
            Revocable::Signer(name) => self.hold(Kind::Signer, Name::Text(name), issued),
            Revocable::Policy(name) => self.hold(Kind::Policy, Name::Text(name), issued),
            Revocable::Path(path) => self.hold_path(path, issued),
        }
    }

    /// Sets before when what bears a target's name must have been issued to be revoked (`Some(None)` is whenever), or
    /// that nothing revokes it any more.
    pub(super) fn set(&mut self, target: &Target, revoked: Option<Option<UnixSeconds>>) {
        let (entry, digest) = self.entry(target);
        match (entry, revoked) {
            (Entry::Occupied(mut row), Some(before)) => row.get_mut().before = moment(before),
            (Entry::Occupied(row), None) => drop(row.remove()),
            (Entry::Vacant(place), Some(before)) => {
                place.insert(Row { digest, before: moment(before) });
            }
            (Entry::Vacant(_), None) => {}
        }
    }

    /// Takes the later moment of two.
    pub(super) fn raise(&mut self, row: &Revocation) {
        let before = moment(row.before);
        let (entry, digest) = self.entry(&row.target);
        let row = entry.or_insert(Row { digest, before });
        let known = &mut row.into_mut().before;
        *known = before.max(*known);
    }

    fn entry(&mut self, target: &Target) -> (Entry<'_, Row>, [u64; 2]) {
        let (kind, name) = Name::of(target);
        let digest = self.keys.each_ref().map(|key| name.hash(key));
        let table = &mut self.kinds[kind.place()];
        (table.entry(digest[0], |row| row.digest == digest, |row| row.digest[0]), digest)
    }

    fn hold(&self, kind: Kind, name: Name<'_>, issued: Option<UnixSeconds>) -> bool {
        let table = &self.kinds[kind.place()];
        !table.is_empty() && holds(table, name.hash(&self.keys[0]), || name.hash(&self.keys[1]), issued)
    }

    fn hold_of_signer(&self, kind: Kind, signer: &str, name: &str, issued: Option<UnixSeconds>) -> bool {
        [Some(signer), None].into_iter().any(|signer| self.hold(kind, Name::OfSigner(signer, name), issued))
    }

    /// The path itself and every folder above it, hashed in one pass.
    fn hold_path(&self, path: &str, issued: Option<UnixSeconds>) -> bool {
        let table = &self.kinds[Kind::Path.place()];
        if table.is_empty() {
            return false;
        }
        let (mut hasher, mut end) = (self.keys[0].build_hasher(), 0);
        path.split_inclusive('/').any(|segment| {
            hasher.write(segment.as_bytes());
            end += segment.len();
            holds(table, hasher.finish(), || Name::Path(&path[..end]).hash(&self.keys[1]), issued)
        })
    }
}

fn holds(table: &HashTable<Row>, first: u64, second: impl Fn() -> u64, issued: Option<UnixSeconds>) -> bool {
    let found = table.find(first, |row| row.digest[0] == first && row.digest[1] == second());
    found.is_some_and(|row| row.before == WHENEVER || issued.is_none_or(|issued| issued.0 < row.before))
}

fn moment(before: Option<UnixSeconds>) -> u64 {
    before.map_or(WHENEVER, |before| before.0)
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

impl Kind {
    fn place(self) -> usize {
        match self {
            Self::Level => 0,
            Self::Fingerprint => 1,
            Self::Id => 2,
            Self::Subject => 3,
            Self::Signer => 4,
            Self::Policy => 5,
            Self::Path => 6,
        }
    }
}

/// A name, as it is hashed among those of its kind.
#[derive(Clone, Copy)]
enum Name<'a> {
    Text(&'a str),
    Bytes(&'a [u8; 16]),
    OfSigner(Option<&'a str>, &'a str),
    Path(&'a str),
}

impl<'a> Name<'a> {
    fn of(target: &'a Target) -> (Kind, Self) {
        match target {
            Target::Level(name) => (Kind::Level, Self::Text(name.as_str())),
            Target::Fingerprint(bytes) => (Kind::Fingerprint, Self::Bytes(bytes)),
            Target::Id { signer, id } => (Kind::Id, Self::OfSigner(signer.as_deref(), id)),
            Target::Subject { signer, subject } => {
                (Kind::Subject, Self::OfSigner(signer.as_deref(), subject))
            }
            Target::Signer(name) => (Kind::Signer, Self::Text(name)),
            Target::Policy(name) => (Kind::Policy, Self::Text(name)),
            Target::Path(path) => (Kind::Path, Self::Path(path)),
        }
    }

    fn hash(self, key: &RandomState) -> u64 {
        let mut hasher = key.build_hasher();
        match self {
            Self::Text(text) => hasher.write(text.as_bytes()),
            Self::Bytes(bytes) => hasher.write(bytes),
            Self::OfSigner(signer, name) => {
                hasher.write(signer.unwrap_or("").as_bytes());
                // A byte that no text has, so that no other pair reads the same.
                hasher.write(&[0xff]);
                hasher.write(name.as_bytes());
            }
            // By the segment, as a request's path is taken.
            Self::Path(path) => {
                path.split_inclusive('/').for_each(|segment| hasher.write(segment.as_bytes()));
            }
        }
        hasher.finish()
    }
}
