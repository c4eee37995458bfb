//! Seals over counter rows: damage, not malice, is what they show.

/// A running FNV-1a hash of 64 bits.
///
/// Each step maps states one to one, so that rows that differ in one byte never have the same seal, and others one time
/// in 2^64. Whoever may write to the file could compute a seal; the file's mode keeps such people out.
pub(super) struct Seal(u64);

impl Seal {
    pub(super) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(super) fn number(self, number: u64) -> Self {
        self.bytes(&number.to_le_bytes())
    }

    pub(super) fn text(self, text: &str) -> Self {
        // The length goes first, so that no two lists of fields read the same.
        self.bytes(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes()).bytes(text.as_bytes())
    }

    /// The seal as SQLite keeps it.
    pub(super) fn to_integer(&self) -> i64 {
        self.0.cast_signed()
    }

    fn bytes(self, bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(self.0, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)))
    }
}
