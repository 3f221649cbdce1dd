//! The run record: what a step that ran the tests tells the step that judges and signs.
//!
//! `.granary/integration-test-run.json` lies in the workspace, where foreign code can write it as it can
//! write the results. So it can only add to what speaks against a candidate: objections, attempts, tests
//! that passed only when repeated. Times in it are for readers; what orders evidence is the judge's clock.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use granary_plugin::{Context, Failure, Kind, read_file, write_file};
use granary_release::FoundSet;
use granary_suite::is_as_committed;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::History;
use crate::plan::older_than;
use crate::results::{Decision, MAX_BYTES, Verdict};

const SCHEMA: &str = "https://celestium.life/granary/integration-test-run/v1";
const NAME: &str = ".granary/integration-test-run.json";
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
    /// The command as its setting has it, placeholders not filled in.
    pub(crate) command: String,
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
}

/// A record that cannot be understood.
#[derive(Debug, Error)]
enum RecordError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} is larger than any record", path.display())]
    TooLarge { path: PathBuf },
    #[error("{} is no record of a run", path.display())]
    Malformed { path: PathBuf, source: serde_json::Error },
    #[error("{} says `{field}`: {found}", path.display())]
    Field { path: PathBuf, field: &'static str, found: String },
}

/// Where the record lies.
pub(crate) fn path(workspace: &Path) -> PathBuf {
    workspace.join(NAME)
}

/// Takes a record of an earlier run away, which would be taken for one of this pipeline.
pub(crate) fn remove(workspace: &Path) -> Result<(), Failure> {
    match std::fs::remove_file(path(workspace)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::new(Kind::Settings, "the record of an earlier run cannot be removed")
                .caused_by(error)
                .hint("an earlier step wrote it as another user: run both as one"))
        }
        _ => Ok(()),
    }
}

impl RunRecord {
    /// The record of a run that begins now. Until it is written again, it says that the run is unfinished.
    pub(crate) fn begun(found: &FoundSet, command: String, now: Timestamp) -> Self {
        RunRecord {
            schema: SCHEMA.to_owned(),
            commit: found.set.commit.to_string(),
            set: found.digest.to_string(),
            command,
            attempts: 1,
            started_on: now.to_string(),
            finished_on: None,
            ended: Ended::Unfinished,
            exit_code: None,
            passed: false,
            problems: Vec::new(),
            flaky: Vec::new(),
        }
    }

    /// Notes what was decided on the last attempt.
    pub(crate) fn decided(&mut self, decision: &Decision) {
        self.passed = decision.result != Verdict::Failed;
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
        let path = path(&context.workspace);
        let masked = |texts: &[String]| texts.iter().map(|text| context.output.redacted(text)).collect();
        let public = RunRecord {
            command: context.output.redacted(&self.command),
            problems: masked(&self.problems),
            flaky: masked(&self.flaky),
            ..self.clone()
        };
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

    /// The record that an earlier step left, if one did.
    ///
    /// # Errors
    /// With exit code 20 where it cannot be understood, 13 where it is none of this pipeline's.
    pub(crate) fn read(context: &Context, found: &FoundSet) -> Result<Option<Self>, Failure> {
        let path = path(&context.workspace);
        let refused = |error: RecordError| {
            Failure::new(Kind::BadInput, "the record of the test run cannot be used")
                .caused_by(error)
                .hint("remove the file, and let the step that runs the tests write it anew")
        };
        let text = match read_file(&path, MAX_BYTES) {
            Ok(Some(text)) => text,
            Ok(None) => return Err(refused(RecordError::TooLarge { path })),
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(refused(RecordError::Read { path, source })),
        };
        let not_ours = |message: String| {
            Failure::new(Kind::Tests, message).hint(
                "records of an earlier run count for nothing: remove the file, and ignore `.granary` in Git",
            )
        };
        if is_as_committed(context, &path, text.as_bytes()) == Some(true) {
            return Err(not_ours(format!(
                "{} was not written by this pipeline, it is what the commit has",
                path.display()
            )));
        }
        let written = std::fs::metadata(&path).and_then(|metadata| metadata.modified()).ok();
        let record = RunRecord::parse(&text, &path).map_err(refused)?;
        let finished = record.finished_on.as_deref().and_then(|time| time.parse::<Timestamp>().ok());
        let written = written.and_then(|time| Timestamp::try_from(time).ok());
        let created = found.set.created;
        if let Some(when) = older_than(created, finished, written, context.now()) {
            return Err(not_ours(format!(
                "the record of the test run is from {when}, before the candidate was published on {created}"
            )));
        }
        Ok(Some(record))
    }

    fn parse(text: &str, path: &Path) -> Result<Self, RecordError> {
        let path = || path.to_owned();
        let record: RunRecord =
            serde_json::from_str(text).map_err(|source| RecordError::Malformed { path: path(), source })?;
        let field = |field, found: String| Err(RecordError::Field { path: path(), field, found });
        if record.schema != SCHEMA {
            return field("schema", record.schema);
        }
        if !(1..=MOST_ATTEMPTS).contains(&record.attempts) {
            return field("attempts", record.attempts.to_string());
        }
        for (name, time) in
            [("startedOn", Some(&record.started_on)), ("finishedOn", record.finished_on.as_ref())]
        {
            if let Some(time) = time.filter(|time| time.parse::<Timestamp>().is_err()) {
                return field(name, time.clone());
            }
        }
        Ok(record)
    }

    /// Whether it is about another set.
    pub(crate) fn is_about_another(&self, found: &FoundSet) -> Option<&str> {
        (self.set != found.digest.as_str()).then_some(self.set.as_str())
    }

    /// What it tells of how the tests ran.
    pub(super) fn history(&self) -> History {
        let command = (!self.command.is_empty()).then(|| self.command.clone());
        History { began: self.started_on.parse().ok(), attempts: self.attempts, command }
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

    /// Adds to a decision what this run knows and its results do not say.
    pub(crate) fn add_to(&self, decision: &mut Decision) {
        for problem in &self.problems {
            if !decision.problems.contains(problem) {
                decision.object(problem.clone());
            }
        }
        let flaky: BTreeSet<&str> = self.flaky.iter().map(String::as_str).collect();
        let mut strangers = decision.flaky(&flaky);
        // A name with a secret in it was masked when it was written, and cannot be found again.
        strangers.retain(|name| !name.contains(MASK));
        if let Some(name) = strangers.first() {
            decision.object(format!(
                "the record of the run names {} tests that passed when repeated and are not among the results, such as `{name}`",
                strangers.len()
            ));
        }
        if !self.passed && decision.result != Verdict::Failed {
            decision.object("the step that ran the tests says that they failed");
        }
        if self.exit_code.is_some_and(|code| code != 0) && decision.result != Verdict::Failed {
            decision.object("the step that ran the tests says that their command failed");
        }
        if self.attempts > 1 {
            decision.warn();
        }
    }
}
