//! The record that a run leaves, and what a report makes of it.

use granary_attest::test_result::{Outcome, TestResult};
use granary_testkit::git::Repository;
use granary_testkit::image::MANIFEST;
use serde_json::{Value, json};

use crate::support::{COMMIT, Stage, key, leaving, results, step};

/// What another step left, whatever it is called.
const RECORD: &str = ".granary/integration-test-runs/0123456789ab.json";

fn record(stage: &Stage) -> Value {
    serde_json::from_str(&stage.run_record().1).unwrap()
}

/// The record of a run that passed at the first try, changed.
fn a_report(tests: &[&str], change: impl FnOnce(&mut Value)) -> Stage {
    let stage = Stage::new().report(&results(tests));
    let mut record = json!({
        "schema": "https://celestium.life/granary/integration-test-run/v1", "commit": COMMIT,
        "set": stage.found.digest.to_string(), "command": "sh run.sh", "attempts": 1,
        "results": ["results.json"], "resultsFormat": "auto", "junitFile": null,
        "startedOn": "2026-11-21T06:31:00Z", "finishedOn": "2026-11-21T06:32:00Z", "ended": "exited",
        "exitCode": 0, "passed": true, "problems": [], "flaky": [], "somethingNew": 1,
    });
    change(&mut record);
    stage.write(RECORD, &record.to_string());
    stage
}

fn signed(stage: &Stage) -> TestResult {
    let mut found = stage.evidence("acme/app", stage.found.digest.as_str());
    assert_eq!(found.len(), 1);
    found.remove(0).result
}

#[test]
fn a_run_says_how_it_ended() {
    let table = [
        (leaving(&results(&["a=passed"]), 0), 0, json!(["exited", 0, true, []])),
        (
            leaving(&results(&["a=passed"]), 3),
            13,
            json!(["exited", 3, false, ["the test command ended with exit code 3"]]),
        ),
        (leaving(&results(&["a=failed"]), 0), 13, json!(["exited", 0, false, []])),
        ("exit 4".to_owned(), 13, json!(["exited", 4, false, ["there are no usable test results"]])),
        (
            "kill -KILL $$".to_owned(),
            13,
            json!([
                "killed",
                null,
                false,
                [
                    "the test command was killed by signal 9, which is what the kernel does when memory runs out"
                ]
            ]),
        ),
    ];
    for (script, code, expected) in table {
        let stage = Stage::new().tests(&script);
        let finished = stage.output();
        assert_eq!(finished.code, Some(code), "{finished}");
        let record = record(&stage);
        let told = json!([record["ended"], record["exitCode"], record["passed"], record["problems"]]);
        assert_eq!(told, expected, "{script}");
        assert_eq!((&record["set"], &record["attempts"]), (&stage.found.digest.as_str().into(), &1.into()));
        assert_eq!((&record["results"], &record["command"]), (&json!(["results.json"]), &Value::Null));
    }
}

#[test]
fn a_run_that_is_killed_is_on_record_as_unfinished() {
    let stage = Stage::new().tests("echo up; sleep 300");
    let leash = granary_testkit::process::Leash::default();
    let running = stage.run.clone().leash(&leash).spawn();
    crate::support::wait_until("the tests are up", || running.stdout().contains("up\n"));
    leash.kill();
    let finished = running.wait();
    assert_eq!(finished.signal, Some(9), "{finished}");
    assert_eq!(record(&stage)["ended"], "unfinished");
    let report = Stage { run: step(&stage.registry).current_dir(stage.run.workspace()), ..stage };
    let report = report.report(&results(&["a=passed"]));
    let finished = report.output();
    assert_eq!(finished.code, Some(13), "{finished}");
    assert!(
        finished
            .stderr
            .contains("error: the tests did not run to their end: the step that ran the tests was killed")
    );
    assert_eq!(signed(&report).result, Outcome::Failed);
}

#[test]
fn a_record_adds_attempts_and_flaky_tests() {
    let plain = a_report(&["a=passed", "b=passed"], |_| {});
    assert_eq!(plain.output().code, Some(0));
    assert_eq!((signed(&plain).result, signed(&plain).run.attempts), (Outcome::Passed, 1));
    assert_eq!(signed(&plain).run.started_on.to_string(), "2026-11-21T06:31:00Z");
    // What a shell made of a command may hold a secret, so nobody signs it.
    let mut named = signed(&plain).configuration.into_iter().filter_map(|it| it.name);
    assert!(!named.any(|name| name.contains("run.sh")));

    let flaky = a_report(&["a=passed", "b=passed"], |record| {
        (record["attempts"], record["flaky"]) = (3.into(), json!(["b"]));
    });
    let finished = flaky.output();
    assert_eq!(finished.code, Some(0), "{finished}");
    let evidence = signed(&flaky);
    assert_eq!((evidence.result, evidence.run.attempts), (Outcome::Warned, 3));
    assert_eq!((evidence.passed_tests, evidence.warned_tests), (vec!["a".to_owned()], vec!["b".to_owned()]));

    let nameless = a_report(&["a=passed"], |record| record["attempts"] = 2.into());
    assert_eq!(nameless.output().code, Some(0));
    assert_eq!(signed(&nameless).result, Outcome::Warned);
}

