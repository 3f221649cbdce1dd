//! No evidence, no promotion: what does not count as proof, and what does.

use flow::evidence::{Evidence, attach_bundle, key};
use flow::pipeline::{APP, Agent, Pipeline, WEB, commit, ends, image};
use granary_attest::test_result::Outcome;
use granary_testkit::process::{Finished, Run};
use granary_testkit::registry::{Options, Referrers, Registry};
use jiff::{SignedDuration, Timestamp};

fn set_tag() -> String {
    format!("set-{}", commit(1))
}

/// A commit that is published and not tested.
fn published(registry: &Registry, agent: &Agent) -> Pipeline {
    let pipeline = agent.push(registry, &commit(1), 11);
    drop(ends(&pipeline.publish(&[image("one")]), 0));
    pipeline
}

/// Runs a promotion that has to be refused for want of evidence, and returns rule and finding.
fn refused(registry: &Registry, promote: &Run) -> (String, String, Finished) {
    let before = registry.snapshot();
    let finished = ends(promote, 14);
    assert_eq!(registry.snapshot(), before, "a refusal writes nothing\n{finished}");
    let result = finished.json(".granary/promote.json");
    assert_eq!(result["outcome"], "refused", "{finished}");
    let text = |name: &str| result["refusal"][name].as_str().unwrap().to_owned();
    (text("rule"), text("found"), finished)
}

#[test]
fn an_untested_commit_is_not_promoted() {
    let registry = Registry::start(Options::default());
    let agent = Agent::new();
    let pipeline = published(&registry, &agent);
    let (rule, found, _) = refused(&registry, &pipeline.promote());
    let set = registry.tags(APP)[&set_tag()].clone();
    assert_eq!(rule, "evidence");
    assert_eq!(found, format!("no test evidence for set {set} signed by a trusted key"));
}

#[test]
fn an_unpublished_commit_is_not_promoted() {
    let registry = Registry::start(Options::default());
    let agent = Agent::new();
    // On an empty registry, and on one that has other commits.
    drop(ends(&agent.push(&registry, &commit(1), 11).promote(), 14));
    published(&registry, &agent);
    let (rule, found, _) = refused(&registry, &agent.push(&registry, &commit(2), 12).promote());
    assert_eq!(rule, "evidence");
    assert!(found.ends_with(&format!("nothing published for commit {}", commit(2))), "{found}");
}

#[test]
fn failed_tests_are_evidence_against_the_commit() {
    let registry = Registry::start(Options::default());
    let agent = Agent::new();
    let pipeline = published(&registry, &agent);
    let failed = ends(&pipeline.report(&[("answers", "passed"), ("says why", "failed")]), 13);
    assert_eq!(failed.json(".granary/integration-test.json")["outcome"], "failed");

    // In the same pipeline nothing more is tried, whatever the step's `when: status` says.
    let skipped = ends(&pipeline.promote(), 0);
    assert_eq!(skipped.json(".granary/promote.json")["outcome"], "skipped");
    assert!(!registry.tags(APP).contains_key("0.1.0"));

    // In another one the evidence speaks.
    let (rule, found, _) = refused(&registry, &agent.push(&registry, &commit(1), 11).promote());
    assert_eq!(rule, "evidence.result");
    assert!(found.starts_with("result FAILED, 1 failed: says why ("), "{found}");

    // A later good run makes up for it: a flaky environment is no reason to build anew.
    let later = Timestamp::now() + SignedDuration::from_secs(2);
    let mut good = Evidence::of(&registry, APP, &set_tag());
    good.run.finished_on = later;
    good.attach(&registry, APP, &good.run.set, &key(1));
    drop(ends(&agent.push(&registry, &commit(1), 11).promote(), 0));
    assert_eq!(registry.tags(APP)["0.1.0"], image("one").digest());
}

#[test]
fn tests_of_another_build_say_nothing_about_this_one() {
    let registry = Registry::start(Options::default());
    let agent = Agent::new();
    let pipeline = published(&registry, &agent);
    agent.push(&registry, &commit(2), 12).tested(&[image("two")]);
    let this = registry.tags(APP)[&set_tag()].clone();
    let other = Evidence::of(&registry, APP, &format!("set-{}", commit(2)));

    // The other set's evidence, hung on this set.
    other.attach(&registry, APP, &this, &key(1));
    let (rule, found, _) = refused(&registry, &pipeline.promote());
    assert_eq!(rule, "evidence");
    assert!(found.starts_with(&format!("no test evidence for set {this}")), "{found}");
}

