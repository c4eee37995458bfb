//! Where bytes live.
//!
//! A backend holds objects under names and nothing else: it knows neither keys nor signers nor uses.
//! What it is asked to do was admitted before.

pub mod disk;
