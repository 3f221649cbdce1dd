//! Files that say what the tests said: JUnit XML for programs, Markdown for readers.
//!
//! What stands in them was written by foreign code. Each piece is redacted as the log is, then cut, then
//! escaped for its format, in this order: an escaped secret would not be found any more.

mod junit;
mod markdown;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use granary_plugin::{Failure, Kind, prepare_file, write_file};
use jiff::Timestamp;

use crate::results::{Decision, Outcome, Status, Test};

/// Longest message that is written of one test, in bytes. Shorter than what is kept of it, so that no part
/// of a secret that was cut in two stands at its end.
const MAX_MESSAGE: usize = 2000;

/// What the files are about.
pub struct Summary<'a> {
    /// X.Y.Z-rc.N.
    pub candidate: String,
    /// The commit, in full.
    pub commit: String,
    /// The set's digest.
    pub set: String,
    /// Where the tests ran.
    pub environment: &'a str,
    /// Where the run can be read.
    pub pipeline_url: Option<&'a str>,
    /// How long the tests took, where that was measured.
    pub took: Option<Duration>,
    /// How often they ran.
    pub attempts: u32,
    /// When they were judged.
    pub judged: Timestamp,
    /// What they said.
    pub outcome: &'a Outcome,
    /// What was made of it.
    pub decision: &'a Decision,
    /// Takes secrets out of a text.
    pub redact: &'a dyn Fn(&str) -> String,
}

/// Where the files go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// The setting `junit_file`.
    pub junit: Option<PathBuf>,
    /// The setting `summary_file`.
    pub summary: Option<PathBuf>,
}

impl Files {
    /// Which of the settings cannot be, and why: a file that the results are read from would be overwritten,
    /// or read as the results of the next run. Pure, by name alone.
    pub fn conflicts(&self, results: &[String]) -> Vec<(&'static str, String)> {
        let mut conflicts = Vec::new();
        for (setting, path) in self.named() {
            let plain = without_dots(path);
            if path.file_name().is_none() {
                conflicts.push((setting, "it names no file".to_owned()));
            }
            let reads = |pattern: &&String| {
                let named = without_dots(Path::new(pattern));
                let matches = |pattern: glob::Pattern| pattern.matches_path(&plain);
                named == plain || glob::Pattern::new(&named.to_string_lossy()).is_ok_and(matches)
            };
            if let Some(pattern) = results.iter().find(reads) {
                conflicts.push((setting, format!("`results` reads `{pattern}`, which this file is one of")));
            }
        }
        if let (Some(junit), Some(summary)) = (&self.junit, &self.summary)
            && without_dots(junit) == without_dots(summary)
        {
            conflicts.push(("summary_file", "`junit_file` is the same".to_owned()));
        }
        conflicts
    }

    /// Takes what an earlier run left away and tries whether the files can be written, before the tests run:
    /// afterwards, a setting must not stand in the way of what the tests said.
    ///
    /// # Errors
    /// With exit code 2, for the first that cannot be.
    pub fn prepare(&self) -> Result<(), Failure> {
        self.named().try_for_each(|(setting, path)| {
            prepare_file(path).map_err(|error| unwritable(setting).caused_by(error))
        })
    }

    /// Writes both, each whole or not at all.
    ///
    /// # Errors
    /// With exit code 2, for the first that cannot be written; the other one is written all the same.
    pub fn write(&self, summary: &Summary<'_>) -> Result<(), Failure> {
        let mut failed = None;
        for (setting, path) in self.named() {
            let text = match setting {
                "junit_file" => junit::render(summary),
                _ => markdown::render(summary),
            };
            if let Err(error) = write_file(path, text.as_bytes(), 0o644) {
                failed.get_or_insert(unwritable(setting).caused_by(error));
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn named(&self) -> impl Iterator<Item = (&'static str, &PathBuf)> {
        let named = [("junit_file", &self.junit), ("summary_file", &self.summary)];
        named.into_iter().filter_map(|(setting, path)| Some((setting, path.as_ref()?)))
    }
}

fn unwritable(setting: &str) -> Failure {
    Failure::new(Kind::Settings, format!("`{setting}` cannot be written"))
        .hint("name a file in a folder that this step may write to, relative to the step's folder")
}

/// The path without its `.` parts.
fn without_dots(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != std::path::Component::CurDir).collect()
}

/// A test with what was decided about it.
struct Told<'a> {
    test: &'a Test,
    /// It passed, and not at the first try.
    is_flaky: bool,
}

impl Summary<'_> {
    fn tests(&self) -> impl Iterator<Item = Told<'_>> {
        self.outcome.tests.iter().map(|test| {
            let warned =
                || self.decision.warned.binary_search_by(|known| known.as_str().cmp(&test.name)).is_ok();
            let is_flaky = match test.status {
                Status::Flaky => true,
                Status::Passed => warned(),
                _ => false,
            };
            Told { test, is_flaky }
        })
    }

    /// `text` redacted and cut.
    fn public(&self, text: &str) -> String {
        let clean = (self.redact)(text);
        match clean.floor_char_boundary(MAX_MESSAGE) {
            cut if cut < clean.len() => format!("{} […]", &clean[..cut]),
            _ => clean,
        }
    }

    /// A name, which is never cut: that would make it another one.
    fn name(&self, name: &str) -> String {
        (self.redact)(name)
    }

    fn counts(&self) -> String {
        let decision = self.decision;
        let flaky = match decision.warned.len() {
            0 => String::new(),
            flaky => format!("{flaky} flaky, "),
        };
        format!(
            "{} passed, {flaky}{} failed, {} skipped",
            decision.passed.len(),
            decision.failed.len(),
            decision.skipped.len()
        )
    }
}

/// The first line of a message.
fn first_line(message: &str) -> &str {
    message.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default()
}

fn is_bad(status: Status) -> bool {
    matches!(status, Status::Failed | Status::Error)
}
