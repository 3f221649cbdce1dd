//! What somebody else publishes while content is sent: the look that guards candidates comes behind it.

use std::time::{Duration, Instant};

use granary_testkit::image::Image;
use granary_testkit::process::{Finished, Run};
use granary_testkit::registry::{Action, Fault, Options, Registry, Request};

use crate::{image, set, step, tags};

/// A pipeline with number 8 that built a commit and an image of its own.
fn pusher(registry: &Registry, seed: u64) -> Run {
    let run = step("push.plugin", registry).env("CI_COMMIT_SHA", &seed.to_string().repeat(40));
    image(seed).write_layout(&run.workspace().join("build/app"), "latest");
    run.plugin("source", "oci:build/app").env("CI_PIPELINE_NUMBER", "8")
}

/// Runs `slow`, and `meanwhile` from beginning to end before the registry takes the largest blob of this
/// image.
fn while_sending<T>(
    registry: &Registry,
    slow: &Run,
    of: &Image,
    meanwhile: impl FnOnce() -> T,
) -> (Finished, T) {
    let large = of.blobs().iter().max_by_key(|blob| blob.bytes.len()).unwrap();
    let end = large.digest.trim_start_matches("sha256:").to_owned();
    let is_held = move |request: &Request| request.method == "PUT" && request.target().ends_with(&end);
    registry.fault(Fault::when(is_held, Action::status(503)).times(usize::MAX));
    let running = slow.clone().plugin("retries", "20").spawn();
    let begun = Instant::now();
    while registry.count(|request| request.status == Some(503)) == 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "no blob was ever sent");
        std::thread::sleep(Duration::from_millis(5));
    }
    let done = meanwhile();
    registry.clear_faults();
    (running.wait(), done)
}

/// Two pipelines with one number: whoever has less to send publishes, the other is told. In a new repository
/// as in one that has something in it.
#[test]
fn a_candidate_that_another_pipeline_takes_meanwhile_does_not_move() {
    for options in [Options::default(), Options::docker_registry_2_8()] {
        for is_new in [true, false] {
            let registry = Registry::start(options.clone());
            if !is_new {
                registry.put_image("acme/app", &["edge"], &image(9));
            }
            let (slow, quick) =
                while_sending(&registry, &pusher(&registry, 3), &image(3), || pusher(&registry, 4).output());
            assert_eq!(quick.code, Some(0), "{quick}");
            assert_eq!(slow.code, Some(11), "{slow}");
            assert!(slow.stderr.contains("a published candidate never moves"), "{slow}");
            assert_eq!(registry.history("acme/app", "0.1.0-rc.8"), [image(4).digest()], "new: {is_new}");
            assert_eq!(registry.history("acme/app", "set-0.1.0-rc.8").len(), 1, "new: {is_new}");
            let commit = "4".repeat(40);
            assert_eq!(set(&registry, "acme/app", "set-0.1.0-rc.8").commit.as_str(), commit);
            let slow_tags = [format!("set-{}", "3".repeat(40)), "sha-3333333".to_owned()];
            assert!(!tags(&registry, "acme/app").iter().any(|tag| slow_tags.contains(tag)), "no trace of it");
        }
    }
}

/// The same in the repository of one member of several, which nobody lists.
#[test]
fn a_members_candidate_that_appears_meanwhile_stops_all() {
    let registry = crate::start();
    let run = step("push.plugin", &registry);
    for (seed, name) in [(1, "web"), (2, "api")] {
        image(seed).write_layout(&run.workspace().join("build").join(name), "latest");
    }
    let run = run.plugin("repo", "acme/{name}").plugin("sources", "oci:build/web,oci:build/api");
    let (finished, ()) = while_sending(&registry, &run, &image(1), || {
        registry.put_image("acme/api", &["0.1.0-rc.11"], &image(9));
    });
    assert_eq!(finished.code, Some(11), "{finished}");
    assert_eq!(tags(&registry, "acme/web"), Vec::<String>::new());
    assert_eq!(registry.history("acme/api", "0.1.0-rc.11"), [image(9).digest()]);
}

/// A set that a killed run left, whose content is gone since: what is sent again takes its time, too.
#[test]
fn an_adopted_candidate_that_appears_meanwhile_does_not_move() {
    let earlier = crate::start();
    assert_eq!(pusher(&earlier, 3).output().code, Some(0));
    let registry = crate::start();
    let commit = format!("set-{}", "3".repeat(40));
    let (media_type, record) = earlier.manifest("acme/app", &commit).unwrap();
    registry.put_blob("acme/app", "{}");
    registry.put_manifest("acme/app", &[&commit], &media_type, record);
    let run = pusher(&registry, 3);
    let (finished, ()) = while_sending(&registry, &run, &image(3), || {
        registry.put_image("acme/app", &["0.1.0-rc.8"], &image(9));
    });
    assert_eq!(finished.code, Some(11), "{finished}");
    assert_eq!(registry.history("acme/app", "0.1.0-rc.8"), [image(9).digest()]);
}

/// A rerun that sends nothing has looked already.
#[test]
fn what_sends_nothing_looks_once() {
    let registry = crate::start();
    assert_eq!(pusher(&registry, 3).output().code, Some(0));
    registry.clear_log();
    // Equal bytes as another commit, and a rerun of it.
    for _ in 0..2 {
        let other = pusher(&registry, 3).env("CI_COMMIT_SHA", &"5".repeat(40)).env("CI_PIPELINE_NUMBER", "9");
        assert_eq!(other.output().code, Some(0));
        let looks = |tag: &str| {
            let path = format!("/v2/acme/app/manifests/{tag}");
            registry.count(|request| request.method == "GET" && request.path == path)
        };
        assert_eq!((looks("0.1.0-rc.9"), looks("set-0.1.0-rc.9")), (1, 1));
        registry.clear_log();
    }
}
