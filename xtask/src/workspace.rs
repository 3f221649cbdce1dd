//! Where things are: asked of cargo, never guessed.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::command::{self, CommandError};

/// Why the workspace could not be understood.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkspaceError {
    /// cargo or rustc failed.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// cargo speaks another language.
    #[error("cargo metadata printed what is not understood")]
    Metadata(#[source] serde_json::Error),
    /// rustc does.
    #[error("`rustc -vV` names no host")]
    Host,
}

/// The workspace.
pub(crate) struct Workspace {
    /// The folder of the root manifest.
    pub(crate) root: PathBuf,
    /// Where cargo builds.
    pub(crate) target: PathBuf,
    /// The triple of this machine.
    pub(crate) host: String,
    /// What is in `plugins/`, in order of name.
    pub(crate) plugins: Vec<Plugin>,
}

/// A plugin: a package with one binary of the same name.
pub(crate) struct Plugin {
    /// Its name.
    pub(crate) name: String,
    /// Its folder.
    pub(crate) folder: PathBuf,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    target_directory: PathBuf,
    workspace_root: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
}

impl Workspace {
    /// Asks cargo and rustc.
    pub(crate) fn load() -> Result<Self, WorkspaceError> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut metadata = cargo_in(here);
        let metadata = command::read(metadata.args(["metadata", "--format-version", "1", "--no-deps"]))?;
        let metadata: Metadata = serde_json::from_str(&metadata).map_err(WorkspaceError::Metadata)?;
        let rustc = command::read(Command::new("rustc").arg("-vV").current_dir(here))?;
        let host = rustc.lines().find_map(|line| line.strip_prefix("host: ")).ok_or(WorkspaceError::Host)?;
        let plugins_folder = metadata.workspace_root.join("plugins");
        let mut plugins: Vec<Plugin> = metadata
            .packages
            .into_iter()
            .filter_map(|package| {
                let folder = package.manifest_path.parent()?.to_owned();
                folder.starts_with(&plugins_folder).then_some(Plugin { name: package.name, folder })
            })
            .collect();
        plugins.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(Self {
            root: metadata.workspace_root,
            target: metadata.target_directory,
            host: host.to_owned(),
            plugins,
        })
    }

    /// `cargo` in the root, the same that runs us.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut cargo = cargo_in(&self.root);
        cargo.args(arguments);
        cargo
    }

    /// `-p NAME` for every plugin.
    pub(crate) fn plugin_packages(&self) -> impl Iterator<Item = &str> {
        self.plugins.iter().flat_map(|plugin| ["-p", plugin.name.as_str()])
    }

    /// Builds the unoptimised binaries, for the steps that run them. Of all packages at once: with a choice of packages cargo
    /// would choose other features, and build the tree a second time.
    pub(crate) fn build_debug(&self) -> Result<(), CommandError> {
        command::run(&mut self.cargo(&["build", "--locked", "--workspace", "--bins"]))
    }

    /// Where `dist` puts the binaries.
    pub(crate) fn release_folder(&self) -> PathBuf {
        self.target.join("release")
    }
}

fn cargo_in(folder: &Path) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(folder);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_about_us) {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// What `cargo run` tells us about ourselves. Build scripts ask to be run again when it changes (ring's does), so passed on it
/// would rebuild half the tree on every change between `cargo test` and `cargo xtask test`.
fn is_about_us(variable: &str) -> bool {
    const PREFIXES: [&str; 2] = ["CARGO_PKG_", "CARGO_MANIFEST_"];
    PREFIXES.iter().any(|prefix| variable.starts_with(prefix))
        || matches!(variable, "CARGO_CRATE_NAME" | "CARGO_BIN_NAME" | "CARGO_PRIMARY_PACKAGE")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_not_told_about_us() {
        let cargo = cargo_in(Path::new("/"));
        let removed: Vec<_> = cargo.get_envs().filter(|(_, value)| value.is_none()).collect();
        assert!(removed.iter().any(|(name, _)| *name == "CARGO_MANIFEST_DIR"), "{removed:?}");
        for (variable, expected) in [
            ("CARGO_PKG_VERSION", true),
            ("CARGO_MANIFEST_LINKS", true),
            ("CARGO_HOME", false),
            ("CARGO_TARGET_DIR", false),
            ("CARGO_TERM_COLOR", false),
        ] {
            assert_eq!(is_about_us(variable), expected, "{variable}");
        }
    }
}
