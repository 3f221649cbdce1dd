//! `oci-client`, the Rust community's registry client, as a second reader: it shares no code with ours.

use std::collections::BTreeMap;
use std::sync::Once;

use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use sha2::{Digest as _, Sha256};
use tokio::runtime::Runtime;

use crate::registry::Registry;

const MANIFESTS: &[&str] = &[
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// A reader of one registry. Every method panics, with what the client said, where reading fails.
pub struct Reader {
    runtime: Runtime,
    client: Client,
    host: String,
    auth: RegistryAuth,
}

impl Reader {
    /// A reader who knows the password, if the registry wants it.
    ///
    /// # Panics
    /// Where the process has no poller to give.
    #[must_use]
    pub fn new(registry: &dyn Registry) -> Self {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            rustls::crypto::ring::default_provider().install_default().expect("nobody else installs one");
        });
        let config = ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() };
        Self {
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a current-thread runtime needs only a poller"),
            client: Client::new(config),
            host: registry.host(),
            auth: registry.credentials().map_or(RegistryAuth::Anonymous, |credentials| {
                RegistryAuth::Basic(credentials.user, credentials.password)
            }),
        }
    }

    /// `repository:tag` or `repository@digest`.
    fn reference(&self, image: &str) -> Reference {
        format!("{}/{image}", self.host).parse().expect("a reference")
    }

    /// All tags of a repository, sorted.
    ///
    /// # Panics
    /// Where they cannot be read.
    #[must_use]
    pub fn tags(&self, repository: &str) -> Vec<String> {
        let reference = self.reference(repository);
        let listing = self.client.list_tags(&reference, &self.auth, None, None);
        let mut tags = self.runtime.block_on(listing).expect("oci-client lists tags").tags;
        tags.sort_unstable();
        tags
    }

    /// All tags of a repository with their digests.
    ///
    /// # Panics
    /// Where one cannot be read.
    #[must_use]
    pub fn state(&self, repository: &str) -> BTreeMap<String, String> {
        let with_digest = |tag: String| (tag.clone(), self.digest(&format!("{repository}:{tag}")));
        self.tags(repository).into_iter().map(with_digest).collect()
    }

    /// The digest that the registry says a tag leads to.
    ///
    /// # Panics
    /// Where there is none.
    #[must_use]
    pub fn digest(&self, image: &str) -> String {
        let reference = self.reference(image);
        let digest = self.client.fetch_manifest_digest(&reference, &self.auth);
        self.runtime.block_on(digest).unwrap_or_else(|error| panic!("oci-client on {image}: {error}"))
    }

    /// A manifest, byte for byte.
    ///
    /// # Panics
    /// Where there is none, or its digest is not what the client computes.
    #[must_use]
    pub fn manifest(&self, image: &str) -> Vec<u8> {
        let reference = self.reference(image);
        let pull = self.client.pull_manifest_raw(&reference, &self.auth, MANIFESTS);
        let (bytes, _) =
            self.runtime.block_on(pull).unwrap_or_else(|error| panic!("oci-client on {image}: {error}"));
        bytes.to_vec()
    }

    /// A manifest as JSON.
    ///
    /// # Panics
    /// As [`Reader::manifest`].
    #[must_use]
    pub fn json(&self, image: &str) -> serde_json::Value {
        serde_json::from_slice(&self.manifest(image)).expect("a manifest is JSON")
    }

    /// A blob of a repository.
    ///
    /// # Panics
    /// Where there is none.
    #[must_use]
    pub fn blob(&self, repository: &str, digest: &str) -> Vec<u8> {
        let reference = self.reference(&format!("{repository}@{digest}"));
        let mut bytes = Vec::new();
        let pull = self.client.pull_blob(&reference, digest, &mut bytes);
        self.runtime.block_on(pull).unwrap_or_else(|error| panic!("oci-client on {digest}: {error}"));
        bytes
    }
}

/// `sha256:<hex>` of these bytes.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}
