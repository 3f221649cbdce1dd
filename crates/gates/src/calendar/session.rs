//! From days to instants: when a session is on.

use jiff::civil::{Date, Time, date, time};

use super::{CLOSE, Calendar, Day, EARLY_CLOSE, FIRST_YEAR, LAST_YEAR, OPEN};
use crate::interval::{Interval, Intervals};
use crate::window::Side;

/// Early and late trading: from, until, and until when on days that close early. NYSE Arca's hours.
pub(super) const EXTENDED: (Time, Time, Time) = (time(4, 0, 0, 0), time(20, 0, 0, 0), time(17, 0, 0, 0));

/// Which hours of a trading day count as its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hours {
    /// 09:30 to 16:00, or to the early close.
    Regular,
    /// 04:00 to 20:00, or to 17:00 on days that close early.
    Extended,
    /// One's own, on every trading day. On days that close early they end then where that denies more, and
    /// are kept whole where that denies more.
    Custom {
        /// From then on.
        open: Time,
        /// Before then; later than `open`.
        close: Time,
    },
}

/// The sessions of a stretch of time, as far as they are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionDays {
    /// While a session is on.
    pub(crate) sessions: Intervals,
    /// When it is known whether one is on.
    pub(crate) known: Intervals,
}

impl Calendar {
    /// The sessions that touch a stretch of time.
    pub(crate) fn sessions(&self, hours: Hours, side: Side, within: Interval) -> SessionDays {
        let known = self.known_within(within);
        let sessions = crate::window::days_around(self.zone(), within)
            .filter_map(|date| self.session(date, hours, side))
            .collect::<Intervals>();
        SessionDays { sessions: sessions.intersection(&known), known }
    }

    /// The part of a stretch of time whose days are known.
    pub(crate) fn known_within(&self, within: Interval) -> Intervals {
        let first_of = |year| self.zone().start_of(date(year, 1, 1));
        let known = Interval::new(first_of(FIRST_YEAR), first_of(LAST_YEAR + 1));
        Intervals::from(known).intersection(&within.into())
    }

    /// The session of one day, by the clocks of the exchange.
    fn session(&self, date: Date, hours: Hours, side: Side) -> Option<Interval> {
        let Ok(Day::Open { open, close, .. }) = self.day(date) else { return None };
        let early = close < CLOSE;
        let (open, close) = match hours {
            Hours::Regular => (open, close),
            Hours::Extended if early => (EXTENDED.0, EXTENDED.2.max(close)),
            Hours::Extended => (EXTENDED.0, EXTENDED.1),
            Hours::Custom { open, close: own } if early && side == Side::Narrow => (open, own.min(close)),
            Hours::Custom { open, close } => (open, close),
        };
        Some(side.between(self.zone(), date.to_datetime(open), date.to_datetime(close)))
    }

    /// The regular session of a day in words.
    pub(crate) fn describe(&self, date: Date) -> String {
        match self.day(date) {
            Ok(Day::Closed { reason }) => format!("{date} is closed: {reason}"),
            Ok(Day::Open { open, close, reason }) => {
                let hours = format!("{date} trades from {} to {}", short(open), short(close));
                reason.map_or(hours.clone(), |reason| format!("{hours} ({reason})"))
            }
            Err(unknown) => unknown.to_string(),
        }
    }
}

/// Whether a time is one at which a session can close early.
pub(super) fn within_session(close: Time) -> bool {
    OPEN < close && close < CLOSE
}

/// The usual early close, for hints.
pub(super) fn usual_early_close() -> String {
    short(EARLY_CLOSE)
}

/// `09:30`
pub(crate) fn short(time: Time) -> String {
    format!("{:02}:{:02}", time.hour(), time.minute())
}
