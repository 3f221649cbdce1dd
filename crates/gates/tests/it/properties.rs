//! What holds for any windows at any time.

use granary_gates::{Decision, RawWindow, Rules, Window, explain};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use crate::policy::{LIVE, at, decision, defaults, rules, verdict};

const SECOND: SignedDuration = SignedDuration::from_secs(1);

fn text(text: impl Into<String>) -> Option<String> {
    Some(text.into())
}

fn weekly() -> impl Strategy<Value = RawWindow> {
    const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let clock = |minutes: u32| text(format!("{:02}:{:02}", minutes / 60, minutes % 60));
    (prop::sample::subsequence(&DAYS, 1..=7), 0u32..1440, 0u32..1440).prop_map(move |(days, from, to)| {
        RawWindow {
            days: Some(days.into_iter().map(str::to_owned).collect()),
            from: clock(from),
            to: clock(to),
            crosses_midnight: Some(to <= from),
            ..RawWindow::default()
        }
    })
}

fn session() -> impl Strategy<Value = RawWindow> {
    (prop::sample::select(&["regular", "extended"]), prop::sample::select(&["in_session", "out_of_session"]))
        .prop_map(|(session, when)| RawWindow {
            calendar: text("us-equities"),
            session: text(session),
            when: text(when),
            ..RawWindow::default()
        })
}

fn once() -> impl Strategy<Value = RawWindow> {
    (instant(), 60i64..40 * 86_400).prop_map(|(start, seconds)| RawWindow {
        start: text(start.to_string()),
        end: text((start + SignedDuration::from_secs(seconds)).to_string()),
        ..RawWindow::default()
    })
}

fn raw(effect: &'static str) -> impl Strategy<Value = RawWindow> {
    (prop_oneof![4 => weekly(), 3 => session(), 1 => once()], 0u32..180, 0u32..120).prop_map(
        move |(window, before, after)| RawWindow {
            effect: text(effect),
            guard_before: text(format!("{before}m")),
            guard_after: text(format!("{after}m")),
            ..window
        },
    )
}

fn raw_windows() -> impl Strategy<Value = Vec<RawWindow>> {
    prop::collection::vec(prop_oneof![raw("allow"), raw("deny")], 0..4)
}

/// Whole seconds of 2026 to the first days behind the horizon, and often near a change of clocks or the horizon.
fn instant() -> impl Strategy<Value = Timestamp> {
    let second = |text: &str| at(text).as_second();
    prop_oneof![
        second("2026-01-01T00:00:00Z")..second("2029-01-15T00:00:00Z"),
        second("2026-03-06T00:00:00Z")..second("2026-03-10T00:00:00Z"),
        second("2026-10-30T00:00:00Z")..second("2026-11-03T00:00:00Z"),
        second("2028-12-25T00:00:00Z")..second("2029-01-15T00:00:00Z"),
    ]
    .prop_map(|second| Timestamp::from_second(second).expect("a timestamp"))
}

fn resolved(raw: &[RawWindow]) -> Vec<Window> {
    Window::resolve_all(raw, "w", &defaults()).expect("windows in order")
}

