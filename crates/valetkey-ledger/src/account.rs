//! Accounts: what is charged to meters, what is given back, and when that is written.
//!
//! There is one mechanism for every resource: a cost is compared with what each level of a chain has left, and then
//! charged to all of them, or to none.
//!
//! A change of a meter is urgent where a limit depends on it: then it is durable before anybody learns of it. What is
//! given back, and what is counted without a limit, waits for the next commit, a second or so at most: a crash that
//! loses it costs a key a use at worst, and never gives it one.
//!
//! How many transfers run at once is known to memory alone, since a restart ends them all.

use crate::store::{Charged, Fault, FileName, FileRow, MeterRow, Store};
use crate::undo::Undo;
use crate::{Charge, LedgerError, Limits, Meter, Resource, UnixSeconds, Usage};

/// The largest count, and so the limit where there is none.
const COUNT_MAX: u64 = UnixSeconds::MAX.0;
/// How many meters may wait to be written without a reason to write them.
const UNWRITTEN_MAX: usize = 4096;

/// What is charged at every level of a chain.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    pub(crate) uses: u64,
    pub(crate) in_bytes: u64,
    pub(crate) out_bytes: u64,
    pub(crate) parallel: u64,
    pub(crate) file: Option<FileName>,
}

/// Meters as the machine sees them.
#[derive(Default)]
pub(crate) struct Accounts {
    /// Rows that are to be written with the next commit.
    unwritten: Undo<Meter, MeterRow>,
    /// How many transfers run, by meter; none is no entry.
    parallel: Undo<Meter, u64>,
    /// A limit depends on something that is not written yet.
    urgent: bool,
}

impl Accounts {
    /// Charges a cost to every level, or to none. `meters_made` is raised for each meter that is new.
    pub(crate) fn charge(
        &mut self,
        store: &mut impl Store,
        charges: &[Charge],
        cost: Cost,
        now: UnixSeconds,
        meters_made: &mut u64,
    ) -> Result<Result<Vec<Charged>, LedgerError>, Fault> {
        // A meter that is named twice in one chain is charged twice, and the second time compared after the first.
        let mut accounts: Vec<Account<'_>> = Vec::with_capacity(charges.len());
        let mut charged = Vec::with_capacity(charges.len());
        let mut made = *meters_made;
        for (level, charge) in charges.iter().enumerate() {
            let place = match accounts.iter().position(|account| account.meter == &charge.meter) {
                Some(place) => place,
                None => {
                    accounts.push(self.account(store, charge, cost, &mut made)?);
                    accounts.len() - 1
                }
            };
            match accounts[place].charge(charge, cost, now) {
                Ok(one) => charged.push(one),
                Err((resource, limit)) => {
                    return Ok(Err(LedgerError::Exhausted { level, resource, limit }));
                }
            }
        }
        for Account { meter, row, parallel, file } in accounts {
            if let (Some(name), Some(file)) = (cost.file, file) {
                store.put_file(row.made, name, Some(file))?;
            }
            self.unwritten.set(meter, Some(row));
            if cost.parallel > 0 {
                self.parallel.set(meter, Some(parallel));
            }
        }
        *meters_made = made;
        self.urgent |= charges.iter().any(|charge| {
            let Limits { uses, in_bytes, out_bytes, files, parallel: _ } = charge.limits;
            (cost.uses > 0 && uses.is_some())
                || (cost.in_bytes > 0 && in_bytes.is_some())
                || (cost.out_bytes > 0 && out_bytes.is_some())
                || (cost.file.is_some() && files.is_some())
        });
        Ok(Ok(charged))
    }

