//! The gateway.

pub mod clock;
pub mod settings;
