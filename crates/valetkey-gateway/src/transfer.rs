//! Moving the bytes, and counting them.

pub(crate) mod arriving;
pub(crate) mod body;
pub(crate) mod condition;
pub(crate) mod copied;
pub(crate) mod delete;
pub(crate) mod download;
pub(crate) mod first_bytes;
pub(crate) mod form;
pub(crate) mod integrity;
pub(crate) mod list;
pub(crate) mod made_of;
pub(crate) mod range;
pub(crate) mod rate;
pub(crate) mod receiving;
pub(crate) mod session;
pub(crate) mod source;
pub(crate) mod upload;

use std::cell::Cell;

use valetkey::Denial;

use crate::backend::StoreError;
use crate::settle::Settling;

/// A download under way: it counts what the transport took, and settles once, when nothing more can be sent.
///
/// The response body and every piece that waits in a connection's outbox share it; whoever drops it last
/// ends the transfer, whether the client read everything or vanished.
pub(crate) struct Transfer {
    sent_bytes: Cell<u64>,
    settling: Cell<Option<Settling>>,
}

impl Transfer {
    pub(crate) fn new(settling: Settling) -> Self {
        Self { sent_bytes: Cell::new(0), settling: Cell::new(Some(settling)) }
    }

    /// Notes that the transport took `bytes` more.
    pub(crate) fn sent(&self, bytes: u64) {
        self.sent_bytes.set(self.sent_bytes.get() + bytes);
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        if let Some(settling) = self.settling.take() {
            settling.download_ended(self.sent_bytes.get());
        }
    }
}

/// Runs what waits for the disk on the blocking pool. Once begun it runs to its end, whoever stops waiting.
///
/// # Errors
/// [`Denial::BackendUnavailable`] where it panicked or the gateway is stopping.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Denial> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "work on the disk did not end");
        Denial::BackendUnavailable
    })
}

/// The answer to a name that the store cannot hold faithfully, or keeps for itself.
pub(crate) fn bad_name() -> Denial {
    Denial::BadRequest(
        "the store cannot hold this name as it is: it is too long, or a segment of it is over 255 bytes, begins with .valetkey-, has a character that the store reads otherwise, or is empty".into(),
    )
}

/// The answer to what is asked of a folder's marker that it does not have.
pub(crate) fn of_a_marker() -> Denial {
    Denial::BadRequest(
        "a name that ends in / is a folder's marker, which is empty: it can be made, asked for by HEAD and deleted"
            .into(),
    )
}

/// The answer to a fault of the store, which is logged here and told to no client.
pub(crate) fn fault(error: &StoreError) -> Denial {
    let source = std::error::Error::source(error).map(ToString::to_string);
    tracing::error!(%error, source, "the store failed");
    Denial::BackendUnavailable
}
