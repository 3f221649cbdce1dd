//! Uploads: found, mounted, or sent; continued or begun again until one way works.
//!
//! # Design
//! A blob goes up in one PUT. Where that breaks off and the blob is large, the same upload goes on in ranged
//! chunks: what cut the one request off (a proxy's limit or time-out, a weak line) would cut the next one off
//! as well. The session is asked how much it has; an answer that fits what was sent is believed, any other
//! one costs a new session. Tries are counted anew only when a session that is kept has got further than any
//! before, and new sessions are counted over the whole upload: it ends.

mod course;
mod limits;
mod session;
mod ways;

use bytes::Bytes;
use granary_oci::{Descriptor, EMPTY_JSON, Repository, empty_descriptor};

use crate::blob_source::{BlobSource, Progress};
use crate::client::Registry;
use crate::error::{Operation, RegistryError};
use crate::plan::BlobWay;
pub(crate) use limits::{Known, LearntChunk, TooLarge};

/// Blobs up to this size are read into memory and sent from there: they need not wait for one of the few
/// streams.
pub(crate) const SMALL_BLOB: u64 = 64 * 1024;

/// Blobs from this size on are continued in chunks after a setback. Below, there are so few chunks that
/// sending the whole again costs less than asking.
const LARGE_BLOB: u64 = 16 * 1024 * 1024;

/// How a blob got to where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlobOutcome {
    /// It was there already.
    Present,
    /// The registry took it over from another repository.
    Mounted,
    /// It was sent.
    Uploaded,
}

/// How to push a blob.
#[derive(Clone, Default)]
pub struct PushOptions {
    /// The way it goes; it is looked for unless told otherwise.
    pub way: BlobWay,
    /// Told about every piece.
    pub progress: Option<Progress>,
}

/// The ways of getting content into a session, in the order in which they are tried. What a registry
/// refuses is not tried again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// One PUT with everything.
    Put,
    /// One PATCH with everything and an empty PUT, as Docker does.
    Patch,
    /// PATCHes with `Content-Range` and an empty PUT.
    Chunks,
}

const WAYS: [Way; 3] = [Way::Put, Way::Patch, Way::Chunks];

/// What is uploaded, and where.
struct Upload<'a> {
    registry: &'a Registry,
    repository: &'a Repository,
    descriptor: &'a Descriptor,
    source: &'a BlobSource,
    /// The content, where it is small.
    small: Option<Bytes>,
    /// The size of chunks that the line carries.
    cautious: LearntChunk,
    options: &'a PushOptions,
    operation: Operation,
}

impl Registry {
    /// Brings a blob into a repository, in the way that the options say: knows or finds it there, has it
    /// mounted, or uploads it. What this client has found or brought there meanwhile is left alone.
    ///
    /// The content is checked while it is sent; if it is not what `descriptor` says, the upload is not
    /// completed. After a commit whose answer was lost the registry is asked for the blob before
    /// anything is sent again (GHCR commits 700 MB for longer than its own proxy waits).
    ///
    /// # Errors
    /// After all retries and all ways of uploading.
    pub async fn push_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        source: &BlobSource,
        options: &PushOptions,
    ) -> Result<BlobOutcome, RegistryError> {
        if options.way == BlobWay::Known || self.knows_blob(repository, &descriptor.digest) {
            return Ok(BlobOutcome::Present);
        }
        let (mount_from, absent) = match &options.way {
            // A token for that may have been refused since.
            BlobWay::Mount { from, absent } => (Some(from).filter(|_| self.mounts_into(repository)), *absent),
            way => (None, *way == BlobWay::Upload),
        };
        self.announce_writes(repository, mount_from.map_or(&[], std::slice::from_ref));
        // Where a mount is possible it answers the question at the price of asking it.
        if !absent && mount_from.is_none() && self.blob_exists(repository, &descriptor.digest).await? {
            return Ok(BlobOutcome::Present);
        }
        let operation = self.operation("pushing blob", repository, format!("@{}", descriptor.digest), true);
        let (small, cautious) = (None, LearntChunk::default());
        let mut upload =
            Upload { registry: self, repository, descriptor, source, small, cautious, options, operation };
        // What may be mounted is not read before.
        let is_at_hand = mount_from.is_none() || !matches!(source, BlobSource::Remote { .. });
        if descriptor.size <= SMALL_BLOB && is_at_hand {
            upload.small = Some(source.read(descriptor).await.map_err(|error| upload.source_error(error))?);
        }
        let outcome = upload.run(mount_from).await?;
        self.remember_blob(repository, &descriptor.digest);
        Ok(outcome)
    }

    /// Brings the content of the empty descriptor into a repository: what we write names nothing else for a
    /// configuration. Nothing is sent where this client knows that it is there, and nothing is asked where
    /// it is `absent`, in a repository that is new.
    ///
    /// # Errors
    /// As [`Self::push_blob`].
    pub async fn push_empty(&self, repository: &Repository, absent: bool) -> Result<(), RegistryError> {
        let way = if absent { BlobWay::Upload } else { BlobWay::Find };
        let source = BlobSource::Bytes(Bytes::from_static(EMPTY_JSON));
        let options = PushOptions { way, progress: None };
        self.push_blob(repository, &empty_descriptor(), &source, &options).await.map(drop)
    }
}
