//! Mode `install`, and the copy that it leaves for a `commands` step.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use granary_attest::test_result::Outcome;
use granary_testkit::image::Image;
use granary_testkit::process::{Run, Signal};
use granary_testkit::registry::Options;
use insta::assert_snapshot;
use serde_json::Value;

use crate::support::{COMMIT, Stage, image, key, leaving, results, shown, step, wait_until};

const COPY: &str = ".granary/bin/integration-test";
const CANDIDATE: &str = ".granary/bin/candidate.json";

fn installed(stage: Stage) -> Stage {
    let stage = stage.set("mode", "install");
    let finished = stage.output();
    assert_eq!(finished.code, Some(0), "{finished}");
    stage
}

/// The copy, as a later step of the same pipeline calls it: no settings, no credentials, flags by hand.
fn copy(stage: &Stage, script: &str) -> Run {
    copy_by(Run::new(stage.run.workspace().join(COPY)), stage, script)
}

fn copy_by(run: Run, stage: &Stage, script: &str) -> Run {
    stage.write("tests.sh", script);
    let run = run.current_dir(stage.run.workspace());
    run.envs([
        ("CI", "woodpecker"),
        ("CI_PIPELINE_EVENT", "push"),
        ("CI_COMMIT_SHA", COMMIT),
        ("CI_REPO", "Acme/App"),
    ])
    .arg("--command=sh tests.sh {results} {image} {digest}")
    .arg("--results=results.json")
}

/// The step after it, which signs.
fn reporting(stage: Stage) -> Stage {
    let run = stage.run.clone().without_prefix("PLUGIN_").plugin("registry", &stage.registry.host());
    Stage { run, ..stage }.set("mode", "report").set("signing_key", &key().to_pem())
}

fn edit(stage: &Stage, change: impl FnOnce(&mut Value)) {
    let mut json: Value = serde_json::from_str(&stage.read(CANDIDATE)).unwrap();
    change(&mut json);
    stage.write(CANDIDATE, &json.to_string());
}

