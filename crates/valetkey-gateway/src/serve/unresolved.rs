//! What a crash left between its mark and its end.
//!
//! It counts as spent, whatever became of it. What is still to be done is to look whether an upload's object stands, to
//! record that, and to settle the hold. On disk this is done before anything is served. A store may not answer, and is
//! to keep nobody waiting: what it has is looked for while the gateway serves, and again until it answers.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;
use valetkey::ResourcePath;
use valetkey_ledger::{Action, HoldId, Ledger, Settlement, Unresolved};

use super::start::StartError;
use crate::admit::seconds;
use crate::backend::Space;
use crate::clock;
use crate::gateway::Gateway;
use crate::notify::{self, Audit, AuditError, ChainKey, Receipt};
use crate::settings;
use crate::settle::Witness;

/// How far back in the log a request's record is looked for: further than any crash can have left a hold open.
const LOOK_BACK_LINES_MAX: usize = 1_000_000;

/// How many objects of one bucket are looked for at once.
const AT_ONCE: usize = 4;

/// How long after a store answered for none of them it is asked again.
const PAUSE: Duration = Duration::from_secs(10);

/// How long a store is asked for what it does not tell.
const LOOKING_MAX: Duration = Duration::from_secs(3600);

/// A transfer that was under way.
pub(super) struct Left {
    hold: HoldId,
    action: Action,
    path: String,
    /// What is still to be recorded of it.
    receipt: Option<Receipt>,
}

/// What is looked for while the gateway serves, by its bucket.
pub(super) type InStores = BTreeMap<String, Vec<Left>>;

/// What became of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Stands,
    Absent,
    Unknown,
    /// Of a delete: nothing can tell its own from another.
    MayBeGone,
}

impl Fate {
    fn reason(self) -> &'static str {
        match self {
            Self::Stands => "the gateway stopped before it was answered; the object is there",
            Self::Absent => "the gateway stopped before it was answered; the object is not there",
            Self::Unknown => "the gateway stopped before it was answered; the object could not be looked for",
            Self::MayBeGone => "the gateway stopped before it was answered; the object may be gone",
        }
    }
}

/// Ends what can be ended at once, and returns what is to be looked for in remote stores.
///
/// # Errors
/// [`StartError::Ledger`], [`StartError::Audit`].
pub(super) async fn resolve(
    ledger: &dyn Ledger,
    buckets: &HashMap<String, Space>,
    audit: &Audit,
    log: &settings::Audit,
) -> Result<InStores, StartError> {
    let mut in_stores = InStores::new();
    for left in left(ledger, log).await? {
        let fate = match (left.action, space(buckets, &left.path)) {
            (Action::Upload, Some((path, Space::Remote(_)))) => {
                in_stores.entry(path.bucket().to_owned()).or_default().push(left);
                continue;
            }
            (Action::Upload, _) => look(buckets, &left).await,
            _ => Fate::MayBeGone,
        };
        end(ledger, audit, left, fate).await?;
    }
    Ok(in_stores)
}

/// All that an earlier life left.
async fn left(ledger: &dyn Ledger, log: &settings::Audit) -> Result<Vec<Left>, StartError> {
    let unresolved = ledger.unresolved().await?.into_iter();
    let mut all: Vec<Left> = unresolved
        .map(|Unresolved { hold, action, object }| {
            let Witness { path, receipt } = Witness::from_words(&object);
            Left { hold, action, path, receipt }
        })
        .collect();
    let id = |left: &Left| left.receipt.as_ref()?.request_id.clone();
    let ids: Vec<String> = all.iter().filter_map(id).collect();
    let recorded = match ChainKey::load(&log.key_file).map_err(AuditError::from)? {
        Some(key) if !ids.is_empty() => notify::requests_among(log, &key, &ids, LOOK_BACK_LINES_MAX)
            .map_err(|source| AuditError::Io {
                doing: "read",
                path: log.path.clone(),
                source: source.into(),
            })?,
        _ => HashSet::new(),
    };
    for left in &mut all {
        if id(left).is_some_and(|id| recorded.contains(&id)) {
            left.receipt = None;
        }
    }
    Ok(all)
}

/// Looks for what remote stores have, all stores at a time, until each has told or an hour is over. What is not known
/// when it is dropped is looked for at the next start.
pub(super) async fn resolve_in_stores(gateway: Arc<Gateway>, in_stores: InStores) {
    let look = |left: Left| {
        let gateway = Arc::clone(&gateway);
        async move {
            let fate = look(&gateway.snapshot().buckets, &left).await;
            (left, fate)
        }
    };
    let end = |left: Left, fate: Fate| {
        let gateway = Arc::clone(&gateway);
        async move {
            if let Err(error) = end(gateway.ledger.as_ref(), &gateway.audit, left, fate).await {
                tracing::error!(%error, "what a crash left cannot be recorded; the next start tries again");
            }
        }
    };
    join_all(in_stores.into_values().map(|left| until_told(left.into(), look, end))).await;
}

