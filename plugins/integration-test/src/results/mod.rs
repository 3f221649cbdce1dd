//! What the tests said: read from their files and decided upon.
//!
//! `json` and `junit` are pure parsers over bytes, `decide` is pure, `read` is the one place that opens
//! files. Refuses what it cannot read to the end: a truncated report is no report, and the tests that it
//! does not name are most likely those that crashed.

mod decide;
mod error;
mod json;
mod junit;
mod read;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Duration;

use granary_oci::Digest;
use jiff::{SignedDuration, Timestamp};

pub use self::decide::{BadPattern, Decision, Rules, Verdict, decide};
pub use self::error::{Fault, Position, ReadError};
pub use self::json::SCHEMA;
pub use self::read::{find, read};

/// Most bytes that are read, all files of a run together.
pub const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Most files that a run may have.
pub const MAX_FILES: usize = 10_000;
/// Most tests that a run may have.
pub const MAX_TESTS: usize = 200_000;
/// Longest name of a test in bytes.
pub const MAX_NAME: usize = 4096;
/// Longest message that is kept; more of it is in the log.
pub const MAX_MESSAGE: usize = 4096;

/// How one test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It ran and was content.
    Passed,
    /// It ran and was not.
    Failed,
    /// It did not run, on purpose.
    Skipped,
    /// It could not run, or what stands around it failed.
    Error,
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
    /// When the first one started, where the results say so with an offset.
    pub started: Option<Timestamp>,
    /// When the last one ended.
    pub finished: Option<Timestamp>,
    /// What the results say was tested.
    pub named_digest: Option<Digest>,
}

impl Outcome {
    /// The outcome of a command that leaves no results: one test, named by the caller, that passed where the
    /// exit code was 0.
    pub fn of_exit_code(name: &str, code: i32, started: Timestamp, finished: Timestamp) -> Self {
        let test = Test {
            name: name.to_owned(),
            status: if code == 0 { Status::Passed } else { Status::Failed },
            duration: Duration::try_from(finished.duration_since(started)).ok(),
            message: (code != 0).then(|| format!("exit code {code}")),
        };
        Outcome { tests: vec![test], started: Some(started), finished: Some(finished), named_digest: None }
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
}

impl Format {
    /// The format that begins like this, blanks and a byte order mark aside.
    fn of(bytes: &[u8]) -> Result<Self, Fault> {
        let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes).trim_ascii_start();
        match bytes.first() {
            Some(b'{') => Ok(Format::Json),
            Some(b'<') => Ok(Format::Junit),
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
    let parsed = Format::of(bytes).and_then(|found| {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| Fault::NotUtf8 { at: Position::Byte(error.valid_up_to()) })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        match format.unwrap_or(found) {
            Format::Json => json::parse(text),
            Format::Junit => junit::parse(text),
        }
    });
    parsed.map_err(|fault| ReadError::Unusable { file: file.to_owned(), fault })
}

/// A duration given in seconds, as both formats do.
fn seconds(value: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(value).ok()
}

/// `text` without blanks around it and not longer than [`MAX_MESSAGE`].
fn message(text: &str) -> Option<String> {
    let text = text.trim();
    let cut = text.floor_char_boundary(MAX_MESSAGE);
    match (text.is_empty(), cut < text.len()) {
        (true, _) => None,
        (false, false) => Some(text.to_owned()),
        (false, true) => Some(format!("{} […]", &text[..cut])),
    }
}

/// When something that started then and took that long ended.
fn after(started: Timestamp, duration: Duration) -> Option<Timestamp> {
    started.checked_add(SignedDuration::try_from(duration).ok()?).ok()
}
