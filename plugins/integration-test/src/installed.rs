//! `candidate.json`: what mode `install` knows about the candidate, for the copy that it leaves.
//!
//! Pure but for the one file. The copy runs beside foreign code and holds no credentials, so it asks no
//! registry: the set lies there byte for byte, and its digest is checked again. Whoever can write that file
//! can write the results too; the step that signs looks everything up for itself.

use std::path::{Path, PathBuf};

use granary_oci::{Digest, RawManifest, RegistryHost};
use granary_plugin::{FileError, WriteError, read_json, write_file};
use granary_release::{CommitId, FoundSet, SetError};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::plan::Ran;

/// Name of the file.
pub const NAME: &str = "candidate.json";
const SCHEMA: &str = "https://celestium.life/granary/candidate/v1";
/// Largest file: a set's manifest has at most 4 MiB, and more than doubles when it is quoted.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// What is under test, as the step before found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// The registry's address.
    pub registry: RegistryHost,
    /// The set.
    pub found: FoundSet,
    /// The commit of the pipeline that installed it; none by hand.
    pub pipeline: Option<CommitId>,
    /// Which manifests run on this platform.
    pub parts: Vec<Ran>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    schema: String,
    registry: String,
    set: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pipeline_commit: Option<String>,
    /// The set's manifest, byte for byte.
    manifest: String,
    parts: Vec<WirePart>,
}

#[derive(Serialize, Deserialize)]
struct WirePart {
    name: String,
    digest: Digest,
}

/// Why `candidate.json` cannot be used.
#[derive(Debug, Error)]
pub enum InstalledError {
    /// It cannot be read, or is something else.
    #[error(transparent)]
    File(#[from] FileError),
    /// A field with an impossible value.
    #[error("{} has no usable `{field}`", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// The field.
        field: &'static str,
    },
    /// Somebody changed one of the two.
    #[error("{} names set {named} and holds {held}", path.display())]
    OtherSet {
        /// The file.
        path: PathBuf,
        /// The digest that it names.
        named: String,
        /// The digest of the manifest in it.
        held: Digest,
    },
    /// A manifest that is none of a set.
    #[error("the manifest in {} is no release set", path.display())]
    NoSet {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: SetError,
    },
}

impl Installed {
    /// Writes it.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), WriteError> {
        let wire = Wire {
            schema: SCHEMA.to_owned(),
            registry: self.registry.to_string(),
            set: self.found.digest.to_string(),
            pipeline_commit: self.pipeline.as_ref().map(CommitId::to_string),
            manifest: String::from_utf8_lossy(self.found.manifest().bytes()).into_owned(),
            parts: self
                .parts
                .iter()
                .map(|part| WirePart { name: part.name.clone(), digest: part.digest.clone() })
                .collect(),
        };
        let text = serde_json::to_string_pretty(&wire).expect("invariant: texts have a JSON form");
        write_file(path, text.as_bytes(), 0o644)
    }

    /// Reads it; `None` where there is no such file.
    ///
    /// # Errors
    /// If it is no such file, or contradicts itself.
    pub fn read(path: &Path) -> Result<Option<Self>, InstalledError> {
        let path = || path.to_owned();
        let wire = read_json(&path(), MAX_BYTES, "what mode `install` writes", |text| {
            serde_json::from_str::<Wire>(text)
        })?;
        let Some(wire) = wire else { return Ok(None) };
        let field = |field| InstalledError::Field { path: path(), field };
        if wire.schema != SCHEMA {
            return Err(field("schema"));
        }
        let manifest = RawManifest::new(wire.manifest.into_bytes(), "").map_err(|_| field("manifest"))?;
        if manifest.digest().as_str() != wire.set {
            let held = manifest.digest().clone();
            return Err(InstalledError::OtherSet { path: path(), named: wire.set, held });
        }
        let pipeline = wire.pipeline_commit.map(|commit| commit.parse());
        Ok(Some(Installed {
            registry: wire.registry.parse().map_err(|_| field("registry"))?,
            found: FoundSet::read(manifest)
                .map_err(|source| InstalledError::NoSet { path: path(), source })?,
            pipeline: pipeline.transpose().map_err(|_| field("pipelineCommit"))?,
            parts: wire.parts.into_iter().map(|part| Ran { name: part.name, digest: part.digest }).collect(),
        }))
    }
}
