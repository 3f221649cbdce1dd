//! What the elements in a test case come to.

use std::time::Duration;

use super::super::text::message;
use super::super::{Status, Test};

/// A case that is being read.
pub(super) struct Case {
    pub(super) name: String,
    pub(super) status: Status,
    /// Something says that it was skipped, whatever else does.
    pub(super) was_skipped: bool,
    /// One of its elements says that it failed.
    pub(super) has_bad_element: bool,
    /// Node: it is not expected to pass.
    todo: bool,
    pub(super) duration: Option<Duration>,
    pub(super) message: String,
}

impl Case {
    pub(super) fn new(name: String) -> Self {
        Case {
            name,
            status: Status::Passed,
            was_skipped: false,
            has_bad_element: false,
            todo: false,
            duration: None,
            message: String::new(),
        }
    }

    /// Takes what the case says of itself in one place.
    pub(super) fn worsen(&mut self, status: Status) {
        self.was_skipped |= status == Status::Skipped;
        self.status = worse(self.status, status);
    }

    /// Takes what a child element says. Whether its text is part of the message.
    pub(super) fn rule<'a>(&mut self, element: &str, get: &impl Fn(&str) -> Option<&'a str>) -> bool {
        let status = match element {
            // Surefire and nextest: this attempt failed, and so did all others.
            "failure" | "rerunFailure" => Status::Failed,
            // PHPUnit: it is not content either.
            "warning" => Status::Failed,
            "error" | "rerunError" => Status::Error,
            "skipped" | "disabled" => Status::Skipped,
            // It failed first and passed then.
            "flakyFailure" | "flakyError" => Status::Flaky,
            _ => return false,
        };
        self.todo |= status == Status::Skipped && get("type") == Some("todo");
        self.has_bad_element |= matches!(status, Status::Failed | Status::Error) && element != "warning";
        self.worsen(status);
        let text = get("message").unwrap_or_default();
        if !self.message.is_empty() {
            return false;
        }
        self.message.push_str(text);
        text.is_empty()
    }

    pub(super) fn into_test(self) -> Test {
        let is_bad = matches!(self.status, Status::Failed | Status::Error);
        Test {
            name: self.name,
            status: if self.todo && is_bad { Status::Skipped } else { self.status },
            duration: self.duration,
            message: message(&self.message),
        }
    }
}

/// The status that counts where a case has two: one that failed in its body and in its teardown, say.
fn worse(first: Status, second: Status) -> Status {
    let rank = |status| match status {
        Status::Passed => 0,
        Status::Flaky => 1,
        Status::Skipped => 2,
        Status::Failed => 3,
        Status::Error => 4,
    };
    if rank(second) > rank(first) { second } else { first }
}
