//! What keeps the rows. Every engine passes the conformance suite.

pub mod memory;
pub mod sqlite;

#[cfg(test)]
pub(crate) mod failing;
