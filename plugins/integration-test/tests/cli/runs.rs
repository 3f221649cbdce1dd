//! Mode `run`: what a command and its results say together.

use granary_testkit::process::Finished;
use insta::assert_snapshot;

use crate::support::{COMMIT, Stage, image, leaving, results};

fn code_and_result(finished: &Finished) -> (Option<i32>, String) {
    let result = finished.json(".granary/integration-test.json");
    (finished.code, result["outcome"].as_str().unwrap().to_owned())
}

#[test]
fn tests_that_pass_let_the_candidate_through() {
    let stage = Stage::new().tests(&leaving(&results(&["login=passed", "browser=skipped"]), 0));
    let finished = stage.output();
    assert_snapshot!(crate::support::shown(&finished), @r#"
    exit 0
    --- stdout
    testing 0.1.146-rc.87 of commit 7a77c5932e35c13bf0bf61a33f757b21d41692b5, set [DIGEST]
    running sh tests.sh results.json
    PASSED: 1 passed, 0 failed, 1 skipped in [TIME]
    no evidence: a step with `mode: report` and `signing_key` makes it
    integration-test: done in [TIME]
    "#);
    let result = finished.json(".granary/integration-test.json");
    let lead = stage.found.set.lead();
    assert_eq!(
        result,
        serde_json::json!({
            "plugin": "integration-test", "outcome": "done", "exit_code": 0, "commit": COMMIT,
            "set": stage.found.digest.to_string(), "version": "0.1.146", "candidate": "0.1.146-rc.87",
            "lead": "app", "result": "PASSED", "passed": 1, "warned": 0, "failed": 0, "skipped": 1,
            "attempts": 1,
            "artifacts": [{
                "name": "app", "repository": format!("{}/acme/app", stage.registry.host()),
                "digest": lead.digest.to_string(), "tags": ["0.1.146-rc.87"],
            }],
        })
    );
    let requests: Vec<String> = stage.registry.requests().iter().map(ToString::to_string).collect();
    assert_eq!(
        requests,
        [
            format!("GET /v2/acme/app/manifests/set-{COMMIT} 200"),
            "HEAD /v2/acme/app/manifests/0.1.146-rc.87 200".to_owned(),
            "HEAD /v2/acme/app/manifests/0.1.146-rc.87 200".to_owned(),
        ]
    );
}

#[test]
fn failed_tests_are_listed_with_their_messages() {
    let tests = ["login=passed", "pay=failed", "db=error"];
    let stage = Stage::new().tests(&leaving(&results(&tests), 1));
    assert_snapshot!(stage.shown(), @r#"
    exit 13
    --- stdout
    testing 0.1.146-rc.87 of commit 7a77c5932e35c13bf0bf61a33f757b21d41692b5, set [DIGEST]
    running sh tests.sh results.json
    FAILED pay: pay is failed
    FAILED db: db is error
    FAILED the test command ended with exit code 1
    FAILED: 1 passed, 2 failed, 0 skipped in [TIME]
    no evidence: a step with `mode: report` and `signing_key` makes it
    --- stderr
    error: 2 of 3 tests failed
    hint: the failed tests and their messages are listed above
    "#);
}

#[test]
fn an_exit_code_that_contradicts_good_results_counts() {
    let stage = Stage::new().tests(&leaving(&results(&["login=passed"]), 3));
    assert_snapshot!(stage.shown(), @r#"
    exit 13
    --- stdout
    testing 0.1.146-rc.87 of commit 7a77c5932e35c13bf0bf61a33f757b21d41692b5, set [DIGEST]
    running sh tests.sh results.json
    FAILED the test command ended with exit code 3
    FAILED: 1 passed, 0 failed, 0 skipped in [TIME]
    no evidence: a step with `mode: report` and `signing_key` makes it
    --- stderr
    error: the test command ended with exit code 3
    hint: look at the command's output above, and at which tests it selects
    "#);
}

#[test]
fn results_that_contradict_a_good_exit_code_count() {
    let stage = Stage::new().tests(&leaving(&results(&["login=failed"]), 0));
    let finished = stage.output();
    assert_eq!(code_and_result(&finished), (Some(13), "failed".to_owned()));
    assert!(finished.stderr.starts_with("error: 1 of 1 test failed\n"), "{finished}");
}

#[test]
fn no_tests_are_no_success() {
    let stage = Stage::new().tests(&leaving(&results(&[]), 0));
    assert_snapshot!(stage.shown(), @r#"
    exit 13
    --- stdout
    testing 0.1.146-rc.87 of commit 7a77c5932e35c13bf0bf61a33f757b21d41692b5, set [DIGEST]
    running sh tests.sh results.json
    FAILED no test ran: the results name none
    FAILED: 0 passed, 0 failed, 0 skipped in [TIME]
    no evidence: a step with `mode: report` and `signing_key` makes it
    --- stderr
    error: no test ran: the results name none
    hint: look at the command's output above, and at which tests it selects
    "#);
    let skipped = Stage::new().tests(&leaving(&results(&["a=skipped", "b=skipped"]), 0)).output();
    assert_eq!(skipped.code, Some(13), "{skipped}");
    assert!(skipped.stderr.starts_with("error: no test ran: all 2 were skipped\n"), "{skipped}");
}

#[test]
fn no_results_are_no_success() {
    assert_snapshot!(Stage::new().tests("exit 7").shown(), @r#"
    exit 13
    --- stdout
    testing 0.1.146-rc.87 of commit 7a77c5932e35c13bf0bf61a33f757b21d41692b5, set [DIGEST]
    running sh tests.sh results.json
    --- stderr
    error: there are no usable test results
      cause 1: the tests left no results in results.json
    hint: `results` names the files that the tests write, relative to the step's folder
    hint: the test command ended with exit code 7; its output is above
    "#);
}

#[test]
fn results_of_an_earlier_run_count_for_nothing() {
    let stage = Stage::new().tests("exit 0");
    stage.write("results.json", &results(&["login=passed"]));
    assert_snapshot!(stage.shown(), @r#"
    exit 13
    --- stdout
    testing 0.1.146-rc.87 of commit 7a77c5932e35c13bf0bf61a33f757b21d41692b5, set [DIGEST]
    running sh tests.sh results.json
    --- stderr
    error: the tests left results.json as it was before they ran
    hint: results of an earlier run count for nothing; let the tests write them anew
    "#);
}

#[test]
fn results_that_break_off_are_none() {
    let whole = results(&["login=passed", "pay=passed"]);
    let stage = Stage::new().tests(&format!("printf '%s' '{}' > \"$1\"", &whole[..40]));
    assert_snapshot!(stage.shown(), @r#"
    exit 20
    --- stdout
    testing 0.1.146-rc.87 of commit 7a77c5932e35c13bf0bf61a33f757b21d41692b5, set [DIGEST]
    running sh tests.sh results.json
    --- stderr
    error: there are no usable test results
      cause 1: results.json cannot be used
      cause 2: 1:40: EOF while parsing a string
    hint: results are read whole or not at all; were the tests stopped while they wrote them?
    "#);
    let broken_off = "were the tests stopped while they wrote them?";
    let other = "hint: `results_format` says what is in them; see docs.md, Results";
    for (text, hint) in [
        ("<testsuite tests=\"2\"><testcase name=\"login\"/>", broken_off),
        ("<testsuite tests=\"2\"><testcase name=\"lo", broken_off),
        ("", broken_off),
        ("<a/>", other),
        (r#"{"tests":[{"name":"login","status":"ok"}]}"#, other),
    ] {
        let finished = Stage::new().tests(&leaving(text, 0)).output();
        assert_eq!(finished.code, Some(20), "{finished}");
        assert!(finished.stderr.contains(hint), "{text}: {finished}");
    }
}

#[test]
fn results_about_something_else_are_refused() {
    let other = format!("sha256:{}", "ab".repeat(32));
    let text = format!(r#"{{"digest":"{other}","tests":[{{"name":"login","status":"passed"}}]}}"#);
    assert_snapshot!(Stage::new().tests(&leaving(&text, 0)).shown(), @r#"
    exit 20
    --- stdout
    testing 0.1.146-rc.87 of commit 7a77c5932e35c13bf0bf61a33f757b21d41692b5, set [DIGEST]
    running sh tests.sh results.json
    --- stderr
    error: the results are about [DIGEST], which is not under test
    hint: under test is set [DIGEST]; remove results that an earlier run left
    "#);

    let image = image("linux/amd64");
    let text = text.replace(&other, image.digest());
    let ours = Stage::new().tests(&leaving(&text, 0)).output();
    assert_eq!(ours.code, Some(0), "{ours}");
}

#[test]
fn the_exit_code_alone_is_a_test_where_it_is_asked_for() {
    for (script, code, outcome) in [("exit 0", 0, "done"), ("exit 4", 13, "failed")] {
        let stage = Stage::new();
        stage.write("tests.sh", script);
        let stage = stage.set("command", "sh tests.sh").set("results_format", "exit-code");
        let finished = stage.output();
        assert_eq!(code_and_result(&finished), (Some(code), outcome.to_owned()), "{finished}");
        assert_eq!(finished.stdout.contains("FAILED command: exit code 4\n"), code == 13, "{finished}");
    }
}

#[test]
fn required_tests_must_have_passed() {
    let stage = Stage::new().tests(&leaving(&results(&["login=passed", "pay=skipped"]), 0));
    let stage = stage.set("required_tests", "login,pay,order::*");
    assert_snapshot!(stage.shown(), @r#"
    exit 13
    --- stdout
    testing 0.1.146-rc.87 of commit 7a77c5932e35c13bf0bf61a33f757b21d41692b5, set [DIGEST]
    running sh tests.sh results.json
    FAILED test `pay` was skipped, and `required_tests` asks for `pay`
    FAILED no test matches `order::*`, which `required_tests` asks for
    FAILED: 1 passed, 0 failed, 1 skipped in [TIME]
    no evidence: a step with `mode: report` and `signing_key` makes it
    --- stderr
    error: test `pay` was skipped, and `required_tests` asks for `pay`
    hint: look at the command's output above, and at which tests it selects
    "#);
    let met = Stage::new().tests(&leaving(&results(&["login=passed"]), 0)).set("required_tests", "log*");
    assert_eq!(met.output().code, Some(0));
}

#[test]
fn skipped_tests_can_be_limited() {
    let tests = results(&["login=passed", "a=skipped", "b=skipped"]);
    for (most, code) in [("1", 13), ("2", 0)] {
        let finished = Stage::new().tests(&leaving(&tests, 0)).set("max_skipped", most).output();
        assert_eq!(finished.code, Some(code), "{finished}");
        let said = finished.stderr.contains("2 tests skipped, `max_skipped` allows 1");
        assert_eq!(said, code == 13, "{finished}");
    }
}

#[test]
fn placeholders_name_what_is_under_test() {
    let (api, web) = (image("linux/amd64"), image("linux/arm64"));
    let members = [("api", "acme/api", &api), ("web", "acme/web", &web)];
    let stage = Stage::on(Default::default(), &members)
        .tests("shift; printf '%s\\n' \"$@\" > words\n")
        .set("repo", "acme/{name}")
        .set("lead", "api")
        .set(
            "command",
            "sh tests.sh {results} {image} {image:web} {tag} {digest} {digest:web} {version} {candidate} '{results} x'",
        );
    assert_eq!(stage.output().code, Some(13), "the script writes no results");
    let host = stage.registry.host();
    let (api, web) = (api.digest(), web.digest());
    let expected = format!(
        "{host}/acme/api@{api}\n{host}/acme/web@{web}\n0.1.146-rc.87\n{api}\n{web}\n0.1.146\n0.1.146-rc.87\nresults.json x\n"
    );
    assert_eq!(stage.read("words"), expected);

    let unknown = stage.set("command", "sh tests.sh {image:db}");
    assert_snapshot!(unknown.shown(), @r#"
    exit 2
    --- stdout
    testing 0.1.146-rc.87 of commit 7a77c5932e35c13bf0bf61a33f757b21d41692b5, set [DIGEST]
    --- stderr
    error: `command` cannot be filled in
      cause 1: `{image:db}` names no member of the release set, its members are api, web
    "#);
}

#[test]
fn a_dry_run_prints_the_plan_and_runs_nothing() {
    let stage = Stage::new().tests("touch ran").set("teardown", "touch torn-down").set("dry_run", "true");
    assert_snapshot!(stage.shown(), @r#"
    exit 0
    --- stdout
    plan: test 0.1.146-rc.87 (commit 7a77c5932e35c13bf0bf61a33f757b21d41692b5, set [DIGEST])
      run sh tests.sh results.json
    integration-test: planned in [TIME]
    "#);
    assert!(!stage.has("ran") && !stage.has("torn-down"));
    assert_eq!(stage.registry.count(granary_testkit::registry::Request::is_write), 0);
}

#[test]
fn a_dry_run_of_a_report_needs_no_results() {
    let stage = Stage::new().report("").set("dry_run", "true").set("attach", "all");
    assert_snapshot!(stage.shown(), @r#"
    exit 0
    --- stdout
    plan: test 0.1.146-rc.87 (commit 7a77c5932e35c13bf0bf61a33f757b21d41692b5, set [DIGEST])
      read the results that an earlier step left
      attach signed evidence to the set and to acme/app
    integration-test: planned in [TIME]
    "#);
    assert_eq!(stage.registry.count(granary_testkit::registry::Request::is_write), 0);
}

#[test]
fn a_command_that_does_not_exist_is_named() {
    let stage = Stage::new().set("command", "./run-tests.sh").set("results", "results.json");
    assert_snapshot!(stage.shown(), @r#"
    exit 13
    --- stdout
    testing 0.1.146-rc.87 of commit 7a77c5932e35c13bf0bf61a33f757b21d41692b5, set [DIGEST]
    running ./run-tests.sh
    --- stderr
    error: the test command could not be started: `./run-tests.sh` was not found in [WORKSPACE]
    hint: the plugin's own image has no shell and no tools: run it in an image that has your toolchain and this binary, or run the tests in a `commands` step and use `mode: report`
    "#);
}
