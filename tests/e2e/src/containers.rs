//! Images made and read by tools that nobody here wrote: buildah and skopeo.
//!
//! Both run without a daemon, without privileges beyond what a build container has, and leave nothing outside the temporary
//! folder: their storage is below it, and so is their policy, because not every machine has one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::programs::{Ended, command, end_of, said_by};
use crate::registry::Registry;

/// An architecture of Linux and the files of its image.
pub type Platform<'a> = (&'a str, &'a [(&'a str, &'a [u8])]);

/// A folder with the tools' configuration and storage.
#[derive(Debug)]
pub struct Containers {
    folder: TempDir,
}

impl Default for Containers {
    fn default() -> Self {
        Self::new()
    }
}

impl Containers {
    /// An empty storage.
    ///
    /// # Panics
    /// Where no temporary folder can be written.
    #[must_use]
    pub fn new() -> Self {
        let folder =
            tempfile::Builder::new().prefix("granary-containers-").tempdir().expect("a temporary folder");
        for name in ["home", "tmp", "run"] {
            fs::create_dir(folder.path().join(name)).expect("a temporary folder can be written");
        }
        let policy = r#"{"default": [{"type": "insecureAcceptAnything"}]}"#;
        fs::write(folder.path().join("policy.json"), policy).expect("a temporary folder can be written");
        Self { folder }
    }

    /// A folder to put sources and archives into.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Builds an image from nothing with these files (path in the image → content) and writes it as an OCI layout or archive,
    /// or as a docker-archive: `destination` is skopeo's notation, such as `oci-archive:FILE:TAG`.
    ///
    /// # Panics
    /// Where buildah fails.
    pub fn build(&self, files: &[(&str, &[u8])], destination: &str) {
        let image = self.commit(files, None);
        let _ = said_by(self.buildah("push").arg(image).arg(destination));
    }

