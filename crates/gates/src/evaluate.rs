//! The decision.

use jiff::{SignedDuration, Timestamp};

use crate::facts::{ClockReading, Fact, Facts};
use crate::interval::{Interval, Intervals, sum};
use crate::rules::{Rules, StageRules};
use crate::timeline::Timeline;
use crate::verdict::{Decision, Reason, Rule, Verdict};
use crate::window::{Drawn, MAX_GUARD};

mod others;

/// How far ahead the next opening and closing are looked for: more than a year, so that what is open once a
/// year is found.
pub const MAX_SEARCH: SignedDuration = SignedDuration::from_hours(400 * 24);

/// How far another clock may be off before nobody knows what time it is.
pub const MAX_CLOCK_SKEW: SignedDuration = SignedDuration::from_secs(60);

/// Whether the stage in `facts` may be written at `now`, with every reason.
///
/// # Design
///
/// Rules are joined by "and", so one certain refusal is the answer whatever else is unknown; without one,
/// anything unknown makes the whole undecidable. Both stop a promotion.
#[must_use]
pub fn evaluate(now: Timestamp, facts: &Facts, rules: &Rules) -> Verdict {
    let Some(stage) = rules.stages.get(&facts.stage) else {
        let listed: Vec<&str> = rules.stages.keys().map(String::as_str).collect();
        let reason = Reason {
            rule: Rule::Stage,
            name: facts.stage.clone(),
            decision: Decision::Deny,
            found: "the rules do not list this stage".to_owned(),
            needed: match listed.is_empty() {
                true => "rules that list it".to_owned(),
                false => format!("one of {}", listed.join(", ")),
            },
        };
        return Verdict::of(now, &facts.stage, rules.zone.clone(), vec![reason]);
    };
    Evaluation { now, facts, rules, stage }.verdict()
}

struct Evaluation<'a> {
    now: Timestamp,
    facts: &'a Facts,
    rules: &'a Rules,
    stage: &'a StageRules,
}

