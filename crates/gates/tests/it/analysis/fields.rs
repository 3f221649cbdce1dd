//! An analysis as it is written: what can be pasted, and what is said about what cannot be used.

use granary_gates::analysis::{Analysis, RawAnalysis};
use jiff::SignedDuration;

fn read(json: &str) -> RawAnalysis {
    serde_json::from_str(json).unwrap()
}

fn said(json: &str) -> String {
    let found = Analysis::resolve(&read(json), "analysis").unwrap_err();
    found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn an_analysis_template_can_be_pasted() {
    let analysis = read(
        r#"{"metrics": [{
            "name": "success-rate", "interval": "1m30s", "initialDelay": "30s", "count": "5",
            "successCondition": "len(result) > 0 && result[0] >= 0.95", "failureCondition": "result[0] < 0.9",
            "failureLimit": 2, "inconclusiveLimit": 1, "consecutiveErrorLimit": 3, "consecutiveSuccessLimit": 0,
            "provider": {"prometheus": {"address": "http://prometheus:9090", "query": "sum(rate(x[5m]))", "timeout": 40}}
        }, {
            "name": "errors", "provider": {"prometheus": {"query": "errors", "rangeQuery":
                {"start": "now() - duration(\"1h\")", "end": "now()", "step": "1m"}}}
        }], "dryRun": [{"metricName": "errors"}]}"#,
    );
    let analysis = Analysis::resolve(&analysis, "analysis").unwrap();
    let (rate, errors) = (&analysis.metrics[0], &analysis.metrics[1]);
    let seconds = |duration: SignedDuration| duration.as_secs();
    assert_eq!((rate.interval.map(seconds), seconds(rate.initial_delay)), (Some(90), 30));
    assert_eq!((rate.count, rate.failure_limit, rate.inconclusive_limit), (Some(5), Some(2), 1));
    assert_eq!((rate.consecutive_error_limit, rate.consecutive_success_limit), (3, 0));
    assert_eq!((seconds(rate.timeout), rate.address.as_deref()), (40, Some("http://prometheus:9090")));
    assert!(!analysis.strict && !rate.dry_run && errors.dry_run);
    // What is not given is as in Rollouts.
    assert_eq!((errors.count, errors.interval, errors.failure_limit), (Some(1), None, Some(0)));
    assert_eq!((errors.consecutive_error_limit, seconds(errors.timeout)), (4, 30));
    let range = errors.query.range.unwrap();
    assert_eq!((seconds(range.start_ago), seconds(range.end_ago), seconds(range.step)), (3600, 0, 60));
    let now = super::started();
    assert_eq!(range.at(now).unwrap(), (now - SignedDuration::from_hours(1), now));
}

#[test]
fn fields_that_are_not_ours_are_refused() {
    for json in [
        r#"{"metrics": [{"name": "a", "provider": {"web": {"url": "http://x"}}}]}"#,
        r#"{"metrics": [{"name": "a", "success_condition": "true"}]}"#,
        r#"{"metrics": [{"name": "a", "count": 1.5}]}"#,
        r#"{"metrics": [{"name": "a", "provider": {"prometheus": {"insecure": true}}}]}"#,
    ] {
        assert!(serde_json::from_str::<RawAnalysis>(json).is_err(), "{json}");
    }
}

