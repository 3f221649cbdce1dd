//! The negative control: what must not be had is asked for, and nothing is ever written.

use granary_attest::test_result::Outcome;
use granary_testkit::registry::{Action, Fault, Options, Registry};
use insta::assert_snapshot;
use serde_json::json;

use crate::world::{
    Evidence, Release, filtered, nothing_written, promote, result_before, signing, tested, told,
};

fn control(registry: &Registry) -> granary_testkit::process::Run {
    signing(promote("push", registry)).plugin("negative_control", "true")
}

fn published(release: &Release) -> Registry {
    let registry = Registry::start(Options::default());
    release.publish(&registry);
    registry
}

#[test]
fn a_candidate_whose_tests_failed_is_refused_as_it_must_be() {
    let release = Release::new("0.1.1-rc.11");
    let registry = published(&release);
    Evidence { result: Outcome::Failed, failed: vec!["orders"], ..Evidence::default() }
        .attach(&registry, &release);
    let passed = control(&registry).plugin("env_file", "release.env").output();
    nothing_written(&registry, &passed, 0);
    assert_snapshot!(told(&passed), @r"
    exit code 0
    --- stdout
    negative control: 0.1.1-rc.11 was refused, as it must be
    rule `evidence.result`: found result FAILED, 1 failed: orders (environment `integration`, key `zpfsINQ2YaGbIVyy43ammNC0qiqltMeFTpFr0FCC/O4=`); needed: result PASSED without failed tests
    promote: unchanged in [TIME]
    --- stderr
    ");
    let result = passed.json(".granary/promote.json");
    assert_eq!(result["negative_control"]["refusal"]["rule"], "evidence.result");
    assert_eq!(result["negative_control"]["candidate"], "0.1.1-rc.11");
    // Nothing that a later step could deploy.
    assert_eq!(
        (&result["artifacts"], &result["set"], &result["version"]),
        (&json!([]), &json!(null), &json!(null))
    );
    let env_file = std::fs::read_to_string(passed.workspace.join("release.env")).unwrap();
    assert_eq!(env_file, "");
}

#[test]
fn missing_evidence_and_a_wrong_branch_are_refusals_too() {
    let release = Release::new("0.1.1-rc.11");
    let registry = published(&release);
    let missing = control(&registry).output();
    nothing_written(&registry, &missing, 0);
    assert!(missing.stdout.contains("rule `evidence`: found no test evidence"), "{missing}");
    let branch = control(&registry).plugin("branches", "release/*").output();
    nothing_written(&registry, &branch, 0);
    assert!(branch.stdout.contains("rule `branches`: found main; needed: release/*"), "{branch}");
}

#[test]
fn a_control_that_would_be_let_in_is_an_alarm() {
    let release = Release::new("0.1.1-rc.11");
    let registry = tested(&release);
    let alarm = control(&registry).output();
    nothing_written(&registry, &alarm, 16);
    assert_snapshot!(told(&alarm), @r"
    exit code 16
    --- stdout
    evidence accepted: 2 passed in `integration`, signed by `zpfsINQ2YaGbIVyy43ammNC0qiqltMeFTpFr0FCC/O4=`, finished [TIME]
    --- stderr
    error: the negative control passed: 0.1.1-rc.11, which must be refused, would become a version: its branch and its evidence let it in
    hint: promote nothing until it is clear why: `trusted_keys`, the rules of evidence, the tests themselves
    ");
    let result = alarm.json(".granary/promote.json");
    assert_eq!(
        (&result["outcome"], &result["refusal"]["rule"]),
        (&json!("refused"), &json!("negative_control"))
    );

    // A control grows old: that a newer candidate is stable says nothing about its tests.
    let newer = Release::of('b', "0.1.1-rc.12", 12);
    newer.publish(&registry);
    newer.promoted(&registry, "0.1.1");
    nothing_written(&registry, &control(&registry).output(), 16);

    // And one that was let in some time ago.
    let registry = tested(&release);
    assert_eq!(promote("push", &registry).output().code, Some(0));
    registry.clear_log();
    let alarm = control(&registry).output();
    nothing_written(&registry, &alarm, 16);
    assert!(alarm.stderr.contains("would become a version: it is 0.1.1 already"), "{alarm}");
}

/// What leaves the question open proves nothing about the gate.
#[test]
fn what_is_not_a_refusal_keeps_its_own_code() {
    let release = Release::new("0.1.1-rc.11");
    let nothing_published = Registry::start(Options::default());
    nothing_written(&nothing_published, &control(&nothing_published).output(), 14);

    let registry = tested(&release);
    registry.fault(Fault::on("GET", "/referrers/", Action::status(503)).times(usize::MAX));
    nothing_written(&registry, &control(&registry).plugin("retries", "0").output(), 12);

    let run = control(&registry);
    result_before(
        &run,
        "integration-test",
        &json!({"outcome": "failed", "exit_code": 12, "commit": release.commit}),
    );
    let skipped = run.output();
    assert_eq!(skipped.code, Some(15), "{skipped}");
    assert!(
        skipped.stderr.contains("the negative control was not asked for: integration-test ended"),
        "{skipped}"
    );

    let no_branch = Release { branch: None, ..release };
    let undecided = control(&tested(&no_branch)).output();
    assert_eq!(undecided.code, Some(15), "{undecided}");
    assert!(filtered(&undecided.stderr).contains("its set records no branch"), "{undecided}");
}
