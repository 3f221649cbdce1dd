//! Where a blob's bytes come from when it is uploaded.
//!
//! Reading and hashing run beside the upload (a blocking thread for files, a task for other
//! registries), a few pieces ahead at most, so that memory does not grow with the blob. The last piece is
//! held back until the whole has been checked against the descriptor: a blob that is not what its
//! manifest says is never completed at the registry.

mod part;
mod reading;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use granary_net::{Body, BodyStream};
use granary_oci::{Descriptor, Digest, Repository};
use thiserror::Error;
use tokio::sync::mpsc;

use crate::client::Registry;
use crate::error::{Class, RegistryError};
pub(crate) use part::Part;
pub(crate) use reading::Trail;
use reading::{Check, Outlet};

/// Pieces that are ready and not yet sent.
const PIECES_AHEAD: usize = 1;

/// Bytes that are handed to the network at once. Each piece that is taken shows that the line moves, so a
/// piece must not take a slow line longer than anybody waits for it.
const SENT_AT_ONCE: usize = reading::PIECE_BYTES;

/// Bytes that can be opened again and again: a retried upload starts from the source, never from a
/// buffer that grew with the blob.
#[derive(Clone, Debug)]
pub enum BlobSource {
    /// Already in memory: configurations, evidence.
    Bytes(Bytes),
    /// A stretch of a file: a blob in an OCI layout, or an entry of an archive that is read in place.
    File {
        /// The file.
        path: PathBuf,
        /// Where the blob begins in it, in bytes. Its length is the descriptor's.
        offset: u64,
    },
    /// A blob of another repository: mounted where that is in the same registry, else streamed.
    Remote {
        /// The registry.
        registry: Registry,
        /// The repository there.
        repository: Repository,
    },
}

/// Why a source does not give what its descriptor says.
#[derive(Debug, Error)]
pub enum SourceError {
    /// A file that cannot be read.
    #[error("{path} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Other content than the manifest says.
    #[error("layer digest lies: the manifest says {expected}, the content is {actual}")]
    Lies {
        /// The descriptor's.
        expected: Digest,
        /// What the content hashes to.
        actual: Digest,
    },
    /// More or less content than the manifest says.
    #[error("the manifest says {expected} bytes, there are {actual}")]
    Size {
        /// The descriptor's.
        expected: u64,
        /// How many there are.
        actual: u64,
    },
    /// Other content than a moment ago: part of it had to be read a second time.
    #[error("the content of {expected} changed while it was read")]
    Changed {
        /// The descriptor's.
        expected: Digest,
    },
    /// The other registry failed.
    #[error("the content cannot be read from where it is copied from")]
    Remote {
        /// Why.
        #[source]
        source: Box<RegistryError>,
    },
    /// The other registry failed in the middle.
    #[error("the content cannot be read to its end from where it is copied from")]
    Broken {
        /// Why.
        #[source]
        source: Box<granary_net::HttpError>,
    },
    /// The reader stopped without a word: the process is ending.
    #[error("reading the content was stopped")]
    Stopped,
}

impl SourceError {
    /// The kind of trouble.
    pub fn class(&self) -> Class {
        match self {
            SourceError::Read { .. }
            | SourceError::Lies { .. }
            | SourceError::Size { .. }
            | SourceError::Changed { .. } => Class::Local,
            SourceError::Remote { source } => source.class(),
            SourceError::Broken { .. } | SourceError::Stopped => Class::Unavailable,
        }
    }

    /// Whether reading the source again may help: another registry's connection broke.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, SourceError::Broken { .. })
    }
}

/// Called with the bytes of one blob that were handed to the network so far. Starts anew with a retry.
pub type Progress = Arc<dyn Fn(u64) + Send + Sync>;

/// An open source.
pub(crate) struct Pieces {
    receiver: mpsc::Receiver<Result<Bytes, SourceError>>,
    /// The rest of a piece of which only the beginning was wanted.
    rest: Bytes,
}

impl Pieces {
    /// A source that gives nothing but this error.
    fn failed(error: SourceError) -> Self {
        let (sender, receiver) = mpsc::channel(1);
        // There is room for one.
        let _ = sender.try_send(Err(error));
        Pieces { receiver, rest: Bytes::new() }
    }

