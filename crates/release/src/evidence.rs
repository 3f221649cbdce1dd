//! Which evidence lets a set through (DESIGN §4.4, §9).
//!
//! Takes what signed statements *say*; that they are signed, and by whom, is established before
//! (crate `attest`). No setting gets around this module: break-glass overrides time and approvals.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Duration;

use granary_oci::Digest;
use jiff::{SignedDuration, Timestamp};

use crate::{CommitId, NamePattern, ReleaseSet};

/// Most bundles that are looked at. More is not evidence but an attempt to hide some.
pub const MAX_BUNDLES: usize = 50;

/// How far ahead of our clock a test may have finished: clocks of two machines differ.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// Most names that a refusal lists: it is read in a log.
const MAX_NAMES: usize = 5;

/// How a test run ended, from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TestOutcome {
    /// No test failed or warned: the only result that lets a set through unless the rules say otherwise.
    Passed,
    /// No test failed, some warned.
    Warned,
    /// A test failed, or none ran.
    Failed,
}

impl std::fmt::Display for TestOutcome {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            TestOutcome::Passed => "PASSED",
            TestOutcome::Warned => "WARNED",
            TestOutcome::Failed => "FAILED",
        })
    }
}

/// What a trusted statement says about one test run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestRun {
    /// Which trusted key signed it.
    pub key: String,
    /// Digest of the bundle, so that a record can name it.
    pub bundle: Digest,
    /// Everything it speaks of.
    pub subjects: Vec<Digest>,
    /// How it ended.
    pub result: TestOutcome,
    /// The commit that was tested.
    pub commit: CommitId,
    /// The release set that was tested.
    pub set: Digest,
    /// Where it was tested.
    pub environment: String,
    /// When the last test ended.
    pub finished_on: Timestamp,
    /// Names of the tests that passed.
    pub passed: Vec<String>,
    /// Names of the tests that passed with a warning, e.g. only when repeated.
    pub warned: Vec<String>,
    /// Names of the tests that failed.
    pub failed: Vec<String>,
    /// How often the tests were run until they ended so.
    pub attempts: u32,
    /// Whether the tests could read the key that signed this. Told to readers, judged by nobody.
    pub key_exposed: bool,
    /// Where a reader finds the run, where it says so. Told to readers, judged by nobody.
    pub url: Option<String>,
}

impl TestRun {
    /// How it ended, all that it says taken together: of two contradicting statements the worse counts.
    pub fn outcome(&self) -> TestOutcome {
        let named = match (self.failed.is_empty(), self.warned.is_empty()) {
            (false, _) => TestOutcome::Failed,
            (true, false) => TestOutcome::Warned,
            (true, true) => TestOutcome::Passed,
        };
        self.result.max(named)
    }

    /// Names of the tests that ran to a good end. Whether a warning is one is settled before anybody asks.
    fn good(&self) -> impl Iterator<Item = &str> {
        self.passed.iter().chain(&self.warned).map(String::as_str)
    }
}

/// What is asked of evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceRules {
    /// Oldest test run that still counts.
    pub max_age: Duration,
    /// Tests that must have passed, each in at least one environment.
    pub required_tests: Vec<NamePattern>,
    /// Environments that must have spoken. Others may, and must have passed too.
    pub environments: Vec<String>,
    /// Whether WARNED is good enough.
    pub allow_warned: bool,
}

/// Why evidence does not let a set through: which rule, what was found, what would satisfy it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Short name of the rule.
    pub rule: &'static str,
    /// What was found.
    pub found: String,
    /// What would satisfy the rule.
    pub needed: String,
}

/// The answer of [`judge`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The test runs that let the set through: the newest of each environment, and all of those that ended in
    /// the same instant.
    Accepted(Vec<TestRun>),
    /// No trusted statement yet; waiting may help.
    Missing(Rejection),
    /// Tested and not good enough; waiting does not help.
    Rejected(Rejection),
}

/// Judges the test runs of a set: in each environment the newest decides, every environment that has spoken
/// must have passed, every environment that is asked for must have spoken, and among all of them every
/// required test must have passed.
pub fn judge(
    set_digest: &Digest,
    set: &ReleaseSet,
    runs: &[TestRun],
    rules: &EvidenceRules,
    now: Timestamp,
) -> Verdict {
    let newest = newest(runs);
    if newest.is_empty() {
        return Verdict::Missing(Rejection {
            rule: "evidence",
            found: format!("no test evidence for set {set_digest} signed by a trusted key"),
            needed: "a test-result statement signed by a key in `trusted_keys`".to_owned(),
        });
    }
    let mut each = newest.values().flatten();
    if let Some(rejection) = each.find_map(|run| reject(set_digest, set, run, rules, now)) {
        return Verdict::Rejected(rejection);
    }
    // A test of the environments that are still to speak may be among the required ones, so they come first.
    if let Some(rejection) = silent(&newest, rules) {
        return Verdict::Missing(rejection);
    }
    if let Some(rejection) = unmet(&newest, rules) {
        return Verdict::Rejected(rejection);
    }
    Verdict::Accepted(newest.into_values().flatten().cloned().collect())
}

/// The newest test runs by environment. Of several that ended in the same instant none is the newest, so all
/// are judged, and the order in which a registry lists them is nobody's advantage.
fn newest(runs: &[TestRun]) -> BTreeMap<&str, Vec<&TestRun>> {
    let mut newest: BTreeMap<&str, Vec<&TestRun>> = BTreeMap::new();
    for run in runs {
        let known = newest.entry(&run.environment).or_default();
        match known.first().map(|known| run.finished_on.cmp(&known.finished_on)) {
            Some(Ordering::Less) => {}
            Some(Ordering::Equal) => known.push(run),
            Some(Ordering::Greater) | None => *known = vec![run],
        }
    }
    for same_instant in newest.values_mut() {
        same_instant.sort_by_key(|run| &run.bundle);
    }
    newest
}