fn open(now: Timestamp, rules: &Rules) -> bool {
    decision(now, rules) == Decision::Allow
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_next_turns_are_where_the_decision_turns(
        raw in raw_windows(), now in instant(), parts in prop::collection::vec(0.0f64..1.0, 6),
    ) {
        let rules = rules(resolved(&raw));
        let found = verdict(now, &rules);
        let open_now = found.decision == Decision::Allow;
        let first = if open_now { found.next_close } else { found.next_open };
        let bound = first.unwrap_or(now + granary_gates::MAX_SEARCH);
        prop_assert!(now < bound && bound <= now + granary_gates::MAX_SEARCH);
        for part in parts {
            let length = (bound - SECOND).duration_since(now);
            let sample = now + SignedDuration::from_secs((length.as_secs_f64() * part) as i64);
            prop_assert_eq!(open(sample, &rules), open_now, "{} before {}", sample, bound);
        }
        // Half-open: the second before it is as it was, the instant itself is not.
        if let Some(turn) = first {
            prop_assert_eq!(open(turn, &rules), !open_now, "{}", turn);
            prop_assert_eq!(open(turn - SECOND, &rules), open_now, "{}", turn);
            prop_assert_eq!(open(turn - SignedDuration::from_nanos(1), &rules), open_now, "{}", turn);
        }
        let second = if open_now { found.next_open } else { found.next_close };
        if let Some(turn) = second {
            prop_assert!(first.is_some_and(|first| first < turn));
            prop_assert_eq!(open(turn, &rules), open_now, "{}", turn);
            prop_assert_eq!(open(turn - SECOND, &rules), !open_now, "{}", turn);
        }
    }

    #[test]
    fn one_more_deny_never_opens_and_one_that_is_on_always_closes(
        raw in raw_windows(), more in raw("deny"), now in instant(),
    ) {
        let before = decision(now, &rules(resolved(&raw)));
        let mut with_deny = resolved(&raw);
        with_deny.push(resolved(&[RawWindow { name: text("more"), ..more.clone() }]).remove(0));
        let after = decision(now, &rules(with_deny));
        prop_assert!(after >= before);
        let alone = decision(now, &rules(resolved(&[more])));
        prop_assert_eq!(after, before.max(alone));
    }

    #[test]
    fn one_more_allow_never_closes_where_there_is_one(
        raw in (raw("allow"), raw_windows()), more in raw("allow"), now in instant(),
    ) {
        let windows = resolved(&[vec![raw.0], raw.1].concat());
        let before = decision(now, &rules(windows.clone()));
        let with_allow = [windows, resolved(&[RawWindow { name: text("more"), ..more }])].concat();
        prop_assert!(decision(now, &rules(with_allow)) <= before);
    }

    #[test]
    fn longer_guards_never_open(
        raw in raw_windows(),
        index in any::<prop::sample::Index>(),
        more in 1u32..300,
        before in any::<bool>(),
        now in instant(),
    ) {
        prop_assume!(!raw.is_empty());
        let shorter = decision(now, &rules(resolved(&raw)));
        let mut longer = raw.clone();
        let window = &mut longer[index.index(raw.len())];
        let guard = if before { &mut window.guard_before } else { &mut window.guard_after };
        let minutes = guard.as_deref().and_then(|text| text.trim_end_matches('m').parse::<u32>().ok());
        let minutes = minutes.expect("minutes");
        *guard = text(format!("{}m", minutes + more));
        prop_assert!(decision(now, &rules(resolved(&longer))) >= shorter);
    }

    #[test]
    fn the_timeline_has_no_gaps_and_says_what_the_decision_is(
        raw in raw_windows(),
        from in instant(),
        days in 1i64..20,
        parts in prop::collection::vec(0.0f64..1.0, 4),
    ) {
        let rules = rules(resolved(&raw));
        let until = from + SignedDuration::from_hours(days * 24);
        let spans = explain(from, until, LIVE, &rules);
        prop_assert_eq!(spans.first().map(|span| span.start), Some(from));
        prop_assert_eq!(spans.last().map(|span| span.end), Some(until));
        for pair in spans.windows(2) {
            prop_assert_eq!(pair[0].end, pair[1].start);
            prop_assert!((pair[0].decision, &pair[0].reasons) != (pair[1].decision, &pair[1].reasons));
        }
        for part in parts {
            let length = until.duration_since(from);
            let sample = from + SignedDuration::from_secs((length.as_secs_f64() * part) as i64);
            let span = spans.iter().find(|span| span.start <= sample && sample < span.end);
            prop_assert_eq!(span.map(|span| span.decision), Some(decision(sample, &rules)), "{}", sample);
        }
    }
}
