use std::path::Path;

use insta::assert_snapshot;

use super::*;
use crate::results::{Format, Rules, TestOutcome, decide, parse};

const EVIL: &str = "a|b`c` </code>[x](http://evil) <img src=x>\"'&\\| ]]>";

fn test(name: &str, status: Status, millis: u64, message: Option<&str>) -> Test {
    Test {
        name: name.to_owned(),
        status,
        duration: (millis > 0).then(|| Duration::from_millis(millis)),
        message: message.map(str::to_owned),
    }
}

fn outcome(tests: Vec<Test>) -> Outcome {
    Outcome { tests, started: Some("2026-11-21T12:00:00Z".parse().unwrap()), ..Outcome::default() }
}

/// What is rendered of an outcome, as JUnit XML and as Markdown, with `hunter2` for a secret.
fn rendered(outcome: &Outcome, decision: &Decision) -> (String, String) {
    let content = Content {
        candidate: "0.1.146-rc.87".to_owned(),
        commit: "7a77c5932e35c13bf0bf61a33f757b21d41692b5".to_owned(),
        set: "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned(),
        environment: "integration",
        pipeline_url: Some("https://ci.example.com/repos/1/pipeline/87"),
        took: Some(Duration::from_millis(4200)),
        attempts: 2,
        judged: "2026-11-21T12:00:09Z".parse().unwrap(),
        outcome,
        decision,
        redact: &|text| text.replace("hunter2", "***"),
    };
    (junit::render(&content), markdown::render(&content))
}

fn read_back(xml: &str) -> Outcome {
    parse(xml.as_bytes(), Some(Format::Junit), Path::new("junit.xml")).unwrap()
}

