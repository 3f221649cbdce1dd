//! The run record: what a step that ran the tests tells the step that judges and signs.
//!
//! It lies in the workspace, in a folder of its own, where foreign code can write it as it can write the
//! results. So it can only add to what speaks against a candidate: objections, attempts, tests
//! that passed only when repeated. Times in it are for readers; what orders evidence is the judge's clock.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use granary_plugin::{Context, Failure, FileError, Kind, write_file};
use granary_release::FoundSet;
use granary_suite::is_as_committed;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::History;
use super::runs::Place;
use crate::results::{Decision, TestOutcome, counted, older_than};

const SCHEMA: &str = "https://celestium.life/granary/integration-test-run/v1";
/// Most attempts that a record can tell of, ten times what settings allow.
const MOST_ATTEMPTS: u32 = 100;
/// Most problems that are written down; the others are in the log.
const MOST_PROBLEMS: usize = 50;

/// What stands in the place of a secret.
const MASK: &str = "***";

/// How a run of the tests ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Ended {
    /// The command ended by itself; its exit code says how.
    Exited,
    /// It was killed by a signal that was not ours.
    Killed,
    /// It took longer than it may.
    TimedOut,
    /// It could not be started.
    NotStarted,
    /// What `wait_for` names was not there in time.
    NotReady,
    /// The step was stopped.
    Stopped,
    /// It still runs, or whoever ran it was killed.
    Unfinished,
}

/// What a run leaves for the judge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunRecord {
    schema: String,
    commit: String,
    set: String,
    /// Where its results are.
    #[serde(flatten)]
    pub(super) place: Place,
    /// How often the tests ran.
    pub(crate) attempts: u32,
    started_on: String,
    finished_on: Option<String>,
    /// How the last attempt ended.
    pub(crate) ended: Ended,
    /// With which exit code, where it ended by itself.
    pub(crate) exit_code: Option<i32>,
    /// Whether it let the candidate through, by the rules of that run.
    pub(crate) passed: bool,
    /// What spoke against it beside failed tests.
    pub(crate) problems: Vec<String>,
    /// Tests that passed only when repeated.
    pub(crate) flaky: Vec<String>,
    /// Where it was read, for readers.
    #[serde(skip)]
    pub(super) file: String,
}

