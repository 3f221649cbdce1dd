//! No evidence, no promotion: each way in which evidence can be wrong, as the log and the result file tell it.

use granary_attest::test_result::Outcome;
use granary_testkit::registry::{Options, Registry};
use insta::assert_snapshot;
use jiff::SignedDuration;
use serde_json::json;

use crate::world::{Evidence, Release, nothing_written, promote, refusal, tested, told, until};

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
    error: refusing to promote 0.1.1-rc.11: no test evidence for set [DIGEST] signed by a trusted key
    hint: needed: a test-result statement signed by a key in `trusted_keys`
    hint: `log_level: debug` names the bundles that do not count, and why
    ");
    assert_eq!(refusal["rule"], "evidence");
}

/// Whoever may push must not be able to keep a tested set out.
#[test]
fn of_another_set_beside_its_own() {
    let (release, other) = (Release::new("0.1.1-rc.11"), Release::of('b', "0.1.1-rc.12", 12));
    let registry = tested(&release);
    let failed = Evidence { failed: vec!["orders"], result: Outcome::Failed, ..Evidence::default() };
    Evidence { speaks_of: Some(other), environment: "load", ..failed }.attach(&registry, &release);
    let done = promote("push", &registry).plugin("log_level", "debug").output();
    assert_eq!(done.code, Some(0), "{done}");
    assert!(done.to_string().contains("as a subject"), "{done}");
}

/// The set's digest covers its members' digests, and cosign signs one subject.
#[test]
fn evidence_names_the_set_and_need_not_name_its_members() {
    let release = Release::new("0.1.1-rc.11");
    let registry = Registry::start(Options::default());
    release.publish(&registry);
    Evidence { without_members: true, ..Evidence::default() }.attach(&registry, &release);
    let done = promote("push", &registry).output();
    assert_eq!(done.code, Some(0), "{done}");
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

/// What was refused, with these settings, and what the same evidence gets with others.
fn with_rules(
    evidence: &[Evidence],
    refusing: &[(&str, &str)],
    accepting: &[(&str, &str)],
) -> (String, String) {
    let release = Release::new("0.1.1-rc.11");
    let registry = Registry::start(Options::default());
    release.publish(&registry);
    for one in evidence {
        one.attach(&registry, &release);
    }
    let run = |settings: &[(&str, &str)]| {
        let run = promote("push", &registry);
        settings.iter().fold(run, |run, (name, value)| run.plugin(name, value)).output()
    };
    let no = run(refusing);
    nothing_written(&registry, &no, 14);
    let (refused, told) = (refusal(&no), no.stderr.clone());
    assert!(
        told.contains(refused["found"].as_str().unwrap())
            || refused["found"].as_str().unwrap().contains("[TIME]"),
        "{no}"
    );
    assert!(told.contains(&format!("hint: needed: {}", refused["needed"].as_str().unwrap())), "{no}");
    let yes = run(accepting);
    assert_eq!(yes.code, Some(0), "{yes}");
    let rule = refused["rule"].as_str().unwrap().to_owned();
    (
        format!("{rule}: {}; {}", refused["found"].as_str().unwrap(), refused["needed"].as_str().unwrap()),
        yes.stdout,
    )
}

#[test]
fn required_tests_must_have_passed_somewhere() {
    let smoke = Evidence { environment: "smoke", passed: vec!["login::works"], ..Evidence::default() };
    let asked = [("required_tests", "orders,pay::*,login::?orks")];
    let (refused, _) =
        with_rules(&[Evidence::default(), smoke], &asked, &[("required_tests", "quo*,login::?orks")]);
    assert_snapshot!(refused, @"evidence.tests: no passed test matches `pay::*`; 2 in `integration`, 1 in `smoke` passed; every test in `required_tests` passed in the newest run of some environment");
}

#[test]
fn required_environments_must_have_spoken() {
    let asked = [("required_environments", "integration,staging")];
    let (refused, _) =
        with_rules(&[Evidence::default()], &asked, &[("required_environments", "integration")]);
    assert_snapshot!(refused, @"evidence.environment: evidence from `integration` only; evidence from `staging` (`required_environments`)");
}

#[test]
fn warnings_are_let_in_where_that_is_allowed_and_the_log_says_so() {
    let warned = || Evidence {
        result: Outcome::Warned,
        warned: vec!["quotes"],
        passed: vec!["orders"],
        ..Evidence::default()
    };
    let (refused, accepted) = with_rules(&[warned()], &[], &[("allow_warned", "true")]);
    assert_snapshot!(refused, @"evidence.result: result WARNED, 1 passed with a warning only: quotes (environment `integration`, key `zpfsINQ2YaGbIVyy43ammNC0qiqltMeFTpFr0FCC/O4=`); result PASSED; with `allow_warned` WARNED will do");
    assert!(
        accepted.contains("evidence accepted: 1 passed and 1 with a warning (quotes) in `integration`"),
        "{accepted}"
    );
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
