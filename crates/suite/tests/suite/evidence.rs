//! Which of the bundles on a digest count: those that a trusted key signed, for what it may speak of.

use granary_attest::bundle::{self, sign_statement};
use granary_attest::key::SigningKey;
use granary_attest::statement::{ResourceDescriptor, Statement};
use granary_attest::summary::{self, PROMOTION_KEY, STABLE, SUMMARY, Summary, VERIFIER_ID};
use granary_attest::test_result::{self, Outcome, TEST_RESULT, TEST_RUN_KEY, TestResult};
use granary_attest::trust::{self, TrustedKey};
use granary_oci::{ArtifactManifest, Descriptor, Digest, EMPTY_JSON};
use granary_plugin::Failure;
use granary_release::{FoundSet, TestOutcome};
use granary_suite::{
    Collected, attach_bundle, attach_pushed, collect as collect_both, collect_test_runs, push_bundle,
};
use granary_testkit::registry::{Options, Referrers, Registry as Server, Request};

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
        warned_tests: vec!["passes in the end".to_owned()],
        failed_tests: vec!["fails".to_owned()],
        run: test_result::TestRun {
            commit: subject.set.commit.to_string(),
            set: subject.digest.to_string(),
            environment: environment.to_owned(),
            started_on: finished_on,
            finished_on,
            attempts: 2,
            platforms: Vec::new(),
            key_exposed: true,
        },
    };
    let named = ResourceDescriptor::new("set", &subject.digest.to_string()).unwrap();
    result.to_statement(vec![named]).unwrap()
}

