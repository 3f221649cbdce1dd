//! Every event, as a real Woodpecker announced it.

use granary_testkit::git::Repository;
use granary_testkit::registry::{Options, Registry};
use insta::assert_snapshot;
use serde_json::json;

use crate::world::{Evidence, MAIN, Release, by_hand, nothing_written, promote, tested, told};

/// The commit of the recorded manual pipeline.
const MANUAL: &str = "8a30957c2bd930246ed135442853c01725dc1b00";

#[test]
fn branches_get_the_base_and_tags_their_own_version() {
    for (event, commit, version) in [
        ("push", MAIN, "0.1.1"),
        ("cron", MAIN, "0.1.1"),
        ("deployment", MAIN, "0.1.1"),
        ("manual", MANUAL, "0.1.1"),
        ("tag", MAIN, "1.3.0"),
        ("release", MAIN, "1.3.0"),
    ] {
        let release = Release { commit: commit.to_owned(), ..Release::new("0.1.1-rc.11") };
        let registry = tested(&release);
        let done = promote(event, &registry).output();
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{event}: {done}");
        let result = done.json(".granary/promote.json");
        assert_eq!((&result["version"], &result["commit"]), (&json!(version), &json!(commit)), "{event}");
        assert_eq!(registry.tags("acme/app")[version], release.digest("acme/app"), "{event}");
    }
}

