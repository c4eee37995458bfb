//! `POST /-/end`: end a key now.

use http::Response;
use valetkey::Denial;

use super::Asker;
use crate::identify::Holder;
use crate::transfer::body::Body;

/// Ends the last level of a key, with all that is narrowed below it.
///
/// # Errors
/// As [`valetkey::bound`].
pub(super) async fn answer(asker: &Asker<'_>, holder: Holder<'_>) -> Result<Response<Body>, Denial> {
    let house = asker.snapshot.settings.house(&holder.grant);
    let bounded = valetkey::bound(holder.grant, &house, asker.now)?;
    bounded.grant().admit_client(asker.client)?;
    asker.audit_is_sound()?;
    Err(Denial::CallNotSupported("ending a key"))
}
