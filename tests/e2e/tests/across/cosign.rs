//! Evidence that others accept, and evidence of others: cosign checks what the plugins signed, promote believes what cosign signed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::cosign::{Cosign, CosignKeys};
use e2e::evidence::{SUMMARY, TEST_RESULT};
use e2e::openssl::KeyPair;
use e2e::pipeline::{Pipeline, ends, result};
use e2e::programs::Ended;
use e2e::registry::Registry;
use e2e::release::Release;
use granary_testkit::process::{Finished, Run};
use serde_json::{Value, json};

use crate::scene::Kind;

const TEST_RUN: &str = "https://celestium.life/granary/test-run/v1";

/// The predicates of what cosign has accepted: it prints an envelope for each.
fn predicates(accepted: &Ended) -> Vec<Value> {
    assert!(accepted.success, "{}{}", accepted.stdout, accepted.stderr);
    let envelopes = accepted.stdout.lines().filter(|line| line.starts_with('{'));
    let statement = |line: &str| {
        let envelope: Value = serde_json::from_str(line).unwrap();
        let payload = STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
        serde_json::from_slice::<Value>(&payload).unwrap()
    };
    envelopes.map(|line| statement(line)["predicate"].take()).collect()
}

/// A published candidate of two images, and its set's digest.
fn published<'a>(registry: &'a dyn Registry, keys: &'a KeyPair) -> (Release<'a>, Pipeline, String) {
    let release = Release::of_two(registry, "signed", 1, 11, keys);
    let pipeline = release.pipeline();
    let set = result(&ends(&release.publish_step(&pipeline), 0), "registry-push", "set");
    (release, pipeline, set)
}

fn is_accepted_on(kind: Kind) {
    let (registry, cosign) = (kind.start(), Cosign::new());
    let registry = registry.as_ref();
    let [tests, promoter, other] = [(); 3].map(|()| KeyPair::generate());
    let (release, pipeline, set) = published(registry, &tests);
    drop(pipeline.passes(&tests));

    let lead = format!("{}@{}", release.repository("api"), release.images()["api"].digest());
    let member = format!("{}@{}", release.repository("web"), release.images()["web"].digest());
    let set = format!("{}@{set}", release.repository("api"));
    for image in [&lead, &set] {
        let accepted = cosign.verify_attestation(registry, image, TEST_RESULT, &tests.public);
        let predicates = predicates(&accepted);
        assert_eq!(predicates.len(), 1, "{image}: {predicates:?}");
        assert_eq!(predicates[0]["result"], "PASSED");
        assert_eq!(predicates[0]["passedTests"], json!(["answers"]));
        let refused = cosign.verify_attestation(registry, image, TEST_RESULT, &other.public);
        assert!(!refused.success, "{image} by another key: {}", refused.stdout);
        // Nothing is promoted yet.
        let refused = cosign.verify_attestation(registry, image, SUMMARY, &promoter.public);
        assert!(!refused.success, "{image} has no summary: {}", refused.stdout);
    }

    drop(release.promote(&pipeline, &[("signing_key", &promoter.private)], "0.1.0"));
    for image in [&lead, &member, &set] {
        let accepted = cosign.verify_attestation(registry, image, SUMMARY, &promoter.public);
        let predicates = predicates(&accepted);
        assert_eq!(predicates.len(), 1, "{image}: {predicates:?}");
        assert_eq!(predicates[0]["verificationResult"], "PASSED", "{predicates:?}");
        // The tests' key is another one, and says nothing about promotion.
        for key in [&tests, &other] {
            let refused = cosign.verify_attestation(registry, image, SUMMARY, &key.public);
            assert!(!refused.success, "{image} by another key: {}", refused.stdout);
        }
    }
}

#[test]
fn cosign_accepts_what_we_signed_on_a_registry_with_the_referrers_api() {
    is_accepted_on(Kind::Referrers);
}

