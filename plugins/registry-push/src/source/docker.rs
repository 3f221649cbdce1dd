//! `docker save` archives, from Docker, Podman, Buildah and skopeo.
//!
//! Newer Docker writes an OCI layout into the same file. Then that is what is published: its manifests
//! are those that the image has in Docker's own store, so the digest stays the one that the build
//! reported, and indexes with attestations stay whole. From the older form a manifest has to be made;
//! it is equal for equal input, but no digest of the build can survive in it, because layers lie in
//! the archive unpacked and are compressed here.

use std::collections::HashMap;
use std::io::{BufReader, Read};
use std::path::Path;

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use granary_oci::{Descriptor, Digest, Digester, media_type};
use granary_registry::BlobSource;
use serde::Deserialize;

use super::archive::Archive;
use super::layout::{self, Named};
use super::scratch::{BUFFER_BYTES, GZIP_MAGIC, Hashed, MAX_UNPACKED_BYTES, Packer};
use super::store::{Store, Stretch};
use super::{Content, Problem, Selector, image_manifest};

const MANIFEST: &str = "manifest.json";

/// Layers of one image; overlay file systems end at a few hundred.
const MAX_LAYERS: usize = 1000;

/// Configuration of one image, in bytes: it grows with history and labels, not with content.
const MAX_CONFIG_BYTES: u64 = 8 * 1024 * 1024;

/// An element of `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SavedImage {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// The part of an image configuration that binds the layers to it.
#[derive(Deserialize)]
struct Config {
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    #[serde(default)]
    diff_ids: Option<Vec<Digest>>,
}

/// Reads `docker-archive:FILE`.
pub(super) fn load(path: &Path, select: &Selector, scratch: &Path) -> Result<Content, Problem> {
    let archive = Archive::open(path, scratch)?;
    if archive.find(layout::MARKER).is_ok() && archive.find(layout::INDEX).is_ok() {
        return layout::load(&archive, select);
    }
    let saved: Vec<SavedImage> = layout::read_json(&archive, MANIFEST)?;
    let named: Vec<_> = saved.iter().map(named).collect();
    let image = layout::choose(&named, select, |image| &image.config)?;
    assemble(&archive, image, scratch)
}

fn named(image: &SavedImage) -> Named<'_, SavedImage> {
    Named { names: image.repo_tags.iter().flatten().map(String::as_str).collect(), image }
}

fn assemble(archive: &Archive, image: &SavedImage, scratch: &Path) -> Result<Content, Problem> {
    let config_bytes = archive.resolve(&image.config)?.read(&image.config, MAX_CONFIG_BYTES)?;
    let config: Config = serde_json::from_slice(&config_bytes)
        .map_err(|source| Problem::Json { entry: image.config.clone(), source })?;
    let diff_ids = config.rootfs.diff_ids.unwrap_or_default();
    let names = image.layers.as_deref().unwrap_or_default();
    if names.len() > MAX_LAYERS {
        return Err(Problem::TooMany { what: "layers", limit: MAX_LAYERS });
    }
    if names.len() != diff_ids.len() {
        return Err(Problem::LayerCount {
            config: image.config.clone(),
            found: names.len(),
            expected: diff_ids.len(),
        });
    }

    let config = Descriptor::of(media_type::OCI_CONFIG, &config_bytes);
    let mut blobs = vec![(config.clone(), BlobSource::Bytes(Bytes::from(config_bytes)))];
    let mut layers = Vec::with_capacity(names.len());
    // One layer twice is common (empty ones, links): it is compressed once.
    let mut done: HashMap<Stretch, (Descriptor, Digest)> = HashMap::new();
    for (name, expected) in names.iter().zip(&diff_ids) {
        let stretch = archive.resolve(name)?;
        let (descriptor, diff_id) = match done.get(&stretch) {
            Some(known) => known.clone(),
            None => {
                let (descriptor, blob, diff_id) = read_layer(name, &stretch, expected, scratch)?;
                if !blobs.iter().any(|(known, _)| known.digest == descriptor.digest) {
                    blobs.push((descriptor.clone(), blob));
                }
                done.insert(stretch, (descriptor.clone(), diff_id.clone()));
                (descriptor, diff_id)
            }
        };
        if diff_id != *expected {
            let expected = expected.clone();
            return Err(Problem::Digest { entry: name.clone(), found: diff_id, expected });
        }
        layers.push(descriptor);
    }
    let manifest = image_manifest::build(&config, &layers, std::collections::BTreeMap::new());
    Ok(Content { top: manifest.digest().clone(), manifests: vec![manifest], blobs })
}

/// Compresses a layer, or takes it as it is where it is compressed already. Returns it with the digest
/// of its unpacked bytes, in the algorithm of `expected`.
fn read_layer(
    name: &str,
    stretch: &Stretch,
    expected: &Digest,
    scratch: &Path,
) -> Result<(Descriptor, BlobSource, Digest), Problem> {
    let unreadable = |source| Problem::Read { path: stretch.path.clone(), source };
    let mut magic = Vec::new();
    stretch.open()?.take(2).read_to_end(&mut magic).map_err(unreadable)?;
    let mut digester = expected.digester();
    if magic == GZIP_MAGIC {
        let (digest, size) = hash_unpacked(name, stretch, &mut digester)?;
        let descriptor = Descriptor::new(media_type::OCI_LAYER_GZIP, digest, size);
        return Ok((descriptor, stretch.clone().into_blob(), digester.finish()));
    }
    let mut packer = Packer::create(scratch)?;
    let mut input = stretch.open()?;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match input.read(&mut buffer).map_err(unreadable)? {
            0 => break,
            count => {
                digester.update(&buffer[..count]);
                packer.write(&buffer[..count])?;
            }
        }
    }
    let packed = packer.finish()?;
    let descriptor = Descriptor::new(media_type::OCI_LAYER_GZIP, packed.digest, packed.size);
    Ok((descriptor, BlobSource::File { path: packed.path, offset: 0 }, digester.finish()))
}

/// Feeds `digester` with what is inside; returns digest and size of the compressed bytes.
fn hash_unpacked(name: &str, stretch: &Stretch, digester: &mut Digester) -> Result<(Digest, u64), Problem> {
    let compressed = BufReader::with_capacity(BUFFER_BYTES, Hashed::new(stretch.open()?));
    let mut decoder = MultiGzDecoder::new(compressed);
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut unpacked = 0;
    loop {
        let count =
            decoder.read(&mut buffer).map_err(|source| Problem::Gzip { entry: name.to_owned(), source })?;
        if count == 0 {
            // The decoder stops at the end of the data only: everything has passed the hash.
            return Ok(decoder.into_inner().into_inner().finish());
        }
        digester.update(&buffer[..count]);
        unpacked += count as u64;
        if unpacked > MAX_UNPACKED_BYTES {
            return Err(Problem::TooLarge {
                what: format!("`{name}`, unpacked,"),
                limit: MAX_UNPACKED_BYTES,
            });
        }
    }
}
