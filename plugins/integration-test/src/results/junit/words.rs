//! The words with which tools say in an attribute how a case ended.

use super::super::Status;

/// What a word says; `None` for one that nobody knows. GoogleTest has `run` and `notrun`, `completed`,
/// `skipped` and `suppressed`, CTest `run`, `fail`, `disabled` and `notrun`, Qt `pass` to `xpass`, and its `b…`
/// for tests that are known to be unreliable, whose end counts for nothing.
pub(super) fn said_by(word: &str) -> Option<Status> {
    Some(match word.to_ascii_lowercase().as_str() {
        "run" | "ran" | "passed" | "pass" | "success" | "successful" | "succeeded" | "ok" | "completed"
        | "complete" | "finished" | "done" | "executed" | "fixed" => Status::Passed,
        "notrun" | "not_run" | "not run" | "skipped" | "skip" | "suppressed" | "disabled" | "ignored"
        | "ignore" | "pending" | "todo" | "notexecuted" | "excluded" | "xfail" | "xfailed" | "bpass"
        | "bfail" | "bxpass" | "bxfail" => Status::Skipped,
        "failed" | "fail" | "failure" | "incomplete" | "inconclusive" | "warning" | "xpass" | "xpassed"
        | "regression" => Status::Failed,
        "error" | "errored" | "errors" | "broken" | "aborted" | "crashed" | "panicked" | "timeout"
        | "timedout" | "cancelled" | "canceled" | "interrupted" => Status::Error,
        "flaky" => Status::Flaky,
        _ => return None,
    })
}
