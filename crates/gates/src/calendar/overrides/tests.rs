use jiff::civil::{Time, date, time};

use super::*;
use crate::calendar::{BUILT_IN_VERSION, Calendar};

fn read(json: &str) -> Result<Overrides, Vec<String>> {
    let raw: RawOverrides = serde_json::from_str(json).expect("the shape of an override file");
    let wrong = |found: Vec<InvalidField>| found.iter().map(ToString::to_string).collect();
    Overrides::resolve(&raw, "us-equities").map_err(wrong)
}

fn open(close: Time, reason: Option<&str>) -> Day {
    Day::Open { open: time(9, 30, 0, 0), close, reason: reason.map(str::to_owned) }
}

#[test]
fn entries_correct_single_days_and_are_visible_in_version_and_hash() {
    let overrides = read(
        r#"{"calendar": "us-equities", "version": "2026-12-02.1",
            "closed": [{"date": "2026-12-09", "reason": "day of mourning"}],
            "early_close": [{"date": "2026-12-31", "close": "14:00", "reason": "outage"}],
            "open": [{"date": "2026-12-25", "reason": "for this test"}, {"date": "2026-12-26", "reason": "a Saturday"}]}"#,
    );
    let plain = Calendar::us_equities().expect("the built-in calendar");
    let corrected = plain.clone().with(&overrides.expect("entries in order"));
    for (day, expected) in [
        (date(2026, 12, 8), open(time(16, 0, 0, 0), None)),
        (date(2026, 12, 9), Day::Closed { reason: "day of mourning".to_owned() }),
        (date(2026, 12, 24), open(time(13, 0, 0, 0), Some("early close: Christmas Eve"))),
        (date(2026, 12, 25), open(time(16, 0, 0, 0), Some("for this test"))),
        (date(2026, 12, 26), open(time(16, 0, 0, 0), Some("a Saturday"))),
        (date(2026, 12, 27), Day::Closed { reason: "weekend".to_owned() }),
        (date(2026, 12, 31), open(time(14, 0, 0, 0), Some("early close: outage"))),
    ] {
        assert_eq!(corrected.day(day), Ok(expected), "{day}");
    }
    assert_eq!(plain.version().version, BUILT_IN_VERSION);
    assert_eq!(corrected.version().version, format!("{BUILT_IN_VERSION}+2026-12-02.1"));
    assert_ne!(plain.version().sha256, corrected.version().sha256);
}

#[test]
fn every_wrong_entry_is_reported_with_its_field() {
    let wrong = read(
        r#"{"calendar": "nyse", "version": "2026 12",
            "closed": [{"date": "2026-12-05", "reason": "a Saturday"},
                       {"date": "2029-01-09", "reason": "beyond what is known"},
                       {"date": "2026-12-9", "reason": "one digit"},
                       {"date": "2026-12-10"},
                       {"date": "2026-12-11", "reason": "with a time", "close": "13:00"}],
            "early_close": [{"date": "2026-12-25", "close": "13:00", "reason": "Christmas"},
                            {"date": "2026-12-28", "close": "16:00", "reason": "no early close"},
                            {"date": "2026-12-29", "close": "24:00", "reason": "midnight"},
                            {"date": "2026-12-30", "reason": "no time"}],
            "open": [{"date": "2026-11-26", "reason": "once"}, {"date": "2026-11-26", "reason": "twice"}]}"#,
    );
    let expected = [
        "us-equities.calendar: `nyse` is no calendar; there is us-equities",
        "us-equities.version: `2026 12` is not 1 to 40 letters, digits, `.`, `-` or `_`",
        "us-equities.closed[0].date: `2026-12-05` is a Saturday or Sunday, which are closed anyway",
        "us-equities.closed[1].date: `2029-01-09` lies outside the years that the calendar knows, 2000 to 2028",
        "us-equities.closed[2].date: `2026-12-9` is not a date like 2025-01-09",
        "us-equities.closed[3].reason: is missing; needed is what was announced",
        "us-equities.closed[4].close: `13:00` is only for `early_close`",
        "us-equities.early_close[0].date: `2026-12-25` is closed: Christmas Day",
        "us-equities.early_close[1].close: `16:00` is not between the open and the close of an ordinary session \
         (an early close is usually 13:00)",
        "us-equities.early_close[2].close: `24:00` is not a time of day; write 00:00 of the next day \
         (`crosses_midnight: true` in a window by days)",
        "us-equities.early_close[3].close: is missing; needed is a time like 13:00",
        "us-equities.open[1].date: `2026-11-26` has an entry already",
    ];
    assert_eq!(wrong.expect_err("wrong entries"), expected);
}

#[test]
fn a_file_of_another_shape_is_refused() {
    for text in [
        r#"{"holidays": []}"#,
        r#"{"closed": [{"date": "2026-12-09", "reason": "x", "note": "y"}]}"#,
        r#"{"closed": {"date": "2026-12-09"}}"#,
    ] {
        assert!(serde_json::from_str::<RawOverrides>(text).is_err(), "{text}");
    }
}
