//! Bundles from end to end: what cosign wrote, what we write, and what must not pass.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use granary_attest::bundle::{self, MAX_BUNDLE_BYTES, OpenError, SignError};
use granary_attest::dsse::Envelope;
use granary_attest::key::SigningKey;
use granary_attest::statement::{ResourceDescriptor, Statement};
use granary_attest::test_result::{Outcome, TEST_RESULT, TestResult, TestResultError, TestRun};
use granary_attest::trust::{self, TrustedKey};
use serde_json::{Value, json};

const COSIGN_BUNDLE: &str = include_str!("data/cosign/bundle.json");
const COSIGN_KEY: &str = include_str!("data/cosign/cosign.pub");
const COSIGN_SUBJECT: &str = "sha256:ba9a45bf6f430f3e2a385c70f38ebd311d5e2258812ef15f6469ed7fbaf815b5";
const COSIGN_HINT: &str = "CdCdXw363AfRuqAfZltSihVuI8QXt6WK590PPMEyngo=";

fn signing_key() -> SigningKey {
    SigningKey::from_pem(include_str!("data/keys/p256.pkcs8.pem")).unwrap()
}

fn our_keys() -> Vec<TrustedKey> {
    trust::parse(&json!([{"name": "ci", "key": include_str!("data/keys/p256.pub.pem")}]).to_string()).unwrap()
}

fn cosign_keys() -> Vec<TrustedKey> {
    trust::parse(COSIGN_KEY).unwrap()
}

fn test_result() -> TestResult {
    TestResult {
        result: Outcome::Passed,
        configuration: vec![ResourceDescriptor {
            name: Some("infra/inttest/run.sh".to_owned()),
            ..Default::default()
        }],
        url: Some("https://ci.example.com/repos/1/pipeline/87".to_owned()),
        passed_tests: vec!["orders".to_owned()],
        warned_tests: vec![],
        failed_tests: vec![],
        run: TestRun {
            commit: "3f2a91c0123456789abcdef0123456789abcdef0".to_owned(),
            set: format!("sha256:{}", "ab".repeat(32)),
            environment: "integration".to_owned(),
            started_on: "2026-11-20T20:40:00Z".parse().unwrap(),
            finished_on: "2026-11-20T20:45:04Z".parse().unwrap(),
            attempts: 1,
            platforms: vec!["linux/amd64".to_owned()],
            key_exposed: false,
        },
    }
}

fn statement() -> Statement {
    test_result().to_statement(vec![ResourceDescriptor::new("acme/app", COSIGN_SUBJECT).unwrap()]).unwrap()
}

fn our_bundle() -> Value {
    serde_json::from_slice(&bundle::sign_statement(&statement(), &signing_key()).unwrap()).unwrap()
}

/// Opens a bundle with our key in the list; the error with whether it counts as foreign.
fn open_ours(bundle: &Value) -> Result<Statement, (String, bool)> {
    bundle::open(bundle.to_string().as_bytes(), &our_keys())
        .map(|opened| opened.statement)
        .map_err(|error| (error.to_string(), error.is_foreign()))
}

/// Changes one bit of the base64 text that `pointer` names.
fn flip(bundle: &Value, pointer: &str, byte: usize) -> Value {
    let mut bundle = bundle.clone();
    let field = bundle.pointer_mut(pointer).unwrap();
    let mut bytes = STANDARD.decode(field.as_str().unwrap()).unwrap();
    bytes[byte] ^= 1;
    *field = json!(STANDARD.encode(bytes));
    bundle
}

#[test]
fn what_cosign_wrote_verifies() {
    let keys = cosign_keys();
    let opened = bundle::open(COSIGN_BUNDLE.as_bytes(), &keys).unwrap();
    assert_eq!(opened.key.name, COSIGN_HINT);
    assert!(opened.statement.names(COSIGN_SUBJECT));
    assert_eq!(opened.statement.predicate_type, TEST_RESULT);
    assert_eq!(opened.statement.predicate, json!({"a": 1}));
    // Properly signed, and no evidence: it says neither when nor where.
    assert!(matches!(TestResult::from_statement(&opened.statement), Err(TestResultError::NoTestRun)));
}

