//! What a gate answers.

use jiff::Timestamp;
use serde::Serialize;

use crate::calendar::CalendarVersion;
use crate::zone::Zone;

/// Open, closed, or not known to be open. The last two both stop a promotion; they differ in what has to be
/// mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// Every rule lets it pass.
    Allow,
    /// Nothing forbids it for certain, but something that has a say is unknown.
    Undecidable,
    /// Forbidden, whatever the unknown things turn out to be.
    Deny,
}

/// The kinds of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// The rules themselves: read, and the stage is among them.
    Stage,
    /// Our clock agrees with others.
    Clock,
    /// A calendar knows today.
    Calendar,
    /// Windows.
    Window,
    /// The line is not stopped.
    Freeze,
    /// Time has passed.
    Soak,
    /// Persons agree.
    Approvals,
    /// Analyses and health checks.
    Analysis,
}

/// What one rule found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// The kind of rule.
    pub rule: Rule,
    /// Which one of its kind: the window's name, the analysis', the stage's.
    pub name: String,
    /// What this rule by itself decides.
    pub decision: Decision,
    /// What is the case.
    pub found: String,
    /// What would be accepted.
    pub needed: String,
}

/// A decision with all that it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The stage that was asked about.
    pub stage: String,
    /// When.
    pub now: Timestamp,
    /// Closed where one rule denies; else undecidable where one is; else open.
    pub decision: Decision,
    /// Every rule that was asked, in the order of [`Rule`].
    pub reasons: Vec<Reason>,
    /// Whether windows, soak, calendars and freezes with an end let it pass now, by our clock. Where they do and
    /// the decision is another, waiting is for a person or another system, and `next_open` is not what is
    /// waited for.
    pub time_allows: bool,
    /// When time next opens the stage: the first instant after now from which windows, soak, calendars and
    /// freezes with an end all let it pass. What waits for a person or another system is left aside. `None`
    /// where that is not known to come within [`crate::MAX_SEARCH`].
    pub next_open: Option<Timestamp>,
    /// When time next closes it: comes before `next_open` while it is open, after it while it is closed.
    pub next_close: Option<Timestamp>,
    /// Whose clocks messages show.
    pub zone: Zone,
    /// The release of the tz data.
    pub tzdb_version: &'static str,
    /// The calendars that had a say.
    pub calendars: Vec<CalendarVersion>,
}

impl Verdict {
    /// The verdict where the rules themselves are out of reach or not in order.
    #[must_use]
    pub fn without_rules(now: Timestamp, stage: &str, zone: Zone, why: &str) -> Verdict {
        let reason = Reason {
            rule: Rule::Stage,
            name: stage.to_owned(),
            decision: Decision::Undecidable,
            found: why.to_owned(),
            needed: "rules that can be read".to_owned(),
        };
        Verdict::of(now, stage, zone, vec![reason])
    }

    /// A verdict of these reasons; times and calendars are for the caller to add.
    pub(crate) fn of(now: Timestamp, stage: &str, zone: Zone, mut reasons: Vec<Reason>) -> Verdict {
        reasons.sort_by_key(|reason| reason.rule);
        let decision = reasons.iter().map(|reason| reason.decision).max().unwrap_or(Decision::Undecidable);
        Verdict {
            stage: stage.to_owned(),
            now,
            decision,
            reasons,
            time_allows: false,
            next_open: None,
            next_close: None,
            zone,
            tzdb_version: crate::zone::tzdb_version(),
            calendars: Vec::new(),
        }
    }

    /// The reasons that stand in the way, those of certain refusals first.
    pub fn in_the_way(&self) -> impl Iterator<Item = &Reason> {
        let of = |decision| self.reasons.iter().filter(move |reason| reason.decision == decision);
        of(Decision::Deny).chain(of(Decision::Undecidable))
    }
}
