//! Tests that are repeated until they pass.

use granary_attest::test_result::{Outcome, TestResult};
use granary_testkit::process::Signal;
use insta::assert_snapshot;

use crate::support::{Stage, key, results, shown, wait_until};

/// A script that does the nth of these on its nth call.
fn one_after_the_other(scripts: &[String]) -> String {
    let cases = scripts.iter().enumerate().map(|(index, script)| format!("{}) {script};;\n", index + 1));
    format!("echo >> calls; case $(wc -l < calls) in\n{}esac\n", cases.collect::<String>())
}

/// One that leaves these results and ends with this code.
fn leave(tests: &[&str], code: i32) -> String {
    format!("printf '%s' '{}' > \"$1\"; exit {code}", results(tests))
}

fn calls(stage: &Stage) -> usize {
    stage.read("calls").lines().count()
}

fn signed(stage: &Stage) -> TestResult {
    let mut found = stage.evidence("acme/app", stage.found.digest.as_str());
    assert_eq!(found.len(), 1);
    found.remove(0).result
}

#[test]
fn a_pass_at_the_second_try_is_one_with_a_warning() {
    let script = one_after_the_other(&[
        leave(&["login=passed", "pay=failed"], 1),
        leave(&["login=passed", "pay=passed"], 0),
    ]);
    let stage = Stage::new().tests(&script).set("attempts", "3").set("signing_key", &key().to_pem());
    let stage = stage.set("teardown", "sh teardown.sh");
    stage.write("teardown.sh", "echo >> teardowns\n");
    let finished = stage.output();
    assert_snapshot!(shown(&finished), @r#"
    exit 0
    --- stdout
    testing 0.1.146-rc.87 of commit 7a77c5932e35c13bf0bf61a33f757b21d41692b5, set [DIGEST]
    attempt 1 of 3
    running sh tests.sh results.json
    torn down
    FAILED pay: pay is failed
    FAILED the test command ended with exit code 1
    FAILED: 1 passed, 1 failed, 0 skipped in [TIME]
    attempt 2 of 3
    running sh tests.sh results.json
    torn down
    FLAKY pay
    WARNED: 1 passed, 1 flaky, 0 failed, 0 skipped in [TIME]
    evidence WARNED on acme/app@[DIGEST]: [DIGEST], signed by zpfsINQ2YaGbIVyy43ammNC0qiqltMeFTpFr0FCC/O4=
    evidence WARNED on acme/app@[DIGEST]: [DIGEST], signed by zpfsINQ2YaGbIVyy43ammNC0qiqltMeFTpFr0FCC/O4=
    integration-test: done in [TIME]
    --- stderr
    warning: the signing key lies beside the tests, which could read it; the evidence will say `keyExposed`. Sign in a step of its own with `mode: report`
    warning: `pay` passed only in attempt 2: the evidence says WARNED, which `promote` refuses unless `allow_warned` is set
    "#);
    assert_eq!((calls(&stage), stage.read("teardowns").lines().count()), (2, 2));
    let evidence = signed(&stage);
    assert_eq!((evidence.result, evidence.run.attempts), (Outcome::Warned, 2));
    assert_eq!(
        (evidence.passed_tests, evidence.warned_tests),
        (vec!["login".to_owned()], vec!["pay".to_owned()])
    );
    assert_eq!(evidence.failed_tests, Vec::<String>::new());
    assert!(evidence.run.started_on < evidence.run.finished_on);
    let result = finished.json(".granary/integration-test.json");
    assert_eq!((&result["result"], &result["attempts"]), (&"WARNED".into(), &2.into()));
}

#[test]
fn a_pass_at_the_first_try_is_not_repeated() {
    let stage = Stage::new().tests(&one_after_the_other(&[leave(&["a=passed"], 0)]));
    let stage = stage.set("attempts", "3").set("signing_key", &key().to_pem());
    assert_eq!(stage.output().code, Some(0));
    assert_eq!(calls(&stage), 1);
    assert_eq!((signed(&stage).result, signed(&stage).run.attempts), (Outcome::Passed, 1));
}

#[test]
fn tests_that_never_pass_fail_after_the_last_try() {
    let failing = leave(&["login=passed", "pay=failed"], 1);
    let stage = Stage::new().tests(&failing).set("attempts", "2").set("signing_key", &key().to_pem());
    let finished = stage.output();
    assert_eq!(finished.code, Some(13), "{finished}");
    assert!(finished.stderr.contains("error: 1 of 2 tests failed\n"), "{finished}");
    assert_eq!((signed(&stage).result, signed(&stage).run.attempts), (Outcome::Failed, 2));
}

#[test]
fn attempts_that_all_crash_are_counted_in_the_evidence() {
    let stage = Stage::new().tests("exit 7").set("attempts", "2").set("signing_key", &key().to_pem());
    let finished = stage.output();
    assert_eq!(finished.code, Some(13), "{finished}");
    let evidence = signed(&stage);
    assert_eq!(
        (evidence.result, evidence.run.attempts, evidence.failed_tests.len()),
        (Outcome::Failed, 2, 0)
    );
}

/// Each case: what attempts do, what comes of it, how often they ran, what is said.
#[test]
fn what_may_be_repeated_and_what_comes_of_it() {
    let pass = || leave(&["login=passed", "pay=passed"], 0);
    let table = [
        // Without results of the first there are no names.
        (
            vec!["exit 7".to_owned(), pass()],
            0,
            2,
            "warning: the tests passed only in attempt 2: the evidence says WARNED",
        ),
        (
            vec!["printf '{' > \"$1\"".to_owned(), pass()],
            0,
            2,
            "attempt 1 of 3: there are no usable test results: results.json cannot be used: ",
        ),
        (
            vec!["kill -SEGV $$".to_owned(), pass()],
            0,
            2,
            "attempt 1 of 3: the test command was killed by signal 11",
        ),
        (
            vec![leave(&["login=passed", "pay=passed"], 3), pass()],
            0,
            2,
            "warning: the tests passed only in attempt 2",
        ),
        // The results of the first attempt are not those of the second.
        (
            vec![leave(&["login=failed"], 1), "true".to_owned(), pass()],
            0,
            3,
            "warning: `login` passed only in attempt 3",
        ),
        (
            vec![leave(&["login=failed"], 1), "true".to_owned(), "true".to_owned()],
            13,
            3,
            "error: the tests left results.json as it was before they ran",
        ),
        // Leaving out or skipping what failed mends nothing.
        (
            vec![leave(&["login=passed", "pay=failed"], 1), leave(&["login=passed"], 0)],
            13,
            2,
            "error: test `pay` failed before and did not pass when the tests were repeated",
        ),
        (
            vec![leave(&["login=passed", "pay=failed"], 1), leave(&["login=passed", "pay=skipped"], 0)],
            13,
            2,
            "test `pay` failed before",
        ),
        // Rules are about the last attempt.
        (vec![leave(&["pay=passed"], 0), pass()], 0, 2, "only in attempt 2"),
    ];
    for (index, (scripts, code, count, said)) in table.into_iter().enumerate() {
        let attempts = if scripts.len() > count { scripts.len() } else { count.max(2) };
        let attempts = if said.contains("of 3") { 3 } else { attempts };
        let stage = Stage::new().tests(&one_after_the_other(&scripts)).set("attempts", &attempts.to_string());
        let stage = match index {
            8 => stage.set("required_tests", "login"),
            _ => stage,
        };
        let finished = stage.output();
        assert_eq!((finished.code, calls(&stage)), (Some(code), count), "{index}: {finished}");
        assert!(
            format!("{}{}", finished.stdout, finished.stderr).contains(said),
            "{index} {said}: {finished}"
        );
    }
}

#[test]
fn some_ends_are_final() {
    let other =
        format!(r#"{{"digest":"sha256:{}","tests":[{{"name":"a","status":"failed"}}]}}"#, "ab".repeat(32));
    let table = [
        (format!("printf '%s' '{other}' > \"$1\""), "1h", 20, "which is not under test"),
        ("sleep 60".to_owned(), "2s", 13, "took longer than it may"),
    ];
    for (script, timeout, code, said) in table {
        let script = format!("echo >> calls; {script}");
        let stage = Stage::new().tests(&script).set("attempts", "3").set("timeout", timeout);
        let finished = stage.output();
        assert_eq!((finished.code, calls(&stage)), (Some(code), 1), "{finished}");
        assert!(finished.stderr.contains(said), "{finished}");
    }
    let missing =
        Stage::new().set("command", "no-such-program").set("results", "r.json").set("attempts", "3");
    let finished = missing.output();
    assert_eq!(finished.stdout.matches("attempt ").count(), 1, "{finished}");
}

#[test]
fn no_attempt_is_begun_that_could_not_end() {
    let script = format!("echo >> calls; sleep 2; {}", leave(&["a=failed"], 1));
    let stage = Stage::new().tests(&script).set("attempts", "3").set("timeout", "4s");
    let finished = stage.output();
    assert_eq!((finished.code, calls(&stage)), (Some(13), 1), "{finished}");
    assert!(
        finished.stderr.contains("warning: no time for attempt 2 of 3: the one before took 2."),
        "{finished}"
    );
    assert!(finished.stderr.contains("error: 1 of 1 test failed"), "{finished}");
}

#[test]
fn a_stop_ends_all_attempts() {
    let stage = Stage::new().tests("echo >> calls; echo up; sleep 300").set("attempts", "3");
    let running = stage.run.spawn();
    wait_until("the tests are up", || running.stdout().contains("up\n"));
    running.signal(Signal::TERM);
    let finished = running.wait();
    assert_eq!((finished.code, calls(&stage)), (Some(143), 1), "{finished}");
    assert!(stage.run_record().1.contains(r#""ended": "stopped""#));
}
