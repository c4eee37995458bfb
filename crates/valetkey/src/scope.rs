//! Where a key opens.

use alloc::vec;
use alloc::vec::Vec;

use crate::name::ResourcePath;

/// A set of subtrees and single objects.
///
/// A path that ends in `/` stands for everything below it, by whole segments; any other for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scopes(Option<Vec<ResourcePath>>);

impl Scopes {
    /// No bound: all paths of all buckets, as a request has that its signer signed itself.
    pub const EVERYWHERE: Self = Self(None);

    /// The scope of one path.
    pub fn only(path: ResourcePath) -> Self {
        Self(Some(vec![path]))
    }

    /// The union of the scopes of `paths`.
    pub fn any_of(paths: Vec<ResourcePath>) -> Self {
        Self(Some(paths))
    }

    /// Whether `path` lies within; a folder lies within where all below it does.
    pub fn contain(&self, path: &ResourcePath) -> bool {
        self.0.as_ref().is_none_or(|scopes| scopes.iter().any(|scope| covers(scope, path.as_str())))
    }

    /// Whether everything whose path begins with `text` lies within, as a listing asks. The text is
    /// `/bucket/` and a prefix that may end within a segment. A single object's scope holds no such text: other
    /// names may begin as the object's does.
    pub fn contain_text(&self, text: &str) -> bool {
        let holds = |scope: &ResourcePath| !scope.is_object() && covers(scope, text);
        self.0.as_ref().is_none_or(|scopes| scopes.iter().any(holds))
    }

    /// What lies in both.
    #[must_use]
    pub fn intersect(self, other: &Self) -> Self {
        let (Some(ours), Some(others)) = (&self.0, &other.0) else {
            return if self.0.is_none() { other.clone() } else { self };
        };
        if let ([mine], [theirs]) = (ours.as_slice(), others.as_slice()) {
            // The common case moves a path instead of cloning it.
            if covers(theirs, mine.as_str()) {
                return self;
            }
        }
        let mut both = Vec::new();
        for mine in ours {
            for theirs in others {
                let narrower = if covers(theirs, mine.as_str()) {
                    mine
                } else if covers(mine, theirs.as_str()) {
                    theirs
                } else {
                    continue;
                };
                if !both.contains(narrower) {
                    both.push(narrower.clone());
                }
            }
        }
        Self(Some(both))
    }

    /// The paths whose union this is; none are named where nothing bounds it.
    pub fn paths(&self) -> &[ResourcePath] {
        self.0.as_deref().unwrap_or_default()
    }

    /// Whether no path lies within.
    pub fn are_empty(&self) -> bool {
        self.0.as_ref().is_some_and(Vec::is_empty)
    }
}

fn covers(scope: &ResourcePath, text: &str) -> bool {
    if scope.is_object() { scope.as_str() == text } else { text.starts_with(scope.as_str()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(paths: &[&str]) -> Scopes {
        Scopes::any_of(paths.iter().map(|path| ResourcePath::from_text(path).unwrap()).collect())
    }

    fn check(scope: &str, path: &str, contained: bool) {
        assert_eq!(
            scopes(&[scope]).contain(&ResourcePath::from_url(path).unwrap()),
            contained,
            "{scope} {path}"
        );
    }

    #[test]
    fn a_subtree_ends_on_a_whole_segment() {
        check("/files/team1/", "/files/team1/x", true);
        check("/files/team1/", "/files/team1/deep/er", true);
        check("/files/team1/", "/files/team1/", true);
        check("/files/team1/", "/files/team10/x", false);
        check("/files/team1/", "/files/team1", false);
        check("/files/team1/", "/files/team1x", false);
        check("/files/", "/filesx/a", false);
        check("/files/a", "/files/a", true);
        check("/files/a", "/files/a/b", false);
        check("/files/a", "/files/ab", false);
    }

    #[test]
    fn a_listing_asks_for_a_text() {
        assert!(scopes(&["/files/u42/"]).contain_text("/files/u42/ph"));
        assert!(!scopes(&["/files/u42/"]).contain_text("/files/u4"));
        assert!(!scopes(&["/files/u42/"]).contain_text("/files/u42"));
        assert!(!scopes(&["/files/u42"]).contain_text("/files/u42"));
    }

    #[test]
    fn the_intersection_is_the_narrower_of_each_pair() {
        let both = |a: &[&str], b: &[&str]| scopes(a).intersect(&scopes(b));
        assert_eq!(both(&["/files/a/"], &["/files/"]), scopes(&["/files/a/"]));
        assert_eq!(both(&["/files/"], &["/files/a/", "/files/b"]), scopes(&["/files/a/", "/files/b"]));
        assert_eq!(both(&["/files/a/"], &["/files/b/"]), scopes(&[]));
        assert_eq!(both(&["/files/a/x"], &["/files/a/x"]), scopes(&["/files/a/x"]));
    }
    #[test]
    fn what_nothing_bounds_is_bounded_by_another() {
        assert!(Scopes::EVERYWHERE.contain(&ResourcePath::from_text("/files/a").unwrap()));
        assert!(Scopes::EVERYWHERE.contain_text("/files/u4"));
        assert!(!Scopes::EVERYWHERE.are_empty() && scopes(&[]).are_empty());
        let some = scopes(&["/files/a/", "/files/b"]);
        assert_eq!(Scopes::EVERYWHERE.intersect(&some), some);
        assert_eq!(some.clone().intersect(&Scopes::EVERYWHERE), some);
        assert_eq!(Scopes::EVERYWHERE.intersect(&Scopes::EVERYWHERE), Scopes::EVERYWHERE);
    }
}
