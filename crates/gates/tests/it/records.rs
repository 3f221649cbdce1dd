//! What is kept of a decision, and what a person is shown of the weeks ahead.

use granary_gates::{Context, Decision, Record, Recorded, Rules, Zone, explain, tzdb_version};

use crate::policy::{LIVE, at, rules, us_equities, verdict, window};

fn market() -> Rules {
    rules(vec![
        window(
            r#"{"name": "market hours", "effect": "deny", "calendar": "us-equities", "when": "in_session",
                "reason": "orders are live"}"#,
        ),
        window(r#"{"name": "weekdays", "effect": "allow", "days": ["mon-fri"], "guard_before": "0s"}"#),
    ])
}

#[test]
fn a_record_says_all_that_a_decision_rests_on() {
    let verdict = verdict(at("2026-11-27T12:59:59"), &market());
    let context = Context {
        policy_sha256: Some("ab".repeat(32)),
        target: Some("registry.example/app".to_owned()),
        digest: Some(format!("sha256:{}", "cd".repeat(32))),
    };
    let mut record = Record::new(&verdict, context);
    let found = "denied from 2026-11-27T09:15-05:00 until 2026-11-27T13:00-05:00; 2026-11-27 trades from 09:30 to \
                 13:00 (early close: day after Thanksgiving) (orders are live)";
    let expected = serde_json::json!({
        "decision": "deny",
        "reason": format!("market hours: {found}"),
        "rule": "window",
        "window": "market hours",
        "stage": "live",
        "now_utc": "2026-11-27T17:59:59Z",
        "now_local": "2026-11-27T12:59:59-05:00[America/New_York]",
        "tz": "America/New_York",
        "tzdb_version": tzdb_version(),
        "calendar_version": "us-equities/2025-12-23",
        "calendar_sha256": us_equities().version().sha256,
        "next_open": "2026-11-27T18:00:00Z",
        "next_close": "2026-11-28T05:00:00Z",
        "policy_sha256": "ab".repeat(32),
        "target": "registry.example/app",
        "digest": format!("sha256:{}", "cd".repeat(32)),
        "reasons": [
            {
                "rule": "window", "name": "market hours", "decision": "deny", "found": found,
                "needed": "a time outside of this window",
            },
            {
                "rule": "window", "name": "weekdays", "decision": "allow",
                "found": "allowed until 2026-11-28T00:00-05:00",
                "needed": "a time inside one of the allowed windows",
            },
            {
                "rule": "freeze", "name": "freeze", "decision": "allow", "found": "the line is not stopped",
                "needed": "a line that is not stopped",
            },
        ],
    });
    assert_eq!(serde_json::to_value(&record).expect("JSON"), expected);
    record.decision = Recorded::Override;
    assert_eq!(serde_json::to_value(&record).expect("JSON")["decision"], "override");
}

#[test]
fn what_was_let_in_names_the_window_that_let_it() {
    let mut rules = market();
    rules.zone = Zone::named("Europe/Berlin").expect("a zone");
    let record = Record::new(&verdict(at("2026-11-27T13:00:00"), &rules), Context::default());
    assert_eq!(
        (record.decision, record.rule, record.window.as_deref()),
        (Recorded::Allow, None, Some("market hours"))
    );
    assert_eq!(record.now_local, "2026-11-27T19:00:00+01:00[Europe/Berlin]");
    assert_eq!(
        (record.next_open.as_deref(), record.next_close.as_deref()),
        (Some("2026-11-30T05:00:00Z"), Some("2026-11-28T05:00:00Z"),)
    );
}

