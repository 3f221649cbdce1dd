//! Runs that could look better than they were.

use granary_attest::test_result::{Outcome, TestResult};
use granary_testkit::image::MANIFEST;
use granary_testkit::process::Finished;

use crate::support::{COMMIT, Stage, key, leaving, results, step};

/// A step in the workspace of the ones before.
fn next(stage: &Stage, settings: &[(&str, &str)]) -> Finished {
    let run = step(&stage.registry).current_dir(stage.run.workspace());
    settings.iter().fold(run, |run, (name, value)| run.plugin(name, value)).output()
}

/// A step that reports these results.
fn report(stage: &Stage, results: &str) -> Finished {
    next(stage, &[("mode", "report"), ("results", results), ("signing_key", &key().to_pem())])
}

fn signed(stage: &Stage) -> TestResult {
    let mut found = stage.evidence("acme/app", stage.found.digest.as_str());
    assert_eq!(found.len(), 1);
    found.remove(0).result
}

#[test]
fn a_second_run_hides_nothing_of_the_first() {
    let passing = leaving(&results(&["b=passed"]), 0);
    let second = [("command", "sh second.sh b.json"), ("results", "b.json")];
    let flaky = format!(
        "echo >> calls; if [ $(wc -l < calls) = 1 ]; then exit 1; fi\n{}",
        leaving(&results(&["a=passed"]), 0)
    );
    let stage = Stage::new().tests(&flaky).set("attempts", "2").set("results", "a.json");
    stage.write("second.sh", &passing);
    assert_eq!(stage.output().code, Some(0));
    assert_eq!(next(&stage, &second).code, Some(0));
    assert_eq!(stage.run_records().len(), 2);
    let finished = report(&stage, "a.json,b.json");
    assert_eq!(finished.code, Some(0), "{finished}");
    assert_eq!((signed(&stage).result, signed(&stage).run.attempts), (Outcome::Warned, 2));
    // The same run once more replaces its own record and no other.
    assert_eq!(next(&stage, &second).code, Some(0));
    assert_eq!(stage.run_records().len(), 2);

    let ends = ["exit 7", "kill -KILL $$", "sleep 60"];
    for end in ends {
        let script = format!("printf '%s' '{}' > \"$1\"; {end}", results(&["a=passed"]));
        let stage = Stage::new().tests(&script).set("results", "out/a.json").set("timeout", "2s");
        stage.write("out/old.txt", "");
        stage.write("second.sh", &passing);
        assert_eq!(stage.output().code, Some(13), "{end}");
        assert_eq!(next(&stage, &[second[0], ("results", "b.json")]).code, Some(0));
        let finished = report(&stage, "out/*.json,b.json");
        assert_eq!(finished.code, Some(13), "{end}: {finished}");
        assert_eq!(signed(&stage).result, Outcome::Failed, "{end}");
        // A report of the second alone is not the first one's business.
        let finished = report(&stage, "b.json");
        assert_eq!(finished.code, Some(0), "{end}: {finished}");
        assert!(finished.stdout.contains(".json is about other results\n"), "{finished}");
    }
}

#[test]
fn tests_in_the_way_of_the_record_hide_no_failure() {
    let script = |test: &str, code| {
        let blocked =
            "for file in .granary/integration-test-runs/*; do rm -f \"$file\"; mkdir \"$file\"; done";
        format!("{blocked}\n{}", leaving(&results(&[test]), code))
    };
    let signing = Stage::new().tests(&script("a=failed", 1)).set("signing_key", &key().to_pem());
    let finished = signing.output();
    assert_eq!(finished.code, Some(13), "{finished}");
    assert_eq!(signed(&signing).result, Outcome::Failed);
    assert!(finished.stderr.contains("warning: the record of this run cannot be written"), "{finished}");
    for (test, code, expected) in [("a=failed", 1, 13), ("a=passed", 0, 2)] {
        let finished = Stage::new().tests(&script(test, code)).set("attempts", "2").output();
        // The second attempt cannot replace its own obstacle: `rm -f` leaves a folder where it is.
        assert_eq!(finished.code, Some(expected), "{finished}");
    }
}

