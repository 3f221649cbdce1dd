//! What a test run says: tests in the log, result file, failure.

use std::path::Path;
use std::time::Duration;

use granary_oci::{Digest, RegistryHost};
use granary_plugin::output::seconds;
use granary_plugin::{Context, Failure, Kind, Table};
use granary_release::{FoundSet, ReleaseSet, TagKind};
use granary_suite::{note_set_in, note_tags};
use serde_json::Value;

use crate::results::{Decision, Outcome, counted, cut, first_line};
use crate::settings::{Mode, Settings};

/// How many of the slowest tests are listed.
const SLOWEST: usize = 5;
/// A test that took less is none of them.
const SLOW: Duration = Duration::from_secs(1);
/// How many tests are listed that failed, with their messages, or were flaky; and how many problems.
const LISTED: usize = 20;
/// How many flaky tests are named in the closing warning.
const FLAKY: usize = 5;
/// Most of a message's first line that is shown, in bytes.
const LONGEST_LINE: usize = 300;

/// Notes and says what is under test; `doing` is what is done with it.
pub fn subject(context: &Context, host: &RegistryHost, found: &FoundSet, doing: &str) {
    let set = &found.set;
    let version = Some(set.candidate.base);
    note_set_in(context, found, version, |member| format!("{host}/{}", member.repository));
    note_tags(context, &[TagKind::Candidate(set.candidate).tag()]);
    if !context.common.dry_run {
        let (candidate, commit, digest) = (set.candidate, &set.commit, &found.digest);
        context.output.info(format_args!("{doing} {candidate} of commit {commit}, set {digest}"));
    }
}

/// Prints and notes how the tests ended, and how long they took where that was measured.
pub fn tests(context: &Context, outcome: &Outcome, decision: &Decision, took: Option<Duration>) {
    let failed = outcome.tests.iter().filter(|test| test.status.is_bad()).map(|test| {
        // Redacted before it is cut: half a secret would not be found any more.
        let message = context.output.redacted(test.message.as_deref().unwrap_or("no message"));
        format!("{}: {}", test.name, cut(first_line(&message), LONGEST_LINE))
    });
    list(context, "FAILED", failed);
    list(context, "FLAKY", decision.warned.iter().cloned());
    let mut table = Table::new(["SLOWEST", "TEST"]);
    for (duration, name) in outcome.slowest(SLOWEST) {
        if duration >= SLOW {
            table.row([seconds(duration), name.to_owned()]);
        }
    }
    context.output.table(&table);
    list(context, "FAILED", decision.problems.iter().cloned());
    let took = took.map_or_else(String::new, |took| format!(" in {}", seconds(took)));
    context.output.info(format_args!("{}: {}{took}", decision.result, decision.counts()));
    context.record(|facts| {
        facts.extra.insert("result".to_owned(), Value::from(decision.result.to_string()));
        let lists = [
            ("passed", &decision.passed),
            ("warned", &decision.warned),
            ("failed", &decision.failed),
            ("skipped", &decision.skipped),
        ];
        let counts = lists.into_iter().map(|(name, list)| (name.to_owned(), Value::from(list.len())));
        facts.extra.extend(counts);
    });
}

/// Prints each on a line behind the word, and how many there are beyond [`LISTED`].
fn list(context: &Context, word: &str, lines: impl Iterator<Item = String>) {
    let mut more = 0;
    for (index, line) in lines.enumerate() {
        match index {
            0..LISTED => context.output.info(format_args!("{word} {line}")),
            _ => more += 1,
        }
    }
    if more > 0 {
        context.output.info(format_args!("{word} and {more} more"));
    }
}

/// Notes the evidence that was attached.
///
/// `attached` is what it was attached to, `repository@digest`, and as what; `key` is the key's hint.
pub fn evidence(context: &Context, decision: &Decision, attached: &[(String, Digest)], key: &str) {
    let word = decision.result;
    for (subject, digest) in attached {
        context.output.done(format_args!("evidence {word} on {subject}: {digest}, signed by {key}"));
    }
    let digests: Vec<Value> = attached.iter().map(|(_, digest)| Value::from(digest.to_string())).collect();
    context.record(|facts| {
        facts.extra.insert("evidence".to_owned(), Value::from(digests));
    });
}

