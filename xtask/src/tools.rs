//! `cargo xtask tools`: the servers, readers and peers that no package of the machine has, built with Go into
//! `target/tools/bin` as `tests/tools/versions.toml` pins them.
//!
//! What is there and was built from the same pins is not built again. Go is asked for nothing else, and is not fetched: where it
//! is absent or too old, [`ready`] says so, and what needs these programs is listed as not run.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::command::{self, CommandError};
use crate::programs::on_path;
use crate::workspace::Workspace;

/// Why a tool is not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ToolsError {
    /// The list cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The list, or a file of a tool's module.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Something of the target folder cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The list is not what it should be.
    #[error("{} is not understood", path.display())]
    Parse {
        /// The list.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: toml::de::Error,
    },
    /// Two places pin different versions.
    #[error(
        "tests/tools/{folder}/go.mod does not require {module} v{version} as tests/tools/versions.toml does"
    )]
    Pins {
        /// The folder of the tool's module.
        folder: String,
        /// The module.
        module: String,
        /// The version that the list has.
        version: String,
    },
    /// There is no Go, where there has to be.
    #[error(
        "{reason}, and CI runs everything: install Go, the version in tests/tools/versions.toml or newer"
    )]
    NoGo {
        /// What was found instead.
        reason: String,
    },
    /// Go failed.
    #[error(transparent)]
    Command(#[from] CommandError),
}

#[derive(Deserialize)]
struct List {
    go: Go,
}

#[derive(Deserialize)]
struct Go {
    version: String,
    program: Vec<Tool>,
}

/// A program to build.
#[derive(Deserialize)]
struct Tool {
    name: String,
    module: String,
    version: String,
    folder: Option<String>,
    package: String,
    #[serde(default)]
    tags: String,
    #[serde(default)]
    ldflags: String,
    #[serde(default)]
    data: Vec<String>,
}

/// Where the tools are built.
struct Folders {
    /// `tests/tools`.
    sources: PathBuf,
    /// The programs.
    bin: PathBuf,
    /// What each was built from.
    stamps: PathBuf,
    /// Files that a program reads, each in a folder of the program's name.
    data: PathBuf,
    /// Programs that are being built.
    staging: PathBuf,
}

impl Folders {
    fn of(workspace: &Workspace) -> Self {
        let tools = workspace.target.join("tools");
        let folder = |name: &str| tools.join(name);
        Self {
            sources: workspace.root.join("tests/tools"),
            bin: folder("bin"),
            stamps: folder("stamps"),
            data: folder("data"),
            staging: folder("staging"),
        }
    }

    fn create(&self) -> Result<(), ToolsError> {
        for folder in [&self.bin, &self.stamps, &self.data, &self.staging] {
            fs::create_dir_all(folder).map_err(|source| write_error(folder, source))?;
        }
        Ok(())
    }
}

/// Builds what is missing; an error where Go is absent.
pub(crate) fn build(workspace: &Workspace) -> Result<(), ToolsError> {
    match ready(workspace)? {
        None => Ok(()),
        Some(reason) => Err(ToolsError::NoGo { reason }),
    }
}

/// Builds what is missing, or gives the reason why nothing of it can be built here. In CI that reason is an error.
pub(crate) fn ready(workspace: &Workspace) -> Result<Option<String>, ToolsError> {
    let list = list(workspace)?;
    let folders = Folders::of(workspace);
    folders.create()?;
    // Two runs at once build one after the other, and the second finds everything there.
    let lock = folders.staging.join("lock");
    let held = File::create(&lock).and_then(|file| file.lock().map(|()| file));
    let held = held.map_err(|source| write_error(&lock, source))?;
    let stamps = list.program.iter().map(|tool| stamp(&folders, tool)).collect::<Result<Vec<_>, _>>()?;
    let missing: Vec<(&Tool, &String)> =
        list.program.iter().zip(&stamps).filter(|(tool, stamp)| !is_built(&folders, tool, stamp)).collect();
    if !missing.is_empty()
        && let Some(reason) = no_go(&list.version)?
    {
        let names: Vec<&str> = missing.iter().map(|(tool, _)| tool.name.as_str()).collect();
        let reason = format!("{reason} to build {}", names.join(", "));
        return match in_ci(std::env::var("CI").ok().as_deref()) {
            true => Err(ToolsError::NoGo { reason }),
            false => Ok(Some(reason)),
        };
    }
    for (tool, stamp) in missing {
        build_one(&folders, tool)?;
        let path = folders.stamps.join(&tool.name);
        fs::write(&path, stamp).map_err(|source| write_error(&path, source))?;
    }
    for tool in &list.program {
        println!("{} {} ({})", tool.name, tool.version, folders.bin.join(&tool.name).display());
    }
    drop(held);
    Ok(None)
}

fn list(workspace: &Workspace) -> Result<Go, ToolsError> {
    let path = workspace.root.join("tests/tools/versions.toml");
    let list: List = toml::from_str(&read(&path)?).map_err(|source| ToolsError::Parse { path, source })?;
    Ok(list.go)
}

/// Everything that decides what is built. go.sum follows from go.mod.
fn stamp(folders: &Folders, tool: &Tool) -> Result<String, ToolsError> {
    let Tool { module, version, package, tags, ldflags, data, .. } = tool;
    let mut stamp = format!("{package} of {module} {version} {tags:?} {ldflags:?} {data:?}\n");
    let Some(folder) = &tool.folder else { return Ok(stamp) };
    let sources = folders.sources.join(folder);
    let go_mod = read(&sources.join("go.mod"))?;
    let pinned = format!("{module} v{version}");
    let requirements = go_mod.lines().map(|line| line.split("//").next().unwrap_or_default().trim());
    if !requirements.into_iter().any(|line| line.trim_start_matches("require ") == pinned) {
        let (module, version) = (module.clone(), version.clone());
        return Err(ToolsError::Pins { folder: folder.clone(), module, version });
    }
    stamp.push_str(&go_mod);
    let main = sources.join("main.go");
    if main.exists() {
        stamp.push_str(&read(&main)?);
    }
    Ok(stamp)
}

