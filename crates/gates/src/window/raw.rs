//! A window as it is written, and the step to one that is in order.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;
use serde::Deserialize;

use super::{DEFAULT_GUARD_BEFORE, Effect, Window};
use crate::calendar::Calendar;
use crate::problem::{InvalidField, Problem, Report};
use crate::zone::Zone;

mod kinds;

/// A window as it is written: `days` (with `from` and `to`, or whole days), or `start` and `end`, or
/// `calendar`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct RawWindow {
    /// What messages and records call it; its path where it has none.
    pub name: Option<String>,
    /// `allow` or `deny`
    pub effect: Option<String>,
    /// The days on which it begins: `mon`, `mon-fri`.
    pub days: Option<Vec<String>>,
    /// `09:30`; with `to`, else the days are meant from midnight to midnight.
    pub from: Option<String>,
    /// `16:00`, later than `from` unless it crosses midnight.
    pub to: Option<String>,
    /// Whether `to` is on the day after `from`; then it is not later than `from`, so that no window exceeds a
    /// day.
    pub crosses_midnight: Option<bool>,
    /// A moment, local with `zone` or with an offset of its own.
    pub start: Option<String>,
    /// A moment after `start`.
    pub end: Option<String>,
    /// `us-equities`
    pub calendar: Option<String>,
    /// `regular`, `extended` or `custom`
    pub session: Option<String>,
    /// When a custom session begins.
    pub open: Option<String>,
    /// When it ends.
    pub close: Option<String>,
    /// `in_session` or `out_of_session`
    pub when: Option<String>,
    /// The zone of `from` and `to`, or of local moments.
    pub zone: Option<String>,
    /// How long before a deny begins, or an allow ends, nothing may start any more.
    pub guard_before: Option<String>,
    /// How long after a deny ends, or an allow begins, nothing may start yet.
    pub guard_after: Option<String>,
    /// Why it is there; shown to whoever it stops.
    pub reason: Option<String>,
}

/// What a window may leave to its surroundings.
#[derive(Clone, Debug, Default)]
pub struct Defaults {
    /// The zone of windows that name none.
    pub zone: Option<Zone>,
    /// The calendars that windows may name.
    pub calendars: Vec<Arc<Calendar>>,
}

impl Window {
    /// Checks one window; `path` is what its fields' names begin with.
    ///
    /// # Errors
    ///
    /// Every field that is missing, wrong, or of another kind of window.
    pub fn resolve(raw: &RawWindow, path: &str, defaults: &Defaults) -> Result<Window, Vec<InvalidField>> {
        let mut report = Report::new(path);
        let effect =
            kinds::word(&mut report, "effect", raw.effect.as_deref(), "allow or deny", |word| match word {
                "allow" => Some(Effect::Allow),
                "deny" => Some(Effect::Deny),
                _ => None,
            });
        let guard_before = kinds::guard(&mut report, "guard_before", raw.guard_before.as_deref());
        let guard_after = kinds::guard(&mut report, "guard_after", raw.guard_after.as_deref());
        let when = foreign_fields(&mut report, raw).and_then(|kind| match kind {
            Kind::Weekly => kinds::weekly(&mut report, raw, defaults),
            Kind::Once => kinds::once(&mut report, raw, defaults),
            Kind::Session => kinds::session(&mut report, raw, defaults),
        });
        let trimmed = |text: &Option<String>| {
            text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let window = effect.zip(when).map(|(effect, when)| Window {
            name: trimmed(&raw.name).unwrap_or_else(|| path.to_owned()),
            effect,
            when,
            guard_before: guard_before.unwrap_or(DEFAULT_GUARD_BEFORE),
            guard_after: guard_after.unwrap_or(SignedDuration::ZERO),
            reason: trimmed(&raw.reason),
        });
        // Without a window there is always something reported.
        report.into_result(window)?.ok_or_else(Vec::new)
    }

    /// Checks the windows of one stage, and that no two of them have the same name.
    ///
    /// # Errors
    ///
    /// As [`Window::resolve`], of all windows together.
    pub fn resolve_all(
        raw: &[RawWindow],
        path: &str,
        defaults: &Defaults,
    ) -> Result<Vec<Window>, Vec<InvalidField>> {
        let mut names = BTreeSet::new();
        let (mut windows, mut wrong) = (Vec::new(), Vec::new());
        for (index, one) in raw.iter().enumerate() {
            let path = format!("{path}[{index}]");
            match Window::resolve(one, &path, defaults) {
                Ok(window) if !names.insert(window.name.clone()) => wrong.push(InvalidField {
                    field: format!("{path}.name"),
                    value: Some(window.name),
                    problem: Problem::NameTwice,
                }),
                Ok(window) => windows.push(window),
                Err(found) => wrong.extend(found),
            }
        }
        if wrong.is_empty() { Ok(windows) } else { Err(wrong) }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Weekly,
    Once,
    Session,
}

/// Which kind of window it is; fields that belong to another kind are reported.
fn foreign_fields(report: &mut Report, raw: &RawWindow) -> Option<Kind> {
    let text = Option::is_some;
    let (kind, marker) = if text(&raw.calendar) {
        (Kind::Session, "calendar")
    } else if text(&raw.start) || text(&raw.end) {
        (Kind::Once, if text(&raw.start) { "start" } else { "end" })
    } else if raw.days.is_some() {
        (Kind::Weekly, "days")
    } else {
        report.lacking("", Problem::NoKind);
        return None;
    };
    for (field, set, own) in [
        ("days", raw.days.is_some(), Kind::Weekly),
        ("from", text(&raw.from), Kind::Weekly),
        ("to", text(&raw.to), Kind::Weekly),
        ("crosses_midnight", raw.crosses_midnight.is_some(), Kind::Weekly),
        ("start", text(&raw.start), Kind::Once),
        ("end", text(&raw.end), Kind::Once),
        ("session", text(&raw.session), Kind::Session),
        ("open", text(&raw.open), Kind::Session),
        ("close", text(&raw.close), Kind::Session),
        ("when", text(&raw.when), Kind::Session),
    ] {
        if set && own != kind {
            report.lacking(field, Problem::NotWith { other: marker });
        }
    }
    if kind == Kind::Session && text(&raw.zone) {
        report.lacking("zone", Problem::NotWith { other: marker });
    }
    Some(kind)
}

#[cfg(test)]
mod tests;
