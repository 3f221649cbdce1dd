//! A published version never moves, whoever published it.

use flow::pipeline::{APP, Agent, Pipeline, WEB, commit, ends, image};
use flow::state::moved;
use granary_testkit::registry::{Options, Registry, Request};

fn tested(registry: &Registry, agent: &Agent) -> Pipeline {
    let pipeline = agent.push(registry, &commit(1), 11).app_and_web();
    pipeline.tested(&[image("app"), image("web")]);
    pipeline
}

/// The version is there with other bytes, in the lead or in another member.
#[test]
fn a_version_with_other_bytes_is_left_alone_and_nothing_else_is_written() {
    let agent = Agent::new();
    for (place, setting, value) in [
        (APP, "as_version", "0.1.0"),
        (APP, "on_taken", "refuse"),
        (WEB, "as_version", "0.1.0"),
        (WEB, "on_taken", "next"),
        (WEB, "on_taken", "refuse"),
    ] {
        let registry = Registry::start(Options::default());
        let pipeline = tested(&registry, &agent);
        registry.put_image(place, &["0.1.0"], &image("by hand"));
        let before = registry.snapshot();
        registry.clear_log();
        let refused = ends(&pipeline.promote().plugin(setting, value), 11);
        assert_eq!(registry.snapshot(), before, "{place} {setting}\n{refused}");
        assert_eq!(registry.count(Request::is_write), 0, "{place} {setting} {:?}", registry.requests());
        assert!(refused.stderr.contains("0.1.0"), "{refused}");
    }
}

#[test]
fn a_version_that_the_right_bytes_carry_is_finished() {
    let agent = Agent::new();
    for (place, own) in [(APP, "app"), (WEB, "web")] {
        let registry = Registry::start(Options::default());
        let pipeline = tested(&registry, &agent);
        registry.put_image(place, &["0.1.0"], &image(own));
        drop(ends(&pipeline.promote().plugin("as_version", "0.1.0"), 0));
        assert_eq!(registry.tags(APP)["0.1.0"], image("app").digest());
        assert_eq!(registry.tags(WEB)["0.1.0"], image("web").digest());
        assert_eq!(moved(&registry), [""; 0]);
        let again = ends(&pipeline.promote().plugin("as_version", "0.1.0"), 0);
        assert_eq!(again.json(".granary/promote.json")["outcome"], "unchanged");
    }
}

#[test]
fn a_version_of_another_commit_is_not_given_twice() {
    let registry = Registry::start(Options::default());
    let agent = Agent::new();
    agent.push(&registry, &commit(1), 11).released(&[image("one")]);
    let second = agent.push(&registry, &commit(2), 12);
    second.tested(&[image("two")]);
    let before = registry.snapshot();
    let refused = ends(&second.promote().plugin("as_version", "0.1.0"), 11);
    let holder = registry.tags(APP)["set-0.1.0"].clone();
    assert!(refused.stderr.contains(&format!("version 0.1.0 is taken by set {holder}")), "{refused}");
    assert_eq!(registry.snapshot(), before);
}

#[test]
fn a_candidate_with_other_bytes_is_left_alone_and_no_set_is_written() {
    let agent = Agent::new();
    for place in [APP, WEB] {
        let registry = Registry::start(Options::default());
        registry.put_image(place, &["0.1.0-rc.11"], &image("by hand"));
        let before = registry.tags(place);
        let pipeline = agent.push(&registry, &commit(1), 11).app_and_web();
        let refused = ends(&pipeline.publish(&[image("app"), image("web")]), 11);
        assert_eq!(registry.tags(place), before, "{refused}");
        for other in [APP, WEB].iter().filter(|other| **other != place) {
            assert_eq!(registry.tags(other).len(), 0, "{other}: {refused}");
        }
        assert!(refused.stderr.contains("a published candidate never moves"), "{refused}");
    }
}

/// Tags that the registry itself protects: the same answer whether we look first or it refuses.
#[test]
fn a_registry_with_immutable_tags_is_no_hindrance_to_a_rerun() {
    let registry = Registry::start(Options { immutable_tags: Some(409), ..Options::default() });
    let agent = Agent::new();
    let pipeline = tested(&registry, &agent);
    drop(ends(&pipeline.promote(), 0));
    let before = registry.snapshot();
    let again = agent.restart(&pipeline, 12);
    drop(ends(&again.publish(&[image("app"), image("web")]), 0));
    drop(ends(&again.promote(), 0));
    assert_eq!(registry.snapshot(), before);
}
