//! The negative control: a candidate that is known to be bad goes through the same steps, and must be stopped. A control that
//! passes says that the gate is broken, with an exit code of its own.

use e2e::docker_registry::{Access, DockerRegistry};
use e2e::evidence::{TEST_RESULT, statement};
use e2e::openssl::KeyPair;
use e2e::pipeline::{Pipeline, ends, result};
use e2e::reader::Reader;
use e2e::release::Release;
use granary_testkit::process::Run;

struct Control {
    registry: DockerRegistry,
    keys: KeyPair,
}

impl Control {
    fn new() -> Self {
        Self { registry: DockerRegistry::start(Access::Open), keys: KeyPair::generate() }
    }

    /// A candidate of which the tests say this.
    fn published(&self, path: &str, status: &str) -> (Release<'_>, Pipeline) {
        let release = Release::of_one(&self.registry, path, 1, 11, &self.keys);
        let pipeline = release.pipeline();
        let _ = release.publish(&pipeline);
        pipeline
            .write("results.json", &format!(r#"{{"tests": [{{"name": "answers", "status": "{status}"}}]}}"#));
        (release, pipeline)
    }

    fn report(&self, pipeline: &Pipeline) -> Run {
        let settings = [
            ("mode", "report"),
            ("results", "results.json"),
            ("signing_key", self.keys.private.as_str()),
            ("negative_control", "true"),
        ];
        pipeline.step("integration-test", &settings)
    }

    fn tags(&self, release: &Release<'_>) -> Vec<String> {
        Reader::new(&self.registry).tags(&release.repository("api"))
    }
}

#[test]
fn a_bad_candidate_that_is_stopped_is_what_was_wanted() {
    let control = Control::new();
    let (release, pipeline) = control.published("bad", "failed");
    let reported = ends(&control.report(&pipeline), 0);
    let set = result(&reported, "integration-test", "set");
    let reader = Reader::new(&control.registry);
    let evidence = statement(&reader, &release.repository("api"), &set, TEST_RESULT, &control.keys.public);
    assert_eq!(evidence["predicate"]["result"], "FAILED", "{reported}");

    let before = control.tags(&release);
    let stopped = ends(&release.promote_step(&pipeline, &[("negative_control", "true")]), 0);
    assert_eq!(result(&stopped, "promote", "outcome"), "unchanged", "{stopped}");
    assert_eq!(control.tags(&release), before, "a control writes nothing");
    // The same without the setting: what a real candidate would have met.
    drop(ends(&release.promote_step(&release.pipeline(), &[]), 14));
}

#[test]
fn a_bad_candidate_without_evidence_is_stopped_too() {
    let control = Control::new();
    let (release, _pipeline) = control.published("untested", "failed");
    let fresh = release.pipeline();
    drop(ends(&release.promote_step(&fresh, &[("negative_control", "true")]), 0));
}

#[test]
fn a_control_that_passes_is_an_alarm() {
    let control = Control::new();
    let (release, pipeline) = control.published("good", "passed");
    let alarm = ends(&control.report(&pipeline), 16);
    assert!(alarm.stderr.contains("control"), "{alarm}");

    // Evidence that says PASSED, which promote would believe.
    let fresh = release.pipeline();
    drop(fresh.passes(&control.keys));
    let before = control.tags(&release);
    let alarm = ends(&release.promote_step(&fresh, &[("negative_control", "true")]), 16);
    assert!(alarm.stderr.contains("control"), "{alarm}");
    assert_eq!(control.tags(&release), before, "a control writes nothing, least of all a version");
    let dry = [("negative_control", "true"), ("dry_run", "true")];
    drop(ends(&release.promote_step(&release.pipeline(), &dry), 16));
}

#[test]
fn tests_that_did_not_run_prove_nothing_about_the_gate() {
    let control = Control::new();
    let (_, pipeline) = control.published("silent", "failed");
    std::fs::remove_file(pipeline.workspace().join("results.json")).unwrap();
    let code = control.report(&pipeline).output();
    assert!(matches!(code.code, Some(13 | 20)), "{code}");
}

#[test]
fn a_registry_that_does_not_answer_proves_nothing_about_the_gate() {
    let control = Control::new();
    let (release, _pipeline) = control.published("away", "failed");
    let settings = [("negative_control", "true"), ("retries", "0")];
    let nobody = release.pipeline_at("127.0.0.1:9");
    drop(ends(&release.promote_step(&nobody, &settings), 12));
    // Nor does a candidate that is not there: it was refused to nobody.
    let missing = Release::of_one(&control.registry, "nowhere", 1, 11, &control.keys);
    let answer = missing.promote_step(&missing.pipeline(), &settings).output();
    assert!(answer.code != Some(0) && answer.code != Some(16), "{answer}");
}
