//! What can be wrong with an analysis as it is written.

use std::fmt;

use thiserror::Error;

use super::expression::ExpressionError;

/// One field of an analysis that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidMetricField {
    /// Its path from the top of the file.
    pub field: String,
    /// What is there, unless nothing is.
    pub value: Option<String>,
    /// Why it cannot be used.
    pub fault: Fault,
}

impl fmt::Display for InvalidMetricField {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(formatter, "{}: `{value}` {}", self.field, self.fault),
            None => write!(formatter, "{}: {}", self.field, self.fault),
        }
    }
}

impl std::error::Error for InvalidMetricField {}

/// Why a field of an analysis cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Fault {
    /// Nothing there, or only space.
    #[error("is missing; needed is {needed}")]
    Missing {
        /// What is needed.
        needed: &'static str,
    },
    /// Not Go's notation. `1d` is a frequent mistake.
    #[error("is not a duration such as 30s, 5m or 1h30m (h, m, s, ms; no days)")]
    NotADuration,
    /// A duration outside what is of use.
    #[error("is not between {shortest} and {longest}")]
    DurationOutOfRange {
        /// The shortest that is accepted.
        shortest: &'static str,
        /// The longest.
        longest: &'static str,
    },
    /// Neither a number nor a text that is one.
    #[error("is not a whole number")]
    NotANumber,
    /// Beyond its bounds.
    #[error("is not between {least} and {most}")]
    OutOfRange {
        /// The least that is accepted.
        least: i64,
        /// The most.
        most: i64,
    },
    /// `failureLimit: -1` without the other limit: nothing could fail.
    #[error("cannot be -1 (off) unless `consecutiveSuccessLimit` is set")]
    BothLimitsOff,
    /// Rollouts' own rule.
    #[error("is smaller than failureLimit + consecutiveSuccessLimit = {sum}")]
    CountBelowLimits {
        /// What it may not be below.
        sum: i64,
    },
    /// Rollouts' own rule.
    #[error("is smaller than `{other}` = {limit}")]
    CountBelow {
        /// The limit's name.
        other: &'static str,
        /// Its value.
        limit: i64,
    },
    /// `count: 3` without a pace.
    #[error("is missing; needed when count is more than 1")]
    NoInterval,
    /// A gate has to come to an end.
    #[error(
        "is missing or 0; with `interval` alone the metric would run for ever, which is only for rollouts"
    )]
    Endless,
    /// A name that two metrics have.
    #[error("is the name of another metric")]
    NameTwice,
    /// A name that cannot be printed, or is too long to be.
    #[error("is not a name of 1 to 100 printable characters")]
    NotAName,
    /// More metrics than are of use.
    #[error("has {count} entries; at most {most} are accepted")]
    TooMany {
        /// How many there are.
        count: usize,
        /// How many are accepted.
        most: usize,
    },
    /// A condition that cannot be used.
    #[error(transparent)]
    Condition(#[from] ExpressionError),
    /// Without a condition every answer is a success.
    #[error("is missing; in strict mode a metric needs successCondition or failureCondition")]
    NoCondition,
    /// A field of ours beside Rollouts' rules.
    #[error("is only for `strict: true`")]
    OnlyStrict,
    /// Not one of the words.
    #[error("is none of {words}")]
    Word {
        /// Those that are accepted.
        words: &'static str,
    },
    /// Not a number, or infinite.
    #[error("is not a finite number of at least 0")]
    NotFinite,
    /// A dry-run rule that we do not read as the pattern that it is.
    #[error("is neither a metric's name of letters, digits, `-` and `_`, nor `.*` for all of them")]
    NotAMetricName,
    /// A rule without effect is a typing error.
    #[error("is not the name of a metric")]
    MatchesNothing,
    /// Patterns are not anchored in Rollouts, which is rarely meant.
    #[error(
        "is part of the name `{other}`, which Argo Rollouts would not judge either; list it too or rename it"
    )]
    MatchesAnother {
        /// The other metric's name.
        other: String,
    },
    /// Nothing would be judged.
    #[error("leaves no metric that counts; in strict mode one has to")]
    AllDry,
    /// A moment that is not relative to now.
    #[error("is neither now() nor now() - duration(\"1h\")")]
    NotATime,
    /// A range whose end is not after its start.
    #[error("is not after `start`")]
    EndNotAfterStart,
    /// Thousands of points for a decision.
    #[error("makes {points} points per series; at most {most} are accepted")]
    TooManyPoints {
        /// How many there would be.
        points: i64,
        /// How many are accepted.
        most: i64,
    },
}

/// Collects what is wrong below one path.
#[derive(Debug)]
pub(crate) struct Faults {
    path: String,
    found: Vec<InvalidMetricField>,
}

impl Faults {
    pub(crate) fn new(path: String) -> Faults {
        Faults { path, found: Vec::new() }
    }

    pub(crate) fn below(&self, part: &str) -> Faults {
        Faults::new(self.name(part))
    }

    fn name(&self, field: &str) -> String {
        match (self.path.is_empty(), field.is_empty()) {
            (_, true) => self.path.clone(),
            (true, false) => field.to_owned(),
            (false, false) => format!("{}.{field}", self.path),
        }
    }

    /// About what stands in a field.
    pub(crate) fn about(&mut self, field: &str, value: &dyn fmt::Display, fault: Fault) {
        let value: String = value.to_string().chars().take(100).collect();
        self.found.push(InvalidMetricField { field: self.name(field), value: Some(value), fault });
    }

    /// About what is not there, or about the whole.
    pub(crate) fn lacking(&mut self, field: &str, fault: Fault) {
        self.found.push(InvalidMetricField { field: self.name(field), value: None, fault });
    }

    /// The value, or what is wrong with the text.
    pub(crate) fn check<T, F: Into<Fault>>(
        &mut self,
        field: &str,
        text: &str,
        read: Result<T, F>,
    ) -> Option<T> {
        read.map_err(|fault| self.about(field, &text, fault.into())).ok()
    }

    pub(crate) fn take(&mut self, other: Faults) {
        self.found.extend(other.found);
    }

    pub(crate) fn into_found(self) -> Vec<InvalidMetricField> {
        self.found
    }
}
