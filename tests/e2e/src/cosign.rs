//! cosign, which checks what the plugins signed and signs what they check; without any transparency log, and with nothing of
//! the machine's.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::programs::{Ended, end_of, said_by};
use crate::registry::Registry;
use crate::tools;

/// What `cosign signing-config create` writes: no log and no time stamps.
const SIGNING_CONFIG: &str = r#"{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json","rekorTlogConfig":{},"tsaConfig":{}}"#;

/// A key pair as cosign keeps it: the private half encrypted.
#[derive(Clone, Debug)]
pub struct CosignKeys {
    /// The private key, in PEM of cosign's own type.
    pub private: String,
    /// What it is encrypted with.
    pub password: String,
    /// The public key, in PEM.
    pub public: String,
}

/// cosign, with a folder of its own.
#[derive(Debug)]
pub struct Cosign {
    folder: TempDir,
}

impl Default for Cosign {
    fn default() -> Self {
        Self::new()
    }
}

impl Cosign {
    /// One that knows no registry yet.
    ///
    /// # Panics
    /// Where no temporary folder can be written.
    #[must_use]
    pub fn new() -> Self {
        let cosign = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        cosign.write("signing.json", SIGNING_CONFIG);
        cosign
    }

    /// A new key pair, made by `cosign generate-key-pair`.
    ///
    /// # Panics
    /// Where cosign fails.
    #[must_use]
    pub fn generate_key_pair(&self, password: &str) -> CosignKeys {
        let folder = tempfile::tempdir_in(self.folder.path()).expect("a temporary folder");
        let prefix = folder.path().join("made");
        let mut generate = self.command(&["generate-key-pair", "--output-key-prefix"]);
        let _ = said_by(generate.arg(&prefix).env("COSIGN_PASSWORD", password));
        let read = |ending: &str| {
            fs::read_to_string(prefix.with_extension(ending)).expect("cosign has written both halves")
        };
        CosignKeys { private: read("key"), password: password.to_owned(), public: read("pub") }
    }

    /// Attaches a statement about `repository@digest` with this predicate; says how that ended.
    #[must_use]
    pub fn attest(
        &self,
        registry: &dyn Registry,
        image: &str,
        kind: &str,
        predicate: &Value,
        keys: &CosignKeys,
    ) -> Ended {
        self.log_in(registry);
        let mut attest = self.command(&["attest", "--yes", "--allow-insecure-registry", "--type", kind]);
        attest.arg("--signing-config").arg(self.folder.path().join("signing.json"));
        attest.arg("--predicate").arg(self.write("predicate.json", &predicate.to_string()));
        attest.arg("--key").arg(self.write("attest.key", &keys.private));
        attest.env("COSIGN_PASSWORD", &keys.password);
        end_of(attest.arg(format!("{}/{image}", registry.host())))
    }

    /// Whether cosign finds a statement of this type about `repository@digest` that this key has signed, and what it says then:
    /// one envelope in JSON for each.
    #[must_use]
    pub fn verify_attestation(
        &self,
        registry: &dyn Registry,
        image: &str,
        kind: &str,
        public: &str,
    ) -> Ended {
        self.log_in(registry);
        let mut verify = self.command(&["verify-attestation", "--insecure-ignore-tlog", "--type", kind]);
        verify.arg("--allow-insecure-registry").arg("--key").arg(self.write("verify.pub", public));
        end_of(verify.arg(format!("{}/{image}", registry.host())))
    }

    fn log_in(&self, registry: &dyn Registry) {
        let auths = match registry.credentials() {
            Some(known) => json!({ registry.host(): { "username": known.user, "password": known.password } }),
            None => json!({}),
        };
        self.write("config.json", &json!({ "auths": auths }).to_string());
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).expect("a temporary folder can be written");
        path
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut cosign = tools::command("cosign");
        cosign.env("DOCKER_CONFIG", self.folder.path()).env("HOME", self.folder.path());
        cosign.current_dir(self.folder.path()).args(arguments);
        cosign
    }
}
