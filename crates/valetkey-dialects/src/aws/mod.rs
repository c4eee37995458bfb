//! The aws dialect: AWS's signature version 4, as S3's clients sign requests and URLs.
//!
//! A credential is read from the query or from the `Authorization` header, the request brought into the form
//! that was signed, and the signature checked. What was signed becomes the same [`valetkey::Grant`] as a native
//! key. `docs/SIGNATURES.md` says what is taken.

mod canonical;
mod chunked;
mod credential;
mod grant;
mod headers;
mod payload;
mod presented;
mod query;
mod sign;
mod signature;

pub use chunked::{ChunkSigner, Decoder};
pub use payload::{Framing, Payload};
pub use presented::{Presented, SignedRequest};
pub(crate) use presented::{in_header, in_query};
pub use sign::Presigning;

#[cfg(test)]
mod tests;
