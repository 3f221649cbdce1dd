//! The rules beside windows, each alone and against one another.

use std::num::NonZeroUsize;

use granary_gates::Decision::{self, Allow, Deny, Undecidable};
use granary_gates::{
    Approval, Approvals, ClockReading, Fact, Facts, Finding, Freeze, Outcome, Rule, Rules, Soak, StageRules,
    Verdict, evaluate, explain, lint,
};
use jiff::{SignedDuration, Timestamp};

use crate::policy::{LIVE, at, facts, new_york, rules, us_equities, verdict, window, with};

const NOON: &str = "2026-11-18T12:00:00";

fn unknown<T>() -> Fact<T> {
    Fact::Unknown("the forge does not answer".to_owned())
}

fn decide(facts: &Facts, stage: StageRules) -> Verdict {
    evaluate(at(NOON), facts, &with(stage))
}

fn reason(verdict: &Verdict, rule: Rule) -> (Decision, &str) {
    let found = verdict.reasons.iter().find(|reason| reason.rule == rule).expect("a reason of this rule");
    (found.decision, &found.found)
}

#[test]
fn a_stage_that_is_not_listed_is_closed() {
    let elsewhere = Facts { stage: "prod".to_owned(), ..facts() };
    let verdict = evaluate(at(NOON), &elsewhere, &rules(vec![]));
    assert_eq!(verdict.decision, Deny);
    assert_eq!(verdict.reasons[0].found, "the rules do not list this stage");
    assert_eq!(verdict.reasons[0].needed, "one of live");
    assert_eq!((verdict.next_open, verdict.next_close), (None, None));
    let nothing = Rules { zone: new_york(), stages: [].into() };
    assert_eq!(evaluate(at(NOON), &facts(), &nothing).decision, Deny);
}

#[test]
fn rules_that_cannot_be_read_decide_nothing() {
    let verdict = Verdict::without_rules(at(NOON), LIVE, new_york(), "the forge does not answer");
    assert_eq!((verdict.decision, verdict.reasons[0].rule), (Undecidable, Rule::Stage));
}

#[test]
fn facts_that_nobody_asked_for_are_unknown() {
    let nothing = Facts { stage: LIVE.to_owned(), ..Facts::default() };
    let verdict = decide(&nothing, StageRules::default());
    assert_eq!(
        reason(&verdict, Rule::Freeze),
        (Undecidable, "whether the line is stopped is not known: not asked")
    );
    assert_eq!(decide(&nothing, StageRules { freeze: false, ..StageRules::default() }).decision, Allow);
}

#[test]
fn a_stopped_line_stops_until_it_is_said_to_run() {
    let frozen = |freeze| decide(&Facts { freeze, ..facts() }, StageRules::default());
    let stopped = |until: Option<&str>| {
        Fact::Known(Some(Freeze { reason: "incident 12".to_owned(), until: until.map(at) }))
    };
    assert_eq!(frozen(Fact::Known(None)).decision, Allow);
    assert_eq!(frozen(unknown()).decision, Undecidable);
    let verdict = frozen(stopped(None));
    assert_eq!(reason(&verdict, Rule::Freeze), (Deny, "the line is stopped: incident 12"));
    // Somebody has to let it run; no time does.
    assert_eq!((verdict.time_allows, verdict.next_open), (true, None));
    let verdict = frozen(stopped(Some("2026-11-18T15:00:00")));
    assert_eq!(
        reason(&verdict, Rule::Freeze),
        (Deny, "the line is stopped until 2026-11-18T15:00-05:00: incident 12")
    );
    assert_eq!((verdict.time_allows, verdict.next_open), (false, Some(at("2026-11-18T15:00:00"))));
    assert_eq!(frozen(stopped(Some(NOON))).decision, Allow);
}

