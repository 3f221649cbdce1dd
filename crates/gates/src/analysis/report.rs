//! What a run comes to, for records and for the gate that asked for it.

use jiff::Timestamp;
use serde::Serialize;

use super::metric::Metric;
use super::phase::Phase;
use super::run::{Run, Tally};
use crate::facts::Outcome;
use crate::verdict::Decision;

/// Letters of a reason; a message is a line or two.
const LONGEST_REASON: usize = 600;

/// A run, as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How it ended, or stands.
    pub phase: Phase,
    /// Whether it was strict.
    pub strict: bool,
    /// Its metrics, in their order.
    pub metrics: Vec<MetricReport>,
}

/// One metric, as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MetricReport {
    /// Its name.
    pub name: String,
    /// How it ended; nothing where it had not.
    pub phase: Option<Phase>,
    /// Why, where it did not end well.
    pub why: Option<String>,
    /// Whether it did not count.
    pub dry_run: bool,
    /// The query.
    pub query: String,
    /// When a measurement is a success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_condition: Option<String>,
    /// When it is a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_condition: Option<String>,
    /// Measurements by their phase.
    pub successful: u32,
    /// Failures.
    pub failed: u32,
    /// Neither.
    pub inconclusive: u32,
    /// No answer, or none that could be judged.
    pub error: u32,
    /// The latest measurements.
    pub measurements: Vec<MeasurementReport>,
}

/// One measurement, as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MeasurementReport {
    /// When it was over, in UTC.
    pub finished: String,
    /// What it counted as.
    pub phase: Phase,
    /// The samples, cut off after a few.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Why it is an error, or inconclusive by the rules of strict mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The server's warnings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl Report {
    /// Of a run that ended with this phase.
    #[must_use]
    pub fn of(run: &Run, phase: Phase) -> Report {
        let metrics = run.metrics().map(|(metric, tally)| MetricReport::of(metric, tally)).collect();
        Report { phase, strict: run.analysis().strict, metrics }
    }

    /// What the gate is told under this name: failed is a refusal, everything else that is no success leaves
    /// it undecided.
    #[must_use]
    pub fn outcome(&self, name: &str) -> Outcome {
        let decision = match self.phase {
            Phase::Successful => Decision::Allow,
            Phase::Failed => Decision::Deny,
            Phase::Error | Phase::Inconclusive => Decision::Undecidable,
        };
        Outcome { name: name.to_owned(), decision, reason: self.reason() }
    }

    /// The metrics that stand in the way, the worst first; or how many succeeded.
    fn reason(&self) -> String {
        let counts = |metric: &&MetricReport| !metric.dry_run && metric.phase != Some(Phase::Successful);
        let mut bad: Vec<&MetricReport> = self.metrics.iter().filter(counts).collect();
        bad.sort_by_key(|metric| std::cmp::Reverse(metric.phase));
        if self.phase == Phase::Successful {
            let good = self.metrics.iter().filter(|metric| metric.phase == Some(Phase::Successful)).count();
            return match good {
                1 => "1 metric succeeded".to_owned(),
                _ => format!("{good} metrics succeeded"),
            };
        }
        let mut reason = bad.iter().map(|metric| metric.line()).collect::<Vec<_>>().join("; ");
        if reason.is_empty() {
            "nothing was measured".clone_into(&mut reason);
        }
        if reason.chars().count() > LONGEST_REASON {
            reason = reason.chars().take(LONGEST_REASON - 1).chain(['…']).collect();
        }
        reason
    }
}

impl MetricReport {
    fn of(metric: &Metric, tally: &Tally) -> MetricReport {
        let text = |condition: &Option<super::Condition>| {
            condition.as_ref().map(|condition| condition.text().to_owned())
        };
        let measurement = |(finished, measurement): &(Timestamp, super::Measurement)| MeasurementReport {
            finished: finished.to_string(),
            phase: measurement.phase,
            value: measurement.value.clone(),
            message: measurement.message.clone(),
            warnings: measurement.warnings.clone(),
        };
        MetricReport {
            name: metric.name.clone(),
            phase: tally.phase,
            why: tally.why.clone(),
            dry_run: metric.dry_run,
            query: metric.query.text.clone(),
            success_condition: text(&metric.success),
            failure_condition: text(&metric.failure),
            successful: tally.successful,
            failed: tally.failed,
            inconclusive: tally.inconclusive,
            error: tally.error,
            measurements: tally.latest.iter().map(measurement).collect(),
        }
    }

    /// `errors: Failed: failed (2) > failureLimit (1); last [0.4], successCondition result[0] >= 0.95`
    fn line(&self) -> String {
        let phase = self.phase.map_or("not measured to an end", Phase::name);
        let why = self.why.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        // The latest of the kind that decided, else the latest.
        let telling = self.measurements.iter().rev().find(|one| Some(one.phase) == self.phase);
        let last = telling.or(self.measurements.last()).map(|one| {
            let value = one.value.as_deref().unwrap_or("no answer");
            let message = one.message.as_deref().map(|text| format!(" ({text})")).unwrap_or_default();
            format!(", measured {value}{message}")
        });
        let condition = |name: &str, text: &Option<String>| {
            text.as_deref().map(|text| format!(", {name} `{text}`")).unwrap_or_default()
        };
        format!(
            "{}: {phase}{why}{}{}{}",
            self.name,
            last.unwrap_or_default(),
            condition("successCondition", &self.success_condition),
            condition("failureCondition", &self.failure_condition),
        )
    }
}
