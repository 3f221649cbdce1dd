//! What a test run says: tests in the log, result file, failure.

use std::time::Duration;

use granary_oci::Digest;
use granary_plugin::output::seconds;
use granary_plugin::{Context, Failure, Kind, Table};
use granary_release::{FoundSet, ReleaseSet, TagKind};
use granary_suite::{RegistrySettings, note_set, note_tags};
use serde_json::Value;

use crate::results::{Decision, Outcome, Status, Verdict};
use crate::settings::Settings;

/// How many of the slowest tests are listed.
const SLOWEST: usize = 5;
/// How many failed tests are listed with their messages.
const FAILED: usize = 20;

/// Notes and says what is under test.
pub fn subject(context: &Context, registry: &RegistrySettings, found: &FoundSet) {
    let set = &found.set;
    note_set(context, registry, found, set.candidate.base);
    note_tags(context, &[TagKind::Candidate(set.candidate).tag()]);
    if !context.common.dry_run {
        let (candidate, commit, digest) = (set.candidate, &set.commit, &found.digest);
        context.output.info(format_args!("testing {candidate} of commit {commit}, set {digest}"));
    }
}

/// Prints and notes how the tests ended, and how long they took where that was measured.
pub fn tests(context: &Context, outcome: &Outcome, decision: &Decision, took: Option<Duration>) {
    let bad = |status| matches!(status, Status::Failed | Status::Error);
    let failed: Vec<_> = outcome.tests.iter().filter(|test| bad(test.status)).collect();
    for test in failed.iter().take(FAILED) {
        let message =
            test.message.as_deref().and_then(|message| message.lines().next()).unwrap_or("no message");
        context.output.info(format_args!("FAILED {}: {message}", test.name));
    }
    if failed.len() > FAILED {
        context.output.info(format_args!("FAILED and {} more", failed.len() - FAILED));
    }
    let mut slowest: Vec<_> =
        outcome.tests.iter().filter_map(|test| Some((test.duration?, &test.name))).collect();
    slowest.sort_by(|left, right| right.cmp(left));
    let mut table = Table::new(["SLOWEST", "TEST"]);
    for (duration, name) in slowest.into_iter().take(SLOWEST) {
        table.row([seconds(duration), name.clone()]);
    }
    context.output.table(&table);
    let word = word(decision.result);
    let counts = (decision.passed.len(), decision.failed.len(), decision.skipped.len());
    for problem in &decision.problems {
        context.output.info(format_args!("FAILED {problem}"));
    }
    let took = took.map_or_else(String::new, |took| format!(" in {}", seconds(took)));
    context
        .output
        .info(format_args!("{word}: {} passed, {} failed, {} skipped{took}", counts.0, counts.1, counts.2));
    context.record(|facts| {
        facts.extra.insert("result".to_owned(), Value::from(word));
        facts.extra.insert("passed".to_owned(), Value::from(counts.0));
        facts.extra.insert("failed".to_owned(), Value::from(counts.1));
        facts.extra.insert("skipped".to_owned(), Value::from(counts.2));
    });
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

/// Prints what would be tested.
pub fn plan(context: &Context, settings: &Settings, found: &FoundSet, command: Option<&[String]>) {
    let set = &found.set;
    context
        .output
        .print(format_args!("plan: test {} (commit {}, set {})", set.candidate, set.commit, found.digest));
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

fn word(result: Verdict) -> &'static str {
    match result {
        Verdict::Passed => "PASSED",
        Verdict::Failed => "FAILED",
    }
}
