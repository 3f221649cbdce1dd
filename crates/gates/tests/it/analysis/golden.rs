//! The vectors in tests/golden/analysis, each made by running Argo Rollouts' own code.

use granary_gates::analysis::{
    Analysis, Answer, Measurement, Phase, RawAnalysis, RawMetric, RawPrometheus, RawProvider, Run, Step,
    Value,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value as Json;

use super::measured;

fn vectors(name: &str) -> Json {
    let path = format!("{}/tests/golden/analysis/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn list<'a>(of: &'a Json, name: &str) -> &'a [Json] {
    of.get(name).and_then(Json::as_array).map_or(&[], Vec::as_slice)
}

fn text<'a>(of: &'a Json, name: &str) -> &'a str {
    of.get(name).and_then(Json::as_str).unwrap_or_default()
}

fn provider() -> RawProvider {
    let prometheus = RawPrometheus { query: Some("up".to_owned()), ..RawPrometheus::default() };
    RawProvider { prometheus: Some(prometheus) }
}

fn asked(success: &str, failure: &str) -> RawMetric {
    let given = |text: &str| Some(text.to_owned());
    RawMetric {
        name: given("a"),
        success_condition: given(success),
        failure_condition: given(failure),
        provider: provider(),
        ..RawMetric::default()
    }
}

fn resolve(metric: RawMetric) -> Result<Analysis, String> {
    let raw = RawAnalysis { metrics: vec![metric], ..RawAnalysis::default() };
    let said = |found: Vec<_>| found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    Analysis::resolve(&raw, "").map_err(said)
}

fn letter(phase: Phase) -> char {
    phase.name().chars().next().unwrap()
}

#[test]
fn conditions_mean_what_they_mean_to_rollouts() {
    let vectors = vectors("conditions");
    let number = |text: &Json| text.as_str().unwrap().parse::<f64>().unwrap();
    let results: Vec<Value> = list(&vectors, "results")
        .iter()
        .map(|result| match result.get("scalar") {
            Some(scalar) => Value::Scalar(number(scalar)),
            None => Value::List(list(result, "vector").iter().map(number).collect()),
        })
        .collect();
    let mut refused = Vec::new();
    let mut judged = 0;
    for one in list(&vectors, "conditions") {
        let (success, failure, theirs) = (text(one, "s"), text(one, "f"), text(one, "o"));
        let Ok(analysis) = resolve(asked(success, failure)) else {
            // What is always an error there is better refused beforehand.
            if theirs.bytes().any(|letter| letter != b'E') {
                refused.push(success);
            }
            continue;
        };
        let judge = |value: &Value| {
            let answer = Answer { value: value.clone(), warnings: Vec::new() };
            letter(analysis.metrics[0].judge(&answer).phase)
        };
        assert_eq!(results.iter().map(judge).collect::<String>(), theirs, "{success} | {failure}");
        judged += 1;
    }
    let list =
        include_str!("../../golden/analysis/refused.txt").lines().filter(|line| !line.starts_with("//"));
    if refused != list.collect::<Vec<_>>() {
        panic!("{}", refused.join("\n"));
    }
    assert_eq!(judged, 684);
}

#[test]
fn answers_are_read_as_rollouts_reads_them_or_not_at_all() {
    let vectors = vectors("answers");
    let mut stricter = Vec::new();
    for one in list(&vectors, "answers") {
        let name = text(one, "name");
        let metric = resolve(asked(text(one, "s"), "")).or_else(|_| resolve(asked("true", ""))).unwrap();
        let status = u16::try_from(one.get("status").and_then(Json::as_u64).unwrap()).unwrap();
        let ours = match Answer::parse(status, text(one, "body").as_bytes()) {
            Ok(answer) => metric.metrics[0].judge(&answer),
            Err(error) => Measurement::from(&error),
        };
        if ours.phase.name() == text(one, "phase") {
            let warnings: Vec<String> = ours.warnings.iter().map(|text| format!("\"{text}\"")).collect();
            assert_eq!(warnings.join(", "), text(one, "warnings"), "{name}");
            if ours.phase != Phase::Error {
                assert_eq!(ours.value.unwrap().replace(", ", ","), text(one, "value"), "{name}");
            }
        } else {
            assert_eq!(ours.phase, Phase::Error, "{name}");
            stricter.push(name);
        }
    }
    // None of these is anything that a Prometheus answers, but for histograms, which are no 0.
    assert_eq!(
        stricter,
        [
            "vector with histogram",
            "vector with histogram beside value",
            "matrix series without values",
            "matrix with histograms",
            "status neither",
            "no status",
            "scalar too long",
            "scalar underscore",
            "vector null sample",
            "vector sample without value",
        ]
    );
}

