//! Gates: may this stage be written now, and if not, when.
//!
//! Pure: no network, no clock, no environment, no files; `now` is an argument, and so is whatever others
//! found out ([`Facts`]). Anything unknown closes a gate: a year, a zone, a stage, an answer that did not
//! come.
//!
//! [`evaluate()`] decides, [`explain()`] draws the weeks ahead, [`Record`] is what is kept of a decision.

pub mod analysis;
mod calendar;
mod evaluate;
mod explain;
mod facts;
mod interval;
mod problem;
mod record;
mod rules;
mod text;
mod timeline;
mod verdict;
mod window;
mod zone;

pub use calendar::{
    BUILT_IN_VERSION, Calendar, CalendarVersion, Day, FIRST_YEAR, LAST_YEAR, Overrides, RawDay, RawOverrides,
    US_EQUITIES, UnknownDay,
};
pub use evaluate::{MAX_CLOCK_SKEW, MAX_SEARCH, evaluate};
pub use explain::{Finding, Span, explain, lint};
pub use facts::{Approval, ClockReading, Fact, Facts, Freeze, Outcome};
pub use interval::Interval;
pub use problem::{InvalidField, Problem};
pub use record::{Context, Record, Recorded};
pub use rules::{Approvals, Rules, Soak, StageRules};
pub use text::{duration, latest};
pub use verdict::{Decision, Reason, Rule, Verdict};
pub use window::{DEFAULT_GUARD_BEFORE, Defaults, Effect, MAX_GUARD, RawWindow, Window};
pub use zone::{Instants, Zone, ZoneError, tzdb_version};