/// The failure of a run whose tests did not let the candidate through.
pub fn failure(decision: &Decision, mode: &Mode) -> Failure {
    let failure = |what: String| Failure::new(Kind::Tests, what);
    let output = match mode {
        Mode::Run(_) => "the command's output above",
        Mode::Report => "the output of the step that ran the tests",
    };
    match (decision.failed.as_slice(), decision.problems.as_slice()) {
        ([], [problem, ..]) => {
            failure(problem.clone()).hint(format!("look at {output}, and at which tests it selects"))
        }
        (failed, _) => {
            let all = counted(failed.len() + decision.passed.len() + decision.warned.len());
            failure(format!("{} of {all} failed", failed.len()))
                .hint("the failed tests and their messages are listed above")
        }
    }
}

/// What to say of tests that passed, but not at the first try.
pub fn warning(decision: &Decision, attempts: u32) -> String {
    let names = decision.warned.iter().take(FLAKY).map(|name| format!("`{name}`")).collect::<Vec<_>>();
    let more = decision.warned.len().saturating_sub(FLAKY);
    let which = match (names.as_slice(), more) {
        ([], _) => "the tests passed".to_owned(),
        (_, 0) => format!("{} passed", names.join(", ")),
        _ => format!("{} and {more} more passed", names.join(", ")),
    };
    let when = match attempts {
        1 => "only when repeated".to_owned(),
        _ => format!("only in attempt {attempts}"),
    };
    format!("{which} {when}: the evidence says WARNED, which `promote` refuses unless `allow_warned` is set")
}

/// The failure of a negative control: what must have been noticed was not.
pub fn control_passed(decision: &Decision) -> Failure {
    let passed = counted(decision.passed.len() + decision.warned.len());
    Failure::new(
        Kind::NegativeControl,
        format!("the negative control passed: {passed}, and nothing notices that the candidate is bad"),
    )
    .hint("no evidence is attached; find out why the tests pass, and what else they let through")
    .refusing("negative_control", format!("{passed} passed"), "at least one failed test")
}

/// Prints what would be installed.
pub fn installation(context: &Context, found: &FoundSet, program: &Path) {
    let set = &found.set;
    context.output.print(format_args!(
        "plan: install for {} (commit {}, set {})",
        set.candidate, set.commit, found.digest
    ));
    context.output.print(format_args!("  write {} and candidate.json beside it", program.display()));
}

/// Prints what would be tested.
pub fn plan(context: &Context, settings: &Settings, found: &FoundSet, command: Option<&[String]>) {
    let set = &found.set;
    context
        .output
        .print(format_args!("plan: test {} (commit {}, set {})", set.candidate, set.commit, found.digest));
    if let Mode::Run(commands) = &settings.mode {
        let awaited = commands.wait_for.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        if !awaited.is_empty() {
            let most = seconds(commands.wait_timeout);
            context.output.print(format_args!("  wait for {awaited}, at most {most}"));
        }
        if commands.attempts > 1 {
            context.output.print(format_args!("  at most {} attempts", commands.attempts));
        }
    }
    match command {
        Some(words) => context.output.print(format_args!("  run {}", words.join(" "))),
        None => context.output.print("  read the results that an earlier step left"),
    }
    if settings.signing_key.is_some() {
        context
            .output
            .print(format_args!("  attach signed evidence to the set and to {}", evidence_on(settings, set)));
    }
}

fn evidence_on(settings: &Settings, set: &ReleaseSet) -> String {
    let members: Vec<&str> = set.members.iter().map(|member| member.repository.as_str()).collect();
    match settings.attach_to_all {
        true => members.join(", "),
        false => members[..1].concat(),
    }
}
