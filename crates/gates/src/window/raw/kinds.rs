//! The three kinds of windows, each from its own fields.

use jiff::SignedDuration;
use jiff::civil::Weekday;

use super::{Defaults, RawWindow};
use crate::calendar::Hours;
use crate::problem::{Problem, Report};
use crate::text::{Moment, duration, moment, time_of_day};
use crate::window::{DayHours, MAX_GUARD, When};
use crate::zone::Zone;

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// One of a few words.
pub(super) fn word<T>(
    report: &mut Report,
    field: &str,
    value: Option<&str>,
    words: &'static str,
    meaning: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    let value = report.needed(field, value, words)?;
    let found = meaning(value);
    if found.is_none() {
        report.wrong(field, value, Problem::Word { words });
    }
    found
}

/// The value of a field, or what is wrong with it on record.
fn parsed<T>(report: &mut Report, field: &str, text: &str, result: Result<T, Problem>) -> Option<T> {
    result.map_err(|problem| report.wrong(field, text, problem)).ok()
}

pub(super) fn guard(report: &mut Report, field: &str, value: Option<&str>) -> Option<SignedDuration> {
    let text = value?.trim();
    parsed(report, field, text, duration(text, MAX_GUARD, "a day"))
}

fn zone(report: &mut Report, raw: &RawWindow, defaults: &Defaults) -> Option<Zone> {
    match raw.zone.as_deref().map(str::trim) {
        Some(name) => parsed(report, "zone", name, Zone::named(name).map_err(Problem::from)),
        None => defaults.zone.clone().or_else(|| {
            report.lacking("zone", Problem::Missing { needed: "an IANA zone like America/New_York" });
            None
        }),
    }
}

pub(super) fn weekly(report: &mut Report, raw: &RawWindow, defaults: &Defaults) -> Option<When> {
    let zone = zone(report, raw, defaults);
    let days = days(report, raw.days.as_deref().unwrap_or_default());
    let crosses_midnight = raw.crosses_midnight.unwrap_or(false);
    let hours = match (&raw.from, &raw.to) {
        (None, None) => {
            if crosses_midnight {
                report.lacking("crosses_midnight", Problem::Needs { other: "from" });
            }
            Some(None)
        }
        (Some(_), None) => {
            report.lacking("from", Problem::Needs { other: "to" });
            None
        }
        (None, Some(_)) => {
            report.lacking("to", Problem::Needs { other: "from" });
            None
        }
        (Some(from), Some(to)) => {
            let (from_text, to_text) = (from.trim(), to.trim());
            let from = parsed(report, "from", from_text, time_of_day(from_text));
            let to = parsed(report, "to", to_text, time_of_day(to_text));
            let (from, to) = from.zip(to)?;
            match (to <= from, crosses_midnight) {
                (true, false) => report.wrong("to", to_text, Problem::EndsBeforeItBegins),
                (false, true) => report.wrong("crosses_midnight", "true", Problem::LongerThanADay),
                _ => {}
            }
            Some(Some(DayHours { from, to, crosses_midnight }))
        }
    };
    Some(When::Weekly { days: days?, hours: hours?, zone: zone? })
}

/// `mon`, `mon-fri`; a range may run over the week's end.
fn days(report: &mut Report, words: &[String]) -> Option<Vec<Weekday>> {
    if words.is_empty() {
        report.lacking("days", Problem::NoDays);
        return None;
    }
    let index = |word: &str| DAYS.iter().position(|(name, _)| *name == word);
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let field = format!("days[{at}]");
        let word = word.trim();
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        let Some((first, last)) = index(first).zip(index(last)) else {
            report.wrong(&field, word, Problem::NotADay);
            continue;
        };
        let length = (last + DAYS.len() - first) % DAYS.len();
        for (_, day) in DAYS.iter().cycle().skip(first).take(length + 1) {
            if found.contains(day) {
                report.wrong(&field, word, Problem::DayTwice);
                break;
            }
            found.push(*day);
        }
    }
    Some(found)
}

pub(super) fn once(report: &mut Report, raw: &RawWindow, defaults: &Defaults) -> Option<When> {
    let mut one = |field, value: &Option<String>| {
        let text = report.needed(field, value.as_deref(), "a moment like 2026-12-24T12:00")?;
        parsed(report, field, text, moment(text))
    };
    let (start, end) = one("start", &raw.start).zip(one("end", &raw.end))?;
    let local = |moment| matches!(moment, Moment::Local(_));
    let zone = if local(start) || local(end) {
        zone(report, raw, defaults)?
    } else {
        if let Some(zone) = &raw.zone {
            report.wrong("zone", zone, Problem::IdleZone);
        }
        defaults.zone.clone().unwrap_or_else(Zone::utc)
    };
    // Two local times are compared as written: an hour that occurs twice is not over before it begins.
    let in_order = match (start, end) {
        (Moment::Local(start), Moment::Local(end)) => start < end,
        (Moment::Instant(start), Moment::Instant(end)) => start < end,
        (Moment::Instant(start), Moment::Local(end)) => start < zone.instants(end).first,
        (Moment::Local(start), Moment::Instant(end)) => zone.instants(start).last < end,
    };
    if !in_order {
        report.wrong("end", raw.end.as_deref().unwrap_or_default(), Problem::EndNotAfterStart);
    }
    Some(When::Once { start, end, zone })
}

pub(super) fn session(report: &mut Report, raw: &RawWindow, defaults: &Defaults) -> Option<When> {
    let name = report.needed("calendar", raw.calendar.as_deref(), "us-equities");
    let calendar = name.and_then(|name| {
        let found = defaults.calendars.iter().find(|calendar| calendar.name() == name).cloned();
        if found.is_none() {
            report.wrong("calendar", name, Problem::UnknownCalendar);
        }
        found
    });
    let words = "in_session or out_of_session";
    let inside = word(report, "when", raw.when.as_deref(), words, |word| match word {
        "in_session" => Some(true),
        "out_of_session" => Some(false),
        _ => None,
    });
    let given = raw.session.as_deref().or(Some("regular"));
    let custom = given.map(str::trim) == Some("custom");
    let hours = if custom {
        custom_hours(report, raw)
    } else {
        for (field, value) in [("open", &raw.open), ("close", &raw.close)] {
            if let Some(value) = value {
                report.wrong(field, value, Problem::OnlyWith { other: "session: custom" });
            }
        }
        word(report, "session", given, "regular, extended or custom", |word| match word {
            "regular" => Some(Hours::Regular),
            "extended" => Some(Hours::Extended),
            _ => None,
        })
    };
    Some(When::Session { calendar: calendar?, hours: hours?, inside: inside? })
}

fn custom_hours(report: &mut Report, raw: &RawWindow) -> Option<Hours> {
    let mut one = |field, value: &Option<String>| {
        let text = report.needed(field, value.as_deref(), "a time like 09:30")?;
        parsed(report, field, text, time_of_day(text))
    };
    let (open, close) = one("open", &raw.open).zip(one("close", &raw.close))?;
    if close <= open {
        report.wrong("close", raw.close.as_deref().unwrap_or_default(), Problem::CloseNotAfterOpen);
    }
    Some(Hours::Custom { open, close })
}
