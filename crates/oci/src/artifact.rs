//! Artifact manifests that this suite writes itself: sets, evidence, claims.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{Descriptor, RawManifest, media_type};

/// The content of the empty descriptor.
pub const EMPTY_JSON: &[u8] = b"{}";

/// The descriptor of [`EMPTY_JSON`] with its content inside (image-spec `manifest.md`, "Guidance for
/// an Empty Descriptor").
pub fn empty_descriptor() -> Descriptor {
    Descriptor { data: Some("e30=".to_owned()), ..Descriptor::of(media_type::OCI_EMPTY, EMPTY_JSON) }
}

/// An OCI 1.1 artifact manifest with the empty configuration. Field order is the order of the bytes;
/// it is the one that cosign writes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ArtifactManifest {
    schema_version: u8,
    media_type: &'static str,
    artifact_type: String,
    config: Descriptor,
    layers: Vec<Descriptor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<Descriptor>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

impl ArtifactManifest {
    /// An artifact without content of its own: all it says is in its annotations. The spec asks for
    /// one layer, which then is the empty descriptor as well.
    pub fn new(artifact_type: &str) -> Self {
        ArtifactManifest {
            schema_version: 2,
            media_type: media_type::OCI_MANIFEST,
            artifact_type: artifact_type.to_owned(),
            config: empty_descriptor(),
            layers: vec![empty_descriptor()],
            subject: None,
            annotations: BTreeMap::new(),
        }
    }

    /// Replaces the layers.
    #[must_use]
    pub fn with_layers(mut self, layers: Vec<Descriptor>) -> Self {
        self.layers = layers;
        self
    }

    /// Says what the artifact is about.
    #[must_use]
    pub fn with_subject(mut self, subject: &Descriptor) -> Self {
        self.subject = Some(subject.bare());
        self
    }

    /// Adds an annotation.
    #[must_use]
    pub fn with_annotation(mut self, key: &str, value: impl Into<String>) -> Self {
        self.annotations.insert(key.to_owned(), value.into());
        self
    }

    /// Adds all of these annotations.
    #[must_use]
    pub fn with_annotations(mut self, annotations: BTreeMap<String, String>) -> Self {
        self.annotations.extend(annotations);
        self
    }

    /// The bytes, with digest and media type.
    pub fn build(&self) -> RawManifest {
        let bytes = serde_json::to_vec(self).expect("invariant: text-keyed maps and text serialise");
        RawManifest::new(bytes, media_type::OCI_MANIFEST)
            .expect("invariant: what was just built is a manifest")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_fixed() {
        let built = ArtifactManifest::new("application/vnd.example")
            .with_subject(&Descriptor::of("m", b"x"))
            .with_annotation("b", "2")
            .with_annotation("a", "1")
            .build();
        let empty = r#"{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2,"data":"e30="}"#;
        let expected = format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/vnd.example","config":{empty},"layers":[{empty}],"subject":{{"mediaType":"m","digest":"sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881","size":1}},"annotations":{{"a":"1","b":"2"}}}}"#
        );
        assert_eq!(String::from_utf8_lossy(built.bytes()), expected);
    }
}