#[test]
fn cosign_accepts_what_we_signed_on_docker_registry() {
    is_accepted_on(Kind::DockerRegistry);
}

/// What a project's own tooling would sign about a set.
fn predicate(release: &Release<'_>, set: &str) -> Value {
    let now = jiff::Timestamp::now();
    let test_run = json!({
        "commit": release.commit(),
        "set": set,
        "environment": "integration",
        "startedOn": now.to_string(),
        "finishedOn": now.to_string(),
        "attempts": 1,
        "platforms": ["linux/amd64"],
        "keyExposed": false,
    });
    json!({
        "result": "PASSED",
        "configuration": [],
        "passedTests": ["orders fill"],
        TEST_RUN: test_run,
    })
}

/// promote, in an empty workspace, as it is where the evidence came from elsewhere; trusting one key.
fn promotion(release: &Release<'_>, trusted: &str) -> (Pipeline, Run) {
    let pipeline = release.pipeline();
    let run = pipeline.step("promote", &[("trusted_keys", trusted), ("log_level", "debug")]);
    (pipeline, run)
}

fn refused(release: &Release<'_>, trusted: &str) -> Finished {
    let (_workspace, run) = promotion(release, trusted);
    let refused = ends(&run, 14);
    assert!(refused.stderr.contains("error: refusing to promote"), "{refused}");
    refused
}

/// cosign says this about the set.
fn says(registry: &dyn Registry, cosign: &Cosign, image: &str, predicate: &Value, keys: &CosignKeys) {
    let ended = cosign.attest(registry, image, TEST_RESULT, predicate, keys);
    assert!(ended.success, "{}{}", ended.stdout, ended.stderr);
}

fn is_believed_on(kind: Kind) {
    let (registry, cosign) = (kind.start(), Cosign::new());
    let registry = registry.as_ref();
    let (ours, theirs) = (KeyPair::generate(), cosign.generate_key_pair("correct horse"));
    let (release, _workspace, set) = published(registry, &ours);
    let image = format!("{}@{set}", release.repository("api"));

    // What says neither when nor where is no evidence, however good its signature.
    let full = predicate(&release, &set);
    let mut plain = full.clone();
    plain.as_object_mut().unwrap().remove(TEST_RUN);
    says(registry, &cosign, &image, &plain, &theirs);
    let undated = refused(&release, &theirs.public);
    assert!(undated.to_string().contains("does not say when and where it was made"), "{undated}");

    says(registry, &cosign, &image, &full, &theirs);
    let unknown = refused(&release, &ours.public);
    assert!(unknown.stderr.contains("evidence that does not count"), "{unknown}");
    let (_workspace, run) = promotion(&release, &theirs.public);
    assert_eq!(result(&ends(&run, 0), "promote", "version"), "0.1.0");
}

#[test]
fn promote_believes_what_cosign_signed_on_a_registry_with_the_referrers_api() {
    is_believed_on(Kind::Referrers);
}

#[test]
fn promote_believes_what_cosign_signed_on_docker_registry() {
    is_believed_on(Kind::DockerRegistry);
}

#[test]
fn what_cosign_signed_about_another_set_is_not_believed() {
    let (registry, cosign) = (Kind::Referrers.start(), Cosign::new());
    let registry = registry.as_ref();
    let (ours, theirs) = (KeyPair::generate(), cosign.generate_key_pair("correct horse"));
    let (release, _workspace, set) = published(registry, &ours);
    let image = format!("{}@{set}", release.repository("api"));
    // Signed about this set, and saying of another one that it was tested; and the other way round.
    let lead = release.images()["api"].digest();
    says(registry, &cosign, &image, &predicate(&release, lead), &theirs);
    drop(refused(&release, &theirs.public));
    let elsewhere = format!("{}@{lead}", release.repository("api"));
    says(registry, &cosign, &elsewhere, &predicate(&release, &set), &theirs);
    drop(refused(&release, &theirs.public));
}
