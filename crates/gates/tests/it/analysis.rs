//! Analysis: against what Argo Rollouts itself decided, and what strict mode adds.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

mod fields;
mod golden;
mod limits;
mod outcomes;
mod properties;
mod strict;

use granary_gates::analysis::{
    Analysis, Measurement, Number, Phase, RawAnalysis, RawMetric, RawPrometheus, RawProvider, Run, Step,
};
use jiff::{SignedDuration, Timestamp};

/// A metric that asks `up`, whose success is `result[0] >= 0.95`.
fn metric(name: &str) -> RawMetric {
    let prometheus = RawPrometheus { query: Some("up".to_owned()), ..RawPrometheus::default() };
    RawMetric {
        name: Some(name.to_owned()),
        success_condition: Some("result[0] >= 0.95".to_owned()),
        provider: RawProvider { prometheus: Some(prometheus) },
        ..RawMetric::default()
    }
}

/// `count` measurements by the minute.
fn by_the_minute(name: &str, count: i64) -> RawMetric {
    RawMetric { interval: Some("1m".to_owned()), count: Some(Number::Int(count)), ..metric(name) }
}

fn resolve(metrics: Vec<RawMetric>, strict: bool) -> Analysis {
    let raw = RawAnalysis { strict: Some(strict), metrics, dry_run: Vec::new() };
    Analysis::resolve(&raw, "analysis").unwrap()
}

/// What a letter of a script stands for; lower case where there was no data.
fn measured(letter: char) -> Measurement {
    let phase = match letter.to_ascii_uppercase() {
        'S' => Phase::Successful,
        'F' => Phase::Failed,
        'I' => Phase::Inconclusive,
        _ => Phase::Error,
    };
    let data = letter.is_ascii_uppercase();
    Measurement { phase, value: None, message: None, warnings: Vec::new(), data }
}

fn started() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

/// Runs until it is done, each metric by its script, whose last letter is repeated; or ends it after so many
/// seconds. Says how it ended, and how many measurements it took.
fn run(analysis: Analysis, scripts: &[&str], end: Option<i64>) -> (Phase, Run, usize) {
    let mut run = Run::new(analysis, started());
    let end = end.map(|end| started() + SignedDuration::from_secs(end));
    let mut now = started();
    let mut taken = vec![0; scripts.len()];
    loop {
        if end.is_some_and(|end| now >= end) {
            run.end();
        }
        match run.next(now) {
            Step::Done(phase) => return (phase, run, taken.iter().sum()),
            Step::WaitUntil(time) => now = end.map_or(time, |end| time.min(end)),
            Step::Measure(due) => {
                for index in due {
                    let script = scripts[index];
                    let letter = script.chars().nth(taken[index]).or(script.chars().last()).unwrap();
                    taken[index] += 1;
                    run.record(index, now, measured(letter));
                }
            }
        }
    }
}
