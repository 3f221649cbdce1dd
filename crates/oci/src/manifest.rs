//! Manifests and indexes: the bytes as received, and a view of what they name.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use serde::Deserialize;
use thiserror::Error;

use crate::{Descriptor, Digest, media_type};

/// Largest manifest that is read or written, in bytes: the limit that registries have agreed on
/// (distribution-spec, "Pushing Manifests").
pub const MAX_MANIFEST_BYTES: usize = 4 * 1024 * 1024;

/// Why bytes are not a manifest.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// Not JSON, or JSON of another shape.
    #[error("manifest {digest} is not valid JSON of its kind")]
    Json {
        /// Digest of the bytes.
        digest: Digest,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// A kind of manifest that is not handled, such as Docker's schema 1.
    #[error(
        "manifest {digest} has media type `{media_type}`, which is neither an OCI nor a Docker v2 manifest or index"
    )]
    MediaType {
        /// Digest of the bytes.
        digest: Digest,
        /// What the server or the file called it.
        media_type: String,
    },
    /// `mediaType` inside says one thing and `Content-Type` outside another.
    #[error("manifest {digest} calls itself `{inside}` but was delivered as `{outside}`")]
    Ambiguous {
        /// Digest of the bytes.
        digest: Digest,
        /// The field in the document.
        inside: String,
        /// The header or descriptor around it.
        outside: String,
    },
    /// Over [`MAX_MANIFEST_BYTES`].
    #[error("manifest has {size} bytes, more than the {MAX_MANIFEST_BYTES} that registries take")]
    TooLarge {
        /// Size in bytes.
        size: usize,
    },
}

/// A manifest or index exactly as it was received, with its digest and media type.
///
/// # Design
/// There is no way from a [`Manifest`] back to bytes: what was given to us is never written again
/// from a parsed form, so that unknown fields and white space survive and the digest stays. Clones share
/// the bytes and what was read from them, so everybody may ask for either again.
#[derive(Clone)]
pub struct RawManifest(Arc<Received>);

struct Received {
    bytes: Vec<u8>,
    media_type: String,
    digest: Digest,
    parsed: OnceLock<Manifest>,
}

impl RawManifest {
    /// Takes bytes and the media type they came with (header or descriptor; empty if none).
    ///
    /// # Errors
    /// If it is too large, not JSON, of an unknown kind, or if the two media types disagree (the
    /// confusion attack of CVE-2021-41190).
    pub fn new(bytes: Vec<u8>, delivered_as: &str) -> Result<Self, ManifestError> {
        if bytes.len() > MAX_MANIFEST_BYTES {
            return Err(ManifestError::TooLarge { size: bytes.len() });
        }
        let digest = Digest::of(&bytes);
        let shape: Shape = serde_json::from_slice(&bytes)
            .map_err(|source| ManifestError::Json { digest: digest.clone(), source })?;
        // `Content-Type: …; charset=utf-8` is sent by some proxies.
        let outside = delivered_as.split(';').next().unwrap_or_default().trim();
        let media_type = match (shape.media_type, outside) {
            (Some(inside), "" | "application/octet-stream" | "text/plain" | "application/json") => inside,
            (Some(inside), outside) if inside == outside => inside,
            (Some(inside), outside) => {
                return Err(ManifestError::Ambiguous { digest, inside, outside: outside.to_owned() });
            }
            (None, outside) if media_type::is_manifest(outside) => outside.to_owned(),
            (None, _) if shape.manifests.is_some() => media_type::OCI_INDEX.to_owned(),
            (None, _) if shape.config.is_some() => media_type::OCI_MANIFEST.to_owned(),
            (None, outside) => outside.to_owned(),
        };
        if !media_type::is_manifest(&media_type) {
            return Err(ManifestError::MediaType { digest, media_type });
        }
        Ok(RawManifest(Arc::new(Received { bytes, media_type, digest, parsed: OnceLock::new() })))
    }

    /// The bytes as received.
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// Media type to send them with.
    pub fn media_type(&self) -> &str {
        &self.0.media_type
    }

    /// SHA-256 of the bytes.
    pub fn digest(&self) -> &Digest {
        &self.0.digest
    }

    /// Media type, digest and size.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(self.media_type(), self.digest().clone(), self.bytes().len() as u64)
    }

    /// What the manifest names, read once.
    ///
    /// # Errors
    /// If the document does not have the shape of its media type.
    pub fn parse(&self) -> Result<&Manifest, ManifestError> {
        if let Some(parsed) = self.0.parsed.get() {
            return Ok(parsed);
        }
        let document: Document = serde_json::from_slice(self.bytes())
            .map_err(|source| ManifestError::Json { digest: self.digest().clone(), source })?;
        let manifest = document.check(self)?;
        Ok(self.0.parsed.get_or_init(|| manifest))
    }
}

impl AsRef<[u8]> for RawManifest {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

impl PartialEq for RawManifest {
    fn eq(&self, other: &Self) -> bool {
        self.digest() == other.digest() && self.media_type() == other.media_type()
    }
}

impl Eq for RawManifest {}

impl std::fmt::Debug for RawManifest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "RawManifest({} {}, {} bytes)",
            self.media_type(),
            self.digest(),
            self.bytes().len()
        )
    }
}