#[test]
fn soak_is_over_after_its_time_and_not_a_moment_before() {
    let soak = |since: Option<Fact<Timestamp>>| {
        let times = since.map(|since| ("in beta".to_owned(), since)).into_iter().collect();
        let rule = Soak { since: "in beta".to_owned(), at_least: SignedDuration::from_mins(90) };
        decide(&Facts { times, ..facts() }, StageRules { soak: vec![rule], ..StageRules::default() })
    };
    let since = |text: &str| soak(Some(Fact::Known(at(text))));
    assert_eq!(since("2026-11-18T10:30:00").decision, Allow);
    let verdict = since("2026-11-18T10:30:01");
    assert_eq!(verdict.decision, Deny);
    assert_eq!(verdict.next_open, Some(at("2026-11-18T12:00:01")));
    let reason = verdict.in_the_way().next().expect("a reason");
    assert_eq!(reason.found, "since 2026-11-18T10:30-05:00, ready from 2026-11-18T12:00-05:00");
    assert_eq!((reason.name.as_str(), reason.needed.as_str()), ("in beta", "at least 1h30m"));
    // Somebody's clock is wrong: it has not even begun.
    assert_eq!(since("2026-11-18T13:00:00").decision, Deny);
    for verdict in [soak(Some(unknown())), soak(None)] {
        assert_eq!((verdict.decision, verdict.next_open), (Undecidable, None));
    }
}

#[test]
fn approvals_are_counted_by_person_and_without_who_asks() {
    let decide = |by: &[&str], requester: Fact<String>, needed: usize, of: &[&str]| {
        let approvals = by.iter().map(|login| Approval { by: (*login).to_owned() }).collect();
        let of = of.iter().map(|login| (*login).to_owned()).collect();
        let rule = Approvals { at_least: NonZeroUsize::new(needed).expect("not zero"), of };
        let stage = StageRules { approvals: Some(rule), ..StageRules::default() };
        decide(&Facts { approvals: Fact::Known(approvals), requester, ..facts() }, stage).decision
    };
    let carol = || Fact::Known("carol".to_owned());
    for (by, requester, needed, of, expected) in [
        (&["alice"] as &[&str], carol(), 1, &[] as &[&str], Allow),
        (&["alice", "bob"], carol(), 2, &[], Allow),
        // One person twice, by another spelling; who asks; nobody; space.
        (&["alice", "Alice"], carol(), 2, &[], Deny),
        (&["alice", " alice "], carol(), 2, &[], Deny),
        (&["carol"], carol(), 1, &[], Deny),
        (&["CAROL"], carol(), 1, &[], Deny),
        (&["alice", "carol"], carol(), 2, &[], Deny),
        (&["alice", ""], carol(), 2, &[], Deny),
        (&[], carol(), 1, &[], Deny),
        // Only some count.
        (&["alice", "mallory"], carol(), 2, &["alice", "bob"], Deny),
        (&["alice", "bob", "mallory"], carol(), 2, &["Alice", "bob"], Allow),
        // Who asks is unknown: it may be one of them.
        (&["alice", "bob"], unknown(), 2, &[], Undecidable),
        (&["alice", "bob", "dave"], unknown(), 2, &[], Allow),
        (&["alice"], unknown(), 2, &[], Deny),
        (&["alice"], Fact::Known(" ".to_owned()), 1, &[], Undecidable),
    ] {
        assert_eq!(
            decide(by, requester.clone(), needed, of),
            expected,
            "{by:?} {requester:?} {needed} {of:?}"
        );
    }
    let rule = Approvals { at_least: NonZeroUsize::MIN, of: [].into() };
    let stage = StageRules { approvals: Some(rule), ..StageRules::default() };
    let known = Facts { requester: carol(), approvals: unknown(), ..facts() };
    let verdict = self::decide(&known, stage);
    assert_eq!(
        reason(&verdict, Rule::Approvals),
        (Undecidable, "approvals are not known: the forge does not answer")
    );
}