#[test]
fn what_is_written() {
    let mut outcome = outcome(vec![
        test("login::accepts a good password", Status::Passed, 250, None),
        test("login::refuses a bad one", Status::Failed, 1500, Some("got 200, wanted 401\n  at login.rs:7")),
        test("browser", Status::Skipped, 0, Some("no display")),
        test("database", Status::Error, 0, None),
        test("net::connects", Status::Flaky, 20, Some("connection refused")),
        test("net::again", Status::Passed, 0, None),
    ]);
    outcome.problems.push("results.tap: planned 9 tests, ran 6".to_owned());
    let mut decision = decide(&outcome, &Rules::default());
    decision.flaky(&["net::again"].into());
    let (xml, markdown) = rendered(&outcome, &decision);
    assert_snapshot!(xml, @r##"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="integration-test" tests="7" failures="1" errors="2" skipped="1" time="4.200">
      <testsuite name="integration" tests="5" failures="1" errors="1" skipped="0" time="1.770" timestamp="2026-11-21T12:00:00Z">
        <properties>
          <property name="result" value="FAILED"/>
          <property name="candidate" value="0.1.146-rc.87"/>
          <property name="commit" value="7a77c5932e35c13bf0bf61a33f757b21d41692b5"/>
          <property name="set" value="sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"/>
          <property name="attempts" value="2"/>
          <property name="url" value="https://ci.example.com/repos/1/pipeline/87"/>
        </properties>
        <testcase classname="login" name="accepts a good password" time="0.250"/>
        <testcase classname="login" name="refuses a bad one" time="1.500">
          <failure type="failure" message="got 200, wanted 401">got 200, wanted 401&#10;  at login.rs:7</failure>
        </testcase>
        <testcase classname="net" name="connects" time="0.020">
          <flakyFailure message="connection refused"/>
        </testcase>
        <testcase classname="net" name="again" time="0.000">
          <flakyFailure message="it failed before, and passed when the tests were repeated"/>
        </testcase>
        <testcase classname="integration-test" name="as a whole" time="0">
          <error message="results.tap: planned 9 tests, ran 6"/>
        </testcase>
      </testsuite>
      <testsuite name="" tests="2" failures="0" errors="1" skipped="1" time="0.000" timestamp="2026-11-21T12:00:00Z">
        <testcase name="browser" time="0.000">
          <skipped message="no display"/>
        </testcase>
        <testcase name="database" time="0.000">
          <error type="error" message="no message"/>
        </testcase>
      </testsuite>
    </testsuites>
    "##);
    assert_snapshot!(markdown, @r"
    # Integration tests: FAILED

    | | |
    | --- | --- |
    | Tests | 1 passed, 2 flaky, 2 failed, 1 skipped in 4.20s |
    | Candidate | `0.1.146-rc.87` |
    | Commit | `7a77c5932e35c13bf0bf61a33f757b21d41692b5` |
    | Set | `sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08` |
    | Environment | `integration` |
    | Attempts | 2 |
    | Pipeline | <https://ci.example.com/repos/1/pipeline/87> |

    ## What is wrong

    - `results.tap: planned 9 tests, ran 6`

    ## Failed tests

    | Test | Message |
    | --- | --- |
    | `login::refuses a bad one` | `got 200, wanted 401` |
    | `database` | `no message` |

    ## Flaky tests

    - `net::again`
    - `net::connects`

    ## Slowest tests

    | Time | Test |
    | --- | --- |
    | 1.50s | `login::refuses a bad one` |
    | 0.25s | `login::accepts a good password` |
    | 0.02s | `net::connects` |
    ");
    let read = read_back(&xml);
    let statuses: Vec<_> = read.tests.iter().map(|test| (test.name.as_str(), test.status)).collect();
    assert_eq!(
        statuses,
        [
            ("login::accepts a good password", Status::Passed),
            ("login::refuses a bad one", Status::Failed),
            ("net::connects", Status::Flaky),
            ("net::again", Status::Flaky),
            ("integration-test::as a whole", Status::Error),
            ("browser", Status::Skipped),
            ("database", Status::Error),
        ]
    );
    assert_eq!(read.problems, [""; 0]);
}

#[test]
fn every_name_is_read_back_as_it_was() {
    let names = ["command", "a::b::c", "test::of node", "::odd", "odd::", "a::::b", "a b [x::y]", "suite"];
    let outcome = outcome(names.iter().map(|name| test(name, Status::Passed, 0, None)).collect());
    let (xml, _) = rendered(&outcome, &decide(&outcome, &Rules::default()));
    let mut read: Vec<String> = read_back(&xml).tests.into_iter().map(|test| test.name).collect();
    let mut names = names.map(str::to_owned);
    read.sort();
    names.sort();
    assert_eq!(read, names);
}

#[test]
fn foreign_text_stays_text() {
    let name = format!("suite::{EVIL}");
    let outcome = outcome(vec![test(&name, Status::Failed, 1, Some(&format!("{EVIL}\n# {EVIL}")))]);
    let mut decision = decide(&outcome, &Rules::default());
    decision.object(EVIL);
    let (xml, markdown) = rendered(&outcome, &decision);
    let read = read_back(&xml);
    assert_eq!(read.tests[0].name, name);
    assert_eq!(read.tests[0].message.as_deref(), Some(EVIL));
    assert_eq!(read.tests.len(), 2);
    for line in markdown.lines().filter(|line| line.contains("evil")) {
        // Entities only: no mark of theirs is one of ours.
        let inside = line.replace("<code>", "").replace("</code>", "");
        assert!(!inside.contains(['`', '<', '>', '[', ']', '(', '"', '\\']), "{line}");
        assert!(matches!(line.matches('|').count(), 0 | 3), "{line}");
    }
    assert!(!markdown.contains("\n# a"), "{markdown}");
}

#[test]
fn secrets_are_masked_before_anything_is_escaped_or_cut() {
    let long = format!("{}hunter2", "x".repeat(MAX_MESSAGE - 1));
    let tests = vec![
        test("login::hunter2", Status::Failed, 1, Some("hunter2 & more\nhunter2")),
        test("long", Status::Error, 0, Some(&long)),
        test("flaky hunter2", Status::Flaky, 0, Some("hunter2")),
    ];
    let outcome = outcome(tests);
    let mut decision = decide(&outcome, &Rules::default());
    decision.object("the hunter2 is out");
    let (xml, markdown) = rendered(&outcome, &decision);
    for text in [&xml, &markdown] {
        assert!(!text.contains("hunter"), "{text}");
    }
    assert_eq!((xml.matches("***").count(), markdown.matches("&#42;&#42;&#42;").count()), (7, 5));
    assert!(xml.contains("xxx* […]"), "{xml}");
}

#[test]
fn a_run_without_results_is_an_error_for_whoever_reads_tests() {
    let (xml, markdown) =
        rendered(&Outcome::default(), &Decision::nothing_counts("the test command took longer".to_owned()));
    let read = read_back(&xml);
    assert_eq!((read.tests.len(), read.tests[0].status), (1, Status::Error));
    assert_eq!(decide(&read, &Rules::default()).result, TestOutcome::Failed);
    assert!(markdown.contains("- `the test command took longer`"), "{markdown}");
}

#[test]
fn tables_have_an_end() {
    let tests = (0..250).map(|number| test(&format!("t{number:03}"), Status::Failed, 10, None)).collect();
    let outcome = outcome(tests);
    let (xml, markdown) = rendered(&outcome, &decide(&outcome, &Rules::default()));
    assert_eq!(read_back(&xml).tests.len(), 250);
    assert_eq!(markdown.matches("no message").count(), 100);
    assert!(markdown.contains("\nand 150 more\n"));
}

#[test]
fn files_that_are_results_are_refused() {
    let files = |junit: &str, summary: &str| Files {
        junit: (!junit.is_empty()).then(|| junit.into()),
        summary: (!summary.is_empty()).then(|| summary.into()),
    };
    let results = ["out/*.xml".to_owned(), "./results.json".to_owned()];
    let conflicts = |junit: &str, summary: &str| {
        let found = files(junit, summary).conflicts(&results);
        found.into_iter().map(|(setting, reason)| format!("{setting}: {reason}")).collect::<Vec<_>>()
    };
    assert_eq!(conflicts("junit.xml", "summary.md"), [""; 0]);
    assert_eq!(
        conflicts("out/deep/junit.xml", "out/summary.md"),
        ["junit_file: `results` reads `out/*.xml`, which this file is one of"]
    );
    assert_eq!(
        conflicts("./out/a.xml", ""),
        ["junit_file: `results` reads `out/*.xml`, which this file is one of"]
    );
    assert_eq!(
        conflicts("", "results.json"),
        ["summary_file: `results` reads `./results.json`, which this file is one of"]
    );
    assert_eq!(conflicts("a", "./a"), ["summary_file: `junit_file` is the same"]);
    assert_eq!(conflicts("..", ""), ["junit_file: it names no file"]);
    assert_eq!(
        conflicts("x/../results.json", "./.granary/x.md"),
        [
            "junit_file: `results` reads `./results.json`, which this file is one of",
            "summary_file: what is in `.granary` is this program's own"
        ]
    );
}

#[test]
fn what_cannot_be_written_is_known_before_the_tests() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| Some(place.path().join(name));
    std::fs::write(place.path().join("file"), "").unwrap();
    std::fs::write(place.path().join("old.md"), "old").unwrap();
    let good = Files { junit: at("new/junit.xml"), summary: at("old.md") };
    let check = |files: &Files| files.check(&[], place.path());
    check(&good).unwrap();
    assert!(place.path().join("old.md").exists(), "it may be somebody else's, and is replaced in the end");
    let bad = check(&Files { junit: at("file/junit.xml"), summary: None }).unwrap_err();
    assert_eq!((bad.kind(), bad.to_string().as_str()), (Kind::Settings, "`junit_file` cannot be written"));
    let bad = check(&Files { junit: None, summary: at("new") }).unwrap_err();
    assert_eq!(bad.to_string(), "`summary_file` cannot be written");

    // One that becomes impossible meanwhile does not keep the other one back.
    let outcome = outcome(vec![test("a", Status::Passed, 0, None)]);
    let decision = decide(&outcome, &Rules::default());
    let content = Content {
        candidate: String::new(),
        commit: String::new(),
        set: String::new(),
        environment: "e",
        pipeline_url: None,
        took: None,
        attempts: 1,
        judged: Timestamp::UNIX_EPOCH,
        outcome: &outcome,
        decision: &decision,
        redact: &str::to_owned,
    };
    good.write(&content).unwrap();
    assert!(
        std::fs::read_to_string(place.path().join("new/junit.xml")).unwrap().ends_with("</testsuites>\n")
    );
    let half = Files { junit: at("file/junit.xml"), summary: at("other.md") };
    assert_eq!(half.write(&content).unwrap_err().kind(), Kind::Settings);
    assert!(place.path().join("other.md").exists());
}
