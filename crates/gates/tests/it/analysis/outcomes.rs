//! What a run tells its gate.

use granary_gates::Decision;
use granary_gates::analysis::{Answer, Measurement, Phase, RawMetric, Report, Run, Step};

use super::{by_the_minute, metric, resolve, started};

/// One measurement of each metric, from these bodies of a server.
fn report(metrics: Vec<RawMetric>, bodies: &[&str]) -> Report {
    let analysis = resolve(metrics, false);
    let mut run = Run::new(analysis.clone(), started());
    let Step::Measure(due) = run.next(started()) else { panic!("nothing due") };
    for index in due {
        let measurement = match Answer::parse(200, bodies[index].as_bytes()) {
            Ok(answer) => analysis.metrics[index].judge(&answer),
            Err(error) => Measurement::from(&error),
        };
        run.record(index, started(), measurement);
    }
    run.end();
    let Step::Done(phase) = run.next(started()) else { panic!("not done") };
    Report::of(&run, phase)
}

fn vector(samples: &[&str]) -> String {
    let sample = |sample: &&str| format!(r#"{{"metric":{{}},"value":[1,"{sample}"]}}"#);
    let samples: Vec<String> = samples.iter().map(sample).collect();
    format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{}]}}}}"#, samples.join(","))
}

#[test]
fn an_outcome_says_what_was_measured_and_what_was_wanted() {
    let outcome = |bodies: &[&str]| {
        let metrics = ["rate", "latency"].map(metric).into_iter().take(bodies.len()).collect();
        let outcome = report(metrics, bodies).outcome("canary");
        assert_eq!(outcome.name, "canary");
        (outcome.decision, outcome.reason)
    };
    let (good, bad, empty) = (vector(&["0.97"]), vector(&["0.4", "1"]), vector(&[]));
    assert_eq!(outcome(&[&good]), (Decision::Allow, "1 metric succeeded".to_owned()));
    assert_eq!(outcome(&[&good, &good]), (Decision::Allow, "2 metrics succeeded".to_owned()));
    let (decision, reason) = outcome(&[&good, &bad]);
    assert_eq!(decision, Decision::Deny);
    insta::assert_snapshot!(reason, @"latency: Failed: failed (1) > failureLimit (0), measured [0.4, 1], successCondition `result[0] >= 0.95`");

    // Five errors in a row.
    let strict = RawMetric {
        consecutive_error_limit: Some(granary_gates::analysis::Number::Int(0)),
        ..metric("rate")
    };
    let outcome = report(vec![strict], &[&empty]).outcome("canary");
    assert_eq!(outcome.decision, Decision::Undecidable);
    insta::assert_snapshot!(outcome.reason, @"rate: Error: consecutiveErrors (1) > consecutiveErrorLimit (0), measured [] (no data to evaluate successCondition with), successCondition `result[0] >= 0.95`");
}

#[test]
fn reasons_and_records_are_bounded() {
    let long = format!("result[0] >= {}0.5", " ".repeat(1500));
    let many: Vec<RawMetric> = (0..50)
        .map(|index| RawMetric {
            success_condition: Some(long.clone()),
            ..metric(&format!("metric-{index}"))
        })
        .collect();
    let body = vector(&["0.1"; 9000]);
    let report = report(many, &[body.as_str(); 50]);
    let outcome = report.outcome("canary");
    assert_eq!((outcome.decision, outcome.reason.chars().count()), (Decision::Deny, 600));
    assert_eq!(
        report.metrics[0].measurements[0].value.as_deref(),
        Some("[0.1, 0.1, 0.1, 0.1, 0.1, … 8995 more]")
    );
    let many: Vec<String> = (0..10_001).map(|_| "1".to_owned()).collect();
    let many = vector(&many.iter().map(String::as_str).collect::<Vec<_>>());
    let error = Answer::parse(200, many.as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "there are more than 10000 samples; aggregate the query");
}

#[test]
fn a_record_keeps_the_latest_ten() {
    let (phase, run, taken) = super::run(resolve(vec![by_the_minute("a", 12)], false), &["S"], None);
    assert_eq!((phase, taken), (Phase::Successful, 12));
    let report = serde_json::to_value(Report::of(&run, phase)).unwrap();
    let metric = &report["metrics"][0];
    assert_eq!(
        (metric["successful"].as_u64(), metric["measurements"].as_array().unwrap().len()),
        (Some(12), 10)
    );
    assert_eq!((report["phase"].as_str(), report["strict"].as_bool()), (Some("successful"), Some(false)));
}

#[test]
fn servers_errors_are_theirs() {
    let said = |status: u16, body: &str| Answer::parse(status, body.as_bytes()).unwrap_err().to_string();
    for (status, body, expected) in [
        (400, r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#, "bad_data: parse error"),
        (503, "upstream connect error", "the server answered 503"),
        (200, "<html>", "the answer is not what Prometheus answers"),
        (
            200,
            r#"{"status":"success","data":{"resultType":"string","result":[1,"x"]}}"#,
            "the answer is a string, not a scalar, vector or matrix",
        ),
        (
            200,
            r#"{"status":"success","data":{"resultType":"scalar","result":[1,"1e999"]}}"#,
            "a sample is no number: 1e999",
        ),
    ] {
        assert_eq!(said(status, body), expected);
    }
}
