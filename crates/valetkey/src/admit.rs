//! May this request, now?

use alloc::vec::Vec;

use crate::bound::Bounded;
use crate::client::Client;
use crate::denial::Denial;
use crate::grant::Grant;
use crate::intent::{Action, Intent};
use crate::permit::{Bearer, Charge, Permit, Rate};
use crate::verb::Verb;

/// Admits one request.
///
/// It is a pure function: what needs a memory (uses) is in the permit's charges, to be held in the ledger
/// before anything is done.
///
/// # Errors
/// In this order: [`Denial::ClientNotAllowed`], [`Denial::TlsRequired`], [`Denial::NotAllowed`],
/// [`Denial::OutOfScope`], [`Denial::TooLarge`], [`Denial::TooSmall`], [`Denial::TypeUndeclared`],
/// [`Denial::TypeNotAllowed`].
pub fn admit(bounded: Bounded, intent: &Intent<'_>) -> Result<Permit, Denial> {
    let Bounded { grant, lease, policies } = bounded;
    grant.admit_client(intent.client)?;
    if !grant.allow.contains(intent.action.verb()) {
        return Err(Denial::NotAllowed(intent.action.name()));
    }
    check_scope(&grant, intent)?;
    if let Action::Upload { declared_bytes } = intent.action {
        declared_bytes.map_or(Ok(()), |size| check_declared(&grant, size))?;
        grant.types.check_declared(intent.declared_type)?;
    }
    let mut charges = charges(&grant);
    let rates = rates(&charges);
    let is_counted = charges.iter().any(|charge| charge.limits.are_counted());
    if !charges.iter().any(|charge| charge.limits.need_ledger()) {
        charges.clear();
    }
    Ok(Permit {
        action: intent.action,
        path: intent.path.clone(),
        prefix: intent.prefix.into(),
        may_replace: grant.allow.contains(Verb::Write),
        may_know_absence: [Verb::Read, Verb::Stat, Verb::List]
            .into_iter()
            .any(|verb| grant.allow.contains(verb)),
        size: grant.size,
        end: grant.end,
        charges,
        is_counted,
        is_for_some_clients: !grant.clients.is_empty() || grant.require_tls,
        rates,
        tell: grant.tell,
        lease,
        bearer: bearer(&grant),
        policies,
        issued: grant.issued,
        levels: grant.levels,
        types: grant.types,
        digests: grant.digests,
        disposition: grant.disposition,
    })
}

/// All levels and quotas of a grant.
fn charges(grant: &Grant) -> Vec<Charge> {
    let levels = grant.levels.iter().map(|level| Charge {
        meter: level.name.clone(),
        limits: level.limits,
        end: Some(level.end),
        kept: level.kept,
    });
    let quotas = grant.quotas.iter().map(|quota| Charge {
        meter: quota.name.clone(),
        limits: quota.limits,
        end: None,
        kept: None,
    });
    levels.chain(quotas).collect()
}

/// Those that limit how fast bytes move. No rate is so low that nothing ever would.
fn rates(charges: &[Charge]) -> Vec<Rate> {
    let rate = |charge: &Charge| {
        let bytes_per_sec = charge.limits.rate_bytes?.max(1);
        Some(Rate { meter: charge.meter.clone(), bytes_per_sec })
    };
    charges.iter().filter_map(rate).collect()
}

impl Grant {
    /// Whether a client at this address may use it at all, however it asks.
    ///
    /// # Errors
    /// [`Denial::ClientNotAllowed`], [`Denial::TlsRequired`].
    pub fn admit_client(&self, client: Client) -> Result<(), Denial> {
        let Client { address, is_secure } = client;
        // An unknown address lies in no range.
        if !self.clients.iter().all(|ranges| address.is_some_and(|address| ranges.contain(address))) {
            return Err(Denial::ClientNotAllowed);
        }
        if self.require_tls && !is_secure {
            return Err(Denial::TlsRequired);
        }
        Ok(())
    }

    /// Who vouches for the request, for records.
    pub fn bearer(&self) -> Bearer {
        bearer(self)
    }
}

fn bearer(grant: &Grant) -> Bearer {
    Bearer {
        dialect: grant.dialect,
        signer: grant.signer.clone(),
        subject: grant.subject.clone(),
        key: grant.fingerprint(),
        id: grant.id.clone(),
        policy: grant.policy.clone(),
    }
}

fn check_scope(grant: &Grant, intent: &Intent<'_>) -> Result<(), Denial> {
    let within = match intent.action {
        Action::List => {
            let asked = alloc::format!("/{}/{}", intent.path.bucket(), intent.prefix);
            grant.scopes.contain_text(&asked)
        }
        Action::Stat | Action::Read | Action::Upload { .. } | Action::Part | Action::Delete => {
            grant.scopes.contain(intent.path)
        }
    };
    if within { Ok(()) } else { Err(Denial::OutOfScope) }
}

fn check_declared(grant: &Grant, size: u64) -> Result<(), Denial> {
    match grant.size.max_bytes {
        Some(cap) if size > cap => Err(Denial::TooLarge { size, cap }),
        _ if size < grant.size.min_bytes => Err(Denial::TooSmall { size, least: grant.size.min_bytes }),
        _ => Ok(()),
    }
}
