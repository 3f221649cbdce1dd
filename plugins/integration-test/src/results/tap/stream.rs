//! One TAP document, the file or a subtest in it, and whether it kept to its plan.

use std::collections::HashSet;

use super::super::{MAX_MESSAGE, Status, Test, text};
use super::line::{Directive, Point};

/// Most problems that are told of one document: the first ones say what happened.
const MAX_PROBLEMS: usize = 20;

/// One TAP document: the file, or a subtest.
#[derive(Default)]
pub(super) struct Stream {
    plan: Option<Plan>,
    ran: u64,
    /// The number of the point before.
    number: u64,
    numbers: HashSet<u64>,
    /// The plan came behind test points, so nothing may come behind it.
    has_ended: bool,
    pub(super) tests: Vec<Told>,
    problems: Vec<String>,
    /// What a comment calls the subtest that comes next.
    pub(super) announced: Option<String>,
}

pub(super) struct Plan {
    pub(super) count: u64,
    pub(super) reason: String,
}

/// A test point that may turn out to be no test of its own.
pub(super) struct Told {
    pub(super) test: Test,
    /// The comments behind it, as they stand there: they become its message once, at the end.
    pub(super) explained: String,
    /// It sums up a subtest, in which something ran.
    pub(super) sums_up: bool,
    /// So it does, and nothing in there failed.
    pub(super) alone: bool,
}

impl Told {
    /// Adds a comment, as long as more than a message holds is not there yet.
    pub(super) fn explain(&mut self, comment: &str) {
        if self.explained.len() <= MAX_MESSAGE && !comment.is_empty() {
            self.explained.push_str(text::beginning(comment));
            self.explained.push('\n');
        }
    }

    fn into_test(self) -> Test {
        let mut test = self.test;
        if let Some(explained) = text::message(&self.explained) {
            test.message = Some(explained);
        }
        test
    }
}

impl Stream {
    pub(super) fn problem(&mut self, problem: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        }
    }

    pub(super) fn plan(&mut self, first: u64, last: u64, reason: String) {
        if self.plan.is_some() {
            return self.problem("it has two plans".to_owned());
        }
        if first != 1 {
            self.problem(format!("its plan begins with {first}"));
        }
        let count = last.saturating_sub(first.saturating_sub(1));
        self.plan = Some(Plan { count, reason });
        self.has_ended = self.ran > 0;
    }

    /// Counts a point and says which number it has.
    pub(super) fn count(&mut self, point: &Point) -> u64 {
        if self.has_ended {
            self.problem("it goes on behind its plan".to_owned());
        }
        self.ran += 1;
        self.number = point.number.unwrap_or(self.number.saturating_add(1));
        if !self.numbers.insert(self.number) {
            self.problem(format!("number {} is there twice", self.number));
        }
        self.number
    }

    /// Whether it says that there is nothing to run.
    pub(super) fn skipped(&self) -> Option<&Plan> {
        self.plan.as_ref().filter(|plan| plan.count == 0 && self.ran == 0)
    }

    /// Whether anything of it was read.
    pub(super) fn has_begun(&self) -> bool {
        self.ran > 0 || self.plan.is_some()
    }

    /// No plan is missed any more.
    pub(super) fn give_up(&mut self) {
        self.plan = Some(Plan { count: self.ran, reason: String::new() });
        self.numbers.clear();
        self.problems.clear();
    }

    /// The tests, and what is wrong beside them.
    pub(super) fn close(mut self) -> (Vec<Test>, Vec<String>) {
        match self.plan.as_ref().map(|plan| plan.count) {
            None => self.problem(format!("it has no plan, {} ran", tests(self.ran))),
            Some(count) if count != self.ran => {
                self.problem(format!("planned {}, ran {}", tests(count), self.ran));
            }
            Some(count) => {
                let outside = self.numbers.iter().filter(|&&number| number == 0 || number > count).min();
                if let Some(number) = outside.copied() {
                    self.problem(format!("number {number} is not in the plan, which is 1 to {count}"));
                }
            }
        }
        let own = self.tests.into_iter().filter(|told| !told.sums_up || told.alone);
        (own.map(Told::into_test).collect(), self.problems)
    }
}

/// How a point ended, and why it was skipped.
pub(super) fn judged(point: &Point) -> (Status, Option<String>) {
    match (point.directive, point.ok) {
        (Some(Directive::Skip), _) => (Status::Skipped, text::message(&point.reason)),
        (Some(Directive::Todo), _) => (Status::Skipped, todo_message(&point.reason)),
        (None, true) => (Status::Passed, None),
        (None, false) => (Status::Failed, None),
    }
}

/// Why a test that is to be done was skipped.
pub(super) fn todo_message(reason: &str) -> Option<String> {
    text::message(&if reason.is_empty() { "todo".to_owned() } else { format!("todo: {reason}") })
}

/// The reason of a skipped plan, which repeats the word.
pub(super) fn skip_reason(reason: &str) -> &str {
    match reason.get(..4) {
        Some(word) if word.eq_ignore_ascii_case("skip") => {
            reason.split_once(char::is_whitespace).map_or("", |(_, reason)| reason)
        }
        _ => reason,
    }
}

fn tests(count: u64) -> String {
    format!("{count} {}", if count == 1 { "test" } else { "tests" })
}
