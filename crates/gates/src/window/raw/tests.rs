use super::*;

fn defaults() -> Defaults {
    let calendar = Calendar::us_equities().expect("the built-in calendar");
    let zone = Zone::named("America/New_York").expect("a zone");
    Defaults { zone: Some(zone), calendars: vec![Arc::new(calendar)] }
}

fn raw(json: &str) -> RawWindow {
    serde_json::from_str(json).expect("the shape of a window")
}

#[test]
fn windows_in_order_are_taken() {
    for json in [
        r#"{"effect": "deny", "days": ["mon-fri"], "from": "08:09", "to": "16:00"}"#,
        r#"{"effect": "allow", "days": ["fri-mon", "wed"]}"#,
        r#"{"effect": "allow", "days": ["sat"], "from": "22:00", "to": "06:00", "crosses_midnight": true}"#,
        r#"{"effect": "allow", "days": ["sat"], "from": "00:00", "to": "00:00", "crosses_midnight": true}"#,
        r#"{"effect": "deny", "start": "2026-12-20T00:00", "end": "2027-01-04T00:00", "zone": "Europe/Berlin"}"#,
        r#"{"effect": "deny", "start": "2026-12-20T00:00Z", "end": "2026-12-20T01:30+01:00"}"#,
        r#"{"effect": "deny", "start": "2026-11-01T01:45", "end": "2026-11-01T01:50"}"#,
        r#"{"effect": "deny", "calendar": "us-equities", "when": "in_session", "guard_before": "20m"}"#,
        r#"{"effect": "allow", "calendar": "us-equities", "when": "out_of_session", "session": "extended"}"#,
        r#"{"effect": "deny", "calendar": "us-equities", "when": "in_session", "session": "custom",
            "open": "01:30", "close": "23:30"}"#,
    ] {
        let window = Window::resolve(&raw(json), "w", &defaults());
        assert!(window.is_ok(), "{json}: {window:?}");
    }
}