#[test]
fn what_cosign_wrote_and_somebody_changed_does_not() {
    let keys = cosign_keys();
    let good: Value = serde_json::from_str(COSIGN_BUNDLE).unwrap();
    for (pointer, byte) in [
        ("/dsseEnvelope/payload", 0),
        ("/dsseEnvelope/payload", 150),
        ("/dsseEnvelope/signatures/0/sig", 0),
        ("/dsseEnvelope/signatures/0/sig", 40),
        ("/dsseEnvelope/signatures/0/sig", 71),
    ] {
        let error = bundle::open(flip(&good, pointer, byte).to_string().as_bytes(), &keys).unwrap_err();
        assert!(
            matches!(&error, OpenError::SignatureInvalid { key } if key == COSIGN_HINT),
            "{pointer} {byte}"
        );
        assert!(!error.is_foreign());
    }
    let ours = our_keys();
    let error = bundle::open(COSIGN_BUNDLE.as_bytes(), &ours).unwrap_err();
    assert_eq!(error.to_string(), format!("no trusted key made the signature (key hint {COSIGN_HINT})"));
    assert!(error.is_foreign());
    assert!(matches!(bundle::open(COSIGN_BUNDLE.as_bytes(), &[]), Err(OpenError::NoTrustedKey { .. })));
}

#[test]
fn ours_round_trips_and_names_its_key() {
    let keys = trust::parse(&format!("{COSIGN_KEY}{}", include_str!("data/keys/p256.pub.pem"))).unwrap();
    let bytes = bundle::sign_statement(&statement(), &signing_key()).unwrap();
    let opened = bundle::open(&bytes, &keys).unwrap();
    assert_eq!(opened.key, &keys[1]);
    assert_eq!(opened.statement, statement());
    assert_eq!(TestResult::from_statement(&opened.statement).unwrap(), test_result());
}

/// The bytes are an interface: cosign, Flux and Kyverno read them, and a rerun must write the same blob again.
#[test]
fn exact_bytes() {
    let bytes = bundle::sign_statement(&statement(), &signing_key()).unwrap();
    assert_eq!(String::from_utf8(bytes).unwrap(), include_str!("data/bundle.json").trim_end());
    let payload = STANDARD.decode(our_bundle()["dsseEnvelope"]["payload"].as_str().unwrap()).unwrap();
    let predicate = concat!(
        r#"{"configuration":[{"name":"infra/inttest/run.sh"}],"failedTests":[],"#,
        r#""https://celestium.life/granary/test-run/v1":{"attempts":1,"#,
        r#""commit":"3f2a91c0123456789abcdef0123456789abcdef0","environment":"integration","#,
        r#""finishedOn":"2026-11-20T20:45:04Z","keyExposed":false,"platforms":["linux/amd64"],"#,
        r#""set":"sha256:abababababababababababababababababababababababababababababababab","#,
        r#""startedOn":"2026-11-20T20:40:00Z"},"passedTests":["orders"],"result":"PASSED","#,
        r#""url":"https://ci.example.com/repos/1/pipeline/87","warnedTests":[]}"#,
    );
    let expected = format!(
        "{}{predicate}}}",
        concat!(
            r#"{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"acme/app","digest":"#,
            r#"{"sha256":"ba9a45bf6f430f3e2a385c70f38ebd311d5e2258812ef15f6469ed7fbaf815b5"}}],"#,
            r#""predicateType":"https://in-toto.io/attestation/test-result/v0.1","predicate":"#,
        )
    );
    assert_eq!(String::from_utf8(payload).unwrap(), expected);
}

/// Same shape as cosign's: a field more or less, or another order of nesting, would show.
#[test]
fn shape_of_cosign() {
    fn shape(value: &Value, path: &str, out: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                fields.iter().for_each(|(name, value)| shape(value, &format!("{path}/{name}"), out));
            }
            Value::Array(list) => list.iter().for_each(|value| shape(value, &format!("{path}[]"), out)),
            _ => out.push(path.to_owned()),
        }
    }
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    shape(&our_bundle(), "", &mut ours);
    shape(&serde_json::from_str(COSIGN_BUNDLE).unwrap(), "", &mut theirs);
    assert_eq!(ours, theirs);
    assert_eq!(ours.len(), 5);
}

