//! `git tag v1.5.4 && git push --tags`: the version goes to the digest that the commit was tested as.

use std::time::Duration;

use flow::evidence::{Evidence, key};
use flow::pipeline::{APP, Agent, Pipeline, commit, ends, image, until};
use flow::state::{moved, set_field};
use granary_attest::test_result::Outcome;
use granary_testkit::git::Repository;
use granary_testkit::registry::{Options, Registry, Request};

/// A repository with one commit, and that commit's id.
fn repository() -> (Repository, String) {
    let mut repository = Repository::new();
    let id = repository.commit("app", "one\n", "one");
    (repository, id)
}

/// The pipeline of a Git tag. Clones over a network have refs and objects in packs.
fn on_tag(agent: &Agent, registry: &Registry, repository: &Repository, tag: &str) -> Pipeline {
    let sha = repository.rev_parse(&format!("refs/tags/{tag}"));
    agent.pipeline(registry, "tag", &sha, 15).of_tag(tag).in_folder(repository.path())
}

#[test]
fn a_git_tag_gives_its_version_to_what_that_commit_was_tested_as() {
    for (annotated, packed) in [(false, false), (true, false), (true, true)] {
        let registry = Registry::start(Options::default());
        let agent = Agent::new();
        let (mut repository, id) = repository();
        agent.push(&registry, &id, 11).released(&[image("one")]);
        let sha = match annotated {
            true => repository.annotated_tag("v1.5.4", "release"),
            false => {
                repository.tag("v1.5.4");
                id.clone()
            }
        };
        assert_eq!(sha != id, annotated, "Woodpecker names the tag object");
        // An earlier step moved HEAD; the branch has gone on.
        let later = repository.commit("app", "two\n", "two");
        agent.push(&registry, &later, 12).tested(&[image("two")]);
        if packed {
            repository.pack();
        }
        let promoted = ends(&on_tag(&agent, &registry, &repository, "v1.5.4").promote(), 0);
        let result = promoted.json(".granary/promote.json");
        assert_eq!(
            (&result["outcome"], &result["version"], &result["commit"]),
            (&"done".into(), &"1.5.4".into(), &id.as_str().into()),
            "annotated: {annotated}"
        );
        assert_eq!(registry.tags(APP)["1.5.4"], image("one").digest());
        assert_eq!(registry.tags(APP)["0.1.0"], image("one").digest(), "the version that it had stays");
        assert_eq!(set_field(&registry, APP, "set-1.5.4", "base").as_deref(), Some("0.1.0"));
        // Again: the forge delivers twice, or somebody restarts it.
        let before = registry.snapshot();
        let again = on_tag(&agent, &registry, &repository, "v1.5.4").in_folder(repository.path());
        std::fs::remove_dir_all(repository.path().join(".granary")).unwrap();
        assert_eq!(ends(&again.promote(), 0).json(".granary/promote.json")["outcome"], "unchanged");
        assert_eq!(registry.snapshot(), before);
        assert_eq!(moved(&registry), [""; 0]);
    }
}

#[test]
fn a_tag_object_that_cannot_be_read_is_said_clearly() {
    let registry = Registry::start(Options::default());
    let agent = Agent::new();
    let (mut repository, id) = repository();
    agent.push(&registry, &id, 11).tested(&[image("one")]);
    let tag_object = repository.annotated_tag("v1.5.4", "release");
    let before = registry.snapshot();
    // `skip_clone: true`: an empty workspace.
    let pipeline = agent.pipeline(&registry, "tag", &tag_object, 15).of_tag("v1.5.4");
    let refused = ends(&pipeline.promote().plugin("wait_for_evidence", "0s"), 14);
    let hint = "hint: on an annotated tag CI_COMMIT_SHA may name the tag object, and the workspace has no objects to tell: \
                let the clone step run";
    assert!(refused.stderr.contains(hint), "{refused}");
    let failed = ends(&pipeline.publish(&[image("one")]), 20);
    let reason = format!("cannot tell whether {tag_object} is a commit or an annotated tag");
    assert!(failed.stderr.contains(&reason), "{failed}");
    assert_eq!(registry.snapshot(), before, "nothing is published under the id of a tag object");

    // A lightweight tag needs no clone: a set is only ever found under a commit's id.
    let light = agent.pipeline(&registry, "tag", &id, 16).of_tag("v1.5.4");
    drop(ends(&light.promote(), 0));
    assert_eq!(registry.tags(APP)["1.5.4"], image("one").digest());
}

#[test]
fn registry_push_leaves_a_published_commit_alone_on_a_tag() {
    let registry = Registry::start(Options::default());
    let agent = Agent::new();
    let (mut repository, id) = repository();
    agent.push(&registry, &id, 11).tested(&[image("one")]);
    repository.annotated_tag("v1.5.4", "release");
    let before = registry.snapshot();
    registry.clear_log();
    let pipeline = on_tag(&agent, &registry, &repository, "v1.5.4");
    // Built again, to other bytes: a tag is no reason to publish them.
    let pushed = ends(&pipeline.publish(&[image("rebuilt")]), 0).json(".granary/registry-push.json");
    assert_eq!((&pushed["outcome"], &pushed["candidate"]), (&"unchanged".into(), &"0.1.0-rc.11".into()));
    assert_eq!(registry.count(Request::is_write), 0, "{:?}", registry.requests());
    assert_eq!(registry.snapshot(), before);
    drop(ends(&pipeline.promote(), 0));
    assert_eq!(registry.tags(APP)["1.5.4"], image("one").digest());
}

