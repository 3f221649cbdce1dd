//! Market hours at their edges, to the second.

use granary_gates::Decision::{self, Allow, Deny, Undecidable};
use granary_gates::{Overrides, RawDay, RawOverrides, Rules, Window};
use jiff::{SignedDuration, Timestamp};

use crate::policy::{at, decision, defaults, rules, us_equities, verdict, window};

/// The two ways to write "not while the market is open".
fn closed_in_session(session: &str, guard: &str) -> [Rules; 2] {
    [("deny", "in_session"), ("allow", "out_of_session")].map(|(effect, when)| {
        rules(vec![window(&format!(
            r#"{{"effect": "{effect}", "calendar": "us-equities", "when": "{when}", "session": "{session}",
                "guard_before": "{guard}"}}"#
        ))])
    })
}

fn check(session: &str, guard: &str, table: &[(&str, Decision)]) {
    for rules in closed_in_session(session, guard) {
        for (now, expected) in table {
            assert_eq!(decision(at(now), &rules), *expected, "{session} {guard} {now} {rules:?}");
        }
    }
}

#[test]
fn sessions_begin_and_end_to_the_second() {
    check(
        "regular",
        "0s",
        &[
            // An ordinary Wednesday; hours and minutes that shells read as octal.
            ("2026-11-18T08:08:08", Allow),
            ("2026-11-18T08:09:00", Allow),
            ("2026-11-18T09:08:59", Allow),
            ("2026-11-18T09:29:59", Allow),
            ("2026-11-18T09:29:59.999999999", Allow),
            ("2026-11-18T09:30:00", Deny),
            ("2026-11-18T10:09:09", Deny),
            ("2026-11-18T12:59:59", Deny),
            ("2026-11-18T13:00:00", Deny),
            ("2026-11-18T15:59:59", Deny),
            ("2026-11-18T15:59:59.999999999", Deny),
            ("2026-11-18T16:00:00", Allow),
            // Thanksgiving, and the day after it.
            ("2026-11-26T09:30:00", Allow),
            ("2026-11-26T12:59:59", Allow),
            ("2026-11-26T15:59:59", Allow),
            ("2026-11-27T09:29:59", Allow),
            ("2026-11-27T09:30:00", Deny),
            ("2026-11-27T12:59:59", Deny),
            ("2026-11-27T13:00:00", Allow),
            ("2026-11-27T15:59:59", Allow),
            // A weekend; a holiday kept on a Friday; the day before it, which is a full one.
            ("2026-11-28T12:00:00", Allow),
            ("2026-07-03T12:00:00", Allow),
            ("2026-07-02T15:59:59", Deny),
            // A closure that no rule gives, and a Saturday's New Year's Day that is not kept.
            ("2025-01-09T12:00:00", Allow),
            ("2027-12-31T15:59:59", Deny),
            // Nominal hours, although the exchange opened at noon.
            ("2002-09-11T09:30:00", Deny),
            // The Fridays before clocks change, and the Mondays after.
            ("2026-03-06T14:29:59Z", Allow),
            ("2026-03-06T14:30:00Z", Deny),
            ("2026-03-06T20:59:59Z", Deny),
            ("2026-03-06T21:00:00Z", Allow),
            ("2026-03-09T13:29:59Z", Allow),
            ("2026-03-09T13:30:00Z", Deny),
            ("2026-03-09T19:59:59Z", Deny),
            ("2026-03-09T20:00:00Z", Allow),
            ("2026-10-30T13:30:00Z", Deny),
            ("2026-10-30T20:00:00Z", Allow),
            ("2026-11-02T14:29:59Z", Allow),
            ("2026-11-02T14:30:00Z", Deny),
            ("2026-11-02T20:59:59Z", Deny),
            ("2026-11-02T21:00:00Z", Allow),
            // Two years of which nothing is known.
            ("1999-12-31T23:59:59", Undecidable),
            ("2000-01-01T00:00:00", Allow),
            ("2028-12-31T23:59:59", Allow),
            ("2029-01-01T00:00:00", Undecidable),
            ("2031-07-04T03:00:00", Undecidable),
        ],
    );
}

