//! Gates: may this stage be written now, and if not, when.
//!
//! Pure: no network, no clock, no environment, no files; `now` is an argument.

mod calendar;
mod interval;
mod problem;
mod text;
mod window;
mod zone;

pub use calendar::{
    BUILT_IN_VERSION, Calendar, CalendarVersion, Day, FIRST_YEAR, LAST_YEAR, Overrides, RawDay, RawOverrides,
    US_EQUITIES, UnknownDay,
};
pub use interval::Interval;
pub use problem::{InvalidField, Problem};
pub use window::{DEFAULT_GUARD_BEFORE, Defaults, Effect, MAX_GUARD, RawWindow, Window};
pub use zone::{Instants, Zone, ZoneError, tzdb_version};
