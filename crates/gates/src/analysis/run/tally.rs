//! What has become of one metric so far, and what that makes of it.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use super::super::measure::Measurement;
use super::super::metric::Metric;
use super::super::phase::Phase;

/// After an error it is asked again so soon, whatever the interval is.
pub const ERROR_RETRY: SignedDuration = SignedDuration::from_secs(10);
/// Measurements that are kept, the latest ones. Counts are of all.
const KEPT: usize = 10;
/// A measurement is due when more than its pause has passed.
const TICK: SignedDuration = SignedDuration::from_nanos(1);

/// Counts, and the latest measurements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How it ended, if it did.
    pub phase: Option<Phase>,
    /// Why, where it did not end well.
    pub why: Option<String>,
    /// Measurements but for errors.
    pub count: u32,
    /// Successes.
    pub successful: u32,
    /// Successes whose answer had data.
    pub samples: u32,
    /// Failures.
    pub failed: u32,
    /// Neither.
    pub inconclusive: u32,
    /// No answer, or none that could be judged.
    pub error: u32,
    /// Errors since the last other measurement.
    pub consecutive_error: u32,
    /// Successes since the last other measurement.
    pub consecutive_success: u32,
    /// The latest measurements, the last one last, with when they ended.
    pub latest: VecDeque<(Timestamp, Measurement)>,
}

impl Tally {
    pub(super) fn record(&mut self, finished: Timestamp, measurement: Measurement) {
        let phase = measurement.phase;
        let counter = match phase {
            Phase::Successful => &mut self.successful,
            Phase::Failed => &mut self.failed,
            Phase::Inconclusive => &mut self.inconclusive,
            Phase::Error => &mut self.error,
        };
        *counter = counter.saturating_add(1);
        let good = phase == Phase::Successful;
        self.samples = self.samples.saturating_add(u32::from(good && measurement.data));
        self.consecutive_success = if good { self.consecutive_success.saturating_add(1) } else { 0 };
        if phase == Phase::Error {
            self.consecutive_error = self.consecutive_error.saturating_add(1);
        } else {
            self.consecutive_error = 0;
            self.count = self.count.saturating_add(1);
        }
        self.latest.push_back((finished, measurement));
        while self.latest.len() > KEPT {
            self.latest.pop_front();
        }
    }

    /// When it is to be measured next; nothing where time itself ends.
    pub(super) fn due(&self, metric: &Metric, started: Timestamp) -> Option<Timestamp> {
        let Some((finished, last)) = self.latest.back() else {
            return started.checked_add(metric.initial_delay).ok();
        };
        let pause = match (last.phase, metric.interval) {
            (Phase::Error, _) | (_, None) => ERROR_RETRY,
            (_, Some(interval)) => interval,
        };
        finished.checked_add(pause.saturating_add(TICK)).ok()
    }

    /// Decides whether it has ended, in Argo Rollouts' order of limits. `ending`: the run ends now, whether
    /// the metric does or not.
    pub(super) fn assess(&mut self, metric: &Metric, strict: bool, ending: bool) {
        if self.phase.is_some() || self.latest.is_empty() {
            return;
        }
        let ended = self.beyond_limits(metric).or_else(|| self.enough(metric)).or_else(|| {
            ending.then(|| match strict {
                true => (Phase::Inconclusive, Some("the run ended before the metric did".to_owned())),
                false => (Phase::Successful, None),
            })
        });
        let ended = match ended {
            Some((Phase::Successful, _)) if strict => Some(self.deserved(metric)),
            other => other,
        };
        if let Some((phase, why)) = ended {
            (self.phase, self.why) = (Some(phase), why);
        }
    }

    /// Errors before what is inconclusive before failures: the original overwrites one by the next.
    fn beyond_limits(&self, metric: &Metric) -> Option<(Phase, Option<String>)> {
        let over = |phase, what: &str, found: u32, name: &str, limit: u32| {
            (found > limit).then(|| (phase, Some(format!("{what} ({found}) > {name} ({limit})"))))
        };
        let errors = metric.consecutive_error_limit;
        over(Phase::Error, "consecutiveErrors", self.consecutive_error, "consecutiveErrorLimit", errors)
            .or_else(|| {
                let limit = metric.inconclusive_limit;
                over(Phase::Inconclusive, "inconclusive", self.inconclusive, "inconclusiveLimit", limit)
            })
            .or_else(|| over(Phase::Failed, "failed", self.failed, "failureLimit", metric.failure_limit?))
    }

    fn enough(&self, metric: &Metric) -> Option<(Phase, Option<String>)> {
        let wanted = metric.consecutive_success_limit;
        if wanted > 0 && self.consecutive_success >= wanted {
            return Some((Phase::Successful, None));
        }
        let count = metric.count.filter(|count| self.count >= *count)?;
        let missed = || Some(format!("count ({count}) reached without {wanted} successes in a row"));
        Some(match (wanted > 0, metric.failure_limit) {
            (true, Some(_)) => (Phase::Inconclusive, missed()),
            (true, None) => (Phase::Failed, missed()),
            // Failures within their limit are forgiven, even where there was nothing else.
            (false, _) => (Phase::Successful, None),
        })
    }

    /// Strict mode: what Rollouts' rules would let pass needs successes, and data behind them.
    fn deserved(&self, metric: &Metric) -> (Phase, Option<String>) {
        let needed = metric.strict.min_samples;
        if self.successful == 0 && self.failed > 0 {
            return (Phase::Failed, Some(format!("no success, {} failed", self.failed)));
        }
        if self.successful == 0 || self.samples < needed {
            let why = format!("successes with data ({}) < min_samples ({needed})", self.samples);
            return (Phase::Inconclusive, Some(why));
        }
        (Phase::Successful, None)
    }
}
