//! The gateway.

pub mod clock;
pub mod command;
pub mod settings;