    /// Charges up to `bytes` more under [`Resource::In`]: as many as every level has left, and at least one. Returns
    /// how many; `None` where no level limits them, so that they need not be charged before they have come.
    pub(crate) fn grow(
        &mut self,
        store: &mut impl Store,
        charged: &[Charged],
        bytes: u64,
    ) -> Result<Result<Option<u64>, LedgerError>, Fault> {
        if charged.iter().all(|charged| charged.in_max.is_none()) {
            return Ok(Ok(None));
        }
        let mut granted = bytes;
        for (level, Charged { meter, in_max, .. }) in charged.iter().enumerate() {
            let Some(row) = self.row(store, meter)? else { continue };
            let limit = in_max.unwrap_or(COUNT_MAX);
            // A meter that stands in the chain so many times so far is charged as often.
            let times = (1..).zip(charged[..=level].iter().filter(|other| other.meter == *meter)).count();
            let times = u64::try_from(times).unwrap_or(u64::MAX).max(1);
            granted = granted.min(limit.saturating_sub(row.usage.in_bytes) / times);
            if granted == 0 && bytes > 0 {
                return Ok(Err(LedgerError::Exhausted { level, resource: Resource::In, limit }));
            }
        }
        self.charge_in(store, charged, granted)?;
        self.urgent = true;
        Ok(Ok(Some(granted)))
    }

    /// Counts bytes that have come already, whatever the limits say.
    pub(crate) fn charge_in(
        &mut self,
        store: &mut impl Store,
        charged: &[Charged],
        bytes: u64,
    ) -> Result<(), Fault> {
        self.change(store, charged, |usage| {
            usage.in_bytes = usage.in_bytes.saturating_add(bytes).min(COUNT_MAX)
        })
    }

    /// Gives back what was charged and came to nothing; of transfers at once, only what [`Accounts::end`] does.
    pub(crate) fn give_back(
        &mut self,
        store: &mut impl Store,
        charged: &[Charged],
        cost: Cost,
    ) -> Result<(), Fault> {
        self.change(store, charged, |usage| {
            usage.uses = usage.uses.saturating_sub(cost.uses);
            usage.in_bytes = usage.in_bytes.saturating_sub(cost.in_bytes);
            usage.out_bytes = usage.out_bytes.saturating_sub(cost.out_bytes);
        })
    }

    /// Lets go of a name that a hold has: for good where the upload is done, else as if it never had it.
    pub(crate) fn release_file(
        &mut self,
        store: &mut impl Store,
        charged: &[Charged],
        name: FileName,
        done: bool,
    ) -> Result<(), Fault> {
        for charged in charged.iter().filter(|charged| charged.named) {
            let Some(FileRow { holds, kept }) = store.file(charged.made, name)? else { continue };
            let file = FileRow { holds: holds.saturating_sub(1), kept: kept || done };
            let stays = file.kept || file.holds > 0;
            store.put_file(charged.made, name, stays.then_some(file))?;
            if !stays {
                self.change(store, std::slice::from_ref(charged), |usage| {
                    usage.files = usage.files.saturating_sub(1);
                })?;
            }
        }
        Ok(())
    }

    /// Ends a transfer, as far as it is counted at once with others.
    pub(crate) fn end(&mut self, charged: &[Charged]) {
        for Charged { meter, .. } in charged {
            let left = self.running(meter).saturating_sub(1);
            self.parallel.set(meter, (left > 0).then_some(left));
        }
    }

    /// What is held or spent under a meter.
    pub(crate) fn usage(&self, store: &mut impl Store, meter: &Meter) -> Result<Usage, Fault> {
        let usage = self.row(store, meter)?.map_or_else(Usage::default, |row| row.usage);
        Ok(Usage { parallel: self.running(meter), ..usage })
    }

    /// How many transfers run under a meter.
    pub(crate) fn running(&self, meter: &Meter) -> u64 {
        self.parallel.get(meter).copied().unwrap_or(0)
    }

    /// Whether something must be durable before the batch is answered.
    pub(crate) fn is_urgent(&self) -> bool {
        self.urgent || self.unwritten.len() > UNWRITTEN_MAX
    }

    /// Whether anything waits to be written.
    pub(crate) fn has_unwritten(&self) -> bool {
        self.unwritten.len() > 0
    }

    /// Writes what waits. It is done once the store has committed and [`Accounts::written`] says so.
    pub(crate) fn write(&self, store: &mut impl Store) -> Result<(), Fault> {
        self.unwritten.iter().try_for_each(|(meter, row)| store.put_meter(meter, *row))
    }

    /// Takes note that all that waited is durable.
    pub(crate) fn written(&mut self) {
        self.unwritten.clear();
    }

