//! What was revoked: compared with every request, told to all that runs, and recorded.

mod gate;

use std::pin::{Pin, pin};
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::sync::watch;
use valetkey::{Denial, Fingerprint, Grant, Identity, Permit, ResourcePath};
use valetkey_ledger::{NewRevocation, Reading, Revocable, Revocation, RevocationView, Target, UnixSeconds};

use crate::admit::seconds;
use crate::gateway::Gateway;
use crate::notify::Receipt;
use crate::settings::Settings;

pub(crate) use gate::Gate;

/// Refuses what is revoked, and what ended so long ago that its revocation may be forgotten.
///
/// `path` is `None` for what names no bucket, and `prefix` is what a listing asks for below one; empty for others.
///
/// # Errors
/// [`Denial::Revoked`], [`Denial::Expired`].
pub(crate) fn check(
    revoked: &RevocationView,
    identity: &Identity<'_>,
    path: Option<&ResourcePath>,
    prefix: &str,
) -> Result<(), Denial> {
    if seconds(identity.end) < revoked.cleared_before() {
        return Err(Denial::Expired(identity.end));
    }
    check_view(revoked, identity, path, prefix)
}

/// Refuses what was revoked since it was admitted. That its key has ended since is no matter: what has begun may
/// end.
///
/// # Errors
/// [`Denial::Revoked`].
pub(crate) fn check_again(revoked: &RevocationView, permit: &Permit) -> Result<(), Denial> {
    check_view(revoked, &permit.identity(), Some(&permit.path), &permit.prefix)
}

fn check_view(
    revoked: &RevocationView,
    identity: &Identity<'_>,
    path: Option<&ResourcePath>,
    prefix: &str,
) -> Result<(), Denial> {
    match revoked.read() {
        Some(reading) if is_revoked(&reading, identity, path, prefix) => Err(Denial::Revoked),
        _ => Ok(()),
    }
}

fn is_revoked(
    reading: &Reading<'_>,
    identity: &Identity<'_>,
    path: Option<&ResourcePath>,
    prefix: &str,
) -> bool {
    let &Identity { signer, id, subject, policies, levels, issued, end: _ } = identity;
    let issued = issued.map(seconds);
    let is = |name: Revocable<'_>| reading.revokes(name, issued);
    levels.iter().any(|level| {
        is(Revocable::Level(level.name.as_str())) || is(Revocable::Fingerprint(*level.fingerprint.as_bytes()))
    }) || id.is_some_and(|id| is(Revocable::Id { signer, id }))
        || subject.is_some_and(|subject| is(Revocable::Subject { signer, subject }))
        || is(Revocable::Signer(signer))
        || policies.iter().any(|policy| is(Revocable::Policy(policy)))
        || path.is_some_and(|path| {
            is(Revocable::Path(path.as_str()))
                || !prefix.is_empty() && is(Revocable::Path(&format!("/{}/{prefix}", path.bucket())))
        })
}

/// Does what may have to be waited for, unless what it rests on is revoked meanwhile. What is there at once costs
/// nothing more.
///
/// # Errors
/// As [`check_again`]; the work is dropped.
pub(crate) async fn until_revoked<T>(
    revoked: &RevocationView,
    permit: &Permit,
    work: impl Future<Output = T>,
) -> Result<T, Denial> {
    let mut work = pin!(work);
    if let Some(done) = work.as_mut().now_or_never() {
        return Ok(done);
    }
    let changes = revoked.changes();
    check_again(revoked, permit)?;
    heeding(changes, work, || check_again(revoked, permit)).await
}

/// Works as long as `check` agrees, which is asked at each of the `changes`.
async fn heeding<F: Future>(
    mut changes: watch::Receiver<u64>,
    mut work: Pin<&mut F>,
    mut check: impl FnMut() -> Result<(), Denial>,
) -> Result<F::Output, Denial> {
    loop {
        tokio::select! {
            done = &mut work => return Ok(done),
            Ok(()) = changes.changed() => check()?,
        }
    }
}

