//! One store, and how it is spoken to.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::{CONTENT_LENGTH, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer, Url};
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::bounded::Expected;
use super::connections::Http;
use super::sas::Sas;
use super::turns::Turns;
use super::{answer, error};
use crate::backend::StoreError;
use crate::settings::{self, AzureSettings, Endpoint, GcsSettings, S3Settings};

/// How many listings ask one store at once, each of which may ask it often; further ones wait.
const LISTINGS_MAX: usize = 8;

/// How long the URL of a request of our own is good: longer than anything that the store itself takes in one request.
pub(super) const URL_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Which service it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    S3,
    Azure,
    Gcs,
}

/// A store: a bucket or a container of a service, and the connections to it.
pub(crate) struct Service {
    pub(super) kind: Kind,
    pub(super) objects: Arc<dyn ObjectStore>,
    pub(super) pages: Arc<dyn PaginatedListStore>,
    pub(super) parts: Arc<dyn MultipartStore>,
    signs: Signs,
    http: Http,
    pub(super) turns: Turns,
    /// How many more listings may be under way.
    pub(super) listings: Semaphore,
    /// How much the gathered parts of all uploads may take in memory, in KiB, and how much more they may.
    pub(super) gathered_kib_max: u32,
    pub(super) gathered: Arc<Semaphore>,
    pub(super) stall: Duration,
    /// The bucket, as copies within it name it; only of S3.
    pub(super) bucket: Option<String>,
    /// Whether it answered when it was asked last.
    answers: AtomicBool,
}

/// How a URL is made that the store takes.
enum Signs {
    With(Arc<dyn Signer>),
    Azure(Sas),
    /// For a store that asks nobody who they are: the URL of the bucket.
    Not(Url),
}

/// Why a store cannot be spoken to.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no TLS to be had.
    #[error("prepare TLS for the store")]
    Tls(#[source] reqwest::Error),
    /// The library for the store does not take what its settings say.
    #[error("the store's settings cannot be used")]
    Settings,
}

impl Service {
    /// Prepares to speak to the store; it is not spoken to yet. `None` for a backend on the disk.
    ///
    /// # Errors
    /// [`OpenError`].
    pub(crate) fn open(settings: &settings::Backend) -> Result<Option<Self>, OpenError> {
        let Some(remote) = settings.remote() else { return Ok(None) };
        let http = Http::new(remote)?;
        let retry = RetryConfig {
            backoff: BackoffConfig { init_backoff: Duration::from_millis(100), ..BackoffConfig::default() },
            max_retries: usize::try_from(remote.retries).unwrap_or(usize::MAX),
            retry_timeout: remote.retry_timeout,
        };
        let common = (remote, http, retry);
        match settings {
            settings::Backend::Disk { .. } => Ok(None),
            settings::Backend::S3(settings) => Self::s3(settings, common).map(Some),
            settings::Backend::Azure(settings) => Self::azure(settings, common).map(Some),
            settings::Backend::Gcs(settings) => Self::gcs(settings, common).map(Some),
        }
    }

