//! Valet keys.
