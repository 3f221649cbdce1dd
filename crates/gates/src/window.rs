//! Windows: when a stage may be written, or may not.
//!
//! # Design
//!
//! A window is `[from, to)`: at its end it is over. Where a local time means two instants (clocks go back), a
//! deny reaches from the earlier to the later one and an allow only from the later to the earlier; a time
//! that does not exist (clocks go forward) is the instant after the gap. So neither day ever opens more than
//! was meant.
//!
//! `guard_before` is the time that a rollout takes to land. It makes a deny begin earlier and an allow end
//! earlier, so that what starts while it is open has landed before it closes. `guard_after` makes a deny end
//! later and an allow begin later. An allow that another allow follows without a gap does not close between
//! the two.

use std::sync::Arc;

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::{SignedDuration, Timestamp};

use crate::calendar::{Calendar, Hours};
use crate::interval::{Interval, Intervals};
use crate::text::Moment;
use crate::zone::Zone;

mod raw;

pub use raw::{Defaults, RawWindow};

/// The guard before a deny begins or an allow ends, where a window says nothing else.
pub const DEFAULT_GUARD_BEFORE: SignedDuration = SignedDuration::from_mins(15);

/// The longest guard: beyond a day it is not the time of a rollout but a window of its own.
pub const MAX_GUARD: SignedDuration = SignedDuration::from_hours(24);

/// What a window does while it is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Where a stage has such windows, one of them must be on.
    Allow,
    /// While one is on, the stage is closed, whatever else is on.
    Deny,
}

/// Which way to lean where the clocks leave a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The longest stretch that can be meant.
    Wide,
    /// The shortest.
    Narrow,
}

/// A window that was found to be in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    name: String,
    effect: Effect,
    when: When,
    guard_before: SignedDuration,
    guard_after: SignedDuration,
    reason: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum When {
    /// Between two times of day, or the whole day, beginning on each of these days.
    Weekly { days: Vec<Weekday>, hours: Option<DayHours>, zone: Zone },
    /// Between two moments; the zone is that of the local ones.
    Once { start: Moment, end: Moment, zone: Zone },
    /// While a session of a calendar is on, or while none is.
    Session { calendar: Arc<Calendar>, hours: Hours, inside: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct DayHours {
    from: Time,
    to: Time,
    crosses_midnight: bool,
}

/// When something holds for certain, and when it may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Drawn {
    pub(crate) certain: Intervals,
    /// Covers `certain`.
    pub(crate) possible: Intervals,
}

impl Window {
    /// As records and messages call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it does.
    #[must_use]
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// Why it is there, where its author says so.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// The calendar that it asks.
    #[must_use]
    pub fn calendar(&self) -> Option<&Arc<Calendar>> {
        match &self.when {
            When::Session { calendar, .. } => Some(calendar),
            When::Weekly { .. } | When::Once { .. } => None,
        }
    }

    /// The zone by whose clocks it opens and closes.
    #[must_use]
    pub fn zone(&self) -> &Zone {
        match &self.when {
            When::Weekly { zone, .. } | When::Once { zone, .. } => zone,
            When::Session { calendar, .. } => calendar.zone(),
        }
    }

    /// Whether it comes only once.
    pub(crate) fn is_once(&self) -> bool {
        matches!(self.when, When::Once { .. })
    }

    pub(crate) fn guard_before(&self) -> SignedDuration {
        self.guard_before
    }

    pub(crate) fn guard_after(&self) -> SignedDuration {
        self.guard_after
    }

    /// When it is on around a stretch of time, guards left aside. What begins or ends outside may be whole or
    /// cut.
    pub(crate) fn draw(&self, within: Interval) -> Drawn {
        let side = match self.effect {
            Effect::Allow => Side::Narrow,
            Effect::Deny => Side::Wide,
        };
        match &self.when {
            When::Weekly { days, hours, zone } => {
                let on = |date: &Date| days.contains(&date.weekday());
                let dates = days_around(zone, within).filter(on);
                Drawn::certain(dates.filter_map(|date| of_day(date, *hours, zone, side)).collect())
            }
            When::Once { start, end, zone } => {
                Drawn::certain(Interval::new(side.start(zone, *start), side.end(zone, *end)).into())
            }
            When::Session { calendar, hours, inside } => {
                let side = if *inside { side } else { side.other() };
                let found = calendar.sessions(*hours, side, within);
                let unknown = found.known.complement(within);
                let closed = found.sessions.complement(within).intersection(&found.known);
                let certain = if *inside { found.sessions } else { closed };
                Drawn { possible: certain.union(&unknown), certain }
            }
        }
    }
}

impl Drawn {
    /// Where nothing is in doubt.
    pub(crate) fn certain(certain: Intervals) -> Drawn {
        Drawn { possible: certain.clone(), certain }
    }

    pub(crate) fn map(&self, change: impl Fn(&Intervals) -> Intervals) -> Drawn {
        Drawn { certain: change(&self.certain), possible: change(&self.possible) }
    }

    pub(crate) fn with(&self, other: &Drawn, join: impl Fn(&Intervals, &Intervals) -> Intervals) -> Drawn {
        Drawn {
            certain: join(&self.certain, &other.certain),
            possible: join(&self.possible, &other.possible),
        }
    }

    /// When it does not hold: for certain where it cannot, possibly where it need not.
    pub(crate) fn not(&self, whole: Interval) -> Drawn {
        Drawn { certain: self.possible.complement(whole), possible: self.certain.complement(whole) }
    }
}

impl Side {
    fn other(self) -> Side {
        match self {
            Side::Wide => Side::Narrow,
            Side::Narrow => Side::Wide,
        }
    }

    fn start(self, zone: &Zone, moment: Moment) -> Timestamp {
        match (moment, self) {
            (Moment::Instant(at), _) => at,
            (Moment::Local(local), Side::Wide) => zone.instants(local).first,
            (Moment::Local(local), Side::Narrow) => zone.instants(local).last,
        }
    }

    fn end(self, zone: &Zone, moment: Moment) -> Timestamp {
        self.other().start(zone, moment)
    }

    /// From one local time to another, at most or at least.
    pub(crate) fn between(self, zone: &Zone, start: DateTime, end: DateTime) -> Interval {
        Interval::new(self.start(zone, Moment::Local(start)), self.end(zone, Moment::Local(end)))
    }
}

/// What a weekly window is on one day; `None` only on the last day that there is.
fn of_day(date: Date, hours: Option<DayHours>, zone: &Zone, side: Side) -> Option<Interval> {
    let next = date.tomorrow().ok();
    let midnight = Time::midnight();
    let (from, end) = match hours {
        None => (midnight, next?.to_datetime(midnight)),
        Some(DayHours { from, to, crosses_midnight: true }) => (from, next?.to_datetime(to)),
        Some(DayHours { from, to, crosses_midnight: false }) => (from, date.to_datetime(to)),
    };
    Some(side.between(zone, date.to_datetime(from), end))
}

/// Every day whose windows can touch a stretch of time: they begin at most two days before it.
pub(crate) fn days_around(zone: &Zone, within: Interval) -> impl Iterator<Item = Date> {
    let first = zone.local(within.start).date();
    let first = first.checked_sub(jiff::Span::new().days(2)).unwrap_or(Date::MIN);
    let last = zone.local(within.end).date();
    first.series(jiff::Span::new().days(1)).take_while(move |date| *date <= last)
}
