//! Stages.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::Arc;

use granary_attest::trust::TrustedKey;
use granary_gates::{Approvals, Calendar, Defaults, RawWindow, Soak, StageRules, Window, Zone};
use jiff::SignedDuration;

use crate::break_glass::{self, BreakGlass};
use crate::error::Problem;
use crate::evidence::{Evidence, PartialEvidence, distinct, trusted_keys};
use crate::files::Files;
use crate::health::duration;
use crate::known::Known;
use crate::loosening;
use crate::reader::Reader;
use crate::yaml::{Entry, Node, shown};

/// The moment at which the candidate was published, in [`granary_gates::Facts::times`].
pub const PUBLISHED: &str = "published";

/// The moment at which the newest of its tests ended.
pub const TESTED: &str = "tested";

/// The longest soak.
const MAX_SOAK: std::time::Duration = std::time::Duration::from_secs(90 * 86_400);

/// What a stage asks for beside time and persons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// The policy's rules, with what the stage says in their place.
    pub evidence: Evidence,
    /// The analyses that must have succeeded.
    pub analyses: Vec<String>,
    /// The health checks that must have succeeded.
    pub health: Vec<String>,
    /// How its gates may be overridden.
    pub break_glass: BreakGlass,
    /// Settings of [`crate::LOOSENING`] that count in restarted and deployed pipelines too.
    pub allow: BTreeSet<&'static str>,
    /// The keys whose promotion summaries count. None: those of the setting `promoter_keys`.
    pub promoter_keys: Vec<TrustedKey>,
}

/// What stages refer to.
pub(crate) struct Surroundings<'a> {
    pub(crate) root: &'a Node,
    /// `None` where it is wrong: windows are then judged in UTC, so that what else is wrong is told.
    pub(crate) zone: Option<Zone>,
    pub(crate) calendars: Vec<Arc<Calendar>>,
    pub(crate) evidence: &'a PartialEvidence,
}

type Stages = (BTreeMap<String, StageRules>, BTreeMap<String, Stage>);

pub(crate) fn read(reader: &mut Reader, around: &Surroundings<'_>, files: &mut Files<'_>) -> Stages {
    let mut stages = Stages::default();
    let listed = around.root.get("stages").map(Node::entries).unwrap_or_default();
    if let Some(node) = around.root.get("stages").filter(|_| listed.is_empty()) {
        let needed = "at least one stage, such as `stable`".to_owned();
        reader.at(node.place, "stages", Problem::Missing { needed });
    }
    for Entry { place, key, value } in listed {
        let path = format!("stages.{key}");
        if [PUBLISHED, TESTED].contains(&key.as_str()) {
            let needed = "a stage's name: `soak` has another meaning for it";
            reader.at(*place, &path, Problem::Form { found: key.clone(), needed });
        }
        let one = One { around, name: key, node: value, path };
        if let Some((rules, stage)) = one.read(reader, files) {
            stages.0.insert(key.clone(), rules);
            stages.1.insert(key.clone(), stage);
        }
    }
    stages
}

struct One<'a> {
    around: &'a Surroundings<'a>,
    name: &'a str,
    node: &'a Node,
    path: String,
}