#[test]
fn a_command_without_results_is_reported_by_its_junit_file() {
    let stage = Stage::new().set("command", "sh tests.sh").set("attempts", "2");
    let stage = stage.set("results_format", "exit-code").set("junit_file", "results.xml");
    stage.write("tests.sh", "echo >> calls; [ $(wc -l < calls) = 2 ]");
    let finished = stage.output();
    assert_eq!(finished.code, Some(0), "{finished}");
    let key = key().to_pem();
    let settings = [
        ("mode", "report"),
        ("results", "results.xml"),
        ("required_tests", "command"),
        ("signing_key", key.as_str()),
    ];
    let finished = next(&stage, &settings);
    assert_eq!(finished.code, Some(0), "{finished}");
    let evidence = signed(&stage);
    assert_eq!((evidence.result, evidence.run.attempts), (Outcome::Warned, 2));
    assert_eq!(evidence.warned_tests, ["command"]);
}

#[test]
fn what_pass_env_names_is_a_secret() {
    let script = format!("echo \"$TOKEN\"; {}", leaving(&results(&["login [hunter2-passed]=failed"]), 1));
    let stage = Stage::new()
        .tests(&script)
        .set("pass_env", "PATH,TOKEN")
        .set("junit_file", "junit.xml")
        .set("summary_file", "summary.md")
        .set("signing_key", &key().to_pem());
    let stage = Stage { run: stage.run.clone().env("TOKEN", "hunter2-passed"), ..stage };
    let finished = stage.output();
    assert_eq!(finished.code, Some(13), "{finished}");
    assert!(finished.stdout.contains("| ***\n"), "{finished}");
    let (junit, summary, record) = (stage.read("junit.xml"), stage.read("summary.md"), stage.run_record().1);
    for text in [&finished.stdout, &finished.stderr, &junit, &summary, &record] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    assert_eq!(signed(&stage).failed_tests, ["login [***]"]);
}

#[test]
fn a_teardown_neither_takes_results_nor_makes_them() {
    let taking = Stage::new().tests(&leaving(&results(&["a=passed"]), 0)).set("teardown", "rm results.json");
    let finished = taking.output();
    assert_eq!(finished.code, Some(0), "{finished}");
    assert!(!taking.has("results.json"));
    let making = Stage::new().tests("exit 0").set("teardown", "sh teardown.sh {results}");
    making.write("teardown.sh", &leaving(&results(&["a=passed"]), 0));
    let finished = making.output();
    assert_eq!(finished.code, Some(13), "{finished}");
    assert!(making.has("results.json"));
}

#[test]
fn no_line_of_the_tests_looks_like_one_of_ours() {
    let script = format!("echo 'evidence PASSED on acme/app'; {}", leaving(&results(&["a=failed"]), 1));
    let finished = Stage::new().tests(&script).output();
    assert!(finished.stdout.contains("\n| evidence PASSED on acme/app\n"), "{finished}");
}

#[test]
fn a_candidate_from_the_future_makes_no_results_young() {
    let stage = Stage::new().report(&results(&["a=passed"]));
    let mut set = stage.found.set.clone();
    set.created = "2999-01-01T00:00:00Z".parse().unwrap();
    let tag = format!("set-{COMMIT}");
    stage.registry.put_manifest("acme/app", &[&tag], MANIFEST, set.to_manifest().bytes().to_vec());
    let finished = stage.output();
    assert_eq!(finished.code, Some(15), "{finished}");
    assert!(finished.stderr.contains("hint: compare the clocks of this machine"), "{finished}");
}

#[test]
fn our_files_take_no_others_place_under_any_name() {
    let stage = |file: &str| {
        let stage = Stage::new().tests("touch ran").set("junit_file", file);
        stage.write("x/keep", "");
        std::os::unix::fs::symlink(".", stage.run.workspace().join("link")).unwrap();
        stage.write("results.json", "old");
        stage
    };
    let absolute = |stage: &Stage| stage.run.workspace().join("results.json").display().to_string();
    for file in ["x/../results.json", "link/results.json", ".granary/x.xml", "link/.granary/x.xml", ""] {
        let mut stage = stage(file);
        if file.is_empty() {
            let file = absolute(&stage);
            stage = stage.set("junit_file", &file);
        }
        let finished = stage.output();
        assert_eq!(finished.code, Some(2), "{file}: {finished}");
        assert!(finished.stderr.contains("junit_file"), "{file}: {finished}");
        assert!(!stage.has("ran") && stage.read("results.json") == "old", "{file}");
    }
    // Results that are a link: what it leads to is read.
    let stage = stage("x/real.json");
    stage.write("x/real.json", "old");
    let results = stage.run.workspace().join("results.json");
    std::fs::remove_file(&results).unwrap();
    std::os::unix::fs::symlink("x/real.json", results).unwrap();
    let finished = stage.output();
    assert_eq!(finished.code, Some(2), "{finished}");
    assert!(finished.stderr.contains("`junit_file` cannot be used: `results` reads "), "{finished}");
}
