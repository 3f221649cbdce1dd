//! Which evidence lets a set through (DESIGN §4.4, §9).
//!
//! Takes what signed statements *say*; that they are signed, and by whom, is established before
//! (crate `attest`). No setting gets around this module: break-glass overrides time and approvals.

use std::collections::BTreeMap;
use std::time::Duration;

use granary_oci::Digest;
use jiff::{SignedDuration, Timestamp};

use crate::{CommitId, ReleaseSet};

/// Most bundles that are looked at. More is not evidence but an attempt to hide some.
pub const MAX_BUNDLES: usize = 50;

/// How far ahead of our clock a test may have finished: clocks of two machines differ.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// How a test run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestOutcome {
    /// No test failed or warned: the only result that lets a set through.
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
    /// Names of the tests that failed.
    pub failed: Vec<String>,
}

/// What is asked of evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceRules {
    /// Oldest test run that still counts.
    pub max_age: Duration,
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
    /// The test runs that let the set through: the newest of each environment.
    Accepted(Vec<TestRun>),
    /// No trusted statement yet; waiting may help.
    Missing(Rejection),
    /// Tested and not good enough; waiting does not help.
    Rejected(Rejection),
}

/// Judges the test runs of a set: in each environment the newest decides, and every environment that
/// has spoken must have passed.
pub fn judge(
    set_digest: &Digest,
    set: &ReleaseSet,
    runs: &[TestRun],
    rules: &EvidenceRules,
    now: Timestamp,
) -> Verdict {
    let mut newest: BTreeMap<&str, &TestRun> = BTreeMap::new();
    for run in runs {
        let known = newest.entry(&run.environment).or_insert(run);
        // Of two that ended in the same instant the worse one counts, whatever order they came in.
        let newer = (run.finished_on, run.result != TestOutcome::Passed)
            > (known.finished_on, known.result != TestOutcome::Passed);
        if newer {
            *known = run;
        }
    }
    if newest.is_empty() {
        return Verdict::Missing(Rejection {
            rule: "evidence",
            found: format!("no test evidence for set {set_digest} signed by a trusted key"),
            needed: "a test-result statement signed by a key in `trusted_keys`".to_owned(),
        });
    }
    for run in newest.values() {
        if let Some(rejection) = reject(set_digest, set, run, rules, now) {
            return Verdict::Rejected(rejection);
        }
    }
    Verdict::Accepted(newest.into_values().cloned().collect())
}

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
    if run.set != *set_digest || !run.subjects.contains(set_digest) {
        return rejection(
            "evidence.subject",
            format!("evidence for set {}", run.set),
            format!("evidence for set {set_digest}"),
        );
    }
    if let Some(member) = set.members.iter().find(|member| !run.subjects.contains(&member.digest)) {
        let found = format!("evidence that does not name member `{}`", member.name);
        return rejection(
            "evidence.subject",
            found,
            format!("evidence that names {} as a subject", member.digest),
        );
    }
    if run.commit != set.commit {
        return rejection(
            "evidence.commit",
            format!("evidence for commit {}", run.commit),
            format!("evidence for commit {}", set.commit),
        );
    }
    if run.result != TestOutcome::Passed || !run.failed.is_empty() {
        let names = run.failed.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
        let found = match names.is_empty() {
            true => format!("result {}", run.result),
            false => format!("result {}, {} failed: {names}", run.result, run.failed.len()),
        };
        return rejection("evidence.result", found, "result PASSED without failed tests".to_owned());
    }
    if run.passed.is_empty() {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Member;

    const NOW: &str = "2026-11-21T12:00:00Z";

    fn set() -> ReleaseSet {
        let member = |name: &str| Member {
            name: name.to_owned(),
            repository: name.parse().unwrap(),
            digest: Digest::of(name.as_bytes()),
            media_type: "m".to_owned(),
            size: 1,
        };
        ReleaseSet {
            commit: "a".repeat(40).parse().unwrap(),
            branch: None,
            candidate: "0.1.1-rc.1".parse().unwrap(),
            order: None,
            pipeline_url: None,
            created: Timestamp::UNIX_EPOCH,
            members: vec![member("app"), member("web")],
            replaces: None,
        }
    }

    fn run() -> TestRun {
        let digest = set().to_manifest().digest().clone();
        TestRun {
            key: "ci".to_owned(),
            bundle: Digest::of(b"bundle"),
            subjects: vec![digest.clone(), Digest::of(b"app"), Digest::of(b"web")],
            result: TestOutcome::Passed,
            commit: "a".repeat(40).parse().unwrap(),
            set: digest,
            environment: "integration".to_owned(),
            finished_on: "2026-11-21T11:00:00Z".parse().unwrap(),
            passed: vec!["login works".to_owned()],
            failed: vec![],
        }
    }

    fn verdict(runs: &[TestRun]) -> Verdict {
        let set = set();
        let rules = EvidenceRules { max_age: Duration::from_secs(7 * 86400) };
        judge(set.to_manifest().digest(), &set, runs, &rules, NOW.parse().unwrap())
    }

    #[test]
    fn one_good_run_is_enough() {
        assert_eq!(verdict(&[run()]), Verdict::Accepted(vec![run()]));
        assert!(matches!(verdict(&[]), Verdict::Missing(_)));
    }

    #[test]
    fn every_rule_refuses_by_name() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let other = Digest::of(b"other");
        let table = [
            ("evidence.result", TestRun { result: TestOutcome::Failed, ..run() }),
            ("evidence.result", TestRun { result: TestOutcome::Warned, ..run() }),
            ("evidence.result", TestRun { failed: vec!["login".to_owned()], ..run() }),
            ("evidence.tests", TestRun { passed: vec![], ..run() }),
            ("evidence.subject", TestRun { set: other.clone(), ..run() }),
            ("evidence.subject", TestRun { subjects: vec![other], ..run() }),
            ("evidence.subject", TestRun { subjects: run().subjects[..2].to_vec(), ..run() }),
            ("evidence.commit", TestRun { commit: "b".repeat(40).parse().unwrap(), ..run() }),
            ("evidence.age", TestRun { finished_on: at("2026-11-14T11:59:59Z"), ..run() }),
            ("evidence.age", TestRun { finished_on: at("2026-11-21T12:05:01Z"), ..run() }),
        ];
        for (rule, run) in table {
            let Verdict::Rejected(rejection) = verdict(std::slice::from_ref(&run)) else {
                panic!("{rule}: {run:?} was not rejected")
            };
            assert_eq!(rejection.rule, rule, "{run:?}");
        }
        for edge in ["2026-11-14T12:00:00Z", "2026-11-21T12:05:00Z"] {
            assert!(
                matches!(verdict(&[TestRun { finished_on: at(edge), ..run() }]), Verdict::Accepted(_)),
                "{edge}"
            );
        }
    }

    #[test]
    fn the_newest_of_each_environment_decides() {
        let later = |result: TestOutcome, environment: &str| TestRun {
            result,
            environment: environment.to_owned(),
            finished_on: "2026-11-21T11:30:00Z".parse().unwrap(),
            ..run()
        };
        assert!(matches!(verdict(&[later(TestOutcome::Failed, "integration"), run()]), Verdict::Rejected(_)));
        assert!(matches!(verdict(&[run(), later(TestOutcome::Failed, "staging")]), Verdict::Rejected(_)));
        let tie = TestRun { result: TestOutcome::Failed, ..run() };
        assert!(matches!(verdict(&[tie.clone(), run()]), Verdict::Rejected(_)));
        assert!(matches!(verdict(&[run(), tie]), Verdict::Rejected(_)));
        let failed_before = TestRun { result: TestOutcome::Failed, ..run() };
        assert!(matches!(
            verdict(&[failed_before, later(TestOutcome::Passed, "integration")]),
            Verdict::Accepted(_)
        ));
    }
}
