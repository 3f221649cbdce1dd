//! The windows and calendars of a stage laid over one another: when they leave it open, and what each of them
//! says at an instant.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::calendar::Calendar;
use crate::interval::{Interval, Intervals, sum};
use crate::rules::StageRules;
use crate::verdict::{Decision, Reason, Rule};
use crate::window::{Drawn, Effect, MAX_GUARD, Window};

/// Drawn beyond both ends, so that what happens at the edges of the drawing is nobody's concern: a guard and
/// a day.
const MARGIN: SignedDuration = MAX_GUARD.saturating_add(SignedDuration::from_hours(48));

/// The windows of one stage, and the calendars that it needs, over a stretch of time.
pub(crate) struct Timeline<'a> {
    whole: Interval,
    windows: Vec<Seen<'a>>,
    calendars: Vec<(&'a Arc<Calendar>, Drawn)>,
    /// When they leave the stage open.
    pub(crate) open: Drawn,
    /// When one of the allows is on.
    covered: Drawn,
    /// The same with their guards taken off; always where there are no allows.
    allowed: Drawn,
}

/// One window over a stretch of time.
pub(crate) struct Seen<'a> {
    pub(crate) window: &'a Window,
    /// While it is on.
    pub(crate) on: Drawn,
    /// The same with its guards: longer for a deny, shorter for an allow.
    pub(crate) guarded: Drawn,
}