fn summary_of(subjects: &[&Digest]) -> Statement {
    let set = subject();
    let summary = Summary {
        verifier: summary::Verifier { id: VERIFIER_ID.to_owned(), version: [].into() },
        time_verified: NOON.parse().unwrap(),
        resource_uri: "https://registry.example.com/acme/app:0.1.0".to_owned(),
        promotion: summary::Promotion {
            version: "0.1.0".to_owned(),
            candidate: "0.1.0-rc.1".to_owned(),
            stage: STABLE.to_owned(),
            set: set.digest.to_string(),
            commit: set.set.commit.to_string(),
            branch: None,
            evidence: vec![summary::Evidence {
                bundle: Digest::of(b"bundle").to_string(),
                key: "ci".to_owned(),
                environment: "load".to_owned(),
                result: Outcome::Passed,
                finished_on: NOON.parse().unwrap(),
            }],
            policy: summary::Policy::Unprotected,
            gates: Vec::new(),
            operator: summary::Operator { name: "ada".to_owned(), verified: false },
            overridden: None,
            pipeline_url: None,
        },
    };
    let named = subjects.iter().map(|digest| ResourceDescriptor::new("it", digest.as_str()).unwrap());
    summary.to_statement(named.collect()).unwrap()
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

/// Whoever may push can hang genuine evidence of another set here. It says nothing about this one; what names
/// this one as a subject does, whatever else it claims to be about.
#[tokio::test]
async fn a_statement_about_something_else_is_ignored_and_a_contradiction_is_not() {
    let server = start();
    let (this, other) = (subject().digest, Digest::of(b"another set"));
    let about = |named: &Digest, set: &Digest| {
        let mut statement = statement(Outcome::Failed, "load", NOON);
        statement.subjects = vec![ResourceDescriptor::new("set", named.as_str()).unwrap()];
        statement.predicate[TEST_RUN_KEY]["set"] = set.to_string().into();
        statement
    };
    let foreign = attach_signed(&server, &about(&other, &other), 1);
    // Its own extension says that it is about this set; what cosign shows to others says that it is not.
    let disguised = attach_signed(&server, &about(&other, &this), 1);
    let torn = attach_signed(&server, &about(&this, &other), 1);
    let mut collected = collect(&server, &[trusted("ci", 1)]).await.unwrap();
    assert_eq!(collected.runs.len(), 1);
    assert_eq!((&collected.runs[0].bundle, &collected.runs[0].set), (&torn, &other));
    let mut expected =
        [foreign, disguised].map(|bundle| format!("{bundle}: it does not name {this} as a subject"));
    collected.ignored.sort();
    expected.sort();
    assert_eq!(collected.ignored, expected);
}

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
        let lists = [&run.passed, &run.warned, &run.failed].map(|names| names.join(","));
        assert_eq!(lists, ["passes", "passes in the end", "fails"]);
        assert_eq!((run.attempts, run.key_exposed), (2, true));
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

/// What cosign signed is read; what it cannot say is named, and nothing is believed for it.
#[tokio::test]
async fn a_test_result_that_cosign_made_by_itself_lacks_time_and_place() {
    let server = start();
    let bytes = include_bytes!("../../../attest/tests/data/cosign/bundle.json");
    let bundle = attach(&server, bytes, |_| {});
    let keys = trust::parse(include_str!("../../../attest/tests/data/cosign/cosign.pub")).unwrap();
    let collected = collect(&server, &keys).await.unwrap();
    assert!(collected.runs.is_empty());
    let reason = format!("the test result does not say when and where it was made: no {TEST_RUN_KEY}");
    assert_eq!(collected.ignored, [format!("{bundle}: {reason}")]);
}

#[tokio::test]
async fn one_listing_gives_what_was_tested_and_what_was_promoted() {
    for referrers in [Referrers::On, Referrers::Off] {
        let server = Server::start(Options { referrers, ..Options::default() });
        put(&server, &subject(), &[]);
        let set = subject().manifest().descriptor();
        let (registry, now) = (client(&server), NOON.parse().unwrap());
        let tested = sign_statement(&statement(Outcome::Passed, "load", NOON), &key(1)).unwrap();
        let promoted = sign_statement(&summary_of(&[&set.digest]), &key(2)).unwrap();
        let slice = std::slice::from_ref(&set);
        let tested = attach_bundle(&registry, &app(), slice, TEST_RESULT, tested, now).await.unwrap();
        let promoted = attach_bundle(&registry, &app(), slice, SUMMARY, promoted, now).await.unwrap();
        let (tester, promoter) = ([trusted("ci", 1)], [trusted("promoter", 2)]);
        let lists = |request: &Request| {
            request.path.contains("/referrers/") || request.path.contains("/manifests/sha256-")
        };
        let blobs = |request: &Request| request.path.contains("/blobs/");

        server.clear_log();
        let both = collect_both(&client(&server), &app(), &set.digest, &tester, &promoter).await.unwrap();
        let tag_fallback = usize::from(matches!(referrers, Referrers::Off));
        assert_eq!((server.count(lists), server.count(blobs)), (1 + tag_fallback, 2));
        assert_eq!(both.ignored, Vec::<String>::new());
        let [run] = both.runs.as_slice() else { panic!("{both:?}") };
        let [summary] = both.summaries.as_slice() else { panic!("{both:?}") };
        assert_eq!((&run.bundle, run.key.as_str()), (&tested[0], "ci"));
        assert_eq!((&summary.bundle, summary.key.as_str()), (&promoted[0], "promoter"));
        assert_eq!(summary.subjects, std::slice::from_ref(&set.digest));
        assert_eq!(summary.summary.promotion.version, "0.1.0");

        // What nobody asked for is neither fetched nor complained of.
        server.clear_log();
        let runs = collect_test_runs(&client(&server), &app(), &set.digest, &tester).await.unwrap();
        assert_eq!((runs.runs, runs.summaries.len(), runs.ignored.len()), (both.runs.clone(), 0, 0));
        let summaries = collect_both(&client(&server), &app(), &set.digest, &[], &promoter).await.unwrap();
        assert_eq!(
            (summaries.runs.len(), summaries.summaries, summaries.ignored.len()),
            (0, both.summaries, 0)
        );
        assert_eq!(server.count(blobs), 2);
    }
}

/// Whoever may say that tests passed may not say that something was promoted, nor the other way round.
#[tokio::test]
async fn the_keys_of_one_kind_do_not_speak_for_the_other() {
    let server = start();
    let set = subject().digest;
    let tested = attach_signed(&server, &statement(Outcome::Passed, "load", NOON), 2);
    let promoted = attach_signed(&server, &summary_of(&[&set]), 1);
    let (tester, promoter) = ([trusted("ci", 1)], [trusted("promoter", 2)]);
    let both = collect_both(&client(&server), &app(), &set, &tester, &promoter).await.unwrap();
    assert_eq!((both.runs.len(), both.summaries.len()), (0, 0));
    let mut expected = [
        format!("{tested}: key `promoter` may not sign {TEST_RESULT}"),
        format!("{promoted}: key `ci` may not sign {SUMMARY}"),
    ];
    let mut ignored = both.ignored;
    expected.sort();
    ignored.sort();
    assert_eq!(ignored, expected);

    // Signed by a key that is trusted for it, but nobody asked: no complaint.
    let runs = collect_both(&client(&server), &app(), &set, &promoter, &[]).await.unwrap();
    assert_eq!((runs.runs.len(), runs.ignored.len()), (1, 1));
    assert!(runs.ignored[0].contains("no trusted key made the signature"), "{:?}", runs.ignored);
    let own = collect_both(&client(&server), &app(), &set, &tester, &[]).await.unwrap();
    assert!(own.ignored.iter().all(|line| line.starts_with(&format!("{tested}: "))), "{:?}", own.ignored);
}

#[tokio::test]
async fn a_summary_counts_for_its_digest_stage_and_time() {
    let set = subject().digest;
    let promoter = trusted("promoter", 2);
    let failed = {
        let mut failed = summary_of(&[&set]);
        failed.predicate["verificationResult"] = "FAILED".into();
        failed
    };
    let spoilt = {
        let mut spoilt = summary_of(&[&set]);
        spoilt.predicate[PROMOTION_KEY]["version"] = "latest".into();
        spoilt
    };
    for (statement, keys, reason) in [
        (summary_of(&[&set, &Digest::of(b"other")]), promoter.clone(), None),
        (
            summary_of(&[&Digest::of(b"other")]),
            promoter.clone(),
            Some(format!("it does not name {set} as a subject")),
        ),
        (
            summary_of(&[&set]),
            TrustedKey { environments: vec!["canary".to_owned()], ..promoter.clone() },
            Some("key `promoter` does not speak for stage `stable`".to_owned()),
        ),
        (
            summary_of(&[&set]),
            TrustedKey { not_after: Some(NOON.parse().unwrap()), ..promoter.clone() },
            Some("key `promoter` was not valid on 2026-11-21T12:00:00Z".to_owned()),
        ),
        (failed, promoter.clone(), Some("the verification summary says \"FAILED\"".to_owned())),
        (spoilt, promoter, Some("promotion: version is \"latest\", expected X.Y.Z".to_owned())),
    ] {
        let server = start();
        let bundle = attach_signed(&server, &statement, 2);
        let collected = collect_both(&client(&server), &app(), &set, &[], &[keys]).await.unwrap();
        match reason {
            None => assert_eq!((collected.summaries.len(), collected.ignored.len()), (1, 0)),
            Some(reason) => {
                assert!(collected.summaries.is_empty());
                let [line] = collected.ignored.as_slice() else { panic!("{:?}", collected.ignored) };
                assert!(line.starts_with(&format!("{bundle}: {reason}")), "{line}");
            }
        }
    }
}

/// Provenance and SBOMs of other tools may lie there in any number: they say of themselves what they are.
#[tokio::test]
async fn bundles_that_call_themselves_something_else_are_not_counted() {
    let server = start();
    let set = subject().manifest().descriptor();
    let (registry, now) = (client(&server), NOON.parse().unwrap());
    let slice = std::slice::from_ref(&set);
    for number in 0..60 {
        let bundle = format!("{{\"number\":{number}}}").into_bytes();
        let predicate = "https://slsa.dev/provenance/v1";
        attach_bundle(&registry, &app(), slice, predicate, bundle, now).await.unwrap();
    }
    attach_signed(&server, &statement(Outcome::Passed, "load", NOON), 1);
    let collected = collect(&server, &[trusted("ci", 1)]).await.unwrap();
    assert_eq!((collected.runs.len(), collected.ignored.len()), (1, 0));
}

/// The content goes ahead; what names it comes when everything else is in place.
#[tokio::test]
async fn a_bundle_is_pushed_first_and_attached_later() {
    let server = Server::start(Options::default());
    put(&server, &subject(), &[]);
    let other = set(&commit('b'), "two", None);
    put(&server, &other, &[]);
    let subjects = [subject().manifest().descriptor(), other.manifest().descriptor()];
    let (registry, now) = (client(&server), NOON.parse().unwrap());
    let bundle = sign_statement(&summary_of(&[&subjects[0].digest, &subjects[1].digest]), &key(2)).unwrap();

    let pushed = push_bundle(&registry, &app(), SUMMARY, bundle, now).await.unwrap();
    assert!(subjects.iter().all(|subject| server.referrers(APP, subject.digest.as_str()).is_empty()));
    server.clear_log();
    let attached = attach_pushed(&registry, &pushed, &subjects).await.unwrap();
    assert_eq!(server.count(|request| request.path.contains("/blobs/")), 0);
    for (subject, attached) in subjects.iter().zip(&attached) {
        assert_eq!(server.referrers(APP, subject.digest.as_str()), [attached.to_string()]);
        let found =
            collect_both(&client(&server), &app(), &subject.digest, &[], &[trusted("promoter", 2)]).await;
        assert_eq!(found.unwrap().summaries[0].bundle, *attached);
    }
}
