//! One commit, built twice to other bytes: builds are seldom reproducible.

use flow::pipeline::{APP, Agent, commit, ends, image};
use flow::state::{moved, set_field};
use granary_testkit::process::Run;
use granary_testkit::registry::{Action, Fault, Options, Registry};

#[test]
fn a_rebuilt_commit_is_a_new_candidate_and_never_replaces_what_was_promoted() {
    let registry = Registry::start(Options::default());
    let agent = Agent::new();
    let pipeline = agent.push(&registry, &commit(1), 11);
    pipeline.released(&[image("one")]);
    let set_tag = format!("set-{}", commit(1));
    let first_set = registry.tags(APP)[&set_tag].clone();

    let again = agent.restart(&pipeline, 12);
    let pushed = ends(&again.publish(&[image("other bytes")]), 0).json(".granary/registry-push.json");
    assert_eq!((&pushed["outcome"], &pushed["candidate"]), (&"done".into(), &"0.1.1-rc.12".into()));
    let second_set = registry.tags(APP)[&set_tag].clone();
    assert_ne!(second_set, first_set, "`set-<commit>` moves to the newest build");
    assert_eq!(set_field(&registry, APP, &set_tag, "replaces").as_deref(), Some(first_set.as_str()));
    assert_eq!(set_field(&registry, APP, &set_tag, "order").as_deref(), Some("11"));
    for tag in ["sha-0101010", "integration-0101010", "0.1.1-rc.12"] {
        assert_eq!(registry.tags(APP)[tag], image("other bytes").digest(), "{tag}");
    }
    assert_eq!(registry.tags(APP)["0.1.0-rc.11"], image("one").digest(), "a candidate never moves");

    // The pipeline goes on with the set that it has just tested.
    drop(ends(&again.report(&[("answers", "passed")]), 0));
    let before = registry.snapshot();
    let refused = ends(&again.promote(), 11);
    assert_eq!(registry.snapshot(), before, "{refused}");
    let reason = format!(
        "commit {} is already 0.1.0, made from set {first_set}; set {second_set} has other bytes",
        commit(1)
    );
    assert!(refused.stderr.contains(&reason), "{refused}");
    assert_eq!(refused.json(".granary/promote.json")["outcome"], "refused");

    // Whoever asks for the commit gets what it was promoted as, however often it is built.
    let by_commit = agent.restart(&pipeline, 13);
    let result = ends(&by_commit.promote(), 0).json(".granary/promote.json");
    assert_eq!(
        (&result["outcome"], &result["version"], &result["set"]),
        (&"unchanged".into(), &"0.1.0".into(), &first_set.as_str().into())
    );
    assert_eq!(registry.snapshot(), before);
    assert_eq!(moved(&registry), [""; 0]);
}

#[test]
fn of_a_commit_built_twice_before_its_promotion_the_tested_build_is_promoted() {
    let registry = Registry::start(Options::default());
    let agent = Agent::new();
    let pipeline = agent.push(&registry, &commit(1), 11);
    pipeline.tested(&[image("one")]);
    let again = agent.restart(&pipeline, 12);
    drop(ends(&again.publish(&[image("two")]), 0));

    // By commit the newest build is meant, and nobody has tested that.
    let before = registry.snapshot();
    drop(ends(&agent.restart(&pipeline, 13).promote(), 14));
    assert_eq!(registry.snapshot(), before);

    // The first pipeline goes on: its steps handed on which set they tested.
    drop(ends(&pipeline.promote(), 0));
    assert_eq!(registry.tags(APP)["0.1.0"], image("one").digest());
    assert_eq!(registry.tags(APP)["validated-0101010"], image("one").digest());

    // The second one's tests end later; its bytes do not get a second version.
    drop(ends(&again.report(&[("answers", "passed")]), 0));
    drop(ends(&again.promote(), 11));
    assert_eq!(registry.tags(APP)["0.1.0"], image("one").digest());
    assert_eq!(moved(&registry), [""; 0]);
}