#[test]
fn a_tag_that_is_no_version_is_skipped() {
    let registry = tested(&Release::new("0.1.1-rc.11"));
    let skipped = promote("tag-rc", &registry).output();
    nothing_written(&registry, &skipped, 0);
    assert_eq!(registry.requests().len(), 0);
    assert_snapshot!(told(&skipped), @r"
    exit code 0
    --- stdout
    skipped: Git tag `v1.3.0-rc.1` is not `vX.Y.Z` (`tag_prefix`)
    promote: skipped in [TIME]
    --- stderr
    ");
    assert_eq!(skipped.json(".granary/promote.json")["outcome"], "skipped");
    let other_prefix = promote("tag", &registry).plugin("tag_prefix", "release-").output();
    nothing_written(&registry, &other_prefix, 0);
    assert_snapshot!(told(&other_prefix), @r"
    exit code 0
    --- stdout
    skipped: Git tag `v1.3.0` is not `release-X.Y.Z` (`tag_prefix`)
    promote: skipped in [TIME]
    --- stderr
    ");
}

/// Gitea names the tag object on annotated tags; the commit that it points to is what was tested.
#[test]
fn an_annotated_tag_is_read_through() {
    let mut git = Repository::new();
    let commit = git.commit("README", "hello\n", "first");
    let tag_object = git.annotated_tag("v1.3.0", "release");
    let release = Release { commit: commit.clone(), ..Release::new("0.1.1-rc.11") };
    let registry = tested(&release);
    let on_tag = |workspace: &std::path::Path| {
        let run =
            promote("tag", &registry).env("CI_COMMIT_SHA", &tag_object).plugin("wait_for_evidence", "0s");
        run.env("CI_WORKSPACE", workspace.to_str().unwrap()).output()
    };
    let empty = tempfile::tempdir().unwrap();
    let without_clone = on_tag(empty.path());
    assert_eq!(without_clone.code, Some(14), "{without_clone}");
    assert!(without_clone.stderr.contains("let the clone step run"), "{without_clone}");
    let done = on_tag(git.path());
    assert_eq!(done.code, Some(0), "{done}");
    let result = std::fs::read_to_string(git.path().join(".granary/promote.json")).unwrap();
    let result: serde_json::Value = serde_json::from_str(&result).unwrap();
    assert_eq!((&result["commit"], &result["version"]), (&json!(commit), &json!("1.3.0")));
}

/// A commit that is stable already gets the tag's version beside its own, on the same bytes.
#[test]
fn a_tag_on_a_promoted_commit() {
    let release = Release::new("0.1.1-rc.11");
    let registry = tested(&release);
    assert_eq!(promote("push", &registry).output().code, Some(0));
    assert_eq!(promote("tag", &registry).output().code, Some(0));
    let tags = registry.tags("acme/app");
    assert_eq!((&tags["0.1.1"], &tags["1.3.0"]), (&release.digest("acme/app"), &release.digest("acme/app")));
    assert_eq!(promote("push", &registry).output().json(".granary/promote.json")["version"], "0.1.1");
}

#[test]
fn a_rerun_and_a_later_candidate() {
    let first = Release::new("0.1.1-rc.11");
    let registry = tested(&first);
    assert_eq!(promote("push", &registry).output().code, Some(0));
    let second = Release { commit: MANUAL.to_owned(), order: Some(12), ..Release::new("0.1.2-rc.12") };
    second.publish(&registry);
    Evidence::default().attach(&registry, &second);
    let next = promote("manual", &registry).output();
    assert_eq!(next.json(".granary/promote.json")["version"], "0.1.2", "{next}");
    // The first pipeline again: it has its version, newer ones or not.
    let rerun = promote("push", &registry).env("CI_PIPELINE_NUMBER", "13").env("CI_PIPELINE_PARENT", "11");
    let rerun = rerun.env("CI_PIPELINE_RERUNS", "1").output();
    let result = rerun.json(".granary/promote.json");
    assert_eq!((&result["outcome"], &result["version"]), (&json!("unchanged"), &json!("0.1.1")), "{rerun}");
}

#[test]
fn a_parameter_of_a_restart_cannot_become_a_setting() {
    let registry = tested(&Release::new("0.1.1-rc.11"));
    let run = promote("deployment", &registry).plugin("only", "registry,repo,trusted_keys");
    let refused = run.plugin("allow_older", "true").output();
    nothing_written(&registry, &refused, 2);
    assert_snapshot!(told(&refused), @r"
    exit code 2
    --- stdout
    --- stderr
    error: 1 bad setting
      allow_older: PLUGIN_ALLOW_OLDER is in the environment, but `only` does not name it; accepted: in `only` where the step uses it, else not set
    hint: `--help` lists every setting
    ");
}

#[test]
fn by_hand_something_must_be_named() {
    let registry = Registry::start(Options::default());
    let refused = by_hand(&registry).output();
    nothing_written(&registry, &refused, 2);
    assert_snapshot!(told(&refused), @r"
    exit code 2
    --- stdout
    --- stderr
    error: 1 bad setting
      commit: required, set PLUGIN_COMMIT or --commit; accepted: 7 to 40 hex digits, in quotes
    hint: `--help` lists every setting
    ");
    let twice = by_hand(&registry).arg("promote").arg("promote").output();
    assert_eq!(twice.code, Some(2), "{twice}");
    let other = by_hand(&registry).arg("rollback").arg("--commit").arg("1234567").output();
    assert_eq!(other.code, Some(2), "{other}");
    assert_snapshot!(told(&other), @r"
    exit code 2
    --- stdout
    --- stderr
    error: 1 bad setting
      action: only `promote` and `verify` are built yet; accepted: promote or verify
    hint: `--help` lists every setting
    ");
}

#[test]
fn by_hand_with_flags_alone() {
    let release = Release::new("0.1.1-rc.11");
    let registry = tested(&release);
    let run = granary_testkit::process::Run::new(env!("CARGO_BIN_EXE_promote"));
    let key = run.workspace().join("tests.pub");
    std::fs::write(&key, crate::world::key(crate::world::TRUSTED).public_key().to_pem()).unwrap();
    let arguments =
        ["promote", "--repo", "acme/app", "--candidate", "0.1.1-rc.11", "--trusted-keys", "tests.pub"];
    let run = arguments.into_iter().fold(run, granary_testkit::process::Run::arg);
    let run = run
        .arg("--branches")
        .arg("main")
        .arg("--as-version")
        .arg("1.5.4")
        .arg("--registry")
        .arg(&registry.host());
    let done = run.output();
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(registry.tags("acme/app")["1.5.4"], release.digest("acme/app"));
}
