//! What threads meet at: the standard library's, or, with the feature `shuttle`, ones whose order a test chooses.

#[cfg(feature = "shuttle")]
pub(crate) use shuttle::sync::{RwLock, RwLockReadGuard, atomic, mpsc};
#[cfg(not(feature = "shuttle"))]
pub(crate) use std::sync::{RwLock, RwLockReadGuard, atomic, mpsc};

/// A place between two steps of which another thread may see the first alone, in what is not of this module.
pub(crate) fn between_steps() {
    #[cfg(feature = "shuttle")]
    shuttle::thread::yield_now();
}
