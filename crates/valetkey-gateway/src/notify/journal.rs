//! What is in the audit log for good, and what has yet to be put there.
//!
//! A batch is appended and synced as one. Where either fails, nothing of the batch counts: the medium is
//! wound back to its last durable line and the same bytes are appended again, so that the chain always
//! continues what the file holds and no failed sync is ever taken for a success.

use std::io;

use super::chain::{ChainKey, LineHash};
use super::record::Receipt;

/// No more than this and a line is pending at once.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Where a log ends: after so many bytes, with the line of this hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) bytes: u64,
    pub(super) hash: LineHash,
}

/// The newest record of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// How many records the chain has, over all its files.
    pub records: u64,
    /// The hash that the next one carries.
    pub hash: LineHash,
}

impl Head {
    /// The head of a chain without a record.
    pub const NONE: Self = Self { records: 0, hash: super::chain::NO_LINE };
}

impl Default for Head {
    fn default() -> Self {
        Self::NONE
    }
}

/// What a journal is written to: a file, or in tests something that fails on demand.
pub(super) trait Medium: Send + 'static {
    /// Appends all of `bytes` to a medium that must be `at` bytes long. After an error, any part may be there.
    fn append(&mut self, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// Begins a new file where the one that is `at` bytes long was moved away, or has no room for so many `more`.
    /// Returns whether it did; what is appended next is at 0.
    fn turn(&mut self, at: u64, more: u64) -> io::Result<bool>;

    /// Makes all that was appended survive power loss. After an error, none of it may.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts off what was appended after `end`, which is not more than `appended_max` bytes, and makes sure
    /// that what is left ends there.
    fn rewind(&mut self, end: &End, appended_max: u64) -> io::Result<()>;
}

/// A log with its pending lines.
pub(super) struct Journal<M> {
    medium: M,
    key: ChainKey,
    /// What has been synced.
    durable: End,
    durable_records: u64,
    /// The lines after it, in memory until they are synced.
    pending: String,
    pending_records: usize,
    pending_hash: LineHash,
    /// Whether the medium may hold something after `durable`.
    doubtful: bool,
}

impl<M: Medium> Journal<M> {
    /// A journal on a medium that holds `bytes` bytes, where the chain has come to `head`.
    pub(super) fn new(medium: M, key: ChainKey, bytes: u64, head: Head) -> Self {
        Self {
            medium,
            key,
            durable: End { bytes, hash: head.hash },
            durable_records: head.records,
            pending: String::new(),
            pending_records: 0,
            pending_hash: head.hash,
            doubtful: false,
        }
    }

    /// Adds a line for `receipt`, to be written by the next commit.
    pub(super) fn add(&mut self, receipt: &Receipt) {
        let from = self.pending.len();
        receipt.write_line(&self.pending_hash, &mut self.pending);
        let line = self.pending[from..].strip_suffix('\n').expect("a line ends in a newline");
        self.pending_hash = self.key.hash(line.as_bytes());
        self.pending_records += 1;
    }

    /// Whether so much is pending that nothing should be added before a commit.
    pub(super) fn is_full(&self) -> bool {
        self.pending.len() >= BATCH_BYTES
    }

    /// The newest record that is durable.
    pub(super) fn head(&self) -> Head {
        Head { records: self.durable_records, hash: self.durable.hash }
    }

    /// Makes all pending lines durable. Returns how many they were.
    ///
    /// # Errors
    /// What the medium said. All lines are still pending then, whatever reached the medium.
    pub(super) fn commit(&mut self) -> io::Result<usize> {
        let bytes = u64::try_from(self.pending.len()).expect("a length in memory fits 64 bits");
        if self.doubtful {
            self.medium.rewind(&self.durable, bytes)?;
            self.doubtful = false;
        }
        if self.medium.turn(self.durable.bytes, bytes)? {
            self.durable.bytes = 0;
        }
        if self.pending.is_empty() {
            return Ok(0);
        }
        self.doubtful = true;
        self.medium.append(self.durable.bytes, self.pending.as_bytes())?;
        self.medium.sync()?;
        self.doubtful = false;
        self.durable_records += u64::try_from(self.pending_records).expect("a count in memory fits 64 bits");
        self.durable = End { bytes: self.durable.bytes + bytes, hash: self.pending_hash };
        self.pending.clear();
        self.pending.shrink_to(BATCH_BYTES / 16);
        Ok(std::mem::take(&mut self.pending_records))
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::notify::verify::verify;
    use valetkey::Timestamp;

    /// A disk that fails on demand. Like a page cache, it may lose what a failed sync left behind.
    #[derive(Clone, Default)]
    pub(in crate::notify) struct Disk(Arc<Mutex<State>>);

    #[derive(Default)]
    struct State {
        durable: Vec<u8>,
        cached: Vec<u8>,
        /// How many bytes more it takes before it is full.
        room: Option<usize>,
        syncs_fail: usize,
        rewinds_fail: usize,
    }

    impl Disk {
        pub(in crate::notify) fn fill_after(&self, bytes: Option<usize>) {
            self.0.lock().unwrap().room = bytes;
        }

        pub(in crate::notify) fn fail_syncs(&self, times: usize) {
            self.0.lock().unwrap().syncs_fail = times;
        }

        fn fail_rewinds(&self, times: usize) {
            self.0.lock().unwrap().rewinds_fail = times;
        }

        pub(in crate::notify) fn durable(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().durable.clone()).unwrap()
        }
    }