/// A record that cannot be understood.
#[derive(Debug, Error)]
pub(super) enum RecordError {
    /// It cannot be read, or is something else.
    #[error(transparent)]
    File(#[from] FileError),
    /// More than anybody's runs leave.
    #[error("{} has more than {most} files", folder.display())]
    TooMany { folder: PathBuf, most: usize },
    /// A field with an impossible value.
    #[error("{} says `{field}`: {found}", path.display())]
    Field { path: PathBuf, field: &'static str, found: String },
}

impl RunRecord {
    /// The record of a run that begins now. Until it is written again, it says that the run is unfinished.
    pub(crate) fn begun(found: &FoundSet, place: Place, now: Timestamp) -> Self {
        RunRecord {
            schema: SCHEMA.to_owned(),
            commit: found.set.commit.to_string(),
            set: found.digest.to_string(),
            place,
            attempts: 1,
            started_on: now.to_string(),
            finished_on: None,
            ended: Ended::Unfinished,
            exit_code: None,
            passed: false,
            problems: Vec::new(),
            flaky: Vec::new(),
            file: String::new(),
        }
    }

    /// Notes what was decided on the last attempt.
    pub(crate) fn decided(&mut self, decision: &Decision) {
        self.passed = decision.result != TestOutcome::Failed;
        self.problems = decision.problems.iter().take(MOST_PROBLEMS).cloned().collect();
        self.flaky.clone_from(&decision.warned);
    }

    /// Notes when it ended.
    pub(crate) fn finished(&mut self, now: Timestamp) {
        self.finished_on = Some(now.to_string());
    }

    /// Writes it, with secrets masked: test names and problems may hold some.
    ///
    /// `is_needed`: without it a judge would know less than it has to. Else a folder that cannot be written
    /// to is only worth a warning, unless an older record lies there.
    pub(crate) fn write(&self, context: &Context, is_needed: bool) -> Result<(), Failure> {
        let path = self.place.file(&context.workspace);
        let masked = |texts: &[String]| texts.iter().map(|text| context.output.redacted(text)).collect();
        let public =
            RunRecord { problems: masked(&self.problems), flaky: masked(&self.flaky), ..self.clone() };
        let text = serde_json::to_string_pretty(&public)
            .expect("invariant: a record of texts and numbers has a JSON form");
        let Err(error) = write_file(&path, text.as_bytes(), 0o644) else { return Ok(()) };
        if is_needed || path.symlink_metadata().is_ok() {
            return Err(Failure::new(Kind::Settings, "the record of this run cannot be written")
                .caused_by(error)
                .hint("mode `report` reads there how often the tests ran; make `.granary` in the workspace writable for this step's user"));
        }
        context.output.debug(format_args!("no record of this run is left: {error}"));
        Ok(())
    }

    /// Whether an earlier step of this pipeline can have written it.
    ///
    /// # Errors
    /// With exit code 13 where none can.
    pub(super) fn check_origin(
        &self,
        context: &Context,
        found: &FoundSet,
        path: &Path,
    ) -> Result<(), Failure> {
        let not_ours = |message: String| {
            Failure::new(Kind::Tests, message).hint(
                "records of an earlier run count for nothing: remove the file, and ignore `.granary` in Git",
            )
        };
        let bytes = std::fs::read(path).unwrap_or_default();
        if is_as_committed(context, path, &bytes) == Some(true) {
            let file = &self.file;
            return Err(not_ours(format!(
                "{file} was not written by this pipeline, it is what the commit has"
            )));
        }
        let finished = self.finished_on.as_deref().and_then(|time| time.parse::<Timestamp>().ok());
        let written = std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        let written = written.and_then(|time| Timestamp::try_from(time).ok());
        let created = found.set.created;
        if let Some(when) = older_than(created, finished, written) {
            return Err(not_ours(format!(
                "the record of the test run is from {when}, before the candidate was published on {created}"
            )));
        }
        Ok(())
    }

    /// The record, if every value in it can be.
    pub(super) fn checked(self, path: &Path) -> Result<Self, RecordError> {
        let field = |field, found: String| Err(RecordError::Field { path: path.to_owned(), field, found });
        if self.schema != SCHEMA {
            return field("schema", self.schema);
        }
        if !(1..=MOST_ATTEMPTS).contains(&self.attempts) {
            return field("attempts", self.attempts.to_string());
        }
        for (name, time) in [("startedOn", Some(&self.started_on)), ("finishedOn", self.finished_on.as_ref())]
        {
            if let Some(time) = time.filter(|time| time.parse::<Timestamp>().is_err()) {
                return field(name, time.clone());
            }
        }
        Ok(self)
    }

    /// Whether it is about another set.
    pub(crate) fn is_about_another(&self, found: &FoundSet) -> Option<&str> {
        (self.set != found.digest.as_str()).then_some(self.set.as_str())
    }

    /// What it tells of how the tests ran.
    pub(super) fn history(&self) -> History {
        History { began: self.started_on.parse().ok(), attempts: self.attempts }
    }

    /// Why the tests did not run to their end, if they did not: then whatever results there are count for
    /// nothing.
    pub(crate) fn cut_short(&self) -> Option<&'static str> {
        match self.ended {
            Ended::Exited => None,
            Ended::Killed => Some("the test command was killed"),
            Ended::TimedOut => Some("the test command took longer than it might"),
            Ended::NotStarted => Some("the test command could not be started"),
            Ended::NotReady => Some("what the tests wait for was not ready in time"),
            Ended::Stopped => Some("the step that ran the tests was stopped"),
            Ended::Unfinished => Some("the step that ran the tests was killed, or still runs"),
        }
    }

    /// Adds to a decision what this run knows and its results do not say. Each objection says where it comes
    /// from: the rules of that run may have been others than the judge's.
    pub(crate) fn add_to(&self, decision: &mut Decision) {
        let file = &self.file;
        for problem in &self.problems {
            if !decision.problems.contains(problem) {
                decision.object(format!("{file}: {problem}"));
            }
        }
        let flaky: BTreeSet<&str> = self.flaky.iter().map(String::as_str).collect();
        let mut strangers = decision.flaky(&flaky);
        // A name with a secret in it was masked when it was written, and cannot be found again.
        strangers.retain(|name| !name.contains(MASK));
        if let Some(name) = strangers.first() {
            decision.object(format!(
                "{file}: of tests that passed when repeated the results do not name {}, such as `{name}`",
                counted(strangers.len())
            ));
        }
        if !self.passed && decision.result != TestOutcome::Failed {
            decision.object(format!("{file}: the step that ran the tests says that they failed"));
        }
        if self.exit_code.is_some_and(|code| code != 0) && decision.result != TestOutcome::Failed {
            decision.object(format!("{file}: the step that ran the tests says that their command failed"));
        }
        if self.attempts > 1 {
            decision.warn();
        }
    }
}
