//! What the tests said: read from their files and decided upon.
//!
//! `json`, `junit` and `tap` are pure parsers over text, `decide` is pure, `read` is the one place that
//! opens files. Refuses what it cannot read to the end: a truncated report is no report, and the tests that
//! it does not name are most likely those that crashed. Names and messages leave this module without
//! control characters, which their files may have.

mod age;
mod decide;
mod error;
mod json;
mod junit;
mod read;
mod tap;
#[cfg(test)]
mod tests;
mod text;
mod walk;

use std::path::Path;
use std::time::Duration;

use granary_oci::Digest;
use jiff::{SignedDuration, Timestamp};

pub use self::age::{is_ahead, older_than, too_old};
pub use self::decide::{BadPattern, Decision, Earlier, Rules, decide};
pub use self::error::{Fault, Position, ReadError};
pub use self::json::SCHEMA;
pub use self::read::{find, read};
pub use self::text::{cut, first_line};
pub use granary_release::TestOutcome;

/// Most bytes that are read, all files of a run together.
pub const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Most files that a run may have.
pub const MAX_FILES: usize = 10_000;
/// Most tests that a run may have.
pub const MAX_TESTS: usize = 200_000;
/// Longest name of a test in bytes.
pub const MAX_NAME: usize = 4096;
/// Most bytes that the names of all tests may have together: the name of a suite is repeated for each of
/// its tests, so a small file could have large ones.
pub const MAX_NAMES: usize = 64 * 1024 * 1024;
/// Longest message that is kept; more of it is in the log.
pub const MAX_MESSAGE: usize = 4096;

/// How one test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It ran and was content.
    Passed,
    /// It failed first, and passed when it was repeated.
    Flaky,
    /// It ran and was not.
    Failed,
    /// It did not run, on purpose.
    Skipped,
    /// It could not run, or what stands around it failed.
    Error,
}

impl Status {
    /// Whether it speaks against the candidate.
    pub fn is_bad(self) -> bool {
        matches!(self, Status::Failed | Status::Error)
    }
}

/// One test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// Suite or class and name, joined by `::`.
    pub name: String,
    /// How it ended.
    pub status: Status,
    /// How long it took, where that is known.
    pub duration: Option<Duration>,
    /// Why it failed or was skipped, cut at [`MAX_MESSAGE`].
    pub message: Option<String>,
}

/// What the tests of a run said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Every test, in the order of the files.
    pub tests: Vec<Test>,
    /// What is wrong beside single tests, such as tests that were planned and did not run.
    pub problems: Vec<String>,
    /// When the first one started, where the results say so with an offset.
    pub started: Option<Timestamp>,
    /// When the last one ended.
    pub finished: Option<Timestamp>,
    /// What the results say was tested.
    pub named_digest: Option<Digest>,
}

impl Outcome {
    /// Whether a test ran and was not content. One that could not run tells nothing of what it would notice.
    pub fn has_failed(&self) -> bool {
        self.tests.iter().any(|test| test.status == Status::Failed)
    }

    /// The outcome of a command that leaves no results: one test, named by the caller, that passed where the
    /// exit code was 0. It could not run where a shell says so: there was no such program, or one that
    /// cannot be run, or a signal has ended it.
    pub fn of_exit_code(name: &str, code: i32, started: Timestamp, finished: Timestamp) -> Self {
        let test = Test {
            name: name.to_owned(),
            status: match code {
                0 => Status::Passed,
                126 | 127 | 129.. => Status::Error,
                _ => Status::Failed,
            },
            duration: Duration::try_from(finished.duration_since(started)).ok(),
            message: (code != 0).then(|| format!("exit code {code}")),
        };
        Outcome { tests: vec![test], started: Some(started), finished: Some(finished), ..Outcome::default() }
    }

    /// The tests that took longest, `most` at most.
    pub fn slowest(&self, most: usize) -> Vec<(Duration, &str)> {
        let timed = self.tests.iter().filter_map(|test| Some((test.duration?, test.name.as_str())));
        let mut slowest: Vec<_> = timed.collect();
        slowest.sort_by(|left, right| right.0.cmp(&left.0).then_with(|| left.1.cmp(right.1)));
        slowest.truncate(most);
        slowest
    }

