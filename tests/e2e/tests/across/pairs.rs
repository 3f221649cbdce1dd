//! From every kind of registry to every other: the tested bytes arrive, with everything that hangs on them, and the version is
//! written on both sides.

use e2e::foreign::ForeignReader as _;
use e2e::gitea::OWNER;
use e2e::pipeline::result;
use e2e::registry::Registry;
use e2e::release::Release;

use crate::scene::{KINDS, Kind, Scene};

/// Into every kind of registry, another of the same kind included.
fn goes_everywhere_from(kind: Kind) {
    let (source, scene) = (kind.start(), Scene::new());
    for (position, target_kind) in KINDS.into_iter().enumerate() {
        let target = target_kind.start();
        let path = format!("to-{position}");
        arrives(source.as_ref(), target.as_ref(), &path, &scene);
    }
}

fn arrives(source: &dyn Registry, target: &dyn Registry, path: &str, scene: &Scene) {
    let release = Release::of_two(source, path, 1, 11, &scene.keys);
    let pipeline = release.pipeline();
    let _ = release.publish(&pipeline);
    release.attach_papers(&scene.regctl);
    drop(pipeline.passes(&scene.keys));
    let papers = scene.papers(source, &release, path);
    assert_eq!(papers.len(), 4, "{:?}", papers.keys());

    let target_settings = Release::target(&target.host(), target, "production");
    let settings: Vec<(&str, &str)> =
        target_settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    drop(release.promote(&pipeline, &settings, "0.1.0"));
    scene.holds(target, &release, "production", &["0.1.0", "validated-0101010"]);
    scene.holds(source, &release, path, &["0.1.0-rc.11", "0.1.0", "validated-0101010"]);
    let arrived = scene.papers(target, &release, "production");
    for (digest, bytes) in &papers {
        assert_eq!(arrived.get(digest), Some(bytes), "{target:?} lacks {digest}");
    }

    // Run again, it finds everything done on both sides.
    let restarted = release.pipeline();
    let again = release.promote(&restarted, &settings, "0.1.0");
    assert_eq!(result(&again, "promote", "outcome"), "unchanged");
    for name in release.images().keys() {
        let mut tags = scene.crane.tags(target, &format!("{OWNER}/production/{name}"));
        tags.retain(|tag| !tag.starts_with("sha256-"));
        assert_eq!(tags, ["0.1.0", "validated-0101010"], "{name}");
    }
}

#[test]
fn from_docker_registry() {
    goes_everywhere_from(Kind::DockerRegistry);
}

#[test]
fn from_distribution_3() {
    goes_everywhere_from(Kind::Distribution);
}

#[test]
fn from_a_registry_with_the_referrers_api() {
    goes_everywhere_from(Kind::Referrers);
}

#[test]
fn from_gitea() {
    goes_everywhere_from(Kind::Gitea);
}
