//! Every minute of the weeks in which clocks are set, against an oracle that knows nothing of jiff, zones or
//! intervals: it lists what the clocks show, minute by minute, and looks windows up in that list.

use granary_gates::{Decision, RawWindow, Window, explain};
use jiff::Timestamp;

use crate::policy::{LIVE, decision, defaults, rules, window};

const HOUR: i64 = 60;
const DAY: i64 = 24 * HOUR;

/// Days from 1970-01-01, a Thursday.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// 0 is Monday.
fn weekday(days: i64) -> i64 {
    (days + 3).rem_euclid(7)
}

/// The first Sunday on or after a day.
fn sunday_from(year: i64, month: i64, day: i64) -> i64 {
    let days = days_from_civil(year, month, day);
    days + (6 - weekday(days))
}

/// When clocks go forward and back, in minutes of UTC, and the standard offset.
struct Changes {
    zone: &'static str,
    forward: i64,
    back: i64,
    offset: i64,
}

impl Changes {
    /// Second Sunday of March and first of November, 02:00 by the clocks there: the rule since 2007.
    fn new_york(year: i64) -> Changes {
        let (forward, back) = (sunday_from(year, 3, 8), sunday_from(year, 11, 1));
        Changes {
            zone: "America/New_York",
            forward: forward * DAY + 7 * HOUR,
            back: back * DAY + 6 * HOUR,
            offset: -5 * HOUR,
        }
    }

    /// The last Sundays of March and October, 01:00 UTC.
    fn berlin(year: i64) -> Changes {
        let (forward, back) = (sunday_from(year, 3, 25), sunday_from(year, 10, 25));
        Changes {
            zone: "Europe/Berlin",
            forward: forward * DAY + HOUR,
            back: back * DAY + HOUR,
            offset: HOUR,
        }
    }

    fn local(&self, minute: i64) -> i64 {
        let summer = self.forward <= minute && minute < self.back;
        minute + self.offset + if summer { HOUR } else { 0 }
    }
}

/// One weekly window, as plain as can be; times in minutes of the day, `to` beyond 24 hours on the next day.
#[derive(Clone, Copy, Debug)]
struct Plain {
    deny: bool,
    days: &'static [&'static str],
    from: i64,
    to: i64,
    guard_before: i64,
    guard_after: i64,
}

const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl Plain {
    fn window(&self, name: usize, zone: &str) -> Window {
        let clock = |minutes: i64| Some(format!("{:02}:{:02}", minutes % DAY / HOUR, minutes % HOUR));
        let minutes = |minutes: i64| Some(format!("{minutes}m"));
        let raw = RawWindow {
            name: Some(name.to_string()),
            effect: Some(if self.deny { "deny" } else { "allow" }.to_owned()),
            days: Some(self.days.iter().map(|day| (*day).to_owned()).collect()),
            from: clock(self.from),
            to: clock(self.to),
            crosses_midnight: Some(self.to >= DAY),
            zone: Some(zone.to_owned()),
            guard_before: minutes(self.guard_before),
            guard_after: minutes(self.guard_after),
            ..RawWindow::default()
        };
        Window::resolve(&raw, "w", &defaults()).expect("a window in order")
    }

    /// Whether the window is on, for every minute of a list of what clocks show.
    fn on(&self, shown: &[i64]) -> Vec<bool> {
        let mut on = vec![false; shown.len()];
        let reached = |local: i64| shown.iter().position(|now| *now >= local);
        let left = |local: i64| shown.iter().rposition(|now| *now < local).map(|index| index + 1);
        let days = shown[0].div_euclid(DAY) + 1..shown[shown.len() - 1].div_euclid(DAY) - 1;
        for day in
            days.filter(|day| self.days.contains(&NAMES[usize::try_from(weekday(*day)).expect("0 to 6")]))
        {
            let (from, to) = (day * DAY + self.from, day * DAY + self.to);
            // A deny is on from when clocks first show `from` until they last come to `to`; an allow the
            // other way round.
            let (start, end) = match self.deny {
                true => (reached(from), left(to)),
                false => (left(from), reached(to)),
            };
            let (start, end) = (start.expect("inside the list"), end.expect("inside the list"));
            if start < end {
                on[start..end].fill(true);
            }
        }
        on
    }
}

/// Whether a stage with these windows is open, for every minute; the first and last day of the list are not
/// to be used.
fn open(windows: &[Plain], shown: &[i64]) -> Vec<bool> {
    let on: Vec<Vec<bool>> = windows.iter().map(|window| window.on(shown)).collect();
    let both = || windows.iter().zip(&on);
    let allowed: Vec<bool> =
        (0..shown.len()).map(|minute| both().any(|(window, on)| !window.deny && on[minute])).collect();
    let allows = windows.iter().any(|window| !window.deny);
    (0..shown.len())
        .map(|minute| {
            let near = |window: &Plain, list: &[bool], wanted: bool| {
                let before = usize::try_from(window.guard_after).expect("not negative");
                let after = usize::try_from(window.guard_before).expect("not negative");
                let near = minute.saturating_sub(before)..=(minute + after).min(shown.len() - 1);
                list[near].contains(&wanted)
            };
            let denied = both().any(|(window, on)| window.deny && near(window, on, true));
            let may = both().any(|(window, on)| !window.deny && on[minute] && !near(window, &allowed, false));
            !denied && (may || !allows)
        })
        .collect()
}