impl Evaluation<'_> {
    fn verdict(&self) -> Verdict {
        let limit = sum(self.now, MAX_SEARCH);
        let timeline = Timeline::new(self.stage, self.now, limit);
        let whole = timeline.whole();
        let mut reasons = self.clocks();
        let mut open = timeline.open.certain.clone();

        let windows = timeline.reasons(self.now);
        reasons.extend(self.demoted(&timeline.open, windows));
        for (drawn, reason) in self.timed(whole) {
            open = open.intersection(&drawn.certain);
            reasons.extend(self.demoted(&drawn, vec![reason]));
        }
        reasons.extend(self.freeze_without_end());
        reasons.extend(self.stage.approvals.as_ref().map(|rule| others::approvals(rule, self.facts)));
        reasons.extend(others::outcomes(self.stage, self.facts));
        if reasons.is_empty() {
            reasons.push(Reason {
                rule: Rule::Stage,
                name: self.facts.stage.clone(),
                decision: Decision::Allow,
                found: "the rules list this stage and ask for nothing".to_owned(),
                needed: "nothing".to_owned(),
            });
        }

        let mut verdict = Verdict::of(self.now, &self.facts.stage, self.rules.zone.clone(), reasons);
        verdict.time_allows = open.contains(self.now);
        (verdict.next_open, verdict.next_close) = turns(&open, self.now, limit);
        for calendar in self.stage.all_calendars() {
            if !verdict.calendars.contains(calendar.version()) {
                verdict.calendars.push(calendar.version().clone());
            }
        }
        verdict
    }

    /// How far off our clock may be, beyond what is accepted; nothing where it is right.
    fn doubt(&self) -> SignedDuration {
        let skews = self.facts.clocks.iter().map(ClockReading::skew);
        skews.filter(|skew| *skew > MAX_CLOCK_SKEW).max().unwrap_or(SignedDuration::ZERO)
    }

    fn clocks(&self) -> Vec<Reason> {
        let reason = |clock: &ClockReading| {
            let wrong = clock.skew() > MAX_CLOCK_SKEW;
            let way = if clock.ahead.is_negative() { "behind" } else { "ahead of" };
            Reason {
                rule: Rule::Clock,
                name: clock.source.clone(),
                decision: if wrong { Decision::Undecidable } else { Decision::Allow },
                found: format!("its clock is {} s {way} ours", clock.skew().as_secs()),
                needed: format!("clocks at most {} s apart", MAX_CLOCK_SKEW.as_secs()),
            }
        };
        self.facts.clocks.iter().map(reason).collect()
    }

    /// A refusal by time is certain only if it holds at every instant that may be now.
    fn demoted(&self, open: &Drawn, mut reasons: Vec<Reason>) -> Vec<Reason> {
        let doubt = self.doubt();
        if doubt.is_zero() {
            return reasons;
        }
        let now = Interval::new(self.now, sum(self.now, SignedDuration::from_nanos(1)));
        let may_be = Intervals::from(now.stretched(doubt, doubt));
        // Beyond a day of doubt, what may be now was not even drawn.
        if doubt > MAX_GUARD || open.possible.intersection(&may_be) != Intervals::none() {
            for reason in reasons.iter_mut().filter(|reason| reason.decision == Decision::Deny) {
                reason.decision = Decision::Undecidable;
            }
        }
        reasons
    }

    /// The rules beside windows that time alone opens: soak, a freeze with an end.
    fn timed(&self, whole: Interval) -> Vec<(Drawn, Reason)> {
        let from = |at: Timestamp| Drawn::certain(Interval::new(at.max(whole.start), whole.end).into());
        let made = |rule, name: &str, open: Drawn, found: String, needed: String| {
            let decision = open.at(self.now);
            (open, Reason { rule, name: name.to_owned(), decision, found, needed })
        };
        let zone = &self.rules.zone;
        let mut timed = Vec::new();
        for soak in &self.stage.soak {
            let unknown = |why: &str| {
                let open = Drawn { certain: Intervals::none(), possible: whole.into() };
                (open, format!("since when is not known: {why}"))
            };
            let (open, found) = match self.facts.times.get(&soak.since) {
                Some(Fact::Known(since)) => {
                    let ready = sum(*since, soak.at_least);
                    (from(ready), format!("since {}, ready from {}", zone.short(*since), zone.short(ready)))
                }
                Some(Fact::Unknown(why)) => unknown(why),
                None => unknown("not asked"),
            };
            let needed = format!("at least {}", spoken(soak.at_least));
            timed.push(made(Rule::Soak, &soak.since, open, found, needed));
        }
        if self.stage.freeze
            && let Fact::Known(Some(freeze)) = &self.facts.freeze
            && let Some(until) = freeze.until
        {
            let verb = if self.now < until { "is" } else { "was" };
            let found = format!("the line {verb} stopped until {}: {}", zone.short(until), freeze.reason);
            timed.push(made(Rule::Freeze, "freeze", from(until), found, RUNNING.to_owned()));
        }
        timed
    }

    fn freeze_without_end(&self) -> Option<Reason> {
        if !self.stage.freeze {
            return None;
        }
        let (decision, found) = match &self.facts.freeze {
            Fact::Known(None) => (Decision::Allow, "the line is not stopped".to_owned()),
            Fact::Known(Some(freeze)) if freeze.until.is_some() => return None,
            Fact::Known(Some(freeze)) => (Decision::Deny, format!("the line is stopped: {}", freeze.reason)),
            Fact::Unknown(why) => {
                (Decision::Undecidable, format!("whether the line is stopped is not known: {why}"))
            }
        };
        let name = "freeze".to_owned();
        Some(Reason { rule: Rule::Freeze, name, decision, found, needed: RUNNING.to_owned() })
    }
}

const RUNNING: &str = "a line that is not stopped";

/// The next opening and the next closing after an instant.
fn turns(open: &Intervals, now: Timestamp, limit: Timestamp) -> (Option<Timestamp>, Option<Timestamp>) {
    let within = |at: Timestamp| (at <= limit).then_some(at);
    let next = open.next_after(now);
    let next_open = next.and_then(|next| within(next.start));
    let closes = open.at(now).or(next_open.and(next));
    (next_open, closes.and_then(|current| within(current.end)))
}

/// `1h30m`
fn spoken(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    let parts =
        [(seconds / 86_400, "d"), (seconds / 3_600 % 24, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let text: String =
        parts.iter().filter(|(count, _)| *count != 0).map(|(count, unit)| format!("{count}{unit}")).collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}
