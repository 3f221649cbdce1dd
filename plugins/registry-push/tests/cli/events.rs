//! The environments of a real Woodpecker: what each event comes to.

use granary_testkit::git::Repository;
use granary_testkit::process::{Finished, Run};
use granary_testkit::registry::Registry;

use crate::{image, set, stable, start, step, tags};

/// The recorded step, publishing the image.
fn on(event: &str, registry: &Registry) -> Run {
    let run = step(event, registry);
    image(1).write_layout(&run.workspace().join("build/app"), "latest");
    run.plugin("source", "oci:build/app")
}

/// The same in a clone; `commit` is what the forge calls the commit.
fn in_clone(event: &str, registry: &Registry, clone: &Repository, commit: &str) -> Run {
    let path = clone.path().to_str().unwrap();
    image(1).write_layout(&clone.path().join("build/app"), "latest");
    let run = step(event, registry).current_dir(clone.path());
    run.env("CI_WORKSPACE", path).env("CI_COMMIT_SHA", commit).plugin("source", "oci:build/app")
}

fn outcome(finished: &Finished) -> (Option<i32>, String, String) {
    let result = finished.json(".granary/registry-push.json");
    let text = |field: &str| result[field].as_str().unwrap_or("-").to_owned();
    (finished.code, text("outcome"), text("candidate"))
}

#[test]
fn branch_events_publish_the_next_candidate() {
    // The order number is that under which the commit first appeared: a deployment's is its parent's.
    for (event, candidate, order) in [
        ("push", "0.1.0-rc.11", Some(11)),
        ("manual", "0.1.0-rc.7", Some(7)),
        ("cron", "0.1.0-rc.12", Some(12)),
        ("deployment", "0.1.0-rc.13", Some(11)),
    ] {
        for kind in ["plugin", "commands"] {
            let registry = start();
            let finished = on(&format!("{event}.{kind}"), &registry).output();
            assert_eq!(
                outcome(&finished),
                (Some(0), "done".to_owned(), candidate.to_owned()),
                "{event} {finished}"
            );
            let set = set(&registry, "acme/app", &format!("set-{candidate}"));
            assert_eq!((set.branch.as_deref(), set.order), (Some("main"), order), "{event}");
        }
    }
}

#[test]
fn tag_events_publish_what_the_tag_says() {
    for (event, tag, candidate) in [
        ("tag", "v1.3.0", "1.3.0-rc.15"),
        ("release", "v1.3.0", "1.3.0-rc.16"),
        ("tag-rc", "v1.3.0-rc.1", "1.3.0-rc.1"),
    ] {
        for kind in ["plugin", "commands"] {
            let (registry, mut clone) = (start(), Repository::new());
            let commit = clone.commit("README", "hello\n", "first");
            // Gitea names the tag object where the tag is annotated.
            let tag_object = clone.annotated_tag(tag, "release");
            let finished = in_clone(&format!("{event}.{kind}"), &registry, &clone, &tag_object).output();
            assert_eq!(
                outcome(&finished),
                (Some(0), "done".to_owned(), candidate.to_owned()),
                "{event} {finished}"
            );
            let set = set(&registry, "acme/app", &format!("set-{commit}"));
            assert_eq!(
                (set.commit.as_str(), set.branch, set.order),
                (commit.as_str(), None, None),
                "{event}"
            );
        }
    }
}

/// Git tag on a commit that main has published: promote gives the version to those bytes, nothing is rebuilt.
#[test]
fn a_git_tag_leaves_a_published_commit_alone() {
    let (registry, mut clone) = (start(), Repository::new());
    let commit = clone.commit("README", "hello\n", "first");
    clone.tag("v1.3.0");
    let pushed = in_clone("push.plugin", &registry, &clone, &commit).output();
    assert_eq!(outcome(&pushed).1, "done", "{pushed}");
    let before = registry.snapshot();
    registry.clear_log();
    let tagged =
        in_clone("tag.plugin", &registry, &clone, &commit).plugin("source", "oci:not/built").output();
    insta::assert_snapshot!(stable(&tagged, &[&registry]).replace(&commit, "[COMMIT]"), @r#"
    exit code 0
    --- stdout
    commit [COMMIT] is published already, as 0.1.0-rc.11
    registry-push: unchanged in [TIME]
    --- stderr
    "#);
    assert_eq!(outcome(&tagged), (Some(0), "unchanged".to_owned(), "0.1.0-rc.11".to_owned()));
    assert_eq!(registry.snapshot(), before);
    assert_eq!(registry.requests().len(), 1, "one look at the record");
}

#[test]
fn other_git_tags_are_skipped() {
    let registry = start();
    let nightly =
        on("tag.plugin", &registry).env("CI_COMMIT_REF", "refs/tags/nightly").env("CI_COMMIT_TAG", "nightly");
    insta::assert_snapshot!(stable(&nightly.output(), &[&registry]), @r#"
    exit code 0
    --- stdout
    skipped: Git tag `nightly` does not begin with `v` (`tag_prefix`)
    registry-push: skipped in [TIME]
    --- stderr
    "#);
    assert_eq!(registry.requests().len(), 0);
}

/// Without the clone nobody knows whether the id is a commit's.
#[test]
fn a_git_tag_without_a_clone_is_refused() {
    let registry = start();
    insta::assert_snapshot!(stable(&on("tag.plugin", &registry).output(), &[&registry]), @r#"
    exit code 20
    --- stdout
    --- stderr
    error: cannot tell whether 7a77c5932e35c13bf0bf61a33f757b21d41692b5 is a commit or an annotated tag
    hint: let the pipeline's clone step run: the tag object is then in the workspace
    "#);
    assert_eq!(tags(&registry, "acme/app"), Vec::<String>::new());
}

#[test]
fn pull_requests_publish_nothing() {
    let registry = start();
    let finished = on("pull_request.plugin", &registry).output();
    insta::assert_snapshot!(stable(&finished, &[&registry]), @r#"
    exit code 10
    --- stdout
    --- stderr
    error: refusing to publish on event pull_request
    hint: anybody may open a pull request; use `when: event: [push, tag, manual]`
    "#);
    assert_eq!(outcome(&finished), (Some(10), "refused".to_owned(), "-".to_owned()));
    for event in ["pull_request_closed", "pull_request_metadata", "some_event_of_tomorrow"] {
        let finished = on("pull_request.commands", &registry).env("CI_PIPELINE_EVENT", event).output();
        assert_eq!(finished.code, Some(10), "{event} {finished}");
    }
    assert_eq!(registry.requests().len(), 0);
}

/// A restart may bring parameters: they are settings wherever the YAML is silent.
#[test]
fn what_a_restart_brings_in_is_kept_out_by_only() {
    let registry = start();
    let run = on("deployment.plugin", &registry)
        .plugin("only", "registry,source")
        .plugin("stable_repo", "evil/app");
    let finished = run.output();
    assert_eq!(finished.code, Some(2), "{finished}");
    assert!(finished.stderr.contains("stable_repo: PLUGIN_STABLE_REPO is in the environment"), "{finished}");
}
