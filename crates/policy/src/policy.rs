//! The policy as a whole, and the two steps to it.

use std::collections::{BTreeMap, BTreeSet};

use granary_gates::{Rules, Zone};
use sha2::{Digest as _, Sha256};

use crate::analysis::{self, AnalysisCheck};
use crate::error::{PolicyError, Problem};
use crate::evidence::{Evidence, PartialEvidence};
use crate::files::{self, Files};
use crate::freeze::DEFAULT_FREEZE_FILE;
use crate::health::{self, HealthCheck, json};
use crate::reader::Reader;
use crate::stage::{self, Stage, Surroundings};
use crate::yaml::{self, Node};
use crate::{calendars, layout};

/// A policy that is in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The rules of time and persons, for [`granary_gates::evaluate()`].
    pub rules: Rules,
    /// The path of the file that stops the line.
    pub freeze_file: String,
    /// What is asked of evidence where a stage says nothing else.
    pub evidence: Evidence,
    /// By name.
    pub analyses: BTreeMap<String, AnalysisCheck>,
    /// By name; no analysis has the same name.
    pub health: BTreeMap<String, HealthCheck>,
    /// What the stages ask for beside [`Policy::rules`], which lists the same stages.
    pub stages: BTreeMap<String, Stage>,
    digest: String,
    files: BTreeMap<String, String>,
    pub(crate) file: String,
    pub(crate) root: Node,
}

/// A policy whose text was read, and which may name other files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    file: String,
    digest: String,
    root: Node,
    /// Faults of the text and of the layout.
    errors: Vec<PolicyError>,
}

impl Source {
    /// Reads the text. `file` is its name in errors.
    ///
    /// # Errors
    ///
    /// Where there is nothing to go on with: no YAML, none that ends, or another version's layout. What else
    /// is wrong with it is told by [`Source::resolve`].
    pub fn read(text: &str, file: &str) -> Result<Source, Vec<PolicyError>> {
        let (root, faults) = yaml::load(text);
        let mut reader = Reader::new(file, faults);
        let Some(root) = root else { return Err(reader.into_errors()) };
        if let Some(version) = root.get("version")
            && let Some(found) = version.whole().filter(|found| *found != 1)
        {
            // The rest is for another reader.
            let mut other = Reader::new(file, Vec::new());
            other.at(version.place, "version", Problem::Version { found });
            return Err(other.into_errors());
        }
        layout::check(&layout::POLICY, &mut reader, &root);
        let digest = hex::encode(Sha256::digest(text.as_bytes()));
        Ok(Source { file: file.to_owned(), digest, root, errors: reader.into_collected() })
    }

    /// The paths of the files that it names, which are to be read at the same commit.
    #[must_use]
    pub fn files(&self) -> BTreeSet<String> {
        files::named(&self.root)
    }

    /// The file as JSON has it, for those who hold it against the schema; `None` where it has what JSON has
    /// not.
    #[must_use]
    pub fn document(&self) -> Option<serde_json::Value> {
        json(&self.root)
    }

    /// Makes rules of it. `files` are the contents of [`Source::files`], by path.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the policy, and with the files that it names, in the order of the files.
    pub fn resolve(self, files: &BTreeMap<String, String>) -> Result<Policy, Vec<PolicyError>> {
        let root = self.root;
        let mut reader = Reader::resumed(&self.file, self.errors);
        let mut files = Files::new(files);

        let zone = zone(&mut reader, &root);
        let calendars = calendars::read(&mut reader, &root, &mut files);
        let freeze_file = match root.get("freeze").and_then(|freeze| freeze.get("file")) {
            Some(node) => files::path(&mut reader, node, "freeze.file"),
            None => Some(DEFAULT_FREEZE_FILE.to_owned()),
        };
        let common = PartialEvidence::read(&mut reader, root.get("evidence"), "evidence", &mut files);
        let analyses = analysis::read(&mut reader, &root);
        let health = health::read(&mut reader, &root);
        let surroundings = Surroundings { root: &root, zone: zone.clone(), calendars, evidence: &common };
        let (rules, stages) = stage::read(&mut reader, &surroundings, &mut files);

        let contents = files.digests();
        let errors = reader.into_errors();
        let mut others: Vec<PolicyError> = files.into_errors();
        let (Some(zone), Some(freeze_file), true, true) =
            (zone, freeze_file, errors.is_empty(), others.is_empty())
        else {
            let mut errors = errors;
            errors.append(&mut others);
            return Err(errors);
        };
        Ok(Policy {
            rules: Rules { zone, stages: rules },
            freeze_file,
            evidence: common.or(&PartialEvidence::default()),
            analyses,
            health,
            stages,
            digest: self.digest,
            files: contents,
            file: self.file,
            root,
        })
    }
}

impl Policy {
    /// Reads a policy that names no other file.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, in the order of the file; every file that it names is one error.
    pub fn parse(text: &str, file: &str) -> Result<Policy, Vec<PolicyError>> {
        Source::read(text, file)?.resolve(&BTreeMap::new())
    }

    /// SHA-256 of the file's bytes, in hex, as records of decisions have it.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// SHA-256, in hex, of the files that it names, by path. With [`Policy::digest`], all that it was made of.
    #[must_use]
    pub fn files(&self) -> &BTreeMap<String, String> {
        &self.files
    }
}

fn zone(reader: &mut Reader, root: &Node) -> Option<Zone> {
    let node = root.get("zone")?;
    let name = node.text()?;
    let invalid = |problem| granary_gates::InvalidField {
        field: "zone".to_owned(),
        value: Some(name.to_owned()),
        problem: granary_gates::Problem::from(problem),
    };
    Zone::named(name).map_err(|error| reader.at(node.place, "zone", Problem::Gates(invalid(error)))).ok()
}