#[test]
fn a_copy_runs_the_tests_without_registry_and_the_report_signs() {
    let stage = Stage::new().set("mode", "install").set("username", "ci").set("password", "hunter2-registry");
    let finished = stage.output();
    assert_snapshot!(shown(&finished), @r#"
    exit 0
    --- stdout
    installing for 0.1.146-rc.87 of commit 7a77c5932e35c13bf0bf61a33f757b21d41692b5, set [DIGEST]
    installed [WORKSPACE]/.granary/bin/integration-test, and candidate.json beside it
    integration-test: done in [TIME]
    "#);
    let mode = |name: &str| stage.run.workspace().join(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(COPY), mode(CANDIDATE), mode(".granary")), (0o755, 0o644, 0o777));
    assert!(!stage.read(CANDIDATE).contains("hunter2"));
    let asked = stage.registry.requests().len();

    let script =
        format!("echo \"$2 $3\" > seen; env > environment; {}", leaving(&results(&["login=passed"]), 0));
    let finished = copy(&stage, &script).output();
    assert_snapshot!(shown(&finished), @r#"
    exit 0
    --- stdout
    testing 0.1.146-rc.87 of commit 7a77c5932e35c13bf0bf61a33f757b21d41692b5, set [DIGEST]
    running sh tests.sh results.json [HOST]/acme/app@[DIGEST] [DIGEST]
    PASSED: 1 passed, 0 failed, 0 skipped in [TIME]
    no evidence: a step with `mode: report` and `signing_key` makes it
    integration-test: done in [TIME]
    "#);
    let lead = stage.found.set.lead();
    let expected = format!("{}/acme/app@{} {}\n", stage.registry.host(), lead.digest, lead.digest);
    assert_eq!(stage.read("seen"), expected);
    assert!(stage.read("environment").contains("CI_COMMIT_SHA="));
    assert_eq!(stage.registry.requests().len(), asked, "the copy asks no registry");

    let report = reporting(stage).set("results", "results.json");
    let finished = report.output();
    assert_eq!(finished.code, Some(0), "{finished}");
    let evidence = &report.evidence("acme/app", report.found.digest.as_str())[0].result;
    assert_eq!(
        (evidence.result, evidence.run.key_exposed, evidence.run.attempts),
        (Outcome::Passed, false, 1)
    );
    let names: Vec<&str> = evidence.configuration.iter().filter_map(|it| it.name.as_deref()).collect();
    assert_eq!(names, ["environment integration", "results results.json"]);
}

#[test]
fn attempts_of_a_copy_are_known_to_the_report() {
    let stage = installed(Stage::new());
    let script = format!(
        "echo >> calls; if [ $(wc -l < calls) = 1 ]; then {}; fi\n{}",
        "printf '%s' '{\"tests\":[{\"name\":\"pay\",\"status\":\"failed\"}]}' > \"$1\"; exit 1",
        leaving(&results(&["pay=passed"]), 0)
    );
    let finished = copy(&stage, &script).arg("--attempts=2").output();
    assert_eq!(finished.code, Some(0), "{finished}");
    let report = reporting(stage).set("results", "results.json");
    let finished = report.output();
    assert_eq!(finished.code, Some(0), "{finished}");
    assert!(finished.stderr.contains("warning: `pay` passed only in attempt 2"), "{finished}");
    let evidence = &report.evidence("acme/app", report.found.digest.as_str())[0].result;
    assert_eq!((evidence.result, evidence.run.attempts), (Outcome::Warned, 2));
    assert_eq!((evidence.warned_tests.as_slice(), evidence.passed_tests.len()), (&["pay".to_owned()][..], 0));
}

#[test]
fn a_command_without_results_is_reported_by_what_the_copy_writes() {
    for (script, code, result) in [("exit 0", 0, Outcome::Passed), ("exit 4", 13, Outcome::Failed)] {
        let stage = installed(Stage::new());
        stage.write("tests.sh", script);
        let by_exit_code = Run::new(stage.run.workspace().join(COPY)).current_dir(stage.run.workspace());
        let by_exit_code = by_exit_code
            .envs([("CI", "woodpecker"), ("CI_COMMIT_SHA", COMMIT), ("CI_REPO", "Acme/App")])
            .arg("--command=sh tests.sh")
            .arg("--results-format=exit-code")
            .arg("--junit-file=results.xml");
        let finished = by_exit_code.output();
        assert_eq!(finished.code, Some(code), "{finished}");
        let report = reporting(stage).set("results", "results.xml");
        let finished = report.output();
        assert_eq!(finished.code, Some(code), "{finished}");
        let evidence = &report.evidence("acme/app", report.found.digest.as_str())[0].result;
        assert_eq!(evidence.result, result);
    }
}

#[test]
fn results_may_name_the_platform_that_ran() {
    let index = Image::index(&[image("linux/amd64"), image("linux/arm64")]);
    let stage = installed(
        Stage::on(Options::default(), &[("app", "acme/app", &index)]).set("platforms", "linux/arm64"),
    );
    let naming = |digest: &str| {
        leaving(&format!(r#"{{"digest":"{digest}","tests":[{{"name":"login","status":"passed"}}]}}"#), 0)
    };
    for (ran, code) in [("linux/arm64", 0), ("linux/amd64", 20)] {
        let finished = copy(&stage, &naming(image(ran).digest())).output();
        assert_eq!(finished.code, Some(code), "{ran}: {finished}");
    }
}

#[test]
fn what_lies_beside_the_copy_must_fit() {
    let script = "touch ran";
    let refused = |change: &dyn Fn(&mut Value), said: &str| {
        let stage = installed(Stage::new());
        edit(&stage, |json| change(json));
        let finished = copy(&stage, script).output();
        assert_eq!(finished.code, Some(20), "{said}: {finished}");
        assert!(finished.stderr.contains(said), "{said}: {finished}");
        assert!(!stage.has("ran"));
    };
    refused(&|json| json["set"] = format!("sha256:{}", "0".repeat(64)).into(), "names set sha256:0000");
    refused(
        &|json| json["manifest"] = json["manifest"].as_str().unwrap().replace("acme/app", "evil/app").into(),
        "and holds sha256:",
    );
    refused(&|json| json["pipelineCommit"] = "c".repeat(40).into(), "was left by a pipeline of commit cccc");
    refused(&|json| json["schema"] = "v2".into(), "has no usable `schema`");
    refused(&|json| json["registry"] = "not a host/".into(), "has no usable `registry`");
    refused(&|json| *json = Value::from(1), "is not what mode `install` writes");

    let stage = installed(Stage::new());
    stage.write(CANDIDATE, &" ".repeat(16 * 1024 * 1024 + 1));
    let finished = copy(&stage, script).output();
    assert!(finished.code == Some(20) && finished.stderr.contains("is larger than"), "{finished}");
    std::fs::remove_file(stage.run.workspace().join(CANDIDATE)).unwrap();
    let finished = copy(&stage, script).output();
    assert_eq!(finished.code, Some(2), "{finished}");
    assert!(finished.stderr.contains("registry: required, set PLUGIN_REGISTRY or --registry"), "{finished}");
    assert!(finished.stderr.contains("/candidate.json, which is not there"), "{finished}");
}

#[test]
fn a_copy_signs_nothing_and_may_still_be_told_a_registry() {
    let stage = installed(Stage::new());
    stage.write("tests.key", &key().to_pem());
    let passing = leaving(&results(&["a=passed"]), 0);
    let signing = copy(&stage, &passing).arg("--signing-key-file=tests.key").output();
    assert_eq!(signing.code, Some(2), "{signing}");
    assert!(signing.stderr.contains("registry: required"), "{signing}");
    assert_eq!(stage.evidence_count(), 0);
    let before = stage.registry.requests().len();
    let told = copy(&stage, &passing).arg("--registry").arg(&stage.registry.host()).output();
    assert_eq!(told.code, Some(0), "{told}");
    assert!(stage.registry.requests().len() > before);
}

#[test]
fn a_copy_is_stopped_as_the_plugin_is() {
    let stage = installed(Stage::new());
    let running = copy(&stage, "setsid sleep 300 & echo $! > pid; echo up; wait").spawn();
    wait_until("the tests are up", || running.stdout().contains("up\n"));
    running.signal(Signal::TERM);
    let finished = running.wait();
    assert_eq!(finished.code, Some(143), "{finished}");
    assert!(!Path::new("/proc").join(stage.read("pid").trim()).exists(), "{finished}");
}

#[test]
fn only_a_place_in_the_workspace_or_an_absolute_one_is_installed_to() {
    let elsewhere = tempfile::tempdir().unwrap();
    let stage = || Stage::new().set("mode", "install");

    // A link in the place of the file is replaced, what it leads to stays.
    let linked = stage();
    linked.write(".granary/bin/keep", "");
    let victim = elsewhere.path().join("victim");
    std::fs::write(&victim, "mine").unwrap();
    symlink(&victim, linked.run.workspace().join(COPY)).unwrap();
    assert_eq!(linked.output().code, Some(0));
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "mine");
    assert!(linked.run.workspace().join(COPY).symlink_metadata().unwrap().is_file());
    assert_eq!(linked.output().code, Some(0), "a second time");

    // A link in the place of a folder is not followed out of the workspace.
    let folder = stage();
    std::fs::create_dir(folder.run.workspace().join(".granary")).unwrap();
    symlink(elsewhere.path(), folder.run.workspace().join(".granary/bin")).unwrap();
    let finished = folder.output();
    assert_eq!(finished.code, Some(2), "{finished}");
    assert!(finished.stderr.contains("error: refusing to install to "), "{finished}");
    assert!(!elsewhere.path().join("candidate.json").exists());

    for (to, code) in [("tools/it", 0), ("../it", 2), ("tools", 2)] {
        let stage = stage().set("install_to", to);
        std::fs::create_dir(stage.run.workspace().join("tools")).unwrap();
        let finished = stage.output();
        assert_eq!(finished.code, Some(code), "{to}: {finished}");
    }
    let absolute = elsewhere.path().join("bin/it");
    let finished = stage().set("install_to", absolute.to_str().unwrap()).output();
    assert!(finished.code == Some(0) && absolute.is_file(), "{finished}");
}

#[test]
fn nothing_is_installed_for_a_candidate_that_does_not_fit_or_by_a_dry_run() {
    let moved = Stage::new().set("mode", "install");
    moved.registry.put_image("acme/app", &[crate::support::CANDIDATE], &image("linux/arm64"));
    assert_eq!(moved.output().code, Some(11));
    let dry = Stage::new().set("mode", "install").set("dry_run", "true");
    assert_snapshot!(dry.shown(), @r#"
    exit 0
    --- stdout
    plan: install for 0.1.146-rc.87 (commit 7a77c5932e35c13bf0bf61a33f757b21d41692b5, set [DIGEST])
      write [WORKSPACE]/.granary/bin/integration-test and candidate.json beside it
    integration-test: planned in [TIME]
    "#);
    assert!(!moved.has(COPY) && !dry.has(COPY));
}

#[test]
fn what_an_earlier_pipeline_recorded_does_not_survive() {
    let stage = Stage::new().tests(&leaving(&results(&["a=passed"]), 0));
    assert_eq!(stage.output().code, Some(0));
    let (own, text) = stage.run_record();
    let other = ".granary/integration-test-runs/0123456789ab.json";
    stage.write(other, &text.replace(stage.found.digest.as_str(), &format!("sha256:{}", "0".repeat(64))));
    let install = step(&stage.registry).current_dir(stage.run.workspace()).plugin("mode", "install");
    let finished = install.output();
    assert_eq!(finished.code, Some(0), "{finished}");
    assert!(!stage.has(other), "it would be taken for one of this pipeline");
    assert!(stage.has(&own), "it is one of this pipeline, and may say that tests failed");
}

#[test]
fn a_copy_works_for_any_user() {
    let stage = installed(Stage::new());
    let workspace = stage.run.workspace();
    let open = |folder: &Path| std::fs::set_permissions(folder, PermissionsExt::from_mode(0o777)).unwrap();
    // As Woodpecker's clone step leaves the workspace; the folder around it is the test's own.
    open(workspace);
    open(workspace.parent().unwrap());
    let is_root = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0;
    let own = workspace.join(COPY);
    let run = match is_root {
        true => {
            let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", own.to_str().unwrap()];
            nobody.iter().fold(Run::new("/usr/bin/setpriv"), |run, argument| run.arg(argument))
        }
        // Only root can become somebody else.
        false => Run::new(&own),
    };
    let finished = copy_by(run, &stage, &leaving(&results(&["login=passed"]), 0)).output();
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""), "{finished}");
    assert_eq!(finished.json(".granary/integration-test.json")["result"], "PASSED");
    assert!(stage.run_record().1.contains(r#""passed": true"#));
    // And the step after it, as the first user again.
    let report = reporting(stage).set("results", "results.json");
    let finished = report.output();
    assert_eq!(finished.code, Some(0), "{finished}");
}
