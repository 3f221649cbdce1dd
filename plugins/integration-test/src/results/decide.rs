//! Whether the tests let the candidate through.
//!
//! Pure. Whatever is unclear is a failure: nothing ran, everything was skipped, a required test is missing
//! or was not run, one test said two things.

use std::collections::BTreeMap;

use thiserror::Error;

use super::{Outcome, Status};

/// What the settings ask beyond "no test failed".
#[derive(Clone, Debug, Default)]
pub struct Rules {
    required: Vec<glob::Pattern>,
    max_skipped: Option<usize>,
}

/// A pattern in `required_tests` that is none.
#[derive(Debug, Error)]
#[error("`{pattern}` is not a pattern of test names")]
pub struct BadPattern {
    /// The pattern as set.
    pub pattern: String,
    /// What is wrong with it.
    #[source]
    pub source: glob::PatternError,
}

impl Rules {
    /// `required` are names of tests, in which `*`, `?` and `[…]` are wildcards; a test that is called
    /// exactly like that is meant first, so `test_sum[1]` needs no escaping.
    ///
    /// # Errors
    /// A pattern that is none.
    pub fn new(required: &[String], max_skipped: Option<usize>) -> Result<Self, BadPattern> {
        let pattern = |text: &String| {
            glob::Pattern::new(text).map_err(|source| BadPattern { pattern: text.clone(), source })
        };
        Ok(Rules { required: required.iter().map(pattern).collect::<Result<_, _>>()?, max_skipped })
    }
}

/// The word that goes into the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// At least one test passed, none failed, and every rule is met.
    Passed,
    /// Anything else.
    Failed,
}

/// What was decided, and on what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The verdict.
    pub result: Verdict,
    /// Names of the tests that passed, each once, sorted.
    pub passed: Vec<String>,
    /// Names of those that failed or could not run.
    pub failed: Vec<String>,
    /// Names of those that were skipped.
    pub skipped: Vec<String>,
    /// What is wrong beside the failed tests, for readers.
    pub problems: Vec<String>,
}

impl Decision {
    /// Adds what the files cannot know, such as an exit code that contradicts them. The verdict is FAILED
    /// from then on.
    pub fn object(&mut self, problem: impl Into<String>) {
        self.problems.push(problem.into());
        self.result = Verdict::Failed;
    }
}

/// Everything that was said of one name.
#[derive(Default)]
struct Said {
    passed: bool,
    failed: bool,
    skipped: bool,
}

/// Decides. Of a test that is named several times the worst counts: failed, then skipped, then passed.
pub fn decide(outcome: &Outcome, rules: &Rules) -> Decision {
    let mut names: BTreeMap<&str, Said> = BTreeMap::new();
    for test in &outcome.tests {
        let said = names.entry(&test.name).or_default();
        match test.status {
            Status::Passed => said.passed = true,
            Status::Failed | Status::Error => said.failed = true,
            Status::Skipped => said.skipped = true,
        }
    }
    let (mut passed, mut failed, mut skipped, mut problems) = (vec![], vec![], vec![], vec![]);
    for (&name, said) in &names {
        if said.failed && said.passed {
            problems.push(format!("test `{name}` is named more than once: it passed and it failed"));
        }
        let list = match said {
            Said { failed: true, .. } => &mut failed,
            Said { skipped: true, .. } => &mut skipped,
            _ => &mut passed,
        };
        list.push(name.to_owned());
    }
    if names.is_empty() {
        problems.push("no test ran: the results name none".to_owned());
    } else if passed.is_empty() && failed.is_empty() {
        problems.push(format!("no test ran: all {} were skipped", skipped.len()));
    }
    problems.extend(rules.required.iter().filter_map(|pattern| unmet(pattern, &names)));
    if let Some(most) = rules.max_skipped.filter(|&most| skipped.len() > most) {
        problems.push(format!("{} tests were skipped, `max_skipped` allows {most}", skipped.len()));
    }
    let good = problems.is_empty() && failed.is_empty() && !passed.is_empty();
    Decision {
        result: if good { Verdict::Passed } else { Verdict::Failed },
        passed,
        failed,
        skipped,
        problems,
    }
}

/// Why a required pattern is not met. A test that failed is listed as such and said no second time.
fn unmet(pattern: &glob::Pattern, names: &BTreeMap<&str, Said>) -> Option<String> {
    let matching: Vec<(&str, &Said)> = match names.get_key_value(pattern.as_str()) {
        Some((name, said)) => vec![(name, said)],
        None => {
            names.iter().filter(|(name, _)| pattern.matches(name)).map(|(name, said)| (*name, said)).collect()
        }
    };
    if matching.is_empty() {
        return Some(format!("no test matches `{pattern}`, which `required_tests` asks for"));
    }
    let (name, _) = matching.into_iter().find(|(_, said)| said.skipped && !said.failed)?;
    Some(format!("test `{name}` was skipped, and `required_tests` asks for `{pattern}`"))
}