impl Gateway {
    /// Revokes. When it returns, the revocation is durable and recorded, nothing new opens, and nothing that rests on
    /// what is revoked appears any more; what is being sent ends within a second. A remote store may still make
    /// appear what it was sent in whole before. Dropping the future does not take it back.
    ///
    /// `receipt` says who asked; what is revoked is noted in it where it says nothing of the kind.
    ///
    /// # Errors
    /// [`Denial::LedgerUnavailable`]: nothing was changed. [`Denial::ChangeUnrecorded`]: it is in force, and
    /// could not be recorded.
    pub(crate) async fn revoke(
        self: &Arc<Self>,
        new: NewRevocation,
        receipt: Receipt,
    ) -> Result<Revocation, Denial> {
        let gateway = Arc::clone(self);
        let receipt = Receipt { action: Some("revoke"), ..naming(&new.target, receipt) };
        to_its_end(async move {
            let revocation = gateway.ledger.revoke(new).await.map_err(unavailable)?;
            gateway.gate.emptied().await;
            gateway.record_change(receipt).await?;
            Ok(revocation)
        })
        .await
    }

    /// Takes a revocation back; `None` where none of that number is in force, which is not recorded.
    ///
    /// # Errors
    /// As [`Self::revoke`].
    pub(crate) async fn lift(
        self: &Arc<Self>,
        number: u64,
        receipt: Receipt,
    ) -> Result<Option<Revocation>, Denial> {
        let gateway = Arc::clone(self);
        to_its_end(async move {
            let Some(lifted) = gateway.ledger.lift(number).await.map_err(unavailable)? else {
                return Ok(None);
            };
            let receipt = Receipt { action: Some("lift"), ..naming(&lifted.target, receipt) };
            gateway.record_change(receipt).await?;
            Ok(Some(lifted))
        })
        .await
    }

    async fn record_change(&self, receipt: Receipt) -> Result<(), Denial> {
        self.audit.record_durably(receipt).await.map_err(|error| {
            tracing::error!(%error, "what was done cannot be recorded");
            Denial::ChangeUnrecorded
        })
    }
}

/// Runs `work` to its end, whoever stops waiting for it.
async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Denial>> + Send + 'static,
) -> Result<T, Denial> {
    tokio::spawn(work).await.unwrap_or_else(|error| {
        tracing::error!(%error, "a revocation did not end");
        Err(Denial::LedgerUnavailable)
    })
}

fn unavailable(error: valetkey_ledger::LedgerError) -> Denial {
    tracing::error!(%error, "the ledger cannot revoke");
    Denial::LedgerUnavailable
}

/// The receipt, with what a target names where it says nothing of the kind.
fn naming(target: &Target, mut receipt: Receipt) -> Receipt {
    let name = |place: &mut Option<String>, name: &str| {
        place.get_or_insert_with(|| name.to_owned());
    };
    match target {
        // The name of a level is no name that a record has a place for, unless its key was shown.
        Target::Level(level) if receipt.key.is_none() => name(&mut receipt.object, level.as_str()),
        Target::Level(_) => {}
        Target::Fingerprint(bytes) => {
            receipt.key.get_or_insert(Fingerprint::from_bytes(*bytes));
        }
        Target::Id { signer, id } => {
            if let Some(signer) = signer {
                name(&mut receipt.signer, signer);
            }
            name(&mut receipt.id, id);
        }
        Target::Subject { signer, subject } => {
            if let Some(signer) = signer {
                name(&mut receipt.signer, signer);
            }
            name(&mut receipt.subject, subject);
        }
        Target::Signer(signer) => name(&mut receipt.signer, signer),
        Target::Policy(policy) => name(&mut receipt.policy, policy),
        Target::Path(path) => {
            let (bucket, object) = path.trim_start_matches('/').split_once('/').unwrap_or((path, ""));
            name(&mut receipt.bucket, bucket);
            name(&mut receipt.object, object);
        }
    }
    receipt
}

/// Until when the revocation of a grant's last level is kept.
pub(crate) fn keep_until(settings: &Settings, grant: &Grant) -> UnixSeconds {
    let signer = settings.signers.get(grant.signer());
    let keep_ids = signer.and_then(|signer| signer.ceiling.keep_ids);
    grant.forgettable_at(keep_ids).map_or(UnixSeconds::MAX, seconds)
}
