//! What is tested and what evidence would say, from facts alone.

use granary_attest::statement::{ResourceDescriptor, Statement, StatementError};
use granary_attest::test_result::{self, TestResult, TestResultError};
use granary_oci::{Descriptor, Digest, Manifest, Platform};
use granary_release::FoundSet;
use jiff::Timestamp;
use thiserror::Error;

use crate::results::{Decision, Outcome, TestOutcome};

/// How much of a command evidence shows, in bytes; its digest is of all of it.
const LONGEST_COMMAND: usize = 1024;

/// A manifest that ran: a member itself, or its part for one platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// The member's name, with the platform where the member has several.
    pub name: String,
    /// The manifest.
    pub digest: Digest,
}

/// An index that has nothing for a platform that is said to have run.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{member}` has no manifest for {platform}, it has {known}")]
pub struct NoSuchPlatform {
    /// The member.
    pub member: String,
    /// The platform.
    pub platform: Platform,
    /// What there is.
    pub known: String,
}

/// The platform of the machine that this runs on.
pub fn own_platform() -> Platform {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    Platform { architecture: architecture.to_owned(), os: std::env::consts::OS.to_owned(), variant: None }
}

/// The parts of an index that ran on these platforms. A manifest runs as a whole.
///
/// # Errors
/// If the index has nothing for one of them.
pub fn ran(
    member: &str,
    top: &Digest,
    manifest: &Manifest,
    platforms: &[Platform],
) -> Result<Vec<Ran>, NoSuchPlatform> {
    if manifest.manifests.is_empty() {
        return Ok(vec![Ran { name: member.to_owned(), digest: top.clone() }]);
    }
    let known = || {
        manifest
            .manifests
            .iter()
            .filter_map(|child| child.platform.as_ref())
            .filter(|platform| !platform.is_unknown())
    };
    let part = |platform: &Platform| {
        let child = manifest
            .manifests
            .iter()
            .find(|child| child.platform.as_ref().is_some_and(|known| runs_on(known, platform)));
        child
            .map(|child: &Descriptor| Ran {
                name: format!("{member} {platform}"),
                digest: child.digest.clone(),
            })
            .ok_or_else(|| {
                let known = known().map(Platform::to_string).collect::<Vec<_>>().join(", ");
                NoSuchPlatform { member: member.to_owned(), platform: platform.clone(), known }
            })
    };
    platforms.iter().map(part).collect()
}

/// A platform without variant means any: arm64 is published as `arm64` and as `arm64/v8`.
fn runs_on(known: &Platform, asked: &Platform) -> bool {
    known.os == asked.os
        && known.architecture == asked.architecture
        && (asked.variant.is_none() || known.variant == asked.variant)
}

/// What evidence says beside the tests themselves.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// Where the tests ran.
    pub environment: String,
    /// Where the run can be read.
    pub url: Option<String>,
    /// When the first test began.
    pub started_on: Timestamp,
    /// When the last one ended.
    pub finished_on: Timestamp,
    /// What the machine that signs says it is.
    pub platforms: Vec<Platform>,
    /// Whether the key lay beside foreign code.
    pub key_exposed: bool,
    /// How often the tests ran.
    pub attempts: u32,
    /// The command that ran them, as its setting has it; `None` where somebody else ran them.
    pub command: Option<String>,
    /// Where the results came from.
    pub results: String,
}

/// When the tests ran, for the evidence. The newest run decides, so its end is never what a file claims:
/// one that says "next year" would outlive every later run, and a failure that says "yesterday" would stand
/// behind the success before it. Where this step did not run the tests itself, the end is the moment at which
/// it judges them. `began` is the beginning that the record of a run tells; of attempts that were repeated
/// the results know the last one only.
pub fn times(
    outcome: &Outcome,
    began: Option<Timestamp>,
    ran: Option<(Timestamp, Timestamp)>,
    now: Timestamp,
) -> (Timestamp, Timestamp) {
    let (started, finished) = match ran {
        Some(measured) => measured,
        None => (outcome.started.into_iter().chain(began).min().unwrap_or(now), now),
    };
    // Of two runs in one instant the worse one counts, so a second would be too coarse.
    let whole = |time: Timestamp| Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time);
    let finished = whole(finished.min(now));
    (whole(started.min(finished)), finished)
}

/// Why no statement can be made.
#[derive(Debug, Error)]
pub enum EvidenceError {
    /// A digest that evidence cannot name.
    #[error("a subject cannot be named")]
    Subject(#[source] StatementError),
    /// A field that cannot be.
    #[error("the test result cannot be stated")]
    Result(#[source] TestResultError),
}

/// The statement about a set: its subjects are the set, every member, and what ran of them.
///
/// # Errors
/// If something in it cannot be stated.
pub fn statement(
    found: &FoundSet,
    ran: &[Ran],
    decision: &Decision,
    circumstances: &Circumstances,
) -> Result<Statement, EvidenceError> {
    let mut subjects = Vec::new();
    let set = std::iter::once((format!("set-{}", found.set.commit), &found.digest));
    let members = found.set.members.iter().map(|member| (member.name.clone(), &member.digest));
    let parts = ran.iter().map(|ran| (ran.name.clone(), &ran.digest));
    let mut named: Vec<&Digest> = Vec::new();
    for (name, digest) in set.chain(members).chain(parts) {
        if !named.contains(&digest) {
            named.push(digest);
            subjects.push(ResourceDescriptor::new(name, digest.as_str()).map_err(EvidenceError::Subject)?);
        }
    }
    let result = TestResult {
        result: match decision.result {
            TestOutcome::Passed => test_result::Outcome::Passed,
            TestOutcome::Warned => test_result::Outcome::Warned,
            TestOutcome::Failed => test_result::Outcome::Failed,
        },
        configuration: configuration(circumstances),
        url: circumstances.url.clone(),
        passed_tests: decision.passed.clone(),
        warned_tests: decision.warned.clone(),
        failed_tests: decision.failed.clone(),
        run: test_result::TestRun {
            commit: found.set.commit.to_string(),
            set: found.digest.to_string(),
            environment: circumstances.environment.clone(),
            started_on: circumstances.started_on,
            finished_on: circumstances.finished_on,
            attempts: circumstances.attempts,
            platforms: circumstances.platforms.iter().map(Platform::to_string).collect(),
            key_exposed: circumstances.key_exposed,
        },
    };
    result.to_statement(subjects).map_err(EvidenceError::Result)
}

/// What was run, where: as far as this step knows. The command is its template, whose digest stands beside it
/// so that a policy can ask for it without quoting it.
fn configuration(circumstances: &Circumstances) -> Vec<ResourceDescriptor> {
    let named = |name: String| ResourceDescriptor { name: Some(name), ..ResourceDescriptor::default() };
    let command = circumstances.command.as_ref().map(|command| {
        let digest = Digest::of(command.as_bytes());
        let shown = &command[..command.floor_char_boundary(LONGEST_COMMAND)];
        let name = format!("command {shown}");
        ResourceDescriptor::new(&name, digest.as_str()).unwrap_or_else(|_| named(name))
    });
    [
        Some(named(format!("environment {}", circumstances.environment))),
        command,
        Some(named(format!("results {}", circumstances.results))),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Whether a digest that results name is one that is under test: the set, a member, or a part of one.
pub fn is_under_test(named: &Digest, found: &FoundSet, ran: &[Ran]) -> bool {
    *named == found.digest
        || found.set.members.iter().any(|member| member.digest == *named)
        || ran.iter().any(|ran| ran.digest == *named)
}

#[cfg(test)]
mod tests;
