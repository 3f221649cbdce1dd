//! `cargo xtask …`: everything that CI or a newcomer runs, so that both run the same.
//!
//! * `demo`: the whole flow in front of your eyes ([`demo`]).
//! * `test`: every check there is ([`checks`]).
//! * `dist`: the plugins as static binaries ([`dist`]).
//! * `tools`: servers, readers and peers that are built with Go ([`tools`]).
//! * `bench`: ours beside skopeo, crane, regctl and oras-go ([`mod@bench`]).
//! * `docs`: the settings tables in `plugins/*/docs.md` ([`docs`]).
//!
//! Nothing imports it. It asks nothing on a terminal and reads no standard input; its children neither.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool for people; the plugins print through `plugin`"
)]

mod bench;
mod checks;
mod command;
mod demo;
mod dist;
mod docs;
mod elf;
mod programs;
mod tools;
mod workspace;

use std::error::Error;
use std::process::ExitCode;

use workspace::Workspace;

const HELP: &str = "\
cargo xtask demo                      build the plugins, then show candidate, tests and promotion on a registry of its own
cargo xtask test [--only STEP,STEP]   everything that CI checks; installs what is missing where apt-get may be used
cargo xtask dist                      the plugins as static binaries in target/release
cargo xtask tools                     servers and readers of the journeys, built with Go into target/tools/bin
cargo xtask bench [--quick|--only G]  ours beside skopeo, crane, regctl and oras-go; a whole run writes docs/benchmarks.md
cargo xtask docs [--check]            write the settings tables into plugins/*/docs.md, or fail where they are stale";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        [] | ["help" | "--help" | "-h"] => {
            println!("{HELP}\n\nSteps of test: {}", checks::names().join(", "));
            return ExitCode::SUCCESS;
        }
        ["demo"] => with_workspace(demo::run),
        ["test", rest @ ..] => match checks::chosen(rest) {
            Ok(steps) => with_workspace(|workspace| checks::run(workspace, &steps)),
            Err(error) => return wrong_usage(&error.to_string()),
        },
        ["dist"] => with_workspace(|workspace| dist::build(workspace).map(|_| ())),
        ["tools"] => with_workspace(tools::build),
        ["bench"] => with_workspace(|workspace| bench::run(workspace, false, None)),
        ["bench", "--quick"] => with_workspace(|workspace| bench::run(workspace, true, None)),
        ["bench", "--only", group] => with_workspace(|workspace| bench::run(workspace, false, Some(group))),
        ["docs"] => with_workspace(docs::write),
        ["docs", "--check"] => with_workspace(docs::check),
        other => return wrong_usage(&format!("unknown: {}", other.join(" "))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", causes(&*error));
            ExitCode::FAILURE
        }
    }
}

fn with_workspace<E: Error + 'static>(
    run: impl FnOnce(&Workspace) -> Result<(), E>,
) -> Result<(), Box<dyn Error>> {
    run(&Workspace::load()?).map_err(Into::into)
}

fn wrong_usage(error: &str) -> ExitCode {
    eprintln!("error: {error}\n\n{HELP}");
    ExitCode::from(2)
}

/// An error and what caused it, on one line.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
