//! An analysis in order: metrics with Argo Rollouts' fields, and what `strict` adds.

use jiff::{SignedDuration, Timestamp};

use super::expression::Condition;

/// Metrics that are measured together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Analysis {
    /// At least one; names differ.
    pub metrics: Vec<Metric>,
    /// Whether no data is no success. Off, everything is decided as Argo Rollouts decides it.
    pub strict: bool,
}

/// One metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// What is asked.
    pub query: Query,
    /// The Prometheus that the metric names itself.
    pub address: Option<String>,
    /// How long an answer may take.
    pub timeout: SignedDuration,
    /// From the end of one measurement to the next.
    pub interval: Option<SignedDuration>,
    /// From the start of the run to the first measurement.
    pub initial_delay: SignedDuration,
    /// How many measurements are taken, errors not counted; `None` where `consecutive_success_limit` ends it.
    pub count: Option<u32>,
    /// How many may fail; `None` for any number.
    pub failure_limit: Option<u32>,
    /// How many may be inconclusive.
    pub inconclusive_limit: u32,
    /// How many may be errors in a row.
    pub consecutive_error_limit: u32,
    /// How many successes in a row are enough; 0 for no such rule.
    pub consecutive_success_limit: u32,
    /// When a measurement is a success.
    pub success: Option<Condition>,
    /// When it is a failure.
    pub failure: Option<Condition>,
    /// Measured and reported, but never decisive.
    pub dry_run: bool,
    /// What counts only in strict mode.
    pub strict: Strict,
}

/// A query with the time that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// PromQL.
    pub text: String,
    /// A range, or the instant at which it is asked.
    pub range: Option<Range>,
}

/// The times of a range query, relative to when it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// How long ago it begins.
    pub start_ago: SignedDuration,
    /// How long ago it ends.
    pub end_ago: SignedDuration,
    /// From one point to the next.
    pub step: SignedDuration,
}

impl Range {
    /// Its start and end, when asked at `now`; `None` outside the years that can be written.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
        now.checked_sub(self.start_ago).ok().zip(now.checked_sub(self.end_ago).ok())
    }
}

/// The rules of strict mode, for one metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strict {
    /// What an empty answer is.
    pub on_empty: OnEmpty,
    /// How many successes with data there must be. At least 1, unless an empty answer passes.
    pub min_samples: u32,
    /// How much traffic there must be for a measurement to say anything.
    pub traffic: Option<Traffic>,
}

/// What an answer without a sample is, in strict mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnEmpty {
    /// No data is no success.
    #[default]
    Inconclusive,
    /// As where errors are counted and there are none, so that there is no series.
    Pass,
}

/// A floor below which a measurement is inconclusive.
#[derive(Clone, Debug, PartialEq)]
pub struct Traffic {
    /// PromQL; the answer's samples are added up.
    pub query: String,
    /// Finite.
    pub at_least: f64,
}

// Only finite numbers get there.
impl Eq for Traffic {}

impl Analysis {
    /// The shortest time in which it can end well, answers that take no time assumed. Whoever waits for less
    /// need not begin.
    #[must_use]
    pub fn shortest(&self) -> SignedDuration {
        let of = |metric: &Metric| {
            let by_count = metric.count.unwrap_or(u32::MAX);
            let in_a_row = metric.consecutive_success_limit;
            let needed = if in_a_row > 0 { by_count.min(in_a_row) } else { by_count };
            let between = metric.interval.unwrap_or_default();
            let all = i32::try_from(needed.saturating_sub(1)).unwrap_or(i32::MAX);
            metric.initial_delay.saturating_add(between.saturating_mul(all))
        };
        self.metrics.iter().map(of).max().unwrap_or_default()
    }
}
