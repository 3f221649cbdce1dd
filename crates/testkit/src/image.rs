//! Small images with the same bytes on every run.
//!
//! ```
//! use granary_testkit::image::{Image, ImageBuilder};
//!
//! let amd64 = ImageBuilder::new("linux/amd64").file("app/run", b"#!/bin/sh\n").build();
//! let arm64 = ImageBuilder::new("linux/arm64").random_layer(7, 100_000).build();
//! let both = Image::index(&[amd64, arm64]);
//! let folder = tempfile::tempdir().expect("a temporary folder");
//! both.write_layout(folder.path(), "latest");
//! assert!(folder.path().join("index.json").exists());
//! ```
//!
//! Everything is derived from the arguments: times are 0, owners are 0, random bytes come from their seed.
//! Forms: OCI layout, OCI archive, docker-archive in both generations; see [`Form`]. Each can be [damaged](Damage).

mod archive;
mod layer;

pub use archive::{Damage, Form};
pub use layer::{random_bytes, tar_of};

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::registry::sha256_digest;

/// OCI image manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI image index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// OCI image config.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Uncompressed layer.
pub const LAYER_TAR: &str = "application/vnd.oci.image.layer.v1.tar";
/// Gzip layer.
pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// A blob or manifest, by what it is and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Media type of its descriptor.
    pub media_type: String,
    /// `sha256:<hex>`.
    pub digest: String,
    /// The bytes.
    pub bytes: Bytes,
}

impl Content {
    /// Content of this type; the digest is computed.
    #[must_use]
    pub fn new(media_type: &str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { media_type: media_type.to_owned(), digest: sha256_digest(&bytes), bytes }
    }

    /// The descriptor of it, without annotations.
    #[must_use]
    pub fn descriptor(&self) -> Value {
        json!({"mediaType": self.media_type, "digest": self.digest, "size": self.bytes.len()})
    }
}

/// An image or an index of images, with everything below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Children first, the top last.
    manifests: Vec<Content>,
    blobs: Vec<Content>,
    /// `os/architecture`; `None` for an index.
    platform: Option<String>,
    /// Uncompressed layers, as docker-archives hold them; empty for an index.
    plain_layers: Vec<Bytes>,
}

impl Image {
    /// An index of these images, in this order, each with its platform.
    #[must_use]
    pub fn index(images: &[Self]) -> Self {
        let listed: Vec<Value> = images
            .iter()
            .map(|image| {
                let mut descriptor = image.top().descriptor();
                if let Some((os, architecture)) = image.platform.as_deref().and_then(|p| p.split_once('/')) {
                    descriptor["platform"] = json!({"architecture": architecture, "os": os});
                }
                descriptor
            })
            .collect();
        let document = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed});
        let mut manifests: Vec<Content> = Vec::new();
        let mut blobs: Vec<Content> = Vec::new();
        for image in images {
            merge(&mut manifests, &image.manifests);
            merge(&mut blobs, &image.blobs);
        }
        manifests.push(Content::new(INDEX, document.to_string()));
        Self { manifests, blobs, platform: None, plain_layers: Vec::new() }
    }

    fn top(&self) -> &Content {
        self.manifests.last().expect("invariant: an image has a manifest")
    }

    /// Digest of the top: the index, or the one manifest.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.top().digest
    }

    /// Media type of the top.
    #[must_use]
    pub fn media_type(&self) -> &str {
        &self.top().media_type
    }

    /// The bytes of the top.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.top().bytes
    }

    /// All manifests, children before those that list them.
    #[must_use]
    pub fn manifests(&self) -> &[Content] {
        &self.manifests
    }

    /// All configs and layers, each once.
    #[must_use]
    pub fn blobs(&self) -> &[Content] {
        &self.blobs
    }
}

fn merge(into: &mut Vec<Content>, from: &[Content]) {
    for content in from {
        if !into.iter().any(|known| known.digest == content.digest) {
            into.push(content.clone());
        }
    }
}

/// Builds one image for one platform.
#[derive(Clone, Debug)]
pub struct ImageBuilder {
    platform: String,
    plain_layers: Vec<Bytes>,
    gzip: bool,
    annotations: Map<String, Value>,
    labels: Map<String, Value>,
}

impl ImageBuilder {
    /// An image without layers for `os/architecture`.
    ///
    /// # Panics
    /// Where `platform` has no `/`.
    #[must_use]
    pub fn new(platform: &str) -> Self {
        assert!(platform.contains('/'), "a platform is os/architecture, not {platform}");
        Self {
            platform: platform.to_owned(),
            plain_layers: Vec::new(),
            gzip: true,
            annotations: Map::new(),
            labels: Map::new(),
        }
    }

    /// Adds a layer with one file, mode 0755.
    #[must_use]
    pub fn file(self, path: &str, bytes: &[u8]) -> Self {
        self.layer(&[(path, bytes)])
    }

    /// Adds a layer with these files, mode 0755.
    #[must_use]
    pub fn layer(mut self, files: &[(&str, &[u8])]) -> Self {
        self.plain_layers.push(tar_of(files));
        self
    }

    /// Adds a layer with one file of `size` bytes that do not compress.
    #[must_use]
    pub fn random_layer(self, seed: u64, size: usize) -> Self {
        let name = format!("random-{seed}");
        self.layer(&[(&name, &random_bytes(seed, size))])
    }

    /// Leaves layers uncompressed; the default is gzip.
    #[must_use]
    pub fn uncompressed(mut self) -> Self {
        self.gzip = false;
        self
    }

    /// Adds an annotation to the manifest.
    #[must_use]
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_owned(), json!(value));
        self
    }

    /// Adds a label to the config.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), json!(value));
        self
    }

    /// The image.
    #[must_use]
    pub fn build(self) -> Image {
        let diff_ids: Vec<String> = self.plain_layers.iter().map(|layer| sha256_digest(layer)).collect();
        let (os, architecture) = self.platform.split_once('/').expect("invariant: checked in `new`");
        let config = json!({
            "architecture": architecture,
            "os": os,
            "created": "1970-01-01T00:00:00Z",
            "config": {"Labels": self.labels},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = Content::new(CONFIG, config.to_string());
        let layers: Vec<Content> = self
            .plain_layers
            .iter()
            .map(|plain| match self.gzip {
                true => Content::new(LAYER_GZIP, layer::gzip(plain)),
                false => Content::new(LAYER_TAR, plain.clone()),
            })
            .collect();
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config.descriptor(),
            "layers": layers.iter().map(Content::descriptor).collect::<Vec<_>>(),
        });
        if !self.annotations.is_empty() {
            manifest["annotations"] = Value::Object(self.annotations);
        }
        let mut blobs = vec![config];
        merge(&mut blobs, &layers);
        Image {
            manifests: vec![Content::new(MANIFEST, manifest.to_string())],
            blobs,
            platform: Some(self.platform),
            plain_layers: self.plain_layers,
        }
    }
}
