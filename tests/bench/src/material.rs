//! What is pushed, copied and tagged: the same bytes on every run.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use granary_net::{Deadline, Http, HttpOptions};
use granary_oci::{
    ArtifactManifest, Descriptor, Digest, EMPTY_JSON, RawManifest, Repository, Tag, empty_descriptor,
};
use granary_registry::{BlobSource, Content, PlanOptions, Registry, RegistryOptions};
use granary_testkit::image::{CONFIG, Image, ImageBuilder, LAYER_GZIP, MANIFEST, random_bytes};
use granary_testkit::registry::sha256_digest;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::harness::RowError;

/// Layers of each platform.
const LAYERS: u64 = 5;
/// Bytes of each of them: enough that copying them shows, not enough to drown the requests.
const LAYER_BYTES: usize = 160_000;
/// What refers to the index: evidence, a signature, an SBOM.
pub const REFERRERS: usize = 3;
/// Small layers beside the big one.
const SMALL_LAYERS: u64 = 20;
/// Bytes of each of them.
const SMALL_LAYER_BYTES: usize = 44_000;
/// Written at once.
const PIECE: usize = 4 << 20;
/// No preparation takes as long.
const PATIENCE: Duration = Duration::from_secs(300);
/// Files of the tree of manifests in one folder.
const FILES_PER_FOLDER: usize = 50;

/// A client of ours that is not measured, for a registry on this machine.
///
/// # Errors
/// Where no HTTP client can be made.
pub fn client(host: &str) -> Result<Registry, RowError> {
    let http = Http::new(HttpOptions::default())?;
    Ok(Registry::new(host.parse()?, http, RegistryOptions::new(Deadline::after(PATIENCE))))
}

/// An index of two platforms with everything that belongs to it.
#[derive(Clone, Debug)]
pub struct Release {
    content: Content,
    top: RawManifest,
}

/// Two platforms, each of five layers and a configuration; three referrers if asked for.
///
/// # Errors
/// Never, in fact: what the test kit builds can be read.
pub fn release(seed: u64, referrers: usize) -> Result<Release, RowError> {
    let index = index(seed);
    let mut blobs: Vec<(Descriptor, BlobSource)> = Vec::new();
    let mut hold = |descriptor: Descriptor, bytes: Bytes| blobs.push((descriptor, BlobSource::Bytes(bytes)));
    for blob in index.blobs() {
        hold(Descriptor::of(&blob.media_type, &blob.bytes), blob.bytes.clone());
    }
    let manifests = index.manifests().iter().map(|raw| RawManifest::new(raw.bytes.to_vec(), &raw.media_type));
    let mut manifests = manifests.collect::<Result<Vec<_>, _>>()?;
    let top = RawManifest::new(index.bytes().to_vec(), index.media_type())?;
    for number in 0..referrers {
        let layer = Bytes::from(format!("{{\"evidence\": {seed}, \"number\": {number}}}"));
        let descriptor = Descriptor::of("application/vnd.example.evidence+json", &layer);
        let artifact = ArtifactManifest::new("application/vnd.example.evidence")
            .with_layers(vec![descriptor.clone()])
            .with_subject(&top.descriptor());
        hold(descriptor, layer);
        manifests.push(artifact.build());
    }
    hold(empty_descriptor(), Bytes::from_static(EMPTY_JSON));
    Ok(Release { content: Content { manifests, blobs, top: top.digest().clone() }, top })
}

fn index(seed: u64) -> Image {
    let platform = |platform: &str, seed: u64| {
        let image = ImageBuilder::new(platform).label("seed", &seed.to_string());
        (0..LAYERS).fold(image, |image, layer| image.random_layer(seed * 10 + layer, LAYER_BYTES)).build()
    };
    Image::index(&[platform("linux/amd64", seed * 2), platform("linux/arm64", seed * 2 + 1)])
}

