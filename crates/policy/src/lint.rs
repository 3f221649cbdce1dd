//! What is odd about a policy that can be read: it decides, but perhaps not what was meant.

use std::fmt;

use granary_gates::{Finding as WindowFinding, lint as lint_windows};
use jiff::Timestamp;

use crate::error::Place;
use crate::policy::Policy;
use crate::stage::Stage;
use crate::{BreakGlassMode, Evidence};

/// One oddity and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The policy's file.
    pub file: String,
    /// Where it is.
    pub place: Place,
    /// The path from the top of the file.
    pub path: String,
    /// What it is.
    pub oddity: Oddity,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { line, column } = self.place;
        write!(formatter, "{}:{line}:{column}: {}: {}", self.file, self.path, self.oddity)
    }
}

/// What may not be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Oddity {
    /// About windows; the texts are in the zone of the policy.
    Windows {
        /// What gates found.
        finding: WindowFinding,
        /// The first time of an overlap, by local clocks.
        first: Option<String>,
    },
    /// A stage that time never closes.
    NoWindow,
    /// A stage that goes on while the line is stopped.
    IgnoresFreeze,
    /// More approvals than there are persons who may give them.
    TooFewApprovers {
        /// How many are needed.
        needed: usize,
        /// How many there are.
        persons: usize,
    },
    /// Nobody signs requests.
    UnsignedBreakGlass,
    /// Rules of requests where none is ever accepted.
    IdleBreakGlass,
    /// As many persons must sign as there are, so one on holiday shuts the way.
    NoSpareSigner {
        /// How many.
        persons: usize,
    },
    /// A stage asks for less evidence than the policy.
    LooserEvidence {
        /// The key that asks for less.
        key: &'static str,
    },
    /// Nothing names the keys of the tests, so the pipeline's settings do.
    NoTrustedKeys,
    /// A test's environment that is asked for, and that no key may sign for.
    NobodySignsFor {
        /// The environment.
        environment: String,
    },
    /// A check that no stage asks for.
    Unused,
    /// An analysis in which no data can be a success.
    NotStrict,
}

impl fmt::Display for Oddity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Oddity::Windows { finding: WindowFinding::Overlap { allow, deny, .. }, first } => {
                let first = first.as_deref().unwrap_or("once");
                return write!(
                    formatter,
                    "`{allow}` allows what `{deny}` denies, first on {first}; the deny wins"
                );
            }
            Oddity::Windows { finding: WindowFinding::NeverOpen { allow }, .. } => {
                return write!(formatter, "`{allow}` opens nothing within the next 400 days");
            }
            Oddity::NoWindow => "has no window, so that it is open at any time",
            Oddity::IgnoresFreeze => "goes on while the line is stopped",
            Oddity::TooFewApprovers { needed, persons } => {
                return write!(
                    formatter,
                    "asks for {needed} approvals of {persons} persons, so that it is always closed"
                );
            }
            Oddity::UnsignedBreakGlass => "is open to whoever may start the pipeline: nobody has to sign",
            Oddity::IdleBreakGlass => "has rules for requests, and `mode: never` accepts none",
            Oddity::NoSpareSigner { persons } => {
                return write!(formatter, "needs everybody who may sign ({persons})");
            }
            Oddity::LooserEvidence { key } => {
                return write!(formatter, "`{key}` asks for less than the policy's own `evidence`");
            }
            Oddity::NoTrustedKeys => {
                "names no trusted keys, so that the pipeline's settings decide whose evidence counts"
            }
            Oddity::NobodySignsFor { environment } => {
                return write!(formatter, "`{environment}` is asked for, and no trusted key may sign for it");
            }
            Oddity::Unused => "is asked for by no stage",
            Oddity::NotStrict => "is not strict: an answer without data can be a success",
        };
        formatter.write_str(text)
    }
}

