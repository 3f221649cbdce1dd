//! When an exchange is open: by rule, corrected by what is known ad hoc, corrected by the reader's own
//! overrides.
//!
//! Days outside the years that are known are neither open nor closed; whoever asks gets an error, and the
//! gate says that it could not decide.

mod closures;
mod overrides;
mod rules;
mod session;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::civil::{Date, Time, Weekday, date, time};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::zone::{Zone, ZoneError};

pub use overrides::{Overrides, RawDay, RawOverrides};
pub(crate) use session::Hours;

/// The first year whose days are known.
pub const FIRST_YEAR: i16 = 2000;

/// The last year whose holidays the exchange has announced (NYSE, 2025-12-23, for 2026 to 2028). The rules
/// would go on, but Juneteenth was not in them before 2022 either.
pub const LAST_YEAR: i16 = 2028;

/// The day of the announcement that rules and closures were last held against.
pub const BUILT_IN_VERSION: &str = "2025-12-23";

/// The name by which windows ask for the calendar of the New York Stock Exchange and Nasdaq.
pub const US_EQUITIES: &str = "us-equities";

const OPEN: Time = time(9, 30, 0, 0);
const CLOSE: Time = time(16, 0, 0, 0);
const EARLY_CLOSE: Time = time(13, 0, 0, 0);

/// What a day is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Day {
    /// No trading.
    Closed {
        /// The holiday, or what happened.
        reason: String,
    },
    /// Trading from `open` on and before `close`, by the nominal hours.
    Open {
        /// Local time.
        open: Time,
        /// Local time.
        close: Time,
        /// Why it is not an ordinary session, where it is not.
        reason: Option<String>,
    },
}

/// A day that the calendar says nothing about.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{date} lies outside the years that {calendar} knows ({FIRST_YEAR} to {LAST_YEAR})")]
pub struct UnknownDay {
    /// The calendar's name.
    pub calendar: &'static str,
    /// The day.
    pub date: Date,
}

/// Which state of a calendar decided; goes into every record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CalendarVersion {
    /// The calendar's name.
    pub name: &'static str,
    /// [`BUILT_IN_VERSION`], with `+` and the version of the overrides where there are any.
    pub version: String,
    /// SHA-256, in hex, over every day that is no ordinary session or weekend, and over the hours of the
    /// sessions.
    pub sha256: String,
}

/// The calendar of an exchange, with the zone that its hours are in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    name: &'static str,
    zone: Zone,
    overrides: BTreeMap<Date, Day>,
    version: CalendarVersion,
}

impl Calendar {
    /// The New York Stock Exchange and Nasdaq, as far as it is built in.
    pub fn us_equities() -> Result<Calendar, ZoneError> {
        let zone = Zone::named("America/New_York")?;
        Ok(Calendar::made(zone, BTreeMap::new(), BUILT_IN_VERSION.to_owned()))
    }

    /// The same calendar with some days corrected. Overrides that it has already are replaced.
    #[must_use]
    pub fn with(self, overrides: &Overrides) -> Calendar {
        let version = format!("{BUILT_IN_VERSION}+{}", overrides.version());
        Calendar::made(self.zone, overrides.days().clone(), version)
    }

    fn made(zone: Zone, overrides: BTreeMap<Date, Day>, version: String) -> Calendar {
        let version = CalendarVersion { name: US_EQUITIES, version, sha256: String::new() };
        let mut calendar = Calendar { name: US_EQUITIES, zone, overrides, version };
        calendar.version.sha256 = hex::encode(Sha256::digest(calendar.listing().as_bytes()));
        calendar
    }

    /// The name that windows use.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Where the exchange is.
    #[must_use]
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// What decided, for records.
    #[must_use]
    pub fn version(&self) -> &CalendarVersion {
        &self.version
    }

    /// What a day is.
    pub fn day(&self, date: Date) -> Result<Day, UnknownDay> {
        if !known(date) {
            return Err(UnknownDay { calendar: self.name, date });
        }
        Ok(self.overrides.get(&date).cloned().unwrap_or_else(|| built_in(date)))
    }

    /// Every day that is not what its weekday lets expect, one line each: what the hash is over.
    #[must_use]
    pub fn listing(&self) -> String {
        let mut listing = format!("{} {}\nregular {OPEN} {CLOSE}\n", self.name, self.zone.name());
        let (open, close, early) = session::EXTENDED;
        // Writing to a string does not fail.
        let _ = writeln!(listing, "extended {open} {close} early {early}");
        let last = date(LAST_YEAR, 12, 31);
        for day in date(FIRST_YEAR, 1, 1).series(jiff::Span::new().days(1)).take_while(|day| *day <= last) {
            let _ = match self.day(day) {
                Ok(Day::Open { reason: None, .. }) | Err(_) => Ok(()),
                Ok(Day::Closed { .. }) if weekend(day) => Ok(()),
                Ok(Day::Closed { reason }) => writeln!(listing, "{day} closed {reason}"),
                Ok(Day::Open { open, close, reason: Some(reason) }) => {
                    writeln!(listing, "{day} {open} {close} {reason}")
                }
            };
        }
        listing
    }
}

/// Whether the calendar says anything about a day.
fn known(date: Date) -> bool {
    (FIRST_YEAR..=LAST_YEAR).contains(&date.year())
}

fn weekend(date: Date) -> bool {
    matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday)
}

/// What is built in about a day: weekend, what happened, the rules.
fn built_in(date: Date) -> Day {
    let open = |close, reason| Day::Open { open: OPEN, close, reason };
    let closed = |reason: &str| Day::Closed { reason: reason.to_owned() };
    if weekend(date) {
        return closed("weekend");
    }
    if let Some(known) = closures::known(date) {
        return match known.closes {
            Some(close) => open(close, Some(format!("early close: {}", known.reason))),
            None => closed(known.reason),
        };
    }
    if let Some(holiday) = rules::holiday(date) {
        return closed(holiday);
    }
    match rules::early_close(date) {
        Some(reason) => open(EARLY_CLOSE, Some(format!("early close: {reason}"))),
        None => open(CLOSE, None),
    }
}