impl Release {
    /// The index.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        self.top.digest()
    }

    /// Puts it into a repository.
    ///
    /// # Errors
    /// Where the registry does not take it.
    pub async fn put(&self, registry: &Registry, repository: &str, tag: &str) -> Result<(), RowError> {
        let repository: Repository = repository.parse()?;
        registry.push_content(&repository, &self.content, PlanOptions::default()).await?;
        let tag: Tag = tag.parse()?;
        registry.put_tags(&repository, &self.top, &[tag]).await?;
        Ok(())
    }

    /// Looks whether `tag` names it, and says how many referrers came along; an error where it must be `all` of them and is not.
    ///
    /// # Errors
    /// Where something else, or less, is there.
    pub async fn found(
        &self,
        registry: &Registry,
        repository: &str,
        tag: &str,
        all: bool,
    ) -> Result<String, RowError> {
        let repository: Repository = repository.parse()?;
        let found = registry.head_manifest(&repository, &tag.parse::<Tag>()?.into()).await?;
        let expected = self.digest().to_string();
        let found = found.map_or_else(|| "nothing".to_owned(), |found| found.digest.to_string());
        if found != expected {
            return Err(RowError::Wrong { found, expected });
        }
        let referrers = registry.referrers(&repository, self.digest(), None).await?.len();
        if all && referrers != REFERRERS {
            let (found, expected) = (format!("{referrers} referrers"), REFERRERS.to_string());
            return Err(RowError::Wrong { found, expected });
        }
        Ok(if referrers == 0 { "no referrers".to_owned() } else { format!("{referrers} referrers") })
    }
}

/// A small index in an OCI layout, as a build leaves it.
///
/// # Panics
/// Where the folder cannot be written.
pub fn small_layout(folder: &Path, seed: u64) {
    index(seed).write_layout(folder, "latest");
}

/// One image with a big layer and twenty small ones in an OCI layout.
#[derive(Clone, Debug)]
pub struct BigImage {
    /// The layout.
    pub folder: PathBuf,
    /// The big layer's file.
    pub blob: PathBuf,
    /// Its digest.
    pub blob_digest: String,
    /// Its bytes.
    pub blob_bytes: u64,
    /// The image.
    pub digest: String,
}

/// Writes such an image. The big layer is a gzip file that does not compress: a client that looks inside finds nothing to do.
///
/// # Errors
/// Where the folder cannot be written.
pub fn big_layout(folder: &Path, big_bytes: usize) -> Result<BigImage, RowError> {
    let failed = |source| RowError::File { path: folder.to_owned(), source };
    let blobs = folder.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).map_err(failed)?;
    let unfinished = folder.join("big");
    let (blob_digest, blob_bytes) = write_big(&unfinished, big_bytes).map_err(failed)?;
    let blob = blobs.join(&blob_digest);
    std::fs::rename(&unfinished, &blob).map_err(failed)?;
    let put = |bytes: &[u8]| -> Result<String, RowError> {
        let digest = sha256_digest(bytes);
        let path = blobs.join(digest.trim_start_matches("sha256:"));
        std::fs::write(&path, bytes).map_err(|source| RowError::File { path, source })?;
        Ok(digest)
    };
    let blob_digest = format!("sha256:{blob_digest}");
    let mut layers = vec![json!({"mediaType": LAYER_GZIP, "digest": blob_digest, "size": blob_bytes})];
    for number in 0..SMALL_LAYERS {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::none());
        gzip.write_all(&random_bytes(1000 + number, SMALL_LAYER_BYTES)).map_err(failed)?;
        let bytes = gzip.finish().map_err(failed)?;
        layers.push(json!({"mediaType": LAYER_GZIP, "digest": put(&bytes)?, "size": bytes.len()}));
    }
    let diff_ids: Vec<String> =
        (0..=SMALL_LAYERS).map(|number| sha256_digest(&number.to_le_bytes())).collect();
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config = config.to_string();
    let config = json!({"mediaType": CONFIG, "digest": put(config.as_bytes())?, "size": config.len()});
    let manifest =
        json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}).to_string();
    let digest = put(manifest.as_bytes())?;
    let index = json!({"schemaVersion": 2, "manifests": [{
        "mediaType": MANIFEST, "digest": digest, "size": manifest.len(),
        "annotations": {"org.opencontainers.image.ref.name": "latest"},
    }]});
    std::fs::write(folder.join("index.json"), index.to_string()).map_err(failed)?;
    std::fs::write(folder.join("oci-layout"), json!({"imageLayoutVersion": "1.0.0"}).to_string())
        .map_err(failed)?;
    Ok(BigImage { folder: folder.to_owned(), blob, blob_digest, blob_bytes, digest })
}

/// Writes and hashes; returns 64 hex digits and the size.
fn write_big(path: &Path, bytes: usize) -> io::Result<(String, u64)> {
    let mut gzip = GzEncoder::new(
        Hashing { file: File::create(path)?, hash: Sha256::new(), bytes: 0 },
        Compression::none(),
    );
    for (seed, from) in (0..bytes).step_by(PIECE).enumerate() {
        gzip.write_all(&random_bytes(seed as u64, PIECE.min(bytes - from)))?;
    }
    let done = gzip.finish()?;
    done.file.sync_all()?;
    Ok((hex::encode(done.hash.finalize()), done.bytes))
}

