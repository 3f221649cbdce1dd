//! What Prometheus answers to `/api/v1/query` and `/api/v1/query_range`.

use serde::Deserialize;
use thiserror::Error;

/// The most samples of one answer. A condition is about a handful; a query that forgot its `sum` should not
/// pass for one.
pub const MAX_SAMPLES: usize = 10_000;

/// Warnings that are kept of one answer.
const MAX_WARNINGS: usize = 10;

/// An answer: what is judged, and what was said beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The samples.
    pub value: Value,
    /// The server's warnings: they do not make an answer an error.
    pub warnings: Vec<String>,
}

/// `result`, as conditions see it. Labels are dropped; the order is the server's.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of a scalar.
    Scalar(f64),
    /// Of a vector, or of a matrix one series after the other.
    List(Vec<f64>),
}

/// Why an answer is none.
#[derive(Debug, Error)]
pub enum AnswerError {
    /// The server says so.
    #[error("{kind}: {message}")]
    Query {
        /// `bad_data`, `timeout`, `execution` …
        kind: String,
        /// In its words.
        message: String,
    },
    /// A status that does not go with an answer.
    #[error("the server answered {status}")]
    Status {
        /// The HTTP status.
        status: u16,
    },
    /// Not the API's JSON.
    #[error("the answer is not what Prometheus answers")]
    NotJson(#[source] serde_json::Error),
    /// A type without a number.
    #[error("the answer is a {found}, not a scalar, vector or matrix")]
    Type {
        /// `string`, or what else it is.
        found: String,
    },
    /// A sample without a number that one could judge.
    #[error("a sample is no number: {found}")]
    Sample {
        /// What is there.
        found: String,
    },
    /// A native histogram, which Argo Rollouts would take for 0.
    #[error("a sample is a histogram; use histogram_quantile, histogram_count or the like")]
    Histogram,
    /// More samples than are of use.
    #[error("there are more than {MAX_SAMPLES} samples; aggregate the query")]
    TooManySamples,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    status: Status,
    data: Option<Data>,
    error_type: Option<String>,
    error: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Success,
    Error,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: serde_json::Value,
}

#[derive(Deserialize)]
struct Series {
    value: Option<Sample>,
    values: Option<Vec<Sample>>,
    #[serde(default)]
    histogram: serde_json::Value,
    #[serde(default)]
    histograms: serde_json::Value,
}

/// Time and number. Numbers are quoted, since JSON has neither NaN nor infinity.
type Sample = (f64, String);

impl Answer {
    /// Reads the body that came with this status.
    ///
    /// # Errors
    ///
    /// Everything but a success with numbers. Stricter than Argo Rollouts, which takes histograms and samples
    /// without a value for 0, and a missing `status` for a good one.
    pub fn parse(status: u16, body: &[u8]) -> Result<Answer, AnswerError> {
        let good = (200..300).contains(&status);
        let body: Body = match serde_json::from_slice(body) {
            Ok(body) => body,
            Err(_) if !good => return Err(AnswerError::Status { status }),
            Err(source) => return Err(AnswerError::NotJson(source)),
        };
        let data = match (good, body.status, body.data) {
            (_, Status::Error, _) => {
                let kind = body.error_type.unwrap_or_else(|| "error".to_owned());
                let message = body.error.unwrap_or_else(|| "no reason given".to_owned());
                return Err(AnswerError::Query { kind: bounded(&kind), message: bounded(&message) });
            }
            (true, Status::Success, Some(data)) => data,
            _ => return Err(AnswerError::Status { status }),
        };
        let warnings = body.warnings.iter().take(MAX_WARNINGS).map(|warning| bounded(warning)).collect();
        Ok(Answer { value: value(data)?, warnings })
    }
}

fn value(data: Data) -> Result<Value, AnswerError> {
    let of = |values: Vec<Sample>| values.iter().map(number).collect::<Result<Vec<f64>, _>>();
    match data.result_type.as_str() {
        "scalar" => {
            let sample: Sample = serde_json::from_value(data.result).map_err(AnswerError::NotJson)?;
            Ok(Value::Scalar(number(&sample)?))
        }
        kind @ ("vector" | "matrix") => {
            let series: Vec<Series> = serde_json::from_value(data.result).map_err(AnswerError::NotJson)?;
            let mut samples = Vec::new();
            for one in series {
                if !one.histogram.is_null() || !one.histograms.is_null() {
                    return Err(AnswerError::Histogram);
                }
                match (kind, one.value, one.values) {
                    ("vector", Some(sample), None) => samples.push(number(&sample)?),
                    ("matrix", None, Some(values)) => samples.extend(of(values)?),
                    _ => {
                        return Err(AnswerError::Sample {
                            found: format!("a series of a {kind} without one"),
                        });
                    }
                }
                if samples.len() > MAX_SAMPLES {
                    return Err(AnswerError::TooManySamples);
                }
            }
            Ok(Value::List(samples))
        }
        other => Err(AnswerError::Type { found: bounded(other) }),
    }
}

/// `0.97`, `1e-3`, `NaN`, `+Inf`. What is beyond a float's range is an error, not infinity.
fn number((_, text): &Sample) -> Result<f64, AnswerError> {
    let number: Option<f64> = text.parse().ok();
    number
        .filter(|number| number.is_finite() || !text.contains(|letter: char| letter.is_ascii_digit()))
        .ok_or_else(|| AnswerError::Sample { found: bounded(text) })
}

/// Servers may say anything, at any length.
fn bounded(text: &str) -> String {
    const LONGEST: usize = 200;
    let clean = |letter: char| if letter.is_control() { ' ' } else { letter };
    let mut short: String = text.chars().take(LONGEST).map(clean).collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    short
}

impl Value {
    /// The numbers, one of a scalar.
    #[must_use]
    pub fn samples(&self) -> &[f64] {
        match self {
            Value::Scalar(number) => std::slice::from_ref(number),
            Value::List(numbers) => numbers,
        }
    }
}
