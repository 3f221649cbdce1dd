//! A pipeline that ends late must not take production back.

use flow::pipeline::{APP, Agent, Pipeline, commit, ends, image};
use flow::state::moved;
use granary_testkit::process::Finished;
use granary_testkit::registry::{Options, Registry};

/// Two commits are tested, the second is promoted. Returns the first's pipeline.
fn overtaken(registry: &Registry, agent: &Agent) -> Pipeline {
    let first = agent.push(registry, &commit(1), 11);
    first.tested(&[image("one")]);
    agent.push(registry, &commit(2), 12).released(&[image("two")]);
    assert_eq!(registry.tags(APP)["0.1.0"], image("two").digest());
    first
}

fn refusal(finished: &Finished) -> (String, String) {
    let result = finished.json(".granary/promote.json");
    let text = |name: &str| result["refusal"][name].as_str().unwrap_or_default().to_owned();
    (text("rule"), text("found"))
}

#[test]
fn an_older_commit_that_ends_late_is_skipped_on_push_and_refused_by_hand() {
    let registry = Registry::start(Options::default());
    let agent = Agent::new();
    let first = overtaken(&registry, &agent);
    let before = registry.snapshot();

    let skipped = ends(&first.promote(), 0);
    assert_eq!(skipped.json(".granary/promote.json")["outcome"], "skipped");
    assert!(
        skipped.stdout.contains("0.1.0 is newer: it was made from pipeline 12, this candidate from 11"),
        "{skipped}"
    );
    assert_eq!(registry.snapshot(), before);

    let manual = agent.pipeline(&registry, "manual", &commit(1), 20);
    let refused = ends(&manual.promote(), 11);
    assert_eq!(
        refusal(&refused),
        (
            "order".to_owned(),
            "0.1.0 is newer: it was made from pipeline 12, this candidate from 11".to_owned()
        ),
        "{refused}"
    );
    drop(ends(&first.promote().plugin("on_superseded", "fail"), 11));
    drop(ends(&manual.promote().plugin("on_superseded", "skip"), 0));
    assert_eq!(registry.snapshot(), before);
}

#[test]
fn allow_older_gives_an_older_commit_a_version_above_all() {
    let registry = Registry::start(Options::default());
    let agent = Agent::new();
    let first = overtaken(&registry, &agent);
    let promoted = ends(&first.promote().plugin("allow_older", "true"), 0);
    assert!(promoted.stderr.contains("allow_older"), "{promoted}");
    assert_eq!(registry.tags(APP)["0.1.1"], image("one").digest());
    assert_eq!(registry.tags(APP)["0.1.0"], image("two").digest());
    assert_eq!(moved(&registry), [""; 0]);
}

#[test]
fn a_restart_does_not_make_an_old_commit_new() {
    let registry = Registry::start(Options::default());
    let agent = Agent::new();
    let first = overtaken(&registry, &agent);
    // Number 30 is higher than 12, but the commit is as old as before.
    let restarted = agent.restart(&first, 30);
    restarted.tested(&[image("one, built again")]);
    let skipped = ends(&restarted.promote(), 0);
    assert_eq!(skipped.json(".granary/promote.json")["outcome"], "skipped", "{skipped}");
    assert_eq!(registry.tags(APP).keys().filter(|tag| tag.as_str() == "0.1.1").count(), 0);
}

#[test]
fn beside_a_stable_that_nobody_knows_the_origin_of_there_is_no_telling() {
    let registry = Registry::start(Options::default());
    let agent = Agent::new();
    // Somebody pushed 0.5.0 by hand, after this commit was published.
    let pipeline = agent.push(&registry, &commit(1), 11);
    pipeline.tested(&[image("one")]);
    registry.put_image(APP, &["0.5.0"], &image("by hand"));
    let before = registry.snapshot();
    for event in ["push", "manual"] {
        let pipeline = agent.pipeline(&registry, event, &commit(1), 11);
        let refused = ends(&pipeline.promote(), 15);
        assert_eq!(
            refusal(&refused),
            (
                "order".to_owned(),
                "0.5.0 has no release set `set-0.5.0` that would say what it was made from".to_owned()
            ),
            "{refused}"
        );
        assert!(refused.stderr.contains("hint: `allow_older: true` promotes it all the same"), "{refused}");
        assert_eq!(registry.snapshot(), before);
    }
    drop(ends(&pipeline.promote().plugin("allow_older", "true"), 0));
    assert_eq!(
        registry.tags(APP)["0.5.1"],
        image("one").digest(),
        "a derived version lies above every stable"
    );
}

#[test]
fn a_given_version_is_judged_within_its_own_line() {
    let registry = Registry::start(Options::default());
    let agent = Agent::new();
    let first = overtaken(&registry, &agent);
    // A fix for an older line: 0.1.0 is in another.
    drop(ends(&first.promote().plugin("as_version", "0.0.7"), 0));
    assert_eq!(registry.tags(APP)["0.0.7"], image("one").digest());
}

#[test]
fn a_commit_of_another_branch_is_not_promoted() {
    let registry = Registry::start(Options::default());
    let agent = Agent::new();
    let pipeline = agent
        .push(&registry, &commit(1), 11)
        .with("CI_COMMIT_BRANCH", "feature/x")
        .with("CI_COMMIT_REF", "refs/heads/feature/x");
    pipeline.tested(&[image("one")]);
    let before = registry.snapshot();
    let refused = ends(&pipeline.promote(), 10);
    assert_eq!(refusal(&refused), ("branches".to_owned(), "feature/x".to_owned()), "{refused}");
    // Another pipeline that names the commit does not get it through either.
    let manual = agent.pipeline(&registry, "manual", &commit(2), 20);
    drop(ends(&manual.promote().plugin("commit", &commit(1)), 10));
    assert_eq!(registry.snapshot(), before);
    drop(ends(&pipeline.promote().plugin("branches", "main,feature/*"), 0));
    assert_eq!(registry.tags(APP)["0.1.0"], image("one").digest());
}