fn is_built(folders: &Folders, tool: &Tool, stamp: &str) -> bool {
    let found = fs::read_to_string(folders.stamps.join(&tool.name));
    folders.bin.join(&tool.name).is_file() && found.is_ok_and(|found| found == stamp)
}

/// What is wrong with the machine's Go, if anything.
fn no_go(needed: &str) -> Result<Option<String>, CommandError> {
    if !on_path("go") {
        return Ok(Some("go is not on PATH".to_owned()));
    }
    let found = command::read(Command::new("go").args(["env", "GOVERSION"]))?;
    Ok(too_old(found.trim(), needed))
}

fn too_old(found: &str, needed: &str) -> Option<String> {
    let numbers = |text: &str| text.split('.').map(|part| part.parse().unwrap_or(0)).collect::<Vec<u32>>();
    let version = found.strip_prefix("go").unwrap_or(found);
    (numbers(version) < numbers(needed)).then(|| format!("go {version} on PATH is older than {needed}"))
}

/// Woodpecker sets `CI=woodpecker`, others `CI=true`.
fn in_ci(variable: Option<&str>) -> bool {
    variable.is_some_and(|value| !matches!(value, "" | "false" | "0"))
}

fn build_one(folders: &Folders, tool: &Tool) -> Result<(), ToolsError> {
    let staged = folders.staging.join(&tool.name);
    let mut go = Command::new("go");
    match &tool.folder {
        None => {
            go.args(["install", "-buildvcs=false"])
                .env("GOBIN", &folders.staging)
                .current_dir(&folders.sources);
            go.arg(format!("{}@v{}", tool.package, tool.version));
        }
        Some(folder) => {
            go.current_dir(folders.sources.join(folder))
                .args(["build", "-buildvcs=false", "-o"])
                .arg(&staged);
            let flags = [("-tags", &tool.tags), ("-ldflags", &tool.ldflags)];
            for (flag, value) in flags.into_iter().filter(|(_, value)| !value.is_empty()) {
                go.arg(flag).arg(value);
            }
            go.arg(&tool.package);
        }
    }
    command::run(&mut go)?;
    copy_data(folders, tool)?;
    // By rename: somebody may be running the old one.
    let built = folders.bin.join(&tool.name);
    fs::rename(&staged, &built).map_err(|source| write_error(&built, source))
}

fn copy_data(folders: &Folders, tool: &Tool) -> Result<(), ToolsError> {
    let Some(folder) = tool.folder.as_ref().filter(|_| !tool.data.is_empty()) else { return Ok(()) };
    let mut list = Command::new("go");
    list.args(["list", "-m", "-f", "{{.Dir}}", &tool.module]).current_dir(folders.sources.join(folder));
    let module = PathBuf::from(command::read(&mut list)?.trim());
    let target = folders.data.join(&tool.name);
    if target.exists() {
        fs::remove_dir_all(&target).map_err(|source| write_error(&target, source))?;
    }
    for name in &tool.data {
        copy_folder(&module.join(name), &target.join(name))?;
    }
    Ok(())
}

/// Copies files as they are but for their permissions: those of Go's module cache are read-only, and would keep `cargo clean`
/// from removing the copies.
fn copy_folder(from: &Path, to: &Path) -> Result<(), ToolsError> {
    fs::create_dir_all(to).map_err(|source| write_error(to, source))?;
    let read_error = |source| ToolsError::Read { path: from.to_owned(), source };
    for entry in fs::read_dir(from).map_err(read_error)? {
        let entry = entry.map_err(read_error)?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy_folder(&source, &target)?;
        } else {
            let bytes = fs::read(&source).map_err(read_error)?;
            fs::write(&target, bytes).map_err(|source| write_error(&target, source))?;
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, ToolsError> {
    fs::read_to_string(path).map_err(|source| ToolsError::Read { path: path.to_owned(), source })
}

fn write_error(path: &Path, source: std::io::Error) -> ToolsError {
    ToolsError::Write { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_is_pinned_once() {
        let workspace = Workspace::load().unwrap();
        let (list, folders) = (list(&workspace).unwrap(), Folders::of(&workspace));
        let names: Vec<&str> = list.program.iter().map(|tool| tool.name.as_str()).collect();
        assert_eq!(
            names,
            ["crane", "regctl", "oras-peer", "registry", "referrers-registry", "gitea", "cosign"]
        );
        for mut tool in list.program {
            let before = stamp(&folders, &tool).unwrap();
            tool.version.push('0');
            match stamp(&folders, &tool) {
                // Another pin is another stamp, so it is built again.
                Ok(after) => assert_ne!(before, after),
                Err(error) => assert!(matches!(error, ToolsError::Pins { .. }), "{error}"),
            }
        }
    }

    #[test]
    fn an_old_go_is_named() {
        assert_eq!(too_old("go1.26.2", "1.26.2"), None);
        assert_eq!(too_old("go1.27.0", "1.26.2"), None);
        assert_eq!(too_old("go1.19.8", "1.26.2").unwrap(), "go 1.19.8 on PATH is older than 1.26.2");
    }

    #[test]
    fn ci_is_what_says_so() {
        assert!(in_ci(Some("true")) && in_ci(Some("woodpecker")));
        assert!(!in_ci(None) && !in_ci(Some("")) && !in_ci(Some("false")));
    }
}
