//! One metric: its pace, its limits and what follows from them together.

use jiff::SignedDuration;

use super::query;
use super::{Number, RawMetric};
use crate::analysis::duration::go_duration;
use crate::analysis::expression::Condition;
use crate::analysis::fault::{Fault, Faults};
use crate::analysis::metric::{Metric, OnEmpty, Strict};

/// More measurements than that outlast any wait.
const MAX_COUNT: i64 = 10_000;
/// As in Rollouts.
const CONSECUTIVE_ERROR_LIMIT: u32 = 4;

/// The metric, unless something about it is wrong.
pub(super) fn metric(faults: &mut Faults, raw: &RawMetric, strict: bool) -> Option<Metric> {
    let name = name(faults, raw.name.as_deref());
    let pace = pace(faults, raw);
    let limits = limits(faults, raw);
    if let (Some(pace), Some(limits)) = (&pace, &limits) {
        together(faults, pace, limits);
    }
    let success = condition(faults, "successCondition", raw.success_condition.as_deref());
    let failure = condition(faults, "failureCondition", raw.failure_condition.as_deref());
    if strict && success == Some(None) && failure == Some(None) {
        faults.lacking("successCondition", Fault::NoCondition);
    }
    let asked = query::prometheus(faults, raw.provider.prometheus.as_ref());
    let ours = ours(faults, raw, strict, pace.as_ref().and_then(|pace| pace.count));
    let (pace, limits, asked) = (pace?, limits?, asked?);
    Some(Metric {
        name: name?,
        query: asked.query,
        address: asked.address,
        timeout: asked.timeout,
        interval: pace.interval,
        initial_delay: pace.initial_delay,
        count: pace.count,
        failure_limit: limits.failure,
        inconclusive_limit: limits.inconclusive,
        consecutive_error_limit: limits.consecutive_error,
        consecutive_success_limit: limits.consecutive_success,
        success: success?,
        failure: failure?,
        dry_run: false,
        strict: ours?,
    })
}

fn name(faults: &mut Faults, raw: Option<&str>) -> Option<String> {
    let name = raw.unwrap_or_default();
    if name.trim().is_empty() {
        faults.lacking("name", Fault::Missing { needed: "a name" });
        return None;
    }
    if name.chars().count() > 100 || name.chars().any(char::is_control) || name.trim() != name {
        faults.about("name", &name.escape_default(), Fault::NotAName);
        return None;
    }
    Some(name.to_owned())
}

struct Pace {
    interval: Option<SignedDuration>,
    initial_delay: SignedDuration,
    /// With Rollouts' default: one measurement where there is no interval.
    count: Option<u32>,
    /// Whether it was given, or is the default.
    counted: bool,
}

fn pace(faults: &mut Faults, raw: &RawMetric) -> Option<Pace> {
    let interval = match given(raw.interval.as_deref()) {
        None => Some(None),
        Some(text) => duration(faults, "interval", text, SignedDuration::from_secs(1), "1s").map(Some),
    };
    let initial_delay = match given(raw.initial_delay.as_deref()) {
        None => Some(SignedDuration::ZERO),
        Some(text) => duration(faults, "initialDelay", text, SignedDuration::ZERO, "0s"),
    };
    let count = whole(faults, "count", raw.count.as_ref(), 0, MAX_COUNT)?.filter(|count| *count > 0);
    let interval = interval?;
    let counted = count.is_some();
    let count = match (count, interval) {
        (Some(count), None) if count > 1 => {
            faults.lacking("interval", Fault::NoInterval);
            return None;
        }
        (None, None) => Some(1),
        (count, _) => count,
    };
    Some(Pace { interval, initial_delay: initial_delay?, count, counted })
}

fn duration(
    faults: &mut Faults,
    field: &str,
    text: &str,
    least: SignedDuration,
    shortest: &'static str,
) -> Option<SignedDuration> {
    let found = faults.check(field, text, go_duration(text))?;
    if found < least || found > SignedDuration::from_hours(24) {
        faults.about(field, &text, Fault::DurationOutOfRange { shortest, longest: "24h" });
        return None;
    }
    Some(found)
}

struct Limits {
    /// `None` where it is off.
    failure: Option<u32>,
    inconclusive: u32,
    consecutive_error: u32,
    consecutive_success: u32,
}

