//! What a test run says: tests in the log, result file, failure.

use std::path::Path;
use std::time::Duration;

use granary_oci::{Digest, RegistryHost};
use granary_plugin::output::seconds;
use granary_plugin::{Context, Failure, Kind, Table};
use granary_release::{FoundSet, ReleaseSet, TagKind};
use granary_suite::{note_set_in, note_tags};
use serde_json::Value;

use crate::results::{Decision, Outcome, Status, Test, Verdict};
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
    let bad = |status| matches!(status, Status::Failed | Status::Error);
    let failed = outcome.tests.iter().filter(|test| bad(test.status));
    list(context, "FAILED", failed.map(|test| format!("{}: {}", test.name, first_line(test))));
    list(context, "FLAKY", decision.warned.iter().cloned());
    let slow = outcome.tests.iter().filter_map(|test| Some((test.duration?, &test.name)));
    let mut slowest: Vec<_> = slow.filter(|(duration, _)| *duration >= SLOW).collect();
    slowest.sort_by(|left, right| right.cmp(left));
    let mut table = Table::new(["SLOWEST", "TEST"]);
    for (duration, name) in slowest.into_iter().take(SLOWEST) {
        table.row([seconds(duration), name.clone()]);
    }
    context.output.table(&table);
    let word = word(decision.result);
    let counts = (decision.passed.len(), decision.failed.len(), decision.skipped.len());
    list(context, "FAILED", decision.problems.iter().cloned());
    let took = took.map_or_else(String::new, |took| format!(" in {}", seconds(took)));
    let flaky = match decision.warned.len() {
        0 => String::new(),
        flaky => format!("{flaky} flaky, "),
    };
    context.output.info(format_args!(
        "{word}: {} passed, {flaky}{} failed, {} skipped{took}",
        counts.0, counts.1, counts.2
    ));
    context.record(|facts| {
        facts.extra.insert("result".to_owned(), Value::from(word));
        facts.extra.insert("passed".to_owned(), Value::from(counts.0));
        facts.extra.insert("warned".to_owned(), Value::from(decision.warned.len()));
        facts.extra.insert("failed".to_owned(), Value::from(counts.1));
        facts.extra.insert("skipped".to_owned(), Value::from(counts.2));
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

/// The first line of a test's message that says something.
fn first_line(test: &Test) -> String {
    let lines = test.message.as_deref().unwrap_or_default().lines().map(str::trim);
    let line = lines.into_iter().find(|line| !line.is_empty()).unwrap_or("no message");
    match line.floor_char_boundary(LONGEST_LINE) {
        cut if cut < line.len() => format!("{} […]", &line[..cut]),
        _ => line.to_owned(),
    }
}

/// Notes the evidence that was attached.
///
/// `attached` is what it was attached to, `repository@digest`, and as what; `key` is the key's hint.
pub fn evidence(context: &Context, decision: &Decision, attached: &[(String, Digest)], key: &str) {
    let word = word(decision.result);
    for (subject, digest) in attached {
        context.output.done(format_args!("evidence {word} on {subject}: {digest}, signed by {key}"));
    }
    let digests: Vec<Value> = attached.iter().map(|(_, digest)| Value::from(digest.to_string())).collect();
    context.record(|facts| {
        facts.extra.insert("evidence".to_owned(), Value::from(digests));
    });
}

/// The failure of a run whose tests did not let the candidate through.
pub fn failure(decision: &Decision) -> Failure {
    let failure = |what: String| Failure::new(Kind::Tests, what);
    match (decision.failed.as_slice(), decision.problems.as_slice()) {
        ([], [problem, ..]) => {
            failure(problem.clone()).hint("look at the command's output above, and at which tests it selects")
        }
        (failed, _) => {
            failure(format!("{} of {} tests failed", failed.len(), failed.len() + decision.passed.len()))
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
    let passed = decision.passed.len() + decision.warned.len();
    Failure::new(
        Kind::NegativeControl,
        format!(
            "the negative control passed: {passed} tests, and none of them notices that the candidate is bad"
        ),
    )
    .hint("no evidence is attached; find out why the tests pass, and what else they let through")
    .refusing("negative_control", format!("{passed} tests passed"), "at least one failed test")
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

/// The word that stands for a verdict in evidence, files and log.
pub(crate) fn word(result: Verdict) -> &'static str {
    match result {
        Verdict::Passed => "PASSED",
        Verdict::Warned => "WARNED",
        Verdict::Failed => "FAILED",
    }
}
