//! What an operator sees of a running gateway: logs, and nothing in them that opens a door.

pub mod log;
mod metrics;
mod plain;
pub mod redact;

pub(crate) use metrics::{Gauge, Metrics};
pub(crate) use plain::disturbs;
