//! Making a change survive a power cut.
//!
//! All syncs go through here. After a failed one the kernel forgets what it could not write, and the
//! next sync of the same file would succeed without it: so a failure is final, and nothing here tries
//! again.

use std::os::fd::AsFd;

use rustix::fs::fsync;
use rustix::io::Errno;

/// Waits until the file's content and attributes, or the folder's entries, are on the disk.
pub(super) fn sync(file: impl AsFd) -> Result<(), Errno> {
    #[cfg(test)]
    failing::strike()?;
    fsync(file)
}

/// A disk that fails on purpose, for this thread alone.
#[cfg(test)]
pub(super) mod failing {
    use std::cell::Cell;

    use rustix::io::Errno;

    thread_local! {
        static SYNCS_UNTIL_FAILURE: Cell<Option<usize>> = const { Cell::new(None) };
    }

    /// Lets `good` syncs pass and fails the one after them.
    pub(in super::super) fn after(good: usize) {
        SYNCS_UNTIL_FAILURE.set(Some(good));
    }

    /// Calls the failure off if it is still to come, and says how many syncs away it was.
    pub(in super::super) fn call_off() -> Option<usize> {
        SYNCS_UNTIL_FAILURE.take()
    }

    pub(super) fn strike() -> Result<(), Errno> {
        match SYNCS_UNTIL_FAILURE.get() {
            Some(0) => {
                SYNCS_UNTIL_FAILURE.set(None);
                Err(Errno::IO)
            }
            Some(left) => {
                SYNCS_UNTIL_FAILURE.set(Some(left - 1));
                Ok(())
            }
            None => Ok(()),
        }
    }
}
