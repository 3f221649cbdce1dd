//! Programs that `cargo xtask tools` builds with Go, by `tests/tools/versions.toml`.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The folder of built tools: `tools/` in the target folder that the running test was built into.
fn folder() -> PathBuf {
    let own = std::env::current_exe().expect("a running program has a path");
    let mut above = own.ancestors().map(|folder| folder.join("tools"));
    above.find(|folder| folder.join("bin").is_dir()).unwrap_or_else(|| {
        panic!("no tools/bin above {}: `cargo xtask tools` builds it, with Go", own.display())
    })
}

/// Where a tool is.
///
/// # Panics
/// Where it has not been built.
#[must_use]
pub fn tool(name: &str) -> PathBuf {
    let path = folder().join("bin").join(name);
    assert!(path.is_file(), "{} is not there: `cargo xtask tools` builds it, with Go", path.display());
    path
}

/// Where the files lie that a tool reads beside its binary.
///
/// # Panics
/// As [`tool`].
#[must_use]
pub fn data(name: &str) -> PathBuf {
    let path = folder().join("data").join(name);
    assert!(path.is_dir(), "{} is not there: `cargo xtask tools` copies it", path.display());
    path
}

/// A tool that sees nothing of the machine's environment but PATH, and reads no standard input.
#[must_use]
pub fn command(name: &str) -> Command {
    let mut command = Command::new(tool(name));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("LC_ALL", "C");
    command.stdin(Stdio::null());
    command
}
