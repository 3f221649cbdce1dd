//! Reads what a build left on disk into one shape that can be uploaded: [`Content`].
//!
//! Five kinds of source, one result: manifests as the bytes that they are, children before parents,
//! and for every blob the stretch of a file that holds it. Nothing is held in memory but manifests and
//! names; layers stay where they are and are compressed, where they must be, through a scratch folder.
//!
//! What is proved here: every manifest has the digest that names it, every blob is there with the size
//! that its descriptor says, and every layer of a `docker-archive:` has the digest that the image's
//! configuration promises. Blobs of OCI layouts are *not* hashed here: the upload hashes them as they
//! pass, and reading a gigabyte twice would double the time of a push.
//!
//! What is refused: names that leave the layout or the archive, archives that end early, more or larger
//! parts than the named bounds allow. Not read: referrers that a layout holds beside its image
//! (signatures, SBOMs); only what the image's own manifests name is published.
//!
//! The work is blocking file access: asynchronous callers put [`load`] on a blocking thread.
//! Knows nothing of registries, settings or Woodpecker.

mod archive;
mod docker;
mod error;
mod flux;
mod graph;
mod image_manifest;
mod layout;
mod scratch;
mod spec;
mod store;
mod tree;

use std::path::{Path, PathBuf};

pub use granary_registry::Content;

pub use error::{Problem, SourceError};
pub use spec::{LocalSource, ParseSourceError, Selector, SourceSpec, default_name};

/// What was read, and what the user should be told about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The artifact.
    pub content: Content,
    /// What a `dir:` source holds and the artifact does not: symlinks and special files, below the
    /// folder, in the order in which they were met.
    pub skipped: Vec<Skipped>,
}

/// A part of a folder that was left out although no ignore rule names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Path below the folder.
    pub path: PathBuf,
    /// `symbolic link` or `special file`.
    pub kind: &'static str,
}

/// Where an artifact comes from: the annotations of a `dir:` source. All three are part of its digest,
/// so `created` is the commit's time and never the clock's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// `org.opencontainers.image.source`: URL of the repository.
    pub source_url: String,
    /// `org.opencontainers.image.revision` as Flux writes it: `<branch or tag>@sha1:<commit>`.
    pub revision: String,
    /// `org.opencontainers.image.created`: RFC 3339.
    pub created: String,
}

/// Reads `source` completely. `scratch` is a folder of this run for layers that have to be compressed
/// and archives that have to be unpacked; the result points into it, so it must outlive the upload.
/// `provenance` goes into artifacts that are made here, which only `dir:` sources are.
///
/// Equal input gives equal digests: nothing of the host, the clock or the order of a folder's entries
/// goes into what is built here.
///
/// # Errors
/// If the source is missing, broken, ambiguous or over a bound; [`SourceError::is_setting`] says
/// whether the setting or the data is to be mended.
pub fn load(source: &LocalSource, scratch: &Path, provenance: &Provenance) -> Result<Loaded, SourceError> {
    let whole = |content| Loaded { content, skipped: Vec::new() };
    match source {
        LocalSource::OciDirectory { path, select } => layout::load_directory(path, select).map(whole),
        LocalSource::OciArchive { path, select } => layout::load_archive(path, select, scratch).map(whole),
        LocalSource::DockerArchive { path, select } => docker::load(path, select, scratch).map(whole),
        LocalSource::Directory { path } => flux::load(path, scratch, provenance),
    }
    .map_err(|problem| SourceError::new(source, problem))
}
