//! How results travel from step to step: the result file and the env file (DESIGN §6).

mod env_file;
mod files;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::failure::{Failure, Refusal};

pub(crate) use env_file::variables;
pub use env_file::{NameCollision, digest_variables};
pub(crate) use files::{Target, write};
pub use files::{WriteError, prepare_file, write_file};

/// How a run ended well. A run that ends badly is a [`Failure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Something was changed.
    Done,
    /// Everything was there already.
    Unchanged,
    /// `dry_run`: this is what would have been done.
    Planned,
    /// A gate says later; nothing of ours that comes after does anything.
    Deferred,
    /// Nothing to do for this event or commit.
    Skipped,
}

impl Outcome {
    /// The word in the result file.
    pub const fn word(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::Unchanged => "unchanged",
            Outcome::Planned => "planned",
            Outcome::Deferred => "deferred",
            Outcome::Skipped => "skipped",
        }
    }

    /// Whether the facts of the run are worth an env file.
    pub(crate) const fn has_release(self) -> bool {
        matches!(self, Outcome::Done | Outcome::Unchanged | Outcome::Planned)
    }
}

/// One image or other artifact of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its name within the set.
    pub name: String,
    /// With host: `host[:port]/path`.
    pub repository: String,
    /// `sha256:…`.
    pub digest: String,
    /// The tags that it has now.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// What a run is about, as far as it is known yet. Recorded along the way with [`crate::Context::record`],
/// so that a failure, a refusal and a signal report it too.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// The full SHA of the commit, peeled.
    pub commit: Option<String>,
    /// The digest of the release set.
    pub set: Option<String>,
    /// X.Y.Z.
    pub version: Option<String>,
    /// X.Y.Z-rc.N.
    pub candidate: Option<String>,
    /// The members of the set.
    pub artifacts: Vec<Artifact>,
    /// Which of [`Self::artifacts`] leads, by name; else the first.
    pub lead: Option<String>,
    /// Further fields of this plugin's own. A name that every plugin has cannot be overwritten by it.
    pub extra: Map<String, Value>,
}

impl Facts {
    /// The artifact that stands for the set.
    pub fn lead(&self) -> Option<&Artifact> {
        let named =
            self.lead.as_ref().and_then(|lead| self.artifacts.iter().find(|member| &member.name == lead));
        named.or_else(|| self.artifacts.first())
    }
}

/// The result file of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepResult {
    /// The plugin's name.
    pub plugin: String,
    /// `done`, `unchanged`, `planned`, `deferred`, `skipped`, `refused` or `failed`.
    pub outcome: String,
    /// The exit code.
    pub exit_code: u8,
    /// The full SHA of the commit, peeled.
    #[serde(default)]
    pub commit: Option<String>,
    /// The digest of the release set.
    #[serde(default)]
    pub set: Option<String>,
    /// X.Y.Z.
    #[serde(default)]
    pub version: Option<String>,
    /// X.Y.Z-rc.N.
    #[serde(default)]
    pub candidate: Option<String>,
    /// The members of the set.
    #[serde(default)]
    pub artifacts: Vec<Artifact>,
    /// The name of the leading one.
    #[serde(default)]
    pub lead: Option<String>,
    /// Why a run was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// Fields of the plugin's own.
    #[serde(skip)]
    pub extra: Map<String, Value>,
}

impl StepResult {
    pub(crate) fn new(plugin: &str, end: Result<Outcome, &Failure>, facts: Facts) -> Self {
        let (outcome, exit_code, refusal) = match end {
            Ok(outcome) => (outcome.word(), 0, None),
            Err(failure) if failure.kind().is_refusal() => {
                ("refused", failure.kind().code(), failure.refusal())
            }
            Err(failure) => ("failed", failure.kind().code(), None),
        };
        StepResult {
            plugin: plugin.to_owned(),
            outcome: outcome.to_owned(),
            exit_code,
            lead: facts.lead().map(|lead| lead.name.clone()),
            commit: facts.commit,
            set: facts.set,
            version: facts.version,
            candidate: facts.candidate,
            artifacts: facts.artifacts,
            refusal,
            extra: facts.extra,
        }
    }

    /// The JSON text of the file.
    pub(crate) fn to_json(&self) -> String {
        let base = serde_json::to_value(self).expect("invariant: texts, numbers and lists are JSON");
        let mut fields = self.extra.clone();
        if let Value::Object(base) = base {
            fields.extend(base);
        }
        let mut text = format!("{:#}", Value::Object(fields));
        text.push('\n');
        text
    }

    /// Reads the JSON text of such a file.
    ///
    /// # Errors
    /// Where it is not JSON or a field that every result has is missing or of another kind.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        let mut result: StepResult = serde_json::from_str(text)?;
        let mut fields: Map<String, Value> = serde_json::from_str(text)?;
        if let Ok(Value::Object(known)) = serde_json::to_value(&result) {
            fields.retain(|name, _| !known.contains_key(name) && name != "refusal");
        }
        result.extra = fields;
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Kind;

    fn facts() -> Facts {
        let artifact = |name: &str| Artifact {
            name: name.to_owned(),
            repository: format!("registry.test:5000/acme/{name}"),
            digest: "sha256:12".to_owned(),
            tags: vec!["1.2.3".to_owned()],
        };
        let mut extra = Map::new();
        extra.insert("evidence".to_owned(), Value::from("sha256:34"));
        extra.insert("outcome".to_owned(), Value::from("forged"));
        Facts {
            commit: Some("ab".repeat(20)),
            version: Some("1.2.3".to_owned()),
            artifacts: vec![artifact("api"), artifact("web")],
            lead: Some("web".to_owned()),
            extra,
            ..Facts::default()
        }
    }

    #[test]
    fn a_result_reads_back_as_it_was_written() {
        let mut written = StepResult::new("promote", Ok(Outcome::Unchanged), facts());
        let json = written.to_json();
        written.extra.remove("outcome");
        assert_eq!(StepResult::from_json(&json).unwrap(), written);
        assert_eq!(
            (written.outcome.as_str(), written.exit_code, written.lead.as_deref()),
            ("unchanged", 0, Some("web"))
        );
        let fields: Map<String, Value> = serde_json::from_str(&json).unwrap();
        assert_eq!(fields["set"], Value::Null, "unknown facts are there, as null");
        assert!(!fields.contains_key("refusal"));
    }

    #[test]
    fn refusals_and_failures_are_told_apart() {
        let refused = Failure::new(Kind::Evidence, "x").refusing("evidence", "FAILED", "PASSED");
        let result = StepResult::new("promote", Err(&refused), Facts::default());
        assert_eq!((result.outcome.as_str(), result.exit_code), ("refused", 14));
        assert_eq!(result.refusal, refused.refusal());
        let failed = Failure::new(Kind::Unavailable, "x");
        let result = StepResult::new("promote", Err(&failed), Facts::default());
        assert_eq!((result.outcome.as_str(), result.exit_code, result.refusal), ("failed", 12, None));
    }
}
