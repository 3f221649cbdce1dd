//! The ways to say which candidate is meant.

use insta::assert_snapshot;
use serde_json::json;

use granary_testkit::process::Run;
use granary_testkit::registry::Registry;

use crate::world::{
    Evidence, MAIN, Release, by_hand, nothing_written, promote, result_before, tested, told, until,
};

#[track_caller]
fn promotes(run: &Run, registry: &Registry, release: &Release) {
    let done = run.output();
    assert_eq!(done.code, Some(0), "{done}");
    let result = done.json(".granary/promote.json");
    let expected = (json!("done"), json!(release.set_digest()), json!(release.commit));
    assert_eq!((result["outcome"].clone(), result["set"].clone(), result["commit"].clone()), expected);
    let version = result["version"].as_str().unwrap();
    assert_eq!(registry.tags("acme/app")[version], release.digest("acme/app"));
}

#[test]
fn by_commit_and_by_candidate_by_hand() {
    let release = Release::new("0.1.1-rc.11");
    for (setting, value) in [
        ("commit", MAIN.to_owned()),
        ("commit", MAIN[..7].to_uppercase()),
        ("candidate", "0.1.1-rc.11".to_owned()),
        ("candidate", release.set_digest()),
        ("candidate", format!("set-{MAIN}")),
    ] {
        let registry = tested(&release);
        promotes(&by_hand(&registry).plugin(setting, &value), &registry, &release);
    }
}

/// In a pipeline a member says enough: it belongs to a set of the pipeline's commit.
#[test]
fn by_a_member_in_the_pipeline_of_its_commit() {
    let release = Release::new("0.1.1-rc.11");
    for value in [release.digest("acme/app"), "integration-7a77c59".to_owned()] {
        let registry = tested(&release);
        promotes(&promote("push", &registry).plugin("candidate", &value), &registry, &release);
        let registry = tested(&release);
        let run = by_hand(&registry).plugin("candidate", &value).output();
        nothing_written(&registry, &run, 2);
        assert!(run.stderr.contains("give the candidate's version, X.Y.Z-rc.N, or the digest"), "{run}");
    }
}

