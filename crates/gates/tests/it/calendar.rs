//! The calendar against lists that others made (`tests/golden/golden.py` says which and how), day by day, and
//! against what the exchange has announced for the years ahead.

use std::collections::BTreeMap;

use granary_gates::{Calendar, Day, FIRST_YEAR, LAST_YEAR};
use jiff::civil::{Date, Time, date};

/// exchange_calendars 4.13.2: nominal hours.
const NOMINAL: &str = include_str!("../golden/xnys.csv");

/// pandas_market_calendars 5.5.0: the hours at which the exchange did open and close.
const ACTUAL: &str = include_str!("../golden/nyse.csv");

/// Sessions that began late or ended early on the day itself. We keep the nominal hours: a gate that denies
/// while the market is open has to be closed when it may open. Each is listed as the second source has it.
const OFF_SCHEDULE: &[&str] = &[
    "2001-09-17,open,09:33,16:00", // silence after the attacks of September 11
    "2001-10-08,open,09:31,16:00", // silence for troops
    "2002-09-11,open,12:00,16:00", // the attacks' first anniversary
    "2003-03-20,open,09:32,16:00", // silence for troops
    "2004-06-07,open,09:32,16:00", // silence for Ronald Reagan
    "2005-06-01,open,09:30,15:56", // a failure of systems
    "2006-12-27,open,09:32,16:00", // silence for Gerald Ford
];

/// What the exchange has announced (NYSE, 2025-12-23; the sources above compute these years by rule): closed,
/// and closed from 13:00 on.
const ANNOUNCED: &[(i16, &[&str], &[&str])] = &[
    (
        2026,
        &["01-01", "01-19", "02-16", "04-03", "05-25", "06-19", "07-03", "09-07", "11-26", "12-25"],
        &["11-27", "12-24"],
    ),
    (
        2027,
        &["01-01", "01-18", "02-15", "03-26", "05-31", "06-18", "07-05", "09-06", "11-25", "12-24"],
        &["11-26"],
    ),
    (
        2028,
        &["01-17", "02-21", "04-14", "05-29", "06-19", "07-04", "09-04", "11-23", "12-25"],
        &["07-03", "11-24"],
    ),
];

fn ours() -> Calendar {
    Calendar::us_equities().expect("the built-in calendar")
}

fn every_day() -> impl Iterator<Item = Date> {
    let last = date(LAST_YEAR, 12, 31);
    date(FIRST_YEAR, 1, 1).series(jiff::Span::new().days(1)).take_while(move |day| *day <= last)
}

fn clock(time: Time) -> String {
    format!("{:02}:{:02}", time.hour(), time.minute())
}

/// A day of ours as the lists write it; weekends and ordinary sessions are not listed.
fn line(calendar: &Calendar, day: Date) -> Option<String> {
    match calendar.day(day).expect("a known day") {
        Day::Closed { reason } if reason == "weekend" => None,
        Day::Closed { .. } => Some(format!("{day},closed,,")),
        Day::Open { open, close, .. } => {
            let hours = (clock(open), clock(close));
            let ordinary = hours == ("09:30".to_owned(), "16:00".to_owned());
            (!ordinary).then(|| format!("{day},open,{},{}", hours.0, hours.1))
        }
    }
}

fn listed(source: &str) -> BTreeMap<Date, String> {
    let mut lines = source.lines();
    let header = lines.next().expect("a first line");
    assert!(header.contains(" from PyPI, 2000-01-01 to 2028-12-31"), "{header}");
    assert_eq!(lines.next(), Some("date,status,open,close"));
    lines.map(|line| (line[..10].parse().expect("a date"), line.to_owned())).collect()
}

#[test]
fn every_day_of_29_years_is_what_two_independent_lists_say() {
    let calendar = ours();
    let off_schedule: BTreeMap<Date, &str> =
        OFF_SCHEDULE.iter().map(|line| (line[..10].parse().expect("a date"), *line)).collect();
    let (nominal, actual) = (listed(NOMINAL), listed(ACTUAL));
    let mut days = 0;
    for day in every_day() {
        days += 1;
        let ours = line(&calendar, day);
        assert_eq!(ours.as_ref(), nominal.get(&day), "{day}, nominal hours");
        match off_schedule.get(&day) {
            // An ordinary session for us, and exactly this for them.
            Some(expected) => {
                assert_eq!((ours, actual.get(&day).map(String::as_str)), (None, Some(*expected)), "{day}");
            }
            None => assert_eq!(ours.as_ref(), actual.get(&day), "{day}, actual hours"),
        }
    }
    assert_eq!((days, nominal.len(), actual.len()), (10_593, 336, 343));
}

#[test]
fn the_years_ahead_are_as_announced() {
    let calendar = ours();
    for (year, closed, early) in ANNOUNCED {
        let full = |short: &&str| format!("{year}-{short}");
        let mut expected: Vec<String> = closed.iter().map(|day| format!("{},closed,,", full(day))).collect();
        expected.extend(early.iter().map(|day| format!("{},open,09:30,13:00", full(day))));
        expected.sort_unstable();
        let found: Vec<String> =
            every_day().filter(|day| day.year() == *year).filter_map(|day| line(&calendar, day)).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn no_day_outside_the_known_years_is_open_or_closed() {
    let calendar = ours();
    for day in [date(1999, 12, 31), date(2029, 1, 1), date(2029, 1, 6), Date::MIN, Date::MAX] {
        let unknown = calendar.day(day).expect_err("an unknown day").to_string();
        assert_eq!(unknown, format!("{day} lies outside the years that us-equities knows (2000 to 2028)"));
    }
}

/// Whoever changes what the calendar says raises its version too.
#[test]
fn version_and_content_change_together() {
    let calendar = ours();
    let version = calendar.version();
    assert_eq!(
        (version.version.as_str(), version.sha256.as_str()),
        ("2025-12-23", "3b5cba999a8bbbf407d7884162b4f3ac9c39b04be7d3957560ec2513eb00e1ef")
    );
    assert!(
        calendar
            .listing()
            .contains("\n2028-07-03 09:30:00 13:00:00 early close: day before Independence Day\n")
    );
}
