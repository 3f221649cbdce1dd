//! An analysis as it is written: an AnalysisTemplate's `metrics` and `dryRun`, field by field, and what
//! strict mode adds. Fields of the original are spelled as there, so that they can be pasted.

use serde::Deserialize;

use super::fault::{Fault, Faults, InvalidMetricField};
use super::metric::{Analysis, Metric};

mod limits;
mod query;

/// More metrics than that are a mistake.
const MAX_METRICS: usize = 50;

/// An analysis as it is written.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct RawAnalysis {
    /// Whether no data is no success; `false` unless given.
    pub strict: Option<bool>,
    /// Measured together.
    pub metrics: Vec<RawMetric>,
    /// Metrics that are measured, but do not count.
    #[serde(rename = "dryRun")]
    pub dry_run: Vec<RawDryRun>,
}

/// A metric as it is written.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct RawMetric {
    /// Its name; another one than every other metric's.
    pub name: Option<String>,
    /// `30s`: from the end of one measurement to the next; needed where `count` is more than 1.
    pub interval: Option<String>,
    /// `1m`: from the start of the run to the first measurement.
    pub initial_delay: Option<String>,
    /// How many measurements, errors not counted; 1 where neither it nor `interval` is there.
    pub count: Option<Number>,
    /// `result[0] >= 0.95`
    pub success_condition: Option<String>,
    /// `result[0] < 0.9`
    pub failure_condition: Option<String>,
    /// How many may fail: 0 unless given, any number where -1.
    pub failure_limit: Option<Number>,
    /// How many may be inconclusive: 0 unless given.
    pub inconclusive_limit: Option<Number>,
    /// How many may be errors in a row: 4 unless given.
    pub consecutive_error_limit: Option<Number>,
    /// How many successes in a row are enough: no such rule unless given.
    pub consecutive_success_limit: Option<Number>,
    /// Where the numbers come from.
    pub provider: RawProvider,
    /// Strict mode: `inconclusive` unless given, or `pass`.
    #[serde(rename = "on_empty")]
    pub on_empty: Option<String>,
    /// Strict mode: how many successes with data there must be; 1 unless given, 0 where empty answers pass.
    #[serde(rename = "min_samples")]
    pub min_samples: Option<Number>,
    /// Strict mode: how much traffic there must be.
    pub traffic: Option<RawTraffic>,
}

/// A rule about metrics that do not count.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct RawDryRun {
    /// A metric's name, or `.*` for all.
    pub metric_name: Option<String>,
}

/// Where the numbers come from. Of Argo Rollouts' providers, this one.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct RawProvider {
    /// A Prometheus, or what speaks its API.
    pub prometheus: Option<RawPrometheus>,
}

/// What is asked of Prometheus.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct RawPrometheus {
    /// Its URL, where not all metrics ask the same one.
    pub address: Option<String>,
    /// PromQL.
    pub query: Option<String>,
    /// In seconds; 30 unless given.
    pub timeout: Option<Number>,
    /// A range instead of an instant.
    pub range_query: Option<RawRange>,
}

/// A range, relative to when it is asked.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct RawRange {
    /// `now() - duration("1h")`
    pub start: Option<String>,
    /// `now()`
    pub end: Option<String>,
    /// `1m`
    pub step: Option<String>,
}

/// A floor of traffic.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct RawTraffic {
    /// PromQL; the answer's samples are added up.
    pub query: Option<String>,
    /// What they must come to.
    pub at_least: Option<f64>,
}

/// A number, or a text that is one, as after `{{args.count}}`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged, expecting = "a whole number, or a text that is one")]
pub enum Number {
    /// `3`
    Int(i64),
    /// `"3"`
    Text(String),
}

impl Analysis {
    /// Checks an analysis; `path` is what its fields' names begin with.
    ///
    /// # Errors
    ///
    /// Every field that Argo Rollouts would refuse, or that could not be decided here as there, or that would
    /// let the run go on for ever.
    pub fn resolve(raw: &RawAnalysis, path: &str) -> Result<Analysis, Vec<InvalidMetricField>> {
        let strict = raw.strict.unwrap_or(false);
        let mut faults = Faults::new(path.to_owned());
        if raw.metrics.is_empty() {
            faults.lacking("metrics", Fault::Missing { needed: "at least one metric" });
        }
        if raw.metrics.len() > MAX_METRICS {
            faults.lacking("metrics", Fault::TooMany { count: raw.metrics.len(), most: MAX_METRICS });
        }
        let mut metrics: Vec<Metric> = Vec::new();
        for (index, one) in raw.metrics.iter().take(MAX_METRICS).enumerate() {
            let mut below = faults.below(&format!("metrics[{index}]"));
            let name = one.name.as_deref().unwrap_or_default();
            let twice = |other: &RawMetric| other.name.as_deref() == Some(name);
            if !name.is_empty() && raw.metrics.iter().take(index).any(twice) {
                below.about("name", &name, Fault::NameTwice);
            }
            metrics.extend(limits::metric(&mut below, one, strict));
            faults.take(below);
        }
        let names: Vec<&str> = raw.metrics.iter().filter_map(|metric| metric.name.as_deref()).collect();
        let dry = dry_runs(&mut faults, &raw.dry_run, &names);
        for metric in &mut metrics {
            metric.dry_run = dry.contains(&metric.name.as_str());
        }
        if strict && !metrics.is_empty() && metrics.iter().all(|metric| metric.dry_run) {
            faults.lacking("dryRun", Fault::AllDry);
        }
        let found = faults.into_found();
        if found.is_empty() { Ok(Analysis { metrics, strict }) } else { Err(found) }
    }
}

/// The names that the rules match. They are patterns in the original, and not anchored: only those are
/// accepted that can be told without reading patterns.
fn dry_runs<'a>(faults: &mut Faults, rules: &[RawDryRun], names: &[&'a str]) -> Vec<&'a str> {
    let plain =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    let listed = |name: &str| rules.iter().any(|rule| rule.metric_name.as_deref() == Some(name));
    let mut found = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let field = format!("dryRun[{index}].metricName");
        let wanted = rule.metric_name.as_deref().unwrap_or_default();
        match wanted {
            "" => faults.lacking(&field, Fault::Missing { needed: "a metric's name" }),
            ".*" => found.extend(names),
            _ if !plain(wanted) => faults.about(&field, &wanted, Fault::NotAMetricName),
            _ => {
                let another = names.iter().find(|name| name.contains(wanted) && !listed(name));
                match (names.iter().find(|name| **name == wanted), another) {
                    (_, Some(other)) => {
                        let other = (*other).to_owned();
                        faults.about(&field, &wanted, Fault::MatchesAnother { other });
                    }
                    (Some(name), None) => found.push(*name),
                    (None, None) => faults.about(&field, &wanted, Fault::MatchesNothing),
                }
            }
        }
    }
    found
}