/// An implementation that nobody here wrote: `openssl dgst` over the encoding that DSSE signs.
#[test]
fn openssl_verifies_our_signature() {
    let bundle = our_bundle();
    let field = |pointer: &str| STANDARD.decode(bundle.pointer(pointer).unwrap().as_str().unwrap()).unwrap();
    let payload = field("/dsseEnvelope/payload");
    let folder = std::env::temp_dir().join(format!("granary-attest-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let head = format!("DSSEv1 28 application/vnd.in-toto+json {} ", payload.len());
    std::fs::write(folder.join("message"), [head.as_bytes(), &payload].concat()).unwrap();
    std::fs::write(folder.join("signature"), field("/dsseEnvelope/signatures/0/sig")).unwrap();
    let output = Command::new("openssl")
        .args(["dgst", "-sha256", "-verify"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/keys/p256.pub.pem"))
        .args(["-signature", "signature", "message"])
        .current_dir(&folder)
        .output()
        .unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "Verified OK\n", "{output:?}");
}

#[test]
fn ours_but_broken() {
    let good = our_bundle();
    let invalid =
        ("the bundle names the trusted key \"ci\", but its signature does not verify".to_owned(), false);
    assert_eq!(open_ours(&flip(&good, "/dsseEnvelope/payload", 200)), Err(invalid.clone()));
    assert_eq!(open_ours(&flip(&good, "/dsseEnvelope/signatures/0/sig", 30)), Err(invalid.clone()));
    let mut changed = good.clone();
    changed["dsseEnvelope"]["payloadType"] = json!("text/plain");
    assert_eq!(open_ours(&changed), Err(invalid.clone()));
    let mut changed = good.clone();
    changed["dsseEnvelope"]["signatures"] = json!([]);
    assert_eq!(open_ours(&changed), Err(invalid));

    let signed = |payload: &str, payload_type: &str| {
        let envelope = Envelope::sign(payload.as_bytes().to_vec(), payload_type, &signing_key());
        let mut bundle = good.clone();
        bundle["dsseEnvelope"] = serde_json::to_value(envelope).unwrap();
        open_ours(&bundle)
    };
    let wrong =
        "payload type \"text/plain\", signed by \"ci\", is not application/vnd.in-toto+json".to_owned();
    assert_eq!(signed("hello", "text/plain"), Err((wrong, false)));
    let malformed = "the statement signed by \"ci\" cannot be used".to_owned();
    assert_eq!(signed("hello", "application/vnd.in-toto+json"), Err((malformed, false)));
}

#[test]
fn the_hint_decides_nothing() {
    // Without it, or with a stranger's, what our key signed is ours.
    for material in
        [json!({}), json!({"publicKey": {"hint": COSIGN_HINT}}), json!({"certificate": {"rawBytes": ""}})]
    {
        let mut bundle = our_bundle();
        bundle["verificationMaterial"] = material;
        assert_eq!(open_ours(&bundle), Ok(statement()));
    }
    // With ours, what a stranger signed is not.
    let stranger = SigningKey::from_pem(include_str!("data/keys/other.pkcs8.pem")).unwrap();
    let bytes = bundle::sign_statement(&statement(), &stranger).unwrap();
    let mut bundle: Value = serde_json::from_slice(&bytes).unwrap();
    assert!(open_ours(&bundle).unwrap_err().1, "foreign");
    bundle["verificationMaterial"] = our_bundle()["verificationMaterial"].clone();
    assert!(!open_ours(&bundle).unwrap_err().1, "not foreign, and refused all the same");
}

#[test]
fn unknown_fields_and_the_older_spelling_are_read() {
    let mut bundle = our_bundle();
    bundle["mediaType"] = json!("application/vnd.dev.sigstore.bundle+json;version=0.3");
    bundle["verificationMaterial"]["tlogEntries"] = json!([{"logIndex": "1"}]);
    bundle["dsseEnvelope"]["signatures"][0]["keyid"] = json!("");
    bundle["later"] = json!({"x": [1]});
    assert_eq!(open_ours(&bundle), Ok(statement()));
}

#[test]
fn other_things_are_foreign() {
    let mut other_version = our_bundle();
    other_version["mediaType"] = json!("application/vnd.dev.sigstore.bundle.v0.4+json");
    let mut message = our_bundle();
    message.as_object_mut().unwrap().remove("dsseEnvelope");
    let empty = message.clone();
    message["messageSignature"] =
        json!({"messageDigest": {"algorithm": "SHA2_256", "digest": ""}, "signature": ""});
    for (bundle, expected) in [
        (json!([]), "not a Sigstore bundle"),
        (json!({}), "not a Sigstore bundle"),
        (
            other_version,
            "bundle media type \"application/vnd.dev.sigstore.bundle.v0.4+json\" is not supported",
        ),
        (message, "the bundle holds a message signature, not a statement"),
        (empty, "the bundle holds no DSSE envelope"),
    ] {
        assert_eq!(open_ours(&bundle), Err((expected.to_owned(), true)), "{bundle}");
    }
    for bytes in [&b""[..], b"\x1f\x8b\x08", &COSIGN_BUNDLE.as_bytes()[..700]] {
        assert!(matches!(bundle::open(bytes, &our_keys()), Err(OpenError::NotABundle { .. })));
    }
}

#[test]
fn what_verifiers_would_refuse_is_not_written() {
    let no_subject = Statement { subjects: vec![], ..statement() };
    assert!(matches!(bundle::sign_statement(&no_subject, &signing_key()), Err(SignError::Statement { .. })));
    let huge = Statement { predicate: json!("x".repeat(MAX_BUNDLE_BYTES * 3 / 4)), ..statement() };
    let error = bundle::sign_statement(&huge, &signing_key()).unwrap_err();
    assert!(matches!(error, SignError::TooLarge { size } if size > MAX_BUNDLE_BYTES));
}
