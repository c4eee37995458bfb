//! The answer of admission.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::content::{Digest, Disposition};
use crate::grant::{Dialect, GrantLevel, MeterName};
use crate::identity::Identity;
use crate::intent::Action;
use crate::limits::Limits;
use crate::media::MediaTypes;
use crate::name::ResourcePath;
use crate::signature::Fingerprint;
use crate::size::SizeRange;
use crate::time::Timestamp;

/// One request may do one thing, within these bounds.
///
/// Only [`admit`](crate::admit) makes one.
#[derive(Debug)]
#[non_exhaustive]
pub struct Permit {
    /// What it may do.
    pub action: Action,
    /// Where.
    pub path: ResourcePath,
    /// Beneath which text below the bucket it may list; empty for other actions too.
    pub prefix: String,
    /// Whether an upload may replace what is there.
    pub may_replace: bool,
    /// Whether it may be told that an object does not exist.
    pub may_know_absence: bool,
    /// The bounds of an upload's size.
    pub size: SizeRange,
    /// What an upload must be.
    pub types: MediaTypes,
    /// What an upload must hash to, all of them.
    pub digests: Vec<Digest>,
    /// How a download presents itself.
    pub disposition: Option<Disposition>,
    /// The first second at which the key opens nothing new.
    pub end: Timestamp,
    /// What is charged for it: each level of the key, the base first, then the quotas; empty where the ledger
    /// need not be asked.
    pub charges: Vec<Charge>,
    /// Whether it uses something up, at any level of its key or of a quota.
    pub is_counted: bool,
    /// Whether its key is for some clients alone: at some addresses, or over TLS.
    pub is_for_some_clients: bool,
    /// How fast its bytes may move, together with those of others.
    pub rates: Vec<Rate>,
    /// Whether the answer says what is left.
    pub tell: bool,
    /// How long a download's lease lasts after its last request.
    pub lease: Duration,
    /// On whose behalf.
    pub bearer: Bearer,
    /// The policies that bound it.
    pub policies: Vec<String>,
    /// When the key says that it was issued.
    pub issued: Option<Timestamp>,
    /// The key's levels, the base first.
    pub levels: Vec<GrantLevel>,
}

impl Permit {
    /// By what it may be revoked.
    pub fn identity(&self) -> Identity<'_> {
        Identity {
            signer: &self.bearer.signer,
            id: self.bearer.id.as_deref(),
            subject: self.bearer.subject.as_deref(),
            policies: &self.policies,
            levels: &self.levels,
            issued: self.issued,
            end: self.end,
        }
    }
}

/// What is charged for a request: a level of its key, or a quota of the house.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Under which name.
    pub meter: MeterName,
    /// How much there is in all.
    pub limits: Limits,
    /// The level's own end, as far as its holder can ever have it moved; `None` for a quota, which has none.
    pub end: Option<Timestamp>,
    /// Until when the count matters; `None` is for ever.
    pub kept: Option<Timestamp>,
}

/// How fast all transfers under one name may move together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Under which name.
    pub meter: MeterName,
    /// How much in a second, at least 1.
    pub bytes_per_sec: u64,
}

/// Who vouches for a request, for records.
#[derive(Clone, Debug)]
pub struct Bearer {
    /// The wire form of the key.
    pub dialect: Dialect,
    /// The signer.
    pub signer: String,
    /// The issuer's user.
    pub subject: Option<String>,
    /// The fingerprint of the key's last level.
    pub key: Fingerprint,
    /// The issuer's own name for the key.
    pub id: Option<String>,
    /// The stored access policy that the key names.
    pub policy: Option<String>,
}