/// Looks for some at a time, for each again until its fate is known, and ends each once.
async fn until_told<T, Looking, Ending>(
    mut open: VecDeque<T>,
    look: impl Fn(T) -> Looking,
    end: impl Fn(T, Fate) -> Ending,
) where
    Looking: Future<Output = (T, Fate)>,
    Ending: Future<Output = ()>,
{
    let give_up = Instant::now() + LOOKING_MAX;
    while !open.is_empty() {
        if Instant::now() >= give_up {
            for one in open {
                end(one, Fate::Unknown).await;
            }
            return;
        }
        let some = open.drain(..AT_ONCE.min(open.len()));
        let told = join_all(some.map(&look)).await;
        let is_silent = told.iter().all(|(_, fate)| *fate == Fate::Unknown);
        for (one, fate) in told {
            match fate {
                Fate::Unknown => open.push_back(one),
                fate => end(one, fate).await,
            }
        }
        if is_silent {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Looks whether the object stands that was uploaded.
async fn look(buckets: &HashMap<String, Space>, left: &Left) -> Fate {
    let Some((path, space)) = space(buckets, &left.path) else { return Fate::Unknown };
    match (space.find_hold(path.name(), &left.hold.to_string()).await, space) {
        (Ok(true), _) => Fate::Stands,
        (Ok(false), _) => Fate::Absent,
        (Err(error), Space::Disk(_)) => {
            tracing::warn!(%error, "an upload cannot be looked for");
            Fate::Unknown
        }
        (Err(error), Space::Remote(_)) => {
            // It is asked again and again, and that a store does not answer is said elsewhere.
            tracing::debug!(%error, "an upload cannot be looked for");
            Fate::Unknown
        }
    }
}

fn space<'a>(buckets: &'a HashMap<String, Space>, path: &str) -> Option<(ResourcePath, &'a Space)> {
    let path = ResourcePath::from_text(path).ok()?;
    let space = buckets.get(path.bucket())?;
    Some((path, space))
}

/// Records what became of a transfer, unless that is recorded already, and settles it.
async fn end(ledger: &dyn Ledger, audit: &Audit, left: Left, fate: Fate) -> Result<(), StartError> {
    let Left { hold, action, path, receipt } = left;
    let upload = matches!(action, Action::Upload);
    tracing::warn!(%hold, %path, upload, ?fate, "a transfer was under way when the gateway stopped");
    if let Some(receipt) = receipt {
        audit.record_durably(Receipt { reason: Some(fate.reason().into()), ..receipt }).await?;
    }
    ledger.settle(hold, Settlement::Done { bytes: 0 }, seconds(clock::now())).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    /// When each was ended and how, in the order of the numbers, where `look` says what is told of a number at a
    /// time; and how many looks that took.
    fn check(numbers: u64, look: impl Fn(u64, Duration) -> Fate) -> (Vec<(u64, Fate, Duration)>, u64) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let begun = Instant::now();
            let (ended, looks, now) = (RefCell::new(Vec::new()), Cell::new(0), Cell::new(0));
            let look = async |number| {
                looks.set(looks.get() + 1);
                now.set(now.get() + 1);
                assert!(now.get() <= AT_ONCE);
                tokio::time::sleep(Duration::from_secs(1)).await;
                now.set(now.get() - 1);
                (number, look(number, begun.elapsed()))
            };
            let end = async |number, fate| ended.borrow_mut().push((number, fate, begun.elapsed()));
            until_told((0..numbers).collect(), look, end).await;
            let mut ended = ended.into_inner();
            ended.sort_by_key(|(number, ..)| *number);
            (ended, looks.get())
        })
    }

    #[test]
    fn each_is_looked_for_once_where_the_store_answers() {
        let fate = |number| if number % 2 == 0 { Fate::Stands } else { Fate::Absent };
        let (ended, looks) = check(10, |number, _| fate(number));
        assert_eq!(looks, 10);
        for (at, (number, told, when)) in (0..).zip(ended) {
            assert_eq!((number, told), (at, fate(at)));
            assert!(when <= Duration::from_secs(3), "a few at a time: {when:?}");
        }
    }

    #[test]
    fn a_store_that_is_silent_is_asked_again_until_it_answers() {
        let answers_from = Duration::from_secs(100);
        let (ended, _) = check(6, |_, when| match when < answers_from {
            true => Fate::Unknown,
            false => Fate::Stands,
        });
        for (_, told, when) in &ended {
            assert_eq!(*told, Fate::Stands);
            assert!(*when >= answers_from && *when < answers_from + 3 * PAUSE, "{when:?}");
        }
        assert_eq!(ended.len(), 6);
    }

    #[test]
    fn one_that_nobody_can_tell_holds_up_no_other_and_is_given_up() {
        let (ended, looks) = check(9, |number, _| match number {
            0 => Fate::Unknown,
            _ => Fate::Absent,
        });
        let [(0, Fate::Unknown, late), rest @ ..] = &ended[..] else { panic!("{ended:?}") };
        assert!(*late >= LOOKING_MAX && *late < LOOKING_MAX + 2 * PAUSE, "{late:?}");
        assert!(rest.iter().all(|(_, told, when)| *told == Fate::Absent && *when < PAUSE), "{rest:?}");
        assert!(looks < 400, "{looks}");
    }
}
