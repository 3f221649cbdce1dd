//! A repository with years of history.

use e2e::containers::Containers;
use e2e::docker_registry::{Access, DockerRegistry};
use e2e::openssl::KeyPair;
use e2e::pipeline::{Pipeline, commit, ends, result};
use e2e::reader::Reader;

const COUNT: usize = 1500;

/// The highest stable version is 0.10.2, in the middle and by number, not by letter; what looks higher does not count.
fn tags() -> Vec<String> {
    let odd = ["0.9.10", "0.10.2", "0.9.9", "v0.99.0", "1.0.0-rc.4", "2.0", "0.11.0-beta.1", "latest", "99"];
    let mut tags: Vec<String> = odd.map(str::to_owned).to_vec();
    let versions = (0..9).flat_map(|minor| (0..30).map(move |patch| format!("0.{minor}.{patch}")));
    tags.extend(versions);
    tags.extend((1..).map(|number| format!("0.9.{}-rc.{number}", number % 9)).take(COUNT - tags.len()));
    tags
}

#[test]
fn the_next_candidate_follows_the_highest_of_1500_tags() {
    let containers = Containers::new();
    let registry = DockerRegistry::start(Access::Open);
    let (reader, keys) = (Reader::new(&registry), KeyPair::generate());
    let old = format!("oci-archive:{}:old", containers.path().join("old.tar").display());
    containers.build(&[("app", b"old\n")], &old);
    let pushed = containers.push(&old, &registry, "acme/app:0.9.10", None);
    assert!(pushed.success, "{}", pushed.stderr);
    let manifest = reader.manifest("acme/app:0.9.10");
    registry.put_manifest("acme/app", &tags(), "application/vnd.oci.image.manifest.v1+json", &manifest);
    assert_eq!(reader.tags("acme/app").len(), COUNT);

    let pipeline = Pipeline::push(&commit(1), 4711, &registry.host());
    let archive = pipeline.workspace().join("app.tar");
    containers.build(&[("app", b"new\n")], &format!("oci-archive:{}:built", archive.display()));
    let pushed = ends(&pipeline.publish("oci-archive:app.tar"), 0);
    assert_eq!(result(&pushed, "registry-push", "candidate"), "0.10.3-rc.4711");
    drop(pipeline.passes(&keys));
    // What was there before Granary has no set that would say which commit it was made from: that is decided by people, once.
    let refused = ends(&pipeline.promote(&keys), 15);
    assert!(refused.stderr.contains("0.10.2 has no release set"), "{refused}");
    let settings = [("trusted_keys", keys.public.as_str()), ("allow_older", "true")];
    let promoted = ends(&pipeline.step("promote", &settings), 0);
    assert_eq!(result(&promoted, "promote", "version"), "0.10.3");
    assert_eq!(reader.digest("acme/app:0.10.3"), reader.digest("acme/app:0.10.3-rc.4711"));
    assert_eq!(reader.manifest("acme/app:0.10.2"), manifest);
}