#[test]
fn a_record_never_makes_anything_better() {
    type Case = (&'static [&'static str], fn(&mut Value), &'static str);
    let failing: [Case; 8] = [
        (&["a=failed"], |_| {}, "1 of 1 test failed"),
        (&["a=failed"], |record| record["flaky"] = json!(["a"]), "1 of 1 test failed"),
        (&["a=skipped"], |_| {}, "no test ran"),
        (&["a=passed"], |record| record["exitCode"] = 3.into(), "says that their command failed"),
        (&["a=passed"], |record| record["passed"] = false.into(), "says that they failed"),
        (&["a=passed"], |record| record["problems"] = json!(["it smells"]), "run.json: it smells"),
        (
            &["a=passed"],
            |record| {
                record["problems"] = json!(["no test matches `login*`, which `required_tests` asks for"]);
            },
            "run.json: no test matches `login*`, which `required_tests` asks for",
        ),
        (
            &["a=passed"],
            |record| record["flaky"] = json!(["z"]),
            "the results do not name 1 test, such as `z`",
        ),
    ];
    for (tests, change, said) in failing {
        let stage = a_report(tests, change);
        // What the record says and the results do not is told from what this step was asked.
        let said = &said.replace("run.json", &format!("error: {RECORD}"));
        let finished = stage.output();
        assert_eq!(finished.code, Some(13), "{said}: {finished}");
        assert!(finished.stderr.contains(said), "{said}: {finished}");
        assert_eq!(signed(&stage).result, Outcome::Failed, "{said}");
    }
    // A report has no command, so there is no output of one to look at.
    let finished = Stage::new().report(&results(&[])).output();
    let hint = "\nhint: look at the output of the step that ran the tests, and at which tests it selects\n";
    assert!(finished.code == Some(13) && finished.stderr.contains(hint), "{finished}");
    for ended in ["killed", "timed-out", "not-started", "not-ready", "stopped", "unfinished"] {
        let stage = a_report(&["a=passed"], |record| record["ended"] = ended.into());
        let finished = stage.output();
        assert_eq!(finished.code, Some(13), "{ended}: {finished}");
        assert!(finished.stderr.contains("the tests did not run to their end"), "{ended}: {finished}");
        assert_eq!((signed(&stage).result, signed(&stage).passed_tests.len()), (Outcome::Failed, 0));
    }
}

#[test]
fn a_record_of_something_else_is_refused() {
    let other = a_report(&["a=passed"], |record| record["set"] = format!("sha256:{}", "0".repeat(64)).into());
    let finished = other.output();
    assert_eq!(finished.code, Some(20), "{finished}");
    assert!(finished.stderr.contains("which is not under test"), "{finished}");
    assert_eq!(other.evidence_count(), 0);

    let old = a_report(&["a=passed"], |record| record["finishedOn"] = "2026-11-20T06:32:00Z".into());
    let finished = old.output();
    assert_eq!(finished.code, Some(13), "{finished}");
    assert!(finished.stderr.contains("before the candidate was published on"), "{finished}");

    let broken: [&dyn Fn(&mut Value); 5] = [
        &|record| record["schema"] = "v9".into(),
        &|record| record["attempts"] = 0.into(),
        &|record| record["startedOn"] = "yesterday".into(),
        &|record| record["ended"] = "well".into(),
        &|record| *record = json!([]),
    ];
    for change in broken {
        let stage = a_report(&["a=passed"], change);
        let finished = stage.output();
        assert_eq!(finished.code, Some(20), "{finished}");
        assert!(finished.stderr.contains("error: the record of the test run cannot be used"), "{finished}");
        assert_eq!(signed(&stage).result, Outcome::Failed);
    }
}

#[test]
fn a_record_in_the_repository_is_nobodys_run() {
    let written = a_report(&["a=passed"], |_| {});
    let mut repository = Repository::new();
    let commit = repository.commit(RECORD, &written.read(RECORD), "first");
    let mut set = written.found.set.clone();
    set.commit = commit.parse().unwrap();
    let manifest = set.to_manifest();
    written.registry.put_manifest(
        "acme/app",
        &[&format!("set-{commit}")],
        MANIFEST,
        manifest.bytes().to_vec(),
    );
    std::fs::write(repository.path().join("results.json"), results(&["a=passed"])).unwrap();
    let finished = step(&written.registry)
        .current_dir(repository.path())
        .env("CI_COMMIT_SHA", &commit)
        .plugin("mode", "report")
        .plugin("results", "results.json")
        .plugin("signing_key", &key().to_pem())
        .output();
    assert_eq!(finished.code, Some(13), "{finished}");
    assert!(
        finished.stderr.contains("was not written by this pipeline, it is what the commit has"),
        "{finished}"
    );
}

#[test]
fn a_run_that_may_be_repeated_needs_a_place_for_its_record() {
    let stage = |attempts: &str| {
        let stage = Stage::new().tests(&leaving(&results(&["a=passed"]), 0)).set("attempts", attempts);
        // Nobody, root included, makes a folder there.
        std::os::unix::fs::symlink("/proc/no-such-folder", stage.run.workspace().join(".granary")).unwrap();
        stage
    };
    let several = stage("2").output();
    assert_eq!(several.code, Some(2), "{several}");
    assert!(several.stderr.contains("error: the record of this run cannot be written"), "{several}");
    assert!(!several.stdout.contains("running"), "{several}");
    let one = stage("1").output();
    assert_eq!(one.code, Some(0), "{one}");
}
