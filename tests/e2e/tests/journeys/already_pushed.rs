//! An image that a build step has pushed already, as buildx does: nothing is uploaded again.

use std::time::Duration;

use e2e::containers::Containers;
use e2e::docker_registry::{Access, DockerRegistry};
use e2e::openssl::KeyPair;
use e2e::pipeline::{Pipeline, commit, ends, result};
use e2e::proxy::Proxy;
use e2e::reader::Reader;

#[test]
fn an_image_of_another_repository_is_mounted_tested_and_promoted() {
    let containers = Containers::new();
    let registry = DockerRegistry::start(Access::Open);
    let proxy = Proxy::start(&registry, Duration::ZERO);
    let (reader, keys) = (Reader::new(&registry), KeyPair::generate());
    let archive = format!("oci-archive:{}:built", containers.path().join("app.tar").display());
    containers.build_index(&[("amd64", &[("app", b"amd\n")]), ("arm64", &[("app", b"arm\n")])], &archive);
    let pushed = containers.push(&archive, &registry, "build/app:ci-7", None);
    assert!(pushed.success, "{}", pushed.stderr);
    let built = reader.digest("build/app:ci-7");

    let pipeline = Pipeline::push(&commit(1), 7, &proxy.host());
    drop(ends(&pipeline.publish(&format!("image:{}/build/app:ci-7", proxy.host())), 0));
    let seen = proxy.take_seen();
    let index = reader.json("build/app:ci-7");
    let mut blobs = Vec::new();
    for child in index["manifests"].as_array().unwrap() {
        let child = reader.json(&format!("build/app@{}", child["digest"].as_str().unwrap()));
        for part in child["layers"].as_array().unwrap().iter().chain([&child["config"]]) {
            blobs.push(part["digest"].as_str().unwrap().to_owned());
        }
    }
    for digest in &blobs {
        let hex = digest.trim_start_matches("sha256:");
        let about: Vec<_> = seen.iter().filter(|request| request.target.contains(hex)).collect();
        let mounts = about
            .iter()
            .filter(|request| request.method == "POST" && request.target.contains("from=build/app"));
        assert_eq!(mounts.filter(|mount| mount.status == 201).count(), 1, "{digest} {about:?}");
        assert!(
            about.iter().all(|request| request.method == "POST" || request.method == "HEAD"),
            "{about:?}"
        );
    }

    drop(pipeline.passes(&keys));
    assert_eq!(result(&ends(&pipeline.promote(&keys), 0), "promote", "version"), "0.1.0");
    for tag in ["0.1.0-rc.7", "0.1.0"] {
        assert_eq!(reader.digest(&format!("acme/app:{tag}")), built, "{tag}");
    }
    assert_eq!(
        containers.manifest(&registry, "acme/app:0.1.0"),
        containers.manifest(&registry, "build/app:ci-7")
    );
    let _ = containers.pull(&registry, "acme/app:0.1.0");
    assert_eq!(reader.tags("build/app"), ["ci-7"], "where it came from is left alone");
}
