//! Keys under a password: cosign's sign in our plugins, ours sign in cosign.

use e2e::cosign::{Cosign, CosignKeys};
use e2e::evidence::{SUMMARY, TEST_RESULT};
use e2e::openssl::KeyPair;
use e2e::pipeline::{ends, result};
use e2e::release::Release;
use granary_testkit::process::{Run, binary};
use serde_json::json;

use crate::scene::Kind;

const PASSWORD: &str = "correct horse";
const WRONG: &str = "battery staple";

#[test]
fn cosigns_encrypted_keys_sign_evidence_and_summaries() {
    let (registry, cosign) = (Kind::DockerRegistry.start(), Cosign::new());
    let registry = registry.as_ref();
    let [tests, promoter] = [(); 2].map(|()| cosign.generate_key_pair(PASSWORD));
    let trusted = KeyPair { private: tests.private.clone(), public: tests.public.clone() };
    let release = Release::of_one(registry, "encrypted", 1, 11, &trusted);
    let pipeline = release.pipeline();
    let _ = release.publish(&pipeline);
    pipeline.write("results.json", r#"{"tests": [{"name": "answers", "status": "passed"}]}"#);

    let sign = |key: &CosignKeys, password: &str| {
        [("signing_key", key.private.clone()), ("signing_key_password", password.to_owned())]
    };
    let report = |password: &str| {
        let signing = sign(&tests, password);
        let signing = signing.each_ref().map(|(name, value)| (*name, value.as_str()));
        pipeline.step(
            "integration-test",
            &[&[("mode", "report"), ("results", "results.json")][..], &signing].concat(),
        )
    };
    let image = format!("{}@{}", release.repository("api"), release.images()["api"].digest());
    let wrong = ends(&report(WRONG), 20);
    assert!(!wrong.to_string().contains(WRONG), "{wrong}");
    assert!(!cosign.verify_attestation(registry, &image, TEST_RESULT, &tests.public).success);
    drop(ends(&report(PASSWORD), 0));
    assert!(cosign.verify_attestation(registry, &image, TEST_RESULT, &tests.public).success);

    let promote = |password: &str| {
        let signing = sign(&promoter, password);
        let signing = signing.each_ref().map(|(name, value)| (*name, value.as_str()));
        release.promote_step(&pipeline, &signing)
    };
    let wrong = ends(&promote(WRONG), 20);
    assert!(!wrong.to_string().contains(WRONG), "{wrong}");
    assert_eq!(result(&ends(&promote(PASSWORD), 0), "promote", "version"), "0.1.0");
    let accepted = cosign.verify_attestation(registry, &image, SUMMARY, &promoter.public);
    assert!(accepted.success, "{}", accepted.stderr);
}

#[test]
fn keys_that_keygen_made_sign_in_cosign() {
    let (registry, cosign) = (Kind::Referrers.start(), Cosign::new());
    let registry = registry.as_ref();
    // As somebody does it by hand, where there is no pipeline.
    let keygen = Run::new(binary("integration-test"))
        .arg("keygen")
        .arg("--keygen-to=tests")
        .plugin("signing_key_password", PASSWORD);
    let made = ends(&keygen, 0);
    let read = |name: &str| std::fs::read_to_string(made.workspace.join(name)).unwrap();
    let keys =
        CosignKeys { private: read("tests.key"), password: PASSWORD.to_owned(), public: read("tests.pub") };

    let ours = KeyPair::generate();
    let release = Release::of_one(registry, "keygen", 1, 11, &ours);
    let pipeline = release.pipeline();
    let _ = release.publish(&pipeline);
    let image = format!("{}@{}", release.repository("api"), release.images()["api"].digest());
    let predicate = json!({"result": "PASSED", "configuration": []});
    let ended = cosign.attest(registry, &image, TEST_RESULT, &predicate, &keys);
    assert!(ended.success, "{}", ended.stderr);
    let accepted = cosign.verify_attestation(registry, &image, TEST_RESULT, &keys.public);
    assert!(accepted.success, "{}", accepted.stderr);
    let locked = CosignKeys { password: WRONG.to_owned(), ..keys };
    assert!(!cosign.attest(registry, &image, TEST_RESULT, &predicate, &locked).success);
}
