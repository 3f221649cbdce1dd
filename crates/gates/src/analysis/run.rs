//! An analysis as it goes on. Pure: the caller measures, waits and says what time it is.
//!
//! ```text
//! loop { match run.next(now) {
//!     Step::Measure(metrics) => ask for all of them, record() each,
//!     Step::WaitUntil(time)  => sleep, or end() where it is too late,
//!     Step::Done(phase)      => break,
//! } }
//! ```

use jiff::Timestamp;

use super::measure::Measurement;
use super::metric::{Analysis, Metric};
use super::phase::Phase;

mod tally;

pub use tally::{ERROR_RETRY, Tally};

/// An analysis that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    analysis: Analysis,
    started: Timestamp,
    /// Of each metric, in its order.
    tallies: Vec<Tally>,
    /// Told to end.
    ended: bool,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// These metrics are due, by their place in the analysis. They are measured side by side, and all of them
    /// recorded before the next step is asked for: one that fails does not keep the others back.
    Measure(Vec<usize>),
    /// Nothing is due before then.
    WaitUntil(Timestamp),
    /// The end; nothing that is recorded later changes it.
    Done(Phase),
}

impl Run {
    /// Begins.
    #[must_use]
    pub fn new(analysis: Analysis, started: Timestamp) -> Run {
        let tallies = vec![Tally::default(); analysis.metrics.len()];
        Run { analysis, started, tallies, ended: false }
    }

    /// What is to be done now. Asked again without a record in between, it is the same.
    #[must_use]
    pub fn next(&mut self, now: Timestamp) -> Step {
        if let Some(phase) = self.assess() {
            return Step::Done(phase);
        }
        let due: Vec<(usize, Timestamp)> = self
            .parts()
            .filter_map(|(index, metric, tally)| {
                let open = tally.phase.is_none();
                open.then(|| (index, tally.due(metric, self.started).unwrap_or(Timestamp::MAX)))
            })
            .collect();
        let overdue: Vec<usize> =
            due.iter().filter(|(_, time)| *time <= now).map(|(index, _)| *index).collect();
        match due.iter().map(|(_, time)| *time).min() {
            _ if !overdue.is_empty() => Step::Measure(overdue),
            Some(time) => Step::WaitUntil(time),
            // An analysis without a metric: nothing was measured.
            None => Step::Done(Phase::Inconclusive),
        }
    }

    /// Takes in what came of measuring a metric. Ignored where the metric has ended.
    pub fn record(&mut self, metric: usize, finished: Timestamp, measurement: Measurement) {
        if let Some(tally) = self.tallies.get_mut(metric).filter(|tally| tally.phase.is_none()) {
            tally.record(finished, measurement);
        }
    }

    /// Ends the run, whatever is still to come: the next step is [`Step::Done`]. As in Argo Rollouts, what
    /// has not failed by then has succeeded, unless nothing was measured at all, or the analysis is strict.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// The analysis.
    #[must_use]
    pub fn analysis(&self) -> &Analysis {
        &self.analysis
    }

    /// Every metric with what has become of it.
    pub fn metrics(&self) -> impl Iterator<Item = (&Metric, &Tally)> {
        self.analysis.metrics.iter().zip(&self.tallies)
    }

    fn parts(&self) -> impl Iterator<Item = (usize, &Metric, &Tally)> {
        self.metrics().enumerate().map(|(index, (metric, tally))| (index, metric, tally))
    }

    /// One metric that has not ended well ends the run, and the others with it.
    fn assess(&mut self) -> Option<Phase> {
        let mut ending = self.ended;
        for (metric, tally) in self.analysis.metrics.iter().zip(&mut self.tallies) {
            tally.assess(metric, self.analysis.strict, ending);
        }
        let bad = |phase: Option<Phase>| phase.is_some_and(|phase| phase != Phase::Successful);
        ending |= self.metrics().any(|(metric, tally)| !metric.dry_run && bad(tally.phase));
        if !ending {
            return self.tallies.iter().all(|tally| tally.phase.is_some()).then(|| self.worst());
        }
        for (metric, tally) in self.analysis.metrics.iter().zip(&mut self.tallies) {
            tally.assess(metric, self.analysis.strict, true);
        }
        Some(self.worst())
    }

    /// Of the metrics that count. Those that were never measured are left aside, unless in strict mode; dry
    /// ones are as good as successful.
    fn worst(&self) -> Phase {
        let unmeasured = self.analysis.strict.then_some(Phase::Inconclusive);
        let of = |(metric, tally): (&Metric, &Tally)| match metric.dry_run {
            true => tally.phase.map(|_| Phase::Successful),
            false => tally.phase.or(unmeasured),
        };
        self.metrics().filter_map(of).max().unwrap_or(Phase::Inconclusive)
    }
}
