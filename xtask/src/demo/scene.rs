//! What is there before the first pipeline: a registry that wants a password, a key pair, an empty folder.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use granary_attest::key::SigningKey;
use granary_testkit::registry::{Options, Registry};
use tempfile::TempDir;

use super::DemoError;

/// Where everything is published.
pub(super) const REPOSITORY: &str = "acme/granary";

const USER: &str = "ci";
const PASSWORD: &str = "correct-horse-battery-staple";

/// Settings whose values are never printed, by us or by a plugin.
pub(super) const SECRETS: &[&str] = &["password", "signing_key"];

/// The scene.
pub(super) struct Scene {
    /// The registry, in this process.
    pub(super) registry: Registry,
    /// Where the plugins' binaries are.
    pub(super) binaries: PathBuf,
    /// The private key, in PEM.
    pub(super) signing_key: String,
    /// The public key, in PEM.
    pub(super) public_key: String,
    folder: TempDir,
}

impl Scene {
    /// Starts the registry and makes the keys.
    pub(super) fn new(binaries: PathBuf) -> Result<Self, DemoError> {
        let folder = tempfile::Builder::new().prefix("granary-demo-").tempdir();
        let folder = folder.map_err(|source| DemoError::File { path: std::env::temp_dir(), source })?;
        let key = generate_key()?;
        let registry = Registry::start(Options::with_token(USER, PASSWORD));
        println!("\nregistry {}, with token authentication; one new P-256 key", registry.host());
        Ok(Self {
            registry,
            binaries,
            signing_key: key.to_pem().to_string(),
            public_key: key.public_key().to_pem(),
            folder,
        })
    }

    /// A folder of the scene, made where it is missing.
    pub(super) fn folder(&self, name: &str) -> Result<PathBuf, DemoError> {
        let path = self.folder.path().join(name);
        fs::create_dir_all(&path).map_err(|source| DemoError::File { path: path.clone(), source })?;
        Ok(path)
    }

    /// What every user of the registry sets.
    pub(super) fn registry_settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("registry", self.registry.host()),
            ("repo", REPOSITORY.to_owned()),
            ("username", USER.to_owned()),
            ("password", PASSWORD.to_owned()),
        ]
    }

    /// The digest behind a tag.
    pub(super) fn tag(&self, tag: &str) -> Option<String> {
        self.registry.tags(REPOSITORY).remove(tag)
    }

    /// Fails unless the tag names this digest, or is not there for `None`.
    pub(super) fn expect_tag(&self, tag: &str, digest: Option<&str>) -> Result<(), DemoError> {
        let found = self.tag(tag);
        match found.as_deref() == digest {
            true => Ok(()),
            false => {
                let text = |digest: Option<&str>| digest.unwrap_or("nothing").to_owned();
                let (found, expected) = (text(found.as_deref()), text(digest));
                Err(DemoError::Registry { what: format!("tag {tag}"), found, expected })
            }
        }
    }

    /// Fails unless the tags are these, each with its digest.
    pub(super) fn expect_tags(&self, expected: &BTreeMap<String, String>) -> Result<(), DemoError> {
        let found = self.registry.tags(REPOSITORY);
        let known = found.keys().chain(expected.keys());
        match known.into_iter().find(|tag| found.get(*tag) != expected.get(*tag)) {
            None => Ok(()),
            Some(tag) => self.expect_tag(tag, expected.get(tag).map(String::as_str)),
        }
    }

    /// Fails where nothing was attached to this digest.
    pub(super) fn expect_evidence(&self, digest: &str) -> Result<(), DemoError> {
        match self.registry.referrers(REPOSITORY, digest).is_empty() {
            false => Ok(()),
            true => Err(DemoError::Registry {
                what: format!("evidence on {digest}"),
                found: "nothing".to_owned(),
                expected: "a signed bundle".to_owned(),
            }),
        }
    }
}

fn generate_key() -> Result<SigningKey, DemoError> {
    const RANDOM: &str = "/dev/urandom";
    let mut source =
        fs::File::open(RANDOM).map_err(|source| DemoError::File { path: RANDOM.into(), source })?;
    loop {
        let mut random = [0; 32];
        let read = source.read_exact(&mut random);
        read.map_err(|source| DemoError::File { path: Path::new(RANDOM).to_owned(), source })?;
        // One draw in 2^32 lies outside the group's order.
        if let Ok(key) = SigningKey::generate(random) {
            return Ok(key);
        }
    }
}
