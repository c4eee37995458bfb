//! Meters by the million, without the price of as many holds: for measurements.

use std::path::Path;

use super::file;
use super::store::{self, SqliteStore};
use crate::store::{Fault, MeterRow, Store as _};
use crate::{Limits, Meter, OpenError, UnixSeconds, Usage};

/// How many rows one transaction takes.
const AT_ONCE: u64 = 200_000;

/// Makes a ledger with `count` meters, of each of which one use is spent. Their names are to come in order.
///
/// # Errors
/// See [`OpenError`].
pub fn fill_sqlite(
    path: impl AsRef<Path>,
    count: u64,
    name: impl Fn(u64) -> Meter,
    ends: UnixSeconds,
) -> Result<(), OpenError> {
    let path = file::make(path.as_ref())?;
    let mut store = SqliteStore::open(&path)?;
    let mut fill = || -> Result<(), Fault> {
        store.begin()?;
        for number in 0..count {
            let usage = Usage { uses: 1, last_seen: Some(ends), ..Usage::default() };
            let (limits, keep_until) = (Limits::default(), UnixSeconds::MAX);
            let row = MeterRow { usage, limits, ends, keep_until, made: number + 1 };
            store.put_meter(&name(number), row)?;
            if number % AT_ONCE == AT_ONCE - 1 {
                store.commit()?;
                store.begin()?;
            }
        }
        let mut header = store.header()?;
        header.meters_made = count;
        store.put_header(&header)?;
        store.commit()
    };
    fill().map_err(|fault| store::open_error(&path, fault))
}
