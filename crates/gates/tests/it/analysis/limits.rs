//! Every limit at its edge, and what a step is.

use granary_gates::analysis::{ERROR_RETRY, Number, Phase, RawMetric, Run, Step};
use jiff::SignedDuration;

use super::{by_the_minute, measured, metric, resolve, run, started};

fn phase(metric: RawMetric, script: &str) -> Phase {
    run(resolve(vec![metric], false), &[script], None).0
}

#[test]
fn each_limit_is_passed_by_one_more() {
    let limit = |number: i64| Some(Number::Int(number));
    let failures = |limit_of| RawMetric { failure_limit: limit(limit_of), ..by_the_minute("a", 5) };
    assert_eq!(phase(failures(0), "SSSSS"), Phase::Successful);
    assert_eq!(phase(failures(0), "SSSSF"), Phase::Failed);
    assert_eq!(phase(failures(2), "FFSSS"), Phase::Successful);
    assert_eq!(phase(failures(2), "FFSSF"), Phase::Failed);

    let inconclusive = |limit_of| RawMetric { inconclusive_limit: limit(limit_of), ..by_the_minute("a", 5) };
    assert_eq!(phase(inconclusive(2), "IISSS"), Phase::Successful);
    assert_eq!(phase(inconclusive(2), "IISSI"), Phase::Inconclusive);

    // In a row, and 4 where nothing is said.
    assert_eq!(phase(by_the_minute("a", 5), "EEEESEEEESSSS"), Phase::Successful);
    assert_eq!(phase(by_the_minute("a", 5), "SSSSEEEEE"), Phase::Error);
    let errors = |limit_of| RawMetric { consecutive_error_limit: limit(limit_of), ..by_the_minute("a", 5) };
    assert_eq!(phase(errors(0), "SSSSE"), Phase::Error);
    assert_eq!(phase(errors(1), "ESESESESES"), Phase::Successful);

    let in_a_row = |failures| RawMetric {
        consecutive_success_limit: limit(2),
        failure_limit: limit(failures),
        ..by_the_minute("a", 5)
    };
    assert_eq!(phase(in_a_row(3), "FSFSS"), Phase::Successful);
    assert_eq!(phase(in_a_row(3), "FSFSF"), Phase::Inconclusive);
    assert_eq!(phase(in_a_row(-1), "FSFSF"), Phase::Failed);
    assert_eq!(phase(in_a_row(-1), "FFFSS"), Phase::Successful);
}

#[test]
fn an_error_is_retried_after_ten_seconds_and_the_rest_waits_for_the_interval() {
    let mut run = Run::new(resolve(vec![by_the_minute("a", 2)], false), started());
    let nanosecond = SignedDuration::from_nanos(1);
    assert_eq!(run.next(started()), Step::Measure(vec![0]));
    // Asked again, it is the same.
    assert_eq!(run.next(started()), Step::Measure(vec![0]));

    let finished = started() + SignedDuration::from_secs(3);
    run.record(0, finished, measured('E'));
    // From the end of a measurement, and later than the pause rather than at its end.
    let due = finished + ERROR_RETRY + nanosecond;
    assert_eq!(run.next(finished), Step::WaitUntil(due));
    assert_eq!(run.next(due - nanosecond), Step::WaitUntil(due));
    assert_eq!(run.next(due), Step::Measure(vec![0]));

    run.record(0, due, measured('S'));
    let next = due + SignedDuration::from_mins(1) + nanosecond;
    assert_eq!(run.next(due), Step::WaitUntil(next));
    run.record(0, next, measured('S'));
    assert_eq!(run.next(next), Step::Done(Phase::Successful));
    // What comes later changes nothing.
    run.record(0, next, measured('F'));
    assert_eq!(run.next(next), Step::Done(Phase::Successful));
}

#[test]
fn what_is_due_together_is_measured_together() {
    let late = RawMetric { initial_delay: Some("1m".to_owned()), ..metric("late") };
    let mut run = Run::new(resolve(vec![metric("a"), late, metric("b")], false), started());
    assert_eq!(run.next(started()), Step::Measure(vec![0, 2]));
    run.record(0, started(), measured('S'));
    assert_eq!(run.next(started()), Step::Measure(vec![2]));
    run.record(2, started(), measured('S'));
    // At the end of the delay, unlike an interval.
    let late = started() + SignedDuration::from_mins(1);
    assert_eq!(run.next(started()), Step::WaitUntil(late));
    assert_eq!(run.next(late), Step::Measure(vec![1]));
}

#[test]
fn a_run_that_measured_nothing_is_inconclusive() {
    let delayed = RawMetric { initial_delay: Some("1m".to_owned()), ..metric("a") };
    for strict in [false, true] {
        let (phase, _, taken) = run(resolve(vec![delayed.clone()], strict), &["S"], Some(10));
        assert_eq!((phase, taken), (Phase::Inconclusive, 0));
    }
}

#[test]
fn the_shortest_run_is_known_beforehand() {
    let seconds = |metrics| resolve(metrics, false).shortest().as_secs();
    assert_eq!(seconds(vec![metric("a")]), 0);
    assert_eq!(seconds(vec![by_the_minute("a", 5)]), 240);
    let in_a_row = RawMetric { consecutive_success_limit: Some(Number::Int(2)), ..by_the_minute("a", 5) };
    let delayed = RawMetric { initial_delay: Some("2m".to_owned()), ..in_a_row };
    assert_eq!(seconds(vec![delayed.clone()]), 180);
    assert_eq!(seconds(vec![delayed, by_the_minute("b", 5)]), 240);
}
