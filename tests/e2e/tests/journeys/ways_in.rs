//! The three ways in: the plugin runs the tests, a commands step ran them, or a commands step runs them through the installed binary.
//! Whichever it was, a step of its own signs, and only that one has the key.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use e2e::docker_registry::{Access, DockerRegistry, PASSWORD};
use e2e::evidence::{TEST_RESULT, statement};
use e2e::openssl::KeyPair;
use e2e::pipeline::{Pipeline, ends, result};
use e2e::reader::Reader;
use e2e::release::Release;
use granary_testkit::process::{Finished, Run};
use serde_json::{Value, json};

const TEST_RUN: &str = "https://celestium.life/granary/test-run/v1";
const INSTALLED: &str = ".granary/bin/integration-test";

/// A test suite with one test that is well only when it is asked again.
const FLAKY: &str = r#"#!/bin/sh
# Usage: flaky.sh DIGEST RESULTS
set -eu
login=failed
[ -e been-here ] && login=passed
touch been-here
echo "login: $login"
cat >"$2.new" <<END
{"digest": "$1", "tests": [{"name": "answers", "status": "passed"}, {"name": "login", "status": "$login"}]}
END
mv "$2.new" "$2"
[ $login = passed ]
"#;

/// A suite whose test passes, and that leaves its results where it is told.
const STEADY: &str = r#"#!/bin/sh
set -eu
echo '{"tests": [{"name": "answers", "status": "passed"}]}' >"$1"
"#;

struct World {
    registry: DockerRegistry,
    keys: KeyPair,
}

impl World {
    fn new() -> Self {
        Self { registry: DockerRegistry::start(Access::Password), keys: KeyPair::generate() }
    }

    /// A published candidate of commit `id`.
    fn published(&self, path: &str) -> (Release<'_>, Pipeline) {
        let release = Release::of_one(&self.registry, path, 1, 11, &self.keys);
        let pipeline = release.pipeline();
        pipeline.write("flaky.sh", FLAKY);
        pipeline.write("steady.sh", STEADY);
        let _ = release.publish(&pipeline);
        (release, pipeline)
    }

    /// What is signed about the image, and the same about the set.
    fn evidence(&self, release: &Release<'_>, reported: &Finished) -> Value {
        let (reader, repository) = (Reader::new(&self.registry), release.repository("api"));
        let image = release.images()["api"].digest().to_owned();
        let set = result(reported, "integration-test", "set");
        let [about_image, about_set] = [image, set]
            .map(|digest| statement(&reader, &repository, &digest, TEST_RESULT, &self.keys.public));
        assert_eq!(about_image, about_set);
        about_set["predicate"].clone()
    }
}

/// integration-test, mode `run`, with a command.
fn run(pipeline: &Pipeline, command: &str, attempts: &str) -> Run {
    let settings =
        [("mode", "run"), ("command", command), ("results", "results.json"), ("attempts", attempts)];
    pipeline.step("integration-test", &settings)
}

/// Refused for its warnings, promoted once somebody has said that they may be.
fn is_promoted_only_where_warnings_are_allowed(release: &Release<'_>, pipeline: &Pipeline) {
    let refused = ends(&release.promote_step(pipeline, &[]), 14);
    let file = refused.json(".granary/promote.json");
    assert_eq!(file["refusal"]["rule"], "evidence.result", "{refused}");
    assert!(refused.stderr.contains("WARNED") && refused.stderr.contains("allow_warned"), "{refused}");
    drop(release.promote(pipeline, &[("allow_warned", "true")], "0.1.0"));
}

#[test]
fn run_then_report() {
    let world = World::new();
    let (release, pipeline) = world.published("run");
    let tested = ends(&run(&pipeline, "sh flaky.sh {digest} {results}", "3"), 0);
    assert!(
        tested.to_string().contains("login: failed") && tested.to_string().contains("login: passed"),
        "{tested}"
    );

    let reported = ends(&pipeline.report("results.json", &world.keys), 0);
    assert!(reported.stderr.contains("allow_warned"), "{reported}");
    let evidence = world.evidence(&release, &reported);
    assert_eq!(evidence["result"], "WARNED", "{evidence}");
    assert_eq!(evidence["warnedTests"], json!(["login"]), "{evidence}");
    assert_eq!(evidence["passedTests"], json!(["answers"]), "{evidence}");
    assert_eq!(evidence[TEST_RUN]["attempts"], 2, "{evidence}");
    assert_eq!(evidence[TEST_RUN]["keyExposed"], false, "{evidence}");
    is_promoted_only_where_warnings_are_allowed(&release, &pipeline);
}

