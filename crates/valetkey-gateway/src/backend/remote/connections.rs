//! The connections to one store.
//!
//! Each thread has its own; how many requests are under way at once is counted over all of them.

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use http::header::SERVER;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::OpenError;
use super::bounded::{Bounded, Expected};
use crate::settings;

/// How long an idle connection is kept: less than services keep theirs.
const IDLE_MAX: Duration = Duration::from_secs(15);

/// How the stores that list folder by folder begin their `Server` header.
const BY_FOLDER: &[u8] = b"SeaweedFS";

/// The way to one store, and how many requests may be under way.
#[derive(Debug, Clone)]
pub(super) struct Http {
    connect_timeout: Duration,
    /// How long nothing may move.
    patience: Duration,
    requests: Arc<Semaphore>,
    /// Whether the store named itself as one that lists folder by folder.
    pub(super) by_folder: Arc<AtomicBool>,
}

/// The connections of one thread to one store. They live on the thread's own runtime, so that none waits for another
/// thread, or ends with it.
#[derive(Clone)]
pub(super) struct Clients {
    asks: reqwest::Client,
    /// Waits for an answer for as long as an upload lasts: whoever sends the upload looks whether it moves.
    pub(super) uploads: reqwest::Client,
}

thread_local! {
    /// For each store that is open, known by its semaphore.
    static CLIENTS: RefCell<Vec<(Weak<Semaphore>, Clients)>> = const { RefCell::new(Vec::new()) };
}

impl Http {
    pub(super) fn new(remote: &settings::Remote) -> Result<Self, OpenError> {
        // That another part of the process was first is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Self {
            connect_timeout: remote.connect_timeout,
            patience: remote.stall_timeout,
            requests: Arc::new(Semaphore::new(remote.connections_max.get())),
            by_folder: Arc::default(),
        };
        http.clients().map_err(OpenError::Tls)?;
        Ok(http)
    }

    /// The connections of this thread.
    pub(super) fn clients(&self) -> Result<Clients, reqwest::Error> {
        CLIENTS.with_borrow_mut(|known| {
            let is_ours = |of: &Weak<Semaphore>| Weak::as_ptr(of) == Arc::as_ptr(&self.requests);
            if let Some((_, clients)) = known.iter().find(|(of, _)| is_ours(of)) {
                return Ok(clients.clone());
            }
            known.retain(|(of, _)| of.strong_count() > 0);
            let client = || {
                reqwest::Client::builder()
                    .connect_timeout(self.connect_timeout)
                    .pool_idle_timeout(IDLE_MAX)
                    // Credentials go to no other host.
                    .redirect(reqwest::redirect::Policy::none())
                    .no_proxy()
                    .http1_only()
            };
            let asks = client().read_timeout(self.patience).build()?;
            let clients = Clients { asks, uploads: client().build()? };
            known.push((Arc::downgrade(&self.requests), clients.clone()));
            Ok(clients)
        })
    }

    /// Waits until another request may be made; it is under way until the permit is dropped.
    pub(super) async fn turn(&self) -> Result<OwnedSemaphorePermit, HttpError> {
        let late = || HttpError::new(HttpErrorKind::Timeout, Busy);
        let waiting = tokio::time::timeout(self.patience, Arc::clone(&self.requests).acquire_owned());
        waiting.await.map_err(|_| late())?.map_err(|_| late())
    }
}

/// All requests that may be under way are.
#[derive(Debug, thiserror::Error)]
#[error("too many requests to the store are under way")]
struct Busy;

impl HttpConnector for Http {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

impl HttpService for Http {
    fn call<'life, 'all>(
        &'life self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'all>>
    where
        'life: 'all,
        Self: 'all,
    {
        Box::pin(async move {
            let permit = self.turn().await?;
            let clients = self.clients().map_err(|error| HttpError::new(HttpErrorKind::Connect, error))?;
            let expected = request.extensions().get::<Expected>().copied();
            let (parts, body) = clients.asks.call(request).await?.into_parts();
            if parts.headers.get(SERVER).is_some_and(|server| server.as_bytes().starts_with(BY_FOLDER)) {
                self.by_folder.store(true, Ordering::Relaxed);
            }
            // Its request is under way as long as it is read.
            let body = Bounded::new(body, parts.status, expected, self.patience, permit);
            Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body)))
        })
    }
}