#[test]
fn what_cannot_be_meant_is_refused_with_field_and_value() {
    let day = |from: &str, to: &str| {
        format!(r#"{{"effect": "deny", "days": ["mon"], "from": "{from}", "to": "{to}"}}"#)
    };
    let session = |rest: &str| format!(r#"{{"effect": "deny", "calendar": "us-equities", {rest}}}"#);
    for (json, expected) in [
        (
            day("16:00", "24:00"),
            &["w.to: `24:00` is not a time of day; write 00:00 of the next day \
               (`crosses_midnight: true` in a window by days)"] as &[&str],
        ),
        (
            day("22:00", "06:00"),
            &["w.to: `06:00` is not after `from`; a window that ends on the next day says `crosses_midnight: true`"],
        ),
        (
            day("09:00", "09:00"),
            &["w.to: `09:00` is not after `from`; a window that ends on the next day says `crosses_midnight: true`"],
        ),
        (
            r#"{"effect": "deny", "days": ["mon"], "from": "09:00", "to": "10:00", "crosses_midnight": true}"#.to_owned(),
            &["w.crosses_midnight: `true` makes the window longer than a day, as `to` is after `from`"],
        ),
        (
            r#"{"effect": "close", "days": ["mo", "tue", "mon-wed"], "from": "570", "to": "16.00"}"#.to_owned(),
            &[
                "w.effect: `close` is none of allow or deny",
                "w.days[0]: `mo` is not a weekday; accepted are mon, tue, wed, thu, fri, sat, sun and ranges such as \
                 mon-fri",
                "w.days[2]: `mon-wed` names a day that is named already",
                "w.from: `570` is a number; quote times of day in YAML, as in \"09:30\"",
                "w.to: `16.00` is not a time of day from 00:00 to 23:59, written HH:MM",
            ],
        ),
        (
            r#"{"effect": "deny", "days": [], "from": "09:00", "zone": "Amerika/New_York"}"#.to_owned(),
            &[
                "w.zone: `Amerika/New_York` is no IANA time zone; is America/New_York meant?",
                "w.days: names no day",
                "w.from: needs `to` too",
            ],
        ),
        (
            r#"{"days": ["mon"], "guard_before": "15", "guard_after": "2d", "zone": "EST"}"#.to_owned(),
            &[
                "w.effect: is missing; needed is allow or deny",
                "w.guard_before: `15` is not a duration such as 90s, 15m or 1h30m, the larger unit first",
                "w.guard_after: `2d` is longer than a day",
                "w.zone: `EST` has no daylight saving time; name a place, such as America/New_York",
            ],
        ),
        (
            r#"{"effect": "deny", "start": "2026-12-24T12:00", "end": "2026-12-24T12:00"}"#.to_owned(),
            &["w.end: `2026-12-24T12:00` is not after `start`"],
        ),
        (
            r#"{"effect": "deny", "start": "2026-12-24", "end": "2026-12-24T24:00"}"#.to_owned(),
            &[
                "w.start: `2026-12-24` is not a moment: a local one is written 2026-12-24T12:00, one with its offset \
                 2026-12-24T12:00-05:00",
                "w.end: `2026-12-24T24:00` is not a time of day; write 00:00 of the next day \
                 (`crosses_midnight: true` in a window by days)",
            ],
        ),
        (
            r#"{"effect": "deny", "start": "2026-12-24T12:00Z", "end": "2026-12-25T12:00Z", "zone": "UTC", "days": ["mon"]}"#
                .to_owned(),
            &["w.days: does not go with `start`", "w.zone: `UTC` is of no effect where every moment has its own offset"],
        ),
        (
            session(r#""when": "closed", "session": "night""#),
            &[
                "w.when: `closed` is none of in_session or out_of_session",
                "w.session: `night` is none of regular, extended or custom",
            ],
        ),
        (
            session(r#""when": "in_session", "session": "custom", "open": "16:00", "close": "09:30", "zone": "UTC""#),
            &["w.zone: does not go with `calendar`", "w.close: `09:30` is not after `open`"],
        ),
        (
            session(r#""when": "in_session", "open": "09:00", "from": "09:00""#),
            &["w.from: does not go with `calendar`", "w.open: `09:00` is only for `session: custom`"],
        ),
        (r#"{"effect": "deny", "calendar": "lse", "when": "in_session"}"#.to_owned(), &[
            "w.calendar: `lse` is no calendar; there is us-equities",
        ]),
        (r#"{"effect": "deny"}"#.to_owned(), &["w: says not when: needed is `days`, `start` and `end`, or `calendar`"]),
    ] {
        let wrong = Window::resolve(&raw(&json), "w", &defaults()).expect_err(&json);
        let wrong: Vec<String> = wrong.iter().map(ToString::to_string).collect();
        assert_eq!(wrong, expected, "{json}");
    }
}

#[test]
fn without_a_zone_of_its_own_or_by_default_a_local_time_means_nothing() {
    let json = r#"{"effect": "deny", "days": ["mon"]}"#;
    let wrong = Window::resolve(&raw(json), "w", &Defaults::default()).expect_err("no zone");
    assert_eq!(wrong[0].to_string(), "w.zone: is missing; needed is an IANA zone like America/New_York");
}

#[test]
fn two_windows_of_a_stage_have_two_names() {
    let named = |name: &str| RawWindow {
        name: Some(name.to_owned()),
        ..raw(r#"{"effect": "deny", "days": ["mon"]}"#)
    };
    let unnamed = RawWindow { name: None, ..named("") };
    let all =
        Window::resolve_all(&[named("a"), unnamed.clone(), unnamed], "stages.live.windows", &defaults());
    let names: Vec<String> =
        all.expect("three names").iter().map(|window| window.name().to_owned()).collect();
    assert_eq!(names, ["a", "stages.live.windows[1]", "stages.live.windows[2]"]);
    let wrong =
        Window::resolve_all(&[named("a"), named(" a ")], "windows", &defaults()).expect_err("one name");
    assert_eq!(wrong[0].to_string(), "windows[1].name: `a` is the name of another window of this stage");
}

#[test]
fn an_unknown_field_is_refused() {
    assert!(serde_json::from_str::<RawWindow>(r#"{"effect": "deny", "day": ["mon"]}"#).is_err());
}
