//! An index in an index, which Gitea refuses: said before anything is written, and no matter elsewhere.

use e2e::foreign::ForeignReader as _;
use e2e::pipeline::ends;
use e2e::registry::Registry;
use e2e::release::Release;
use granary_testkit::image::{Image, ImageBuilder};
use granary_testkit::process::Finished;

use crate::scene::{Kind, Scene, ask};

/// Two platforms, and a third in an index of its own.
fn nested() -> Image {
    let image = |platform| ImageBuilder::new(platform).file("platform", platform.as_bytes()).build();
    let inner = Image::index(&[image("linux/arm64"), image("linux/riscv64")]);
    Image::index(&[image("linux/amd64"), inner])
}

fn is_refused_by_name(finished: &Finished, registry: &dyn Registry) {
    let reason = format!("{} refuses an index inside an index", registry.host());
    assert!(finished.stderr.contains(&reason), "{finished}");
}

#[test]
fn gitea_is_not_written_to_when_an_index_is_nested() {
    let (source, target, scene) = (Kind::DockerRegistry.start(), Kind::Gitea.start(), Scene::new());
    let (source, target) = (source.as_ref(), target.as_ref());
    let images = || [("api", nested())];

    // Promoted to it: what was published elsewhere stays a candidate.
    let release = Release::of(source, "nested", 1, 11, &scene.keys, images());
    let pipeline = release.pipeline();
    release.publish_and_test(&pipeline);
    let before = scene.crane.tags(source, &release.repository("api"));
    let settings = Release::target(&target.host(), target, "production");
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    is_refused_by_name(&ends(&release.promote_step(&pipeline, &settings), 20), target);
    assert_eq!(scene.crane.tags(source, &release.repository("api")), before);

    // Published there.
    let published = Release::of(target, "nested", 1, 11, &scene.keys, images());
    is_refused_by_name(&ends(&published.publish_step(&published.pipeline()), 20), target);
    for path in ["production/api", "nested/api"] {
        // Not even a blob: that would make it a repository without tags.
        let listed = ask(target, "GET", &format!("{}/{path}/tags/list", e2e::gitea::OWNER), &[], b"");
        assert!(listed.contains(" 404 ") && listed.contains("NAME_UNKNOWN"), "{path}: {listed}");
    }

    // Elsewhere it goes all the way.
    let elsewhere = Kind::Distribution.start();
    let settings = Release::target(&elsewhere.host(), elsewhere.as_ref(), "production");
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    drop(release.promote(&pipeline, &settings, "0.1.0"));
    scene.holds(elsewhere.as_ref(), &release, "production", &["0.1.0"]);
}
