//! Why a source cannot be read, in the words of whoever has to mend it.

use std::io;
use std::path::PathBuf;

use granary_oci::{Digest, ManifestError};
use thiserror::Error;

use super::LocalSource;

/// A source that cannot be published. The [`Problem`] is its cause.
#[derive(Debug, Error)]
#[error("cannot read source `{spec}`")]
pub struct SourceError {
    spec: String,
    #[source]
    problem: Box<Problem>,
}

impl SourceError {
    pub(super) fn new(source: &LocalSource, problem: Problem) -> Self {
        SourceError { spec: source.to_string(), problem: Box::new(problem) }
    }

    /// What is wrong.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// Whether the setting has to change (exit code 2); otherwise the data is bad (exit code 20).
    pub fn is_setting(&self) -> bool {
        matches!(
            &*self.problem,
            Problem::Absent { .. }
                | Problem::NotA { .. }
                | Problem::Ambiguous { .. }
                | Problem::NoSuchImage { .. }
        )
    }
}

/// What is wrong with a source. Entries are named as they stand in the layout or archive.
#[derive(Debug, Error)]
pub enum Problem {
    /// The path of the setting leads nowhere.
    #[error("`{path}` does not exist")]
    Absent {
        /// The path as given.
        path: PathBuf,
    },
    /// The path of the setting is something else than its scheme says.
    #[error("`{path}` is not a {expected}")]
    NotA {
        /// The path as given.
        path: PathBuf,
        /// `folder` or `file`.
        expected: &'static str,
    },
    /// Several images and no word on which.
    #[error("it holds several images; add `:TAG` or `@DIGEST` to the source to choose one of {available}")]
    Ambiguous {
        /// What is there.
        available: String,
    },
    /// The chosen image is not there.
    #[error("it holds no image `{wanted}`; there is {available}")]
    NoSuchImage {
        /// The tag or digest of the setting.
        wanted: String,
        /// What is there.
        available: String,
    },
    /// Nothing to publish.
    #[error("it holds no {what}")]
    Empty {
        /// What was looked for.
        what: &'static str,
    },
    /// A file cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The scratch folder cannot be written.
    #[error("cannot write to the scratch folder `{path}`")]
    Scratch {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file that the format requires, or a blob that a manifest names, is not there.
    #[error("`{entry}` is missing")]
    Missing {
        /// Name inside the layout or archive.
        entry: String,
    },
    /// A link, device or folder where a file is needed.
    #[error("`{entry}` is not a regular file")]
    NotAFile {
        /// Name inside the layout or archive.
        entry: String,
    },
    /// A symbolic link to somewhere else.
    #[error("`{entry}` leads out of the layout, to `{target}`")]
    Outside {
        /// Name inside the layout or archive.
        entry: String,
        /// Where it leads.
        target: PathBuf,
    },
    /// Links that lead to links without end.
    #[error("`{entry}` is a chain of more than {limit} links")]
    LinkChain {
        /// Name inside the archive.
        entry: String,
        /// The bound.
        limit: usize,
    },
    /// The archive ends in the middle.
    #[error("the archive is truncated: {part} needs {needed} bytes and the file has {found}")]
    Truncated {
        /// What does not fit.
        part: String,
        /// Length that the file would have to have.
        needed: u64,
        /// Length that it has.
        found: u64,
    },
    /// A header that is not one.
    #[error("the block at byte {offset} is no tar header: {reason}")]
    TarHeader {
        /// Where it begins.
        offset: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A name that must not be in an archive or cannot be in one.
    #[error("refusing the entry name `{name}`: {reason}")]
    EntryName {
        /// The name, made printable.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Two files of one name: readers differ on which of them counts.
    #[error("`{entry}` occurs twice in the archive")]
    Twice {
        /// Name inside the archive.
        entry: String,
    },
    /// The compressed data is broken, or ends early.
    #[error("`{entry}` is not valid gzip")]
    Gzip {
        /// The file or entry.
        entry: String,
        /// What the decoder said.
        #[source]
        source: io::Error,
    },
    /// A size over a bound.
    #[error("{what} is larger than the {limit} bytes that are read")]
    TooLarge {
        /// Which part.
        what: String,
        /// The bound, in bytes.
        limit: u64,
    },
    /// A count over a bound.
    #[error("it holds more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// A blob whose size is not the one in its descriptor.
    #[error("`{entry}` has {found} bytes where its descriptor says {expected}")]
    Size {
        /// Name inside the layout or archive.
        entry: String,
        /// Size in bytes.
        found: u64,
        /// Size in the descriptor.
        expected: u64,
    },
    /// Content that is not what its name says.
    #[error("`{entry}` has digest {found}, not {expected}")]
    Digest {
        /// Name inside the layout or archive.
        entry: String,
        /// Digest of the content.
        found: Digest,
        /// Digest that was promised.
        expected: Digest,
    },
    /// A manifest named by another algorithm than registries name it by.
    #[error(
        "manifest {digest} is not named by sha256, the only algorithm that every registry serves manifests by"
    )]
    Algorithm {
        /// The digest in the descriptor.
        digest: Digest,
    },
    /// JSON that is broken or of another shape.
    #[error("`{entry}` is not valid JSON of its kind")]
    Json {
        /// Name inside the layout or archive.
        entry: String,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// A manifest that cannot be published.
    #[error("`{entry}` is not a manifest that can be published")]
    Manifest {
        /// Name inside the layout or archive.
        entry: String,
        /// What is wrong with it.
        #[source]
        source: ManifestError,
    },
    /// A layout of a version that is not known.
    #[error("`oci-layout` has version `{version}`, expected `1.0.0`")]
    LayoutVersion {
        /// The version that the file names.
        version: String,
    },
    /// Configuration and layer list of an image do not belong together.
    #[error("`{config}` names {expected} layers where `manifest.json` lists {found}")]
    LayerCount {
        /// The configuration's name in the archive.
        config: String,
        /// Layers listed.
        found: usize,
        /// Digests in the configuration.
        expected: usize,
    },
    /// A file that grew or shrank under our hands.
    #[error("`{path}` changed while it was read")]
    Changed {
        /// The file.
        path: PathBuf,
    },
}