#[test]
fn the_weeks_ahead_are_a_table_that_a_person_can_read() {
    let spans = explain(at("2026-11-25T12:00:00"), at("2026-11-30T10:00:00"), LIVE, &market());
    let zone = Zone::named("America/New_York").expect("a zone");
    let table: Vec<String> = spans
        .iter()
        .map(|span| {
            let stopped = span.reasons.iter().find(|reason| reason.decision != Decision::Allow);
            let found = stopped.map_or("open", |reason| reason.found.split(';').next().unwrap_or_default());
            format!("{} {found}", zone.local(span.start).strftime("%a %H:%M"))
        })
        .collect();
    let expected = [
        "Wed 12:00 denied from 2026-11-25T09:15-05:00 until 2026-11-25T16:00-05:00",
        "Wed 16:00 open",
        "Fri 09:15 denied: too close to 2026-11-27T09:30-05:00, when it begins",
        "Fri 09:30 denied from 2026-11-27T09:15-05:00 until 2026-11-27T13:00-05:00",
        "Fri 13:00 open",
        "Sat 00:00 not on before 2026-11-30T00:00-05:00",
        "Mon 00:00 open",
        "Mon 09:15 denied: too close to 2026-11-30T09:30-05:00, when it begins",
        "Mon 09:30 denied from 2026-11-30T09:15-05:00 until 2026-11-30T16:00-05:00",
    ];
    assert_eq!(table, expected);
}

#[test]
fn stretches_that_cannot_be_explained_are_empty_or_closed() {
    let (from, until) = (at("2026-11-25T12:00:00"), at("2026-11-26T12:00:00"));
    assert_eq!(explain(from, from, LIVE, &market()), []);
    assert_eq!(explain(until, from, LIVE, &market()), []);
    let unlisted = explain(from, until, "prod", &market());
    assert_eq!(unlisted.len(), 1);
    assert_eq!((unlisted[0].start, unlisted[0].end, unlisted[0].decision), (from, until, Decision::Deny));
    let far = explain(from, at("2100-01-01T00:00:00"), LIVE, &market());
    assert_eq!(far.last().map(|span| span.end), Some(from + granary_gates::MAX_SEARCH));
}

#[test]
fn what_a_window_says_names_its_edges() {
    let long = r#"{"effect": "deny", "start": "2020-01-01T00:00", "end": "2030-01-01T00:00"}"#;
    let nights = r#"{"effect": "allow", "days": ["mon-sun"], "from": "22:00", "to": "04:00", "crosses_midnight": true,
        "guard_before": "30m", "guard_after": "10m"}"#;
    let always = r#"{"effect": "deny", "days": ["mon-sun"]}"#;
    let day_off = r#"{"effect": "deny", "days": ["thu"], "guard_after": "1h", "reason": "nobody is here"}"#;
    let market = r#"{"effect": "deny", "calendar": "us-equities", "when": "in_session"}"#;
    for (json, now, found) in [
        (long, "2026-11-18T12:00", "denied from 2019-12-31T23:45-05:00 until 2030-01-01T00:00-05:00"),
        (long, "2030-06-01T12:00", "not on, nor soon"),
        (always, "2026-11-18T12:00", "denied at any time"),
        (nights, "2026-11-18T21:59", "not on before 2026-11-18T22:10-05:00"),
        (nights, "2026-11-18T22:09", "not allowed: too close to 2026-11-18T22:00-05:00, when it begins"),
        (nights, "2026-11-18T22:10", "allowed from 2026-11-18T22:10-05:00 until 2026-11-19T03:30-05:00"),
        (nights, "2026-11-19T03:30", "not allowed: too close to 2026-11-19T04:00-05:00, when it ends"),
        (
            day_off,
            "2026-11-18T23:45",
            "denied: too close to 2026-11-19T00:00-05:00, when it begins (nobody is here)",
        ),
        (
            day_off,
            "2026-11-20T00:59",
            "denied: too close to 2026-11-20T00:00-05:00, when it ends (nobody is here)",
        ),
        (
            market,
            "2029-02-01T12:00",
            "beyond what the calendar knows, or within a guard of that; 2029-02-01 lies outside the years that \
             us-equities knows (2000 to 2028)",
        ),
        (
            market,
            "2026-11-26T12:00",
            "not on before 2026-11-27T09:15-05:00; 2026-11-26 is closed: Thanksgiving Day",
        ),
    ] {
        let verdict = verdict(at(now), &rules(vec![window(json)]));
        assert_eq!(verdict.reasons[0].found, found, "{json} {now}");
    }
}
