//! Files that say what the tests said: JUnit XML for programs, Markdown for readers.
//!
//! What stands in them was written by foreign code. Each piece is redacted as the log is, then cut, then
//! escaped for its format, in this order: an escaped secret would not be found any more.

mod junit;
mod markdown;
#[cfg(test)]
mod tests;

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use granary_plugin::{Failure, Kind, prepare_file, write_file};
use jiff::Timestamp;

use crate::results::{self, Decision, Outcome, Status, Test, cut};

/// Longest message that is written of one test, in bytes. Shorter than what is kept of it, so that no part
/// of a secret that was cut in two stands at its end.
const MAX_MESSAGE: usize = 2000;

/// Where this program and the ones before and after it keep what they tell each other.
const OWN_FOLDER: &str = ".granary";

/// What stands in the files.
pub struct Content<'a> {
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
    /// or read as the results of the next run, and what is in `.granary` is this program's own. Pure, by name
    /// alone.
    pub fn conflicts(&self, results: &[String]) -> Vec<(&'static str, String)> {
        self.conflicts_by(results, &without_dots, Path::new(OWN_FOLDER))
    }

    /// The same by what `place` makes of a path; `own` is this program's folder.
    fn conflicts_by(
        &self,
        results: &[String],
        place: &dyn Fn(&Path) -> PathBuf,
        own: &Path,
    ) -> Vec<(&'static str, String)> {
        let mut conflicts = Vec::new();
        for (setting, path) in self.named() {
            let plain = place(path);
            if path.file_name().is_none() {
                conflicts.push((setting, "it names no file".to_owned()));
            }
            if plain.starts_with(own) {
                conflicts.push((setting, format!("what is in `{OWN_FOLDER}` is this program's own")));
            }
            let reads = |pattern: &&String| {
                let named = place(Path::new(pattern));
                let matches = |pattern: glob::Pattern| pattern.matches_path(&plain);
                named == plain || glob::Pattern::new(&named.to_string_lossy()).is_ok_and(matches)
            };
            if let Some(pattern) = results.iter().find(reads) {
                conflicts.push((setting, format!("`results` reads `{pattern}`, which this file is one of")));
            }
        }
        if let (Some(junit), Some(summary)) = (&self.junit, &self.summary)
            && place(junit) == place(summary)
        {
            conflicts.push(("summary_file", "`junit_file` is the same".to_owned()));
        }
        conflicts
    }

    /// Tries whether the files can be written, and looks once more for conflicts, by where the files really
    /// are; before the tests run: afterwards, a setting must not stand in the way of what the tests said. What
    /// lies there stays until it is replaced.
    ///
    /// # Errors
    /// With exit code 2, for the first that cannot be.
    pub fn check(&self, results: &[String], workspace: &Path) -> Result<(), Failure> {
        let own = resolved(&workspace.join(OWN_FOLDER));
        let mut conflicts = self.conflicts_by(results, &resolved, &own);
        // What a link among the results leads to.
        let found = results::find(results, Path::new("")).unwrap_or_default();
        let behind: Vec<PathBuf> = found.iter().filter_map(|file| file.canonicalize().ok()).collect();
        for (setting, path) in self.named().filter(|(_, path)| behind.contains(&resolved(path))) {
            conflicts.push((setting, format!("`results` reads {}, by a link", path.display())));
        }
        if let Some((setting, reason)) = conflicts.into_iter().next() {
            return Err(Failure::new(Kind::Settings, format!("`{setting}` cannot be used: {reason}"))
                .hint("name another file"));
        }
        self.named().try_for_each(|(setting, path)| {
            prepare_file(path).map_err(|error| unwritable(setting).caused_by(error))
        })
    }

    /// Writes both, each whole or not at all.
    ///
    /// # Errors
    /// With exit code 2, for the first that cannot be written; the other one is written all the same.
    pub fn write(&self, content: &Content<'_>) -> Result<(), Failure> {
        let mut failed = None;
        for (setting, path) in self.named() {
            let text = match setting {
                "junit_file" => junit::render(content),
                _ => markdown::render(content),
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

/// The path without `.`, and without `..` as far as it goes by name alone.
fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(plain.components().next_back(), Some(Component::Normal(_))) => {
                plain.pop();
            }
            _ => plain.push(part),
        }
    }
    plain
}

/// Where a file would be written: the absolute path, with the links in the folders that are there followed.
/// One in the file's own place is not, it would be replaced.
fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let folders = absolute.ancestors().skip(1);
    let there = folders.filter_map(|folder| Some((folder, folder.canonicalize().ok()?))).next();
    match there {
        Some((folder, real)) => {
            without_dots(&real.join(absolute.strip_prefix(folder).unwrap_or(Path::new(""))))
        }
        None => without_dots(&absolute),
    }
}

/// A test with what was decided about it.
struct Told<'a> {
    test: &'a Test,
    /// It passed, and not at the first try.
    is_flaky: bool,
}

impl Content<'_> {
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
        cut(&(self.redact)(text), MAX_MESSAGE)
    }

    /// A name, which is never cut: that would make it another one.
    fn name(&self, name: &str) -> String {
        (self.redact)(name)
    }
}
