//! No evidence, no promotion: each way in which evidence can be wrong, as the log and the result file tell it.

use granary_attest::test_result::Outcome;
use granary_testkit::registry::{Options, Registry};
use insta::assert_snapshot;
use jiff::SignedDuration;
use serde_json::json;

use crate::world::{Evidence, Release, nothing_written, promote, refusal, told, until};

/// What a run says where `evidence` is all that there is.
fn refused(evidence: &[Evidence]) -> (String, serde_json::Value) {
    let release = Release::new("0.1.1-rc.11");
    let registry = Registry::start(Options::default());
    release.publish(&registry);
    for one in evidence {
        one.attach(&registry, &release);
    }
    let finished = promote("push", &registry).output();
    nothing_written(&registry, &finished, 14);
    let result = finished.json(".granary/promote.json");
    assert_eq!((&result["candidate"], &result["set"]), (&json!("0.1.1-rc.11"), &json!(release.set_digest())));
    (told(&finished), refusal(&finished))
}

#[test]
fn missing() {
    let (told, refusal) = refused(&[]);
    assert_snapshot!(told, @r"
    exit code 14
    --- stdout
    --- stderr
    error: refusing to promote 0.1.1-rc.11: no test evidence for set [DIGEST] signed by a trusted key
    hint: needed: a test-result statement signed by a key in `trusted_keys`
    hint: `log_level: debug` names the bundles that do not count, and why
    ");
    assert_eq!(
        refusal,
        json!({
            "rule": "evidence",
            "found": "no test evidence for set [DIGEST] signed by a trusted key",
            "needed": "a test-result statement signed by a key in `trusted_keys`",
        })
    );
}

#[test]
fn failed_tests_are_named() {
    let failed =
        Evidence { result: Outcome::Failed, failed: vec!["orders", "quotes"], ..Evidence::default() };
    let (told, refusal) = refused(&[failed]);
    assert_snapshot!(told, @r"
    exit code 14
    --- stdout
    --- stderr
    error: refusing to promote 0.1.1-rc.11: result FAILED, 2 failed: orders, quotes (environment `integration`, key `zpfsINQ2YaGbIVyy43ammNC0qiqltMeFTpFr0FCC/O4=`)
    hint: needed: result PASSED without failed tests
    ");
    assert_eq!(
        (&refusal["rule"], &refusal["needed"]),
        (&json!("evidence.result"), &json!("result PASSED without failed tests"))
    );
}

#[test]
fn of_another_set() {
    let other = Release::of('b', "0.1.1-rc.12", 12);
    let (told, refusal) = refused(&[Evidence { speaks_of: Some(other), ..Evidence::default() }]);
    assert_snapshot!(told, @r"
    exit code 14
    --- stdout
    --- stderr
    error: refusing to promote 0.1.1-rc.11: evidence for set [DIGEST] (environment `integration`, key `zpfsINQ2YaGbIVyy43ammNC0qiqltMeFTpFr0FCC/O4=`)
    hint: needed: evidence for set [DIGEST]
    ");
    assert_eq!(refusal["rule"], "evidence.subject");
}

#[test]
fn that_leaves_a_member_out() {
    let (told, refusal) = refused(&[Evidence { without_members: true, ..Evidence::default() }]);
    assert_snapshot!(told, @r"
    exit code 14
    --- stdout
    --- stderr
    error: refusing to promote 0.1.1-rc.11: evidence that does not name member `app` (environment `integration`, key `zpfsINQ2YaGbIVyy43ammNC0qiqltMeFTpFr0FCC/O4=`)
    hint: needed: evidence that names [DIGEST] as a subject
    ");
    assert_eq!(refusal["rule"], "evidence.subject");
}

#[test]
fn by_an_unknown_key() {
    let (told, refusal) = refused(&[Evidence { key: 8, ..Evidence::default() }]);
    assert_snapshot!(told, @r"
    exit code 14
    --- stdout
    --- stderr
    error: refusing to promote 0.1.1-rc.11: no test evidence for set [DIGEST] signed by a trusted key
    hint: needed: a test-result statement signed by a key in `trusted_keys`
    hint: `log_level: debug` names the bundles that do not count, and why
    ");
    assert_eq!(refusal["rule"], "evidence");
}

#[test]
fn that_is_too_old() {
    let (told, refusal) =
        refused(&[Evidence { age: SignedDuration::from_hours(8 * 24), ..Evidence::default() }]);
    assert_snapshot!(told, @r"
    exit code 14
    --- stdout
    --- stderr
    error: refusing to promote 0.1.1-rc.11: tests that finished on [TIME], 192 hours ago (environment `integration`, key `zpfsINQ2YaGbIVyy43ammNC0qiqltMeFTpFr0FCC/O4=`)
    hint: needed: tests not older than 168 hours (`max_evidence_age`)
    ");
    assert_eq!(refusal["rule"], "evidence.age");
}

/// A pass does not outlive the failure after it, and one environment does not speak for another.
#[test]
fn the_newest_of_each_environment_decides() {
    let failed = || Evidence {
        result: Outcome::Failed,
        failed: vec!["orders"],
        age: SignedDuration::from_mins(5),
        ..Evidence::default()
    };
    let (_, refusal) = refused(&[Evidence::default(), failed()]);
    assert_eq!(refusal["rule"], "evidence.result");
    let (_, refusal) = refused(&[Evidence::default(), Evidence { environment: "staging", ..failed() }]);
    assert_eq!(refusal["rule"], "evidence.result");
}

#[test]
fn debug_says_why_a_bundle_does_not_count() {
    let release = Release::new("0.1.1-rc.11");
    let registry = Registry::start(Options::default());
    release.publish(&registry);
    Evidence { key: 8, ..Evidence::default() }.attach(&registry, &release);
    let finished = promote("push", &registry).plugin("log_level", "debug").output();
    assert!(finished.stderr.contains("evidence that does not count: sha256:"), "{finished}");
    assert!(finished.stderr.contains("no trusted key made the signature"), "{finished}");
}

#[test]
fn a_key_speaks_for_its_environments_only() {
    let release = Release::new("0.1.1-rc.11");
    let registry = crate::world::tested(&release);
    let key = crate::world::key(crate::world::TRUSTED).public_key().to_pem();
    let keys = json!([{"name": "tests", "key": key, "environments": ["staging"]}]).to_string();
    nothing_written(&registry, &promote("push", &registry).plugin("trusted_keys", &keys).output(), 14);
    let keys = json!([{"name": "tests", "key": key, "environments": ["integration"]}]).to_string();
    let done = promote("push", &registry).plugin("trusted_keys", &keys).output();
    assert_eq!(done.code, Some(0), "{done}");
    assert!(done.stdout.contains("2 passed in `integration`, signed by `tests`"), "{done}");
}

/// What was read before a wait is old after it: here somebody else takes the version meanwhile.
#[test]
fn after_a_wait_everything_is_looked_at_again() {
    let release = Release::new("0.1.1-rc.11");
    let registry = Registry::start(Options::default());
    release.publish(&registry);
    let run = promote("push", &registry).plugin("wait_for_evidence", "60s").spawn();
    until(|| run.stdout().contains("waiting for evidence"));
    let theirs = Release::of('b', "0.1.1-rc.10", 10);
    theirs.publish(&registry);
    theirs.promoted(&registry, "0.1.1");
    Evidence::default().attach(&registry, &release);
    let done = run.wait();
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(registry.history("acme/app", "set-0.1.1"), [theirs.set_digest()], "a published version moved");
    assert_eq!(registry.tags("acme/app")["0.1.2"], release.digest("acme/app"));
}
