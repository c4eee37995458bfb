//! Where bytes live.
//!
//! A backend holds objects under names and nothing else: it knows neither keys nor signers nor uses.
//! What it is asked to do was admitted before.

pub mod disk;
pub mod remote;
mod space;

pub use disk::{Attributes, Kept, Listed, ListedEntry, Metadata, Query, Removed, StoreError, StoredPart};
pub(crate) use space::{Content, Finished, Guard, Opened, Parked, Reading, Rule, Space, Turn};