    /// Makes the changes since the last `keep` final.
    pub(crate) fn keep(&mut self) {
        self.unwritten.keep();
        self.parallel.keep();
        self.urgent = false;
    }

    /// Undoes the changes since the last `keep`.
    pub(crate) fn roll_back(&mut self) {
        self.unwritten.roll_back();
        self.parallel.roll_back();
        self.urgent = false;
    }

    fn row(&self, store: &mut impl Store, meter: &Meter) -> Result<Option<MeterRow>, Fault> {
        match self.unwritten.get(meter) {
            Some(row) => Ok(Some(*row)),
            None => store.meter(meter),
        }
    }

    /// Changes the count of each meter that was charged, unless it was cleared since.
    fn change(
        &mut self,
        store: &mut impl Store,
        charged: &[Charged],
        change: impl Fn(&mut Usage),
    ) -> Result<(), Fault> {
        for Charged { meter, made, .. } in charged {
            if let Some(mut row) = self.row(store, meter)?
                && row.made == *made
            {
                change(&mut row.usage);
                self.unwritten.set(meter, Some(row));
            }
        }
        Ok(())
    }

    fn account<'a>(
        &self,
        store: &mut impl Store,
        charge: &'a Charge,
        cost: Cost,
        meters_made: &mut u64,
    ) -> Result<Account<'a>, Fault> {
        let meter = &charge.meter;
        let row = self.row(store, meter)?;
        let file = match (row, cost.file) {
            (Some(row), Some(name)) => store.file(row.made, name)?,
            _ => None,
        };
        let row = row.unwrap_or_else(|| {
            *meters_made += 1;
            let (usage, limits) = (Usage::default(), charge.limits);
            MeterRow { usage, limits, ends: charge.ends, keep_until: charge.keep_until, made: *meters_made }
        });
        Ok(Account { meter, row, parallel: self.running(meter), file })
    }
}

/// One meter of a chain, with what the levels so far have charged to it.
struct Account<'a> {
    meter: &'a Meter,
    row: MeterRow,
    parallel: u64,
    file: Option<FileRow>,
}

impl Account<'_> {
    /// Takes what one level costs, or says what it has not enough of, and the limit of that.
    fn charge(&mut self, charge: &Charge, cost: Cost, now: UnixSeconds) -> Result<Charged, (Resource, u64)> {
        let Self { meter, row: MeterRow { usage, limits, ends, keep_until, made }, parallel, file } = self;
        let named = cost.file.is_some() && counts_names(charge);
        let new_files = u64::from(named && file.is_none());
        let Limits { uses, in_bytes, out_bytes, files, parallel: parallel_max } = charge.limits;
        for (resource, count, amount, limit) in [
            (Resource::Uses, &mut usage.uses, cost.uses, uses),
            (Resource::In, &mut usage.in_bytes, cost.in_bytes, in_bytes),
            (Resource::Out, &mut usage.out_bytes, cost.out_bytes, out_bytes),
            (Resource::Files, &mut usage.files, new_files, files),
            (Resource::Parallel, parallel, cost.parallel, parallel_max),
        ] {
            let limit = limit.unwrap_or(COUNT_MAX);
            // What costs nothing is never refused, even where a limit was lowered below what is used.
            if amount > 0 && amount > limit.saturating_sub(*count) {
                return Err((resource, limit));
            }
            *count += amount;
        }
        if named {
            let FileRow { holds, kept } = file.unwrap_or_default();
            *file = Some(FileRow { holds: holds.saturating_add(1), kept });
        }
        usage.last_seen = usage.last_seen.max(Some(now));
        *limits = charge.limits;
        *ends = charge.ends.max(*ends);
        *keep_until = charge.keep_until.max(*keep_until);
        Ok(Charged { meter: (*meter).clone(), made: *made, in_max: in_bytes, named })
    }
}

/// Names are kept one by one, so those of a quota, which has no end, are not where it does not limit them.
fn counts_names(charge: &Charge) -> bool {
    charge.limits.files.is_some() || charge.ends < UnixSeconds::MAX
}
