//! Signed statements as they lie in a registry, read without any code of ours and checked by openssl.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::openssl::verified_payload;
use crate::reader::Reader;

/// in-toto's test result.
pub const TEST_RESULT: &str = "https://in-toto.io/attestation/test-result/v0.1";
/// SLSA's verification summary.
pub const SUMMARY: &str = "https://slsa.dev/verification_summary/v1";

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// The bundles attached to a digest, by the fallback tag as others find them where there is no referrers API. None is also what
/// nobody has attached anything to.
///
/// # Panics
/// Where something else is attached, or one that names another subject.
#[must_use]
pub fn bundles(reader: &Reader, repository: &str, digest: &str) -> Vec<Value> {
    let fallback = digest.replace(':', "-");
    if !reader.tags(repository).contains(&fallback) {
        return Vec::new();
    }
    let referrers = reader.json(&format!("{repository}:{fallback}"));
    let listed = referrers["manifests"].as_array().expect("a fallback tag names an index");
    let read = |entry: &Value| {
        assert_eq!(entry["artifactType"], BUNDLE, "{referrers}");
        let digest_of =
            |value: &Value| value["digest"].as_str().expect("a descriptor has a digest").to_owned();
        let manifest = reader.json(&format!("{repository}@{}", digest_of(entry)));
        assert_eq!(manifest["subject"]["digest"], digest, "{manifest}");
        let bundle = reader.blob(repository, &digest_of(&manifest["layers"][0]));
        serde_json::from_slice(&bundle).expect("a bundle is JSON")
    };
    listed.iter().map(read).collect()
}

/// The only statement of one predicate type about a digest.
///
/// # Panics
/// As [`bundles`], where it is not one, and where openssl does not accept its signature by this key.
#[must_use]
pub fn statement(reader: &Reader, repository: &str, digest: &str, kind: &str, public: &str) -> Value {
    let all = statements(reader, repository, digest, kind, public);
    let [only] = all.as_slice() else { panic!("{repository}@{digest}: {kind}: {all:?}") };
    only.clone()
}

/// All statements of one predicate type about a digest.
///
/// # Panics
/// As [`statement`], but for their number.
#[must_use]
pub fn statements(reader: &Reader, repository: &str, digest: &str, kind: &str, public: &str) -> Vec<Value> {
    let bundles = bundles(reader, repository, digest);
    let of_kind = bundles.iter().filter(|bundle| payload(bundle)["predicateType"] == kind);
    of_kind.map(|bundle| verified_payload(&bundle["dsseEnvelope"], public)).collect()
}

/// What a bundle says, whoever signed it.
fn payload(bundle: &Value) -> Value {
    let payload = bundle["dsseEnvelope"]["payload"].as_str().expect("a DSSE envelope has a payload");
    serde_json::from_slice(&STANDARD.decode(payload).expect("base64")).expect("a statement is JSON")
}
