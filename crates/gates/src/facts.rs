//! What others found out before a gate is asked.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::verdict::Decision;

/// Something that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact<T> {
    /// The answer.
    Known(T),
    /// No answer: not reachable, not readable, not asked. Never taken for a good one.
    Unknown(String),
}

/// All that a decision rests on beside the rules and the time. By default nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The stage that is to be written.
    pub stage: String,
    /// Whether the line is stopped.
    pub freeze: Fact<Option<Freeze>>,
    /// Since when something holds, by the name that [`crate::Soak::since`] has for it.
    pub times: BTreeMap<String, Fact<Timestamp>>,
    /// Who asks for the promotion; does not count as an approver.
    pub requester: Fact<String>,
    /// Who approves of it.
    pub approvals: Fact<Vec<Approval>>,
    /// What analyses and health checks decided. Each counts, whether the rules ask for it or not.
    pub outcomes: Vec<Outcome>,
    /// How far other clocks are from the one that `now` is from.
    pub clocks: Vec<ClockReading>,
}

/// A line that somebody stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freeze {
    /// As they put it.
    pub reason: String,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
}

/// One person's approval of what is to be promoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// The login. Case does not make another person of it, as forges see it.
    pub by: String,
}

/// What an analysis or a health check decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// By this name rules ask for it.
    pub name: String,
    /// The decision.
    pub decision: Decision,
    /// Why.
    pub reason: String,
}

/// Another machine's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockReading {
    /// Whose it is.
    pub source: String,
    /// How far it is ahead of ours; behind where negative.
    pub ahead: SignedDuration,
}

impl ClockReading {
    /// How far apart the clocks are, either way.
    pub(crate) fn skew(&self) -> SignedDuration {
        match self.ahead.is_negative() {
            true => self.ahead.checked_neg().unwrap_or(SignedDuration::MAX),
            false => self.ahead,
        }
    }
}

impl<T> Default for Fact<T> {
    fn default() -> Self {
        Fact::Unknown("not asked".to_owned())
    }
}