/// What the calendar is in a week without holidays.
const MARKET: Plain = Plain {
    deny: true,
    days: &["mon", "tue", "wed", "thu", "fri"],
    from: 9 * HOUR + 30,
    to: 16 * HOUR,
    guard_before: 15,
    guard_after: 0,
};

fn sets() -> Vec<Vec<Plain>> {
    let plain = |deny, days, from, to, guard_before, guard_after| Plain {
        deny,
        days,
        from,
        to,
        guard_before,
        guard_after,
    };
    // In the hours that are left out or come twice, in New York and in Berlin.
    let early = plain(false, &["sat", "sun"], 90, 150, 0, 0);
    let later = plain(false, &["sat", "sun"], 2 * HOUR + 10, 2 * HOUR + 50, 5, 3);
    let night = plain(false, &["fri", "sat"], 22 * HOUR, DAY + 6 * HOUR, 30, 10);
    let ends_inside = plain(false, &["sat"], 20 * HOUR, DAY + 2 * HOUR + 30, 0, 0);
    let begins_inside = plain(false, &["sun"], HOUR + 30, 12 * HOUR, 0, 0);
    let deny_early = plain(true, &["sun"], 75, 105, 5, 5);
    let deny_later = plain(true, &["sun"], 135, 165, 0, 0);
    let always = plain(false, &NAMES, 0, DAY, 15, 15);
    vec![
        vec![MARKET],
        vec![early],
        vec![later],
        vec![night, early],
        vec![ends_inside],
        vec![begins_inside],
        vec![deny_early],
        vec![deny_later],
        vec![always, deny_early, deny_later],
        vec![MARKET, early, later, night, deny_early, deny_later],
    ]
}

/// Compares the week around a change of clocks.
fn compare(changes: &Changes, change: i64) {
    let first = change.div_euclid(DAY) * DAY - 6 * DAY;
    let minutes = 12 * DAY;
    let shown: Vec<i64> = (first..first + minutes).map(|minute| changes.local(minute)).collect();
    let instant = |minute: usize| {
        let minute = first + i64::try_from(minute).expect("small");
        Timestamp::from_second(minute * 60).expect("a timestamp")
    };
    let week = usize::try_from(3 * DAY).expect("small")..usize::try_from(10 * DAY).expect("small");
    let cases = sets().into_iter().map(|plain| {
        let windows =
            plain.iter().enumerate().map(|(name, window)| window.window(name, changes.zone)).collect();
        (plain, windows)
    });
    // No week of these has a holiday in New York.
    let calendar = r#"{"effect": "deny", "calendar": "us-equities", "when": "in_session"}"#;
    let market = (changes.zone == "America/New_York").then(|| (vec![MARKET], vec![window(calendar)]));
    for (plain, windows) in cases.chain(market) {
        let rules = rules(windows);
        let expected = open(&plain, &shown);
        let spans = explain(instant(week.start), instant(week.end), LIVE, &rules);
        assert_eq!(spans.first().map(|span| span.start), Some(instant(week.start)));
        assert_eq!(spans.last().map(|span| span.end), Some(instant(week.end)));
        let mut span = spans.iter();
        let mut current = span.next().expect("a span");
        for minute in week.clone() {
            let now = instant(minute);
            while current.end <= now {
                let next = span.next().expect("spans to the end");
                assert_eq!(current.end, next.start, "a gap");
                current = next;
            }
            let expected = if expected[minute] { Decision::Allow } else { Decision::Deny };
            assert_eq!(current.decision, expected, "{now} {} {plain:?}", changes.zone);
            // The decision itself is slower: near the change at every thirtieth minute, elsewhere now and
            // then.
            let change_near = (now.as_second() / 60 - change).abs() < 3 * HOUR;
            if minute % if change_near { 30 } else { 997 } == 0 {
                assert_eq!(decision(now, &rules), expected, "{now} {} {plain:?}", changes.zone);
            }
        }
    }
}

#[test]
fn every_minute_of_the_weeks_in_which_clocks_are_set() {
    for year in [2007, 2026, 2028] {
        for changes in [Changes::new_york(year), Changes::berlin(year)] {
            compare(&changes, changes.forward);
            compare(&changes, changes.back);
        }
    }
}

#[test]
fn the_oracle_knows_when_clocks_are_set() {
    let day = |minutes: i64| minutes.div_euclid(DAY) - days_from_civil(2026, 1, 1);
    let (new_york, berlin) = (Changes::new_york(2026), Changes::berlin(2026));
    // 2026-03-08, 2026-11-01, 2026-03-29, 2026-10-25.
    assert_eq!([new_york.forward, new_york.back, berlin.forward, berlin.back].map(day), [66, 304, 87, 297]);
}