#[test]
fn durations_are_gos() {
    for pair in list(&vectors("durations"), "durations") {
        let (written, nanos) = (pair[0].as_str().unwrap(), pair[1].as_i64());
        let metric =
            |written: &str| RawMetric { initial_delay: Some(written.to_owned()), ..asked("true", "") };
        let ours = resolve(metric(written));
        // Set but empty is unset, and space around a setting is nothing.
        if written.trim() != written || written.is_empty() {
            continue;
        }
        let within = |nanos: i64| (0..=86_400_000_000_000).contains(&nanos);
        match (ours, nanos) {
            (Ok(found), Some(nanos)) => {
                let expected = SignedDuration::from_nanos(nanos);
                assert_eq!(found.metrics[0].initial_delay, expected, "{written}");
            }
            (Err(why), None) => assert!(why.contains("is not a duration"), "{why}"),
            // Read, but of no use here.
            (Err(why), Some(nanos)) => assert!(!within(nanos) && why.contains("is not between"), "{why}"),
            (Ok(found), None) => panic!("{written}: {found:?}"),
        }
    }
}

/// A metric of a sequence, by the names that Rollouts has for its fields.
fn metric(of: &Json) -> RawMetric {
    let mut metric: RawMetric = serde_json::from_value(of.clone()).unwrap();
    metric.provider = provider();
    metric
}

#[test]
fn runs_go_as_rollouts_runs_them() {
    let vectors = vectors("sequences");
    let (mut ours_alone, mut run_alike, mut refused_alike) = (Vec::new(), 0, 0);
    for one in list(&vectors, "sequences") {
        let name = text(one, "name");
        let dry_run = list(one, "dryRun").iter();
        let raw = RawAnalysis {
            strict: None,
            metrics: list(one, "metrics").iter().map(metric).collect(),
            dry_run: dry_run.map(|rule| serde_json::from_value(rule.clone()).unwrap()).collect(),
        };
        let theirs_invalid =
            one.get("invalid").is_some() || text(one, "message").starts_with("Analysis spec");
        match Analysis::resolve(&raw, "") {
            Ok(_) if theirs_invalid => panic!("{name}: accepted, there it is invalid"),
            Ok(analysis) => {
                go(name, analysis, one);
                run_alike += 1;
            }
            Err(_) if theirs_invalid => refused_alike += 1,
            Err(_) => ours_alone.push(name),
        }
    }
    assert_eq!(
        ours_alone,
        [
            // Runs for ever, or might.
            "consecutiveSuccessLimit without count",
            "negative initialDelay",
            "count as bad text",
            "count -1 with interval",
            "interval alone, terminated",
            "interval alone, fails",
            // Asks without a pause.
            "interval 0s",
            "negative interval",
            // A pattern, or a name that matches another one as a pattern.
            "dry run by pattern",
            "dry run name is part of another",
        ]
    );
    assert_eq!((run_alike, refused_alike), (97, 16));
}

/// Follows the script with a clock that jumps, and compares every measurement and every count.
fn go(name: &str, analysis: Analysis, theirs: &Json) {
    let started = Timestamp::from_second(1_700_000_000).unwrap();
    let end =
        theirs.get("terminate").and_then(Json::as_i64).map(|end| started + SignedDuration::from_secs(end));
    let names: Vec<String> = analysis.metrics.iter().map(|metric| metric.name.clone()).collect();
    let mut run = Run::new(analysis, started);
    let mut now = started;
    let mut log: Vec<(String, i64, char)> = Vec::new();
    let phase = loop {
        if end.is_some_and(|end| now >= end) {
            run.end();
        }
        match run.next(now) {
            Step::Done(phase) => break phase,
            Step::WaitUntil(time) => {
                assert!(time > now, "{name}: {time}");
                now = end.map_or(time, |end| time.min(end));
            }
            Step::Measure(due) => {
                for index in due {
                    let script = theirs["script"][&names[index]].as_str().unwrap();
                    let before = log.iter().filter(|(name, ..)| *name == names[index]).count();
                    let letter = script.chars().nth(before).or(script.chars().last()).unwrap();
                    run.record(index, now, measured(letter));
                    let nanos = i64::try_from(now.duration_since(started).as_nanos()).unwrap();
                    log.push((names[index].clone(), nanos, letter));
                }
            }
        }
    };
    log.sort_by(|one, other| (one.1, &one.0).cmp(&(other.1, &other.0)));
    assert_eq!(serde_json::to_value(&log).unwrap(), theirs["log"], "{name}");
    let expected = match (log.is_empty(), text(theirs, "phase")) {
        // The one verdict that is ours: nothing measured is no success.
        (true, "Successful") => "Inconclusive",
        (_, phase) => phase,
    };
    assert_eq!(phase.name(), expected, "{name}");
    let number = |of: &Json, field: &str| u32::try_from(of[field].as_u64().unwrap()).unwrap();
    for (metric, tally) in run.metrics() {
        let theirs = list(theirs, "results").iter().find(|result| text(result, "name") == metric.name);
        let Some(theirs) = theirs else {
            assert!(tally.latest.is_empty(), "{name}: {}", metric.name);
            continue;
        };
        assert_eq!(tally.phase.map(Phase::name), Some(text(theirs, "phase")), "{name}: {}", metric.name);
        for (ours, field) in [
            (tally.successful, "successful"),
            (tally.failed, "failed"),
            (tally.inconclusive, "inconclusive"),
            (tally.error, "error"),
            (tally.count, "count"),
            (tally.consecutive_error, "consecutiveError"),
            (tally.consecutive_success, "consecutiveSuccess"),
        ] {
            assert_eq!(ours, number(theirs, field), "{name}: {} {field}", metric.name);
        }
    }
}
