//! A release of two images for two platforms, with an SBOM and a signature, from build to stable within one registry of each kind,
//! read back by skopeo, crane and regctl.

use e2e::foreign::ForeignReader as _;
use e2e::pipeline::result;
use e2e::release::Release;

use crate::scene::{Kind, Scene};

fn becomes_stable_on(kind: Kind) {
    let (registry, scene) = (kind.start(), Scene::new());
    let registry = registry.as_ref();
    let release = Release::of_two(registry, "within", 1, 11, &scene.keys);
    let pipeline = release.pipeline();
    assert_eq!(release.publish(&pipeline), "0.1.0-rc.11");
    release.attach_papers(&scene.regctl);
    drop(pipeline.passes(&scene.keys));
    let before = scene.papers(registry, &release, "within");
    // SBOM, its signature, the platform's SBOM, and the evidence.
    assert_eq!(before.len(), 4, "{:?}", before.keys());

    let promoted = release.promote(&pipeline, &[], "0.1.0");
    let tags = ["0.1.0-rc.11", "sha-0101010", "integration-0101010", "0.1.0", "validated-0101010"];
    scene.holds(registry, &release, "within", &tags);
    let after = scene.papers(registry, &release, "within");
    assert!(before.iter().all(|(digest, bytes)| after.get(digest) == Some(bytes)), "nothing got lost");

    // The records lie with the lead: the claim, and one set under all its names.
    let lead = release.repository("api");
    let set = result(&promoted, "promote", "set");
    let names = ["set-0.1.0".to_owned(), format!("set-{}", release.commit()), "set-0.1.0-rc.11".to_owned()];
    for name in &names {
        assert_eq!(scene.crane.digest(registry, &format!("{lead}:{name}")), set, "{name}");
    }
    let hex = &set["sha256:".len()..][..12];
    let listed = scene.crane.tags(registry, &lead);
    assert!(listed.contains(&format!("claim-0.1.0-{hex}")), "{listed:?}");

    // Nothing is left to do, and the run after knows.
    let again = release.pipeline();
    drop(release.promote(&again, &[], "0.1.0"));
    assert_eq!(scene.crane.tags(registry, &lead), listed);
    assert_eq!(scene.papers(registry, &release, "within"), after);
}

#[test]
fn on_docker_registry() {
    becomes_stable_on(Kind::DockerRegistry);
}

#[test]
fn on_distribution_3() {
    becomes_stable_on(Kind::Distribution);
}

#[test]
fn on_a_registry_with_the_referrers_api() {
    becomes_stable_on(Kind::Referrers);
}

#[test]
fn on_gitea() {
    becomes_stable_on(Kind::Gitea);
}
