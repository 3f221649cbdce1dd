//! The ground that the other journeys stand on holds: without a plugin of ours, an image goes from buildah through a registry
//! and comes back the same.

use e2e::containers::Containers;
use e2e::docker_registry::{Access, DockerRegistry, PASSWORD, USER};

const FILES: &[(&str, &[u8])] = &[("app/run", b"#!/bin/sh\n"), ("app/data", b"42\n")];

#[test]
fn an_image_goes_in_and_comes_back_the_same() {
    let containers = Containers::new();
    let archive = format!("oci-archive:{}:v1", containers.path().join("image.tar").display());
    containers.build(FILES, &archive);
    for (access, credentials) in
        [(Access::Open, None), (Access::Password, Some(format!("{USER}:{PASSWORD}")))]
    {
        let registry = DockerRegistry::start(access);
        let pushed = containers.push(&archive, &registry, "team/app:v1", credentials.as_deref());
        assert!(pushed.success, "{}", pushed.stderr);
        assert_eq!(containers.tags(&registry, "team/app"), ["v1"]);

        let digest = containers.digest(&registry, "team/app:v1");
        let manifest = containers.manifest(&registry, &format!("team/app@{digest}"));
        let hex = digest.strip_prefix("sha256:").expect("skopeo speaks sha256");
        let layout = containers.pull(&registry, "team/app:v1");
        let pulled =
            std::fs::read(layout.join("blobs/sha256").join(hex)).expect("the layout has the manifest");
        assert_eq!(pulled, manifest);
    }
}

#[test]
fn a_wrong_password_is_refused() {
    let containers = Containers::new();
    let archive = format!("oci-archive:{}:v1", containers.path().join("image.tar").display());
    containers.build(FILES, &archive);
    let registry = DockerRegistry::start(Access::Password);
    for credentials in [None, Some("ci:wrong")] {
        let pushed = containers.push(&archive, &registry, "team/app:v1", credentials);
        assert!(!pushed.success, "{credentials:?}");
        assert!(pushed.stderr.contains("authentication required"), "{}", pushed.stderr);
    }
}
