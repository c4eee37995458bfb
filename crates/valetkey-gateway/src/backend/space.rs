//! The space of one bucket, whatever its backend.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::disk::{self, Folder, Publish};
use super::remote::{self, Remote, StoreUpload};
use super::{Listed, Metadata, Query, Removed, StoreError};

/// How many listings read folders of the disk at once in the whole process; further ones wait. A large folder keeps a core
/// busy for as long as it is read, and transfers need the threads too.
static LISTINGS: Semaphore = Semaphore::const_new(4);

/// How long one waits for its turn: as long as clients are granted.
const LISTING_WAIT_MAX: Duration = Duration::from_secs(30);

/// The space of one bucket. Clones are the same space.
///
/// What a call did is done whether or not its future is waited for to the end, except where its doc says so.
#[derive(Debug, Clone)]
pub(crate) enum Space {
    /// A folder on the local disk.
    Disk(Folder),
    /// A part of a store at the other end of a network.
    Remote(Remote),
}

/// An object open for reading. It stays whole while it is read, whatever is uploaded meanwhile.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) content: Content,
    /// What was known of it when it was opened.
    pub(crate) metadata: Metadata,
    /// Bytes that were asked for with it.
    ahead: Option<remote::Ahead>,
}

/// What an open object reads as.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    File(Arc<File>),
    Remote(remote::Object),
}

/// A part of an open object, about to be sent.
pub(crate) enum Reading {
    File { file: Arc<File>, offset: u64 },
    Stream(remote::Stream),
}

/// Where the parts of an upload session are.
pub(crate) struct Parked {
    /// The name of the session.
    pub(crate) session: String,
    /// The name of the object that they are to become.
    pub(crate) name: String,
    /// The store's own upload.
    pub(crate) upload: Option<StoreUpload>,
}

/// An object that is whole and has no name yet. Dropped, it leaves nothing behind.
#[derive(Debug)]
pub(crate) enum Finished {
    Disk(disk::Finished),
    Remote(Box<remote::Finished>),
}

/// Sees what stands under a name, and says whether it may be changed. It may be asked more than once; what it saw
/// last is what is changed.
pub(crate) type Guard = Box<dyn Fn(Option<&Metadata>) -> bool + Send>;

/// The right to change what stands under one name, for as long as it lives.
pub(crate) struct Turn {
    _store: Option<remote::Turn>,
}

/// Under what condition an object takes its name.
pub(crate) enum Rule {
    /// Only where nothing stands.
    Create,
    /// Also in the place of another, if the guard agrees to it.
    Replace(Option<Guard>),
}

impl Space {
    /// Opens an object, on the event loop where that waits for nothing.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::BadName`], [`StoreError::Io`].
    pub(crate) async fn open(&self, name: &str) -> Result<Opened, StoreError> {
        match self {
            Self::Disk(folder) => {
                let opened = match folder.open_cached(name)? {
                    Some(opened) => opened,
                    None => {
                        let (folder, name) = (folder.clone(), name.to_owned());
                        blocking(move || folder.open(&name)).await?
                    }
                };
                Ok(Opened { content: Content::File(opened.file), metadata: opened.metadata, ahead: None })
            }
            Self::Remote(remote) => {
                let (object, metadata) = remote.open(name).await?;
                Ok(Opened { content: Content::Remote(object), metadata, ahead: None })
            }
        }
    }

    /// Opens an object of which most likely these bytes will be read, so that a remote store is asked once.
    ///
    /// # Errors
    /// As [`Space::open`].
    pub(crate) async fn open_ahead(&self, name: &str, range: Range<u64>) -> Result<Opened, StoreError> {
        match self {
            Self::Disk(_) => self.open(name).await,
            Self::Remote(remote) => {
                let (object, metadata, ahead) = remote.open_ahead(name, range).await?;
                Ok(Opened { content: Content::Remote(object), metadata, ahead })
            }
        }
    }

    /// Looks before a change: what stands there, and could an object of this name stand there?
    ///
    /// # Errors
    /// [`StoreError::NameConflict`], [`StoreError::NotFound`] where a link is part of the name,
    /// [`StoreError::BadName`], [`StoreError::Io`].
    pub(crate) async fn probe(&self, name: &str) -> Result<Option<Metadata>, StoreError> {
        match self {
            Self::Disk(folder) => {
                let (folder, name) = (folder.clone(), name.to_owned());
                blocking(move || folder.probe(&name)).await
            }
            Self::Remote(remote) => remote.probe(name).await,
        }
    }

