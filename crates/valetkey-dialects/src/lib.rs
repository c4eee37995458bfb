//! The wire forms of a valet key: each is parsed here, and becomes the same [`valetkey::Grant`].
//!
//! What strangers wrote is read by code that has no disk, net or clock. A dialect adds a language, never a
//! power: what a key permits is decided by `valetkey` alone. This crate must never know what is stored,
//! who the signers are or what time it is.

#![no_std]

extern crate alloc;

pub mod aws;
mod detect;
pub mod form;
mod head;
mod http_date;
mod integrity;
pub mod listing;
pub mod native;
mod presented;
mod query;
mod taken;
mod upload_headers;
mod xml;

pub use detect::{Language, OwnKey, present, present_own_key};
pub use head::RequestHead;
pub use integrity::{Checksum, ChecksumAlgorithm, checksums};
pub use presented::{Presented, Verified};
pub use query::{Call, Survey};
pub use taken::is_header_taken;
pub use upload_headers::UploadHeaders;
