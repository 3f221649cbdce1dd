//! What a test run says: tests in the log, result file, failure.

use granary_oci::Digest;
use granary_plugin::output::seconds;
use granary_plugin::{Artifact, Context, Failure, Kind, Table};
use granary_release::FoundSet;
use granary_suite::RegistrySettings;
use serde_json::Value;

use crate::results::{Decision, Outcome, Status, Verdict};
use crate::settings::Settings;

/// How many of the slowest tests are listed.
const SLOWEST: usize = 5;
/// How many failed tests are listed with their messages.
const FAILED: usize = 20;

/// Notes what is under test.
pub fn record(context: &Context, registry: &RegistrySettings, found: &FoundSet) {
    let tag = found.set.candidate.to_string();
    let artifact = |member: &granary_release::Member| Artifact {
        name: member.name.clone(),
        repository: format!("{}/{}", registry.host, member.repository),
        digest: member.digest.to_string(),
        tags: vec![tag.clone()],
    };
    context.record(|facts| {
        facts.commit = Some(found.set.commit.to_string());
        facts.set = Some(found.digest.to_string());
        facts.version = Some(found.set.candidate.base.to_string());
        facts.candidate = Some(found.set.candidate.to_string());
        facts.artifacts = found.set.members.iter().map(artifact).collect();
        facts.lead = Some(found.set.lead().name.clone());
    });
}

/// Prints and notes how the tests ended.
pub fn tests(context: &Context, outcome: &Outcome, decision: &Decision) {
    let bad = |status| matches!(status, Status::Failed | Status::Error);
    for test in outcome.tests.iter().filter(|test| bad(test.status)).take(FAILED) {
        let message =
            test.message.as_deref().and_then(|message| message.lines().next()).unwrap_or("no message");
        context.output.info(format_args!("FAILED {}: {message}", test.name));
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
    context
        .output
        .info(format_args!("{word}: {} passed, {} failed, {} skipped", counts.0, counts.1, counts.2));
    for problem in &decision.problems {
        context.output.info(format_args!("FAILED {problem}"));
    }
    context.record(|facts| {
        facts.extra.insert("result".to_owned(), Value::from(word));
        facts.extra.insert("passed".to_owned(), Value::from(counts.0));
        facts.extra.insert("failed".to_owned(), Value::from(counts.1));
        facts.extra.insert("skipped".to_owned(), Value::from(counts.2));
    });
}

/// Notes the evidence that was attached.
pub fn evidence(context: &Context, decision: &Decision, attached: &[Digest], key: &str) {
    let word = word(decision.result);
    for digest in attached {
        context.output.done(format_args!("evidence {word} attached as {digest}, signed by {key}"));
    }
    let digests: Vec<Value> = attached.iter().map(|digest| Value::from(digest.to_string())).collect();
    context.record(|facts| {
        facts.extra.insert("evidence".to_owned(), Value::from(digests));
    });
}

/// The failure of a run whose tests did not let the candidate through.
pub fn failure(decision: &Decision) -> Failure {
    let what = match (decision.failed.as_slice(), decision.problems.as_slice()) {
        ([], [problem, ..]) => problem.clone(),
        (failed, _) => format!("{} of {} tests failed", failed.len(), failed.len() + decision.passed.len()),
    };
    Failure::new(Kind::Tests, what).hint("the failed tests and their messages are listed above")
}

/// Prints what would be tested.
pub fn print_plan(context: &Context, settings: &Settings, found: &FoundSet, command: Option<&[String]>) {
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
            .print(format_args!("  attach signed evidence to the set and to {}", set.lead().repository));
    }
}

fn word(result: Verdict) -> &'static str {
    match result {
        Verdict::Passed => "PASSED",
        Verdict::Failed => "FAILED",
    }
}
