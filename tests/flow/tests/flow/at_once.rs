//! Two pipelines at the same time: a restart that somebody clicked twice, two pushes in one minute.

use std::time::Duration;

use flow::pipeline::{APP, Agent, WEB, commit, ends, image};
use flow::state::{moved, settled};
use granary_testkit::registry::{Options, Registry};

/// Slow enough that the two meet.
fn slow() -> Options {
    Options { latency: Duration::from_millis(10), ..Options::default() }
}

#[test]
fn two_promotions_of_one_commit_end_as_one() {
    let agent = Agent::new();
    let tested = Registry::start(Options::default());
    agent.push(&tested, &commit(1), 11).app_and_web().tested(&[image("app"), image("web")]);
    let undisturbed = Registry::start_with(Options::default(), tested.clone_state());
    drop(ends(&agent.push(&undisturbed, &commit(1), 11).app_and_web().promote(), 0));
    for head_start in [0, 5, 20, 40, 60, 80] {
        let registry = Registry::start_with(slow(), tested.clone_state());
        let promote = || agent.push(&registry, &commit(1), 11).app_and_web().promote();
        let first = promote().spawn();
        std::thread::sleep(Duration::from_millis(head_start));
        let second = promote().spawn();
        for finished in [first.wait(), second.wait()] {
            assert_eq!(finished.code, Some(0), "{head_start} ms\n{finished}");
            let outcome = finished.json(".granary/promote.json")["outcome"].clone();
            assert!(outcome == "done" || outcome == "unchanged", "{outcome}");
        }
        assert_eq!(settled(&registry), settled(&undisturbed), "{head_start} ms");
        assert_eq!(moved(&registry), [""; 0]);
    }
}

#[test]
fn two_commits_pushed_at_once_are_two_candidates() {
    let agent = Agent::new();
    for head_start in [0, 10, 30] {
        let registry = Registry::start(slow());
        let first = agent.push(&registry, &commit(1), 11).publish(&[image("one")]).spawn();
        std::thread::sleep(Duration::from_millis(head_start));
        let second = agent.push(&registry, &commit(2), 12).publish(&[image("two")]).spawn();
        for finished in [first.wait(), second.wait()] {
            assert_eq!(finished.code, Some(0), "{finished}");
        }
        assert_eq!(registry.tags(APP)["0.1.0-rc.11"], image("one").digest());
        assert_eq!(registry.tags(APP)["0.1.0-rc.12"], image("two").digest());
        assert_eq!(moved(&registry), [""; 0]);
    }
}

#[test]
fn a_restart_beside_the_first_run_leaves_a_commit_that_can_be_promoted() {
    let agent = Agent::new();
    for head_start in [0, 15, 30, 60, 90] {
        let registry = Registry::start(slow());
        let pipeline = agent.push(&registry, &commit(1), 11).app_and_web();
        let images = [image("app"), image("web")];
        let first = pipeline.publish(&images).spawn();
        std::thread::sleep(Duration::from_millis(head_start));
        let restarted = agent.restart(&pipeline, 12);
        let second = restarted.publish(&images).spawn();
        for finished in [first.wait(), second.wait()] {
            assert_eq!(finished.code, Some(0), "{head_start} ms\n{finished}");
        }
        assert_eq!(moved(&registry), [""; 0]);
        // Each goes on with the set that it has written, and the bytes are the same.
        for pipeline in [&pipeline, &restarted] {
            drop(ends(&pipeline.report(&[("answers", "passed")]), 0));
        }
        drop(ends(&pipeline.promote(), 0));
        for (repository, image) in [(APP, &images[0]), (WEB, &images[1])] {
            assert_eq!(registry.tags(repository)["0.1.0"], image.digest(), "{head_start} ms");
        }
    }
}
