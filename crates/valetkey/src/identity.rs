//! Who asks, as a revocation names it.

use alloc::string::String;
use core::time::Duration;

use crate::grant::{Grant, GrantLevel};
use crate::time::Timestamp;

/// All names by which a request may be revoked, and when its key was issued.
///
/// What a holder says in a narrowing is in the name of that level only, below the name of its parent: it is
/// never an id or a subject of the base, so no choice of words reaches what revokes another key.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// The signer that vouches for it.
    pub signer: &'a str,
    /// The id of the base level.
    pub id: Option<&'a str>,
    /// The issuer's user.
    pub subject: Option<&'a str>,
    /// The policies that bound it: the signer's own and the key's.
    pub policies: &'a [String],
    /// The levels, the base first; never empty. Who revokes one ends all that are below it.
    pub levels: &'a [GrantLevel],
    /// When it says that it was issued.
    pub issued: Option<Timestamp>,
    /// The first second at which it opens nothing new.
    pub end: Timestamp,
}

impl Grant {
    /// From when on a revocation of the grant's last level revokes nothing that could open anyway; `None` is
    /// never.
    ///
    /// What is named by its fingerprint ends with that very key. What is named by its id may have namesakes at any
    /// later time, which are revoked with it for as long as its signer has ids kept.
    pub fn forgettable_at(&self, keep_ids: Option<Duration>) -> Option<Timestamp> {
        let own = self.levels.last().expect("a grant has a level").end;
        // Nothing below a key outlives it, so one level that is told apart by its fingerprint bounds the rest.
        let parents = core::iter::once(None).chain(self.levels.iter().map(|level| Some(level.name.as_str())));
        let of_fingerprint = self
            .levels
            .iter()
            .zip(parents)
            .filter(|(level, parent)| {
                let above = parent.map_or(self.signer.len() + 3, |parent| parent.len() - 1);
                level.name.as_str().get(above..).is_some_and(|own| own.starts_with(",\"fp\","))
            })
            .map(|(level, _)| level.end)
            .min();
        match of_fingerprint {
            Some(end) => Some(end.max(own)),
            None => keep_ids.map(|keep| own.plus(keep)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Claims, ResourcePath, Secret, SignerSecrets, Verb, Verbs, key, mint, narrow};

    const WEEK: Duration = Duration::from_secs(604_800);

    /// The grant of a key that ends at 1_000_900, with these ids, `None` for none, and ends of its narrowings.
    fn grant(id: Option<&str>, narrowings: &[(Option<&str>, Option<i64>)]) -> Grant {
        let secret = Secret::new(b"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTAxMjM=");
        let path = ResourcePath::from_text("/files/a").unwrap();
        let claims = Claims {
            id: id.map(Into::into),
            ..Claims::new(Verbs::only(Verb::Read), Timestamp::from_unix(1_000_900))
        };
        let mut query = mint("fp", &path, &claims, &secret).unwrap();
        for (id, end) in narrowings {
            let block =
                Claims { id: id.map(Into::into), end: end.map(Timestamp::from_unix), ..Claims::default() };
            query = narrow(&query, Some(&path), &block).unwrap();
        }
        let presented = key::decode(&query, Some(&path)).unwrap().unwrap();
        presented.verify(Some(&SignerSecrets { current: secret, previous: None })).unwrap().into()
    }

    #[track_caller]
    fn check(grant: &Grant, keep_ids: Option<Duration>, expected: Option<i64>) {
        let expected = expected.map(Timestamp::from_unix);
        assert_eq!(grant.forgettable_at(keep_ids), expected);
    }

    #[test]
    fn a_level_named_by_its_fingerprint_ends_with_its_key() {
        check(&grant(None, &[]), None, Some(1_000_900));
        check(&grant(None, &[]), Some(WEEK), Some(1_000_900));
        check(&grant(None, &[(None, Some(1_000_500))]), None, Some(1_000_500));
        check(&grant(Some("id"), &[(None, Some(1_000_500))]), None, Some(1_000_500));
    }

    #[test]
    fn a_level_named_by_its_id_may_have_namesakes() {
        check(&grant(Some("id"), &[]), None, None);
        check(&grant(Some("id"), &[]), Some(WEEK), Some(1_605_700));
        check(&grant(Some("id"), &[]), Some(Duration::ZERO), Some(1_000_900));
        check(&grant(Some("id"), &[(Some("child"), Some(1_000_500))]), None, None);
        // An id that looks like another kind of name is still an id.
        check(&grant(Some("fp"), &[(Some("fp"), None)]), None, None);
    }

    #[test]
    fn a_namesake_ends_no_later_than_a_parent_that_has_none() {
        check(&grant(None, &[(Some("child"), Some(1_000_500))]), None, Some(1_000_900));
        check(&grant(None, &[(Some("child"), Some(1_000_500))]), Some(WEEK), Some(1_000_900));
    }
}
