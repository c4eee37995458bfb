//! Where operators reach a running gateway: a small HTTP API on a listener of its own.
//!
//! Clients of the gateway cannot come here: it listens on a socket that only its owner and root may open, or on
//! an address where a token is asked of everyone. It is served by a thread of its own, so that it answers while
//! the workers are busy or end. `docs/openapi.json` describes it, and is served with it.

mod client;
mod desk;
mod keys;
mod listen;
mod problem;
mod request;
mod revocations;
mod serve;
mod usage;

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;

use tokio::sync::watch;

pub use self::client::{Answer, ask};
pub use self::listen::ListenError;

use self::desk::Desk;
use crate::gateway::Gateway;
use crate::serve::reload::Asked;
use crate::settings::AdminListen;

/// The listener's thread, while it runs.
pub(crate) struct Running {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Running {
    /// Listens, and answers until [`Self::stop`].
    ///
    /// # Errors
    /// [`ListenError`].
    pub(crate) fn start(
        gateway: &Arc<Gateway>,
        listen: &AdminListen,
        reload: Sender<Asked>,
    ) -> Result<Self, ListenError> {
        let listener = listen::bind(listen)?;
        let desk = Desk::new(Arc::clone(gateway), reload);
        let (stop, stopped) = watch::channel(false);
        let thread = std::thread::Builder::new().name("admin".into());
        let thread =
            thread.spawn(move || serve::run(listener, desk, stopped)).map_err(ListenError::Thread)?;
        Ok(Self { stop, thread })
    }

    /// Answers what was asked, and ends.
    pub(crate) fn stop(self) {
        // A thread that is gone need not be told.
        let _ = self.stop.send(true);
        if self.thread.join().is_err() {
            tracing::error!("the admin listener ended by a panic");
        }
    }
}
