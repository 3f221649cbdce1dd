//! How tests are ended, and what runs all the same.

use std::time::Duration;

use granary_testkit::process::{Finished, Signal};
use insta::assert_snapshot;

use crate::support::{Stage, key, leaving, results, shown, wait_until};

const TEARDOWN: &str = "sh teardown.sh {tag}";

/// A test that starts another process and waits for it, and a teardown.
fn hanging() -> Stage {
    let stage = Stage::new().tests("sleep 300 & echo $! > pid; echo up; wait").set("teardown", TEARDOWN);
    stage.write("teardown.sh", "echo \"$1\" > torn-down\n");
    stage
}

/// The process of which the test left the number.
fn lives(stage: &Stage) -> bool {
    let pid = stage.read("pid");
    std::fs::exists(format!("/proc/{}", pid.trim())).unwrap()
}

fn assert_cleaned_up(stage: &Stage, finished: &Finished) {
    assert!(!lives(stage), "{finished}");
    assert_eq!(stage.read("torn-down"), "0.1.146-rc.87\n");
}

#[test]
fn tests_that_take_too_long_are_ended_with_all_that_they_started() {
    let stage = hanging().set("timeout", "3s");
    let finished = stage.output();
    assert_snapshot!(shown(&finished), @r#"
    exit 13
    --- stdout
    testing 0.1.146-rc.87 of commit 7a77c5932e35c13bf0bf61a33f757b21d41692b5, set [DIGEST]
    running sh tests.sh results.json
    | up
    torn down
    --- stderr
    error: the test command took longer than it may, and was ended after [TIME]
    hint: `timeout` is the time for the whole step, a part of which is kept for what comes after the tests
    "#);
    assert_cleaned_up(&stage, &finished);
    // Three eighths of a short step are kept for teardown and evidence, the eighth of the rest for the ending.
    let tests = finished.duration.as_secs_f64();
    assert!((1.6..3.0).contains(&tests), "{tests}");
}

#[test]
fn a_stop_ends_the_tests_and_tears_down_in_time() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let stage = hanging();
        let running = stage.run.spawn();
        wait_until("the tests are up", || running.stdout().contains("up\n"));
        running.signal(signal);
        let finished = running.wait();
        assert_eq!(finished.code, Some(code), "{finished}");
        assert!(finished.duration < Duration::from_secs(20), "{finished}");
        assert_cleaned_up(&stage, &finished);
        let result = finished.json(".granary/integration-test.json");
        assert_eq!((&result["outcome"], &result["exit_code"]), (&"failed".into(), &code.into()));
        if signal == Signal::TERM {
            assert_snapshot!(shown(&finished), @r#"
            exit 143
            --- stdout
            testing 0.1.146-rc.87 of commit 7a77c5932e35c13bf0bf61a33f757b21d41692b5, set [DIGEST]
            running sh tests.sh results.json
            | up
            SIGTERM: stopping before the next step
            torn down
            done so far:
              torn down
            --- stderr
            error: stopped by SIGTERM
            hint: run it again: what is complete is not done again
            "#);
        }
    }
}

#[test]
fn tests_that_do_not_listen_are_killed_in_time() {
    let stage = Stage::new().tests("trap '' TERM; echo up; while :; do sleep 1; done");
    let stage = stage.set("teardown", TEARDOWN);
    stage.write("teardown.sh", "trap '' TERM; echo \"$1\" > torn-down; while :; do sleep 1; done\n");
    let running = stage.run.spawn();
    wait_until("the tests are up", || running.stdout().contains("up\n"));
    running.signal(Signal::TERM);
    let finished = running.wait();
    assert_eq!(finished.code, Some(143), "{finished}");
    assert!(finished.duration < Duration::from_secs(20), "{finished}");
    assert_eq!(stage.read("torn-down"), "0.1.146-rc.87\n");
}

#[test]
fn a_teardown_that_fails_hides_nothing() {
    let failing = |tests: &str| {
        let stage = Stage::new().tests(&leaving(&results(&[tests]), 0)).set("teardown", TEARDOWN);
        stage.write("teardown.sh", "echo cleaning; exit 9\n");
        stage
    };
    assert_snapshot!(failing("login=failed").shown(), @r#"
    exit 13
    --- stdout
    testing 0.1.146-rc.87 of commit 7a77c5932e35c13bf0bf61a33f757b21d41692b5, set [DIGEST]
    running sh tests.sh results.json
    | cleaning
    FAILED login: login is failed
    FAILED: 0 passed, 1 failed, 0 skipped in [TIME]
    no evidence: a step with `mode: report` and `signing_key` makes it
    --- stderr
    warning: the teardown ended with exit code 9; what it should have removed may still be there
    error: 1 of 1 test failed
    hint: the failed tests and their messages are listed above
    "#);
    let passed = failing("login=passed").output();
    assert_eq!(passed.code, Some(0), "{passed}");
    assert!(passed.stderr.contains("warning: the teardown ended with exit code 9"), "{passed}");
}

#[test]
fn a_teardown_that_hangs_costs_no_evidence() {
    let stage = Stage::new()
        .tests(&leaving(&results(&["login=passed"]), 0))
        .set("signing_key", &key().to_pem())
        .set("teardown", TEARDOWN)
        .set("timeout", "8s");
    stage.write("teardown.sh", "trap '' TERM; while :; do sleep 1; done\n");
    let finished = stage.output();
    assert_eq!(finished.code, Some(0), "{finished}");
    assert!(finished.stderr.contains("warning: the teardown was ended: it ran longer than "), "{finished}");
    assert!(finished.duration < Duration::from_secs(8), "{finished}");
    assert_eq!(stage.evidence_count(), 2, "{finished}");
}

#[test]
fn a_teardown_runs_where_the_command_could_not_be_started() {
    let stage = Stage::new().set("command", "no-such-program").set("results", "results.json");
    let stage = stage.set("teardown", TEARDOWN);
    stage.write("teardown.sh", "echo \"$1\" > torn-down\n");
    assert_eq!(stage.output().code, Some(13));
    assert_eq!(stage.read("torn-down"), "0.1.146-rc.87\n");
}

#[test]
fn what_the_tests_leave_running_is_ended_before_the_results_are_read() {
    let stage =
        Stage::new().tests(&format!("sleep 300 & echo $! > pid\n{}", leaving(&results(&["a=passed"]), 0)));
    let finished = stage.output();
    assert_eq!(finished.code, Some(0), "{finished}");
    assert!(finished.stdout.contains("the tests left processes running, now ended: 1\n"), "{finished}");
    assert!(!lives(&stage));
}
