//! The weeks ahead as the windows of a stage leave them, and windows that cannot be meant as they are.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::evaluate::{MAX_SEARCH, evaluate};
use crate::facts::Facts;
use crate::interval::{Interval, sum};
use crate::rules::{Rules, StageRules};
use crate::timeline::Timeline;
use crate::verdict::{Decision, Reason, Verdict};
use crate::window::Effect;

/// A stretch of time over which windows say the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its first instant.
    pub start: Timestamp,
    /// The first instant after it.
    pub end: Timestamp,
    /// Whether the windows leave the stage open.
    pub decision: Decision,
    /// What they say.
    pub reasons: Vec<Reason>,
}

/// Windows that are perhaps not meant as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Both are on at the same time; the deny wins.
    Overlap {
        /// The allow's name.
        allow: String,
        /// The deny's name.
        deny: String,
        /// The first time.
        first: Interval,
    },
    /// An allow that opens nothing within [`MAX_SEARCH`]: past, denied throughout, or shorter than its
    /// guards.
    NeverOpen {
        /// Its name.
        allow: String,
    },
}

/// The time from `from` to `until`, at most [`MAX_SEARCH`], without gaps. Windows and calendars only: what
/// waits for somebody has no place on a calendar. An unlisted stage is one closed span.
#[must_use]
pub fn explain(from: Timestamp, until: Timestamp, stage: &str, rules: &Rules) -> Vec<Span> {
    let until = until.min(sum(from, MAX_SEARCH));
    if until <= from {
        return Vec::new();
    }
    let Some(listed) = rules.stages.get(stage) else {
        let facts = Facts { stage: stage.to_owned(), ..Facts::default() };
        let Verdict { decision, reasons, .. } = evaluate(from, &facts, rules);
        return vec![Span { start: from, end: until, decision, reasons }];
    };
    let timeline = Timeline::new(listed, from, until);
    let edges: BTreeSet<Timestamp> = timeline.edges().chain([from, until]).collect();
    let edges: Vec<Timestamp> = edges.range(from..=until).copied().collect();
    let mut spans: Vec<Span> = Vec::new();
    for (start, end) in edges.iter().zip(edges.iter().skip(1)) {
        let (start, end) = (*start, *end);
        let reasons = timeline.reasons(start);
        let decision = reasons.iter().map(|reason| reason.decision).max().unwrap_or(Decision::Allow);
        match spans.last_mut() {
            Some(last) if last.decision == decision && last.reasons == reasons => last.end = end,
            _ => spans.push(Span { start, end, decision, reasons }),
        }
    }
    spans
}

/// What is odd about the windows of a stage from an instant on. Nothing here keeps a gate from deciding.
#[must_use]
pub fn lint(from: Timestamp, stage: &StageRules) -> Vec<Finding> {
    let until = sum(from, MAX_SEARCH);
    let timeline = Timeline::new(stage, from, until);
    let of = |effect| timeline.windows().iter().filter(move |seen| seen.window.effect() == effect);
    let searched = Interval::new(from, until).into();
    let mut findings = Vec::new();
    for allow in of(Effect::Allow) {
        let name = allow.window.name().to_owned();
        let opens = allow.guarded.possible.intersection(&timeline.open.possible).intersection(&searched);
        if opens.iter().next().is_none() {
            findings.push(Finding::NeverOpen { allow: name.clone() });
        }
        for deny in of(Effect::Deny) {
            let both = allow.on.certain.intersection(&deny.on.certain).intersection(&searched);
            if let Some(first) = both.iter().next() {
                let deny = deny.window.name().to_owned();
                findings.push(Finding::Overlap { allow: name.clone(), deny, first: *first });
            }
        }
    }
    findings
}
