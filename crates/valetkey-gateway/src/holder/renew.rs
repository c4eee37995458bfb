//! `POST /-/renew`: the same key with a later end.

use http::Response;
use http::request::Parts;
use serde::Serialize;
use valetkey::{Denial, Fingerprint, Grant, NOT_RENEWED};
use valetkey_ledger::Meter;

use super::Asker;
use crate::admit::seconds;
use crate::identify::Holder;
use crate::respond;
use crate::transfer::body::Body;

/// The answer.
#[derive(Serialize)]
struct View {
    query: String,
    end: String,
}

/// Renews a key.
///
/// # Errors
/// As [`valetkey::bound`] and [`valetkey::renew`]; [`NOT_RENEWED`] for a key that has ended or is revoked; and
/// [`Denial::LedgerUnavailable`].
pub(super) async fn answer(
    asker: &Asker<'_>,
    holder: Holder<'_>,
    parts: &Parts,
) -> Result<Response<Body>, Denial> {
    let Holder { grant, text, path } = holder;
    let settings = &asker.snapshot.settings;
    let signer = settings.signers.get(grant.signer()).ok_or(Denial::BadSignature)?;
    let house = settings.house(&grant);
    let bounded = asker.bound(grant, &house, &path).map_err(|denial| match denial {
        Denial::Expired(_) | Denial::Revoked => NOT_RENEWED,
        other => other,
    })?;
    bounded.grant().admit_client(asker.client)?;
    let renewed = valetkey::renew(text, &bounded, &house, &signer.secrets, asker.now)?;
    asker.audit_is_sound()?;
    note_alias(asker, bounded.grant(), renewed.fingerprint).await?;
    let view = View { query: renewed.query, end: renewed.end.to_string() };
    Ok(asker.recorder.answered(respond::about_key(&view, parts)))
}

/// Remembers that both fingerprints are of one name, before anybody has the new one: so whoever revokes a
/// fingerprint that they read in a record revokes the renewed key as well.
async fn note_alias(asker: &Asker<'_>, grant: &Grant, new: Fingerprint) -> Result<(), Denial> {
    let [base] = grant.levels() else { return Err(NOT_RENEWED) };
    let ledger = &asker.gateway.ledger;
    for fingerprint in [base.fingerprint, new] {
        let name = Meter::new(base.name.as_str());
        ledger.note_alias(*fingerprint.as_bytes(), name, seconds(base.end)).await.map_err(|error| {
            tracing::error!(%error, "the ledger cannot note a renewal");
            Denial::LedgerUnavailable
        })?;
    }
    Ok(())
}
