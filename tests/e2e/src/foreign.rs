//! Readers that nobody here wrote, each with its own idea of the protocol: skopeo, crane and regctl. What they agree on is there.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tempfile::TempDir;

use crate::containers::Containers;
use crate::programs::said_by;
use crate::reader::sha256;
use crate::registry::Registry;
use crate::tools;

/// Referrers of referrers of …: deeper than anything that is written here.
const DEEPEST: usize = 8;

/// Something that can read a registry. `image` is `repository:tag` or `repository@digest`. Methods panic where reading fails, with
/// what the reader said.
pub trait ForeignReader {
    /// Its name.
    fn name(&self) -> &'static str;
    /// The digest of a tag.
    fn digest(&self, registry: &dyn Registry, image: &str) -> String;
    /// A manifest, byte for byte.
    fn manifest(&self, registry: &dyn Registry, image: &str) -> Vec<u8>;
    /// All tags of a repository, sorted.
    fn tags(&self, registry: &dyn Registry, repository: &str) -> Vec<String>;
}

impl ForeignReader for Containers {
    fn name(&self) -> &'static str {
        "skopeo"
    }

    fn digest(&self, registry: &dyn Registry, image: &str) -> String {
        Self::digest(self, registry, image)
    }

    fn manifest(&self, registry: &dyn Registry, image: &str) -> Vec<u8> {
        Self::manifest(self, registry, image)
    }

    fn tags(&self, registry: &dyn Registry, repository: &str) -> Vec<String> {
        Self::tags(self, registry, repository)
    }
}

/// crane, with a configuration of its own.
#[derive(Debug)]
pub struct Crane {
    folder: TempDir,
}

impl Default for Crane {
    fn default() -> Self {
        Self::new()
    }
}

impl Crane {
    /// One that knows no registry yet.
    ///
    /// # Panics
    /// Where no temporary folder can be created.
    #[must_use]
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    fn command(&self, registry: &dyn Registry, arguments: &[&str]) -> Command {
        let auths = registry.credentials().map_or(json!({}), |known| {
            let auth = STANDARD.encode(format!("{}:{}", known.user, known.password));
            json!({ registry.host(): { "auth": auth } })
        });
        fs::write(self.folder.path().join("config.json"), json!({ "auths": auths }).to_string())
            .expect("a temporary folder can be written");
        let mut crane = tools::command("crane");
        crane.env("DOCKER_CONFIG", self.folder.path()).env("HOME", self.folder.path()).args(arguments);
        crane
    }
}

impl ForeignReader for Crane {
    fn name(&self) -> &'static str {
        "crane"
    }

    fn digest(&self, registry: &dyn Registry, image: &str) -> String {
        said_by(&mut self.command(registry, &["digest", &format!("{}/{image}", registry.host())]))
    }

    fn manifest(&self, registry: &dyn Registry, image: &str) -> Vec<u8> {
        bytes_of(&mut self.command(registry, &["manifest", &format!("{}/{image}", registry.host())]))
    }

    fn tags(&self, registry: &dyn Registry, repository: &str) -> Vec<String> {
        let list = self.command(registry, &["ls", &format!("{}/{repository}", registry.host())]);
        sorted_lines(list)
    }
}

/// regctl, with a configuration of its own.
#[derive(Debug)]
pub struct Regctl {
    folder: TempDir,
}

impl Default for Regctl {
    fn default() -> Self {
        Self::new()
    }
}

impl Regctl {
    /// One that knows no registry yet.
    ///
    /// # Panics
    /// Where no temporary folder can be created.
    #[must_use]
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    fn command(&self, registry: &dyn Registry, arguments: &[&str]) -> Command {
        let host = match registry.credentials() {
            Some(known) => json!({ "tls": "disabled", "user": known.user, "pass": known.password }),
            None => json!({ "tls": "disabled" }),
        };
        let config = self.folder.path().join("config.json");
        fs::write(&config, json!({ "hosts": { registry.host(): host } }).to_string())
            .expect("a temporary folder can be written");
        let mut regctl = tools::command("regctl");
        regctl.env("REGCTL_CONFIG", config).env("HOME", self.folder.path()).args(arguments);
        regctl
    }

    /// Attaches an artifact to `repository@digest` and returns its digest.
    ///
    /// # Panics
    /// Where regctl fails.
    #[must_use]
    pub fn attach(&self, registry: &dyn Registry, subject: &str, artifact_type: &str, text: &str) -> String {
        let file = self.folder.path().join("artifact");
        fs::write(&file, text).expect("a temporary folder can be written");
        let subject = format!("{}/{subject}", registry.host());
        let mut put = self.command(registry, &["artifact", "put", "--artifact-type", artifact_type]);
        put.args(["--subject", &subject, "--file-media-type", artifact_type, "--file"]).arg(file);
        said_by(put.args(["--format", "{{ .Manifest.GetDescriptor.Digest }}"]))
    }

    /// The digests of what is attached to `repository@digest`, sorted.
    ///
    /// # Panics
    /// Where regctl fails.
    #[must_use]
    pub fn referrers(&self, registry: &dyn Registry, image: &str) -> Vec<String> {
        let image = format!("{}/{image}", registry.host());
        let format = "{{range .Descriptors}}{{println .Digest}}{{end}}";
        sorted_lines(self.command(registry, &["artifact", "list", &image, "--format", format]))
    }

    /// Everything that hangs on a digest, and on that, and so on: digest → manifest, byte for byte.
    ///
    /// # Panics
    /// As [`Regctl::referrers`], and where it does not end.
    #[must_use]
    pub fn referrers_below(
        &self,
        registry: &dyn Registry,
        repository: &str,
        digest: &str,
    ) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut subjects = vec![digest.to_owned()];
        for _ in 0..DEEPEST {
            let mut next = Vec::new();
            for subject in subjects {
                for referrer in self.referrers(registry, &format!("{repository}@{subject}")) {
                    let manifest = self.manifest(registry, &format!("{repository}@{referrer}"));
                    assert_eq!(sha256(&manifest), referrer);
                    found.insert(referrer.clone(), manifest);
                    next.push(referrer);
                }
            }
            if next.is_empty() {
                return found;
            }
            subjects = next;
        }
        panic!("{repository}@{digest} has referrers without end: {:?}", found.keys())
    }
}

impl ForeignReader for Regctl {
    fn name(&self) -> &'static str {
        "regctl"
    }

    fn digest(&self, registry: &dyn Registry, image: &str) -> String {
        said_by(&mut self.command(registry, &["manifest", "head", &format!("{}/{image}", registry.host())]))
    }

    fn manifest(&self, registry: &dyn Registry, image: &str) -> Vec<u8> {
        let image = format!("{}/{image}", registry.host());
        bytes_of(&mut self.command(registry, &["manifest", "get", &image, "--format", "raw-body"]))
    }

    fn tags(&self, registry: &dyn Registry, repository: &str) -> Vec<String> {
        sorted_lines(self.command(registry, &["tag", "ls", &format!("{}/{repository}", registry.host())]))
    }
}

fn sorted_lines(mut command: Command) -> Vec<String> {
    let mut lines: Vec<String> = said_by(&mut command).lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

/// Standard output to the byte: a manifest may end with a newline.
fn bytes_of(command: &mut Command) -> Vec<u8> {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().expect("it was built");
    assert!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
    stdout
}
