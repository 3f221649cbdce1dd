//! Strict mode: no data is no success.

use granary_gates::analysis::{Analysis, Answer, Number, Phase, RawAnalysis, RawMetric, RawTraffic, Value};

use super::{by_the_minute, metric, resolve, run};

fn answer(samples: &[f64]) -> Answer {
    Answer { value: Value::List(samples.to_vec()), warnings: Vec::new() }
}

/// How one answer is judged, by Rollouts' rules and strictly.
fn judged(raw: RawMetric, samples: &[f64]) -> (Phase, Phase) {
    let strict = resolve(vec![raw.clone()], true);
    let lax = RawMetric { on_empty: None, min_samples: None, traffic: None, ..raw };
    let lax = resolve(vec![lax], false);
    let answer = answer(samples);
    (lax.metrics[0].judge(&answer).phase, strict.metrics[0].judge_strictly(&answer, None).phase)
}

#[test]
fn what_is_no_number_is_no_success() {
    use Phase::{Error, Failed, Inconclusive, Successful};
    let by = |success: &str, failure: &str| RawMetric {
        success_condition: Some(success.to_owned()),
        failure_condition: Some(failure.to_owned()),
        ..metric("a")
    };
    for (metric, samples, lax, strict) in [
        (by("result[0] >= 0.95", ""), &[][..], Error, Inconclusive),
        (by("len(result) == 0 || result[0] >= 0.95", ""), &[], Successful, Inconclusive),
        (by("all(result, # < 0.1)", ""), &[], Successful, Inconclusive),
        (by("", "result[0] > 0.1"), &[f64::NAN], Successful, Inconclusive),
        (by("max(result) < 4", ""), &[1.0, f64::NAN, 3.0], Successful, Inconclusive),
        (by("asInt(result[0]) < 5", ""), &[f64::NAN], Successful, Inconclusive),
        (by("result[0] >= 0.95", ""), &[f64::INFINITY], Successful, Inconclusive),
        // What is no success anyway stays what it is.
        (by("result[0] >= 0.95", ""), &[f64::NAN], Failed, Failed),
        (by("result[0] < 0.5", ""), &[f64::INFINITY], Failed, Failed),
        (by("result[1] >= 0.95", ""), &[1.0], Error, Error),
        (by("result[0] >= 0.95", ""), &[1.0], Successful, Successful),
    ] {
        assert_eq!(judged(metric.clone(), samples), (lax, strict), "{:?}", metric.success_condition);
    }
    // Where no series is good news.
    let pass = RawMetric { on_empty: Some("pass".to_owned()), ..by("result[0] < 0.1", "") };
    assert_eq!(judged(pass.clone(), &[]), (Error, Successful));
    assert_eq!(judged(pass, &[f64::NAN]), (Failed, Failed));
}

#[test]
fn below_the_floor_nothing_is_said() {
    let floor = RawTraffic { query: Some("rate(requests[5m])".to_owned()), at_least: Some(2.0) };
    let analysis = resolve(vec![RawMetric { traffic: Some(floor), ..metric("a") }], true);
    let judge = |good: f64, traffic: Option<&[f64]>| {
        let traffic = traffic.map(answer);
        analysis.metrics[0].judge_strictly(&answer(&[good]), traffic.as_ref())
    };
    assert_eq!(judge(1.0, Some(&[2.0])).phase, Phase::Successful);
    assert_eq!(judge(1.0, Some(&[1.5, 0.5])).phase, Phase::Successful);
    assert_eq!(judge(0.0, Some(&[2.0])).phase, Phase::Failed);
    for traffic in [Some(&[1.9][..]), Some(&[]), Some(&[f64::NAN]), None] {
        for good in [0.0, 1.0] {
            assert_eq!(judge(good, traffic).phase, Phase::Inconclusive, "{traffic:?}");
        }
    }
    assert_eq!(judge(1.0, Some(&[1.9])).message.unwrap(), "traffic is 1.9, below 2");
}

