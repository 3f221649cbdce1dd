//! Reads the result file of an earlier step.
//!
//! What it says is a hint, not a proof: any step can write it. So the reader checks digests against the
//! registry; here is only checked that it speaks of the same commit, and whether there is anything to go on.

use std::path::Path;

use crate::failure::{Failure, Kind};
use crate::file::{FileError, LONGEST_FILE, read_json};
use crate::report::StepResult;

/// Why a result file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum PreviousError {
    /// The file cannot be understood.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is about another commit.
    #[error("the result of {plugin} is about commit {found}, not {ours}")]
    OtherCommit {
        /// Who wrote it.
        plugin: String,
        /// The commit in the file.
        found: String,
        /// Ours.
        ours: String,
    },
}

impl From<PreviousError> for Failure {
    fn from(error: PreviousError) -> Self {
        let hint = match &error {
            PreviousError::OtherCommit { .. } => {
                "let the earlier step run in the same pipeline, or remove its file"
            }
            _ => "remove the file, or run the step that writes it again",
        };
        Failure::new(Kind::BadInput, "the result of an earlier step cannot be used")
            .caused_by(error)
            .hint(hint)
    }
}

/// What follows from an earlier step's result.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It did its work: go on with what it says.
    Use(Box<StepResult>),
    /// It did not: this step's outcome is `skipped`, for this reason.
    Skip(String),
}

/// The result at `path`; `None` where there is no such file.
///
/// # Errors
/// [`PreviousError`]; a file that cannot be understood is not taken for one that is missing.
pub fn read(path: &Path) -> Result<Option<StepResult>, PreviousError> {
    Ok(read_json(path, LONGEST_FILE, "a result file", StepResult::from_json)?)
}

/// Judges an earlier result for a run that is about `commit` (full SHA, peeled).
///
/// # Errors
/// [`PreviousError::OtherCommit`], whatever the outcome; a result that was of use must name its commit.
pub fn judge(result: StepResult, commit: &str) -> Result<Verdict, PreviousError> {
    let of_use = matches!(result.outcome.as_str(), "done" | "unchanged");
    match &result.commit {
        Some(found) if found.eq_ignore_ascii_case(commit) => {}
        None if !of_use => {}
        other => {
            return Err(PreviousError::OtherCommit {
                found: other.clone().unwrap_or_else(|| "nobody named".to_owned()),
                plugin: result.plugin,
                ours: commit.to_owned(),
            });
        }
    }
    Ok(match of_use {
        true => Verdict::Use(Box::new(result)),
        false => Verdict::Skip(format!("{} ended with outcome {}", result.plugin, result.outcome)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(outcome: &str, commit: Option<&str>) -> StepResult {
        let commit = commit.map_or_else(|| "null".to_owned(), |commit| format!("{commit:?}"));
        let json = format!(
            r#"{{"plugin":"registry-push","outcome":"{outcome}","exit_code":0,"commit":{commit},"attempts":2}}"#
        );
        StepResult::from_json(&json).unwrap()
    }

    #[test]
    fn only_done_work_on_our_commit_is_used() {
        let (ours, other) = ("a".repeat(40), "b".repeat(40));
        for outcome in ["done", "unchanged"] {
            let judged = judge(result(outcome, Some(&ours)), &ours).unwrap();
            assert_eq!(judged, Verdict::Use(Box::new(result(outcome, Some(&ours)))));
            assert!(judge(result(outcome, None), &ours).is_err());
        }
        for outcome in ["planned", "deferred", "skipped", "refused", "failed", "perhaps"] {
            let skip = Verdict::Skip(format!("registry-push ended with outcome {outcome}"));
            assert_eq!(judge(result(outcome, Some(&ours)), &ours).unwrap(), skip);
            assert_eq!(judge(result(outcome, None), &ours).unwrap(), skip);
            let failure = Failure::from(judge(result(outcome, Some(&other)), &ours).unwrap_err());
            assert_eq!(failure.kind().code(), 20);
        }
        assert_eq!(result("done", None).extra["attempts"], 2);
    }

    #[test]
    fn missing_is_none_and_broken_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("promote.json");
        assert_eq!(read(&path).unwrap(), None);
        for (text, message) in [
            ("{", "is not a result file".to_owned()),
            (r#"{"plugin":"x"}"#, "is not a result file".to_owned()),
            (&" ".repeat(1024 * 1024 + 1), "is larger than 1048576 bytes".to_owned()),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(read(&path).unwrap_err().to_string(), format!("{} {message}", path.display()));
        }
        assert!(matches!(read(folder.path()), Err(PreviousError::File(FileError::Read { .. }))));
    }
}
