//! What the pipeline and the steps before say.

use std::path::PathBuf;

use granary_testkit::git::Repository;
use insta::assert_snapshot;

use crate::support::{COMMIT, Stage, image, leaving, results, step};

fn left_by_registry_push(stage: &Stage, outcome: &str, commit: &str, set: &str) {
    let result = serde_json::json!({
        "plugin": "registry-push", "outcome": outcome, "exit_code": 0, "commit": commit, "set": set,
        "version": "0.1.146", "candidate": "0.1.146-rc.87", "artifacts": [], "lead": "app",
    });
    stage.write(".granary/registry-push.json", &result.to_string());
}

#[test]
fn the_step_before_names_set_and_lead() {
    let (app, api) = (image("linux/amd64"), image("linux/arm64"));
    let members = [("app", "acme/app", &app), ("api", "acme/api", &api)];
    let stage = Stage::on(Default::default(), &members)
        .tests(&leaving(&results(&["a=passed"]), 0))
        .set("repo", "acme/{name}");
    let nobody = stage.output();
    assert_eq!(nobody.code, Some(2), "{nobody}");
    assert!(nobody.stderr.contains("`lead` is required"), "{nobody}");
    left_by_registry_push(&stage, "unchanged", COMMIT, stage.found.digest.as_str());
    let finished = stage.output();
    assert_eq!(finished.code, Some(0), "{finished}");
    let first = &stage.registry.requests()[0];
    assert_eq!(first.path, format!("/v2/acme/app/manifests/{}", stage.found.digest));
}

