//! The gateway.

pub mod notify;
pub mod observe;
