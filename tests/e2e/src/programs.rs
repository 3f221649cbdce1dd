//! Programs of the machine, by `tests/tools/versions.toml`.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::Deserialize;

const VERSIONS: &str = include_str!("../../tools/versions.toml");

#[derive(Deserialize)]
struct List {
    program: Vec<Program>,
}

#[derive(Deserialize)]
struct Program {
    name: String,
    package: String,
}

/// Where a program is.
///
/// # Panics
/// Where it is not on PATH, with the Debian package that has it; and where it is not in `tests/tools/versions.toml`, because
/// then nobody would install it.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    locate(name, std::env::split_paths(&path)).unwrap_or_else(|reason| panic!("{reason}"))
}

fn locate(name: &str, mut folders: impl Iterator<Item = PathBuf>) -> Result<PathBuf, String> {
    let list: List =
        toml::from_str(VERSIONS).map_err(|error| format!("tests/tools/versions.toml: {error}"))?;
    let listed = list.program.iter().find(|program| program.name == name);
    let package = &listed.ok_or_else(|| format!("{name} is not in tests/tools/versions.toml"))?.package;
    let found = folders.find_map(|folder| Some(folder.join(name)).filter(|file| file.is_file()));
    found.ok_or_else(|| format!("{name} is not on PATH: apt-get install --no-install-recommends {package}"))
}

/// A program that sees nothing of the machine's environment but PATH, and reads no standard input.
#[must_use]
pub fn command(name: &str) -> Command {
    let mut command = Command::new(program(name));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("LC_ALL", "C");
    command.stdin(Stdio::null());
    command
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Exit code 0.
    pub success: bool,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs a program to its end, whichever that is.
///
/// # Panics
/// Where it cannot be started.
#[must_use]
pub fn end_of(command: &mut Command) -> Ended {
    let output = command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ended { success: output.status.success(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

/// Runs a program that must succeed and returns what it wrote to standard output, without the last line's end.
///
/// # Panics
/// Where it does not.
#[must_use]
pub fn said_by(command: &mut Command) -> String {
    let Ended { success, stdout, stderr } = end_of(command);
    assert!(success, "{command:?} failed\n{stdout}{stderr}");
    stdout.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_what_has_it() {
        let empty = tempfile::tempdir().unwrap();
        let nowhere = || std::iter::once(empty.path().to_owned());
        assert_eq!(
            locate("skopeo", nowhere()).unwrap_err(),
            "skopeo is not on PATH: apt-get install --no-install-recommends skopeo"
        );
        // Nobody would install it.
        assert_eq!(locate("sh", nowhere()).unwrap_err(), "sh is not in tests/tools/versions.toml");
    }
}
