//! What no rule gives: days of mourning, weather, attacks, and early closes that were decided for one year.

use jiff::civil::{Date, Time, date};

use super::EARLY_CLOSE;

/// A day that was announced by itself.
pub(super) struct Announced {
    date: Date,
    /// When it closed early; the whole day otherwise.
    pub(super) closes: Option<Time>,
    /// What happened.
    pub(super) reason: &'static str,
}

/// Whoever adds a line raises [`super::BUILT_IN_VERSION`].
const ANNOUNCED: &[Announced] = &[
    closed(2001, 9, 11, "attacks of September 11"),
    closed(2001, 9, 12, "attacks of September 11"),
    closed(2001, 9, 13, "attacks of September 11"),
    closed(2001, 9, 14, "attacks of September 11"),
    early(2002, 7, 5, "day after Independence Day"),
    early(2003, 12, 26, "day after Christmas"),
    closed(2004, 6, 11, "mourning for Ronald Reagan"),
    closed(2007, 1, 2, "mourning for Gerald Ford"),
    closed(2012, 10, 29, "Hurricane Sandy"),
    closed(2012, 10, 30, "Hurricane Sandy"),
    closed(2018, 12, 5, "mourning for George H. W. Bush"),
    closed(2025, 1, 9, "mourning for Jimmy Carter"),
];

const fn closed(year: i16, month: i8, day: i8, reason: &'static str) -> Announced {
    Announced { date: date(year, month, day), closes: None, reason }
}

const fn early(year: i16, month: i8, day: i8, reason: &'static str) -> Announced {
    Announced { date: date(year, month, day), closes: Some(EARLY_CLOSE), reason }
}

/// What was announced for a day.
pub(super) fn known(date: Date) -> Option<&'static Announced> {
    ANNOUNCED.iter().find(|announced| announced.date == date)
}
