//! One measurement: what an answer means for its metric.

use super::answer::{Answer, AnswerError, Value};
use super::expression::{Condition, EvaluationError};
use super::metric::{Metric, OnEmpty};
use super::phase::Phase;

/// Samples that are shown; an answer may have thousands.
const SHOWN: usize = 5;
/// Letters of a message.
const LONGEST: usize = 300;

/// What came of asking once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// What it counts as.
    pub phase: Phase,
    /// The samples, cut off after a few; `None` without an answer.
    pub value: Option<String>,
    /// Why it is an error, or inconclusive by the rules of strict mode.
    pub message: Option<String>,
    /// The server's warnings.
    pub warnings: Vec<String>,
    /// Whether there was a sample, and every one a finite number.
    pub data: bool,
}

impl Measurement {
    /// A measurement that came to nothing: no connection, no answer in time, or one that cannot be read.
    #[must_use]
    pub fn error(message: &str) -> Measurement {
        Measurement {
            phase: Phase::Error,
            value: None,
            message: Some(message.chars().take(LONGEST).collect()),
            warnings: Vec::new(),
            data: false,
        }
    }

    fn because(self, phase: Phase, message: &str) -> Measurement {
        Measurement { phase, message: Some(message.chars().take(LONGEST).collect()), ..self }
    }
}

impl From<&AnswerError> for Measurement {
    fn from(error: &AnswerError) -> Measurement {
        match std::error::Error::source(error) {
            Some(source) => Measurement::error(&format!("{error}: {source}")),
            None => Measurement::error(&error.to_string()),
        }
    }
}

impl Metric {
    /// Judges an answer as Argo Rollouts does.
    #[must_use]
    pub fn judge(&self, answer: &Answer) -> Measurement {
        let measurement = Measurement {
            phase: Phase::Successful,
            value: Some(shown(&answer.value)),
            message: None,
            warnings: answer.warnings.clone(),
            data: !answer.value.samples().is_empty()
                && answer.value.samples().iter().all(|number| number.is_finite()),
        };
        let failed = |name: &str, error: &EvaluationError| {
            let message = match answer.value.samples() {
                [] => format!("no data to evaluate {name} with"),
                _ => format!("could not evaluate {name}: {error}"),
            };
            measurement.clone().because(Phase::Error, &message)
        };
        // Success first, so that its errors come first; but failure wins.
        let success = match holds(self.success.as_ref(), &answer.value) {
            Ok(found) => found,
            Err(error) => return failed("successCondition", &error),
        };
        let failure = match holds(self.failure.as_ref(), &answer.value) {
            Ok(found) => found,
            Err(error) => return failed("failureCondition", &error),
        };
        let phase = match (success, failure) {
            (_, Some(true)) | (Some(false), None) => Phase::Failed,
            (Some(false), Some(false)) => Phase::Inconclusive,
            (Some(true) | None, _) => Phase::Successful,
        };
        Measurement { phase, ..measurement }
    }

    /// Judges an answer by the rules of strict mode: without traffic nothing is said, without data there is
    /// no success. `traffic` is the answer to the metric's traffic query, where it has one.
    #[must_use]
    pub fn judge_strictly(&self, answer: &Answer, traffic: Option<&Answer>) -> Measurement {
        let measurement = self.judge(answer);
        if let Some(floor) = &self.strict.traffic {
            let found: f64 = traffic.map_or(f64::NAN, |answer| answer.value.samples().iter().sum());
            // Not `<`: a NaN is no traffic either.
            let enough = found >= floor.at_least;
            if !enough {
                let message = format!("traffic is {found}, below {}", floor.at_least);
                return measurement.because(Phase::Inconclusive, &message);
            }
        }
        match (answer.value.samples(), self.strict.on_empty) {
            ([], OnEmpty::Inconclusive) => measurement.because(Phase::Inconclusive, "no data"),
            ([], OnEmpty::Pass) => Measurement { phase: Phase::Successful, message: None, ..measurement },
            _ if measurement.phase == Phase::Successful && !measurement.data => {
                measurement.because(Phase::Inconclusive, "not every sample is a finite number")
            }
            _ => measurement,
        }
    }
}

fn holds(condition: Option<&Condition>, value: &Value) -> Result<Option<bool>, EvaluationError> {
    condition.map(|condition| condition.holds(value)).transpose()
}

/// `0.97`, `[0.97, 0.5]`, `[1, 2, 3, 4, 5, … 95 more]`.
fn shown(value: &Value) -> String {
    // As Prometheus writes them.
    let number = |number: &f64| match number.is_infinite() {
        true if *number > 0.0 => "+Inf".to_owned(),
        true => "-Inf".to_owned(),
        false => number.to_string(),
    };
    let numbers = match value {
        Value::Scalar(scalar) => return number(scalar),
        Value::List(numbers) => numbers,
    };
    let mut shown: Vec<String> = numbers.iter().take(SHOWN).map(number).collect();
    if numbers.len() > SHOWN {
        shown.push(format!("… {} more", numbers.len() - SHOWN));
    }
    format!("[{}]", shown.join(", "))
}
