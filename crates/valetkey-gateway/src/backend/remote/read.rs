//! Reading objects: `GET`, `HEAD`, and the looks that other stages need.

use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use std::{fmt, io};

use bytes::Bytes;
use futures_util::Stream as _;
use futures_util::stream::BoxStream;
use http::Method;
use object_store::path::Path;
use object_store::signer::SignedUrlOptions;
use object_store::{GetOptions, GetRange};

use super::bounded::Expected;
use super::{Remote, error};
use crate::backend::{Metadata, StoreError};

/// An object as it stood when it was opened.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(super) remote: Remote,
    pub(super) path: Path,
    /// The store's own entity tag.
    pub(super) version: Option<String>,
    pub(super) size_bytes: u64,
}

/// What the store knows of an object.
pub(super) struct Found {
    pub(super) metadata: Metadata,
    /// The store's own entity tag.
    pub(super) version: Option<String>,
    /// The random name of the upload that wrote it.
    pub(super) upload: Option<String>,
}

/// Bytes of an object, as they come from the store.
pub(crate) struct Stream(BoxStream<'static, object_store::Result<Bytes>>);

/// Bytes of an object that were asked for together with what is known of it.
pub(crate) struct Ahead {
    range: Range<u64>,
    stream: Stream,
}

impl Remote {
    /// Opens an object. None of its bytes are asked for yet.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::BadName`], [`StoreError::Io`].
    pub(crate) async fn open(&self, name: &str) -> Result<(Object, Metadata), StoreError> {
        let path = self.path(name)?;
        let Found { metadata, version, .. } = self.find(&path).await?;
        let size_bytes = metadata.size_bytes;
        Ok((Object { remote: self.clone(), path, version, size_bytes }, metadata))
    }

    /// Opens an object and asks for its bytes in one request. Of a range that it does not have, none are asked for.
    ///
    /// # Errors
    /// As [`Remote::open`].
    pub(crate) async fn open_ahead(
        &self,
        name: &str,
        range: Range<u64>,
    ) -> Result<(Object, Metadata, Option<Ahead>), StoreError> {
        let path = self.path(name)?;
        let range = match range {
            Range { start: 0, end: u64::MAX } => None,
            Range { start, end: u64::MAX } => Some(GetRange::Offset(start)),
            range => Some(GetRange::Bounded(range)),
        };
        let options = GetOptions {
            range: range.clone(),
            extensions: Expected::Content.extensions(),
            ..GetOptions::default()
        };
        let got = match self.service.objects.get_opts(&path, options).await {
            Ok(got) => got,
            // It may have none of these bytes, which each store says in its own way.
            Err(error) if range.is_some() && error::is_answer(&error) => {
                let (object, metadata) = self.open(name).await?;
                return Ok((object, metadata, None));
            }
            Err(error) => return Err(error::sorted("read an object", &error)),
        };
        let (metadata, _) = self.metadata(&got.meta, &got.attributes);
        let (version, size_bytes) = (got.meta.e_tag.clone(), metadata.size_bytes);
        let object = Object { remote: self.clone(), path, version, size_bytes };
        let ahead = Ahead { range: got.range.clone(), stream: Stream(got.into_stream()) };
        Ok((object, metadata, Some(ahead)))
    }

    /// Looks before a change.
    ///
    /// # Errors
    /// [`StoreError::BadName`], [`StoreError::Io`].
    pub(crate) async fn probe(&self, name: &str) -> Result<Option<Metadata>, StoreError> {
        let found = self.look(&self.path(name)?).await?;
        Ok(found.map(|found| found.metadata))
    }

    /// As [`Remote::find`]; that nothing is there is an answer.
    pub(super) async fn look(&self, path: &Path) -> Result<Option<Found>, StoreError> {
        match self.find(path).await {
            Ok(found) => Ok(Some(found)),
            Err(StoreError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn find(&self, path: &Path) -> Result<Found, StoreError> {
        let options = GetOptions { head: true, ..GetOptions::default() };
        let got = self.service.objects.get_opts(path, options).await;
        let got = got.map_err(|error| error::sorted("look at an object", &error))?;
        let (metadata, upload) = self.metadata(&got.meta, &got.attributes);
        Ok(Found { metadata, version: got.meta.e_tag, upload })
    }
}

impl Object {
    /// Asks for bytes that the object has. Where it was replaced meanwhile, there are none any more.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::PreconditionFailed`] where it was replaced, [`StoreError::Io`].
    pub(crate) async fn read(&self, offset: u64, bytes: u64) -> Result<Stream, StoreError> {
        if bytes == 0 {
            return Ok(Stream(Box::pin(futures_util::stream::empty())));
        }
        let is_whole = offset == 0 && bytes == self.size_bytes;
        let options = GetOptions {
            if_match: self.version.clone(),
            range: (!is_whole).then(|| GetRange::Bounded(offset..offset.saturating_add(bytes))),
            extensions: Expected::Content.extensions(),
            ..GetOptions::default()
        };
        let got = self.remote.service.objects.get_opts(&self.path, options).await;
        let got = got.map_err(|error| error::sorted("read an object", &error))?;
        // There are stores that do not know the condition.
        let is_another = self.version.is_some() && got.meta.e_tag != self.version;
        if is_another || got.range != (offset..offset.saturating_add(bytes)) {
            return Err(StoreError::PreconditionFailed);
        }
        Ok(Stream(got.into_stream()))
    }

    /// A URL by which whoever has it may read the object for so long.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub(crate) async fn url(&self, lifetime: Duration) -> Result<String, StoreError> {
        let url = self.remote.service.url(Method::GET, &self.path, lifetime, SignedUrlOptions::new()).await;
        url.map(String::from)
    }
}

impl Ahead {
    /// The stream, if it is of just these bytes.
    pub(crate) fn of(self, offset: u64, bytes: u64) -> Option<Stream> {
        let wanted = offset..offset.saturating_add(bytes);
        (self.range == wanted).then_some(self.stream)
    }
}

impl fmt::Debug for Ahead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ahead").field("range", &self.range).finish_non_exhaustive()
    }
}

impl Stream {
    /// The next bytes; none at the end.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        loop {
            match ready!(Pin::new(&mut self.0).poll_next(cx)) {
                Some(Ok(piece)) if piece.is_empty() => {}
                Some(Ok(piece)) => return Poll::Ready(Ok(piece)),
                Some(Err(error)) => return Poll::Ready(Err(error::told(&error))),
                None => return Poll::Ready(Ok(Bytes::new())),
            }
        }
    }

    /// The same, waited for.
    ///
    /// # Errors
    /// Where the store breaks off.
    pub(crate) async fn next(&mut self) -> io::Result<Bytes> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }
}