#[test]
fn forgiven_failures_are_no_success_by_themselves() {
    let limit = |number| Some(Number::Int(number));
    let forgiving =
        RawMetric { failure_limit: limit(3), inconclusive_limit: limit(3), ..by_the_minute("a", 3) };
    for (script, end, lax, strict) in [
        ("FFF", None, Phase::Successful, Phase::Failed),
        ("III", None, Phase::Successful, Phase::Inconclusive),
        ("FIF", None, Phase::Successful, Phase::Failed),
        ("FFS", None, Phase::Successful, Phase::Successful),
        // Ended from outside, after two of three.
        ("SSS", Some(90), Phase::Successful, Phase::Inconclusive),
        ("E", Some(5), Phase::Successful, Phase::Inconclusive),
    ] {
        let phase = |strict| run(resolve(vec![forgiving.clone()], strict), &[script], end).0;
        assert_eq!((phase(false), phase(true)), (lax, strict), "{script}");
    }
}

#[test]
fn successes_count_by_their_data() {
    let wanting = |samples: i64| RawMetric {
        min_samples: Some(Number::Int(samples)),
        failure_limit: Some(Number::Int(3)),
        ..by_the_minute("a", 3)
    };
    let phase = |metric: RawMetric, script: &str| run(resolve(vec![metric], true), &[script], None).0;
    assert_eq!(phase(wanting(2), "SSF"), Phase::Successful);
    assert_eq!(phase(wanting(3), "SSF"), Phase::Inconclusive);
    let pass = |metric: RawMetric| RawMetric { on_empty: Some("pass".to_owned()), ..metric };
    assert_eq!(phase(pass(by_the_minute("a", 3)), "sss"), Phase::Successful);
    assert_eq!(phase(pass(wanting(2)), "Sss"), Phase::Inconclusive);
    assert_eq!(phase(pass(wanting(2)), "SSs"), Phase::Successful);
}

#[test]
fn a_sibling_that_was_not_measured_is_no_success() {
    let late = RawMetric { initial_delay: Some("5m".to_owned()), ..metric("late") };
    let metrics = vec![metric("a"), late];
    let phase = |strict| run(resolve(metrics.clone(), strict), &["S", "S"], Some(60)).0;
    assert_eq!((phase(false), phase(true)), (Phase::Successful, Phase::Inconclusive));
}

#[test]
fn strict_fields_need_strict_mode_and_it_needs_conditions() {
    let said = |metric: RawMetric, strict: Option<bool>, dry_run: &str| {
        let dry_run: Vec<_> = match dry_run {
            "" => Vec::new(),
            rule => vec![granary_gates::analysis::RawDryRun { metric_name: Some(rule.to_owned()) }],
        };
        let raw = RawAnalysis { strict, metrics: vec![metric], dry_run };
        let found = Analysis::resolve(&raw, "analysis").unwrap_err();
        found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let traffic = RawTraffic { query: Some("x".to_owned()), at_least: Some(f64::NAN) };
    let ours = RawMetric {
        on_empty: Some("fine".to_owned()),
        min_samples: Some(Number::Int(0)),
        traffic: Some(traffic),
        ..metric("a")
    };
    insta::assert_snapshot!(said(ours.clone(), Some(true), ""), @"
    analysis.metrics[0].on_empty: `fine` is none of inconclusive, pass
    analysis.metrics[0].min_samples: `0` is not between 1 and 10000
    analysis.metrics[0].traffic.at_least: `NaN` is not a finite number of at least 0
    ");
    let ours = RawMetric { on_empty: Some("pass".to_owned()), traffic: None, ..ours };
    insta::assert_snapshot!(said(ours, None, ""), @"
    analysis.metrics[0].on_empty: is only for `strict: true`
    analysis.metrics[0].min_samples: is only for `strict: true`
    ");
    let always = RawMetric { success_condition: None, ..metric("a") };
    insta::assert_snapshot!(said(always, Some(true), ""), @"analysis.metrics[0].successCondition: is missing; in strict mode a metric needs successCondition or failureCondition");
    insta::assert_snapshot!(said(metric("a"), Some(true), ".*"), @"analysis.dryRun: leaves no metric that counts; in strict mode one has to");
    let many = RawMetric { min_samples: Some(Number::Int(4)), ..by_the_minute("a", 3) };
    insta::assert_snapshot!(said(many, Some(true), ""), @"analysis.metrics[0].count: `3` is smaller than `min_samples` = 4");
}
