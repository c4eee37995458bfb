//! The keys that were used lately, since the gateway started: what an operator may want to see, and no judge of
//! anything.
//!
//! It never holds a signature or a URL. It is bounded, and lets go of what was not seen for longest: whoever has a key
//! can make any number of narrowings of it and fill it with them, at the cost of the others' entries only.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use valetkey::{Client, Dialect, Fingerprint, Grant, MeterName, Timestamp};

/// So many locks that workers seldom meet at one.
const SHARDS: usize = 16;

/// How many keys a shard holds in each of its two generations: 65,536 in all, which take 20 MiB as keys usually are
/// and at most 100 MiB.
const GENERATION: usize = 2048;

/// A key that was used, whose signature held and that was within its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecentKey {
    /// The fingerprint of its last level, the newest where it was renewed.
    pub(crate) fingerprint: Fingerprint,
    /// The name of its last level, under which it is counted and revoked.
    pub(crate) name: MeterName,
    pub(crate) dialect: Dialect,
    pub(crate) signer: String,
    pub(crate) subject: Option<String>,
    /// The issuer's own name for it.
    pub(crate) id: Option<String>,
    /// The stored policy that it names itself.
    pub(crate) policy: Option<String>,
    /// The first second at which it opens nothing new.
    pub(crate) end: Timestamp,
    /// When it was first used, as far as it was not forgotten since.
    pub(crate) first_seen: Timestamp,
    /// When it was last used.
    pub(crate) last_seen: Timestamp,
    /// From where it was last used.
    pub(crate) last_client: Option<IpAddr>,
    /// How many requests it made, as far as it was not forgotten since.
    pub(crate) requests: u64,
}

/// The keys that were used lately.
#[derive(Debug, Default)]
pub(crate) struct RecentKeys {
    shards: [Mutex<Shard>; SHARDS],
    /// Keyed at random, so that nobody can choose names that all meet at one lock.
    hasher: RandomState,
}

/// Two generations: what is used moves into the young one, and when that is full, the old one is let go of and the
/// young one grows old. So nothing is ever searched for what to let go of.
#[derive(Debug, Default)]
struct Shard {
    young: HashMap<MeterName, RecentKey>,
    old: HashMap<MeterName, RecentKey>,
}

impl RecentKeys {
    /// Notes that a key is used.
    pub(crate) fn note(&self, grant: &Grant, client: Client, now: Timestamp) {
        let name = name_of(grant);
        let mut shard = self.shard(name).lock().unwrap_or_else(PoisonError::into_inner);
        match shard.young.get_mut(name) {
            Some(seen) => seen.again(grant, client, now),
            None => shard.bring(grant, now).again(grant, client, now),
        }
    }

    /// All of them, in no order.
    pub(crate) fn all(&self) -> Vec<RecentKey> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            all.extend(shard.young.values().chain(shard.old.values()).cloned());
        }
        all
    }

    /// When a key whose last level has this name was last used.
    pub(crate) fn last_seen(&self, name: &MeterName) -> Option<Timestamp> {
        self.fold(
            None,
            |latest, key| if key.name == *name { latest.max(Some(key.last_seen)) } else { latest },
        )
    }

    /// The name of the last level of the key that was last seen with this fingerprint.
    pub(crate) fn name_of(&self, fingerprint: Fingerprint) -> Option<MeterName> {
        self.fold(None, |found, key| {
            found.or_else(|| (key.fingerprint == fingerprint).then(|| key.name.clone()))
        })
    }

    /// How many of the keys that name `policy` were used within `window` before `now`.
    pub(crate) fn naming(&self, policy: &str, window: Duration, now: Timestamp) -> usize {
        let is_one =
            |key: &RecentKey| key.policy.as_deref() == Some(policy) && key.last_seen.plus(window) >= now;
        self.fold(0, |count, key| count + usize::from(is_one(key)))
    }

    fn fold<T>(&self, start: T, mut step: impl FnMut(T, &RecentKey) -> T) -> T {
        self.shards.iter().fold(start, |value, shard| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.young.values().chain(shard.old.values()).fold(value, &mut step)
        })
    }

    fn shard(&self, name: &MeterName) -> &Mutex<Shard> {
        let [byte, ..] = self.hasher.hash_one(name).to_le_bytes();
        &self.shards[usize::from(byte) % SHARDS]
    }
}

impl Shard {
    /// Brings a key that is not among the young into their generation.
    fn bring(&mut self, grant: &Grant, now: Timestamp) -> &mut RecentKey {
        let name = name_of(grant);
        let key = self.old.remove(name).unwrap_or_else(|| entry(grant, now));
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.entry(name.clone()).or_insert(key)
    }
}

