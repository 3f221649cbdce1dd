//! Where a blob's bytes come from when it is uploaded.
//!
//! Reading and hashing run beside the upload (a blocking thread for files, a task for other
//! registries), a few pieces ahead at most, so that memory does not grow with the blob. The last piece is
//! held back until the whole has been checked against the descriptor: a blob that is not what its
//! manifest says is never completed at the registry.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use granary_net::{Body, BodyStream};
use granary_oci::{Descriptor, Digest, Digester, Repository};
use thiserror::Error;
use tokio::sync::mpsc;

use crate::client::Registry;
use crate::error::{Class, RegistryError};

/// Bytes per read: a quarter of the CPU time of 64 KiB reads, and more brings nothing.
const PIECE_BYTES: usize = 256 * 1024;

/// Pieces that are ready and not yet sent.
const PIECES_AHEAD: usize = 1;

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
            SourceError::Read { .. } | SourceError::Lies { .. } | SourceError::Size { .. } => Class::Local,
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
    /// The next piece; `None` after the last one, which comes only when the whole was right.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, SourceError>> {
        match self.rest.is_empty() {
            true => self.receiver.recv().await,
            false => Some(Ok(std::mem::take(&mut self.rest))),
        }
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
    /// Opens the blob at its beginning. Must be called within a runtime.
    pub(crate) fn open(&self, descriptor: &Descriptor) -> Pieces {
        let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
        let mut check = Check::new(descriptor);
        match self.clone() {
            BlobSource::Bytes(bytes) => {
                tokio::spawn(async move {
                    let piece = check.finish(&bytes).map(|()| bytes);
                    // The upload may have ended without wanting the content.
                    let _ = sender.send(piece).await;
                });
            }
            BlobSource::File { path, offset } => {
                tokio::task::spawn_blocking(move || read_file(&path, offset, check, &sender));
            }
            BlobSource::Remote { registry, repository } => {
                let descriptor = descriptor.clone();
                tokio::spawn(async move {
                    if let Err(error) = read_remote(&registry, &repository, &descriptor, check, &sender).await
                    {
                        let _ = sender.send(Err(error)).await;
                    }
                });
            }
        }
        Pieces { receiver, rest: Bytes::new() }
    }

    /// The blob as a request body, with the place where the reason lands if it cannot be produced.
    pub(crate) fn body(&self, descriptor: &Descriptor, progress: Option<&Progress>) -> Body {
        let (source, wanted, progress) = (self.clone(), descriptor.clone(), progress.cloned());
        let open = move || -> BodyStream {
            let state = (source.open(&wanted), 0u64, progress.clone());
            Box::pin(futures_util::stream::unfold(state, |(mut pieces, mut sent, progress)| async move {
                let piece = pieces.next().await?;
                if let Ok(piece) = &piece {
                    sent += piece.len() as u64;
                    if let Some(progress) = &progress {
                        progress(sent);
                    }
                }
                Some((piece.map_err(io::Error::other), (pieces, sent, progress)))
            }))
        };
        Body::Stream { length: descriptor.size, open: Arc::new(open) }
    }

    /// The whole blob in memory, checked; for small ones.
    pub(crate) async fn read(&self, descriptor: &Descriptor) -> Result<Bytes, SourceError> {
        let mut pieces = self.open(descriptor);
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

/// Counts and hashes what goes by.
struct Check {
    expected: Digest,
    expected_size: u64,
    digester: Digester,
    size: u64,
}

impl Check {
    fn new(descriptor: &Descriptor) -> Self {
        let digester = descriptor.digest.digester();
        Check { expected: descriptor.digest.clone(), expected_size: descriptor.size, digester, size: 0 }
    }

    /// Takes a piece in. Stops at once when there is more than announced.
    fn take(&mut self, piece: &[u8]) -> Result<(), SourceError> {
        self.size += piece.len() as u64;
        if self.size > self.expected_size {
            return Err(SourceError::Size { expected: self.expected_size, actual: self.size });
        }
        self.digester.update(piece);
        Ok(())
    }

    /// Takes the last piece in and compares.
    fn finish(&mut self, last: &[u8]) -> Result<(), SourceError> {
        self.take(last)?;
        if self.size != self.expected_size {
            return Err(SourceError::Size { expected: self.expected_size, actual: self.size });
        }
        let actual = self.digester.clone().finish();
        match actual == self.expected {
            true => Ok(()),
            false => Err(SourceError::Lies { expected: self.expected.clone(), actual }),
        }
    }
}

type Sender = mpsc::Sender<Result<Bytes, SourceError>>;

fn read_file(path: &Path, offset: u64, mut check: Check, sender: &Sender) {
    let fail = |source| SourceError::Read { path: path.to_owned(), source };
    let mut read = || -> Result<(), SourceError> {
        let mut file = File::open(path).map_err(fail)?;
        file.seek(SeekFrom::Start(offset)).map_err(fail)?;
        let mut left = check.expected_size;
        if left == 0 {
            check.finish(&[])?;
        }
        while left > 0 {
            let mut piece = vec![0; left.min(PIECE_BYTES as u64) as usize];
            match file.read_exact(&mut piece) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    let actual = file.metadata().map_err(fail)?.len().saturating_sub(offset);
                    return Err(SourceError::Size { expected: check.expected_size, actual });
                }
                Err(error) => return Err(fail(error)),
            }
            left -= piece.len() as u64;
            match left {
                0 => check.finish(&piece)?,
                _ => check.take(&piece)?,
            }
            if sender.blocking_send(Ok(piece.into())).is_err() {
                // Nobody listens any more: the upload ended without wanting the rest.
                return Ok(());
            }
        }
        Ok(())
    };
    if let Err(error) = read() {
        let _ = sender.blocking_send(Err(error));
    }
}

async fn read_remote(
    registry: &Registry,
    repository: &Repository,
    descriptor: &Descriptor,
    mut check: Check,
    sender: &Sender,
) -> Result<(), SourceError> {
    let opened = registry.open_blob(repository, descriptor).await;
    let mut response = opened.map_err(|source| SourceError::Remote { source: Box::new(source) })?;
    let mut held = Bytes::new();
    while let Some(piece) =
        response.chunk().await.map_err(|source| SourceError::Broken { source: Box::new(source) })?
    {
        if !held.is_empty() {
            check.take(&held)?;
            if sender.send(Ok(held)).await.is_err() {
                return Ok(());
            }
        }
        held = piece;
    }
    check.finish(&held)?;
    let _ = sender.send(Ok(held)).await;
    Ok(())
}
