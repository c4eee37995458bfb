//! The key format from outside: the published vectors, and the properties that no vector can show.

#![allow(clippy::unwrap_used)]

mod narrowing;
mod renewal;
mod vectors;