/// Why one test run keeps the set out, whatever the others say.
fn reject(
    set_digest: &Digest,
    set: &ReleaseSet,
    run: &TestRun,
    rules: &EvidenceRules,
    now: Timestamp,
) -> Option<Rejection> {
    let by = format!("environment `{}`, key `{}`", run.environment, run.key);
    let rejection = |rule, found: String, needed: String| {
        Some(Rejection { rule, found: format!("{found} ({by})"), needed })
    };
    if run.set != *set_digest {
        return rejection(
            "evidence.subject",
            format!("evidence for set {}", run.set),
            format!("evidence for set {set_digest}"),
        );
    }
    // The members need not be named beside it: the set names them by their hashes, so that who vouches for the
    // set vouches for them. What others sign (`cosign attest`) has one subject.
    if !run.subjects.contains(set_digest) {
        return rejection(
            "evidence.subject",
            "evidence that does not name the set as a subject".to_owned(),
            format!("evidence that names {set_digest} as a subject"),
        );
    }
    if run.commit != set.commit {
        return rejection(
            "evidence.commit",
            format!("evidence for commit {}", run.commit),
            format!("evidence for commit {}", set.commit),
        );
    }
    match run.outcome() {
        TestOutcome::Passed => {}
        TestOutcome::Warned if rules.allow_warned => {}
        TestOutcome::Warned => {
            let found = match run.warned.is_empty() {
                true => format!("result {}", run.result),
                false => format!(
                    "result {}, {} passed with a warning only: {}",
                    run.result,
                    run.warned.len(),
                    names(&run.warned)
                ),
            };
            let needed = "result PASSED; with `allow_warned` WARNED will do".to_owned();
            return rejection("evidence.result", found, needed);
        }
        TestOutcome::Failed => {
            let found = match run.failed.is_empty() {
                true => format!("result {}", run.result),
                false => {
                    format!("result {}, {} failed: {}", run.result, run.failed.len(), names(&run.failed))
                }
            };
            return rejection("evidence.result", found, "result PASSED without failed tests".to_owned());
        }
    }
    if run.good().next().is_none() {
        return rejection("evidence.tests", "no test ran".to_owned(), "at least one passed test".to_owned());
    }
    let age = now.duration_since(run.finished_on);
    if age < -CLOCK_SKEW {
        let found = format!("tests that finished on {}, after now ({now})", run.finished_on);
        return rejection(
            "evidence.age",
            found,
            "tests that have finished; check the clocks of both machines".to_owned(),
        );
    }
    let max_age = SignedDuration::try_from(rules.max_age).unwrap_or(SignedDuration::MAX);
    if age > max_age {
        let found = format!("tests that finished on {}, {} hours ago", run.finished_on, age.as_hours());
        return rejection(
            "evidence.age",
            found,
            format!("tests not older than {} hours (`max_evidence_age`)", max_age.as_hours()),
        );
    }
    None
}

/// Which environments were asked for and have not spoken.
fn silent(newest: &BTreeMap<&str, Vec<&TestRun>>, rules: &EvidenceRules) -> Option<Rejection> {
    let wanted = rules.environments.iter();
    let silent: Vec<&str> =
        wanted.map(String::as_str).filter(|environment| !newest.contains_key(environment)).collect();
    if silent.is_empty() {
        return None;
    }
    let spoken: Vec<&str> = newest.keys().copied().collect();
    Some(Rejection {
        rule: "evidence.environment",
        found: format!("evidence from {} only", quoted(&spoken)),
        needed: format!("evidence from {} (`required_environments`)", quoted(&silent)),
    })
}

/// Which required tests passed nowhere.
fn unmet(newest: &BTreeMap<&str, Vec<&TestRun>>, rules: &EvidenceRules) -> Option<Rejection> {
    let passed = || newest.values().flatten().flat_map(|run| run.good());
    let unmet: Vec<&NamePattern> =
        rules.required_tests.iter().filter(|pattern| !passed().any(|name| pattern.matches(name))).collect();
    if unmet.is_empty() {
        return None;
    }
    let mut alike: Vec<&str> = passed().filter(|name| unmet.iter().any(|it| it.is_like(name))).collect();
    alike.sort_unstable();
    alike.dedup();
    let counts: Vec<String> = newest
        .values()
        .flatten()
        .map(|run| format!("{} in `{}`", run.good().count(), run.environment))
        .collect();
    let asked: Vec<&str> = unmet.iter().map(|pattern| pattern.as_str()).collect();
    let among = if alike.is_empty() { String::new() } else { format!(", among them {}", quoted(&alike)) };
    Some(Rejection {
        rule: "evidence.tests",
        found: format!("no passed test matches {}; {} passed{among}", quoted(&asked), counts.join(", ")),
        needed: "every test in `required_tests` passed in the newest run of some environment".to_owned(),
    })
}

fn names(names: &[String]) -> String {
    names.iter().take(MAX_NAMES).map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn quoted(names: &[&str]) -> String {
    let more = names.len().saturating_sub(MAX_NAMES);
    let mut listed: Vec<String> = names.iter().take(MAX_NAMES).map(|name| format!("`{name}`")).collect();
    if more > 0 {
        listed.push(format!("{more} more"));
    }
    listed.join(", ")
}

#[cfg(test)]
mod tests;