#[test]
fn nothing_starts_that_would_land_in_a_session() {
    check(
        "regular",
        "15m",
        &[
            ("2026-11-18T09:14:59", Allow),
            ("2026-11-18T09:15:00", Deny),
            ("2026-11-18T15:59:59", Deny),
            ("2026-11-18T16:00:00", Allow),
            ("2026-11-26T09:15:00", Allow),
            ("2026-11-27T09:15:00", Deny),
            ("2026-11-27T13:00:00", Allow),
            // What starts now would land in a year of which nothing is known.
            ("2028-12-31T23:44:59", Allow),
            ("2028-12-31T23:45:00", Undecidable),
        ],
    );
    let default =
        [rules(vec![window(r#"{"effect": "deny", "calendar": "us-equities", "when": "in_session"}"#)])];
    assert_eq!(decision(at("2026-11-18T09:14:59"), &default[0]), Allow);
    assert_eq!(decision(at("2026-11-18T09:15:00"), &default[0]), Deny);
}

#[test]
fn extended_sessions_end_earlier_on_short_days() {
    check(
        "extended",
        "0s",
        &[
            ("2026-11-18T03:59:59", Allow),
            ("2026-11-18T04:00:00", Deny),
            ("2026-11-18T19:59:59", Deny),
            ("2026-11-18T20:00:00", Allow),
            ("2026-11-27T16:59:59", Deny),
            ("2026-11-27T17:00:00", Allow),
            ("2026-11-26T12:00:00", Allow),
        ],
    );
}

#[test]
fn hours_of_ones_own_lean_to_the_side_that_denies_on_short_days() {
    let own = |effect: &str, when: &str| {
        window(&format!(
            r#"{{"effect": "{effect}", "calendar": "us-equities", "when": "{when}", "session": "custom",
                "open": "08:00", "close": "18:00", "guard_before": "0s"}}"#
        ))
    };
    for (window, short_day_at_14, long_day_at_14) in [
        (own("deny", "in_session"), Deny, Deny),
        (own("allow", "out_of_session"), Deny, Deny),
        (own("allow", "in_session"), Deny, Allow),
        (own("deny", "out_of_session"), Deny, Allow),
    ] {
        let rules = rules(vec![window]);
        assert_eq!(decision(at("2026-11-27T14:00:00"), &rules), short_day_at_14, "{rules:?}");
        assert_eq!(decision(at("2026-11-18T14:00:00"), &rules), long_day_at_14, "{rules:?}");
    }
}

#[test]
fn overrides_move_the_gate_with_the_market() {
    let day = |date: &str, close: Option<&str>| RawDay {
        date: Some(date.to_owned()),
        reason: Some("announced".to_owned()),
        close: close.map(str::to_owned),
    };
    let raw = RawOverrides {
        calendar: Some("us-equities".to_owned()),
        version: Some("1".to_owned()),
        closed: vec![day("2026-12-09", None)],
        early_close: vec![day("2026-12-10", Some("14:30"))],
        open: vec![day("2026-12-12", None)],
    };
    let overrides = Overrides::resolve(&raw, "").expect("entries in order");
    let mut defaults = defaults();
    defaults.calendars = vec![us_equities().as_ref().clone().with(&overrides).into()];
    let raw = r#"{"effect": "deny", "calendar": "us-equities", "when": "in_session", "guard_before": "0s"}"#;
    let raw = serde_json::from_str(raw).expect("a window");
    let rules = rules(vec![Window::resolve(&raw, "w", &defaults).expect("a window")]);
    for (now, expected) in [
        ("2026-12-08T12:00:00", Deny),
        ("2026-12-09T12:00:00", Allow),
        ("2026-12-10T14:29:59", Deny),
        ("2026-12-10T14:30:00", Allow),
        ("2026-12-12T12:00:00", Deny),
        ("2026-12-13T12:00:00", Allow),
    ] {
        assert_eq!(decision(at(now), &rules), expected, "{now}");
    }
    assert_eq!(verdict(at("2026-12-08T12:00:00"), &rules).calendars[0].version, "2025-12-23+1");
}

#[test]
fn the_next_opening_and_closing_are_named_ahead_of_time() {
    let turns = |now: &str, rules: &Rules| {
        let verdict = verdict(at(now), rules);
        (verdict.next_open, verdict.next_close)
    };
    let some = |text: &str| Some(at(text));
    for rules in closed_in_session("regular", "15m") {
        for (now, open, close) in [
            // Closed: over the weekend it stays open.
            ("2026-11-27T10:00:00", some("2026-11-27T13:00:00"), some("2026-11-30T09:15:00")),
            ("2026-11-25T09:15:00", some("2026-11-25T16:00:00"), some("2026-11-27T09:15:00")),
            // Open: it closes first.
            ("2026-11-25T16:00:00", some("2026-11-27T13:00:00"), some("2026-11-27T09:15:00")),
            // Clocks change in between.
            ("2026-03-06T15:00:00", some("2026-03-06T21:00:00Z"), some("2026-03-09T13:15:00Z")),
            // Behind the horizon nothing is known to open again.
            ("2028-12-29T16:00:00", None, some("2028-12-31T23:45:00")),
            ("2029-01-02T12:00:00", None, None),
            ("1999-12-31T12:00:00", some("2000-01-01T00:00:00"), some("2000-01-03T09:15:00")),
        ] {
            assert_eq!(turns(now, &rules), (open, close), "{now} {rules:?}");
        }
    }
    // Open for good, closed for good, and open again beyond the bound of the search.
    assert_eq!(turns("2026-11-25T16:00:00", &rules(vec![])), (None, None));
    let past = r#"{"effect": "allow", "start": "2020-01-01T00:00Z", "end": "2021-01-01T00:00Z"}"#;
    assert_eq!(turns("2026-11-25T16:00:00", &rules(vec![window(past)])), (None, None));
    let limit = at("2026-01-01T00:00:00Z") + granary_gates::MAX_SEARCH;
    let once = |start: Timestamp| {
        let end = start + SignedDuration::from_hours(24);
        let json =
            format!(r#"{{"effect": "allow", "start": "{start}", "end": "{end}", "guard_before": "0s"}}"#);
        rules(vec![window(&json)])
    };
    assert_eq!(turns("2026-01-01T00:00:00Z", &once(limit)), (Some(limit), None));
    assert_eq!(turns("2026-01-01T00:00:00Z", &once(limit + SignedDuration::from_secs(1))), (None, None));
}
