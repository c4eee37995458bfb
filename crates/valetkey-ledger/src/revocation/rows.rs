//! What an engine keeps of revocations: rows, beside those of [`Store`](crate::store::Store).

use super::{Revocation, Target};
use crate::store::Fault;
use crate::{Meter, UnixSeconds};

/// A place for revocations, and for which level a fingerprint stands.
pub(crate) trait RevocationRows {
    /// A number that no revocation ever had.
    fn next_revocation(&mut self) -> Result<u64, Fault>;
    fn put_revocation(&mut self, row: &Revocation) -> Result<(), Fault>;
    fn remove_revocation(&mut self, number: u64) -> Result<(), Fault>;
    fn revocation(&mut self, number: u64) -> Result<Option<Revocation>, Fault>;
    /// All of one target, which differ in their `before`.
    fn revocations_of(&mut self, target: &Target) -> Result<Vec<Revocation>, Fault>;
    /// At most `rows_max` whose number is above `after`, in the order of their numbers.
    fn revocations(&mut self, after: u64, rows_max: u32) -> Result<Vec<Revocation>, Fault>;
    /// At most `rows_max` that need not be kept until `before`, those that end first first.
    fn due_revocations(&mut self, before: UnixSeconds, rows_max: u32) -> Result<Vec<Revocation>, Fault>;

    /// The name of the level with this fingerprint, if it was noted.
    fn alias(&mut self, fingerprint: [u8; 16]) -> Result<Option<Meter>, Fault>;
    fn put_alias(
        &mut self,
        fingerprint: [u8; 16],
        level: &Meter,
        keep_until: UnixSeconds,
    ) -> Result<(), Fault>;
    /// Removes at most `rows_max` that need not be kept until `before`. Says how many.
    fn clear_aliases(&mut self, before: UnixSeconds, rows_max: u32) -> Result<usize, Fault>;
}