#[test]
fn evidence_has_to_name_set_and_commit() {
    let agent = Agent::new();
    type Forgery = fn(&mut Evidence);
    let forge: [(&str, Forgery); 4] = [
        ("evidence", |evidence| drop(evidence.subjects.remove(0))),
        ("evidence.subject", |evidence| evidence.run.set = format!("sha256:{}", "ab".repeat(32))),
        ("evidence.commit", |evidence| evidence.run.commit = commit(2)),
        ("evidence.tests", |evidence| evidence.passed.clear()),
    ];
    for (expected, forge) in forge {
        let registry = Registry::start(Options::default());
        let pipeline = agent.push(&registry, &commit(1), 11).app_and_web();
        drop(ends(&pipeline.publish(&[image("app"), image("web")]), 0));
        let mut evidence = Evidence::of(&registry, APP, &set_tag());
        let set = evidence.run.set.clone();
        forge(&mut evidence);
        evidence.attach(&registry, APP, &set, &key(1));
        let (rule, ..) = refused(&registry, &pipeline.promote());
        assert_eq!(rule, expected, "{evidence:?}");
        assert!(!registry.tags(WEB).contains_key("0.1.0"));
    }
}

#[test]
fn a_suite_that_ran_nothing_proves_nothing() {
    let registry = Registry::start(Options::default());
    let agent = Agent::new();
    for (number, tests) in [(1, &[] as &[(&str, &str)]), (2, &[("answers", "skipped")])] {
        let pipeline = agent.push(&registry, &commit(number), u64::from(number));
        drop(ends(&pipeline.publish(&[image(&number.to_string())]), 0));
        drop(ends(&pipeline.report(tests), 13));
        let elsewhere = agent.push(&registry, &commit(number), u64::from(number));
        drop(refused(&registry, &elsewhere.promote()));
    }
}

#[test]
fn a_key_that_nobody_trusts_signs_nothing() {
    let registry = Registry::start(Options::default());
    let agent = Agent::new();
    let pipeline = agent.push(&registry, &commit(1), 11);
    pipeline.tested(&[image("one")]);
    let (rule, ..) = refused(&registry, &pipeline.promote_trusting(&key(2)));
    assert_eq!(rule, "evidence");
    let (.., finished) = refused(&registry, &pipeline.promote_trusting(&key(2)).plugin("log_level", "debug"));
    assert!(finished.stderr.contains("evidence that does not count: sha256:"), "{finished}");

    // Trusted for another environment, and trusted only until yesterday.
    let pem = key(1).public_key().to_pem();
    let yesterday = (Timestamp::now() - SignedDuration::from_hours(24)).to_string();
    for limits in [
        serde_json::json!({"name": "tests", "key": pem, "environments": ["staging"]}),
        serde_json::json!({"name": "tests", "key": pem, "not_after": yesterday}),
    ] {
        let keys = serde_json::json!([limits]).to_string();
        let (rule, ..) = refused(&registry, &pipeline.promote().plugin("trusted_keys", &keys));
        assert_eq!(rule, "evidence", "{limits}");
    }
    let both = pem + &key(2).public_key().to_pem();
    drop(ends(&pipeline.promote().plugin("trusted_keys", &both), 0));
}

#[test]
fn tests_of_long_ago_prove_nothing_today() {
    let registry = Registry::start(Options::default());
    let agent = Agent::new();
    let pipeline = published(&registry, &agent);
    let mut old = Evidence::of(&registry, APP, &set_tag());
    old.run.finished_on -= SignedDuration::from_hours(8 * 24);
    old.run.started_on = old.run.finished_on;
    old.attach(&registry, APP, &old.run.set, &key(1));
    let (rule, ..) = refused(&registry, &pipeline.promote());
    assert_eq!(rule, "evidence.age");
    let (rule, ..) = refused(&registry, &pipeline.promote().plugin("max_evidence_age", "191h"));
    assert_eq!(rule, "evidence.age");
    drop(ends(&pipeline.promote().plugin("max_evidence_age", "9d"), 0));
    assert_eq!(registry.tags(APP)["0.1.0"], image("one").digest());
}