struct Hashing {
    file: File,
    hash: Sha256,
    bytes: u64,
}

impl Write for Hashing {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.file.write(buffer)?;
        self.hash.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes a tree of Kubernetes manifests with about so many bytes in all; returns how many exactly.
///
/// # Errors
/// Where the folder cannot be written.
pub fn manifests(folder: &Path, bytes: usize) -> Result<u64, RowError> {
    let mut total = 0;
    for number in 0.. {
        if total >= bytes as u64 {
            break;
        }
        let folder = folder.join(format!("tenant-{:03}", number / FILES_PER_FOLDER));
        let path = folder.join(format!("service-{number:05}.yaml"));
        let text = manifest(number as u64);
        let written = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, &text));
        written.map_err(|source| RowError::File { path, source })?;
        total += text.len() as u64;
    }
    Ok(total)
}

/// Deployment, service and configuration of one service; what differs between real ones differs here.
fn manifest(number: u64) -> String {
    use std::fmt::Write as _;
    let random = random_bytes(number, 1200);
    let word = |at: usize| hex::encode(&random[at..at + 4]);
    let mut text = format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: service-{number}\n  namespace: tenant-{}\n  labels:\n    \
         app.kubernetes.io/name: service-{number}\n    app.kubernetes.io/part-of: {}\nspec:\n  replicas: {}\n  selector:\n    \
         matchLabels:\n      app.kubernetes.io/name: service-{number}\n  template:\n    spec:\n      containers:\n",
        number / FILES_PER_FOLDER as u64,
        word(0),
        random[8] % 7,
    );
    for container in 0..3 + usize::from(random[9] % 4) {
        let at = 16 + container * 32;
        let _ = write!(
            text,
            "        - name: {}\n          image: registry.example.test/{}/{}@sha256:{}\n          ports:\n            \
             - containerPort: {}\n          resources:\n            requests:\n              cpu: {}m\n              memory: {}Mi\n",
            word(at),
            word(at + 4),
            word(at + 8),
            hex::encode(Sha256::digest(&random[at..at + 8])),
            8000 + u32::from(random[at]),
            u32::from(random[at + 1]) * 10,
            u32::from(random[at + 2]) * 4,
        );
        for variable in 0..8 {
            let at = 300 + (container * 8 + variable) * 12;
            let _ = write!(
                text,
                "          # Set by the platform team; see the handbook before changing it.\n          - name: VARIABLE_{}\n            \
                 valueFrom:\n              configMapKeyRef:\n                name: configuration-{number}\n                key: key-{}\n",
                word(at).to_uppercase(),
                word(at + 4),
            );
        }
    }
    let _ = write!(
        text,
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: configuration-{number}\ndata:\n"
    );
    for at in (300..1100).step_by(8) {
        let _ = writeln!(
            text,
            "  key-{}: \"https://{}.tenant.example.test:{}/api/v1\"",
            word(at),
            word(at + 4),
            random[at]
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_what_the_design_says() {
        let release = release(1, REFERRERS).unwrap();
        assert_eq!(release.content.manifests.len(), 3 + REFERRERS);
        assert_eq!(
            release.content.blobs.len(),
            12 + REFERRERS + 1,
            "one empty configuration for all referrers"
        );
        let index = release.top.parse().unwrap();
        assert_eq!(index.manifests.len(), 2);
    }

    #[test]
    fn the_big_layer_is_whole_and_the_layout_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let image = big_layout(folder.path(), 5 << 20).unwrap();
        assert!(image.blob_bytes > 5 << 20 && image.blob_bytes < 6 << 20, "{image:?}");
        let bytes = std::fs::read(&image.blob).unwrap();
        assert_eq!(sha256_digest(&bytes), image.blob_digest);
        let mut plain = Vec::new();
        io::Read::read_to_end(&mut flate2::read::GzDecoder::new(bytes.as_slice()), &mut plain).unwrap();
        assert_eq!(plain.len(), 5 << 20, "skopeo would compress what is no gzip file");
        assert_eq!(std::fs::read_dir(folder.path().join("blobs/sha256")).unwrap().count(), 23);
    }

    #[test]
    fn manifests_compress_as_manifests_do() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = manifests(folder.path(), 200_000).unwrap();
        assert!((200_000..230_000).contains(&bytes), "{bytes}");
        let text: String = (0..20).map(manifest).collect();
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(text.as_bytes()).unwrap();
        let ratio = text.len() / gzip.finish().unwrap().len();
        assert!((4..=9).contains(&ratio), "{ratio}");
    }
}
