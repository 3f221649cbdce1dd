//! The programs that the tests need besides cargo, as `tests/tools/versions.toml` lists them.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::Command;

use serde::Deserialize;

use crate::command::{self, CommandError};
use crate::workspace::Workspace;

/// Why the tests cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProgramsError {
    /// The list cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The list.
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
    /// Something is missing and only root may install it.
    #[error("missing: {programs}; as root: apt-get install --no-install-recommends {packages}")]
    Missing {
        /// What is not on PATH.
        programs: String,
        /// What has it.
        packages: String,
    },
    /// It was installed and is still not there.
    #[error("apt-get has installed {packages}, but {programs} is not on PATH")]
    StillMissing {
        /// What is not on PATH.
        programs: String,
        /// What should have had it.
        packages: String,
    },
    /// apt-get or an optional program failed.
    #[error(transparent)]
    Command(#[from] CommandError),
}

#[derive(Deserialize)]
struct List {
    program: Vec<Program>,
    optional: Vec<Optional>,
}

/// A program that must be there.
#[derive(Deserialize)]
struct Program {
    name: String,
    package: String,
    version: String,
    #[serde(default = "usual_version_argument")]
    version_argument: String,
}

fn usual_version_argument() -> String {
    "--version".to_owned()
}

/// A check that is run where somebody has the program for it.
#[derive(Deserialize)]
struct Optional {
    name: String,
    arguments: Vec<String>,
    purpose: String,
    obtained: String,
}

/// Sees to it that every program is there, by apt-get where that may be used.
pub(crate) fn ensure(workspace: &Workspace) -> Result<(), ProgramsError> {
    let programs = list(workspace)?.program;
    let missing: Vec<&Program> = programs.iter().filter(|program| !on_path(&program.name)).collect();
    if !missing.is_empty() {
        install(&missing)?;
    }
    for program in &programs {
        let version = command::read(Command::new(&program.name).arg(&program.version_argument))?;
        let version = version.lines().next().unwrap_or_default();
        let note = match version.contains(&program.version) {
            true => String::new(),
            false => format!(" (the tests were written with {})", program.version),
        };
        println!("{version}{note}");
    }
    Ok(())
}

/// Runs what is optional and there, and names what is not.
pub(crate) fn run_optional(workspace: &Workspace) -> Result<(), ProgramsError> {
    for optional in list(workspace)?.optional {
        if on_path(&optional.name) {
            let mut command = Command::new(&optional.name);
            command::run(command.args(&optional.arguments).current_dir(&workspace.root))?;
        } else {
            let Optional { name, purpose, obtained, .. } = optional;
            println!("not run: {name} not on PATH ({purpose}; obtained: {obtained})");
        }
    }
    Ok(())
}

fn list(workspace: &Workspace) -> Result<List, ProgramsError> {
    let path = workspace.root.join("tests/tools/versions.toml");
    let text = std::fs::read_to_string(&path)
        .map_err(|source| ProgramsError::Read { path: path.clone(), source })?;
    toml::from_str(&text).map_err(|source| ProgramsError::Parse { path, source })
}

fn install(missing: &[&Program]) -> Result<(), ProgramsError> {
    let join = |part: fn(&Program) -> &str, programs: &[&Program]| {
        programs.iter().map(|program| part(program)).collect::<Vec<_>>().join(" ")
    };
    let packages = join(|program| &program.package, missing);
    if !(is_root() && on_path("apt-get")) {
        return Err(ProgramsError::Missing { programs: join(|program| &program.name, missing), packages });
    }
    let apt = |arguments: &[&str]| {
        let mut apt = Command::new("apt-get");
        apt.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        apt
    };
    command::run(&mut apt(&["-q", "update"]))?;
    let mut install = apt(&["-q", "-y", "--no-install-recommends", "install"]);
    command::run(install.args(missing.iter().map(|program| &program.package)))?;
    let still: Vec<&Program> = missing.iter().copied().filter(|program| !on_path(&program.name)).collect();
    match still.is_empty() {
        true => Ok(()),
        false => Err(ProgramsError::StillMissing { programs: join(|p| &p.name, &still), packages }),
    }
}

/// True where PATH has a file of this name.
pub(crate) fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// A process's folder in `/proc` belongs to its effective user; `std` has no other way to ask.
fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|folder| folder.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_understood_and_names_the_registry() {
        let list = list(&Workspace::load().unwrap()).unwrap();
        let registry = list.program.iter().find(|program| program.name == "docker-registry").unwrap();
        assert_eq!((registry.package.as_str(), registry.version.as_str()), ("docker-registry", "2.8.2"));
        assert!(list.optional.iter().any(|optional| optional.name == "cargo-deny"));
    }

    #[test]
    fn programs_are_looked_up_by_file() {
        assert!(on_path("sh"));
        assert!(!on_path("granary-no-such-program"));
    }
}