impl<'a> Timeline<'a> {
    /// Lays them over the time from `from` to `until`.
    pub(crate) fn new(stage: &'a StageRules, from: Timestamp, until: Timestamp) -> Timeline<'a> {
        let whole = Interval::new(sum(from, -MARGIN), sum(until, MARGIN));
        let drawn: Vec<(&Window, Drawn)> =
            stage.windows.iter().map(|window| (window, window.draw(whole))).collect();
        let of = |effect| drawn.iter().filter(move |(window, _)| window.effect() == effect);
        let covered = all_of(of(Effect::Allow).map(|(_, on)| on));
        let windows: Vec<Seen<'a>> = drawn
            .iter()
            .map(|(window, on)| {
                let (before, after) = (window.guard_before(), window.guard_after());
                let guarded = match window.effect() {
                    Effect::Deny => on.map(|on| on.stretched(before, after)),
                    // What another allow continues does not end here.
                    Effect::Allow => {
                        on.with(&covered.map(|all| all.stretched(-after, -before)), Intervals::intersection)
                    }
                };
                Seen { window, on: on.clone(), guarded }
            })
            .collect();
        let guarded = |effect| {
            all_of(windows.iter().filter(|seen| seen.window.effect() == effect).map(|seen| &seen.guarded))
        };
        let denied = guarded(Effect::Deny);
        let allowed = match of(Effect::Allow).next() {
            Some(_) => guarded(Effect::Allow),
            None => Drawn::certain(whole.into()),
        };
        let known =
            |calendar: &Calendar| Drawn { certain: calendar.known_within(whole), possible: whole.into() };
        let calendars: Vec<_> = stage.calendars.iter().map(|one| (one, known(one))).collect();
        let mut open = allowed.with(&denied.not(whole), Intervals::intersection);
        for (_, known) in &calendars {
            open = open.with(known, Intervals::intersection);
        }
        Timeline { whole, windows, calendars, open, covered, allowed }
    }

    /// The time that is drawn, beyond what was asked for.
    pub(crate) fn whole(&self) -> Interval {
        self.whole
    }

    pub(crate) fn windows(&self) -> &[Seen<'a>] {
        &self.windows
    }

    /// Every instant at which one of them may begin to say something else, in no order.
    pub(crate) fn edges(&self) -> impl Iterator<Item = Timestamp> {
        let windows = self.windows.iter().flat_map(|seen| [&seen.on, &seen.guarded]);
        let drawn = windows.chain(self.calendars.iter().map(|(_, known)| known));
        let intervals = drawn.flat_map(|drawn| drawn.certain.iter().chain(drawn.possible.iter()));
        intervals.flat_map(|one| [one.start, one.end])
    }

    /// What they say at an instant. Allows that are not on are named only where none is.
    pub(crate) fn reasons(&self, at: Timestamp) -> Vec<Reason> {
        let allowed = self.allowed.at(at);
        let calendars = self.calendars.iter().map(|(calendar, known)| Reason {
            rule: Rule::Calendar,
            name: calendar.name().to_owned(),
            decision: known.at(at),
            found: calendar.describe(calendar.zone().local(at).date()),
            needed: "a day that the calendar knows".to_owned(),
        });
        calendars
            .chain(self.windows.iter().filter_map(|seen| {
                let decision = match (seen.window.effect(), seen.guarded.at(at)) {
                    (Effect::Deny, on) => on.opposite(),
                    (Effect::Allow, Decision::Allow) => Decision::Allow,
                    // One that is on is enough.
                    (Effect::Allow, _) if allowed == Decision::Allow => return None,
                    (Effect::Allow, _) => allowed,
                };
                Some(self.reason(seen, decision, at))
            }))
            .collect()
    }

    fn reason(&self, seen: &Seen<'_>, decision: Decision, at: Timestamp) -> Reason {
        let window = seen.window;
        let deny = window.effect() == Effect::Deny;
        let mut found = match (seen.guarded.at(at), seen.on.at(at)) {
            (Decision::Undecidable, _) => {
                "beyond what the calendar knows, or within a guard of that".to_owned()
            }
            (Decision::Allow, Decision::Deny) => self.guarded(seen, at),
            (Decision::Allow, _) => {
                let word = if deny { "denied" } else { "allowed" };
                format!("{word} {}", self.stretch(seen, seen.guarded.certain.at(at)))
            }
            (Decision::Deny, Decision::Deny) => self.next(seen, at),
            (Decision::Deny, _) => self.guarded(seen, at),
        };
        if let Some(calendar) = window.calendar() {
            let today = calendar.zone().local(at).date();
            found = format!("{found}; {}", calendar.describe(today));
        }
        if let Some(reason) = window.reason().filter(|_| decision != Decision::Allow) {
            found = format!("{found} ({reason})");
        }
        let needed =
            if deny { "a time outside of this window" } else { "a time inside one of the allowed windows" };
        Reason {
            rule: Rule::Window,
            name: window.name().to_owned(),
            decision,
            found,
            needed: needed.to_owned(),
        }
    }

    /// Between an edge and its guard's: a deny's own edge, or that of all allows together.
    fn guarded(&self, seen: &Seen<'_>, at: Timestamp) -> String {
        let zone = seen.window.zone();
        let deny = seen.window.effect() == Effect::Deny;
        let (begins, ends) = if deny {
            let past = seen.on.certain.iter().map(|past| past.end).take_while(|end| *end <= at).last();
            let next = seen.on.certain.next_after(at).map(|next| next.start);
            (next.filter(|next| next.duration_since(at) <= seen.window.guard_before()), past)
        } else {
            let around = self.covered.certain.at(at);
            let begin = around.map(|around| around.start);
            let begin = begin.filter(|begin| at.duration_since(*begin) < seen.window.guard_after());
            (begin, around.map(|around| around.end))
        };
        let verb = if deny { "denied" } else { "not allowed" };
        let edge = begins.map(|begins| (begins, "begins")).or(ends.map(|ends| (ends, "ends")));
        match edge {
            Some((edge, word)) => format!("{verb}: too close to {}, when it {word}", zone.short(edge)),
            None => format!("{verb}: too close to where it begins or ends"),
        }
    }

    fn next(&self, seen: &Seen<'_>, at: Timestamp) -> String {
        let next = seen.guarded.certain.next_after(at).filter(|next| next.start < self.whole.end);
        match next {
            Some(next) => format!("not on before {}", seen.window.zone().short(next.start)),
            None => "not on, nor soon".to_owned(),
        }
    }

    /// From when to when; an edge of the drawing is no edge of a window that comes again.
    fn stretch(&self, seen: &Seen<'_>, on: Option<Interval>) -> String {
        let (zone, once) = (seen.window.zone(), seen.window.is_once());
        let Some(on) = on else { return "now".to_owned() };
        let from = (once || on.start > self.whole.start).then(|| format!("from {}", zone.short(on.start)));
        let until = (once || on.end < self.whole.end).then(|| format!("until {}", zone.short(on.end)));
        match (from, until) {
            (Some(from), Some(until)) => format!("{from} {until}"),
            (Some(only), None) | (None, Some(only)) => only,
            (None, None) => "at any time".to_owned(),
        }
    }
}

impl Drawn {
    /// [`Decision::Allow`] where it holds, [`Decision::Deny`] where it cannot.
    pub(crate) fn at(&self, at: Timestamp) -> Decision {
        if self.certain.contains(at) {
            Decision::Allow
        } else if self.possible.contains(at) {
            Decision::Undecidable
        } else {
            Decision::Deny
        }
    }
}

impl Decision {
    /// What holds where the other thing does not.
    fn opposite(self) -> Decision {
        match self {
            Decision::Allow => Decision::Deny,
            Decision::Undecidable => Decision::Undecidable,
            Decision::Deny => Decision::Allow,
        }
    }
}

/// What one of them covers.
fn all_of<'d>(drawn: impl Iterator<Item = &'d Drawn>) -> Drawn {
    let drawn: Vec<&Drawn> = drawn.collect();
    let join = |of: fn(&Drawn) -> &Intervals| {
        drawn.iter().flat_map(move |one| of(one).iter()).copied().collect::<Intervals>()
    };
    Drawn { certain: join(|one| &one.certain), possible: join(|one| &one.possible) }
}
