//! Descriptors: media type, digest and size of some content, found in every manifest.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Digest;

/// A descriptor (image-spec `descriptor.md`). Field order is the order in which it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Type of the content.
    pub media_type: String,
    /// Digest of the content.
    pub digest: Digest,
    /// Size of the content in bytes.
    pub size: u64,
    /// Type of the artifact, where the content is an artifact manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Platform, where the content is a manifest in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Annotations; sorted, so that equal descriptors are equal bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// The content itself in base64, where it is small.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}

impl Descriptor {
    /// A descriptor of these bytes.
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Descriptor::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// A descriptor with the three required fields.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Descriptor {
            media_type: media_type.to_owned(),
            digest,
            size,
            artifact_type: None,
            platform: None,
            annotations: None,
            data: None,
        }
    }

    /// Only the three fields that `subject` needs.
    pub fn bare(&self) -> Self {
        Descriptor::new(&self.media_type, self.digest.clone(), self.size)
    }
}

/// The platform of a manifest in an index (image-spec `image-index.md`). Fields that decide nothing
/// here (`os.version`, `os.features`) are not kept: manifests are sent on as bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Platform {
    /// Go's GOARCH.
    pub architecture: String,
    /// Go's GOOS.
    pub os: String,
    /// CPU variant such as `v7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// Whether this is the `unknown/unknown` under which buildx stores attestations in an index.
    pub fn is_unknown(&self) -> bool {
        self.os == "unknown" || self.architecture == "unknown"
    }
}

impl std::str::FromStr for Platform {
    type Err = ParsePlatformError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('/');
        let word = |part: Option<&str>| part.filter(|part| !part.is_empty()).map(str::to_owned);
        match (word(parts.next()), word(parts.next()), parts.next(), parts.next()) {
            (Some(os), Some(architecture), None, None) => Ok(Platform { architecture, os, variant: None }),
            (Some(os), Some(architecture), Some(variant), None) if !variant.is_empty() => {
                Ok(Platform { architecture, os, variant: Some(variant.to_owned()) })
            }
            _ => Err(ParsePlatformError { text: text.to_owned() }),
        }
    }
}

/// A text that is not `os/architecture[/variant]`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{text}` is not a platform, expected `os/architecture` such as `linux/amd64`")]
pub struct ParsePlatformError {
    text: String,
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(formatter, "/{variant}"),
            None => Ok(()),
        }
    }
}