#[test]
fn nothing_is_tested_where_the_step_before_published_nothing() {
    let stage = Stage::new().tests("touch ran");
    left_by_registry_push(&stage, "skipped", COMMIT, "");
    assert_snapshot!(stage.shown(), @r#"
    exit 0
    --- stdout
    skipped: registry-push ended with outcome skipped
    integration-test: skipped in [TIME]
    "#);
    assert!(!stage.has("ran"));
    assert_eq!(stage.output().json(".granary/integration-test.json")["outcome"], "skipped");
}

#[test]
fn a_result_of_another_commit_is_refused() {
    let stage = Stage::new().tests("touch ran");
    left_by_registry_push(&stage, "done", &"b".repeat(40), stage.found.digest.as_str());
    assert_snapshot!(stage.shown(), @r#"
    exit 20
    --- stderr
    error: the result of an earlier step cannot be used
      cause 1: the result of registry-push is about commit bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb, not 7a77c5932e35c13bf0bf61a33f757b21d41692b5
    hint: let the earlier step run in the same pipeline, or remove its file
    "#);
    assert!(!stage.has("ran"));
    assert_eq!(stage.registry.requests().len(), 0);
}

#[test]
fn a_set_that_is_not_there_is_refused() {
    let stage = Stage::new().tests("touch ran");
    left_by_registry_push(&stage, "done", COMMIT, &format!("sha256:{}", "0".repeat(64)));
    let finished = stage.output();
    assert_eq!(finished.code, Some(20), "{finished}");
    assert!(!stage.has("ran"));
}

#[test]
fn nothing_published_is_nothing_tested() {
    let mut stage = Stage::new().tests("touch ran");
    stage.run = stage.run.env("CI_COMMIT_SHA", &"c".repeat(40));
    assert_snapshot!(stage.shown(), @r#"
    exit 13
    --- stderr
    error: there is nothing to test: no candidate of commit cccccccccccccccccccccccccccccccccccccccc in acme/app
    hint: registry-push publishes candidates; let it run before, or name one with `candidate`
    "#);
    let named = stage.set("candidate", "0.1.147-rc.1").output();
    assert_eq!(named.code, Some(13), "{named}");
    assert!(
        named.stderr.contains("there is nothing to test: no candidate 0.1.147-rc.1 in acme/app"),
        "{named}"
    );
}

#[test]
fn by_hand_a_candidate_is_named() {
    let stage = Stage::new();
    stage.write("results.json", &results(&["a=passed"]));
    stage.write("tests.key", &crate::support::key().to_pem());
    let (host, set) = (stage.registry.host(), stage.found.digest.to_string());
    for candidate in ["0.1.146-rc.87", &set] {
        let run = granary_testkit::process::Run::new(env!("CARGO_BIN_EXE_integration-test"))
            .current_dir(stage.run.workspace())
            .arg("--mode=report")
            .arg("--registry")
            .arg(&host)
            .arg("--repo=acme/app")
            .arg("--results=results.json")
            .arg("--signing-key-file=tests.key");
        let nothing = run.output();
        assert_eq!(nothing.code, Some(2), "{nothing}");
        assert!(
            nothing.stderr.contains("candidate: required, set PLUGIN_CANDIDATE or --candidate"),
            "{nothing}"
        );
        let finished = run.arg("--candidate").arg(candidate).output();
        assert_eq!(finished.code, Some(0), "{finished}");
        assert!(finished.stdout.contains("evidence PASSED on acme/app@"), "{finished}");
    }
}

#[test]
fn an_annotated_tag_leads_to_its_commit() {
    let mut repository = Repository::new();
    let commit = repository.commit("app", "1", "first");
    let object = repository.annotated_tag("v1.0.0", "release");
    assert_ne!(commit, object);
    let stage = Stage::new();
    let mut set = stage.found.set.clone();
    set.commit = commit.parse().unwrap();
    let manifest = set.to_manifest();
    let tag = format!("set-{commit}");
    stage.registry.put_manifest(
        "acme/app",
        &[&tag],
        granary_testkit::image::MANIFEST,
        manifest.bytes().to_vec(),
    );
    let run = step(&stage.registry)
        .current_dir(repository.path())
        .env("CI_PIPELINE_EVENT", "tag")
        .env("CI_COMMIT_REF", "refs/tags/v1.0.0")
        .env("CI_COMMIT_SHA", &object)
        .plugin("command", "true")
        .plugin("results_format", "exit-code");
    let finished = run.output();
    assert_eq!(finished.code, Some(0), "{finished}");
    assert_eq!(finished.json(".granary/integration-test.json")["commit"], commit);
}

/// What every recorded pipeline comes to when the candidate of [`COMMIT`] is published.
#[test]
fn every_recorded_event_comes_to_something_sensible() {
    let data =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../crates/plugin/tests/data/woodpecker-env");
    let table = [
        ("push", 0, ""),
        ("cron", 0, ""),
        ("deployment", 0, ""),
        ("tag", 0, ""),
        ("release", 0, ""),
        // A commit that nobody published.
        (
            "manual",
            13,
            "there is nothing to test: no candidate of commit 8a30957c2bd930246ed135442853c01725dc1b00",
        ),
        // The id of a tag object, and no repository to look it up in.
        ("tag-rc", 13, "hint: on an annotated tag that may be the id of the tag object"),
        ("pull_request", 10, "refusing to sign on event pull_request"),
    ];
    for (event, code, said) in table {
        let stage = Stage::new().report(&results(&["a=passed"]));
        let settings = ["mode", "results", "signing_key"].map(|name| {
            let value = match name {
                "mode" => "report".to_owned(),
                "results" => "results.json".to_owned(),
                _ => crate::support::key().to_pem().to_string(),
            };
            (name, value)
        });
        let mut run = stage
            .run
            .clone()
            .without_prefix("CI")
            .recorded(&data.join(format!("{event}.plugin.env")))
            .without_prefix("PLUGIN_")
            .without("CI_WORKSPACE")
            .plugin("registry", &stage.registry.host());
        for (name, value) in &settings {
            run = run.plugin(name, value);
        }
        let finished = run.output();
        assert_eq!(finished.code, Some(code), "{event}: {finished}");
        assert!(finished.stderr.contains(said), "{event}: {finished}");
        assert_eq!(stage.evidence_count(), if code == 0 { 2 } else { 0 }, "{event}: {finished}");
    }
}

#[test]
fn a_pull_request_may_test_but_not_sign() {
    let mut stage =
        Stage::new().tests(&leaving(&results(&["a=passed"]), 0)).set("candidate", "0.1.146-rc.87");
    stage.run = stage.run.env("CI_PIPELINE_EVENT", "pull_request").env("CI_COMMIT_REF", "refs/pull/1/head");
    let finished = stage.output();
    assert_eq!(finished.code, Some(0), "{finished}");
    assert_eq!(stage.registry.count(granary_testkit::registry::Request::is_write), 0);
}
