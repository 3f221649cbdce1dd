//! What is kept of a decision: one JSON object, on standard output, in a file, and later in the audit trail.

use jiff::Timestamp;
use serde::Serialize;

use crate::verdict::{Decision, Reason, Rule, Verdict};

/// What a decision was about; the gate itself does not look at it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// SHA-256, in hex, of the policy's bytes; none where there is no policy.
    pub policy_sha256: Option<String>,
    /// The repository, or the place, that is to be written.
    pub target: Option<String>,
    /// The bytes that are to be promoted.
    pub digest: Option<String>,
}

/// What was done about a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Recorded {
    /// Open.
    Allow,
    /// Closed.
    Deny,
    /// Not known to be open, and therefore closed.
    Undecidable,
    /// Not open, and overridden by a request that is on record too.
    Override,
}

/// The record. Times are RFC 3339; local ones carry offset and zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    /// The outcome.
    pub decision: Recorded,
    /// What stands in the way, in one line; what lets it pass where nothing does.
    pub reason: String,
    /// The first rule that stands in the way.
    pub rule: Option<Rule>,
    /// The first window that does; the one that lets it pass where none does.
    pub window: Option<String>,
    /// The stage.
    pub stage: String,
    /// The time of the decision.
    pub now_utc: String,
    /// The same by local clocks.
    pub now_local: String,
    /// Whose clocks.
    pub tz: &'static str,
    /// The release of the tz data.
    pub tzdb_version: &'static str,
    /// The calendar's version where one had a say.
    pub calendar_version: Option<String>,
    /// Its hash.
    pub calendar_sha256: Option<String>,
    /// When time opens the stage next.
    pub next_open: Option<String>,
    /// When time closes it next.
    pub next_close: Option<String>,
    /// The policy's hash.
    pub policy_sha256: Option<String>,
    /// What was to be written.
    pub target: Option<String>,
    /// The bytes.
    pub digest: Option<String>,
    /// Every rule that was asked.
    pub reasons: Vec<Reason>,
}

impl Record {
    /// The record of a verdict.
    #[must_use]
    pub fn new(verdict: &Verdict, context: Context) -> Record {
        let first = verdict.in_the_way().next();
        let blocked = first.is_some();
        let window = verdict.in_the_way().chain(&verdict.reasons).find(|reason| reason.rule == Rule::Window);
        let line = |reason: &Reason| format!("{}: {}", reason.name, reason.found);
        let lines: Vec<String> = match blocked {
            true => verdict.in_the_way().map(line).collect(),
            false => verdict.reasons.iter().map(line).collect(),
        };
        let calendar = verdict.calendars.first();
        let utc = |at: Timestamp| at.to_string();
        Record {
            decision: match verdict.decision {
                Decision::Allow => Recorded::Allow,
                Decision::Deny => Recorded::Deny,
                Decision::Undecidable => Recorded::Undecidable,
            },
            reason: lines.join("; "),
            rule: first.map(|reason| reason.rule),
            // Where something else stands in the way, a window that is open is not the one that decided.
            window: window
                .filter(|window| !blocked || window.decision != Decision::Allow)
                .map(|window| window.name.clone()),
            stage: verdict.stage.clone(),
            now_utc: utc(verdict.now),
            now_local: verdict.zone.show(verdict.now),
            tz: verdict.zone.name(),
            tzdb_version: verdict.tzdb_version,
            calendar_version: calendar.map(|calendar| format!("{}/{}", calendar.name, calendar.version)),
            calendar_sha256: calendar.map(|calendar| calendar.sha256.clone()),
            next_open: verdict.next_open.map(utc),
            next_close: verdict.next_close.map(utc),
            policy_sha256: context.policy_sha256,
            target: context.target,
            digest: context.digest,
            reasons: verdict.reasons.clone(),
        }
    }
}
