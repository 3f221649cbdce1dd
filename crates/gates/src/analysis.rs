//! Prometheus analysis: metrics are measured several times, and decide by Argo Rollouts' rules.
//!
//! Rules as of Rollouts 1.10 (`analysis/`, `utils/evaluate`): an AnalysisTemplate's metrics can be pasted.
//! What is accepted is decided as there, down to the order of limits and to where errors count. What could
//! not be decided the same way is refused when the policy is read. `strict: true` takes away what those rules
//! let pass: no data is no success.
//!
//! Pure: answers and `now` are arguments.

mod answer;
mod duration;
mod expression;
mod fault;
mod measure;
mod metric;
mod phase;
mod raw;
mod report;
mod run;

pub use answer::{Answer, AnswerError, MAX_SAMPLES, Value};
pub use expression::{Condition, EvaluationError, ExpressionError};
pub use fault::{Fault, InvalidMetricField};
pub use measure::Measurement;
pub use metric::{Analysis, Metric, OnEmpty, Query, Range, Strict, Traffic};
pub use phase::Phase;
pub use raw::{Number, RawAnalysis, RawDryRun, RawMetric, RawPrometheus, RawProvider, RawRange, RawTraffic};
pub use report::{MeasurementReport, MetricReport, Report};
pub use run::{ERROR_RETRY, Run, Step, Tally};
