//! Ours beside the peers: builds what has to be built, then lets `granary-bench` measure.
//!
//! The driver and the bench itself are built as the plugins are, static and optimised. Peers come from `cargo xtask tools` or from
//! PATH; the report names the ones that are missing. `docs/benchmarks.md` is written by a whole run only.

use std::process::Command;

use crate::command::{self, CommandError};
use crate::dist::{self, DistError};
use crate::workspace::Workspace;

const STATIC: &str = "-C target-feature=+crt-static";

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// The plugins do not build.
    #[error(transparent)]
    Dist(#[from] DistError),
    /// The bench does not build, or failed.
    #[error(transparent)]
    Command(#[from] CommandError),
}

/// Builds and measures; `quick` and `only` are for a look and leave the report alone.
pub(crate) fn run(workspace: &Workspace, quick: bool, only: Option<&str>) -> Result<(), BenchError> {
    dist::build(workspace)?;
    let mut cargo =
        workspace.cargo(&["build", "--release", "--locked", "--target", &workspace.host, "-p", "bench"]);
    let flags = match std::env::var("RUSTFLAGS") {
        Ok(flags) if !flags.is_empty() => format!("{flags} {STATIC}"),
        _ => STATIC.to_owned(),
    };
    command::run(cargo.env("RUSTFLAGS", flags))?;
    let binaries = workspace.target.join(&workspace.host).join("release");
    let mut bench = Command::new(binaries.join("granary-bench"));
    bench.arg("--root").arg(&workspace.root);
    bench.arg("--tools").arg(workspace.target.join("tools/bin"));
    // Where cargo leaves them: the driver is not among what `dist` hands out.
    bench.arg("--binaries").arg(&binaries);
    bench.arg("--requests").arg(workspace.target.join("bench/requests.txt"));
    if quick {
        bench.arg("--quick");
    }
    match only {
        Some(only) => {
            bench.arg("--only").arg(only);
        }
        None if quick => {}
        None => {
            bench.arg("--output").arg(workspace.root.join("docs/benchmarks.md"));
        }
    }
    Ok(command::run(&mut bench)?)
}