#[test]
fn every_outcome_counts_and_a_missing_one_too() {
    let decide = |outcomes: &[(&str, Decision)]| {
        let outcome = |(name, decision): &(&str, Decision)| Outcome {
            name: (*name).to_owned(),
            decision: *decision,
            reason: "measured".to_owned(),
        };
        let outcomes = outcomes.iter().map(outcome).collect();
        let stage = StageRules { outcomes: ["errors".to_owned()].into(), ..StageRules::default() };
        decide(&Facts { outcomes, ..facts() }, stage).decision
    };
    for (outcomes, expected) in [
        (&[("errors", Allow)] as &[_], Allow),
        (&[("errors", Deny)], Deny),
        (&[("errors", Undecidable)], Undecidable),
        (&[], Undecidable),
        (&[("latency", Allow)], Undecidable),
        (&[("errors", Allow), ("latency", Deny)], Deny),
        (&[("errors", Allow), ("errors", Deny)], Deny),
        (&[("latency", Deny)], Deny),
    ] {
        assert_eq!(decide(outcomes), expected, "{outcomes:?}");
    }
}

#[test]
fn a_certain_refusal_is_the_answer_whatever_else_is_unknown() {
    let weekday = r#"{"effect": "deny", "days": ["mon-fri"], "guard_before": "0s"}"#;
    let closed = rules(vec![window(weekday)]);
    let unreachable = Facts { freeze: unknown(), ..facts() };
    let verdict = evaluate(at(NOON), &unreachable, &closed);
    assert_eq!(verdict.decision, Deny);
    let in_the_way: Vec<Rule> = verdict.in_the_way().map(|reason| reason.rule).collect();
    assert_eq!(in_the_way, [Rule::Window, Rule::Freeze]);
    assert_eq!(evaluate(at("2026-11-21T12:00:00"), &unreachable, &closed).decision, Undecidable);
}

