//! One image from buildah to a stable release, read back by skopeo and `oci-client`, its evidence by openssl.

use std::fs;

use e2e::containers::Containers;
use e2e::docker_registry::{Access, DockerRegistry, PASSWORD, USER};
use e2e::evidence::{TEST_RESULT, statement};
use e2e::openssl::KeyPair;
use e2e::pipeline::{Pipeline, commit, ends, result};
use e2e::reader::{Reader, sha256};
use serde_json::{Value, json};

const FILES: &[(&str, &[u8])] = &[("app/run", b"#!/bin/sh\necho 42\n"), ("app/data", b"42\n")];

/// What a project would have: pulls what it is told to test, by digest, and looks into it.
const TESTS: &str = r#"#!/bin/sh
# Usage: tests.sh IMAGE DIGEST RESULTS
set -eu
image=$1 digest=$2 results=$3
mkdir -p test/tmp test/root
export HOME="$PWD/test" XDG_RUNTIME_DIR="$PWD/test" TMPDIR="$PWD/test/tmp"
echo '{"default": [{"type": "insecureAcceptAnything"}]}' >test/policy.json
# What careless scripts do.
echo "pulling as $PULL_USER with $PULL_PASSWORD"
skopeo --policy test/policy.json --tmpdir test/tmp copy --src-tls-verify=false \
    --src-creds "$PULL_USER:$PULL_PASSWORD" "docker://$image" dir:test/pulled
for file in test/pulled/*; do
    tar -xzf "$file" -C test/root 2>/dev/null || true
done
status=failed
[ "$(sh test/root/app/run)" = "$(cat test/root/app/data)" ] && status=passed
env | grep -q "^PLUGIN_" && status=failed
cat >"$results" <<END
{"digest": "$digest", "tests": [{"name": "the program answers", "status": "$status"}]}
END
"#;

#[test]
fn what_buildah_made_is_what_was_tested_and_what_is_stable() {
    let containers = Containers::new();
    let registry = DockerRegistry::start(Access::Password);
    let (reader, keys, id) = (Reader::new(&registry), KeyPair::generate(), commit(1));
    let pipeline = Pipeline::push(&id, 11, &registry.host()).login(USER, PASSWORD);
    let layout = pipeline.workspace().join("build/app");
    fs::create_dir_all(&layout).unwrap();
    containers.build(FILES, &format!("oci:{}:built", layout.display()));
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let built = index["manifests"][0]["digest"].as_str().unwrap();

    let pushed = ends(&pipeline.publish("oci:build/app"), 0);
    assert_eq!(result(&pushed, "registry-push", "candidate"), "0.1.0-rc.11");

    pipeline.write("tests.sh", TESTS);
    let environment = json!({"PULL_USER": USER, "PULL_PASSWORD": PASSWORD}).to_string();
    let settings = [
        ("command", "sh tests.sh {image} {digest} {results}"),
        ("results", "results.json"),
        ("env", environment.as_str()),
    ];
    let tested = ends(&pipeline.step("integration-test", &settings), 0);
    assert!(tested.to_string().contains("pulling as "), "output is passed on\n{tested}");
    assert!(!tested.to_string().contains(PASSWORD), "values of `env` are masked\n{tested}");
    let reported = ends(&pipeline.report("results.json", &keys), 0);
    assert_eq!(result(&reported, "integration-test", "result"), "PASSED");

    let promoted = ends(&pipeline.promote(&keys), 0);
    assert_eq!(result(&promoted, "promote", "version"), "0.1.0");

    // Two readers that share no code with the plugins, nor with each other.
    let set = reader.digest(&format!("acme/app:set-{id}"));
    let hex = |digest: &str| digest.trim_start_matches("sha256:").to_owned();
    let mut tags = vec![
        "0.1.0".to_owned(),
        "0.1.0-rc.11".to_owned(),
        "integration-0101010".to_owned(),
        "set-0.1.0".to_owned(),
        "set-0.1.0-rc.11".to_owned(),
        format!("set-{id}"),
        "sha-0101010".to_owned(),
        "validated-0101010".to_owned(),
        format!("claim-0.1.0-{}", &hex(&set)[..12]),
        format!("sha256-{}", hex(built)),
        format!("sha256-{}", hex(&set)),
    ];
    tags.sort();
    assert_eq!(containers.tags(&registry, "acme/app"), tags);
    assert_eq!(reader.tags("acme/app"), tags);
    for tag in ["0.1.0", "0.1.0-rc.11", "integration-0101010", "sha-0101010", "validated-0101010"] {
        assert_eq!(reader.digest(&format!("acme/app:{tag}")), built, "{tag}");
        assert_eq!(containers.digest(&registry, &format!("acme/app:{tag}")), built, "{tag}");
    }
    for tag in ["set-0.1.0", "set-0.1.0-rc.11"] {
        assert_eq!(reader.digest(&format!("acme/app:{tag}")), set, "{tag}");
    }
    // Byte for byte what lay on disk: skopeo fetched each blob and checked its digest, oci-client the layer.
    let blob = |digest: &str| fs::read(layout.join("blobs/sha256").join(hex(digest))).unwrap();
    let manifest = reader.manifest("acme/app:0.1.0");
    assert_eq!(manifest, blob(built));
    assert_eq!(containers.manifest(&registry, "acme/app:0.1.0"), manifest);
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let pulled = containers.pull_files(&registry, "acme/app:0.1.0");
    let layers = manifest["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 1, "buildah makes one layer of a container");
    for digest in layers.iter().chain([&manifest["config"]]).map(|part| part["digest"].as_str().unwrap()) {
        assert_eq!(fs::read(pulled.join(hex(digest))).unwrap(), blob(digest));
        assert_eq!(sha256(&reader.blob("acme/app", digest)), digest);
    }

    // The evidence, found by the fallback tag as cosign finds it, and checked by openssl.
    for subject in [built, &set] {
        let statement = statement(&reader, "acme/app", subject, TEST_RESULT, &keys.public);
        assert_eq!(statement["predicateType"], "https://in-toto.io/attestation/test-result/v0.1");
        assert_eq!(statement["predicate"]["result"], "PASSED");
        assert_eq!(statement["predicate"]["passedTests"], json!(["the program answers"]));
        let subjects: Vec<_> =
            statement["subject"].as_array().unwrap().iter().map(|s| &s["digest"]["sha256"]).collect();
        assert!(
            subjects.contains(&&json!(hex(built))) && subjects.contains(&&json!(hex(&set))),
            "{subjects:?}"
        );
    }
}