    impl Medium for Disk {
        fn append(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
            let mut state = self.0.lock().unwrap();
            assert_eq!(u64::try_from(state.cached.len()).unwrap(), at, "nothing else was appended");
            let taken = state.room.unwrap_or(usize::MAX).min(bytes.len());
            state.cached.extend_from_slice(&bytes[..taken]);
            state.room = state.room.map(|room| room - taken);
            if taken == bytes.len() { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
        }

        fn turn(&mut self, _: u64, _: u64) -> io::Result<bool> {
            Ok(false)
        }

        fn sync(&mut self) -> io::Result<()> {
            let mut state = self.0.lock().unwrap();
            if let Some(fewer) = state.syncs_fail.checked_sub(1) {
                state.syncs_fail = fewer;
                // The cache believes what the disk never saw: a second sync would succeed.
                return Err(io::Error::other("sync failed"));
            }
            let (durable, len) = (state.cached.clone(), state.durable.len());
            assert!(durable.starts_with(&state.durable[..len]), "what is durable is never rewritten");
            state.durable = durable;
            Ok(())
        }

        fn rewind(&mut self, end: &End, appended_max: u64) -> io::Result<()> {
            let mut state = self.0.lock().unwrap();
            if let Some(fewer) = state.rewinds_fail.checked_sub(1) {
                state.rewinds_fail = fewer;
                return Err(io::Error::other("rewind failed"));
            }
            let bytes = usize::try_from(end.bytes).unwrap();
            assert_eq!(bytes, state.durable.len(), "it goes back to what is durable");
            assert!(state.cached.len() - bytes <= usize::try_from(appended_max).unwrap());
            state.cached.truncate(bytes);
            Ok(())
        }
    }

    fn key() -> ChainKey {
        ChainKey::from_bytes([7; 32])
    }

    fn journal(disk: &Disk) -> Journal<Disk> {
        Journal::new(disk.clone(), key(), 0, Head::NONE)
    }

    fn receipt(second: i64) -> Receipt {
        Receipt::at(Timestamp::from_unix(second))
    }

    fn check(disk: &Disk, records: u64) {
        assert_eq!(verify(disk.durable().as_bytes(), &key()).unwrap().0, records);
    }

    #[test]
    fn a_batch_that_does_not_fit_is_written_whole_when_there_is_room() {
        let disk = Disk::default();
        let mut journal = journal(&disk);
        journal.add(&receipt(0));
        assert_eq!(journal.commit().unwrap(), 1);

        let line = disk.durable().len();
        for room in [0, 1, line, line + line / 2, 3 * line - 1] {
            disk.fill_after(Some(room));
            for second in 1..4 {
                journal.add(&receipt(second));
            }
            let before = disk.durable();
            assert_eq!(journal.commit().unwrap_err().kind(), io::ErrorKind::StorageFull, "{room}");
            assert_eq!(disk.durable(), before, "{room}");
            disk.fill_after(None);
            assert_eq!(journal.commit().unwrap(), 3, "{room}");
        }
        check(&disk, 16);
    }

    #[test]
    fn a_failed_sync_is_never_taken_for_a_success() {
        let disk = Disk::default();
        let mut journal = journal(&disk);
        journal.add(&receipt(0));
        disk.fail_syncs(2);
        for _ in 0..2 {
            assert!(journal.commit().is_err());
            check(&disk, 0);
        }
        journal.add(&receipt(1));
        assert_eq!(journal.commit().unwrap(), 2);
        check(&disk, 2);
    }

    #[test]
    fn nothing_is_appended_to_a_medium_that_cannot_be_wound_back() {
        let disk = Disk::default();
        let mut journal = journal(&disk);
        journal.add(&receipt(0));
        disk.fail_syncs(1);
        disk.fail_rewinds(2);
        for _ in 0..3 {
            assert!(journal.commit().is_err());
            check(&disk, 0);
        }
        assert_eq!(journal.commit().unwrap(), 1);
        check(&disk, 1);
    }
}
