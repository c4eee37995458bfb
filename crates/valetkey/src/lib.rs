//! What a valet key means.
//!
//! A valet key is a small signed token that opens exactly what it says: one object or a subtree, some
//! verbs, a time window, a size, a number of uses. This crate mints, narrows and verifies keys, and
//! decides what a verified key permits. It promises to be pure: bytes, secrets and time come in as
//! arguments, decisions come out as values. It must never know a clock, a random source, a disk, a
//! socket or a log, and being `no_std` it cannot.
//!
//! # Mint a key
//!
//! ```
//! use valetkey::{Claims, ResourcePath, Secret, Timestamp, Verb, Verbs, mint};
//!
//! let secret = Secret::new(b"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTAxMjM=");
//! let path = ResourcePath::from_text("/files/u42/photo.jpg")?;
//! let end = Timestamp::parse("2026-11-22T00:00:00Z").expect("a canonical time");
//!
//! let claims = Claims {
//!     size_max: Some(5 * 1024 * 1024),
//!     id: Some("7f3k2m".into()),
//!     ..Claims::new(Verbs::only(Verb::Create), end)
//! };
//! let query = mint("web", &path, &claims, &secret)?;
//! let url = format!("https://files.example.com{}?{query}", path.encoded());
//! assert!(url.starts_with("https://files.example.com/files/u42/photo.jpg?vk-allow=create&"));
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! # The flow
//!
//! A key that came with a request is [decoded](key::decode), [verified](key::Presented::verify) into a
//! [`Grant`] (or its own dialect verifies it, as a [`Foreign`] credential), [bounded](bound) by what the
//! house says about its signer and policy, and [admitted](admit) for one intent as a [`Permit`]. Each step
//! takes the last step's value, and there is no other way to make one.

#![no_std]

extern crate alloc;

mod admit;
mod bound;
mod client;
mod content;
mod denial;
mod foreign;
mod grant;
mod identity;
mod intent;
pub mod key;
mod limits;
mod media;
mod name;
mod percent;
mod permit;
mod scope;
mod secret;
mod signature;
mod size;
mod time;
mod verb;

pub use admit::admit;
pub use bound::{Bounded, Ceiling, House, bound, rehearse};
pub use client::{Client, ClientRanges};
pub use content::{Digest, DigestAlgorithm, Disposition};
pub use denial::Denial;
pub use foreign::{Foreign, ForeignClaims, Validity};
pub use grant::{Dialect, Grant, GrantLevel, MeterName, Quota, QuotaOwner};
pub use identity::Identity;
pub use intent::{Action, Intent};
pub use key::claims::{Claims, ClaimsError};
pub use key::mint::mint;
pub use key::narrow::narrow;
pub use key::parameter::{Parameter, Parameters};
pub use key::renew::{NOT_RENEWED, Renewable, Renewed, renew};
pub use limits::Limits;
pub use media::{MediaRange, MediaType, MediaTypes};
pub use name::{NameError, ResourcePath};
pub use percent::{decode_component, decode_query_component, encode_component};
pub use permit::{Bearer, Charge, Permit, Rate};
pub use scope::Scopes;
pub use secret::{Secret, SignerSecrets};
pub use signature::{Fingerprint, Signature};
pub use size::SizeRange;
pub use time::{Now, Timestamp};
pub use verb::{Verb, Verbs};
