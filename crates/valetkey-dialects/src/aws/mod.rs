//! The aws dialect: what [S3's clients](https://docs.aws.amazon.com/AmazonS3/latest/API/Welcome.html) ask, how they
//! sign it, and the answers that they read.
//!
//! A credential is read from the query, from the `Authorization` header or from the fields of a form, the request
//! brought into the form that was signed, and the signature checked. What was signed becomes the same
//! [`valetkey::Grant`] as a native key. `docs/SIGNATURES.md` says what is taken.
//!
//! An operation knows nothing of signatures, a signature nothing of operations: whether a key permits what a
//! request asks is decided by `valetkey` alone.

mod canonical;
mod chunked;
mod credential;
mod form;
mod grant;
mod headers;
pub mod operation;
mod payload;
pub mod policy;
mod presented;
mod query;
pub mod reply;
mod sign;
mod signature;

pub use chunked::{ChunkSigner, Decoder};
pub use form::{PostForm, PostSuccess, VerifiedForm};
pub use payload::{Framing, Payload};
pub use presented::{Presented, SignedRequest};
pub(crate) use presented::{in_header, in_query};
pub use sign::Presigning;

#[cfg(test)]
mod tests;
