//! What can be wrong with a rule as it is written: the field, its value, and what is accepted.
//!
//! Fields are named by their path (`stages.live.windows[2].from`); whoever has read the file adds line and
//! column.

use std::fmt;

use thiserror::Error;

use crate::zone::ZoneError;

/// One field that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidField {
    /// Its path from the top of the file.
    pub field: String,
    /// What is there, unless nothing is.
    pub value: Option<String>,
    /// Why it cannot be used.
    pub problem: Problem,
}

impl fmt::Display for InvalidField {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(formatter, "{}: `{value}` {}", self.field, self.problem),
            None => write!(formatter, "{}: {}", self.field, self.problem),
        }
    }
}

impl std::error::Error for InvalidField {}

/// Why a field cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Problem {
    /// Nothing there, or only space.
    #[error("is missing; needed is {needed}")]
    Missing {
        /// What is needed.
        needed: &'static str,
    },
    /// No zone.
    #[error(transparent)]
    Zone(#[from] ZoneError),
    /// The end of a day has no name of its own here.
    #[error(
        "is not a time of day; write 00:00 of the next day (`crosses_midnight: true` in a window by days)"
    )]
    TwentyFour,
    /// YAML 1.1 reads `09:30` as a number of minutes.
    #[error("is a number; quote times of day in YAML, as in \"09:30\"")]
    UnquotedTime,
    /// No time of day.
    #[error("is not a time of day from 00:00 to 23:59, written HH:MM")]
    NotATime,
    /// No weekday, or range of them.
    #[error("is not a weekday; accepted are mon, tue, wed, thu, fri, sat, sun and ranges such as mon-fri")]
    NotADay,
    /// Said twice.
    #[error("names a day that is named already")]
    DayTwice,
    /// An empty list.
    #[error("names no day")]
    NoDays,
    /// No duration.
    #[error("is not a duration such as 90s, 15m or 1h30m, the larger unit first")]
    NotADuration,
    /// Longer than is of use.
    #[error("is longer than {longest}")]
    TooLong {
        /// The longest that is accepted.
        longest: &'static str,
    },
    /// `from: "22:00", to: "06:00"`, perhaps meant so.
    #[error("is not after `from`; a window that ends on the next day says `crosses_midnight: true`")]
    EndsBeforeItBegins,
    /// `crosses_midnight` where it would make the window longer than a day.
    #[error("makes the window longer than a day, as `to` is after `from`")]
    LongerThanADay,
    /// A one-off window whose end is not after its start.
    #[error("is not after `start`")]
    EndNotAfterStart,
    /// No date, no time, or only one of them.
    #[error(
        "is not a moment: a local one is written 2026-12-24T12:00, one with its offset 2026-12-24T12:00-05:00"
    )]
    NotAMoment,
    /// A local time without a zone.
    #[error("has no offset, so `zone` is needed")]
    NoZone,
    /// Both an offset and a zone.
    #[error("is of no effect where every moment has its own offset")]
    IdleZone,
    /// Half of a pair.
    #[error("needs `{other}` too")]
    Needs {
        /// The other half.
        other: &'static str,
    },
    /// A field of another kind of window.
    #[error("does not go with `{other}`")]
    NotWith {
        /// The field that makes the window another kind.
        other: &'static str,
    },
    /// A field that only one kind of entry has.
    #[error("is only for `{other}`")]
    OnlyWith {
        /// Where it may stand.
        other: &'static str,
    },
    /// Not one of the words.
    #[error("is none of {words}")]
    Word {
        /// Those that are accepted.
        words: &'static str,
    },
    /// No such calendar.
    #[error("is no calendar; there is us-equities")]
    UnknownCalendar,
    /// A window that says nothing about when.
    #[error("says not when: needed is `days`, `start` and `end`, or `calendar`")]
    NoKind,
    /// Not `2029-01-09`.
    #[error("is not a date like 2025-01-09")]
    NotADate,
    /// A date that the calendar knows nothing about.
    #[error("lies outside the years that the calendar knows, {first} to {last}")]
    UnknownYear {
        /// The first known year.
        first: i16,
        /// The last known year.
        last: i16,
    },
    /// A closed day where every calendar is closed: the date is mistyped.
    #[error("is a Saturday or Sunday, which are closed anyway")]
    Weekend,
    /// An early close of a day without a session.
    #[error("is closed: {reason}")]
    ClosedAnyway {
        /// The holiday.
        reason: String,
    },
    /// An early close outside the session.
    #[error(
        "is not between the open and the close of an ordinary session (an early close is usually {usual})"
    )]
    OutsideSession {
        /// The usual time.
        usual: String,
    },
    /// In two entries, perhaps in two lists.
    #[error("has an entry already")]
    DateTwice,
    /// A version of overrides that does not fit into a record.
    #[error("is not 1 to 40 letters, digits, `.`, `-` or `_`")]
    NotAVersion,
    /// A name that two windows have.
    #[error("is the name of another window of this stage")]
    NameTwice,
    /// A custom session that ends before it begins.
    #[error("is not after `open`")]
    CloseNotAfterOpen,
}

/// Collects what is wrong below one path.
#[derive(Debug)]
pub(crate) struct Report {
    path: String,
    found: Vec<InvalidField>,
}

impl Report {
    pub(crate) fn new(path: &str) -> Report {
        Report { path: path.to_owned(), found: Vec::new() }
    }

    /// A report for a part of what this one is about.
    pub(crate) fn below(&self, part: &str) -> Report {
        Report::new(&self.name(part))
    }

    fn name(&self, field: &str) -> String {
        match self.path.is_empty() {
            true => field.to_owned(),
            false => format!("{}.{field}", self.path),
        }
    }

    pub(crate) fn wrong(&mut self, field: &str, value: &str, problem: Problem) {
        let value = Some(value.to_owned());
        self.found.push(InvalidField { field: self.name(field), value, problem });
    }

    /// About something that is not there, or about the whole.
    pub(crate) fn lacking(&mut self, field: &str, problem: Problem) {
        let field = if field.is_empty() { self.path.clone() } else { self.name(field) };
        self.found.push(InvalidField { field, value: None, problem });
    }

    /// A text that must be there.
    pub(crate) fn needed<'a>(
        &mut self,
        field: &str,
        value: Option<&'a str>,
        needed: &'static str,
    ) -> Option<&'a str> {
        let value = value.map(str::trim).filter(|value| !value.is_empty());
        if value.is_none() {
            self.lacking(field, Problem::Missing { needed });
        }
        value
    }

    pub(crate) fn take(&mut self, other: Report) {
        self.found.extend(other.found);
    }

    pub(crate) fn into_result<T>(self, value: T) -> Result<T, Vec<InvalidField>> {
        if self.found.is_empty() { Ok(value) } else { Err(self.found) }
    }
}
