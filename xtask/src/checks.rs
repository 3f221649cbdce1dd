//! `cargo xtask test`: every check there is, in order, up to the first failure.
//!
//! It does the same on a laptop and in CI. What is missing fails, it is never skipped; only what no package has is named as
//! not run ([`crate::programs`]), and outside CI what only Go could build ([`crate::tools`]).

use std::error::Error;
use std::time::{Duration, Instant};

use crate::workspace::Workspace;
use crate::{command, demo, dist, docs, programs, tools};

/// One step.
pub(crate) struct Step {
    name: &'static str,
    run: fn(&Workspace) -> Result<(), Box<dyn Error>>,
}

const STEPS: &[Step] = &[
    Step { name: "programs", run: ensure_programs },
    Step { name: "lint", run: lint },
    Step { name: "unit", run: unit },
    Step { name: "docs", run: |workspace| Ok(docs::check(workspace)?) },
    Step { name: "dist", run: |workspace| Ok(dist::build(workspace).map(|_| ())?) },
    Step { name: "demo", run: |workspace| Ok(demo::run(workspace)?) },
    Step { name: "e2e", run: journeys },
    Step { name: "optional", run: |workspace| Ok(programs::run_optional(workspace)?) },
];

/// What the machine's packages have, and what Go builds.
fn ensure_programs(workspace: &Workspace) -> Result<(), Box<dyn Error>> {
    programs::ensure(workspace)?;
    if let Some(reason) = tools::ready(workspace)? {
        println!(
            "{reason}: the journeys that need them will not run (tests/tools/versions.toml says which Go)"
        );
    }
    Ok(())
}

/// Formatting, clippy and rustdoc, all without a warning.
fn lint(workspace: &Workspace) -> Result<(), Box<dyn Error>> {
    command::run(&mut workspace.cargo(&["fmt", "--all", "--check"]))?;
    let clippy = ["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"];
    command::run(&mut workspace.cargo(&clippy))?;
    let doc = ["doc", "--locked", "--workspace", "--no-deps"];
    command::run(workspace.cargo(&doc).env("RUSTDOCFLAGS", "-D warnings"))?;
    Ok(())
}

/// Everything that needs no server but ours. Cargo builds a binary only for tests of its own package, and some tests run those
/// of others.
fn unit(workspace: &Workspace) -> Result<(), Box<dyn Error>> {
    workspace.build_debug()?;
    command::run(&mut workspace.cargo(&["test", "--locked", "--workspace", "--exclude", "e2e"]))?;
    Ok(())
}

/// The journeys, with the binaries that would be shipped; without what Go builds, those that need none of it.
fn journeys(workspace: &Workspace) -> Result<(), Box<dyn Error>> {
    dist::build(workspace)?;
    let test = |arguments: &[&str]| {
        let mut cargo = workspace.cargo(&["test", "--locked", "-p", "e2e"]);
        cargo.args(arguments).env("GRANARY_BIN_DIR", workspace.release_folder());
        cargo
    };
    let Some(reason) = tools::ready(workspace)? else {
        command::run(&mut test(&[]))?;
        return Ok(());
    };
    command::run(&mut test(&["--lib", "--test", "journeys"]))?;
    let listed = command::read(&mut test(&["-q", "--test", "across", "--", "--list"]))?;
    let left: Vec<&str> = listed.lines().filter_map(|line| line.strip_suffix(": test")).collect();
    println!("not run: {} journeys of tests/e2e/tests/across ({reason})", left.len());
    for journey in left {
        println!("not run: {journey}");
    }
    Ok(())
}

/// Why `--only` was not understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChoiceError {
    /// There is no such step.
    #[error("no step is called `{name}`; there are {}", names().join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// Something else than `--only`.
    #[error("`test` takes only `--only STEP,STEP`, not `{arguments}`")]
    Arguments {
        /// What was given.
        arguments: String,
    },
}

/// The names of all steps.
pub(crate) fn names() -> Vec<&'static str> {
    STEPS.iter().map(|step| step.name).collect()
}

/// The steps that these arguments ask for, in their own order.
pub(crate) fn chosen(arguments: &[&str]) -> Result<Vec<&'static Step>, ChoiceError> {
    let list = match arguments {
        [] => return Ok(STEPS.iter().collect()),
        ["--only", list] => list,
        [one] if one.starts_with("--only=") => &one["--only=".len()..],
        _ => return Err(ChoiceError::Arguments { arguments: arguments.join(" ") }),
    };
    let wanted: Vec<&str> = list.split(',').map(str::trim).collect();
    if let Some(name) = wanted.iter().find(|name| !names().contains(name)) {
        return Err(ChoiceError::Unknown { name: (*name).to_owned() });
    }
    Ok(STEPS.iter().filter(|step| wanted.contains(&step.name)).collect())
}

/// The first step that failed.
#[derive(Debug, thiserror::Error)]
#[error("step {step} failed ({left} not run)")]
pub(crate) struct StepFailed {
    step: &'static str,
    left: usize,
    #[source]
    source: Box<dyn Error>,
}

/// Runs the steps up to the first that fails, and says how long each took.
pub(crate) fn run(workspace: &Workspace, steps: &[&Step]) -> Result<(), StepFailed> {
    let mut took: Vec<(&str, Duration)> = Vec::new();
    let mut failed = None;
    for (index, step) in steps.iter().enumerate() {
        println!("\n==> {} ({} of {})", step.name, index + 1, steps.len());
        let started = Instant::now();
        let done = (step.run)(workspace);
        took.push((step.name, started.elapsed()));
        if let Err(source) = done {
            failed = Some(StepFailed { step: step.name, left: steps.len() - index - 1, source });
            break;
        }
    }
    println!("\n==> summary");
    for (index, (name, duration)) in took.iter().enumerate() {
        let ended = if failed.is_some() && index + 1 == took.len() { "FAILED" } else { "ok" };
        println!("{name:10} {ended:6} {:7.1} s", duration.as_secs_f64());
    }
    let total: Duration = took.iter().map(|(_, duration)| *duration).sum();
    match failed {
        Some(failed) => Err(failed),
        None => {
            println!(
                "{} of {} steps run, all passed, in {:.1} s",
                took.len(),
                STEPS.len(),
                total.as_secs_f64()
            );
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(arguments: &[&str]) -> Result<Vec<&'static str>, ChoiceError> {
        chosen(arguments).map(|steps| steps.iter().map(|step| step.name).collect())
    }

    #[test]
    fn steps_are_chosen_by_name_and_keep_their_order() {
        assert_eq!(asked(&[]), Ok(names()));
        assert_eq!(asked(&["--only", "unit,lint"]), Ok(vec!["lint", "unit"]));
        assert_eq!(asked(&["--only=e2e"]), Ok(vec!["e2e"]));
        assert_eq!(asked(&["--only", "nope"]), Err(ChoiceError::Unknown { name: "nope".to_owned() }));
        assert_eq!(asked(&["--fast"]), Err(ChoiceError::Arguments { arguments: "--fast".to_owned() }));
    }

    #[test]
    fn the_first_failure_ends_it() {
        const GOOD: Step = Step { name: "good", run: |_| Ok(()) };
        const BAD: Step = Step { name: "bad", run: |_| Err("no".into()) };
        const NEVER: Step = Step { name: "never", run: |_| panic!("comes after a failure") };
        let workspace = Workspace::load().unwrap();
        assert!(run(&workspace, &[&GOOD]).is_ok());
        let failed = run(&workspace, &[&GOOD, &BAD, &NEVER]).unwrap_err();
        assert_eq!(failed.to_string(), "step bad failed (1 not run)");
    }
}
