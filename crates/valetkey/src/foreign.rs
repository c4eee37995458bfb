//! What a credential of another dialect says, once its signature held.
//!
//! A dialect adds a language, never a power: whatever it says becomes the same [`Grant`].

use alloc::format;
use alloc::string::String;
use alloc::vec;
use core::time::Duration;

use crate::denial::Denial;
use crate::grant::{Dialect, Grant, GrantLevel, MeterName, Unnamed};
use crate::key::claims::{self, Claims};
use crate::key::parameter::{Parameter, Parameters};
use crate::media::MediaTypes;
use crate::scope::Scopes;
use crate::signature::Fingerprint;
use crate::size::SizeRange;
use crate::time::Timestamp;
use crate::verb::Verbs;

/// How far the clock of whoever signs each request anew may be from ours, as
/// [S3 takes it](https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html#RESTAuthenticationTimeStamp).
pub(crate) const REQUEST_WINDOW: Duration = Duration::from_secs(15 * 60);

/// A credential of another dialect whose signature holds.
///
/// Whoever makes one vouches for that: there is no other way from a foreign credential to a [`Grant`], so it is
/// made only after the comparison of signatures, from what was signed and nothing else.
#[derive(Clone, Debug)]
pub struct Foreign {
    /// The wire form.
    pub dialect: Dialect,
    /// The signer whose secret verified it.
    pub signer: String,
    /// What may be done.
    pub allow: Verbs,
    /// Where.
    pub scopes: Scopes,
    /// When.
    pub validity: Validity,
    /// What stands for it in records.
    pub fingerprint: Fingerprint,
    /// What else bounds it.
    pub claims: ForeignClaims,
}

/// When a foreign credential holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// From when it was signed until an end that its signer chose, which is the first second at which it opens
    /// nothing new.
    Until {
        /// When it was signed; it opens nothing before.
        issued: Timestamp,
        /// The end.
        end: Timestamp,
    },
    /// The request itself was signed, then, by its signer: it holds for a quarter of an hour around it.
    Request {
        /// When it was signed.
        issued: Timestamp,
    },
}

/// The limits of a native key as a foreign credential carries them, under a prefix of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForeignClaims {
    claims: Claims,
    named: Parameters,
}

impl ForeignClaims {
    /// Reads the limit `name`, without its prefix, by the native key's rules. `shown` is the name as the
    /// dialect writes it, for messages.
    ///
    /// # Errors
    /// [`Denial::MalformedKey`] for a name that is no limit or that the dialect says in its own way
    /// (`signer`, `allow`, `path`, `sig`), is given twice, or whose value is not in its canonical spelling.
    pub fn read(&mut self, shown: &str, name: &str, value: &str) -> Result<(), Denial> {
        let parameter = Parameter::from_name(name).filter(|parameter| {
            !matches!(parameter, Parameter::Signer | Parameter::Allow | Parameter::Path | Parameter::Sig)
        });
        let Some(parameter) = parameter else {
            let shown: String = shown.chars().filter(|char| !char.is_control()).take(40).collect();
            return Err(Denial::MalformedKey(format!("{shown} is no limit that a key can say")));
        };
        if self.named.contains(parameter) {
            return Err(Denial::MalformedKey(format!("{shown} is given twice")));
        }
        self.named = self.named.with(parameter);
        let read = if value.is_empty() { None } else { self.claims.read(parameter, value) };
        read.ok_or_else(|| Denial::MalformedKey(format!("{shown} must be {}", claims::rule(parameter))))?;
        self.claims.check_order(0).map_err(|error| Denial::MalformedKey(format!("{error}")))
    }

    /// Bounds the size of an upload by what the dialect says in its own way too.
    pub fn restrict_size(&mut self, size: SizeRange) {
        let both = self.claims.size().intersect(size);
        self.claims.size_min = (both.min_bytes > 0).then_some(both.min_bytes);
        self.claims.size_max = both.max_bytes;
    }

    /// What they say.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }
}

impl From<Foreign> for Grant {
    fn from(foreign: Foreign) -> Self {
        let Foreign { dialect, signer, allow, scopes, validity, fingerprint, claims } = foreign;
        let ForeignClaims { claims, named } = claims;
        let size = claims.size();
        let (issued, end, is_of_request) = match validity {
            Validity::Until { issued, end } => (issued, end, false),
            Validity::Request { issued } => (issued, issued.plus(REQUEST_WINDOW), true),
        };
        let end = claims.end.map_or(end, |other| end.min(other));
        // Nothing opens before it was signed, whichever of the times is said to be that.
        let signed_start = if is_of_request { None } else { Some(issued) };
        let start = claims.start.max(claims.issued).max(signed_start);
        let unnamed = if is_of_request { Unnamed::ByHeader } else { Unnamed::By(fingerprint) };
        // The next request of the same name is signed later, and is to find what this one counted.
        let level_end = if is_of_request { Timestamp::MAX } else { end };
        let level = GrantLevel {
            name: MeterName::of_foreign(&signer, claims.id.as_deref(), unnamed),
            fingerprint,
            limits: claims.limits,
            end: level_end,
            kept: Some(level_end),
        };
        Self {
            dialect,
            signer,
            allow: allow.expanded(),
            scopes,
            start,
            end,
            // A revocation of what was issued before a time is to find whichever is earlier.
            issued: Some(claims.issued.map_or(issued, |other| issued.min(other))),
            renewable: None,
            is_of_request,
            size,
            clients: claims.clients.map_or_else(vec::Vec::new, |clients| vec![clients]),
            types: MediaTypes::of(claims.types),
            digests: claims.digest.into_iter().collect(),
            require_tls: false,
            tell: false,
            disposition: claims.disposition,
            policy: claims.policy,
            subject: claims.subject,
            id: claims.id,
            levels: vec![level],
            quotas: vec![],
            named,
        }
    }
}

#[cfg(test)]
mod tests;