#[test]
fn every_field_that_is_wrong_is_named() {
    insta::assert_snapshot!(said(r#"{"dryRun": [{"metricName": "a"}, {}]}"#), @"
    analysis.metrics: is missing; needed is at least one metric
    analysis.dryRun[0].metricName: `a` is not the name of a metric
    analysis.dryRun[1].metricName: is missing; needed is a metric's name
    ");
    insta::assert_snapshot!(said(
        r#"{"metrics": [
            {"interval": "1d", "initialDelay": "25h", "count": "x", "failureLimit": -2, "inconclusiveLimit": -1,
             "successCondition": "result[0] >= 0,95", "failureCondition": "result > \"1\""},
            {"name": "a", "interval": "500ms", "count": -1, "failureLimit": -1,
             "provider": {"prometheus": {"query": " ", "timeout": 0}}},
            {"name": "a", "interval": "1m", "provider": {"prometheus": {"query": "x"}}},
            {"name": "b\u0007", "count": 2, "consecutiveErrorLimit": 99999, "provider": {"prometheus": {"query": "x",
             "rangeQuery": {"start": "now() - 1h", "end": "now()"}}}}
        ]}"#
    ), @r#"
    analysis.metrics[0].name: is missing; needed is a name
    analysis.metrics[0].interval: `1d` is not a duration such as 30s, 5m or 1h30m (h, m, s, ms; no days)
    analysis.metrics[0].initialDelay: `25h` is not between 0s and 24h
    analysis.metrics[0].count: `x` is not a whole number
    analysis.metrics[0].failureLimit: `-2` is not between -1 and 10000
    analysis.metrics[0].inconclusiveLimit: `-1` is not between 0 and 10000
    analysis.metrics[0].successCondition: `result[0] >= 0,95` has `,` at 14 where something else is needed
    analysis.metrics[0].failureCondition: `result > "1"` has a text at 9, which is not supported
    analysis.metrics[0].provider.prometheus: is missing; needed is a query
    analysis.metrics[1].interval: `500ms` is not between 1s and 24h
    analysis.metrics[1].count: `-1` is not between 0 and 10000
    analysis.metrics[1].failureLimit: `-1` cannot be -1 (off) unless `consecutiveSuccessLimit` is set
    analysis.metrics[1].provider.prometheus.query: is missing; needed is a query
    analysis.metrics[1].provider.prometheus.timeout: `0` is not between 1 and 300
    analysis.metrics[2].name: `a` is the name of another metric
    analysis.metrics[2].count: is missing or 0; with `interval` alone the metric would run for ever, which is only for rollouts
    analysis.metrics[3].name: `b\u{7}` is not a name of 1 to 100 printable characters
    analysis.metrics[3].interval: is missing; needed when count is more than 1
    analysis.metrics[3].consecutiveErrorLimit: `99999` is not between 0 and 10000
    analysis.metrics[3].provider.prometheus.rangeQuery.start: `now() - 1h` is neither now() nor now() - duration("1h")
    analysis.metrics[3].provider.prometheus.rangeQuery.step: is missing; needed is a duration such as 1m
    "#);
    let limits = |fields: &str| {
        said(&format!(
            r#"{{"metrics": [{{"name": "a", "interval": "1m", "count": 3, {fields},
            "provider": {{"prometheus": {{"query": "x"}}}}}}]}}"#
        ))
    };
    insta::assert_snapshot!(limits(r#""failureLimit": 4"#), @"analysis.metrics[0].count: `3` is smaller than failureLimit + consecutiveSuccessLimit = 4");
    insta::assert_snapshot!(limits(r#""failureLimit": 2, "consecutiveSuccessLimit": 2"#), @"analysis.metrics[0].count: `3` is smaller than failureLimit + consecutiveSuccessLimit = 4");
    insta::assert_snapshot!(limits(r#""inconclusiveLimit": 4"#), @"analysis.metrics[0].count: `3` is smaller than `inconclusiveLimit` = 4");
}

#[test]
fn dry_runs_are_those_that_the_pattern_would_match() {
    let dry = |rules: &str| {
        let metric =
            |name: &str| format!(r#"{{"name": "{name}", "provider": {{"prometheus": {{"query": "x"}}}}}}"#);
        let metrics = format!("{}, {}, {}", metric("rate"), metric("rate-5xx"), metric("up"));
        let raw = read(&format!(r#"{{"metrics": [{metrics}], "dryRun": [{rules}]}}"#));
        let found = Analysis::resolve(&raw, "");
        let dry = |metric: &granary_gates::analysis::Metric| u8::from(metric.dry_run);
        found
            .map(|analysis| analysis.metrics.iter().map(dry).collect::<Vec<u8>>())
            .map_err(|found| found[0].to_string())
    };
    assert_eq!(dry(r#"{"metricName": "up"}"#), Ok(vec![0, 0, 1]));
    assert_eq!(dry(r#"{"metricName": ".*"}"#), Ok(vec![1, 1, 1]));
    assert_eq!(dry(r#"{"metricName": "rate"}, {"metricName": "rate-5xx"}"#), Ok(vec![1, 1, 0]));
    insta::assert_snapshot!(dry(r#"{"metricName": "rate"}"#).unwrap_err(), @"dryRun[0].metricName: `rate` is part of the name `rate-5xx`, which Argo Rollouts would not judge either; list it too or rename it");
    insta::assert_snapshot!(dry(r#"{"metricName": "^up$"}"#).unwrap_err(), @"dryRun[0].metricName: `^up$` is neither a metric's name of letters, digits, `-` and `_`, nor `.*` for all of them");
    insta::assert_snapshot!(dry(r#"{"metricName": "*"}"#).unwrap_err(), @"dryRun[0].metricName: `*` is neither a metric's name of letters, digits, `-` and `_`, nor `.*` for all of them");
}

#[test]
fn conditions_that_could_mean_something_else_are_refused() {
    let said = |text: &str| match granary_gates::analysis::Condition::parse(text) {
        Ok(_) => "accepted".to_owned(),
        Err(error) => error.to_string(),
    };
    for (text, expected) in [
        ("result[0] ?? 1 >= 0.95", "mixes `??` and `>=` without parentheses"),
        ("  ", "is empty"),
        ("result[0] = 1", "has `=` at 10 where something else is needed"),
        ("result[0] >= 95%", "has `end` at 16 where something else is needed"),
        ("result[0] >= \u{2265}", "has `≥` at 13, which begins nothing"),
        ("(result[0] > 1", "has `end` at 14 where something else is needed"),
        ("result.value > 1", "has a field at 6, which is not supported"),
        (
            "value > 1",
            "names `value`, which is not known here; there are `result` and the functions of the documentation",
        ),
        ("all(result, # > result[0])", "an index in a predicate is not supported"),
        ("1 < last(filter(result, # > 0))", "the last element of filter or map is not supported"),
        ("result[\"a\"]", "has a text at 7, which is not supported"),
        ("true && 1 > \"a\"", "has a text at 12, which is not supported"),
        ("true > 1", "`>` does not go with bool and int"),
        ("5 % 0 == 1 || true", "integer divide by zero"),
        ("result[0] > 1 /* open", "has a comment at 14 that does not end"),
        ("1__0x > 1", "has a malformed number at 0"),
    ] {
        assert_eq!(said(text), expected, "{text}");
    }
    assert_eq!(
        said(&format!("{}result[0] > 1{}", "(".repeat(100), ")".repeat(100))),
        said(&"!".repeat(3000))
    );
    for (operator, holds) in [("+", true), ("[0]", false), (" && true", false)] {
        let long = format!("1{} > 0", operator.repeat(390).replace('+', "+1"));
        let value = granary_gates::analysis::Value::Scalar(1.0);
        let found = granary_gates::analysis::Condition::parse(&long).map(|long| long.holds(&value));
        assert_eq!(found.is_ok_and(|found| found == Ok(true)), holds, "{operator}");
    }
    // Chained comparisons repeat their middle; nested ones would do so without end.
    let mut chained = "1 < 2 < 3".to_owned();
    for _ in 0..40 {
        chained = format!("1 < ({chained} ? 1 : 2) < 3");
    }
    assert_eq!(said(&chained), "is longer than 2000 bytes, or nested too deep");
}
