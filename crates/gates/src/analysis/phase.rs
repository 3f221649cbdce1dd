//! How a measurement, a metric or a run ends.

use serde::Serialize;

/// An end, from the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// As wanted.
    Successful,
    /// Neither the one nor the other.
    Inconclusive,
    /// Not known: no answer, or none that could be judged.
    Error,
    /// Not as wanted.
    Failed,
}

impl Phase {
    /// As Argo Rollouts writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Phase::Successful => "Successful",
            Phase::Inconclusive => "Inconclusive",
            Phase::Error => "Error",
            Phase::Failed => "Failed",
        }
    }
}
