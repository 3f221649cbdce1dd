//! What the example is read as, and what holds where nothing is said.

use std::time::Duration;

use granary_gates::{Decision, Fact, Facts, Outcome, evaluate};
use granary_policy::{BreakGlassMode, Policy, Source};
use jiff::{SignedDuration, Timestamp};

use crate::sample::{EXAMPLE, SMALL, above, files, read, stable};

fn example() -> Policy {
    read(EXAMPLE).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

#[test]
fn the_example_is_what_it_says() {
    let policy = example();
    assert_eq!(policy.stages.keys().collect::<Vec<_>>(), ["beta", "live", "stable"]);
    assert_eq!(policy.rules.zone.name(), "America/New_York");
    assert_eq!(policy.freeze_file, "FREEZE");
    let (live, stable) = (&policy.stages["live"], &policy.stages["stable"]);
    // What a stage says replaces single keys.
    assert_eq!(stable.evidence, policy.evidence);
    assert_eq!(live.evidence.rules.environments, ["integration", "staging"]);
    assert_eq!(live.evidence.rules.max_age, Duration::from_secs(2 * 86_400));
    assert_eq!(live.evidence.rules.required_tests, policy.evidence.rules.required_tests);
    let keys: Vec<&str> = live.evidence.trusted_keys.iter().map(|key| key.name.as_str()).collect();
    assert_eq!(keys, ["ci-integration", "ci-staging"]);
    assert!(live.evidence.trusted_keys[1].covers("staging") && !live.evidence.trusted_keys[1].covers("prod"));

    let rules = &policy.rules.stages["live"];
    assert_eq!((rules.windows.len(), rules.windows[0].name(), rules.freeze), (1, "trading hours", true));
    let approvals = rules.approvals.as_ref().expect("approvals");
    assert_eq!((approvals.at_least.get(), approvals.of.len()), (2, 3));
    let soak = &policy.rules.stages["stable"].soak;
    assert_eq!(soak.len(), 2);
    assert_eq!((soak[0].since.as_str(), soak[0].at_least), ("beta", SignedDuration::from_hours(2)));
    let outcomes: Vec<&str> = policy.rules.stages["stable"].outcomes.iter().map(String::as_str).collect();
    assert_eq!(outcomes, ["beta-web", "error-rate"]);

    let break_glass = &live.break_glass;
    assert_eq!(
        (break_glass.mode, break_glass.reason_min, break_glass.ticket),
        (BreakGlassMode::Allowed, 20, true)
    );
    assert_eq!((break_glass.max_age, break_glass.signatures), (Duration::from_secs(1800), 2));
    assert_eq!(
        break_glass.signers[0].key.fingerprint(),
        "SHA256:Yc69Q3wn+HGWPNJVWa/iad6/cAVi21ENLPFjaieMO1E"
    );
    assert_eq!(live.allow.len(), 3);
    let health = &policy.health["beta-web"];
    assert_eq!((health.url.as_str(), health.status), ("https://beta.example.com/health", 200));
    assert_eq!(health.must_say.as_ref().expect("json").equals, "ok");
    let check = &policy.analyses["error-rate"];
    assert_eq!(
        check.prometheus.as_ref().map(url::Url::as_str),
        Some("http://prometheus.monitoring.svc:9090/")
    );
    assert!(check.analysis.strict);
    let metric = &check.analysis.metrics[0];
    assert_eq!((metric.count, metric.failure_limit, metric.strict.min_samples), (Some(5), Some(1), 3));
}

#[test]
fn the_rules_decide() {
    let policy = example();
    let facts = || Facts {
        stage: "stable".to_owned(),
        freeze: Fact::Known(None),
        times: ["beta", "tested"].map(|name| (name.to_owned(), Fact::Known(Timestamp::UNIX_EPOCH))).into(),
        outcomes: ["error-rate", "beta-web"]
            .map(|name| Outcome { name: name.to_owned(), decision: Decision::Allow, reason: String::new() })
            .into(),
        ..Facts::default()
    };
    let decide =
        |at: &str, facts: &Facts| evaluate(at.parse().expect("a timestamp"), facts, &policy.rules).decision;
    // A Monday in Berlin: inside, within the guard, and within the one-off window in New York.
    assert_eq!(decide("2026-11-23T09:00:00Z", &facts()), Decision::Allow);
    assert_eq!(decide("2026-11-23T16:30:00Z", &facts()), Decision::Deny);
    assert_eq!(decide("2026-12-28T09:00:00Z", &facts()), Decision::Deny);
    let without = Facts { outcomes: Vec::new(), ..facts() };
    assert_eq!(decide("2026-11-23T09:00:00Z", &without), Decision::Undecidable);
    // The overrides reach the windows: no session on the day of mourning, so no trading hours.
    let live = Facts {
        stage: "live".to_owned(),
        times: [("stable".to_owned(), Fact::Known(Timestamp::UNIX_EPOCH))].into(),
        approvals: Fact::Known(["ann", "bob"].map(|by| granary_gates::Approval { by: by.to_owned() }).into()),
        requester: Fact::Known("dave".to_owned()),
        ..facts()
    };
    assert_eq!(decide("2027-01-06T15:00:00Z", &live), Decision::Deny);
    assert_eq!(decide("2027-01-07T15:00:00Z", &live), Decision::Allow);
}

#[test]
fn where_nothing_is_said_the_strict_thing_holds() {
    let policy = read(SMALL).expect("a policy");
    let stage = &policy.stages["stable"];
    assert_eq!(policy.freeze_file, "FREEZE");
    assert!(policy.rules.stages["stable"].freeze);
    assert_eq!(stage.break_glass.mode, BreakGlassMode::Never);
    assert_eq!((stage.break_glass.signatures, stage.break_glass.ticket), (1, true));
    assert_eq!(stage.evidence.rules.max_age, Duration::from_secs(7 * 86_400));
    assert!(!stage.evidence.rules.allow_warned && stage.allow.is_empty());
    assert!(!policy.rules.stages.contains_key("live"));
}

#[test]
fn files_are_named_before_they_are_read_and_the_digests_cover_them() {
    let source = Source::read(EXAMPLE, "promotion.yaml").expect("YAML");
    let named: Vec<String> = source.files().into_iter().collect();
    assert_eq!(named, ["policy/keys/staging.pub", "policy/us-equities.yaml"]);
    let policy = example();
    assert_eq!(policy.files().keys().cloned().collect::<Vec<_>>(), named);
    assert_eq!(policy.digest().len(), 64);
    let other = read(&EXAMPLE.replace("reason_min: 20", "reason_min: 21")).expect("a policy");
    assert_ne!(policy.digest(), other.digest());
    // One that says the same in other bytes is another one.
    let spaced = read(&format!("{EXAMPLE}\n")).expect("a policy");
    assert_eq!(policy.rules, spaced.rules);
    assert_ne!(policy.digest(), spaced.digest());
    let errors = Policy::parse(EXAMPLE, "promotion.yaml").expect_err("two files were not read");
    assert_eq!(errors.len(), 2, "{errors:#?}");
    assert!(errors[0].to_string().ends_with("the file `policy/us-equities.yaml` was not read"));
}

#[test]
fn what_is_wrong_in_another_file_is_told_with_its_name() {
    let mut files = files();
    let broken =
        "calendar: us-equities\nversion: 7\nclosed:\n  - {date: 2027-01-09, reason: x}\n  - {dat: 1}\n";
    files.insert("policy/us-equities.yaml".to_owned(), broken.to_owned());
    let source = Source::read(EXAMPLE, "promotion.yaml").expect("YAML");
    let errors = source.resolve(&files).expect_err("broken");
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "policy/us-equities.yaml:2:10: version: is a number; needed is a name; quote it",
            "policy/us-equities.yaml:4:12: closed[0].date: `2027-01-09` is a Saturday or Sunday, which are \
             closed anyway",
            "policy/us-equities.yaml:5:5: closed[1].date: is missing; needed is a date like 2029-01-09",
            "policy/us-equities.yaml:5:5: closed[1].reason: is missing; needed is a text",
            "policy/us-equities.yaml:5:6: closed[1].dat: is no known key; is `date` meant?",
        ]
    );
}

