//! Which of the bundles on a digest count: those that a trusted key signed, for what it may speak of.

use granary_attest::bundle::{self, sign_statement};
use granary_attest::key::SigningKey;
use granary_attest::statement::{ResourceDescriptor, Statement};
use granary_attest::test_result::{self, Outcome, TEST_RUN_KEY, TestResult};
use granary_attest::trust::TrustedKey;
use granary_oci::{ArtifactManifest, Descriptor, Digest, EMPTY_JSON};
use granary_plugin::Failure;
use granary_release::{FoundSet, TestOutcome};
use granary_suite::{Collected, collect_test_runs};
use granary_testkit::registry::{Options, Registry as Server};

use crate::support::{APP, app, client, commit, put, set};

fn key(seed: u8) -> SigningKey {
    SigningKey::generate([seed; 32]).unwrap()
}

fn trusted(name: &str, seed: u8) -> TrustedKey {
    TrustedKey {
        name: name.to_owned(),
        key: key(seed).public_key(),
        environments: Vec::new(),
        not_before: None,
        not_after: None,
    }
}

fn subject() -> FoundSet {
    set(&commit('a'), "one", None)
}

/// A server that has the subject.
fn start() -> Server {
    let server = Server::start(Options::default());
    put(&server, &subject(), &[]);
    server.put_blob(APP, EMPTY_JSON);
    server
}

fn statement(result: Outcome, environment: &str, finished_on: &str) -> Statement {
    let (subject, finished_on) = (subject(), finished_on.parse().unwrap());
    let result = TestResult {
        result,
        configuration: Vec::new(),
        url: None,
        passed_tests: vec!["passes".to_owned()],
        warned_tests: Vec::new(),
        failed_tests: vec!["fails".to_owned()],
        run: test_result::TestRun {
            commit: subject.set.commit.to_string(),
            set: subject.digest.to_string(),
            environment: environment.to_owned(),
            started_on: finished_on,
            finished_on,
            attempts: 1,
            platforms: Vec::new(),
            key_exposed: false,
        },
    };
    let named = ResourceDescriptor::new("set", &subject.digest.to_string()).unwrap();
    result.to_statement(vec![named]).unwrap()
}

/// Attaches bytes as if they were a bundle, with a descriptor that says what the caller likes.
fn attach(server: &Server, bytes: &[u8], describe: impl FnOnce(&mut Descriptor)) -> Digest {
    server.put_blob(APP, bytes.to_vec());
    let mut layer = Descriptor::of(bundle::MEDIA_TYPE, bytes);
    describe(&mut layer);
    let manifest = ArtifactManifest::new(bundle::MEDIA_TYPE)
        .with_layers(vec![layer])
        .with_subject(&subject().manifest().descriptor())
        .build();
    server.put_manifest(APP, &[], manifest.media_type(), manifest.bytes().to_vec());
    manifest.digest().clone()
}

fn attach_signed(server: &Server, statement: &Statement, seed: u8) -> Digest {
    attach(server, &sign_statement(statement, &key(seed)).unwrap(), |_| {})
}

async fn collect(server: &Server, keys: &[TrustedKey]) -> Result<Collected, Failure> {
    collect_test_runs(&client(server), &app(), &subject().digest, keys).await
}

const NOON: &str = "2026-11-21T12:00:00Z";

/// Nothing that a failed run says may get lost on the way to the judge.
#[tokio::test]
async fn every_outcome_is_collected_with_all_it_says() {
    let server = start();
    let outcomes = [Outcome::Passed, Outcome::Warned, Outcome::Failed];
    let bundles = outcomes.map(|outcome| attach_signed(&server, &statement(outcome, "load", NOON), 1));
    let collected = collect(&server, &[trusted("other", 2), trusted("ci", 1)]).await.unwrap();
    assert_eq!(collected.ignored, Vec::<String>::new());
    assert_eq!(collected.runs.len(), 3);
    for (bundle, outcome) in
        bundles.iter().zip([TestOutcome::Passed, TestOutcome::Warned, TestOutcome::Failed])
    {
        let run = collected.runs.iter().find(|run| run.bundle == *bundle).unwrap();
        assert_eq!(run.result, outcome);
        assert_eq!((run.key.as_str(), run.environment.as_str()), ("ci", "load"));
        assert_eq!((&run.commit, &run.set), (&commit('a'), &subject().digest));
        assert_eq!(run.subjects, [subject().digest]);
        assert_eq!(run.finished_on, NOON.parse().unwrap());
        assert_eq!((run.passed.join(","), run.failed.join(",")), ("passes".to_owned(), "fails".to_owned()));
    }
}

