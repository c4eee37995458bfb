//! The native key: readable query parameters with a signature over them.
//!
//! ```text
//! /files/u42/photo.jpg?vk-signer=web&vk-allow=create&vk-end=2026-11-22T00:00:00Z&vk-uses=1&vk-sig=…
//! ```
//!
//! `docs/KEYS.md` is the format's specification. [`decode`] turns text into [`Presented`] claims and checks
//! every canonical spelling; [`Presented::verify`] checks the chain of signatures; [`mint`](mint::mint) and
//! [`narrow`](narrow::narrow) make keys.

pub mod claims;
mod decode;
pub(crate) mod mint;
pub(crate) mod narrow;
pub mod parameter;
pub(crate) mod renew;
mod url;
mod verify;

pub use decode::{Level, Presented, decode, has_prefix};
pub use url::{KeyUrl, UrlError};
pub use verify::Key;

/// How many times a key can be narrowed.
pub const NARROWINGS_MAX: usize = 8;

/// What a parameter of ours begins with, in any case and however it is escaped.
pub const PREFIX: &str = "vk-";
