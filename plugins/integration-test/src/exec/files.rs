//! The part of a test run that leaves files for readers and other programs.

use std::time::Duration;

use granary_plugin::Failure;

use super::{Judged, TestRun, Unjudged};
use crate::files::{Content, Files};
use crate::results::{Decision, Outcome};
use crate::settings::Results;

impl TestRun<'_> {
    /// Where the files go.
    pub(super) fn files(&self) -> Files {
        Files { junit: self.settings.junit_file.clone(), summary: self.settings.summary_file.clone() }
    }

    /// Tries, before the tests run, whether the files can be written and are no others' place.
    ///
    /// # Errors
    /// [`Files::check`].
    pub(super) fn check_files(&self) -> Result<(), Failure> {
        let patterns = match &self.settings.results {
            Results::Files { patterns, .. } => patterns.as_slice(),
            Results::ExitCode => &[],
        };
        self.files().check(patterns, &self.context.workspace)
    }

    /// Writes what the tests said.
    ///
    /// # Errors
    /// [`Files::write`].
    pub(super) fn write_judged(&self, judged: &Judged) -> Result<(), Failure> {
        let took = judged.measured.map(|(started, finished)| finished.duration_since(started));
        let took = took.and_then(|took| took.try_into().ok());
        self.write_files(&judged.outcome, &judged.decision, judged.history.attempts, took)
    }

    /// Writes that they said nothing, and why. What cannot be written is a warning: the failure is the news.
    pub(super) fn write_failure(&self, unjudged: &Unjudged) {
        let decision = Decision::nothing_counts(unjudged.failure.to_string());
        let attempts = unjudged.history.attempts;
        if let Err(unwritten) = self.write_files(&Outcome::default(), &decision, attempts, None) {
            self.context.output.warn(unwritten);
        }
    }

    /// How the run ends. Tests that failed are never hidden by a file that cannot be written.
    pub(super) fn ended(
        &self,
        end: Result<(), Failure>,
        written: Result<(), Failure>,
    ) -> Result<(), Failure> {
        match (end, written) {
            (Ok(()), written) => written,
            (Err(failure), Ok(())) => Err(failure),
            (Err(failure), Err(unwritten)) => {
                self.context.output.warn(unwritten);
                Err(failure)
            }
        }
    }

    fn write_files(
        &self,
        outcome: &Outcome,
        decision: &Decision,
        attempts: u32,
        took: Option<Duration>,
    ) -> Result<(), Failure> {
        let set = &self.found.set;
        self.files().write(&Content {
            candidate: set.candidate.to_string(),
            commit: set.commit.to_string(),
            set: self.found.digest.to_string(),
            environment: &self.settings.test_environment,
            pipeline_url: self.context.ci.pipeline_url.as_deref(),
            took,
            attempts,
            judged: self.context.now(),
            outcome,
            decision,
            redact: &|text| self.context.output.redacted(text),
        })
    }
}