    /// Asks only whether an object of this name could stand there, of a store that need not look for that too.
    ///
    /// # Errors
    /// As [`Space::probe`].
    pub(crate) async fn check_name(&self, name: &str) -> Result<(), StoreError> {
        match self {
            Self::Disk(_) => self.probe(name).await.map(drop),
            Self::Remote(remote) => remote.check_name(name),
        }
    }

    /// Waits until no other change under this name is on its way to a remote store, where each takes some requests,
    /// for as long as the store may stall. On disk a change waits for others as a part of itself.
    ///
    /// # Errors
    /// [`StoreError::BadName`], [`StoreError::Io`].
    pub(crate) async fn turn(&self, name: &str) -> Result<Turn, StoreError> {
        let store = match self {
            Self::Disk(_) => None,
            Self::Remote(remote) => Some(remote.turn(name).await?),
        };
        Ok(Turn { _store: store })
    }

    /// Gives an object its name, durably, in the name's turn. On disk it runs to its end once it has begun, whoever
    /// stops waiting; to a remote store nothing more is sent then.
    ///
    /// # Errors
    /// With nothing changed: [`StoreError::AlreadyExists`] of a create, [`StoreError::PreconditionFailed`] where the
    /// guard refused, [`StoreError::NameConflict`], [`StoreError::NotFound`], [`StoreError::BadName`],
    /// [`StoreError::NoSpace`], [`StoreError::Io`]. With no promise either way: [`StoreError::Unsettled`].
    pub(crate) async fn publish(
        &self,
        _turn: Turn,
        finished: Finished,
        name: &str,
        rule: Rule,
    ) -> Result<Metadata, StoreError> {
        match (self, finished) {
            (Self::Disk(folder), Finished::Disk(finished)) => {
                let (folder, name) = (folder.clone(), name.to_owned());
                blocking(move || match rule {
                    Rule::Create => folder.publish(finished, &name, Publish::Create),
                    Rule::Replace(guard) => {
                        let guard = |there: Option<&_>| guard.as_ref().is_none_or(|guard| guard(there));
                        folder.publish(finished, &name, Publish::Replace { guard: &guard })
                    }
                })
                .await
            }
            (Self::Remote(remote), Finished::Remote(finished)) => remote.publish(*finished, rule).await,
            (Self::Disk(_), Finished::Remote(_)) | (Self::Remote(_), Finished::Disk(_)) => {
                Err(StoreError::NotFound)
            }
        }
    }

    /// Removes an object if the guard agrees to what is there, durably, in the name's turn. Dropped, it is as
    /// [`Space::publish`].
    ///
    /// # Errors
    /// With nothing changed: [`StoreError::PreconditionFailed`], [`StoreError::NotFound`] where a link is part of
    /// the name, [`StoreError::BadName`], [`StoreError::Io`]. With no promise either way: [`StoreError::Unsettled`].
    pub(crate) async fn delete(
        &self,
        _turn: Turn,
        name: &str,
        guard: Option<Guard>,
    ) -> Result<Removed, StoreError> {
        match self {
            Self::Disk(folder) => {
                let (folder, name) = (folder.clone(), name.to_owned());
                blocking(move || {
                    let guard = |there: Option<&_>| guard.as_ref().is_none_or(|guard| guard(there));
                    folder.delete(&name, &guard)
                })
                .await
            }
            Self::Remote(remote) => remote.delete(name, guard).await,
        }
    }

