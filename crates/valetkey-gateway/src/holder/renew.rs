//! `POST /-/renew`: the same key with a later end.

use http::Response;
use http::request::Parts;
use serde::Serialize;
use valetkey::{Denial, NOT_RENEWED};

use super::Asker;
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
/// As [`valetkey::bound`] and [`valetkey::renew`]; [`NOT_RENEWED`] for a key that has ended or is revoked.
pub(super) async fn answer(
    asker: &Asker<'_>,
    holder: Holder<'_>,
    parts: &Parts,
) -> Result<Response<Body>, Denial> {
    let Holder { grant, text, .. } = holder;
    let settings = &asker.snapshot.settings;
    let signer = settings.signers.get(grant.signer()).ok_or(Denial::BadSignature)?;
    let house = settings.house(&grant);
    let bounded = valetkey::bound(grant, &house, asker.now).map_err(|denial| match denial {
        Denial::Expired(_) => NOT_RENEWED,
        other => other,
    })?;
    asker.gateway.recent.note(bounded.grant(), asker.client, asker.now.clock);
    bounded.grant().admit_client(asker.client)?;
    let renewed = valetkey::renew(text, &bounded, &house, &signer.secrets, asker.now)?;
    asker.audit_is_sound()?;
    let view = View { query: renewed.query, end: renewed.end.to_string() };
    Ok(asker.recorder.answered(respond::about_key(&view, parts)))
}