    /// The next piece; `None` after the last one, which comes only when the whole was right.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, SourceError>> {
        match self.rest.is_empty() {
            true => self.receiver.recv().await,
            false => Some(Ok(std::mem::take(&mut self.rest))),
        }
    }

    /// Waits until the source has begun to answer.
    pub(crate) async fn ready(&mut self) -> Result<(), SourceError> {
        if self.rest.is_empty()
            && let Some(piece) = self.receiver.recv().await
        {
            self.rest = piece?;
        }
        Ok(())
    }

    /// The next piece, or as much of it as is wanted.
    pub(crate) async fn next_up_to(&mut self, wanted: usize) -> Option<Result<Bytes, SourceError>> {
        match self.next().await? {
            Ok(mut piece) => {
                self.rest = piece.split_off(piece.len().min(wanted));
                Some(Ok(piece))
            }
            Err(error) => Some(Err(error)),
        }
    }
}

impl BlobSource {
    /// Opens the blob at byte `from`, up to which it has been read before. Must be called within a runtime.
    pub(crate) fn open(&self, descriptor: &Descriptor, from: u64, trail: &Trail) -> Pieces {
        let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
        let (check, outlet) = (Check::new(descriptor, from, trail), Outlet { sender, from });
        match self.clone() {
            BlobSource::Bytes(bytes) => drop(tokio::spawn(reading::read_bytes(bytes, check, outlet))),
            BlobSource::File { path, offset } => {
                tokio::task::spawn_blocking(move || reading::read_file(&path, offset, check, &outlet));
            }
            BlobSource::Remote { registry, repository } => {
                let descriptor = descriptor.clone();
                tokio::spawn(async move {
                    let read = reading::read_remote(&registry, &repository, &descriptor, check, &outlet);
                    if let Err(error) = read.await {
                        let _ = outlet.sender.send(Err(error)).await;
                    }
                });
            }
        }
        Pieces { receiver, rest: Bytes::new() }
    }

    /// The blob as a request body.
    pub(crate) fn body(&self, descriptor: &Descriptor, trail: &Trail, progress: Option<&Progress>) -> Body {
        let (source, wanted, progress) = (self.clone(), descriptor.clone(), progress.cloned());
        let trail = trail.clone();
        let open = move || -> BodyStream { stream(source.open(&wanted, 0, &trail), progress.clone()) };
        Body::Stream { length: descriptor.size, open: Arc::new(open) }
    }

    /// The blob as a request body, when its source has begun to answer. For blobs that go from one repository
    /// of a registry to another: some (go-containerregistry's) answer nobody while they take an upload, and
    /// that upload would wait for the answer.
    pub(crate) async fn opened_body(
        &self,
        descriptor: &Descriptor,
        trail: &Trail,
        progress: Option<&Progress>,
    ) -> Body {
        let mut pieces = self.open(descriptor, 0, trail);
        // What the source has to say against it comes out when the body is read.
        let first = match pieces.ready().await {
            Ok(()) => Some(pieces),
            Err(error) => Some(Pieces::failed(error)),
        };
        let opened = Mutex::new(first);
        let (source, wanted, progress) = (self.clone(), descriptor.clone(), progress.cloned());
        let trail = trail.clone();
        let open = move || -> BodyStream {
            let opened = opened.lock().unwrap_or_else(PoisonError::into_inner).take();
            let pieces = opened.unwrap_or_else(|| source.open(&wanted, 0, &trail));
            stream(pieces, progress.clone())
        };
        Body::Stream { length: descriptor.size, open: Arc::new(open) }
    }

    /// The whole blob in memory, checked; for small ones.
    pub(crate) async fn read(&self, descriptor: &Descriptor) -> Result<Bytes, SourceError> {
        if let BlobSource::Remote { registry, repository } = self {
            let read = registry.blob(repository, descriptor, descriptor.size).await;
            return read.map_err(|source| SourceError::Remote { source: Box::new(source) });
        }
        let mut pieces = self.open(descriptor, 0, &Trail::default());
        let mut content = bytes::BytesMut::new();
        while let Some(piece) = pieces.next().await {
            content.extend_from_slice(&piece?);
        }
        match content.len() as u64 == descriptor.size {
            true => Ok(content.freeze()),
            false => Err(SourceError::Stopped),
        }
    }
}

/// Pieces on their way to the network.
fn stream(pieces: Pieces, progress: Option<Progress>) -> BodyStream {
    let state = (pieces, 0u64, progress);
    Box::pin(futures_util::stream::unfold(state, |(mut pieces, mut sent, progress)| async move {
        let piece = pieces.next_up_to(SENT_AT_ONCE).await?;
        if let Ok(piece) = &piece {
            sent += piece.len() as u64;
            if let Some(progress) = &progress {
                progress(sent);
            }
        }
        Some((piece.map_err(io::Error::other), (pieces, sent, progress)))
    }))
}