/// What a manifest or index names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Configuration, for manifests.
    pub config: Option<Descriptor>,
    /// Layers, for manifests.
    pub layers: Vec<Descriptor>,
    /// Manifests, for indexes.
    pub manifests: Vec<Descriptor>,
    /// What this manifest is about, for referrers.
    pub subject: Option<Descriptor>,
    /// Type of the artifact, where it is one.
    pub artifact_type: Option<String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// Configuration and layers: every blob that must be there before the manifest is. Foreign layers
    /// (with `urls`, Windows base images) are left out: registries do not hold them.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        self.config.iter().chain(&self.layers).filter(|blob| !is_foreign(&blob.media_type))
    }

    /// The type that a referrers list shows: `artifactType`, else the configuration's media type
    /// (distribution-spec, "Listing Referrers").
    pub fn effective_artifact_type(&self) -> Option<&str> {
        self.artifact_type
            .as_deref()
            .or_else(|| self.config.as_ref().map(|config| config.media_type.as_str()))
    }
}

fn is_foreign(media_type: &str) -> bool {
    media_type.contains(".foreign.") || media_type.contains(".nondistributable.")
}

/// Enough to tell what kind of document this is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    media_type: Option<String>,
    manifests: Option<serde::de::IgnoredAny>,
    config: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    artifact_type: Option<String>,
    annotations: Option<BTreeMap<String, String>>,
}

impl Document {
    fn check(self, raw: &RawManifest) -> Result<Manifest, ManifestError> {
        let missing = |field: &'static str| ManifestError::Json {
            digest: raw.digest().clone(),
            source: serde::de::Error::missing_field(field),
        };
        let is_index = media_type::is_index(raw.media_type());
        if is_index && self.manifests.is_none() {
            return Err(missing("manifests"));
        }
        if !is_index && self.config.is_none() {
            return Err(missing("config"));
        }
        if !is_index && self.layers.is_none() {
            return Err(missing("layers"));
        }
        Ok(Manifest {
            config: self.config.filter(|_| !is_index),
            layers: self.layers.filter(|_| !is_index).unwrap_or_default(),
            manifests: self.manifests.filter(|_| is_index).unwrap_or_default(),
            subject: self.subject,
            artifact_type: self.artifact_type.filter(|text| !text.is_empty()),
            annotations: self.annotations.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZERO: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

    fn image(extra: &str) -> Vec<u8> {
        format!(
            r#"{{"schemaVersion":2,{extra}"config":{{"mediaType":"c","size":2,"digest":"{ZERO}"}},"layers":[{{"mediaType":"l","size":3,"digest":"{ZERO}"}}]}}"#
        )
        .into_bytes()
    }

    #[test]
    fn the_bytes_survive_untouched() {
        let bytes = b"{ \"manifests\": [],\n\"x\": 1 }".to_vec();
        let raw = RawManifest::new(bytes.clone(), media_type::OCI_INDEX).unwrap();
        assert_eq!(raw.bytes(), bytes);
        assert_eq!(raw.digest(), &Digest::of(&bytes));
        assert_eq!(raw.parse().unwrap().manifests, vec![]);
    }

    #[test]
    fn media_type_comes_from_inside_header_or_shape() {
        let inside = format!(r#""mediaType":"{}","#, media_type::DOCKER_MANIFEST);
        let table = [
            (image(""), "", media_type::OCI_MANIFEST),
            (
                image(""),
                "application/vnd.docker.distribution.manifest.v2+json; charset=utf-8",
                media_type::DOCKER_MANIFEST,
            ),
            (image(&inside), "application/json", media_type::DOCKER_MANIFEST),
            (br#"{"manifests":[]}"#.to_vec(), "", media_type::OCI_INDEX),
        ];
        for (bytes, delivered_as, expected) in table {
            assert_eq!(RawManifest::new(bytes, delivered_as).unwrap().media_type(), expected);
        }
    }

    #[test]
    fn confusion_and_nonsense_are_refused() {
        let inside = format!(r#""mediaType":"{}","#, media_type::OCI_MANIFEST);
        assert!(matches!(
            RawManifest::new(image(&inside), media_type::OCI_INDEX),
            Err(ManifestError::Ambiguous { .. })
        ));
        assert!(matches!(RawManifest::new(b"<html>".to_vec(), ""), Err(ManifestError::Json { .. })));
        assert!(matches!(
            RawManifest::new(b"{}".to_vec(), "text/html"),
            Err(ManifestError::MediaType { .. })
        ));
        assert!(matches!(
            RawManifest::new(vec![b' '; MAX_MANIFEST_BYTES + 1], ""),
            Err(ManifestError::TooLarge { .. })
        ));
        let no_layers =
            format!(r#"{{"config":{{"mediaType":"c","size":2,"digest":"{ZERO}"}}}}"#).into_bytes();
        assert!(RawManifest::new(no_layers, "").unwrap().parse().is_err());
    }

    #[test]
    fn foreign_layers_are_not_for_registries() {
        let bytes = String::from_utf8(image("")).unwrap().replace(
            r#""mediaType":"l""#,
            r#""mediaType":"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip""#,
        );
        let raw = RawManifest::new(bytes.into_bytes(), "").unwrap();
        assert_eq!(
            raw.parse().unwrap().blobs().map(|blob| blob.media_type.as_str()).collect::<Vec<_>>(),
            ["c"]
        );
    }
}
