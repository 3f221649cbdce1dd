//! What holds for every analysis and every course of measurements.

use granary_gates::analysis::{Analysis, Condition, Number, Phase, RawAnalysis, RawMetric, Value};
use proptest::prelude::*;

use super::{metric, run};

/// A metric with limits, in order or not.
fn any_metric() -> impl Strategy<Value = RawMetric> {
    let limit = |least: i64, most: i64| prop::option::of(least..=most);
    let pace = (prop::option::of(1_i64..=6), prop::sample::select(vec!["1s", "10s", "1m30s"]), limit(0, 90));
    (pace, limit(-1, 4), limit(0, 4), limit(0, 3), limit(0, 3)).prop_map(
        |((count, interval, delay), failures, inconclusive, errors, in_a_row)| RawMetric {
            interval: count.map(|_| interval.to_owned()),
            count: count.map(Number::Int),
            initial_delay: delay.map(|delay| format!("{delay}s")),
            failure_limit: failures.map(Number::Int),
            inconclusive_limit: inconclusive.map(Number::Int),
            consecutive_error_limit: errors.map(Number::Int),
            consecutive_success_limit: in_a_row.map(Number::Int),
            ..metric("a")
        },
    )
}

fn any_analysis(strict: bool) -> impl Strategy<Value = Analysis> {
    prop::collection::vec(any_metric(), 1..4).prop_filter_map("in order", move |mut metrics| {
        for (index, metric) in metrics.iter_mut().enumerate() {
            metric.name = Some(format!("m{index}"));
        }
        let raw = RawAnalysis { strict: Some(strict), metrics, dry_run: Vec::new() };
        Analysis::resolve(&raw, "").ok()
    })
}

fn go(analysis: &Analysis, scripts: &[String], end: Option<i64>) -> (Phase, usize) {
    let scripts: Vec<&str> = scripts.iter().map(String::as_str).collect();
    let (phase, _, taken) = run(analysis.clone(), &scripts, end);
    (phase, taken)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn runs_come_to_an_end(
        analysis in any_analysis(false),
        scripts in prop::collection::vec("[SFIE]{1,40}", 3),
        end in prop::option::of(0_i64..200),
    ) {
        let (_, taken) = go(&analysis, &scripts, end);
        let most: u32 = analysis
            .metrics
            .iter()
            .map(|metric| metric.count.unwrap() * (metric.consecutive_error_limit + 1) + metric.consecutive_error_limit)
            .sum();
        prop_assert!(taken <= usize::try_from(most).unwrap(), "{taken} of {most}");
    }

    #[test]
    fn without_a_success_there_is_none_in_strict_mode(
        analysis in any_analysis(true),
        scripts in prop::collection::vec("[FIE]{1,40}", 3),
        end in prop::option::of(0_i64..200),
    ) {
        prop_assert_ne!(go(&analysis, &scripts, end).0, Phase::Successful);
    }

    #[test]
    fn failures_alone_are_never_a_success_in_strict_mode(
        analysis in any_analysis(true),
        good in 0..3_usize,
        end in prop::option::of(0_i64..200),
    ) {
        // One metric fails whenever it is asked, whatever the others do.
        let scripts: Vec<String> = (0..3).map(|index| if index == good { "F" } else { "S" }.to_owned()).collect();
        if good < analysis.metrics.len() {
            prop_assert_ne!(go(&analysis, &scripts, end).0, Phase::Successful);
        }
    }

    #[test]
    fn strict_mode_only_takes_away(
        analysis in any_analysis(true),
        scripts in prop::collection::vec("[SFIE]{1,40}", 3),
        end in prop::option::of(0_i64..200),
    ) {
        let lax = Analysis { strict: false, ..analysis.clone() };
        if go(&analysis, &scripts, end).0 == Phase::Successful {
            prop_assert_eq!(go(&lax, &scripts, end).0, Phase::Successful);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(
        text in "[-a-z0-9 .#\\[\\](){}<>=!&|?:,+*/%^\"']{0,60}|(result|all|len|not|in|and|#|\\(|\\)|\\[|\\]|,|0|<|>|!|\\?|:| ){0,40}",
        samples in prop::collection::vec(any::<f64>(), 0..4),
    ) {
        if let Ok(condition) = Condition::parse(&text) {
            let _ = condition.holds(&Value::List(samples.clone()));
            let _ = condition.holds(&Value::Scalar(samples.first().copied().unwrap_or(f64::NAN)));
        }
    }
}