impl RecentKey {
    fn again(&mut self, grant: &Grant, client: Client, now: Timestamp) {
        self.last_seen = self.last_seen.max(now);
        self.last_client = client.address;
        self.requests = self.requests.saturating_add(1);
        // It may have been renewed, or a policy edited.
        (self.fingerprint, self.end) = (grant.fingerprint(), grant.end());
    }
}

/// The name of a grant's last level: what a renewed key and all that one signer signs in headers have in common.
fn name_of(grant: &Grant) -> &MeterName {
    &grant.levels().last().expect("a grant has a level").name
}

fn entry(grant: &Grant, now: Timestamp) -> RecentKey {
    RecentKey {
        fingerprint: grant.fingerprint(),
        name: name_of(grant).clone(),
        dialect: grant.dialect(),
        signer: grant.signer().to_owned(),
        subject: grant.subject().map(str::to_owned),
        id: grant.id().map(str::to_owned),
        policy: grant.policy().map(str::to_owned),
        end: grant.end(),
        first_seen: now,
        last_seen: now,
        last_client: None,
        requests: 0,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use valetkey::{Claims, ResourcePath, Secret, SignerSecrets, Verb, Verbs, key, mint};

    const NOW: Timestamp = Timestamp::from_unix(1_795_305_600);
    const CLIENT: Client = Client { address: None, is_secure: false };

    fn grant(number: usize, policy: Option<&str>) -> Grant {
        let path = ResourcePath::from_text("/files/a").unwrap();
        let secrets = SignerSecrets { current: Secret::new(b"of these tests"), previous: None };
        let claims = Claims {
            id: Some(format!("n{number}")),
            policy: policy.map(str::to_owned),
            ..Claims::new(Verbs::only(Verb::Read), NOW.plus(Duration::from_secs(60)))
        };
        let query = mint("web", &path, &claims, &secrets.current).unwrap();
        let presented = key::decode(&query, Some(&path)).unwrap().unwrap();
        Grant::from(presented.verify(Some(&secrets)).unwrap())
    }

    #[test]
    fn a_key_is_seen_once_however_often_it_is_used() {
        let recent = RecentKeys::default();
        let later = NOW.plus(Duration::from_secs(5));
        recent.note(&grant(1, None), CLIENT, NOW);
        recent.note(&grant(1, None), CLIENT, later);
        // A clock that was set back makes nothing older.
        recent.note(&grant(1, None), CLIENT, NOW);
        let all = recent.all();
        assert_eq!((all.len(), all[0].requests), (1, 3));
        assert_eq!((all[0].first_seen, all[0].last_seen), (NOW, later));
        assert_eq!(recent.last_seen(&all[0].name), Some(later));
        assert_eq!(recent.last_seen(&grant(2, None).levels()[0].name), None);
        assert_eq!(recent.name_of(all[0].fingerprint).as_ref(), Some(&all[0].name));
        assert_eq!(recent.name_of(grant(2, None).fingerprint()), None);
    }

    #[test]
    fn keys_of_a_policy_are_counted_within_a_window() {
        let recent = RecentKeys::default();
        let window = Duration::from_secs(10);
        recent.note(&grant(1, Some("avatar")), CLIENT, NOW);
        recent.note(&grant(2, Some("avatar")), CLIENT, NOW.plus(Duration::from_secs(1)));
        recent.note(&grant(3, Some("other")), CLIENT, NOW);
        recent.note(&grant(4, None), CLIENT, NOW);
        assert_eq!(recent.naming("avatar", window, NOW.plus(window)), 2);
        assert_eq!(recent.naming("avatar", window, NOW.plus(Duration::from_secs(11))), 1);
        assert_eq!(recent.naming("avatar", window, NOW.plus(Duration::from_secs(12))), 0);
        assert_eq!(recent.naming("", window, NOW), 0);
    }

    #[test]
    fn what_is_used_stays_and_the_rest_is_bounded() {
        let mut shard = Shard::default();
        let kept = grant(0, None);
        for number in 1..=3 * GENERATION {
            shard.bring(&grant(number, None), NOW);
            if !shard.young.contains_key(name_of(&kept)) {
                shard.bring(&kept, NOW);
            }
            assert!(shard.young.len() <= GENERATION && shard.old.len() <= GENERATION);
        }
        assert!(shard.young.contains_key(name_of(&kept)));
        assert!(!shard.old.contains_key(name_of(&kept)));
        let first = grant(1, None);
        assert!(!shard.young.contains_key(name_of(&first)) && !shard.old.contains_key(name_of(&first)));
    }
}
