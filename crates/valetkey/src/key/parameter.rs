//! The names of a key's parameters.

use core::fmt;

/// One parameter of the native key, named without its prefix `vk-`.
///
/// The variants stand in the order of their names, which is the order of the lines of the signed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "each is described where its value is: in `Claims`")]
pub enum Parameter {
    Allow,
    Digest,
    Disposition,
    End,
    Files,
    Id,
    In,
    Ip,
    Issued,
    Max,
    Min,
    Out,
    Parallel,
    Path,
    Policy,
    Rate,
    Renew,
    Sig,
    Signer,
    Start,
    Subject,
    Type,
    Uses,
}

impl Parameter {
    /// How many there are.
    pub const COUNT: usize = 23;

    /// All of them, in the order of their names.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Allow,
        Self::Digest,
        Self::Disposition,
        Self::End,
        Self::Files,
        Self::Id,
        Self::In,
        Self::Ip,
        Self::Issued,
        Self::Max,
        Self::Min,
        Self::Out,
        Self::Parallel,
        Self::Path,
        Self::Policy,
        Self::Rate,
        Self::Renew,
        Self::Sig,
        Self::Signer,
        Self::Start,
        Self::Subject,
        Self::Type,
        Self::Uses,
    ];

    /// The name, without `vk-`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Digest => "digest",
            Self::Disposition => "disposition",
            Self::End => "end",
            Self::Files => "files",
            Self::Id => "id",
            Self::In => "in",
            Self::Ip => "ip",
            Self::Issued => "issued",
            Self::Max => "max",
            Self::Min => "min",
            Self::Out => "out",
            Self::Parallel => "parallel",
            Self::Path => "path",
            Self::Policy => "policy",
            Self::Rate => "rate",
            Self::Renew => "renew",
            Self::Sig => "sig",
            Self::Signer => "signer",
            Self::Start => "start",
            Self::Subject => "subject",
            Self::Type => "type",
            Self::Uses => "uses",
        }
    }

    /// The parameter of that name, in its one spelling.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "allow" => Self::Allow,
            "digest" => Self::Digest,
            "disposition" => Self::Disposition,
            "end" => Self::End,
            "files" => Self::Files,
            "id" => Self::Id,
            "in" => Self::In,
            "ip" => Self::Ip,
            "issued" => Self::Issued,
            "max" => Self::Max,
            "min" => Self::Min,
            "out" => Self::Out,
            "parallel" => Self::Parallel,
            "path" => Self::Path,
            "policy" => Self::Policy,
            "rate" => Self::Rate,
            "renew" => Self::Renew,
            "sig" => Self::Sig,
            "signer" => Self::Signer,
            "start" => Self::Start,
            "subject" => Self::Subject,
            "type" => Self::Type,
            "uses" => Self::Uses,
            _ => return None,
        })
    }

    /// Whether whoever holds a key may set it in a narrowing.
    pub const fn narrows(self) -> bool {
        !matches!(
            self,
            Self::Signer
                | Self::Policy
                | Self::Subject
                | Self::Disposition
                | Self::Renew
                | Self::Issued
                | Self::Sig
        )
    }

    #[expect(clippy::as_conversions, reason = "the discriminants are the indices of ALL")]
    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parameters(u32);

impl Parameters {
    /// No parameter.
    pub const NONE: Self = Self(0);
    /// Every parameter.
    pub const ALL: Self = Self((1 << Parameter::COUNT) - 1);

    /// The set with `parameter` in it.
    #[must_use]
    pub const fn with(self, parameter: Parameter) -> Self {
        Self(self.0 | 1 << parameter.index())
    }

    /// The set without `parameter`.
    #[must_use]
    pub const fn without(self, parameter: Parameter) -> Self {
        Self(self.0 & !(1 << parameter.index()))
    }

    /// Whether `parameter` stands in the set.
    pub const fn contains(self, parameter: Parameter) -> bool {
        self.0 & 1 << parameter.index() != 0
    }

    /// What stands in either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The first parameter, by name, that stands here and not in `other`.
    pub fn first_beyond(self, other: Self) -> Option<Parameter> {
        Parameter::ALL.into_iter().find(|parameter| self.contains(*parameter) && !other.contains(*parameter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_sorted_and_found() {
        assert!(Parameter::ALL.is_sorted_by_key(|parameter| parameter.name()));
        for (at, parameter) in Parameter::ALL.into_iter().enumerate() {
            assert_eq!(Parameter::from_name(parameter.name()), Some(parameter));
            assert_eq!(parameter.index(), at);
        }
        for name in ["", "Allow", "allow ", "alloww", "colour"] {
            assert_eq!(Parameter::from_name(name), None);
        }
    }

    #[test]
    fn a_set_names_what_another_lacks() {
        let named = Parameters::NONE.with(Parameter::Uses).with(Parameter::Rate);
        assert_eq!(named.first_beyond(Parameters::ALL), None);
        assert_eq!(named.first_beyond(Parameters::ALL.without(Parameter::Rate)), Some(Parameter::Rate));
    }
}