fn limits(faults: &mut Faults, raw: &RawMetric) -> Option<Limits> {
    let failure = number(faults, "failureLimit", raw.failure_limit.as_ref(), -1, MAX_COUNT);
    let mut limit = |field, raw| whole(faults, field, raw, 0, MAX_COUNT);
    let inconclusive = limit("inconclusiveLimit", raw.inconclusive_limit.as_ref());
    let consecutive_error = limit("consecutiveErrorLimit", raw.consecutive_error_limit.as_ref());
    let consecutive_success =
        limit("consecutiveSuccessLimit", raw.consecutive_success_limit.as_ref())?.unwrap_or(0);
    let failure = failure?.unwrap_or(0);
    if failure < 0 && consecutive_success == 0 {
        faults.about("failureLimit", &failure, Fault::BothLimitsOff);
        return None;
    }
    Some(Limits {
        failure: u32::try_from(failure).ok(),
        inconclusive: inconclusive?.unwrap_or(0),
        consecutive_error: consecutive_error?.unwrap_or(CONSECUTIVE_ERROR_LIMIT),
        consecutive_success,
    })
}

/// The rules about count and limits together. Those of Rollouts apply only where a count is given.
fn together(faults: &mut Faults, pace: &Pace, limits: &Limits) {
    let Some(count) = pace.count else {
        // Successes in a row may be waited for for ever as well.
        faults.lacking("count", Fault::Endless);
        return;
    };
    if !pace.counted {
        return;
    }
    let sum = i64::from(limits.failure.unwrap_or(0)) + i64::from(limits.consecutive_success);
    if i64::from(count) < sum {
        faults.about("count", &count, Fault::CountBelowLimits { sum });
    }
    if count < limits.inconclusive {
        let limit = i64::from(limits.inconclusive);
        faults.about("count", &count, Fault::CountBelow { other: "inconclusiveLimit", limit });
    }
}

fn ours(faults: &mut Faults, raw: &RawMetric, strict: bool, count: Option<u32>) -> Option<Strict> {
    if !strict {
        let given = [
            ("on_empty", raw.on_empty.is_some()),
            ("min_samples", raw.min_samples.is_some()),
            ("traffic", raw.traffic.is_some()),
        ];
        for (field, _) in given.into_iter().filter(|(_, given)| *given) {
            faults.lacking(field, Fault::OnlyStrict);
        }
    }
    let on_empty = match raw.on_empty.as_deref() {
        None | Some("inconclusive") => Some(OnEmpty::Inconclusive),
        Some("pass") => Some(OnEmpty::Pass),
        Some(other) => {
            faults.about("on_empty", &other, Fault::Word { words: "inconclusive, pass" });
            None
        }
    };
    let least = if on_empty == Some(OnEmpty::Pass) { 0 } else { 1 };
    let min_samples = whole(faults, "min_samples", raw.min_samples.as_ref(), i64::from(least), MAX_COUNT);
    let traffic = raw.traffic.as_ref().map(|traffic| query::traffic(faults, traffic));
    let min_samples = min_samples?.unwrap_or(least);
    if let Some(count) = count.filter(|count| *count < min_samples) {
        let limit = i64::from(min_samples);
        faults.about("count", &count, Fault::CountBelow { other: "min_samples", limit });
    }
    let traffic = match traffic {
        None => None,
        Some(traffic) => Some(traffic?),
    };
    Some(Strict { on_empty: on_empty?, min_samples, traffic })
}

/// `None` where it is wrong, `Some(None)` where it is not there.
fn condition(faults: &mut Faults, field: &str, raw: Option<&str>) -> Option<Option<Condition>> {
    match given(raw) {
        None => Some(None),
        Some(text) => faults.check(field, text, Condition::parse(text)).map(Some),
    }
}

/// Set but empty is unset.
pub(super) fn given(raw: Option<&str>) -> Option<&str> {
    raw.map(str::trim).filter(|text| !text.is_empty())
}

/// `None` where it is wrong, `Some(None)` where it is not there.
pub(super) fn number(
    faults: &mut Faults,
    field: &str,
    raw: Option<&Number>,
    least: i64,
    most: i64,
) -> Option<Option<i64>> {
    let found = match raw {
        None => return Some(None),
        Some(Number::Int(number)) => *number,
        Some(Number::Text(text)) if text.trim().is_empty() => return Some(None),
        // Rollouts reads 0 where this is no number, which for `count` is "for ever".
        Some(Number::Text(text)) => {
            faults.check(field, text, text.trim().parse().map_err(|_| Fault::NotANumber))?
        }
    };
    if found < least || found > most {
        faults.about(field, &found, Fault::OutOfRange { least, most });
        return None;
    }
    Some(Some(found))
}

fn whole(
    faults: &mut Faults,
    field: &str,
    raw: Option<&Number>,
    least: i64,
    most: i64,
) -> Option<Option<u32>> {
    // Within bounds it always fits.
    number(faults, field, raw, least, most).map(|found| found.and_then(|found| u32::try_from(found).ok()))
}