    /// The same for several platforms (architecture of Linux, files): a multi-platform index.
    ///
    /// # Panics
    /// Where buildah fails.
    pub fn build_index(&self, platforms: &[Platform<'_>], destination: &str) {
        let name = format!("journey-{}", platforms.len());
        let _ = said_by(self.buildah("manifest").args(["create", &name]));
        for (architecture, files) in platforms {
            let image = self.commit(files, Some(architecture));
            let _ = said_by(self.buildah("manifest").args(["add", &name, &image]));
        }
        let policy = self.folder.path().join("policy.json");
        let mut push = self.buildah("manifest");
        push.arg("push").arg("--signature-policy").arg(policy).args(["--all", &name, destination]);
        let _ = said_by(&mut push);
    }

    /// An image in the storage, by its id.
    fn commit(&self, files: &[(&str, &[u8])], architecture: Option<&str>) -> String {
        let container = said_by(self.buildah("from").arg("scratch"));
        for (position, (path, bytes)) in files.iter().enumerate() {
            let source = self.folder.path().join(format!("source-{position}"));
            fs::write(&source, bytes).expect("a temporary folder can be written");
            let target = Path::new("/").join(path);
            let _ = said_by(self.buildah("copy").arg(&container).arg(source).arg(target));
        }
        let mut config = self.buildah("config");
        config.args(["--label", "org.example.journey=yes"]);
        if let Some(architecture) = architecture {
            config.args(["--os", "linux", "--arch", architecture]);
        }
        let _ = said_by(config.arg(&container));
        said_by(self.buildah("commit").args(["--rm", "--format", "oci", &container]))
    }

    /// Copies an image into a registry as `credentials` (`user:password`), if any; says how that ended.
    #[must_use]
    pub fn push(&self, from: &str, registry: &dyn Registry, image: &str, credentials: Option<&str>) -> Ended {
        let mut skopeo = self.skopeo("copy");
        skopeo.args(["--all", "--preserve-digests", "--dest-tls-verify=false"]);
        if let Some(credentials) = credentials {
            skopeo.args(["--dest-creds", credentials]);
        }
        end_of(skopeo.arg(from).arg(format!("docker://{}/{image}", registry.host())))
    }

    /// The digest of `repository:tag` or `repository@digest`, as skopeo computes it from the manifest that it is given.
    ///
    /// # Panics
    /// Where skopeo fails.
    #[must_use]
    pub fn digest(&self, registry: &dyn Registry, image: &str) -> String {
        said_by(self.inspect(registry, image).args(["--format", "{{.Digest}}"]))
    }

    /// The manifest of `repository:tag` or `repository@digest`, byte for byte.
    ///
    /// # Panics
    /// Where skopeo fails.
    #[must_use]
    pub fn manifest(&self, registry: &dyn Registry, image: &str) -> Vec<u8> {
        let mut inspect = self.inspect(registry, image);
        let output = inspect.arg("--raw").output().expect("skopeo can be started");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// All tags of a repository, sorted.
    ///
    /// # Panics
    /// Where skopeo fails.
    #[must_use]
    pub fn tags(&self, registry: &dyn Registry, repository: &str) -> Vec<String> {
        let mut list = self.skopeo("list-tags");
        list.args(["--tls-verify=false", "--creds", &credentials(registry)]);
        let list = said_by(list.arg(format!("docker://{}/{repository}", registry.host())));
        let list: Value = serde_json::from_str(&list).expect("skopeo lists tags as JSON");
        let tags = list["Tags"].as_array().expect("skopeo lists tags");
        let mut tags: Vec<String> = tags.iter().filter_map(|tag| tag.as_str().map(str::to_owned)).collect();
        tags.sort_unstable();
        tags
    }

    /// Copies an image out of a registry into a layout and returns its folder: every blob was fetched, and its digest checked
    /// by skopeo.
    ///
    /// # Panics
    /// Where skopeo fails.
    #[must_use]
    pub fn pull(&self, registry: &dyn Registry, image: &str) -> PathBuf {
        self.pull_as(registry, image, |folder| format!("oci:{}:pulled", folder.display()))
    }

    /// The same into a plain folder: `manifest.json`, and every blob under the hex digits of its digest.
    ///
    /// # Panics
    /// Where skopeo fails.
    #[must_use]
    pub fn pull_files(&self, registry: &dyn Registry, image: &str) -> PathBuf {
        self.pull_as(registry, image, |folder| format!("dir:{}", folder.display()))
    }

    fn pull_as(&self, registry: &dyn Registry, image: &str, notation: impl Fn(&Path) -> String) -> PathBuf {
        let folder = tempfile::tempdir_in(self.folder.path()).expect("a temporary folder").keep();
        let mut copy = self.skopeo("copy");
        copy.args([
            "--all",
            "--preserve-digests",
            "--src-tls-verify=false",
            "--src-creds",
            &credentials(registry),
        ]);
        let _ = said_by(copy.arg(format!("docker://{}/{image}", registry.host())).arg(notation(&folder)));
        folder
    }

    /// The configuration of an image anywhere (`docker-archive:FILE`), as skopeo reads it.
    ///
    /// # Panics
    /// Where skopeo fails.
    #[must_use]
    pub fn config(&self, image: &str) -> Value {
        let said = said_by(self.skopeo("inspect").args(["--config", image]));
        serde_json::from_str(&said).expect("a configuration is JSON")
    }

    fn inspect(&self, registry: &dyn Registry, image: &str) -> Command {
        let mut inspect = self.skopeo("inspect");
        inspect.args(["--tls-verify=false", "--creds", &credentials(registry)]);
        inspect.arg(format!("docker://{}/{image}", registry.host()));
        inspect
    }

    fn skopeo(&self, verb: &str) -> Command {
        let mut skopeo = command("skopeo");
        self.prepare(&mut skopeo);
        skopeo.arg("--policy").arg(self.folder.path().join("policy.json")).arg(verb);
        skopeo
    }

    fn buildah(&self, verb: &str) -> Command {
        let mut buildah = command("buildah");
        self.prepare(&mut buildah);
        buildah.env("BUILDAH_ISOLATION", "chroot");
        // The kernel's overlay cannot be mounted in most build containers.
        buildah.args(["--storage-driver", "vfs", "--root"]).arg(self.folder.path().join("storage"));
        buildah.arg("--runroot").arg(self.folder.path().join("run")).arg(verb);
        if matches!(verb, "from" | "commit" | "push") {
            buildah.arg("--signature-policy").arg(self.folder.path().join("policy.json"));
        }
        buildah
    }

    fn prepare(&self, command: &mut Command) {
        let folder = |name: &str| self.folder.path().join(name);
        command
            .env("HOME", folder("home"))
            .env("TMPDIR", folder("tmp"))
            .env("XDG_RUNTIME_DIR", folder("run"));
        command.current_dir(self.folder.path());
    }
}

/// Given to an open registry they do no harm: skopeo sends them only when asked.
fn credentials(registry: &dyn Registry) -> String {
    let known = registry.credentials().map(|known| format!("{}:{}", known.user, known.password));
    known.unwrap_or_else(|| "nobody:nothing".to_owned())
}