#[test]
fn plain_commands_then_report() {
    let world = World::new();
    let (release, pipeline) = world.published("commands");
    drop(ends(&pipeline.commands("rm -f results.json\nsh steady.sh results.json"), 0));
    let reported = ends(&pipeline.report("results.json", &world.keys), 0);
    let evidence = world.evidence(&release, &reported);
    assert_eq!(evidence["result"], "PASSED", "{evidence}");
    assert_eq!(evidence[TEST_RUN]["attempts"], 1, "{evidence}");
    drop(release.promote(&pipeline, &[], "0.1.0"));
}

#[test]
fn install_then_commands_then_report() {
    let world = World::new();
    let (release, pipeline) = world.published("install");
    let installed = ends(&pipeline.step("integration-test", &[("mode", "install")]), 0);
    let binary = pipeline.workspace().join(INSTALLED);
    assert_eq!(fs::metadata(&binary).unwrap().permissions().mode() & 0o777, 0o755, "{installed}");
    let candidate = fs::read_to_string(pipeline.workspace().join(".granary/bin/candidate.json")).unwrap();
    assert!(!candidate.contains(PASSWORD), "{candidate}");

    // The registry wants a password, and the step that runs the tests has none.
    let script = format!(
        "{INSTALLED} --attempts 3 --results results.json --command 'sh flaky.sh {{digest}} {{results}}'"
    );
    let tested = ends(&pipeline.commands(&script), 0);
    assert!(tested.to_string().contains("login: failed"), "{tested}");

    let reported = ends(&pipeline.report("results.json", &world.keys), 0);
    let evidence = world.evidence(&release, &reported);
    assert_eq!(evidence["result"], "WARNED", "{evidence}");
    assert_eq!(evidence["warnedTests"], json!(["login"]), "{evidence}");
    assert_eq!(evidence[TEST_RUN]["attempts"], 2, "{evidence}");
    assert_eq!(evidence[TEST_RUN]["keyExposed"], false, "{evidence}");
    is_promoted_only_where_warnings_are_allowed(&release, &pipeline);
}

#[test]
fn tests_that_failed_through_the_installed_copy_are_signed_as_failed() {
    let world = World::new();
    let (release, pipeline) = world.published("failed");
    drop(ends(&pipeline.step("integration-test", &[("mode", "install")]), 0));
    // One attempt is not enough for it; `failure: ignore` lets the next step see that.
    let script = format!("{INSTALLED} --results results.json --command 'sh flaky.sh {{digest}} {{results}}'");
    drop(ends(&pipeline.commands(&script), 13));
    let reported = ends(&pipeline.report("results.json", &world.keys), 13);
    let evidence = world.evidence(&release, &reported);
    assert_eq!(evidence["result"], "FAILED", "{evidence}");
    assert_eq!(evidence["failedTests"], json!(["login"]), "{evidence}");
    // Without what the steps before left, as a pipeline of its own would: the registry alone says it.
    let refused = ends(&release.promote_step(&release.pipeline(), &[]), 14);
    assert!(refused.stderr.contains("FAILED"), "{refused}");
}

#[test]
fn a_command_that_fails_after_its_results_is_no_success_in_the_next_step() {
    let world = World::new();
    let (release, pipeline) = world.published("crashed");
    drop(ends(&pipeline.step("integration-test", &[("mode", "install")]), 0));
    let command = "sh -c \"sh steady.sh results.json; exit 3\"";
    drop(ends(&pipeline.commands(&format!("{INSTALLED} --results results.json --command '{command}'")), 13));
    let reported = ends(&pipeline.report("results.json", &world.keys), 13);
    assert_eq!(world.evidence(&release, &reported)["result"], "FAILED");
}

#[test]
fn install_holds_no_key() {
    let world = World::new();
    let (_, pipeline) = world.published("key");
    let settings = [("mode", "install"), ("signing_key", world.keys.private.as_str())];
    let refused = ends(&pipeline.step("integration-test", &settings), 2);
    assert!(refused.stderr.contains("signing_key"), "{refused}");
    assert!(!pipeline.workspace().join(INSTALLED).exists());
}

#[test]
fn what_was_run_for_another_candidate_is_not_reported_for_this_one() {
    let world = World::new();
    let (_, first) = world.published("mixed");
    drop(ends(&run(&first, "sh steady.sh {results}", "1"), 0));
    let (_, second) = world.published("mixed-up");
    let records = ".granary/integration-test-runs";
    fs::create_dir_all(second.workspace().join(records)).unwrap();
    for record in fs::read_dir(first.workspace().join(records)).unwrap() {
        let record = record.unwrap();
        fs::copy(record.path(), second.workspace().join(records).join(record.file_name())).unwrap();
    }
    second.write("results.json", r#"{"tests": [{"name": "answers", "status": "passed"}]}"#);
    let refused = ends(&second.report("results.json", &world.keys), 20);
    assert!(refused.stderr.contains("the record of the test run is about sha256:"), "{refused}");
}
