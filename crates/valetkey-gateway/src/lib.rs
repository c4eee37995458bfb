//! The gateway.

pub mod backend;
