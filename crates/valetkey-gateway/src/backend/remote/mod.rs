//! Objects in a store at the other end of a network: a bucket of S3, of Google Cloud Storage, a container of Azure.
//!
//! What it promises:
//! - An upload appears whole or not at all. What is gathered in memory is sent in one request; of what is streamed the
//!   last piece is held back until the object may appear, and a request that lacks it is given up, which no store
//!   takes for an object; parts are made one object by a request of their own.
//! - A condition on what is there is judged and acted on as one step for all callers of one service. For several
//!   gateways it is as good as the store's own conditional requests, where those are made (docs/BACKENDS.md).
//! - What makes something appear or go is sent once, and what may have been done counts as done.
//! - Bytes stream: no more than a small window of an object is in memory.
//! - The store's own words end in no answer and in no log: they may quote credentials.
//!
//! It reads through `object_store`, which tries again; what changes something, and is sent once, are requests of our own
//! by URLs that its `Signer` signs.

mod answer;
mod attributes;
mod bounded;
mod connections;
mod copy;
mod error;
mod folders;
mod list;
mod name;
mod pages;
mod parts;
mod publish;
mod read;
mod sas;
mod service;
mod streamed;
mod turns;
mod write;

use std::sync::Arc;

pub(crate) use parts::{PartName, PartWriting, StoreUpload};
pub(crate) use read::{Ahead, Object, Stream};
pub use service::OpenError;
pub(crate) use service::{Kind, Service};
pub(crate) use turns::Turn;
pub(crate) use write::{Finished, Writing};

/// The space of one bucket in a store. Clones are the same space.
#[derive(Debug, Clone)]
pub(crate) struct Remote {
    service: Arc<Service>,
    /// What the store's names of the bucket's objects begin with: empty, or ending in `/`.
    prefix: Arc<str>,
    /// Whether an entity tag that is an MD5 is told as it is.
    tells_md5: bool,
}

impl Remote {
    pub(crate) fn new(service: Arc<Service>, prefix: &str, tells_md5: bool) -> Self {
        Self { service, prefix: Arc::from(prefix), tells_md5 }
    }
}
