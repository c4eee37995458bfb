//! `POST /-/renew`: the same key with a later end.

use http::Response;
use serde::Serialize;
use valetkey::{Denial, Fingerprint, Grant, NOT_RENEWED};
use valetkey_ledger::Meter;

use crate::admit::seconds;
use crate::flow::At;
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
pub(super) async fn answer(at: &At<'_>, holder: Holder<'_>) -> Result<Response<Body>, Denial> {
    let Holder { grant, text, path } = holder;
    let settings = &at.snapshot.settings;
    let signer = settings.signers.get(grant.signer()).ok_or(Denial::BadSignature)?;
    let house = settings.house(&grant);
    let bounded = super::bound(at, grant, &house, &path).map_err(|denial| match denial {
        Denial::Expired(_) | Denial::Revoked => NOT_RENEWED,
        other => other,
    })?;
    bounded.grant().admit_client(at.connection.client)?;
    let renewed = valetkey::renew(text, &bounded, &house, &signer.secrets, at.now)?;
    super::audit_is_sound(at)?;
    note_alias(at, bounded.grant(), renewed.fingerprint).await?;
    let view = View { query: renewed.query, end: renewed.end.to_string() };
    Ok(at.recorder.answered(respond::about_key(&view, at.parts)))
}

/// Remembers that both fingerprints are of one name, before anybody has the new one: so whoever revokes a
/// fingerprint that they read in a record revokes the renewed key as well.
async fn note_alias(at: &At<'_>, grant: &Grant, new: Fingerprint) -> Result<(), Denial> {
    let [base] = grant.levels() else { return Err(NOT_RENEWED) };
    let ledger = &at.gateway.ledger;
    for fingerprint in [base.fingerprint, new] {
        let name = Meter::new(base.name.as_str());
        ledger.note_alias(*fingerprint.as_bytes(), name, seconds(base.end)).await.map_err(|error| {
            tracing::error!(%error, "the ledger cannot note a renewal");
            Denial::LedgerUnavailable
        })?;
    }
    Ok(())
}
