//! Three images, in the three forms that build tools leave behind, as one release.

use std::fs;

use e2e::containers::{Containers, Platform};
use e2e::docker_registry::{Access, DockerRegistry, PASSWORD, USER};
use e2e::openssl::KeyPair;
use e2e::pipeline::{Pipeline, commit, ends, result};
use e2e::reader::{Reader, sha256};
use serde_json::{Value, json};

#[test]
fn an_oci_archive_a_docker_archive_and_an_index_become_one_release() {
    let containers = Containers::new();
    let registry = DockerRegistry::start(Access::Password);
    let (reader, keys) = (Reader::new(&registry), KeyPair::generate());
    let pipeline = Pipeline::push(&commit(1), 11, &registry.host())
        .login(USER, PASSWORD)
        .setting("repo", "acme/{name}")
        .setting("lead", "api");
    let build = pipeline.workspace().join("build");
    fs::create_dir(&build).unwrap();
    let file = |name: &str| build.join(name).display().to_string();
    containers.build(&[("api", b"api\n")], &format!("oci-archive:{}:built", file("api.tar")));
    containers.build(&[("web", b"web\n")], &format!("docker-archive:{}:web:built", file("web.tar")));
    let tools: [Platform<'_>; 2] = [("amd64", &[("tool", b"amd\n")]), ("arm64", &[("tool", b"arm\n")])];
    containers.build_index(&tools, &format!("oci:{}:built", file("tools")));

    let sources = json!({
        "web": "docker-archive:build/web.tar",
        "api": "oci-archive:build/api.tar",
        "tools": "oci:build/tools",
    })
    .to_string();
    let pushed = ends(&pipeline.publish(&sources), 0);
    let artifacts = pushed.json(".granary/registry-push.json")["artifacts"].clone();
    let digests: std::collections::BTreeMap<String, String> = artifacts
        .as_array()
        .unwrap()
        .iter()
        .map(|artifact| {
            (artifact["name"].as_str().unwrap().to_owned(), artifact["digest"].as_str().unwrap().to_owned())
        })
        .collect();
    drop(pipeline.passes(&keys));
    let settings = [("trusted_keys", keys.public.as_str()), ("env_file", "release.env")];
    let promoted = ends(&pipeline.step("promote", &settings), 0);
    assert_eq!(result(&promoted, "promote", "version"), "0.1.0");

    // Each under its own name, all under one version; the records lie with the lead.
    for name in ["api", "web", "tools"] {
        for tag in ["0.1.0-rc.11", "sha-0101010", "integration-0101010", "0.1.0", "validated-0101010"] {
            let image = format!("acme/{name}:{tag}");
            assert_eq!(reader.digest(&image), digests[name], "{image}");
            assert_eq!(containers.digest(&registry, &image), digests[name], "{image}");
        }
        let records =
            reader.tags(&format!("acme/{name}")).iter().filter(|tag| tag.starts_with("set-")).count();
        assert_eq!(records, if name == "api" { 3 } else { 0 }, "{name}");
    }
    let variables = fs::read_to_string(pipeline.workspace().join("release.env")).unwrap();
    let lines = [
        "VERSION=0.1.0".to_owned(),
        format!("DIGEST={}", digests["api"]),
        format!("IMAGE={}/acme/api@{}", registry.host(), digests["api"]),
        format!("DIGEST_API={}", digests["api"]),
        format!("DIGEST_TOOLS={}", digests["tools"]),
        format!("DIGEST_WEB={}", digests["web"]),
    ];
    for line in lines {
        assert!(variables.lines().any(|found| found == line), "{line} in {variables}");
    }

    // What came out is what buildah put in.
    let (archive, layout) = (containers.path().join("api"), build.join("tools"));
    fs::create_dir(&archive).unwrap();
    crate::untar(&build.join("api.tar"), &archive);
    for (folder, name) in [(&archive, "api"), (&layout, "tools")] {
        let index: Value = serde_json::from_slice(&fs::read(folder.join("index.json")).unwrap()).unwrap();
        assert_eq!(index["manifests"][0]["digest"].as_str(), Some(digests[name].as_str()), "{name}");
        let pulled = containers.pull(&registry, &format!("acme/{name}:0.1.0"));
        for blob in fs::read_dir(folder.join("blobs/sha256")).unwrap().map(Result::unwrap) {
            let came_back = fs::read(pulled.join("blobs/sha256").join(blob.file_name())).unwrap();
            assert_eq!(came_back, fs::read(blob.path()).unwrap(), "{name}: {:?}", blob.file_name());
        }
    }
    let index = reader.json("acme/tools:0.1.0");
    let platforms: Vec<&Value> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|child| &child["platform"]["architecture"])
        .collect();
    assert_eq!(platforms, ["amd64", "arm64"]);

    // A docker-archive has no manifest: ours is new, its configuration and its layers' content are not.
    let archive = format!("docker-archive:{}", file("web.tar"));
    let manifest = reader.json("acme/web:0.1.0");
    let config = reader.blob("acme/web", manifest["config"]["digest"].as_str().unwrap());
    assert_eq!(sha256(&config), manifest["config"]["digest"]);
    let config: Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(config["rootfs"], containers.config(&archive)["rootfs"]);
    assert_eq!(config["config"]["Labels"]["org.example.journey"], "yes");
    let pulled = containers.pull_files(&registry, "acme/web:0.1.0");
    let layer = manifest["layers"][0]["digest"].as_str().unwrap().trim_start_matches("sha256:");
    crate::untar(&pulled.join(layer), &pulled);
    assert_eq!(fs::read(pulled.join("web")).unwrap(), b"web\n");

    // Packed again from the same archive it is the same.
    let again = Pipeline::restart(&commit(1), 12, 11, &registry.host())
        .login(USER, PASSWORD)
        .setting("repo", "acme/{name}")
        .setting("lead", "api")
        .in_folder(pipeline.workspace());
    assert_eq!(result(&ends(&again.publish(&sources), 0), "registry-push", "outcome"), "unchanged");
}
