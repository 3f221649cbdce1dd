//! What a step leaves for readers and other programs, results as TAP, and results that are too old.

use crate::support::{Stage, leaving, results};

/// A script that leaves this text as its results, then ends with this code.
fn writing(text: &str, code: u8) -> String {
    format!("cat > \"$1\" <<'END'\n{text}END\nexit {code}\n")
}

#[test]
fn files_are_written_whatever_the_verdict_and_hold_no_secret() {
    let text = r#"{"tests":[
        {"suite":"login","name":"with open-sesame","status":"failed","message":"open-sesame <b>|\nsecond line"},
        {"name":"again","status":"flaky"},
        {"name":"fine","status":"passed","seconds":2}
    ]}
"#;
    let stage = Stage::new()
        .tests(&writing(text, 1))
        .set("env", r#"{"TOKEN":"open-sesame"}"#)
        .set("junit_file", "out/junit.xml")
        .set("summary_file", "out/summary.md");
    let finished = stage.output();
    assert_eq!(finished.code, Some(13), "{}", finished.stderr);
    let (junit, summary) = (stage.read("out/junit.xml"), stage.read("out/summary.md"));
    for text in [&junit, &summary, &finished.stdout, &finished.stderr] {
        assert!(!text.contains("sesame"), "{text}");
    }
    assert!(junit.contains(r#"<testcase classname="login" name="with ***" time="0.000">"#), "{junit}");
    assert!(junit.contains(r#"message="*** &lt;b&gt;|""#), "{junit}");
    assert!(summary.starts_with("# Integration tests: FAILED\n"), "{summary}");
    assert!(summary.contains("| Tests | 1 passed, 1 flaky, 1 failed, 0 skipped in "), "{summary}");
    let said = "FAILED login::with ***: *** <b>|\nFLAKY again\nSLOWEST  TEST\n2.00s    fine\nFAILED the test command ended with exit code 1\n";
    assert!(finished.stdout.contains(said), "{}", finished.stdout);
}

#[test]
fn tests_that_left_nothing_are_an_error_in_the_files() {
    let stage = Stage::new().tests("exit 3").set("junit_file", "junit.xml").set("summary_file", "summary.md");
    assert_eq!(stage.output().code, Some(13));
    let junit = stage.read("junit.xml");
    assert!(junit.contains(r#"tests="1" failures="0" errors="1""#), "{junit}");
    assert!(stage.read("summary.md").starts_with("# Integration tests: FAILED\n"));
}

#[test]
fn a_file_that_cannot_be_written_is_known_before_the_tests() {
    for setting in ["junit_file", "summary_file"] {
        let stage = Stage::new().tests("touch ran").set(setting, "blocked/file");
        stage.write("blocked", "a file, and no folder");
        let finished = stage.output();
        assert_eq!(finished.code, Some(2), "{}", finished.stderr);
        let said = format!("error: `{setting}` cannot be written\n");
        assert!(finished.stderr.starts_with(&said), "{}", finished.stderr);
        assert!(!stage.has("ran"));
    }
    let stage = Stage::new().tests("touch ran").set("junit_file", "./results.json");
    let finished = stage.output();
    assert_eq!(finished.code, Some(2));
    let said = "junit_file: `results` reads `results.json`, which this file is one of";
    assert!(finished.stderr.contains(said), "{}", finished.stderr);
    assert!(!stage.has("ran"));
}

#[test]
fn a_file_that_cannot_be_written_any_more_hides_no_failure() {
    for (test, code, expected) in [("a=failed", 1, 13), ("a=passed", 0, 2)] {
        let script = format!("mkdir summary.md\n{}", leaving(&results(&[test]), code));
        let finished = Stage::new().tests(&script).set("summary_file", "summary.md").output();
        assert_eq!(finished.code, Some(expected), "{}", finished.stderr);
        assert!(finished.stderr.contains("`summary_file` cannot be written"), "{}", finished.stderr);
    }
}

#[test]
fn a_dry_run_leaves_the_files_alone() {
    let stage = Stage::new().tests("exit 0").set("junit_file", "junit.xml").set("dry_run", "true");
    stage.write("junit.xml", "what was there");
    assert_eq!(stage.output().code, Some(0));
    assert_eq!(stage.read("junit.xml"), "what was there");
}

#[test]
fn tap_is_read_and_its_plan_counts() {
    let good =
        "TAP version 14\nok 1 - adds\n# Subtest: cart\n    ok 1 - holds\n    1..1\nok 2 - cart\n1..2\n";
    let finished = Stage::new().tests(&writing(good, 0)).set("required_tests", "cart::*").output();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert!(finished.stdout.contains("PASSED: 2 passed, 0 failed, 0 skipped"), "{}", finished.stdout);
    let table = [
        ("1..3\nok 1 - adds\n", "results.json: planned 3 tests, ran 1"),
        ("1..1\nok 1 - adds\nBail out! no database\n", "results.json: the tests bailed out: no database"),
    ];
    for (text, expected) in table {
        let finished = Stage::new().tests(&writing(text, 0)).set("results_format", "tap").output();
        assert_eq!(finished.code, Some(13), "{}", finished.stderr);
        assert!(finished.stderr.starts_with(&format!("error: {expected}\n")), "{}", finished.stderr);
    }
}

#[test]
fn results_older_than_allowed_count_for_nothing() {
    let text = r#"{"finishedOn":"2026-11-21T06:31:00Z","tests":[{"name":"a","status":"passed"}]}"#;
    let finished = Stage::new().report(text).set("max_results_age", "1m").output();
    assert_eq!(finished.code, Some(13), "{}", finished.stderr);
    let said = "error: the results are from 2026-11-21T06:31:00Z, ";
    assert!(finished.stderr.starts_with(said), "{}", finished.stderr);
    assert!(finished.stderr.contains("`max_results_age` is 1m00s"), "{}", finished.stderr);
    let finished = Stage::new().report(&results(&["a=passed"])).set("max_results_age", "1h").output();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
}
