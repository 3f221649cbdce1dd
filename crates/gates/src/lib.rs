//! Gates: may this stage be written now, and if not, when.
//!
//! Pure: no network, no clock, no environment, no files; `now` is an argument.

mod zone;

pub use zone::{Instants, Zone, ZoneError, tzdb_version};