    /// Lists a page of the objects. Dropping the future ends the work early.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub(crate) async fn list(&self, query: Query) -> Result<Listed, StoreError> {
        match self {
            Self::Disk(folder) => {
                let turn = timeout(LISTING_WAIT_MAX, LISTINGS.acquire()).await;
                let Ok(_turn) = turn else {
                    let source = std::io::ErrorKind::TimedOut.into();
                    return Err(StoreError::Io { attempt: "wait for a listing's turn", source });
                };
                let folder = folder.clone();
                let waiting = Waiting::default();
                let abandoned = Arc::clone(&waiting.abandoned);
                blocking(move || folder.list(&query, &abandoned)).await
            }
            Self::Remote(remote) => remote.list(&query).await,
        }
    }

    /// Says whether the object that stands there was written under this hold: what settles an upload that a crash
    /// caught between appearing and being counted.
    ///
    /// # Errors
    /// Where the backend cannot tell. That nothing stands there is an answer.
    pub(crate) async fn find_hold(&self, name: &str, hold: &str) -> Result<bool, StoreError> {
        match self.open(name).await {
            Ok(opened) => Ok(opened.metadata.attributes.hold.as_deref() == Some(hold)),
            Err(StoreError::NotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes the parts of an upload session. What cannot be removed now goes at the next start, or by the store's
    /// own rules.
    pub(crate) async fn remove_session(&self, parked: Parked) {
        match self {
            Self::Disk(folder) => {
                let folder = folder.clone();
                let removing = tokio::task::spawn_blocking(move || folder.remove_session(&parked.session));
                let _ = removing.await;
            }
            Self::Remote(remote) => {
                if let Some(upload) = &parked.upload {
                    remote.abort_session(&parked.name, upload).await;
                }
            }
        }
    }

    /// Removes what is left of a session whose object stands, waiting for nothing.
    pub(crate) fn clear_session(&self, session: String) {
        match self {
            Self::Disk(folder) => {
                let folder = folder.clone();
                tokio::task::spawn_blocking(move || folder.remove_session(&session));
            }
            // The store made the parts the object.
            Self::Remote(_) => {}
        }
    }

    /// Removes a part, waiting for nothing. What cannot be removed now goes with its session.
    pub(crate) fn forget_part(&self, session: String, part: String) {
        match self {
            Self::Disk(folder) => {
                let folder = folder.clone();
                tokio::task::spawn_blocking(move || folder.remove_part(&session, &part));
            }
            // A part that is sent again takes the place of the one before, and others go with their upload.
            Self::Remote(_) => {}
        }
    }

    /// Removes the sessions whose names begin with `ours`, and the parts in them, that nobody wants any more: for
    /// the start. `wanted` says of a session's name which of its parts are, or that none is.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub(crate) fn keep_sessions(
        &self,
        ours: &str,
        wanted: impl Fn(&str) -> Option<Vec<String>>,
    ) -> Result<(), StoreError> {
        match self {
            Self::Disk(folder) => folder.keep_sessions(ours, wanted),
            Self::Remote(_) => Ok(()),
        }
    }

    /// Whether a folder of this name can be listed.
    pub(crate) fn is_folder_name(&self, name: &str) -> bool {
        match self {
            Self::Disk(_) => disk::is_folder_name(name),
            Self::Remote(_) => true,
        }
    }
}

impl Opened {
    /// As [`Content::read`].
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub(crate) async fn read(self, offset: u64, bytes: u64) -> Result<Reading, StoreError> {
        match self.ahead.and_then(|ahead| ahead.of(offset, bytes)) {
            Some(stream) => Ok(Reading::Stream(stream)),
            None => self.content.read(offset, bytes).await,
        }
    }
}

impl Content {
    /// Begins to read `bytes` bytes from `offset` on, which the object has.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub(crate) async fn read(&self, offset: u64, bytes: u64) -> Result<Reading, StoreError> {
        match self {
            Self::Remote(object) => Ok(Reading::Stream(object.read(offset, bytes).await?)),
            Self::File(file) => Ok(Reading::File { file: Arc::clone(file), offset }),
        }
    }
}

impl Finished {
    /// Its length, in bytes.
    pub(crate) fn size_bytes(&self) -> u64 {
        match self {
            Self::Disk(finished) => finished.size_bytes,
            Self::Remote(finished) => finished.size_bytes,
        }
    }

    /// Its content's BLAKE3, where all of it passed through here at once.
    pub(crate) fn digest(&self) -> Option<[u8; 32]> {
        match self {
            Self::Disk(finished) => Some(finished.digest),
            Self::Remote(finished) => finished.digest,
        }
    }
}

/// A caller that waits for its page. Once it is gone, the listing need not go on.
#[derive(Default)]
struct Waiting {
    abandoned: Arc<AtomicBool>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }
}

/// Runs what waits for the disk on the blocking pool. Once begun it runs to its end, whoever stops waiting.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let failed = |error| StoreError::Io { attempt: "work on the disk", source: std::io::Error::other(error) };
    tokio::task::spawn_blocking(work).await.map_err(failed)?
}
