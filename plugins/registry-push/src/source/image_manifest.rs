//! The manifests that are made here, in the field order of the tools that made such artifacts before.

use std::collections::BTreeMap;

use granary_oci::{Descriptor, Digest, RawManifest, media_type};
use serde::Serialize;

/// Media type, size, digest: the order that Go's registry library writes and Flux artifacts have.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Part<'part> {
    media_type: &'part str,
    size: u64,
    digest: &'part Digest,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ImageManifest<'part> {
    schema_version: u8,
    media_type: &'static str,
    config: Part<'part>,
    layers: Vec<Part<'part>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'static str, &'part str>,
}

/// An image manifest over this configuration and these layers.
pub(super) fn build(
    config: &Descriptor,
    layers: &[Descriptor],
    annotations: BTreeMap<&'static str, &str>,
) -> RawManifest {
    fn part(of: &Descriptor) -> Part<'_> {
        Part { media_type: &of.media_type, size: of.size, digest: &of.digest }
    }
    let manifest = ImageManifest {
        schema_version: 2,
        media_type: media_type::OCI_MANIFEST,
        config: part(config),
        layers: layers.iter().map(part).collect(),
        annotations,
    };
    let bytes = serde_json::to_vec(&manifest).expect("invariant: text-keyed maps and text serialise");
    RawManifest::new(bytes, media_type::OCI_MANIFEST)
        .expect("invariant: with bounded layers and annotations this is a manifest")
}
