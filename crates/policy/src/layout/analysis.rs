//! Analyses: the fields of an Argo Rollouts AnalysisTemplate, spelt as there, and what we add in our own
//! spelling.

use super::{GO_DURATION, LINE, PROSE, URL};
use crate::shape::{Field, Record, Shape};

const MAX_METRICS: usize = 50;

pub(crate) static ANALYSIS: Record = Record {
    name: "analysis",
    fields: &[
        Field::new("prometheus", Shape::Map(&SERVER), "The server of metrics that name none."),
        Field::new(
            "strict",
            Shape::Flag,
            "Whether no data is no success. Default: false, as in Argo Rollouts.",
        ),
        Field::new(
            "metrics",
            Shape::List { of: &Shape::Map(&METRIC), least: 1, most: MAX_METRICS },
            "What is measured, as in an AnalysisTemplate.",
        )
        .needed(),
        Field::new(
            "dryRun",
            Shape::List { of: &Shape::Map(&DRY_RUN), least: 0, most: MAX_METRICS },
            "Metrics that are measured and do not count.",
        ),
    ],
    reserved: &[("args", "arguments; write their values where they are used")],
};

static SERVER: Record = Record {
    name: "prometheus_server",
    fields: &[Field::new("address", Shape::Text(URL), "Its URL, without credentials.").needed()],
    reserved: &[],
};

static METRIC: Record = Record {
    name: "metric",
    fields: &[
        Field::new("name", Shape::Text(LINE), "Its name.").needed(),
        Field::new("interval", Shape::Text(GO_DURATION), "From one measurement to the next."),
        Field::new("initialDelay", Shape::Text(GO_DURATION), "Before the first measurement."),
        Field::new("count", Shape::WholeOrText, "How many measurements; errors are not counted."),
        Field::new("successCondition", Shape::Text(PROSE), "When a measurement is a success."),
        Field::new("failureCondition", Shape::Text(PROSE), "When it is a failure."),
        Field::new("failureLimit", Shape::WholeOrText, "How many may fail, in all. Default: 0."),
        Field::new("inconclusiveLimit", Shape::WholeOrText, "How many may be inconclusive. Default: 0."),
        Field::new("consecutiveErrorLimit", Shape::WholeOrText, "How many errors in a row. Default: 4."),
        Field::new("consecutiveSuccessLimit", Shape::WholeOrText, "How many successes in a row are enough."),
        Field::new("provider", Shape::Map(&PROVIDER), "Where the numbers come from.").needed(),
        Field::new(
            "on_empty",
            Shape::Word(&["inconclusive", "pass"]),
            "What an empty answer is in strict mode. Default: inconclusive.",
        ),
        Field::new("min_samples", Shape::WholeOrText, "How many successes with data strict mode asks for."),
        Field::new("traffic", Shape::Map(&TRAFFIC), "How much traffic strict mode asks for."),
    ],
    reserved: &[],
};

static PROVIDER: Record = Record {
    name: "provider",
    fields: &[
        Field::new("prometheus", Shape::Map(&PROMETHEUS), "A Prometheus or what speaks its API.").needed()
    ],
    reserved: &[],
};

static PROMETHEUS: Record = Record {
    name: "prometheus",
    fields: &[
        Field::new("address", Shape::Text(URL), "Its URL, where it is another than the analysis's."),
        Field::new("query", Shape::Text(PROSE), "PromQL.").needed(),
        Field::new("timeout", Shape::WholeOrText, "Seconds. Default: 30."),
        Field::new("rangeQuery", Shape::Map(&RANGE), "A range instead of an instant."),
    ],
    reserved: &[],
};

static RANGE: Record = Record {
    name: "range",
    fields: &[
        Field::new("start", Shape::Text(PROSE), "`now() - duration(\"1h\")`").needed(),
        Field::new("end", Shape::Text(PROSE), "`now()`"),
        Field::new("step", Shape::Text(GO_DURATION), "From one point to the next.").needed(),
    ],
    reserved: &[],
};

static TRAFFIC: Record = Record {
    name: "traffic",
    fields: &[
        Field::new("query", Shape::Text(PROSE), "PromQL; the answer's samples are added up.").needed(),
        Field::new("at_least", Shape::Number, "What they must come to.").needed(),
    ],
    reserved: &[],
};

static DRY_RUN: Record = Record {
    name: "dry_run",
    fields: &[Field::new("metricName", Shape::Text(LINE), "A metric's name, or `.*` for all.").needed()],
    reserved: &[],
};
