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
use granary_oci::{Descriptor, Repository};

use crate::blob_source::{BlobSource, Progress};
use crate::client::Registry;
use crate::error::{Operation, RegistryError};
pub(crate) use limits::{Known, LearntChunk, TooLarge};

/// Blobs up to this size are read into memory and sent from there.
const SMALL_BLOB: u64 = 64 * 1024;

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

/// What is known about a push beforehand.
#[derive(Clone, Default)]
pub struct PushOptions {
    /// The blob is not there: do not ask. Being wrong about it costs an upload, nothing else.
    pub known_absent: bool,
    /// Mount it from this repository of the same registry, if possible.
    pub mount_from: Option<Repository>,
    /// Do not mount it, wherever it comes from: the registry has said before that it did, and did not.
    pub unmounted: bool,
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
    /// Brings a blob into a repository: knows or finds it there, has it mounted, or uploads it.
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
        if self.knows_blob(repository, &descriptor.digest) {
            return Ok(BlobOutcome::Present);
        }
        let mount_from = match (&options.mount_from, source) {
            (Some(from), _) => Some(from),
            (None, BlobSource::Remote { registry, repository }) if registry.is_same_as(self) => {
                Some(repository)
            }
            (None, _) => None,
        };
        let may_mount = !options.unmounted && self.mounts_into(repository);
        let mount_from = mount_from.filter(|from| *from != repository && may_mount);
        self.announce_writes(repository, mount_from.map_or(&[], std::slice::from_ref));
        // Where a mount is possible it answers the question at the price of asking it.
        if !options.known_absent
            && mount_from.is_none()
            && self.blob_exists(repository, &descriptor.digest).await?
        {
            return Ok(BlobOutcome::Present);
        }
        let operation = self.operation("pushing blob", repository, format!("@{}", descriptor.digest), true);
        let (small, cautious) = (None, LearntChunk::default());
        let mut upload =
            Upload { registry: self, repository, descriptor, source, small, cautious, options, operation };
        if descriptor.size <= SMALL_BLOB && !matches!(source, BlobSource::Remote { .. }) {
            upload.small = Some(source.read(descriptor).await.map_err(|error| upload.source_error(error))?);
        }
        let outcome = upload.run(mount_from).await?;
        self.remember_blob(repository, &descriptor.digest);
        Ok(outcome)
    }
}