#[test]
fn registry_push_publishes_a_tagged_commit_that_has_no_set_for_the_tags_version() {
    let registry = Registry::start(Options::default());
    let agent = Agent::new();
    let (mut repository, id) = repository();
    repository.annotated_tag("v2.0.0", "release");
    let pipeline = on_tag(&agent, &registry, &repository, "v2.0.0");
    pipeline.tested(&[image("one")]);
    assert_eq!(registry.tags(APP)["2.0.0-rc.15"], image("one").digest());
    let set = format!("set-{id}");
    assert_eq!(set_field(&registry, APP, &set, "branch"), None, "a tag event knows no branch");
    // Nobody says which branch it is of: `branches` has to allow that.
    drop(ends(&pipeline.promote(), 15));
    drop(ends(&pipeline.promote().plugin("branches", "*"), 0));
    assert_eq!(registry.tags(APP)["2.0.0"], image("one").digest());
}

#[test]
fn a_candidate_tag_publishes_exactly_that_candidate() {
    let registry = Registry::start(Options::default());
    let agent = Agent::new();
    let (mut repository, _) = repository();
    repository.annotated_tag("v3.1.0-rc.4", "candidate");
    let pipeline = on_tag(&agent, &registry, &repository, "v3.1.0-rc.4");
    drop(ends(&pipeline.publish(&[image("one")]), 0));
    assert_eq!(registry.tags(APP)["3.1.0-rc.4"], image("one").digest());
    let promoted = ends(&pipeline.promote().plugin("branches", "*"), 0);
    assert_eq!(
        promoted.json(".granary/promote.json")["outcome"],
        "skipped",
        "no stable version is asked for"
    );
    assert!(!registry.tags(APP).contains_key("3.1.0"));
    // The same tag on other bytes.
    let before = registry.snapshot();
    drop(ends(&pipeline.publish(&[image("two")]), 11));
    assert_eq!(registry.snapshot(), before);
}

#[test]
fn other_git_tags_are_none_of_our_business() {
    let registry = Registry::start(Options::default());
    let agent = Agent::new();
    let (mut repository, id) = repository();
    agent.push(&registry, &id, 11).tested(&[image("one")]);
    registry.clear_log();
    for tag in ["nightly", "1.5.4", "v1.5", "v1.5.4-beta.1", "v01.5.4", "version/v1.5.4"] {
        repository.tag(tag);
        let pipeline = on_tag(&agent, &registry, &repository, tag);
        let pushed = ends(&pipeline.publish(&[image("one")]), 0);
        assert_eq!(pushed.json(".granary/registry-push.json")["outcome"], "skipped", "{tag}");
        std::fs::remove_dir_all(repository.path().join(".granary")).unwrap();
        assert_eq!(ends(&pipeline.promote(), 0).json(".granary/promote.json")["outcome"], "skipped", "{tag}");
        std::fs::remove_dir_all(repository.path().join(".granary")).unwrap();
    }
    assert_eq!(registry.requests().len(), 0);
    // With another prefix `1.5.4` is one.
    let pipeline = on_tag(&agent, &registry, &repository, "version/v1.5.4");
    drop(ends(&pipeline.promote().plugin("tag_prefix", "version/v"), 0));
    assert_eq!(registry.tags(APP)["1.5.4"], image("one").digest());
}

/// `git push --follow-tags`: both pipelines start at once, and the tag's must not win.
#[test]
fn promotion_on_a_tag_waits_for_the_push_that_it_came_with() {
    let registry = Registry::start(Options::default());
    let agent = Agent::new();
    let (mut repository, id) = repository();
    repository.annotated_tag("v1.5.4", "release");
    let waiting = on_tag(&agent, &registry, &repository, "v1.5.4").promote().spawn();
    until("it waits", || waiting.stdout().contains("waiting for the commit to be published"));
    agent.push(&registry, &id, 11).tested(&[image("one")]);
    let promoted = waiting.wait();
    assert_eq!(promoted.code, Some(0), "{promoted}");
    assert!(promoted.duration < Duration::from_secs(30), "{promoted}");
    assert_eq!(registry.tags(APP)["1.5.4"], image("one").digest());
}

#[test]
fn failed_tests_end_the_wait() {
    let registry = Registry::start(Options::default());
    let agent = Agent::new();
    drop(ends(&agent.push(&registry, &commit(1), 11).publish(&[image("one")]), 0));
    let pipeline = agent.push(&registry, &commit(1), 11);
    let waiting = pipeline.promote().plugin("wait_for_evidence", "10m").spawn();
    until("it waits", || waiting.stdout().contains("waiting for evidence"));
    let mut failed = Evidence::of(&registry, APP, &format!("set-{}", commit(1)));
    failed.result = Outcome::Failed;
    failed.attach(&registry, APP, &failed.run.set, &key(1));
    let refused = waiting.wait();
    assert_eq!(refused.code, Some(14), "{refused}");
    assert!(refused.duration < Duration::from_secs(30), "{refused}");
    assert!(!registry.tags(APP).contains_key("0.1.0"));
}

#[test]
fn a_wait_for_nothing_ends_when_it_was_told_to() {
    let registry = Registry::start(Options::default());
    let agent = Agent::new();
    let refused =
        ends(&agent.push(&registry, &commit(1), 11).promote().plugin("wait_for_evidence", "1s"), 14);
    assert!(refused.duration < Duration::from_secs(30), "{refused}");
    assert!(refused.duration >= Duration::from_secs(1), "{refused}");
}
