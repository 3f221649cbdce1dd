//! Negative controls: a candidate that is known to be bad.

use granary_attest::test_result::Outcome;
use insta::assert_snapshot;

use crate::support::{Stage, leaving, results};

fn report(tests: &[&str]) -> Stage {
    Stage::new().report(&results(tests)).set("negative_control", "true")
}

#[test]
fn failed_tests_are_what_is_wanted_and_signed() {
    let stage = report(&["login=passed", "pay=failed"]);
    assert_snapshot!(stage.shown(), @r#"
    exit 0
    --- stdout
    testing 0.1.146-rc.87 of commit 7a77c5932e35c13bf0bf61a33f757b21d41692b5, set [DIGEST]
    FAILED pay: pay is failed
    FAILED: 1 passed, 1 failed, 0 skipped
    evidence FAILED on acme/app@[DIGEST]: [DIGEST], signed by zpfsINQ2YaGbIVyy43ammNC0qiqltMeFTpFr0FCC/O4=
    evidence FAILED on acme/app@[DIGEST]: [DIGEST], signed by zpfsINQ2YaGbIVyy43ammNC0qiqltMeFTpFr0FCC/O4=
    negative control: the tests notice the known-bad candidate, as they must
    integration-test: done in [TIME]
    "#);
    assert_eq!(stage.evidence("acme/app", stage.found.digest.as_str())[0].result.result, Outcome::Failed);
    let by_itself =
        Stage::new().tests(&leaving(&results(&["pay=failed"]), 1)).set("negative_control", "true");
    assert_eq!(by_itself.output().code, Some(0));
}

#[test]
fn tests_that_pass_are_an_alarm_and_vouch_for_nothing() {
    let stage = report(&["login=passed", "pay=passed"]);
    assert_snapshot!(stage.shown(), @r#"
    exit 16
    --- stdout
    testing 0.1.146-rc.87 of commit 7a77c5932e35c13bf0bf61a33f757b21d41692b5, set [DIGEST]
    PASSED: 2 passed, 0 failed, 0 skipped
    --- stderr
    error: the negative control passed: 2 tests, and nothing notices that the candidate is bad
    hint: no evidence is attached; find out why the tests pass, and what else they let through
    "#);
    assert_eq!(stage.evidence_count(), 0);
    let result = stage.output().json(".granary/integration-test.json");
    assert_eq!(
        (&result["outcome"], &result["refusal"]["rule"]),
        (&"refused".into(), &"negative_control".into())
    );
}

#[test]
fn tests_that_did_not_run_prove_nothing() {
    let stage = |script: &str| Stage::new().tests(script).set("negative_control", "true");
    let table = [
        stage("exit 1"),
        stage(&leaving(&results(&[]), 1)),
        stage(&leaving(&results(&["a=skipped"]), 1)),
        stage(&leaving(&results(&["a=passed"]), 1)),
        stage("kill -KILL $$"),
        stage("sleep 60").set("timeout", "2s"),
        stage("true").set("command", "no-such-program"),
        report(&["a=passed"]).set("required_tests", "b"),
        report(&["a=passed", "b=error"]),
        report(&[]),
    ];
    for (index, stage) in table.into_iter().enumerate() {
        let finished = stage.output();
        assert_eq!(finished.code, Some(13), "{index}: {finished}");
    }
}

#[test]
fn a_control_that_passes_when_repeated_has_passed() {
    let (first, then) = (leaving(&results(&["a=failed"]), 1), leaving(&results(&["a=passed"]), 0));
    let script = format!("if mkdir again; then\n{first}fi\n{then}");
    let stage = Stage::new().tests(&script).set("attempts", "2").set("negative_control", "true");
    let finished = stage.output();
    assert_eq!(finished.code, Some(16), "{finished}");
}

#[test]
fn an_exit_code_says_whether_the_command_ran() {
    for (code, expected) in [(0, 16), (1, 0), (125, 0), (128, 0), (126, 13), (127, 13), (137, 13), (255, 13)]
    {
        let stage = Stage::new().set("command", &format!("sh -c 'exit {code}'"));
        let finished = stage.set("results_format", "exit-code").set("negative_control", "true").output();
        assert_eq!(finished.code, Some(expected), "{code}: {finished}");
    }
}
