//! Test evidence made by hand, for what integration-test never makes: old, about another set, by the wrong key.

use granary_attest::bundle::{self, sign_statement};
use granary_attest::key::SigningKey;
use granary_attest::statement::ResourceDescriptor;
use granary_attest::test_result::{Outcome, TestResult, TestRun};
use granary_testkit::image::{Content, MANIFEST};
use granary_testkit::registry::Registry;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::state;

/// A key that is the same on every run.
///
/// # Panics
/// Never: every byte but 0 and 255 makes a key.
#[must_use]
pub fn key(seed: u8) -> SigningKey {
    SigningKey::generate([seed; 32]).expect("the bytes are in the range of P-256")
}

/// What a piece of evidence says. Made by [`Evidence::of`], then changed by the test.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The digests that it names as its subjects: set, members.
    pub subjects: Vec<String>,
    /// The result.
    pub result: Outcome,
    /// Tests that passed.
    pub passed: Vec<String>,
    /// Commit, set, environment and times.
    pub run: TestRun,
}

impl Evidence {
    /// What integration-test would say of a set after one test that has just passed.
    ///
    /// # Panics
    /// Where there is no such set.
    #[must_use]
    pub fn of(registry: &Registry, repository: &str, set_tag: &str) -> Self {
        let digest = registry.tags(repository)[set_tag].clone();
        let set = state::set(registry, repository, set_tag);
        let members: Value =
            serde_json::from_str(&set["life.celestium.granary.members"]).expect("a list of members");
        let members = members.as_array().expect("a list of members");
        let digests = members.iter().filter_map(|member| member["digest"].as_str().map(str::to_owned));
        let now = Timestamp::from_second(Timestamp::now().as_second()).expect("now is a time");
        Self {
            subjects: std::iter::once(digest.clone()).chain(digests).collect(),
            result: Outcome::Passed,
            passed: vec!["answers".to_owned()],
            run: TestRun {
                commit: set["org.opencontainers.image.revision"].clone(),
                set: digest,
                environment: "integration".to_owned(),
                started_on: now,
                finished_on: now,
                attempts: 1,
                platforms: vec!["linux/amd64".to_owned()],
                key_exposed: false,
            },
        }
    }

    /// Signs it and attaches it to a manifest of the repository. Returns the digest of what was attached.
    ///
    /// # Panics
    /// Where it cannot be stated, or the subject is not there.
    pub fn attach(&self, registry: &Registry, repository: &str, subject: &str, key: &SigningKey) -> String {
        let subjects = self.subjects.iter().map(|digest| ResourceDescriptor::new("subject", digest));
        let subjects: Result<Vec<_>, _> = subjects.collect();
        let result = TestResult {
            result: self.result,
            configuration: Vec::new(),
            url: None,
            passed_tests: self.passed.clone(),
            warned_tests: Vec::new(),
            failed_tests: Vec::new(),
            run: self.run.clone(),
        };
        let statement = result.to_statement(subjects.expect("digests")).expect("evidence that can be stated");
        let bundle = sign_statement(&statement, key).expect("evidence that can be signed");
        attach_bundle(registry, repository, subject, bundle)
    }
}

/// Attaches bytes as if they were a bundle. Returns the digest of what was attached.
///
/// # Panics
/// Where the subject is not there.
pub fn attach_bundle(registry: &Registry, repository: &str, subject: &str, bundle: Vec<u8>) -> String {
    let layer = Content::new(bundle::MEDIA_TYPE, bundle);
    let (media_type, bytes) = registry.manifest(repository, subject).expect("the subject is there");
    let config = Content::new("application/vnd.oci.empty.v1+json", b"{}".as_slice());
    for blob in [&layer, &config] {
        registry.put_blob(repository, blob.bytes.clone());
    }
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": bundle::MEDIA_TYPE,
        "config": config.descriptor(),
        "layers": [layer.descriptor()],
        "subject": {"mediaType": media_type, "digest": subject, "size": bytes.len()},
    });
    registry.put_manifest(repository, &[], MANIFEST, manifest.to_string())
}