#[test]
fn a_result_file_of_another_commit_is_refused() {
    let registry = Registry::start(Options::default());
    let agent = Agent::new();
    let pipeline = agent.push(&registry, &commit(1), 11);
    pipeline.tested(&[image("one")]);
    // A workspace that is kept between pipelines, and a build step that forgot to run.
    let next = agent.push(&registry, &commit(2), 12).in_folder(pipeline.workspace());
    let before = registry.snapshot();
    let refused = ends(&next.promote(), 20);
    assert!(
        refused.stderr.contains(&format!("is about commit {}, not {}", commit(1), commit(2))),
        "{refused}"
    );
    assert_eq!(registry.snapshot(), before);
}

/// A fast-forward merge brings a commit from one branch to another, and the same bytes with it.
#[test]
fn a_commit_on_two_branches_is_a_candidate_of_each_and_a_restart_changes_nothing() {
    let registry = Registry::start(Options::default());
    let agent = Agent::new();
    let on_dev = |run: Run| run.env("CI_COMMIT_BRANCH", "dev").env("CI_COMMIT_REF", "refs/heads/dev");
    let on_main = agent.push(&registry, &commit(1), 11);
    on_main.released(&[image("one")]);

    let dev = agent.push(&registry, &commit(1), 12);
    let pushed = ends(&on_dev(dev.publish(&[image("one")])), 0).json(".granary/registry-push.json");
    assert_eq!((&pushed["outcome"], &pushed["candidate"]), (&"done".into(), &"0.1.1-rc.12".into()));
    drop(ends(&on_dev(dev.report(&[("answers", "passed")])), 0));
    // The bytes have a version already, whichever branch asks.
    assert_eq!(ends(&on_dev(dev.promote()), 0).json(".granary/promote.json")["outcome"], "unchanged");

    let before = registry.snapshot();
    let again = agent.restart(&on_main, 13);
    let pushed = ends(&again.publish(&[image("one")]), 0).json(".granary/registry-push.json");
    assert_eq!((&pushed["outcome"], &pushed["candidate"]), (&"unchanged".into(), &"0.1.0-rc.11".into()));
    let promoted = ends(&again.promote(), 0).json(".granary/promote.json");
    assert_eq!((&promoted["outcome"], &promoted["version"]), (&"unchanged".into(), &"0.1.0".into()));
    assert_eq!(registry.snapshot(), before);
}

/// Merged first and promoted from there: the other branch's set is found, not only the newest.
#[test]
fn by_commit_the_set_of_an_allowed_branch_is_meant() {
    let registry = Registry::start(Options::default());
    let agent = Agent::new();
    let on_dev = |run: Run| run.env("CI_COMMIT_BRANCH", "dev").env("CI_COMMIT_REF", "refs/heads/dev");
    let on_main = agent.push(&registry, &commit(1), 11);
    on_main.tested(&[image("one")]);
    let dev = agent.push(&registry, &commit(1), 12);
    drop(ends(&on_dev(dev.publish(&[image("of dev")])), 0));
    let by_commit = agent.restart(&on_main, 13);
    let promoted = ends(&by_commit.promote(), 0).json(".granary/promote.json");
    assert_eq!((&promoted["outcome"], &promoted["candidate"]), (&"done".into(), &"0.1.0-rc.11".into()));
    assert_eq!(registry.tags(APP)["0.1.0"], image("one").digest());
}

/// Retention may take a set that nobody names any more; what the commit was promoted as stays what it is.
#[test]
fn a_broken_chain_does_not_let_a_commit_be_promoted_twice() {
    let registry = Registry::start(Options::default());
    let agent = Agent::new();
    let pipeline = agent.push(&registry, &commit(1), 11);
    pipeline.released(&[image("one")]);
    agent.push(&registry, &commit(2), 12).released(&[image("two")]);
    for (number, bytes) in [(13, "rebuilt"), (14, "rebuilt again")] {
        drop(ends(&agent.restart(&pipeline, number).publish(&[image(bytes)]), 0));
    }
    let middle = registry.tags(APP)["set-0.1.2-rc.13"].clone();
    let gone = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"gone"}]}"#.to_owned();
    let action = Action::Status { code: 404, headers: Vec::new(), body: gone };
    registry.fault(Fault::on("GET", &middle, action).times(usize::MAX));
    let before = registry.snapshot();
    let last = agent.restart(&pipeline, 15);
    let promoted = ends(&last.promote(), 0).json(".granary/promote.json");
    assert_eq!((&promoted["outcome"], &promoted["version"]), (&"unchanged".into(), &"0.1.0".into()));
    assert_eq!(registry.snapshot(), before);
}