#[test]
fn every_field_of_an_analysis_can_be_read() {
    let text = above(
        r#"
analysis:
  everything:
    prometheus: {address: "https://prometheus.example.com/base"}
    strict: true
    metrics:
      - name: rate
        interval: 30s
        initialDelay: 1m30s
        count: "10"
        successCondition: len(result) > 0 && result[0] >= 0.95
        failureCondition: result[0] < 0.9
        failureLimit: 2
        inconclusiveLimit: 3
        consecutiveErrorLimit: 4
        consecutiveSuccessLimit: 5
        provider:
          prometheus:
            address: http://other.example.com:9090
            query: up
            timeout: 20
            rangeQuery: {start: 'now() - duration("10m")', end: now(), step: 1m}
        on_empty: inconclusive
        min_samples: 2
        traffic: {query: up, at_least: 1}
      - {name: other, failureCondition: "result[0] > 1", provider: {prometheus: {query: up}}}
    dryRun: [{metricName: other}]"#,
    );
    let policy = read(&text).unwrap_or_else(|errors| panic!("{errors:#?}"));
    let metrics = &policy.analyses["everything"].analysis.metrics;
    assert_eq!(
        (metrics[0].count, metrics[0].consecutive_success_limit, metrics[0].dry_run),
        (Some(10), 5, false)
    );
    assert!(metrics[0].query.range.is_some() && metrics[0].strict.traffic.is_some());
    assert!(metrics[1].dry_run);
}

#[test]
fn lists_may_end_where_their_key_begins_as_everywhere_else() {
    let text = stable("approvals:\n  at_least: 1\n  of: [\n    ann,\n    bob,\n  ]\nallow:\n- branches\n");
    let policy = read(&text).unwrap_or_else(|errors| panic!("{errors:#?}"));
    assert_eq!(policy.rules.stages["stable"].approvals.as_ref().expect("approvals").of.len(), 2);
    assert!(policy.stages["stable"].allow.contains("branches"));
}