impl Policy {
    /// What is odd, as seen from `now`, in the order of the file. Nothing here keeps a gate from deciding.
    #[must_use]
    pub fn lint(&self, now: Timestamp) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (name, stage) in &self.stages {
            let path = format!("stages.{name}");
            self.windows(&mut findings, now, name, &path);
            self.persons(&mut findings, name, &path);
            self.break_glass(&mut findings, stage, &format!("{path}.break_glass"));
            self.stage_evidence(&mut findings, &stage.evidence, &path);
        }
        let asked = |name: &String| self.rules.stages.values().any(|stage| stage.outcomes.contains(name));
        for name in self.analyses.keys().filter(|name| !asked(name)) {
            self.find(&mut findings, &format!("analysis.{name}"), Oddity::Unused);
        }
        for name in self.health.keys().filter(|name| !asked(name)) {
            self.find(&mut findings, &format!("health.{name}"), Oddity::Unused);
        }
        for (name, analysis) in &self.analyses {
            if !analysis.analysis.strict {
                self.find(&mut findings, &format!("analysis.{name}"), Oddity::NotStrict);
            }
        }
        findings.sort_by(|one, other| (one.place, &one.path).cmp(&(other.place, &other.path)));
        findings
    }

    fn find(&self, findings: &mut Vec<Finding>, path: &str, oddity: Oddity) {
        let place = self.root.locate(path);
        findings.push(Finding { file: self.file.clone(), place, path: path.to_owned(), oddity });
    }

    fn windows(&self, findings: &mut Vec<Finding>, now: Timestamp, name: &str, path: &str) {
        let Some(rules) = self.rules.stages.get(name) else { return };
        if rules.windows.is_empty() {
            self.find(findings, path, Oddity::NoWindow);
        }
        for finding in lint_windows(now, rules) {
            let (window, first) = match &finding {
                WindowFinding::Overlap { allow, first, .. } => {
                    (allow, Some(self.rules.zone.show(first.start)))
                }
                WindowFinding::NeverOpen { allow } => (allow, None),
            };
            let index = rules.windows.iter().position(|other| other.name() == window).unwrap_or_default();
            let at = format!("{path}.windows[{index}]");
            self.find(findings, &at, Oddity::Windows { finding, first });
        }
    }

    fn persons(&self, findings: &mut Vec<Finding>, name: &str, path: &str) {
        let Some(rules) = self.rules.stages.get(name) else { return };
        if !rules.freeze {
            self.find(findings, &format!("{path}.freeze"), Oddity::IgnoresFreeze);
        }
        if let Some(approvals) = &rules.approvals {
            let (needed, persons) = (approvals.at_least.get(), approvals.of.len());
            if persons > 0 && persons < needed {
                let oddity = Oddity::TooFewApprovers { needed, persons };
                self.find(findings, &format!("{path}.approvals.at_least"), oddity);
            }
        }
    }

    fn break_glass(&self, findings: &mut Vec<Finding>, stage: &Stage, path: &str) {
        let rules = &stage.break_glass;
        let mut names: Vec<&str> = rules.signers.iter().map(|signer| signer.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let oddity = match rules.mode {
            BreakGlassMode::Never if self.root.entries_at(path).any(|key| key != "mode") => {
                Oddity::IdleBreakGlass
            }
            BreakGlassMode::Never => return,
            _ if rules.signatures == 0 => Oddity::UnsignedBreakGlass,
            _ if rules.signatures == names.len() => Oddity::NoSpareSigner { persons: names.len() },
            _ => return,
        };
        self.find(findings, path, oddity);
    }

    fn stage_evidence(&self, findings: &mut Vec<Finding>, evidence: &Evidence, path: &str) {
        let (own, common) = (&evidence.rules, &self.evidence.rules);
        let at = |key: &str| format!("{path}.evidence.{key}");
        let tests = |name| own.required_tests.iter().any(|own| own == name);
        for (key, looser) in [
            ("required_tests", !common.required_tests.iter().all(tests)),
            ("environments", !common.environments.iter().all(|name| own.environments.contains(name))),
            ("max_age", own.max_age > common.max_age),
            ("allow_warned", own.allow_warned && !common.allow_warned),
        ] {
            if looser {
                self.find(findings, &at(key), Oddity::LooserEvidence { key });
            }
        }
        if evidence.trusted_keys.is_empty() {
            return self.find(findings, path, Oddity::NoTrustedKeys);
        }
        for environment in &own.environments {
            if !evidence.trusted_keys.iter().any(|key| key.covers(environment)) {
                let oddity = Oddity::NobodySignsFor { environment: environment.clone() };
                self.find(findings, &at("environments"), oddity);
            }
        }
    }
}
