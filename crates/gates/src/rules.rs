//! The rules of stages, as they are once the policy has been read.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::Arc;

use jiff::SignedDuration;

use crate::calendar::Calendar;
use crate::window::Window;
use crate::zone::Zone;

/// The rules of every stage. A stage that is not here is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Whose clocks messages and records show.
    pub zone: Zone,
    /// By name.
    pub stages: BTreeMap<String, StageRules>,
}

/// The rules of one stage: all of them must let it pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageRules {
    /// Deny wins; where there are allows, one must be on. None at all: open at any time.
    pub windows: Vec<Window>,
    /// Whether the stage stops when the line is stopped.
    pub freeze: bool,
    /// Calendars that must know today, whether a window asks them or not.
    pub calendars: Vec<Arc<Calendar>>,
    /// How long things must have been as they are.
    pub soak: Vec<Soak>,
    /// Who must approve.
    pub approvals: Option<Approvals>,
    /// The analyses and health checks that must have decided.
    pub outcomes: BTreeSet<String>,
}

/// A shortest time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Soak {
    /// The name of the moment in [`crate::Facts::times`].
    pub since: String,
    /// How long ago it must be.
    pub at_least: SignedDuration,
}

/// Persons who must approve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approvals {
    /// How many, without the one who asks.
    pub at_least: NonZeroUsize,
    /// Whose approval counts; anybody's where empty.
    pub of: BTreeSet<String>,
}

impl Default for StageRules {
    /// Stops when the line is stopped, and asks for nothing else.
    fn default() -> Self {
        StageRules {
            windows: Vec::new(),
            freeze: true,
            calendars: Vec::new(),
            soak: Vec::new(),
            approvals: None,
            outcomes: BTreeSet::new(),
        }
    }
}

impl StageRules {
    /// Every calendar that has a say, in the order of the rules.
    pub(crate) fn all_calendars(&self) -> impl Iterator<Item = &Arc<Calendar>> {
        self.calendars.iter().chain(self.windows.iter().filter_map(Window::calendar))
    }
}
