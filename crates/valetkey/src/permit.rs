//! The answer of admission.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::content::{Digest, Disposition};
use crate::grant::{Dialect, MeterName};
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
    /// What is charged for it: each level of the key, the base first, then the quotas; empty where nothing is
    /// counted.
    pub charges: Vec<Charge>,
    /// How long a download's lease lasts after its last request.
    pub lease: Duration,
    /// On whose behalf.
    pub bearer: Bearer,
}

/// What is charged for a request: a level of its key, or a quota of the house.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Under which name.
    pub meter: MeterName,
    /// How much there is in all.
    pub limits: Limits,
    /// Until when the count matters: the level's own end; `None` for a quota, which is counted for ever.
    pub end: Option<Timestamp>,
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
    /// The name of the key's last level, which a renewed key keeps.
    pub level: MeterName,
    /// The issuer's own name for the key.
    pub id: Option<String>,
    /// The stored access policy that the key names.
    pub policy: Option<String>,
}