#[test]
fn a_short_commit_that_is_ambiguous_or_unknown() {
    let release = Release::new("0.1.1-rc.11");
    let registry = tested(&release);
    let like = Release {
        commit: format!("{}{}", &MAIN[..7], "0".repeat(33)),
        ..Release::of('b', "0.1.1-rc.12", 12)
    };
    like.publish(&registry);
    let ambiguous = by_hand(&registry).plugin("commit", &MAIN[..7]).output();
    nothing_written(&registry, &ambiguous, 2);
    assert_snapshot!(told(&ambiguous), @r"
    exit code 2
    --- stdout
    --- stderr
    error: commit `7a77c59` is ambiguous: 7a77c59000000000000000000000000000000000, 7a77c5932e35c13bf0bf61a33f757b21d41692b5
    hint: give more digits
    ");
    promotes(&by_hand(&registry).plugin("commit", &MAIN[..9]), &registry, &release);
    registry.clear_log();
    let unknown = by_hand(&registry).plugin("commit", "1234567").output();
    nothing_written(&registry, &unknown, 14);
    assert_snapshot!(told(&unknown), @r"
    exit code 14
    --- stdout
    --- stderr
    error: acme/app has nothing published for commit `1234567`
    hint: registry-push publishes a commit; `wait_for_evidence` waits for a pipeline that still does
    hint: if it is published elsewhere: `repo` and `lead` say in which repository the sets lie
    ");
    let unknown = by_hand(&registry).plugin("candidate", "9.9.9-rc.1").output();
    nothing_written(&registry, &unknown, 14);
    assert_snapshot!(told(&unknown), @r"
    exit code 14
    --- stdout
    --- stderr
    error: acme/app has nothing published for candidate 9.9.9-rc.1
    hint: registry-push publishes a commit; `wait_for_evidence` waits for a pipeline that still does
    hint: if it is published elsewhere: `repo` and `lead` say in which repository the sets lie
    ");
}

#[test]
fn the_step_before_names_the_set() {
    // The newest set of the commit is not the one that this pipeline tested.
    let ours = Release::new("0.1.1-rc.11");
    let newer =
        Release { content: "second", replaces: Some(ours.set_digest()), ..Release::new("0.1.1-rc.12") };
    for step in ["integration-test", "registry-push"] {
        let registry = tested(&ours);
        newer.publish(&registry);
        let run = promote("push", &registry);
        result_before(&run, step, &json!({"commit": MAIN, "set": ours.set_digest(), "lead": "app"}));
        promotes(&run, &registry, &ours);
    }
}

#[test]
fn the_step_before_is_checked() {
    let ours = Release::new("0.1.1-rc.11");
    let registry = tested(&ours);
    let before = |fields: serde_json::Value| {
        let run = promote("push", &registry);
        result_before(&run, "integration-test", &fields);
        run.output()
    };
    let other = before(json!({"commit": "b".repeat(40), "set": ours.set_digest()}));
    nothing_written(&registry, &other, 20);
    assert_snapshot!(told(&other), @r"
    exit code 20
    --- stdout
    --- stderr
    error: the result of an earlier step cannot be used
      cause 1: the result of integration-test is about commit bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb, not 7a77c5932e35c13bf0bf61a33f757b21d41692b5
    hint: let the earlier step run in the same pipeline, or remove its file
    ");
    let failed = before(json!({"commit": MAIN, "outcome": "failed", "exit_code": 13}));
    nothing_written(&registry, &failed, 0);
    assert_snapshot!(told(&failed), @r"
    exit code 0
    --- stdout
    skipped: integration-test ended with outcome failed
    promote: skipped in [TIME]
    --- stderr
    ");
    assert_eq!(failed.json(".granary/promote.json")["outcome"], "skipped");
    let gone = before(json!({"commit": MAIN, "set": Release::of('c', "0.1.1-rc.9", 9).set_digest()}));
    nothing_written(&registry, &gone, 20);
    assert_snapshot!(told(&gone), @r"
    exit code 20
    --- stdout
    --- stderr
    error: the result of the step before names set [DIGEST], which is not in acme/app
    hint: let registry-push run in this pipeline, with the same `registry` and `repo`
    ");
    let theirs = Release::of('b', "0.1.1-rc.12", 12);
    theirs.publish(&registry);
    let foreign = before(json!({"commit": MAIN, "set": theirs.set_digest()}));
    nothing_written(&registry, &foreign, 20);
    assert_snapshot!(told(&foreign), @r"
    exit code 20
    --- stdout
    --- stderr
    error: the result of the step before names set [DIGEST], which is of commit bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
    hint: let registry-push run in this pipeline, with the same `registry` and `repo`
    ");
}

/// What the file says is not believed: evidence is asked of the set that it names.
#[test]
fn an_untested_set_of_the_same_commit_is_refused() {
    let ours = Release::new("0.1.1-rc.11");
    let untested =
        Release { content: "second", replaces: Some(ours.set_digest()), ..Release::new("0.1.1-rc.12") };
    let registry = tested(&ours);
    untested.publish(&registry);
    let run = promote("push", &registry);
    result_before(&run, "registry-push", &json!({"commit": MAIN, "set": untested.set_digest()}));
    nothing_written(&registry, &run.output(), 14);
}

#[test]
fn who_leads_must_be_said() {
    let release = Release { repositories: vec!["acme/app", "acme/web"], ..Release::new("0.1.1-rc.11") };
    let registry = tested(&release);
    let run = promote("push", &registry).plugin("repo", "acme/{name}");
    let refused = run.output();
    nothing_written(&registry, &refused, 2);
    assert_snapshot!(told(&refused), @r"
    exit code 2
    --- stdout
    --- stderr
    error: `lead` is required: `repo` contains {name}, and no step before names the lead
    hint: set `lead` to the name of the image that registry-push lists first
    ");
    result_before(
        &run,
        "registry-push",
        &json!({"commit": MAIN, "set": release.set_digest(), "lead": "app"}),
    );
    promotes(&run, &registry, &release);
}

/// The tag's pipeline starts together with the one that builds and tests.
#[test]
fn a_wait_ends_when_the_commit_is_published_and_tested() {
    let release = Release::new("1.3.0-rc.1");
    let registry = Registry::start(granary_testkit::registry::Options::default());
    let run = promote("tag", &registry).spawn();
    until(|| run.stdout().contains("waiting for the commit to be published, at most 30m00s"));
    release.publish(&registry);
    Evidence::default().attach(&registry, &release);
    let done = run.wait();
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(registry.tags("acme/app")["1.3.0"], release.digest("acme/app"));
}
