//! The programs beside which we are measured, and our own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::RowError;
use crate::process::said_by;

/// How each program says which one it is. oras-go is a library: the version is in the module file of its harness.
const VERSIONS: [(&str, &[&str]); 8] = [
    ("crane", &["version"]),
    ("regctl", &["version", "--format", "{{.VCSTag}}"]),
    ("skopeo", &["--version"]),
    ("docker-registry", &["--version"]),
    ("curl", &["--version"]),
    ("tar", &["--version"]),
    ("gzip", &["--version"]),
    ("pigz", &["--version"]),
];

/// What a pipeline step is told, recorded from a real one.
const STEP: &str = include_str!("../../../crates/plugin/tests/data/woodpecker-env/push.plugin.env");

/// Where programs are and how they are started.
#[derive(Debug)]
pub struct Peers {
    root: PathBuf,
    tools: PathBuf,
    own: PathBuf,
    scratch: PathBuf,
}

/// A pipeline whose plugins are run.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// `HOST:PORT`.
    pub host: &'a str,
    /// The `repo` setting.
    pub repository: &'a str,
    /// The pipeline's number; the commit follows from it.
    pub number: usize,
    /// The workspace.
    pub workspace: &'a Path,
}

impl Peers {
    /// Peers in `tools` or on PATH, ours in `own`; homes are made in `scratch`.
    #[must_use]
    pub fn new(root: &Path, tools: &Path, own: &Path, scratch: &Path) -> Self {
        let [root, tools, own, scratch] = [root, tools, own, scratch].map(Path::to_owned);
        Self { root, tools, own, scratch }
    }

    /// Where a program is.
    #[must_use]
    pub fn locate(&self, name: &str) -> Option<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(self.tools.clone()).chain(std::env::split_paths(&path));
        folders.map(|folder| folder.join(name)).find(|file| file.is_file())
    }

    /// A peer with an empty home: no credentials, no caches of earlier runs, skopeo's blob cache included.
    ///
    /// # Errors
    /// Where it is not installed, or no home can be made for it.
    pub fn command(&self, name: &'static str) -> Result<Command, RowError> {
        let program = self.locate(name).ok_or(RowError::Missing { program: name })?;
        let home = tempfile::Builder::new().prefix("home-").tempdir_in(&self.scratch);
        // Removed with the scratch folder.
        let home = home.map_err(|source| RowError::File { path: self.scratch.clone(), source })?.keep();
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LC_ALL", "C")
            .env("TMPDIR", &home)
            .env("HOME", &home)
            .env("DOCKER_CONFIG", &home)
            .env("XDG_DATA_HOME", &home)
            .env("XDG_RUNTIME_DIR", &home)
            // Root's cache would be the machine's, with what other runs have learnt.
            .env("_CONTAINERS_ROOTLESS_UID", "1000");
        Ok(command)
    }

    /// regctl, told that these registries speak plain HTTP.
    ///
    /// # Errors
    /// As [`Peers::command`].
    pub fn regctl(&self, hosts: &[&str]) -> Result<Command, RowError> {
        let mut command = self.command("regctl")?;
        for host in hosts {
            command.args(["--host", &format!("reg={host},tls=disabled")]);
        }
        Ok(command)
    }

    /// skopeo's copy without TLS and without a policy file.
    ///
    /// # Errors
    /// As [`Peers::command`].
    pub fn skopeo_copy(&self) -> Result<Command, RowError> {
        let mut command = self.command("skopeo")?;
        command.args(["--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false"]);
        Ok(command)
    }

    /// One of our own binaries.
    #[must_use]
    pub fn own(&self, name: &str) -> PathBuf {
        self.own.join(name)
    }

    /// The registry crate as a program.
    #[must_use]
    pub fn driver(&self) -> Command {
        let mut command = Command::new(self.own("granary-bench-driver"));
        command.env_clear();
        command
    }

    /// A plugin as Woodpecker would start it.
    #[must_use]
    pub fn plugin(&self, name: &str, step: &Step<'_>) -> Command {
        let mut command = Command::new(self.own(name));
        let recorded: BTreeMap<&str, &str> = STEP
            .lines()
            .filter_map(|line| line.split_once('='))
            .filter(|(name, _)| name.starts_with("CI"))
            .collect();
        command
            .env_clear()
            .envs(recorded)
            .env("CI_COMMIT_SHA", commit(step.number))
            .env("CI_PIPELINE_NUMBER", step.number.to_string())
            .env("CI_WORKSPACE", step.workspace)
            .env("HOME", step.workspace)
            .env("TMPDIR", &self.scratch)
            .env("PLUGIN_REGISTRY", step.host)
            .env("PLUGIN_REPO", step.repository)
            .current_dir(step.workspace);
        command
    }

    /// What is installed in which version, one line each; what is missing says so.
    #[must_use]
    pub fn versions(&self) -> Vec<String> {
        let mut lines: Vec<String> =
            VERSIONS.iter().map(|(name, arguments)| self.version(name, arguments)).collect();
        for (name, folder, module) in [
            ("oras-peer", "oras-peer", "oras.land/oras-go/v2"),
            ("referrers-registry", "referrers-registry", "github.com/google/go-containerregistry"),
        ] {
            let file = self.root.join("tests/tools").join(folder).join("go.mod");
            let text = std::fs::read_to_string(file).unwrap_or_default();
            let mut words = text.split_whitespace().skip_while(|word| *word != module).skip(1);
            let version = words.next().unwrap_or("of an unknown version");
            lines.push(match self.locate(name) {
                Some(_) => format!("{name}: {module} {version}"),
                None => format!("{name}: **not installed**"),
            });
        }
        lines
    }

    fn version(&self, name: &str, arguments: &[&str]) -> String {
        let Some(program) = self.locate(name) else { return format!("{name}: **not installed**") };
        let said = said_by(Command::new(program).args(arguments));
        let said = said.unwrap_or_else(|error| error.to_string());
        let line = said.lines().next().unwrap_or_default();
        format!("{name}: {}", line.trim_start_matches(name).trim())
    }
}

/// Forty hex digits that belong to a pipeline's number.
#[must_use]
pub fn commit(number: usize) -> String {
    // The number first: abbreviations differ, too.
    format!("{number:06x}{:034x}", 0xacc0_u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_peer_is_an_error_that_names_it() {
        let scratch = tempfile::tempdir().unwrap();
        let here = scratch.path();
        let peers = Peers::new(here, here, here, here);
        let error = peers.command("granary-no-such-program").unwrap_err();
        assert_eq!(error.to_string(), "granary-no-such-program is not installed");
        let missing = format!("{}: **not installed**", "referrers-registry");
        assert!(peers.versions().contains(&missing), "{:?}", peers.versions());
    }

    #[test]
    fn commits_differ_in_their_first_seven_digits() {
        assert_eq!(commit(1).len(), 40);
        assert_ne!(commit(1)[..7], commit(2)[..7]);
    }
}