#[test]
fn an_allow_that_is_off_decides_nothing_where_another_may_be_on() {
    let saturdays = window(r#"{"name": "a", "effect": "allow", "days": ["sat"]}"#);
    let market = r#"{"name": "b", "effect": "allow", "calendar": "us-equities", "when": "out_of_session"}"#;
    let alone = rules(vec![saturdays.clone()]);
    let both = rules(vec![saturdays, window(market)]);
    for (now, expected) in [
        ("2028-12-28T12:00:00", (Deny, Deny)),
        ("2028-12-28T17:00:00", (Deny, Allow)),
        ("2029-01-04T12:00:00", (Deny, Undecidable)),
        ("2029-01-06T12:00:00", (Allow, Allow)),
    ] {
        let found = (verdict(at(now), &alone).decision, verdict(at(now), &both).decision);
        assert_eq!(found, expected, "{now}");
    }
}

#[test]
fn a_calendar_that_is_needed_must_know_the_day() {
    let stage = StageRules { calendars: vec![us_equities()], ..StageRules::default() };
    let rules = with(stage);
    assert_eq!(verdict(at("2028-12-31T23:59:59"), &rules).decision, Allow);
    assert_eq!(verdict(at("2028-12-31T23:59:59"), &rules).next_close, Some(at("2029-01-01T00:00:00")));
    let beyond = verdict(at("2029-01-01T00:00:00"), &rules);
    assert_eq!(
        reason(&beyond, Rule::Calendar),
        (Undecidable, "2029-01-01 lies outside the years that us-equities knows (2000 to 2028)")
    );
    assert_eq!(beyond.calendars[0].name, "us-equities");
}

#[test]
fn nobody_knows_what_time_it_is_where_clocks_disagree() {
    let market = rules(vec![window(
        r#"{"effect": "deny", "calendar": "us-equities", "when": "in_session", "guard_before": "0s"}"#,
    )]);
    let decide = |now: &str, ahead: i64| {
        let clock = ClockReading { source: "registry".to_owned(), ahead: SignedDuration::from_secs(ahead) };
        evaluate(at(now), &Facts { clocks: vec![clock], ..facts() }, &market).decision
    };
    for (now, ahead, expected) in [
        ("2026-11-18T08:00:00", 60, Allow),
        ("2026-11-18T08:00:00", -60, Allow),
        ("2026-11-18T08:00:00", 61, Undecidable),
        ("2026-11-18T08:00:00", -61, Undecidable),
        ("2026-11-18T12:00:00", 30, Deny),
        // Closed whichever of the two clocks is right, and closed by one only.
        ("2026-11-18T12:00:00", 3600, Deny),
        ("2026-11-18T15:30:00", 3600, Undecidable),
        ("2026-11-18T09:40:00", -3600, Undecidable),
        ("2026-11-18T12:00:00", -9 * 86_400, Undecidable),
    ] {
        assert_eq!(decide(now, ahead), expected, "{now} {ahead}");
    }
}

#[test]
fn an_allow_that_another_continues_does_not_close_in_between() {
    let day = |day: &str| window(&format!(r#"{{"name": "{day}", "effect": "allow", "days": ["{day}"]}}"#));
    let weekend = rules(vec![day("sat"), day("sun")]);
    for (now, expected) in [
        ("2026-11-20T23:59:59", Deny),
        ("2026-11-21T00:00:00", Allow),
        ("2026-11-21T23:50:00", Allow),
        ("2026-11-22T00:00:00", Allow),
        ("2026-11-22T23:44:59", Allow),
        ("2026-11-22T23:45:00", Deny),
    ] {
        assert_eq!(verdict(at(now), &weekend).decision, expected, "{now}");
    }
}

#[test]
fn the_ends_of_time_are_times_like_any_other() {
    let windows = vec![
        window(r#"{"name": "a", "effect": "deny", "calendar": "us-equities", "when": "in_session"}"#),
        window(r#"{"name": "b", "effect": "allow", "days": ["mon-sun"], "guard_after": "24h"}"#),
    ];
    let soak = vec![Soak { since: "ever".to_owned(), at_least: SignedDuration::MAX }];
    let rules = with(StageRules { windows, soak, ..StageRules::default() });
    for now in [Timestamp::MIN, Timestamp::MAX] {
        let times = [("ever".to_owned(), Fact::Known(now))].into();
        let clocks = vec![ClockReading { source: "moon".to_owned(), ahead: SignedDuration::MIN }];
        let verdict = evaluate(now, &Facts { times, clocks, ..facts() }, &rules);
        assert_ne!(verdict.decision, Allow);
        assert_eq!((verdict.next_open, verdict.next_close), (None, None));
    }
    assert!(!explain(Timestamp::MIN, Timestamp::MAX, LIVE, &rules).is_empty());
    assert!(
        !explain(Timestamp::MAX - SignedDuration::from_hours(48), Timestamp::MAX, LIVE, &rules).is_empty()
    );
}

#[test]
fn windows_that_cannot_be_meant_are_named() {
    let named = |name: &str, rest: &str| window(&format!(r#"{{"name": "{name}", {rest}}}"#));
    let stage = StageRules {
        windows: vec![
            named("evenings", r#""effect": "allow", "days": ["mon-fri"], "from": "18:00", "to": "22:00""#),
            named("thursdays", r#""effect": "deny", "days": ["thu"]"#),
            named(
                "last year",
                r#""effect": "allow", "start": "2025-01-01T00:00", "end": "2025-02-01T00:00""#,
            ),
            named("a moment", r#""effect": "allow", "days": ["sat"], "from": "10:00", "to": "10:15""#),
        ],
        ..StageRules::default()
    };
    let findings = lint(at(NOON), &stage);
    let Finding::Overlap { allow, deny, first } = &findings[0] else { panic!("{findings:?}") };
    assert_eq!(
        (allow.as_str(), deny.as_str(), first.start),
        ("evenings", "thursdays", at("2026-11-19T18:00:00"))
    );
    let never = |allow: &str| Finding::NeverOpen { allow: allow.to_owned() };
    assert_eq!(findings[1..], [never("last year"), never("a moment")]);
}
