//! Whether the tests let the candidate through.
//!
//! Pure. Whatever is unclear is a failure: nothing ran, everything was skipped, a required test is missing
//! or was not run, one test said two things.

use std::collections::{BTreeMap, BTreeSet};

use granary_release::{NamePattern, ParsePatternError, TestOutcome};
use thiserror::Error;

use super::{Outcome, Status, counted};

/// Most tests that are named one by one for the same reason.
const MOST_LISTED: usize = 20;

/// What the settings ask beyond "no test failed".
#[derive(Clone, Debug, Default)]
pub struct Rules {
    required: Vec<NamePattern>,
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
    pub source: ParsePatternError,
}

impl Rules {
    /// `required` are names of tests, in which `*` and `?` are wildcards; a test that is called exactly
    /// like that is meant first, and needs no escaping.
    ///
    /// # Errors
    /// A pattern that is none.
    pub fn new(required: &[String], max_skipped: Option<usize>) -> Result<Self, BadPattern> {
        let pattern =
            |text: &String| text.parse().map_err(|source| BadPattern { pattern: text.clone(), source });
        Ok(Rules { required: required.iter().map(pattern).collect::<Result<_, _>>()?, max_skipped })
    }
}

/// What was decided, and on what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The verdict: PASSED if at least one test passed, none failed, and every rule is met; WARNED if that
    /// took more than one try.
    pub result: TestOutcome,
    /// Names of the tests that passed, each once, sorted.
    pub passed: Vec<String>,
    /// Names of those that passed after they had failed.
    pub warned: Vec<String>,
    /// Names of those that failed or could not run.
    pub failed: Vec<String>,
    /// Names of those that were skipped.
    pub skipped: Vec<String>,
    /// What is wrong beside the failed tests, for readers.
    pub problems: Vec<String>,
}

/// What an attempt before the last one came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Earlier {
    /// There are no results of it.
    Untold,
    /// It failed, and these tests of it did; none where a rule or the exit code failed it.
    Failed(Vec<String>),
}

impl Decision {
    /// A decision without results: nothing counts, for this reason.
    pub fn nothing_counts(problem: String) -> Self {
        Decision {
            result: TestOutcome::Failed,
            passed: Vec::new(),
            warned: Vec::new(),
            failed: Vec::new(),
            skipped: Vec::new(),
            problems: vec![problem],
        }
    }

    /// How many tests there are of each kind, for readers.
    pub fn counts(&self) -> String {
        let flaky = match self.warned.len() {
            0 => String::new(),
            flaky => format!("{flaky} flaky, "),
        };
        let (passed, failed, skipped) = (self.passed.len(), self.failed.len(), self.skipped.len());
        format!("{passed} passed, {flaky}{failed} failed, {skipped} skipped")
    }

    /// Adds what the files cannot know, such as an exit code that contradicts them. The verdict is FAILED
    /// from then on.
    pub fn object(&mut self, problem: impl Into<String>) {
        self.problems.push(problem.into());
        self.result = TestOutcome::Failed;
    }

    /// Takes the attempts before this one into account. A pass after a failure is a warning, and a test that
    /// failed and has not passed since counts as failed: leaving it out of a repetition mends nothing.
    pub fn repeated(&mut self, earlier: &[Earlier]) {
        let failed_before: BTreeSet<&str> = earlier
            .iter()
            .flat_map(|attempt| match attempt {
                Earlier::Untold => &[],
                Earlier::Failed(names) => names.as_slice(),
            })
            .map(String::as_str)
            .collect();
        let left_out = self.flaky(&failed_before);
        for name in left_out.iter().take(MOST_LISTED) {
            self.object(format!("test `{name}` failed before and did not pass when the tests were repeated"));
        }
        if left_out.len() > MOST_LISTED {
            self.object(format!("and {} more", left_out.len() - MOST_LISTED));
        }
        if !earlier.is_empty() {
            self.warn();
        }
    }

    /// Takes tests that passed for ones that passed only when repeated. Returns those of `names` that neither
    /// passed nor are listed as failed.
    pub fn flaky(&mut self, names: &BTreeSet<&str>) -> Vec<String> {
        let is_flaky = |name: &mut String| names.contains(name.as_str());
        self.warned.extend(self.passed.extract_if(.., is_flaky));
        self.warned.sort_unstable();
        if !self.warned.is_empty() {
            self.warn();
        }
        let told = |name: &&str| {
            [&self.warned, &self.failed]
                .iter()
                .any(|list| list.binary_search_by(|known| known.as_str().cmp(name)).is_ok())
        };
        names.iter().filter(|name| !told(name)).map(|name| (*name).to_owned()).collect()
    }

    /// A pass is from now on one with a warning.
    pub fn warn(&mut self) {
        if self.result == TestOutcome::Passed {
            self.result = TestOutcome::Warned;
        }
    }
}

/// Everything that was said of one name.
#[derive(Default)]
struct Said {
    passed: bool,
    flaky: bool,
    failed: bool,
    skipped: bool,
}

/// Decides. Of a test that is named several times the worst counts: failed, then skipped, then flaky,
/// then passed.
pub fn decide(outcome: &Outcome, rules: &Rules) -> Decision {
    let mut names: BTreeMap<&str, Said> = BTreeMap::new();
    for test in &outcome.tests {
        let said = names.entry(&test.name).or_default();
        match test.status {
            Status::Passed => said.passed = true,
            Status::Flaky => said.flaky = true,
            Status::Failed | Status::Error => said.failed = true,
            Status::Skipped => said.skipped = true,
        }
    }
    let (mut passed, mut warned, mut failed, mut skipped) = (vec![], vec![], vec![], vec![]);
    let mut problems = outcome.problems.clone();
    for (&name, said) in &names {
        if said.failed && (said.passed || said.flaky) {
            problems.push(format!("test `{name}` is named more than once: it passed and it failed"));
        }
        let list = match said {
            Said { failed: true, .. } => &mut failed,
            Said { skipped: true, .. } => &mut skipped,
            Said { flaky: true, .. } => &mut warned,
            _ => &mut passed,
        };
        list.push(name.to_owned());
    }
    if names.is_empty() {
        problems.push("no test ran: the results name none".to_owned());
    } else if passed.is_empty() && warned.is_empty() && failed.is_empty() {
        problems.push(match skipped.len() {
            1 => "no test ran: the only one was skipped".to_owned(),
            all => format!("no test ran: all {all} were skipped"),
        });
    }
    problems.extend(rules.required.iter().filter_map(|pattern| unmet(pattern, &names)));
    if let Some(most) = rules.max_skipped.filter(|&most| skipped.len() > most) {
        problems.push(format!("{} skipped, `max_skipped` allows {most}", counted(skipped.len())));
    }
    let result = match (problems.is_empty() && failed.is_empty(), passed.is_empty(), warned.is_empty()) {
        (true, _, false) => TestOutcome::Warned,
        (true, false, true) => TestOutcome::Passed,
        _ => TestOutcome::Failed,
    };
    Decision { result, passed, warned, failed, skipped, problems }
}

/// Why a required pattern is not met. A test that failed is listed as such and said no second time.
fn unmet(pattern: &NamePattern, names: &BTreeMap<&str, Said>) -> Option<String> {
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
