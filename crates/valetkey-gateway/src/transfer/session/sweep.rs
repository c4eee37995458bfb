//! Ending the sessions that nobody completed in time, and what a crash left of their parts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use valetkey::ResourcePath;
use valetkey_ledger::{Ledger, LedgerError, Session, SessionId, SessionQuery};

use super::now;
use super::terms::parked;
use crate::backend::{Space, StoreError};
use crate::gateway::Gateway;

/// How often it is looked for sessions that have expired.
const PAUSE: Duration = Duration::from_secs(30);

/// How many are asked for at once.
const PAGE: u32 = 500;

/// Ends expired sessions for as long as the gateway runs.
pub(crate) async fn sweep(gateway: Arc<Gateway>) {
    loop {
        tokio::time::sleep(PAUSE).await;
        // That the ledger does not answer is said elsewhere; it is tried again.
        while matches!(sweep_some(&gateway).await, Ok(ended) if ended > 0) {}
    }
}

/// Ends some, and says how many.
async fn sweep_some(gateway: &Gateway) -> Result<usize, LedgerError> {
    let mut ended = 0;
    for id in gateway.ledger.expired_sessions(now(gateway), PAGE).await? {
        if let Some(session) = gateway.ledger.session(id).await?
            && end(gateway, id).await?
        {
            ended += 1;
            remove(gateway, session).await;
        }
    }
    Ok(ended)
}

async fn end(gateway: &Gateway, id: SessionId) -> Result<bool, LedgerError> {
    match gateway.ledger.abort_session(id).await {
        Ok(()) => Ok(true),
        // It is being completed, or somebody else ended it.
        Err(LedgerError::SessionBusy(_) | LedgerError::UnknownSession(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn remove(gateway: &Gateway, session: Session) {
    let space =
        ResourcePath::from_text(&session.path).ok().and_then(|path| gateway.snapshot().space(&path).cloned());
    if let Some(space) = space {
        space.remove_session(parked(&session)).await;
    }
}

/// Removes what is left of sessions that are open no longer, and of parts that never were finished: for the start,
/// before anything is received.
///
/// # Errors
/// What the ledger says; what the disk says is logged, for it keeps nobody from serving.
pub(crate) async fn clear(ledger: &dyn Ledger, spaces: &HashMap<String, Space>) -> Result<(), LedgerError> {
    let ours = Session::store_prefix(ledger.status().await?.ledger);
    let mut wanted = HashMap::new();
    let mut after = None;
    loop {
        let query = SessionQuery { path_start: String::new(), after: after.take(), max: PAGE };
        let sessions = ledger.sessions(query).await?;
        let Some(last) = sessions.last() else { break };
        after = Some((last.path.clone(), Some(last.id)));
        for session in sessions {
            wanted.insert(session.store_name(), part_names(ledger, session.id).await?);
        }
    }
    for space in spaces.values() {
        let kept: Result<(), StoreError> = space.keep_sessions(&ours, |name| wanted.get(name).cloned());
        if let Err(error) = kept {
            tracing::warn!(%error, "what is left of ended uploads cannot be removed");
        }
    }
    Ok(())
}

async fn part_names(ledger: &dyn Ledger, session: SessionId) -> Result<Vec<String>, LedgerError> {
    let mut names = Vec::new();
    let mut after = 0;
    loop {
        let parts = ledger.parts(session, after, PAGE).await?;
        let Some(last) = parts.last() else { return Ok(names) };
        after = last.id.number;
        names.extend(parts.iter().map(|part| part.id.store_name()));
    }
}
