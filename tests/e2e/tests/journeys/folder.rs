//! A folder of manifests as the artifact that Flux reads.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use e2e::containers::Containers;
use e2e::docker_registry::{Access, DockerRegistry};
use e2e::openssl::KeyPair;
use e2e::pipeline::{Pipeline, commit, ends, result};
use e2e::reader::Reader;

const FILES: &[(&str, &str)] = &[
    ("kustomization.yaml", "resources: [app, empty.yaml]\n"),
    ("app/deployment.yaml", "kind: Deployment\n"),
    ("app/hooks/migrate.sh", "#!/bin/sh\n"),
    ("empty.yaml", ""),
    ("app/ünïcode name.yaml", "kind: ConfigMap\n"),
];

/// Files below a folder, with content and whether they can be run.
fn tree(folder: &Path) -> BTreeMap<String, (Vec<u8>, bool)> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let name = entry.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            let executable = entry.metadata().unwrap().permissions().mode() & 0o111 != 0;
            files.insert(name, (fs::read(entry.path()).unwrap(), executable));
        }
    }
    files
}

fn checkout(pipeline: &Pipeline) {
    for (path, text) in FILES {
        pipeline.write(&format!("deploy/{path}"), text);
    }
    let script = pipeline.workspace().join("deploy/app/hooks/migrate.sh");
    fs::set_permissions(script, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_folder_is_published_promoted_and_unpacked_again() {
    let containers = Containers::new();
    let registry = DockerRegistry::start(Access::Open);
    let (reader, keys) = (Reader::new(&registry), KeyPair::generate());
    let pipeline = Pipeline::push(&commit(1), 11, &registry.host());
    checkout(&pipeline);
    drop(ends(&pipeline.publish("dir:deploy"), 0));
    drop(pipeline.passes(&keys));
    assert_eq!(result(&ends(&pipeline.promote(&keys), 0), "promote", "version"), "0.1.0");

    let manifest = reader.json("acme/app:0.1.0");
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.cncf.flux.config.v1+json");
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
    assert_eq!(manifest["layers"][0]["mediaType"], "application/vnd.cncf.flux.content.v1.tar+gzip");
    let annotations = &manifest["annotations"];
    assert_eq!(annotations["org.opencontainers.image.revision"], format!("main@sha1:{}", commit(1)));
    assert_eq!(annotations["org.opencontainers.image.source"], "https://gitea.example.test/acme/app.git");

    let pulled = containers.pull_files(&registry, "acme/app:0.1.0");
    let layer = manifest["layers"][0]["digest"].as_str().unwrap().trim_start_matches("sha256:");
    let unpacked = containers.path().join("unpacked");
    fs::create_dir(&unpacked).unwrap();
    crate::untar(&pulled.join(layer), &unpacked);
    let found = tree(&unpacked);
    assert_eq!(found, tree(&pipeline.workspace().join("deploy")));
    assert_eq!(found.len(), FILES.len());

    // The same commit checked out again, later and elsewhere: the same artifact.
    let again = Pipeline::restart(&commit(1), 12, 11, &registry.host());
    checkout(&again);
    let before = reader.state("acme/app");
    assert_eq!(result(&ends(&again.publish("dir:deploy"), 0), "registry-push", "outcome"), "unchanged");
    assert_eq!(reader.state("acme/app"), before);
}
