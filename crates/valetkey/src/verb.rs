//! What a key allows to be done.

use core::fmt;

/// One thing that a key may allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Upload an object that does not exist yet.
    Create,
    /// Delete an object.
    Delete,
    /// List what is below the path.
    List,
    /// Download an object, and ask for its headers.
    Read,
    /// Ask for an object's headers.
    Stat,
    /// Upload an object, replacing one that exists too.
    Write,
}

/// A set of verbs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Verbs(u8);

impl Verb {
    /// All verbs in the order of their names.
    pub const ALL: [Self; 6] = [Self::Create, Self::Delete, Self::List, Self::Read, Self::Stat, Self::Write];

    /// The verb's name in a key.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::List => "list",
            Self::Read => "read",
            Self::Stat => "stat",
            Self::Write => "write",
        }
    }

    /// The verb of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.name() == name)
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Create => 1,
            Self::Delete => 2,
            Self::List => 4,
            Self::Read => 8,
            Self::Stat => 16,
            Self::Write => 32,
        }
    }
}

impl Verbs {
    /// No verb.
    pub const NONE: Self = Self(0);
    /// Every verb.
    pub const ALL: Self = Self(63);

    /// The set of one verb.
    pub const fn only(verb: Verb) -> Self {
        Self(verb.bit())
    }

    /// The set with `verb` in it.
    #[must_use]
    pub const fn with(self, verb: Verb) -> Self {
        Self(self.0 | verb.bit())
    }

    /// Whether `verb` stands in the set.
    pub const fn contains(self, verb: Verb) -> bool {
        self.0 & verb.bit() != 0
    }

    /// Whether the set has no verb.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The set with all that its verbs hold: `read` holds `stat`, `write` holds `create`.
    #[must_use]
    pub const fn expanded(self) -> Self {
        let with_stat = if self.contains(Verb::Read) { self.with(Verb::Stat) } else { self };
        if self.contains(Verb::Write) { with_stat.with(Verb::Create) } else { with_stat }
    }

    /// What both sets permit: `write` and `create` together give `create`.
    #[must_use]
    pub const fn intersect(self, other: Self) -> Self {
        Self(self.expanded().0 & other.expanded().0)
    }

    /// Reads the one canonical spelling: names sorted, without repeats, separated by commas.
    pub fn parse(text: &str) -> Option<Self> {
        let mut verbs = Self::NONE;
        let mut last = None;
        for name in text.split(',') {
            let verb = Verb::from_name(name)?;
            if last.is_some_and(|last| last >= verb) {
                return None;
            }
            last = Some(verb);
            verbs = verbs.with(verb);
        }
        Some(verbs)
    }

    /// The verbs in the order of their names.
    pub fn iter(self) -> impl Iterator<Item = Verb> {
        Verb::ALL.into_iter().filter(move |verb| self.contains(*verb))
    }
}

impl fmt::Display for Verbs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, verb) in self.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            f.write_str(verb.name())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Verbs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn only_the_canonical_spelling_is_read() {
        for text in ["create", "read,write", "create,delete,list,read,stat,write"] {
            assert_eq!(Verbs::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "write,read", "read,read", "read,", ",read", "Read", "read, write", "admin"] {
            assert_eq!(Verbs::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_intersection_is_of_what_is_permitted() {
        let only = Verbs::only;
        assert_eq!(only(Verb::Write).intersect(only(Verb::Create)), only(Verb::Create));
        assert_eq!(only(Verb::Stat).intersect(only(Verb::Read)), only(Verb::Stat));
        assert!(only(Verb::Read).intersect(only(Verb::Write)).is_empty());
        assert_eq!(only(Verb::Read).intersect(Verbs::ALL), only(Verb::Read).with(Verb::Stat));
    }
}