#[test]
fn tests_that_end_in_the_future_prove_nothing() {
    let registry = Registry::start(Options::default());
    let agent = Agent::new();
    let pipeline = published(&registry, &agent);
    let mut early = Evidence::of(&registry, APP, &set_tag());
    early.run.finished_on += SignedDuration::from_hours(1);
    early.attach(&registry, APP, &early.run.set, &key(1));
    let (rule, ..) = refused(&registry, &pipeline.promote());
    assert_eq!(rule, "evidence.age");
}

#[test]
fn what_others_attach_is_neither_proof_nor_hindrance() {
    let registry = Registry::start(Options::default());
    let agent = Agent::new();
    let pipeline = agent.push(&registry, &commit(1), 11);
    pipeline.tested(&[image("one")]);
    let evidence = Evidence::of(&registry, APP, &set_tag());
    let set = evidence.run.set.clone();
    // Not JSON, JSON that is no bundle, and a FAILED of a key that is not ours.
    attach_bundle(&registry, APP, &set, b"\x7fELF".to_vec());
    attach_bundle(&registry, APP, &set, b"{\"mediaType\": \"x\"}".to_vec());
    let against = Evidence { result: Outcome::Failed, ..evidence };
    against.attach(&registry, APP, &set, &key(7));
    assert_eq!(registry.referrers(APP, &set).len(), 4);
    drop(ends(&pipeline.promote(), 0));
}

#[test]
fn so_many_bundles_that_one_could_hide_are_refused() {
    let registry = Registry::start(Options { referrers_page: Some(20), ..Options::default() });
    let agent = Agent::new();
    let pipeline = agent.push(&registry, &commit(1), 11);
    pipeline.tested(&[image("one")]);
    let set = registry.tags(APP)[&set_tag()].clone();
    for number in 0..49 {
        attach_bundle(&registry, APP, &set, format!("{{\"foreign\": {number}}}").into_bytes());
    }
    let state = registry.clone_state();
    drop(ends(&pipeline.promote().plugin("dry_run", "true"), 0));
    attach_bundle(&registry, APP, &set, b"{\"foreign\": 49}".to_vec());
    let (rule, found, _) = refused(&registry, &pipeline.promote());
    assert_eq!((rule, found), ("evidence.count".to_owned(), format!("51 bundles on {set}")));
    // The 50 themselves are no hindrance.
    let registry = Registry::start_with(Options::default(), state);
    drop(ends(&agent.push(&registry, &commit(1), 11).promote(), 0));
}

#[test]
fn every_environment_that_ever_tested_the_set_has_a_say() {
    for referrers in [Referrers::On, Referrers::Off] {
        let registry = Registry::start(Options { referrers, ..Options::default() });
        let agent = Agent::new();
        let pipeline = published(&registry, &agent);
        let in_staging =
            |tests: &[(&str, &str)]| pipeline.report(tests).plugin("test_environment", "staging");
        drop(ends(&pipeline.report(&[("answers", "passed")]), 0));
        drop(ends(&in_staging(&[("answers", "failed")]), 13));
        let elsewhere = agent.push(&registry, &commit(1), 11);
        let (rule, found, _) = refused(&registry, &elsewhere.promote());
        assert_eq!(rule, "evidence.result");
        assert!(found.contains("environment `staging`"), "{found}");
        // Whole seconds are compared, and of two in one second the worse counts.
        std::thread::sleep(std::time::Duration::from_millis(1100));
        // The result file says `failed`; a step that tests again does not look at it.
        drop(ends(&in_staging(&[("answers", "passed")]), 0));
        let promoted = ends(&elsewhere.promote(), 0);
        for environment in ["1 passed in `integration`", "1 passed in `staging`"] {
            assert!(promoted.stdout.contains(environment), "{promoted}");
        }
        assert_eq!(promoted.json(".granary/promote.json")["evidence"].as_array().unwrap().len(), 2);
    }
}

#[test]
fn a_candidate_that_moved_under_the_tests_gets_no_evidence() {
    let registry = Registry::start(Options::default());
    let agent = Agent::new();
    let pipeline = published(&registry, &agent);
    registry.put_image(APP, &["0.1.0-rc.11"], &image("by hand"));
    let before = registry.snapshot();
    drop(ends(&pipeline.report(&[("answers", "passed")]), 11));
    assert_eq!(registry.snapshot(), before, "no evidence where there is no telling what was tested");
}