    /// Adds what another file of the same run says.
    ///
    /// # Errors
    /// Too many tests, or another digest than the files before.
    fn add(&mut self, other: Outcome) -> Result<(), Fault> {
        if self.tests.len() + other.tests.len() > MAX_TESTS {
            return Err(Fault::TooManyTests);
        }
        match (&self.named_digest, other.named_digest) {
            (Some(first), Some(second)) if *first != second => {
                return Err(Fault::DigestsDiffer { first: first.clone(), second });
            }
            (None, named) => self.named_digest = named,
            _ => {}
        }
        self.tests.extend(other.tests);
        self.problems.extend(other.problems);
        self.started = [self.started, other.started].into_iter().flatten().min();
        self.finished = [self.finished, other.finished].into_iter().flatten().max();
        Ok(())
    }
}

/// A format in which tests leave their results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The project's own, see [`SCHEMA`].
    Json,
    /// JUnit XML, as a dozen tools write it and nobody has specified it.
    Junit,
    /// The Test Anything Protocol, versions 13 and 14.
    Tap,
}

impl Format {
    /// The format that begins like this, blanks aside.
    fn of(text: &str) -> Result<Self, Fault> {
        match text.trim_start().bytes().next() {
            Some(b'{') => Ok(Format::Json),
            Some(b'<') => Ok(Format::Junit),
            Some(_) if tap::is_tap(text) => Ok(Format::Tap),
            Some(_) => Err(Fault::UnknownFormat),
            None => Err(Fault::Empty),
        }
    }
}

/// Reads one file's bytes; `file` is for errors.
///
/// # Errors
/// Whatever keeps the bytes from being understood to the end.
pub fn parse(bytes: &[u8], format: Option<Format>, file: &Path) -> Result<Outcome, ReadError> {
    let parsed = text::decoded(bytes).and_then(|text| {
        let found = Format::of(text);
        // A format that was set is not guessed again, but nothing is nothing in each.
        let format = match (format, found) {
            (_, Err(Fault::Empty)) => return Err(Fault::Empty),
            (Some(format), _) => format,
            (None, found) => found?,
        };
        match format {
            Format::Json => json::parse(text),
            Format::Junit => junit::parse(text),
            Format::Tap => tap::parse(text, &file.file_name().unwrap_or_default().to_string_lossy()),
        }
    });
    let mut outcome = parsed.map_err(|fault| ReadError::Unusable { file: file.to_owned(), fault })?;
    for problem in &mut outcome.problems {
        *problem = format!("{}: {problem}", file.display());
    }
    Ok(outcome)
}

/// So many tests, for readers.
pub fn counted(number: usize) -> String {
    match number {
        1 => "1 test".to_owned(),
        _ => format!("{number} tests"),
    }
}

/// A duration given in seconds, as both formats do.
fn seconds(value: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(value).ok()
}

/// A test's full name, one harmless line; `at` says where it stands.
fn full_name(suites: &[&str], own: &str, at: impl Fn() -> String) -> Result<String, Fault> {
    let unfit = || Fault::Name { at: at() };
    // Not joined before it is known to be short: there may be a long name around very many tests.
    let around = suites.iter().copied().filter(|suite| !suite.is_empty());
    let length = around.clone().map(|suite| suite.len() + "::".len()).sum::<usize>() + own.len();
    if own.is_empty() || length > MAX_NAME {
        return Err(unfit());
    }
    let name = text::one_line(&around.chain([own]).collect::<Vec<_>>().join("::"));
    if name.is_empty() || name.len() > MAX_NAME { Err(unfit()) } else { Ok(name) }
}

/// When something that started then and took that long ended.
fn after(started: Timestamp, duration: Duration) -> Option<Timestamp> {
    started.checked_add(SignedDuration::try_from(duration).ok()?).ok()
}