    fn s3(settings: &S3Settings, (remote, http, retry): Common<'_>) -> Result<Self, OpenError> {
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&settings.bucket)
            .with_region(&settings.region)
            .with_access_key_id(settings.access_key_id.reveal())
            .with_secret_access_key(settings.secret_access_key.reveal())
            .with_virtual_hosted_style_request(settings.virtual_hosted)
            // What is sent to AWS goes over TLS; elsewhere it is the operator's choice.
            .with_unsigned_payload(true)
            .with_retry(retry)
            .with_http_connector(http.clone());
        if let Some(token) = &settings.session_token {
            builder = builder.with_token(token.reveal());
        }
        if let Some(endpoint) = &settings.endpoint {
            let endpoint = match settings.virtual_hosted {
                true => endpoint.with_host_of(&settings.bucket),
                false => endpoint.clone(),
            };
            builder = builder.with_endpoint(endpoint.to_string()).with_allow_http(endpoint.is_plain());
        }
        let store = Arc::new(builder.build().map_err(|_| OpenError::Settings)?);
        let signs = Signs::With(store.clone());
        let service = Self::of(Kind::S3, &store, signs, http, remote);
        Ok(Self { bucket: Some(settings.bucket.clone()), ..service })
    }

    fn azure(settings: &AzureSettings, (remote, http, retry): Common<'_>) -> Result<Self, OpenError> {
        let mut builder = MicrosoftAzureBuilder::new()
            .with_account(&settings.account)
            .with_container_name(&settings.container)
            .with_access_key(settings.access_key.reveal())
            .with_retry(retry)
            .with_http_connector(http.clone());
        if let Some(endpoint) = &settings.endpoint {
            builder = builder.with_endpoint(endpoint.to_string()).with_allow_http(endpoint.is_plain());
        }
        let store = Arc::new(builder.build().map_err(|_| OpenError::Settings)?);
        let signs = Signs::Azure(Sas::new(settings)?);
        Ok(Self::of(Kind::Azure, &store, signs, http, remote))
    }

    fn gcs(settings: &GcsSettings, (remote, http, retry): Common<'_>) -> Result<Self, OpenError> {
        let mut builder = GoogleCloudStorageBuilder::new()
            .with_bucket_name(&settings.bucket)
            .with_retry(retry)
            .with_client_options(ClientOptions::new().with_allow_http(true))
            .with_http_connector(http.clone());
        if let Some(endpoint) = &settings.endpoint {
            builder = builder.with_base_url(&endpoint.to_string());
        }
        builder = match &settings.service_account_key {
            Some(key) => builder.with_service_account_key(key.reveal()),
            None => builder.with_skip_signature(true),
        };
        let store = Arc::new(builder.build().map_err(|_| OpenError::Settings)?);
        let signs = match settings.service_account_key {
            Some(_) => Signs::With(store.clone()),
            None => {
                let own = || "https://storage.googleapis.com".to_owned();
                let endpoint = settings.endpoint.as_ref().map_or_else(own, Endpoint::to_string);
                let url = Url::parse(&format!("{endpoint}/{}/", settings.bucket));
                Signs::Not(url.map_err(|_| OpenError::Settings)?)
            }
        };
        Ok(Self::of(Kind::Gcs, &store, signs, http, remote))
    }

    fn of<S: ObjectStore + PaginatedListStore + MultipartStore>(
        kind: Kind,
        store: &Arc<S>,
        signs: Signs,
        http: Http,
        remote: &settings::Remote,
    ) -> Self {
        Self {
            kind,
            objects: store.clone(),
            pages: store.clone(),
            parts: store.clone(),
            signs,
            http,
            turns: Turns::default(),
            listings: Semaphore::new(LISTINGS_MAX),
            gathered_kib_max: remote.upload_memory_kib,
            gathered: Arc::new(Semaphore::new(
                usize::try_from(remote.upload_memory_kib).unwrap_or(Semaphore::MAX_PERMITS),
            )),
            stall: remote.stall_timeout,
            bucket: None,
            answers: AtomicBool::new(true),
        }
    }

    /// Whether the store answered when it was asked last.
    pub(crate) fn answers(&self) -> bool {
        self.answers.load(Ordering::Relaxed)
    }

    /// Whether it told that it lists names folder by folder, and not in the order of their bytes. Its first answer tells.
    pub(super) fn lists_by_folder(&self) -> bool {
        self.http.by_folder.load(Ordering::Relaxed)
    }

    /// Asks the store whether it answers, and says so in the log where that changed.
    pub(crate) async fn watch(&self, name: &str) {
        let asked = self.check().await;
        let answered = self.answers.swap(asked.is_ok(), Ordering::Relaxed);
        match asked {
            Ok(()) if !answered => tracing::info!(backend = name, "the store answers again"),
            Err(error) if answered => {
                let source = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(backend = name, %error, source, "the store does not answer");
            }
            Ok(()) | Err(_) => {}
        }
    }

    /// Asks the store for the smallest answer that shows that it is there and takes our credentials.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::NotFound`] where the bucket is not there.
    pub(crate) async fn check(&self) -> Result<(), StoreError> {
        let extensions = Expected::Page.extensions();
        let options =
            PaginatedListOptions { max_keys: Some(1), extensions, ..PaginatedListOptions::default() };
        let asked = self.pages.list_paginated(None, options).await;
        asked.map(drop).map_err(|error| error::sorted("ask the store", &error))
    }

    /// A URL by which whoever has it may make this one request, with these headers.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub(super) async fn url(
        &self,
        method: Method,
        path: &Path,
        lifetime: Duration,
        options: SignedUrlOptions,
    ) -> Result<Url, StoreError> {
        let signer = match &self.signs {
            Signs::With(signer) => signer,
            // It signs no headers.
            Signs::Azure(sas) => return Ok(sas.url(&method, path, crate::clock::now(), lifetime)),
            Signs::Not(bucket) => {
                let mut url = bucket.clone();
                if let Ok(mut segments) = url.path_segments_mut() {
                    segments.pop_if_empty().extend(path.as_ref().split('/'));
                }
                // An emulator takes an upload by a URL that looks signed.
                url.set_query(Some("X-Goog-Algorithm=GOOG4-RSA-SHA256"));
                return Ok(url);
            }
        };
        let signed = signer.signed_url_opts(method, path, lifetime, &options).await;
        signed.map_err(|error| error::sorted("sign a request", &error))
    }

    /// Deletes an object by a request for it alone.
    ///
    /// # Errors
    /// With nothing changed: [`StoreError::NotFound`], [`StoreError::Io`]. With no promise either way:
    /// [`StoreError::Unsettled`].
    pub(super) async fn delete(&self, path: &Path) -> Result<(), StoreError> {
        const ATTEMPT: &str = "delete an object";
        let mut headers = HeaderMap::new();
        if self.kind == Kind::Azure {
            headers.insert("x-ms-delete-snapshots", HeaderValue::from_static("include"));
        }
        let request = self.request(Method::DELETE, path, &[], headers, reqwest::Body::default()).await?;
        let asked = async {
            let answer = request.send(ATTEMPT).await?;
            let is_gone = answer.response.status() == StatusCode::NOT_FOUND;
            if is_gone { Err(StoreError::NotFound) } else { Ok(answer) }
        };
        match answer::to_change(ATTEMPT, self.stall, asked).await {
            // What holds it there, a lease or a rule of the store, is none of its conditions.
            Err(StoreError::AlreadyExists) => Err(error::status(ATTEMPT, 412)),
            deleted => deleted.map(drop),
        }
    }

    /// A request that changes something: an object or a part of one, whose bytes may be still to come, or what asks for
    /// a copy, a delete, or for parts to be made one. It waits until another may be under way.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub(super) async fn request(
        &self,
        method: Method,
        path: &Path,
        query: &[(&'static str, String)],
        headers: HeaderMap,
        body: reqwest::Body,
    ) -> Result<Request, StoreError> {
        let mut options = SignedUrlOptions::new().with_query(query.iter().cloned());
        options.signed_headers = headers.clone();
        let mut url = self.url(method.clone(), path, URL_LIFETIME, options).await?;
        if self.kind == Kind::Azure || matches!(self.signs, Signs::Not(_)) {
            let said: Vec<_> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
            if !said.is_empty() {
                url.query_pairs_mut().extend_pairs(said);
            }
        }
        let under_way = self.http.turn().await.map_err(|_| error::stalled("wait for a connection"))?;
        let clients = self.http.clients().map_err(|_| error::stalled("make a connection"))?;
        let mut request = clients.uploads.request(method, url).headers(headers);
        // Nothing would be said of the length of nothing, which stores want to hear.
        if body.as_bytes().is_some_and(<[u8]>::is_empty) {
            request = request.header(CONTENT_LENGTH, 0);
        }
        Ok(Request { request: request.body(body), under_way })
    }
}

/// A request to a store that changes something, which has its place among those under way.
pub(super) struct Request {
    request: reqwest::RequestBuilder,
    under_way: OwnedSemaphorePermit,
}

/// What a store answers to it, which is under way as long as its body is read.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) response: reqwest::Response,
    _under_way: OwnedSemaphorePermit,
}

impl Request {
    /// Sends it, once.
    ///
    /// # Errors
    /// [`StoreError::Io`] where it did not reach the store, else [`StoreError::Unsettled`].
    pub(super) async fn send(self, attempt: &'static str) -> Result<Answer, StoreError> {
        let answer = self.request.send().await;
        let response = answer.map_err(|error| error::unreachable(attempt, &error))?;
        Ok(Answer { response, _under_way: self.under_way })
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// What all kinds are opened with.
type Common<'a> = (&'a settings::Remote, Http, RetryConfig);
