//! What the reader of an exchange's announcements adds, before a release of ours has it.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Deserialize;

use super::{CLOSE, Day, FIRST_YEAR, LAST_YEAR, OPEN, US_EQUITIES, built_in, known, session, weekend};
use crate::problem::{InvalidField, Problem, Report};
use crate::text::time_of_day;

/// The file as it is written; every text is checked by [`Overrides::resolve`].
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct RawOverrides {
    /// The calendar that is corrected.
    pub calendar: Option<String>,
    /// Raised with every change of the entries; in the record of every decision.
    pub version: Option<String>,
    /// Days without trading.
    pub closed: Vec<RawDay>,
    /// Sessions that end early, at `close`.
    pub early_close: Vec<RawDay>,
    /// Days with an ordinary session that are listed as something else, weekends too.
    pub open: Vec<RawDay>,
}

/// One corrected day as it is written.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct RawDay {
    /// `2029-01-09`
    pub date: Option<String>,
    /// What was announced.
    pub reason: Option<String>,
    /// When an early close is.
    pub close: Option<String>,
}

/// Corrected days, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overrides {
    version: String,
    days: BTreeMap<Date, Day>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Closed,
    EarlyClose,
    Open,
}

impl Overrides {
    /// Checks every entry; `path` is what its fields' names begin with.
    ///
    /// # Errors
    ///
    /// Every field that is missing or wrong: a date twice, one that no calendar knows, a closed day on a
    /// weekend (which no announcement says, so the date is mistyped), an early close of a closed day or
    /// outside a session.
    pub fn resolve(raw: &RawOverrides, path: &str) -> Result<Overrides, Vec<InvalidField>> {
        let mut report = Report::new(path);
        let calendar = report.needed("calendar", raw.calendar.as_deref(), US_EQUITIES);
        if let Some(name) = calendar.filter(|name| *name != US_EQUITIES) {
            report.wrong("calendar", name, Problem::UnknownCalendar);
        }
        let version =
            report.needed("version", raw.version.as_deref(), "a text that changes with the entries");
        if let Some(version) = version.filter(|version| !plain(version)) {
            report.wrong("version", version, Problem::NotAVersion);
        }
        let mut days = BTreeMap::new();
        for (list, entries, kind) in [
            ("closed", &raw.closed, Kind::Closed),
            ("early_close", &raw.early_close, Kind::EarlyClose),
            ("open", &raw.open, Kind::Open),
        ] {
            for (index, entry) in entries.iter().enumerate() {
                let mut entry_report = report.below(&format!("{list}[{index}]"));
                if let Some((date, day)) = one(&mut entry_report, entry, kind)
                    && days.insert(date, day).is_some()
                {
                    entry_report.wrong("date", &date.to_string(), Problem::DateTwice);
                }
                report.take(entry_report);
            }
        }
        let version = version.unwrap_or_default().to_owned();
        report.into_result(Overrides { version, days })
    }

    /// As given.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    pub(super) fn days(&self) -> &BTreeMap<Date, Day> {
        &self.days
    }
}

fn plain(version: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    (1..=40).contains(&version.len()) && version.bytes().all(plain)
}

/// One entry; `None` where something about it is wrong and reported.
fn one(report: &mut Report, entry: &RawDay, kind: Kind) -> Option<(Date, Day)> {
    let reason = report.needed("reason", entry.reason.as_deref(), "what was announced");
    let close = early_close(report, entry, kind);
    let text = report.needed("date", entry.date.as_deref(), "a date like 2025-01-09")?;
    // jiff alone would take `20250109` and a time after the date too.
    let date = Some(text).filter(|text| text.len() == 10).and_then(|text| text.parse::<Date>().ok());
    let Some(date) = date else {
        report.wrong("date", text, Problem::NotADate);
        return None;
    };
    let problem = match (kind, built_in(date)) {
        _ if !known(date) => Some(Problem::UnknownYear { first: FIRST_YEAR, last: LAST_YEAR }),
        (Kind::Closed, _) if weekend(date) => Some(Problem::Weekend),
        (Kind::EarlyClose, Day::Closed { reason }) => Some(Problem::ClosedAnyway { reason }),
        _ => None,
    };
    if let Some(problem) = problem {
        report.wrong("date", text, problem);
        return None;
    }
    let reason = reason?.to_owned();
    let day = match kind {
        Kind::Closed => Day::Closed { reason },
        Kind::EarlyClose => {
            Day::Open { open: OPEN, close: close?, reason: Some(format!("early close: {reason}")) }
        }
        Kind::Open => Day::Open { open: OPEN, close: CLOSE, reason: Some(reason) },
    };
    Some((date, day))
}

fn early_close(report: &mut Report, entry: &RawDay, kind: Kind) -> Option<jiff::civil::Time> {
    if kind != Kind::EarlyClose {
        if let Some(close) = &entry.close {
            report.wrong("close", close, Problem::OnlyWith { other: "early_close" });
        }
        return None;
    }
    let text = report.needed("close", entry.close.as_deref(), "a time like 13:00")?;
    match time_of_day(text) {
        Ok(close) if session::within_session(close) => Some(close),
        Ok(_) => {
            report.wrong("close", text, Problem::OutsideSession { usual: session::usual_early_close() });
            None
        }
        Err(problem) => {
            report.wrong("close", text, problem);
            None
        }
    }
}

#[cfg(test)]
mod tests;
