//! Finds the program of a command before it is started, so that the error can say what is wrong.
//!
//! Only looks; never runs anything.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Where a program is looked for when the child has no `PATH`; what `execvp` does on glibc and musl.
const PATH_WITHOUT_PATH: &str = "/bin:/usr/bin";

/// Why a command could not be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// No words at all.
    #[error("the command has no words")]
    Empty,
    /// The directory to run it in is not there.
    #[error("cannot run in {directory}: it is not a directory")]
    NoDirectory {
        /// The working directory that was asked for.
        directory: PathBuf,
    },
    /// No such program.
    #[error("`{program}` was not found in {searched}")]
    NotFound {
        /// The first word of the command.
        program: String,
        /// `PATH` as the child has it, or the file that was named.
        searched: String,
    },
    /// The file is there and cannot be executed.
    #[error("`{program}` is {file}, which is not executable")]
    NotExecutable {
        /// The first word of the command.
        program: String,
        /// The file that was found.
        file: PathBuf,
    },
    /// A directory has that name.
    #[error("`{program}` is {file}, which is a directory")]
    Directory {
        /// The first word of the command.
        program: String,
        /// The directory that was found.
        file: PathBuf,
    },
    /// The kernel refused.
    #[error("cannot start {file}")]
    Refused {
        /// The file that was found.
        file: PathBuf,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
}

impl StartError {
    /// What the reader can do.
    pub fn hint(&self) -> &'static str {
        match self {
            StartError::Empty => "set `command`, for example `command: bash test/run.sh --tag {tag}`",
            StartError::NoDirectory { .. } => "the step needs the cloned workspace; look for `skip_clone`",
            StartError::NotFound { .. } => {
                "the plugin's own image has no shell and no tools: run it in an image that has your toolchain and this binary, \
                 or run the tests in a `commands` step and use `mode: report`"
            }
            StartError::NotExecutable { .. } => {
                "`git update-index --chmod=+x` the file, or name its interpreter: `command: bash FILE`"
            }
            StartError::Directory { .. } => "name a file in it",
            StartError::Refused { source, .. } => match source.kind() {
                std::io::ErrorKind::NotFound => {
                    "the interpreter in its `#!` line, or its dynamic loader, is not in this image"
                }
                std::io::ErrorKind::ArgumentListTooLong => {
                    "the command with its environment is too long; use a file"
                }
                _ => "a script needs a `#!` line, a program must be built for this platform",
            },
        }
    }
}

/// The file that `program` means to a child with this environment in this directory.
pub(super) fn find(program: &str, cwd: &Path, env: &[(OsString, OsString)]) -> Result<PathBuf, StartError> {
    // The child looks from `cwd`, this process from elsewhere.
    let cwd = match std::path::absolute(cwd) {
        Ok(absolute) if absolute.is_dir() => absolute,
        _ => return Err(StartError::NoDirectory { directory: cwd.to_owned() }),
    };
    if program.contains('/') {
        let file = cwd.join(program);
        return match look(&file) {
            Found::Program => Ok(file),
            Found::Nothing => {
                Err(StartError::NotFound { program: program.to_owned(), searched: cwd.display().to_string() })
            }
            found => Err(unusable(program, file, found)),
        };
    }
    let path = env.iter().rev().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_os_str());
    let path = path.unwrap_or(OsStr::new(PATH_WITHOUT_PATH));
    let mut unusable_file = None;
    for directory in std::env::split_paths(path) {
        // An empty entry means the working directory.
        let file = cwd.join(directory).join(program);
        match look(&file) {
            Found::Program => return Ok(file),
            Found::Nothing => {}
            found => unusable_file = unusable_file.or(Some((file, found))),
        }
    }
    Err(match unusable_file {
        Some((file, found)) if !program.is_empty() => unusable(program, file, found),
        _ => StartError::NotFound {
            program: program.to_owned(),
            searched: format!("PATH={}", path.to_string_lossy()),
        },
    })
}

#[derive(Clone, Copy)]
enum Found {
    Program,
    Directory,
    NotExecutable,
    Nothing,
}

fn look(file: &Path) -> Found {
    match std::fs::metadata(file) {
        Ok(found) if found.is_dir() => Found::Directory,
        // Any of the three bits: which of them counts depends on user and capabilities, the kernel decides.
        Ok(found) if found.permissions().mode() & 0o111 != 0 => Found::Program,
        Ok(_) => Found::NotExecutable,
        // Also a directory that may not be searched: to the child it is as if it were not there.
        Err(_) => Found::Nothing,
    }
}

fn unusable(program: &str, file: PathBuf, found: Found) -> StartError {
    let program = program.to_owned();
    match found {
        Found::Directory => StartError::Directory { program, file },
        _ => StartError::NotExecutable { program, file },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_path_of_the_child_decides() {
        let place = tempfile::tempdir().unwrap();
        let at = |path: &str| place.path().join(path);
        for directory in ["a/tool", "b", "c"] {
            fs::create_dir_all(at(directory)).unwrap();
        }
        for (file, mode) in [("b/tool", 0o644), ("c/tool", 0o755), ("b/plain", 0o644)] {
            fs::write(at(file), "#!/bin/sh\n").unwrap();
            fs::set_permissions(at(file), fs::Permissions::from_mode(mode)).unwrap();
        }
        let search = |program: &str, path: Option<&str>| {
            let env: Vec<_> =
                path.map(|path| (OsString::from("PATH"), OsString::from(path))).into_iter().collect();
            match find(program, place.path(), &env) {
                Ok(file) => file.display().to_string(),
                Err(error) => error.to_string(),
            }
            .replace(&place.path().display().to_string(), "/T")
        };
        let table = [
            ("tool", Some("a:b:c"), "/T/c/tool"),
            ("tool", Some("a:b"), "`tool` is /T/a/tool, which is a directory"),
            ("tool", Some("b:a"), "`tool` is /T/b/tool, which is not executable"),
            ("c/tool", None, "/T/c/tool"),
            ("./c/tool", Some(""), "/T/./c/tool"),
            ("./b/plain", Some("c"), "`./b/plain` is /T/./b/plain, which is not executable"),
            ("./nothing", Some("c"), "`./nothing` was not found in /T"),
            ("/T/a", Some("c"), "`/T/a` was not found in /T"),
            ("nothing", Some("c:/d"), "`nothing` was not found in PATH=c:/d"),
            ("", Some("c"), "`` was not found in PATH=c"),
            ("sh", None, "/bin/sh"),
        ];
        for (program, path, expected) in table {
            assert_eq!(search(program, path), expected, "{program} {path:?}");
        }
        let relative = find("./main.rs", Path::new("src"), &[]).unwrap_err().to_string();
        let here = std::env::current_dir().unwrap();
        assert_eq!(
            relative,
            format!("`./main.rs` is {}/src/./main.rs, which is not executable", here.display())
        );
        let nowhere = find("sh", &at("nowhere"), &[]).unwrap_err();
        assert!(matches!(nowhere, StartError::NoDirectory { .. }), "{nowhere:?}");
    }
}