impl One<'_> {
    /// `None` where something is wrong, all of which is then reported.
    fn read(&self, reader: &mut Reader, files: &mut Files<'_>) -> Option<(StageRules, Stage)> {
        let get = |key| self.node.get(key);
        let windows = self.windows(reader);
        let soak = self.soak(reader);
        let approvals = get("approvals").and_then(|node| self.approvals(reader, node));
        let health = self.asked(reader, "health");
        let analyses = self.asked(reader, "analysis");
        let evidence = PartialEvidence::read(reader, get("evidence"), &self.at("evidence"), files);
        let break_glass = break_glass::read(reader, get("break_glass"), &self.at("break_glass"));
        let allow = loosening::read(reader, get("allow"), &self.at("allow"));
        let promoter_keys = get("promoter_keys")
            .map(|list| trusted_keys(reader, list, &self.at("promoter_keys"), files))
            .unwrap_or_default();
        let rules = StageRules {
            windows: windows?,
            freeze: get("freeze").and_then(Node::flag).unwrap_or(true),
            calendars: Vec::new(),
            soak,
            approvals,
            outcomes: analyses.iter().chain(&health).cloned().collect(),
        };
        let evidence = evidence.or(self.around.evidence);
        let break_glass = break_glass?;
        Some((rules, Stage { evidence, analyses, health, break_glass, allow, promoter_keys }))
    }

    fn at(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    fn windows(&self, reader: &mut Reader) -> Option<Vec<Window>> {
        let raw: Vec<RawWindow> =
            self.node.get("windows").into_iter().flat_map(Node::items).map(raw_window).collect();
        let zone = self.around.zone.clone().unwrap_or_else(Zone::utc);
        let defaults = Defaults { zone: Some(zone), calendars: self.around.calendars.clone() };
        let result = Window::resolve_all(&raw, &self.at("windows"), &defaults);
        reader.gates(self.around.root, result)
    }

    fn soak(&self, reader: &mut Reader) -> Vec<Soak> {
        let mut found: Vec<Soak> = Vec::new();
        for (index, node) in self.node.get("soak").into_iter().flat_map(Node::items).enumerate() {
            let path = format!("{}[{index}]", self.at("soak"));
            let at_least = duration(reader, node, &path, "at_least", MAX_SOAK, "90 days").flatten();
            let Some(at) = node.get("since") else { continue };
            let Some(since) = at.text() else { continue };
            let path = format!("{path}.since");
            let stages = self.around.root.get("stages").map(Node::entries).unwrap_or_default();
            let stages = stages.iter().map(|stage| stage.key.as_str()).filter(|stage| *stage != self.name);
            let known: Vec<&str> = [PUBLISHED, TESTED].into_iter().chain(stages).collect();
            if found.iter().any(|soak| soak.since == since) {
                let path_of_first = self.at("soak");
                reader.at(at.place, &path, Problem::Taken { name: shown(since), path: path_of_first });
            } else if known.contains(&since) {
                let at_least = at_least.and_then(|at_least| SignedDuration::try_from(at_least).ok());
                let made = |at_least| Soak { since: since.to_owned(), at_least };
                found.extend(at_least.map(made));
            } else {
                let known = Known::to_writer_of(since, known);
                reader.at(at.place, &path, Problem::NotThere { name: shown(since), known });
            }
        }
        found
    }

    /// Logins are compared as forges compare them.
    fn approvals(&self, reader: &mut Reader, node: &Node) -> Option<Approvals> {
        let path = self.at("approvals.of");
        let of = node.get("of").map(|of| distinct(reader, of, &path, str::to_lowercase)).unwrap_or_default();
        let at_least = node.get("at_least")?.whole().and_then(|number| usize::try_from(number).ok())?;
        Some(Approvals { at_least: NonZeroUsize::new(at_least)?, of: of.into_iter().collect() })
    }

    /// Names of checks that are in the file, even where something is wrong with them.
    fn asked(&self, reader: &mut Reader, section: &str) -> Vec<String> {
        let Some(list) = self.node.get(section) else { return Vec::new() };
        let names = distinct(reader, list, &self.at(section), str::to_owned);
        let written = self.around.root.get(section).map(Node::entries).unwrap_or_default();
        let known: BTreeSet<&str> = written.iter().map(|entry| entry.key.as_str()).collect();
        for (index, item) in list.items().iter().enumerate() {
            let again = |name| list.items().iter().take(index).any(|other| other.text() == Some(name));
            if let Some(name) = item.text().filter(|name| !known.contains(name) && !again(name)) {
                let known = Known::to_writer_of(name, known.iter().copied());
                let at = format!("{}[{index}]", self.at(section));
                reader.at(item.place, &at, Problem::NotThere { name: shown(name), known });
            }
        }
        names
    }
}

fn raw_window(node: &Node) -> RawWindow {
    let text = |key: &str| node.get(key).and_then(Node::text).map(str::to_owned);
    let texts = |list: &Node| list.items().iter().filter_map(Node::text).map(str::to_owned).collect();
    RawWindow {
        name: text("name"),
        effect: text("effect"),
        days: node.get("days").map(texts),
        from: text("from"),
        to: text("to"),
        crosses_midnight: node.get("crosses_midnight").and_then(Node::flag),
        start: text("start"),
        end: text("end"),
        calendar: text("calendar"),
        session: text("session"),
        open: text("open"),
        close: text("close"),
        when: text("when"),
        zone: text("zone"),
        guard_before: text("guard_before"),
        guard_after: text("guard_after"),
        reason: text("reason"),
    }
}
