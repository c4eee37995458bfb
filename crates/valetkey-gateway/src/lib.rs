//! The gateway.

pub mod notify;
