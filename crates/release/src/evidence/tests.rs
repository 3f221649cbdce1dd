use proptest::prelude::*;

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
        finished_on: at("2026-11-21T11:00:00Z"),
        passed: vec!["login works".to_owned()],
        warned: vec![],
        failed: vec![],
        attempts: 1,
        key_exposed: false,
        url: None,
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn in_environment(environment: &str, passed: &[&str]) -> TestRun {
    TestRun { environment: environment.to_owned(), passed: texts(passed), ..run() }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn rules() -> EvidenceRules {
    EvidenceRules {
        max_age: Duration::from_secs(7 * 86400),
        required_tests: vec![],
        environments: vec![],
        allow_warned: false,
    }
}

fn requiring(patterns: &[&str], environments: &[&str]) -> EvidenceRules {
    EvidenceRules {
        required_tests: patterns.iter().map(|pattern| pattern.parse().unwrap()).collect(),
        environments: texts(environments),
        ..rules()
    }
}

fn judged(runs: &[TestRun], rules: &EvidenceRules) -> Verdict {
    let set = set();
    judge(set.to_manifest().digest(), &set, runs, rules, at(NOW))
}

fn verdict(runs: &[TestRun]) -> Verdict {
    judged(runs, &rules())
}

fn rejected(runs: &[TestRun], rules: &EvidenceRules) -> Rejection {
    match judged(runs, rules) {
        Verdict::Rejected(rejection) => rejection,
        other => panic!("not rejected: {other:?}"),
    }
}

#[test]
fn one_good_run_is_enough() {
    assert_eq!(verdict(&[run()]), Verdict::Accepted(vec![run()]));
    assert!(matches!(verdict(&[]), Verdict::Missing(_)));
    // The set names its members by hash: whoever names the set need not name them too.
    let of_set = TestRun { subjects: run().subjects[..1].to_vec(), ..run() };
    assert_eq!(verdict(std::slice::from_ref(&of_set)), Verdict::Accepted(vec![of_set]));
    let exposed = TestRun { key_exposed: true, attempts: 3, ..run() };
    assert!(matches!(verdict(&[exposed]), Verdict::Accepted(_)));
}

#[test]
fn every_rule_refuses_by_name() {
    let other = Digest::of(b"other");
    let table = [
        ("evidence.result", TestRun { result: TestOutcome::Failed, ..run() }),
        ("evidence.result", TestRun { result: TestOutcome::Warned, ..run() }),
        ("evidence.result", TestRun { failed: texts(&["login"]), ..run() }),
        ("evidence.result", TestRun { warned: texts(&["login"]), ..run() }),
        ("evidence.tests", TestRun { passed: vec![], ..run() }),
        ("evidence.subject", TestRun { set: other.clone(), ..run() }),
        ("evidence.subject", TestRun { subjects: vec![other], ..run() }),
        ("evidence.subject", TestRun { subjects: vec![], ..run() }),
        // The members alone: another set could have them too, with others beside them.
        ("evidence.subject", TestRun { subjects: run().subjects[1..].to_vec(), ..run() }),
        ("evidence.commit", TestRun { commit: "b".repeat(40).parse().unwrap(), ..run() }),
        ("evidence.age", TestRun { finished_on: at("2026-11-14T11:59:59Z"), ..run() }),
        ("evidence.age", TestRun { finished_on: at("2026-11-21T12:05:01Z"), ..run() }),
    ];
    for (rule, run) in table {
        let rejection = rejected(std::slice::from_ref(&run), &rules());
        assert_eq!(rejection.rule, rule, "{run:?}");
        assert!(rejection.found.ends_with(" (environment `integration`, key `ci`)"), "{}", rejection.found);
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
        finished_on: at("2026-11-21T11:30:00Z"),
        ..run()
    };
    assert!(matches!(verdict(&[later(TestOutcome::Failed, "integration"), run()]), Verdict::Rejected(_)));
    assert!(matches!(verdict(&[run(), later(TestOutcome::Failed, "staging")]), Verdict::Rejected(_)));
    let failed_before = TestRun { result: TestOutcome::Failed, ..run() };
    assert!(matches!(
        verdict(&[failed_before, later(TestOutcome::Passed, "integration")]),
        Verdict::Accepted(_)
    ));
}

/// Whatever order a registry lists them in.
#[test]
fn of_one_instant_all_must_be_good() {
    let worse = [
        TestRun { result: TestOutcome::Failed, ..run() },
        TestRun { passed: vec![], ..run() },
        TestRun { set: Digest::of(b"other"), ..run() },
    ];
    for worse in worse {
        assert!(matches!(verdict(&[worse.clone(), run()]), Verdict::Rejected(_)), "{worse:?}");
        assert!(matches!(verdict(&[run(), worse.clone()]), Verdict::Rejected(_)), "{worse:?}");
    }
    // The same statement, attached twice: both are named.
    let twin = TestRun { bundle: Digest::of(b"twin"), ..run() };
    let (one, other) = (verdict(&[run(), twin.clone()]), verdict(&[twin, run()]));
    assert_eq!(one, other);
    assert!(matches!(one, Verdict::Accepted(runs) if runs.len() == 2));
}

#[test]
fn warned_counts_only_where_it_may() {
    let allowing = EvidenceRules { allow_warned: true, ..rules() };
    let flaky = TestRun { result: TestOutcome::Warned, warned: texts(&["orders"]), attempts: 2, ..run() };
    let rejection = rejected(std::slice::from_ref(&flaky), &rules());
    assert_eq!(
        (rejection.rule, rejection.found.as_str(), rejection.needed.as_str()),
        (
            "evidence.result",
            "result WARNED, 1 passed with a warning only: orders (environment `integration`, key `ci`)",
            "result PASSED; with `allow_warned` WARNED will do"
        )
    );
    assert!(matches!(judged(std::slice::from_ref(&flaky), &allowing), Verdict::Accepted(_)));
    // Every test needed its second chance.
    let all = TestRun { passed: vec![], ..flaky.clone() };
    assert!(matches!(judged(&[all], &allowing), Verdict::Accepted(_)));
    // A required test may be one of those that warned.
    let required = EvidenceRules { allow_warned: true, ..requiring(&["orders"], &[]) };
    assert!(matches!(judged(std::slice::from_ref(&flaky), &required), Verdict::Accepted(_)));

    // It loosens nothing else.
    for worse in [
        TestRun { failed: texts(&["x"]), ..flaky.clone() },
        TestRun { result: TestOutcome::Failed, ..flaky.clone() },
        TestRun { passed: vec![], warned: vec![], ..flaky },
    ] {
        rejected(&[worse], &allowing);
    }
}

#[test]
fn every_environment_that_is_asked_for_must_have_spoken() {
    let both = requiring(&[], &["integration", "load", "staging"]);
    let Verdict::Missing(missing) = judged(&[run()], &both) else { panic!("waiting may help") };
    assert_eq!(
        (missing.rule, missing.found.as_str(), missing.needed.as_str()),
        (
            "evidence.environment",
            "evidence from `integration` only",
            "evidence from `load`, `staging` (`required_environments`)"
        )
    );
    let all = ["integration", "load", "staging"].map(|name| in_environment(name, &["a"]));
    assert!(matches!(judged(&all, &both), Verdict::Accepted(runs) if runs.len() == 3));
    // What has failed already does not get better by waiting for the others.
    let failed = TestRun { result: TestOutcome::Failed, ..run() };
    assert_eq!(rejected(&[failed], &both).rule, "evidence.result");
    // Nobody asked for this one; it was tested there all the same.
    let uncalled = TestRun { result: TestOutcome::Failed, ..in_environment("canary", &["a"]) };
    assert_eq!(rejected(&[all.to_vec(), vec![uncalled]].concat(), &both).rule, "evidence.result");
    // The environment of another spelling is another environment.
    assert!(matches!(judged(&[run()], &requiring(&[], &["Integration"])), Verdict::Missing(_)));
}

#[test]
fn required_tests_passed_in_some_environment() {
    let runs =
        [in_environment("integration", &["login", "orders::fill"]), in_environment("load", &["surge"])];
    for patterns in [&["login"][..], &["orders::*", "surge"], &["log??", "*"], &[]] {
        assert!(matches!(judged(&runs, &requiring(patterns, &[])), Verdict::Accepted(_)), "{patterns:?}");
    }
    let rejection = rejected(&runs, &requiring(&["login", "orders::can*", "Surge", "refund"], &[]));
    assert_eq!(
        (rejection.rule, rejection.found.as_str(), rejection.needed.as_str()),
        (
            "evidence.tests",
            "no passed test matches `orders::can*`, `Surge`, `refund`; 2 in `integration`, 1 in `load` \
             passed, among them `orders::fill`, `surge`",
            "every test in `required_tests` passed in the newest run of some environment"
        )
    );
    // An older run of the same environment does not lend its tests to the newest.
    let older =
        TestRun { finished_on: at("2026-11-21T10:00:00Z"), ..in_environment("load", &["refund", "surge"]) };
    let with_older = [&runs[..], &[older]].concat();
    assert_eq!(rejected(&with_older, &requiring(&["refund"], &[])).rule, "evidence.tests");
    // Where an environment is still to speak, it may bring the test: wait.
    let waiting = judged(&runs, &requiring(&["refund"], &["canary"]));
    assert!(matches!(waiting, Verdict::Missing(Rejection { rule: "evidence.environment", .. })));
}

/// A refusal is read in a log: it does not repeat ten thousand names.
#[test]
fn refusals_stay_short() {
    let many: Vec<String> = (0..10_000).map(|number| format!("orders::{number}")).collect();
    let failed = TestRun { failed: many.clone(), result: TestOutcome::Failed, ..run() };
    assert!(rejected(&[failed], &rules()).found.len() < 300);
    let passed = TestRun { passed: many, ..run() };
    let found = rejected(&[passed], &requiring(&["orders"], &[])).found;
    assert_eq!(
        found,
        "no passed test matches `orders`; 10000 in `integration` passed, among them `orders::0`, `orders::1`, \
         `orders::10`, `orders::100`, `orders::1000`, 9995 more"
    );
}

fn arbitrary_run() -> impl Strategy<Value = TestRun> {
    let outcome =
        prop_oneof![Just(TestOutcome::Passed), Just(TestOutcome::Warned), Just(TestOutcome::Failed)];
    let some = |name: &'static str| prop::collection::vec(Just(name.to_owned()), 0..2);
    (outcome, 0..3_usize, 0..4_i64, some("p"), some("w"), some("f")).prop_map(
        |(result, environment, minute, passed, warned, failed)| TestRun {
            result,
            environment: ["integration", "load", "staging"][environment].to_owned(),
            finished_on: at("2026-11-21T11:00:00Z") + SignedDuration::from_mins(minute),
            passed,
            warned,
            failed,
            ..run()
        },
    )
}

proptest! {
    /// Bundles come in whatever order a registry lists them.
    #[test]
    fn order_does_not_matter(
        runs in prop::collection::vec(arbitrary_run(), 0..8).prop_shuffle(),
        allow_warned: bool,
    ) {
        let rules = EvidenceRules { allow_warned, ..requiring(&["p"], &["load"]) };
        let kind = |runs: &[TestRun]| match judged(runs, &rules) {
            Verdict::Accepted(_) => "accepted",
            Verdict::Missing(missing) => missing.rule,
            Verdict::Rejected(_) => "rejected",
        };
        let mut turned = runs.clone();
        turned.reverse();
        prop_assert_eq!(kind(&runs), kind(&turned));
    }

    /// What is accepted satisfies every rule on its own, looked at without `judge`.
    #[test]
    fn what_is_accepted_is_good(
        runs in prop::collection::vec(arbitrary_run(), 0..8),
        allow_warned: bool,
    ) {
        let rules = EvidenceRules { allow_warned, ..requiring(&["p"], &["load"]) };
        if let Verdict::Accepted(accepted) = judged(&runs, &rules) {
            for run in &accepted {
                prop_assert!(run.failed.is_empty() && run.result != TestOutcome::Failed);
                prop_assert!(allow_warned || (run.warned.is_empty() && run.result == TestOutcome::Passed));
                let mut here = runs.iter().filter(|other| other.environment == run.environment);
                prop_assert!(here.all(|other| other.finished_on <= run.finished_on));
            }
            prop_assert!(accepted.iter().any(|run| run.environment == "load"));
            prop_assert!(accepted.iter().any(|run| run.passed == ["p"]));
            let spoken = runs.iter().filter(|run| {
                !accepted.iter().any(|it| it.environment == run.environment)
            });
            prop_assert_eq!(spoken.count(), 0);
        }
    }

    /// A run that failed, or one more environment that is asked for, never lets more in.
    #[test]
    fn a_later_failure_always_refuses(runs in prop::collection::vec(arbitrary_run(), 0..8)) {
        let failed = TestRun {
            result: TestOutcome::Failed,
            finished_on: at("2026-11-21T11:59:00Z"),
            ..run()
        };
        let runs = [runs, vec![failed]].concat();
        prop_assert!(matches!(verdict(&runs), Verdict::Rejected(_)));
    }
}