/// A key of one environment, or one that was retired, does not speak for the others.
#[tokio::test]
async fn a_key_speaks_for_its_environments_and_in_its_time() {
    let server = start();
    let restricted = TrustedKey {
        environments: vec!["load".to_owned(), "integration".to_owned()],
        not_before: Some("2026-11-21T00:00:00Z".parse().unwrap()),
        not_after: Some("2026-11-22T00:00:00Z".parse().unwrap()),
        ..trusted("ci", 1)
    };
    let mut ignored = Vec::new();
    for (environment, finished_on, reason) in [
        ("load", "2026-11-21T00:00:00Z", None),
        ("integration", "2026-11-21T23:59:59Z", None),
        ("production", NOON, Some("key `ci` does not speak for environment `production`")),
        ("load", "2026-11-20T23:59:59Z", Some("key `ci` was not valid on 2026-11-20T23:59:59Z")),
        ("load", "2026-11-22T00:00:00Z", Some("key `ci` was not valid on 2026-11-22T00:00:00Z")),
    ] {
        let bundle = attach_signed(&server, &statement(Outcome::Passed, environment, finished_on), 1);
        ignored.extend(reason.map(|reason| format!("{bundle}: {reason}")));
    }
    let mut collected = collect(&server, &[restricted]).await.unwrap();
    let mut counted: Vec<&str> = collected.runs.iter().map(|run| run.environment.as_str()).collect();
    counted.sort_unstable();
    assert_eq!(counted, ["integration", "load"]);
    ignored.sort();
    collected.ignored.sort();
    assert_eq!(collected.ignored, ignored);
}

/// What anybody may push beside a set neither counts nor stands in the way of what does.
#[tokio::test]
async fn what_proves_nothing_is_ignored_and_named() {
    let server = start();
    let good = attach_signed(&server, &statement(Outcome::Passed, "load", NOON), 1);
    let spoilt = |field: &str| {
        let mut spoilt = statement(Outcome::Passed, field, NOON);
        spoilt.predicate[TEST_RUN_KEY][field] = "main".into();
        sign_statement(&spoilt, &key(1)).unwrap()
    };
    let other = Statement {
        predicate_type: "https://slsa.dev/provenance/v1".to_owned(),
        ..statement(Outcome::Passed, "load", NOON)
    };
    let signed =
        |environment: &str| sign_statement(&statement(Outcome::Passed, environment, NOON), &key(1)).unwrap();
    let stranger = sign_statement(&statement(Outcome::Passed, "load", NOON), &key(2)).unwrap();
    let mut expected = vec![
        (attach(&server, &stranger, |_| {}), "no trusted key made the signature"),
        (attach(&server, &spoilt("commit"), |_| {}), "test run: commit is \"main\""),
        (attach(&server, &spoilt("set"), |_| {}), "test run: set is \"main\""),
        (attach_signed(&server, &other, 1), "it speaks of https://slsa.dev/provenance/v1"),
        (attach(&server, b"{}", |_| {}), "not a Sigstore bundle"),
        (attach(&server, &signed("larger"), |layer| layer.size -= 1), "no usable answer"),
        (attach(&server, &signed("smaller"), |layer| layer.size += 1), "bytes, got "),
        (attach(&server, &signed("huge"), |layer| layer.size = 1 << 40), "a bundle of 1099511627776 bytes"),
    ];
    let two = ArtifactManifest::new(bundle::MEDIA_TYPE)
        .with_layers(vec![Descriptor::of(bundle::MEDIA_TYPE, b"{}"); 2])
        .with_subject(&subject().manifest().descriptor())
        .build();
    server.put_manifest(APP, &[], two.media_type(), two.bytes().to_vec());
    expected.push((two.digest().clone(), "2 layers instead of one bundle"));

    let collected = collect(&server, &[trusted("ci", 1)]).await.unwrap();
    let counted: Vec<&Digest> = collected.runs.iter().map(|run| &run.bundle).collect();
    assert_eq!(counted, [&good]);
    assert_eq!(collected.ignored.len(), expected.len(), "{:#?}", collected.ignored);
    for (bundle, reason) in expected {
        let start = format!("{bundle}: ");
        let line = collected.ignored.iter().find_map(|line| line.strip_prefix(&start)).unwrap();
        assert!(line.contains(reason), "{line}");
    }
}

/// Whoever attaches bundles without end must not be able to hide a failed run behind them.
#[tokio::test]
async fn fifty_bundles_are_read_and_fifty_one_are_refused() {
    let server = start();
    // Of other types there may be any number: signatures, SBOMs.
    let sbom = ArtifactManifest::new("application/spdx+json")
        .with_subject(&subject().manifest().descriptor())
        .build();
    server.put_manifest(APP, &[], sbom.media_type(), sbom.bytes().to_vec());
    let attach_number = |number: u32| {
        attach_signed(&server, &statement(Outcome::Passed, &format!("e{number}"), NOON), 1);
    };
    (1..=50).for_each(attach_number);
    assert_eq!(collect(&server, &[trusted("ci", 1)]).await.unwrap().runs.len(), 50);
    attach_number(51);
    let failure = collect(&server, &[trusted("ci", 1)]).await.unwrap_err();
    assert_eq!(failure.kind().code(), 14);
    let refusal = failure.refusal().unwrap();
    assert_eq!(refusal.rule, "evidence.count");
    assert_eq!(refusal.found, format!("51 bundles on {}", subject().digest));
    assert_eq!(refusal.needed, "at most 50");
}
