//! `POST /-/end`: end a key now.
//!
//! It revokes the name of the key's last level, and with it what was narrowed below and what it was renewed to;
//! nothing above it and beside it. A key that is past its end has no power left, not even this one over keys of the
//! same name.

use http::{Response, StatusCode};
use valetkey::Denial;
use valetkey_ledger::{Meter, NewRevocation, Target, UnixSeconds};

use crate::admit::seconds;
use crate::flow::At;
use crate::identify::Holder;
use crate::respond;
use crate::transfer::body::Body;

/// Ends the last level of a key, with all that is narrowed below it. Of one that is revoked already nothing is left
/// to be done: whoever lost the answer may ask again.
///
/// # Errors
/// As [`valetkey::bound`], [`Denial::ClientNotAllowed`], [`Denial::TlsRequired`], [`Denial::LedgerUnavailable`].
pub(super) async fn answer(at: &At<'_>, holder: Holder<'_>) -> Result<Response<Body>, Denial> {
    let settings = &at.snapshot.settings;
    let house = settings.house(&holder.grant);
    let shown = holder.grant.clone().within(&house);
    let ended = || respond::status(StatusCode::NO_CONTENT);
    let bounded = match super::bound(at, holder.grant, &house, &holder.path) {
        Err(Denial::Revoked) => {
            shown.admit_client(at.connection.client)?;
            return Ok(at.recorder.answered(ended()));
        }
        bounded => bounded?,
    };
    let grant = bounded.grant();
    grant.admit_client(at.connection.client)?;
    super::audit_is_sound(at)?;
    let last = grant.levels().last().ok_or(Denial::BadSignature)?;
    // Of a narrowing no longer than what it narrows lasts: its holder can name and end any number of them.
    let keep_until = last.kept.map_or(UnixSeconds::MAX, seconds);
    let new = NewRevocation {
        target: Target::Level(Meter::new(last.name.as_str())),
        before: None,
        now: seconds(at.now.clock),
        keep_until,
    };
    at.gateway.revoke(new, at.recorder.receipt(StatusCode::NO_CONTENT)).await?;
    at.recorder.was_recorded(StatusCode::NO_CONTENT);
    Ok(ended())
}
