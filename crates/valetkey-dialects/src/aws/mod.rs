//! The aws dialect: what [S3's clients](https://docs.aws.amazon.com/AmazonS3/latest/API/Welcome.html) ask, and the
//! answers that they read.
//!
//! An operation knows nothing of signatures, a signature nothing of operations: whether a key permits what a
//! request asks is decided by `valetkey` alone.

mod form;
pub mod operation;
pub mod policy;
pub mod reply;

pub use form::{PostForm, PostSuccess};
