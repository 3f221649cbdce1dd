//! The test-result predicate: what was tested, with what outcome, and under which circumstances.
//!
//! The predicate is in-toto's (`https://in-toto.io/attestation/test-result/v0.1`), so that others can read it. It
//! says nothing of *when* and *where*, on which promotion depends; that stands in an object of our own inside the
//! predicate ([`TEST_RUN_KEY`]), under the same signature. A test result without it is refused: evidence that cannot
//! be dated cannot be the newest.
//!
//! Whether a result is good enough (required tests, warnings, age) is not decided here.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::digest::{is_lower_hex, sha256_hex};
use crate::statement::{ResourceDescriptor, Statement};

/// Predicate type of in-toto's test result.
pub const TEST_RESULT: &str = "https://in-toto.io/attestation/test-result/v0.1";

/// Field of the predicate that holds the [`TestRun`].
pub const TEST_RUN_KEY: &str = "https://celestium.life/granary/test-run/v1";

/// Why a test result cannot be written or believed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TestResultError {
    /// The statement says something else.
    #[error("predicate type {found:?} is not a test result")]
    OtherPredicate {
        /// What the statement's `predicateType` is.
        found: String,
    },
    /// A test result of another tool, signed by a key that we trust: it names no environment and no time.
    #[error("the test result does not say when and where it was made: no {TEST_RUN_KEY}")]
    NoTestRun,
    /// Not the fields of a test result.
    #[error("malformed test result")]
    Malformed {
        /// Where and what.
        #[source]
        source: serde_json::Error,
    },
    /// A field whose value cannot be.
    #[error("test run: {field} is {found:?}, expected {expected}")]
    BadField {
        /// Name of the field, as in the JSON.
        field: &'static str,
        /// Its value.
        found: String,
        /// What would do.
        expected: &'static str,
    },
}

/// The outcome of a test run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Outcome {
    /// No test failed or warned.
    Passed,
    /// No test failed, some warned.
    Warned,
    /// A test failed, or none ran.
    Failed,
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Passed => "PASSED",
            Self::Warned => "WARNED",
            Self::Failed => "FAILED",
        })
    }
}

/// The predicate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TestResult {
    /// What came of it.
    pub result: Outcome,
    /// What configured the run: the pipeline file, the test command.
    pub configuration: Vec<ResourceDescriptor>,
    /// Where a reader finds the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Names of the tests that passed.
    #[serde(default)]
    pub passed_tests: Vec<String>,
    /// Names of the tests that passed with a warning, e.g. only when repeated.
    #[serde(default)]
    pub warned_tests: Vec<String>,
    /// Names of the tests that failed.
    #[serde(default)]
    pub failed_tests: Vec<String>,
    /// When and where.
    #[serde(rename = "https://celestium.life/granary/test-run/v1")]
    pub run: TestRun,
}

/// What in-toto's predicate does not say, and promotion must know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TestRun {
    /// Commit that was tested, 40 lower-case hex digits.
    pub commit: String,
    /// Digest of the release set that was tested, `sha256:<64 hex>`.
    pub set: String,
    /// Name of the test environment. Evidence is judged per environment.
    pub environment: String,
    /// When the first attempt began.
    #[serde(with = "crate::time")]
    pub started_on: Timestamp,
    /// When the last attempt ended. The newest decides.
    #[serde(with = "crate::time")]
    pub finished_on: Timestamp,
    /// How often the suite was run, 1 or more.
    pub attempts: u32,
    /// Platforms that ran, as `os/architecture[/variant]`.
    pub platforms: Vec<String>,
    /// Whether the step that ran the tests could read the signing key: then the tests could have signed anything.
    pub key_exposed: bool,
}

impl TestResult {
    /// Makes the statement that says this of `subjects`.
    ///
    /// # Errors
    ///
    /// [`TestResultError::BadField`]: what [`Self::from_statement`] would refuse is not written.
    pub fn to_statement(&self, subjects: Vec<ResourceDescriptor>) -> Result<Statement, TestResultError> {
        self.run.check()?;
        let predicate = serde_json::to_value(self).map_err(|source| TestResultError::Malformed { source })?;
        Ok(Statement { subjects, predicate_type: TEST_RESULT.to_owned(), predicate })
    }

    /// Reads the test result of a statement. Unknown fields are skipped.
    ///
    /// # Errors
    ///
    /// [`TestResultError`]: among them [`TestResultError::OtherPredicate`], which is no fault of the statement.
    pub fn from_statement(statement: &Statement) -> Result<Self, TestResultError> {
        if statement.predicate_type != TEST_RESULT {
            return Err(TestResultError::OtherPredicate { found: statement.predicate_type.clone() });
        }
        if statement.predicate.is_object() && statement.predicate.get(TEST_RUN_KEY).is_none() {
            return Err(TestResultError::NoTestRun);
        }
        let result = Self::deserialize(&statement.predicate)
            .map_err(|source| TestResultError::Malformed { source })?;
        result.run.check()?;
        Ok(result)
    }
}

impl TestRun {
    fn check(&self) -> Result<(), TestResultError> {
        let bad = |field, found: &dyn fmt::Display, expected| {
            Err(TestResultError::BadField { field, found: found.to_string(), expected })
        };
        if !is_lower_hex(&self.commit, 40) {
            return bad("commit", &self.commit, "40 lower-case hex digits");
        }
        if sha256_hex(&self.set).is_none() {
            return bad("set", &self.set, "sha256:<64 lower-case hex digits>");
        }
        if self.environment.is_empty() {
            return bad("environment", &self.environment, "a name");
        }
        if self.finished_on < self.started_on {
            return bad("finishedOn", &self.finished_on, "a time not before startedOn");
        }
        if self.attempts == 0 {
            return bad("attempts", &self.attempts, "1 or more");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn predicate() -> Value {
        json!({
            "result": "PASSED",
            "configuration": [{"uri": "https://git.example.com/acme/app", "digest": {"gitCommit": "3f2a91c"}}],
            "url": "https://ci.example.com/repos/1/pipeline/87",
            "passedTests": ["orders::fill", "orders::cancel"],
            "warnedTests": [],
            "failedTests": [],
            "https://celestium.life/granary/test-run/v1": {
                "commit": "3f2a91c0123456789abcdef0123456789abcdef0",
                "set": format!("sha256:{}", "ab".repeat(32)),
                "environment": "integration",
                "startedOn": "2026-11-20T20:40:00Z",
                "finishedOn": "2026-11-20T20:45:04.5Z",
                "attempts": 2,
                "platforms": ["linux/amd64"],
                "keyExposed": false,
            },
        })
    }

    fn statement(predicate: Value) -> Statement {
        Statement { subjects: vec![], predicate_type: TEST_RESULT.to_owned(), predicate }
    }

    #[test]
    fn round_trip() {
        let result = TestResult::from_statement(&statement(predicate())).unwrap();
        assert_eq!(result.result, Outcome::Passed);
        assert_eq!(result.passed_tests, ["orders::fill", "orders::cancel"]);
        assert_eq!(result.run.finished_on, "2026-11-20T20:45:04.5Z".parse().unwrap());
        assert_eq!((result.run.attempts, result.run.key_exposed), (2, false));
        assert_eq!(result.to_statement(vec![]).unwrap(), statement(predicate()));
    }

    #[test]
    fn reads_what_others_may_write() {
        let mut other = predicate();
        other["annotations"] = json!({"x": 1});
        other["result"] = json!("WARNED");
        for absent in ["url", "passedTests", "warnedTests", "failedTests"] {
            other.as_object_mut().unwrap().remove(absent);
        }
        other[TEST_RUN_KEY]["finishedOn"] = json!("2026-11-20T21:45:04+01:00");
        other[TEST_RUN_KEY]["later"] = json!(true);
        let result = TestResult::from_statement(&statement(other)).unwrap();
        assert_eq!(result.result.to_string(), "WARNED");
        assert_eq!(result.passed_tests, Vec::<String>::new());
        assert_eq!(result.run.finished_on.to_string(), "2026-11-20T20:45:04Z");
    }

    #[test]
    fn refusals() {
        let other = Statement {
            predicate_type: "https://slsa.dev/provenance/v1".to_owned(),
            ..statement(predicate())
        };
        assert_eq!(
            TestResult::from_statement(&other).unwrap_err().to_string(),
            "predicate type \"https://slsa.dev/provenance/v1\" is not a test result"
        );
        let foreign = statement(json!({"result": "PASSED", "configuration": []}));
        assert!(matches!(TestResult::from_statement(&foreign), Err(TestResultError::NoTestRun)));
        for malformed in [json!(null), json!([]), json!({TEST_RUN_KEY: {}})] {
            let error = TestResult::from_statement(&statement(malformed.clone())).unwrap_err();
            assert!(matches!(error, TestResultError::Malformed { .. }), "{malformed}: {error}");
        }

        for (field, value, expected) in [
            (
                "commit",
                json!("3f2a91c"),
                Some("test run: commit is \"3f2a91c\", expected 40 lower-case hex digits"),
            ),
            (
                "set",
                json!("latest"),
                Some("test run: set is \"latest\", expected sha256:<64 lower-case hex digits>"),
            ),
            ("environment", json!(""), Some("test run: environment is \"\", expected a name")),
            ("attempts", json!(0), Some("test run: attempts is \"0\", expected 1 or more")),
            (
                "finishedOn",
                json!("2026-11-20T20:39:59Z"),
                Some(
                    "test run: finishedOn is \"2026-11-20T20:39:59Z\", expected a time not before startedOn",
                ),
            ),
            ("finishedOn", json!("2026-11-20T20:45:04"), None),
            ("finishedOn", json!(1_700_000_000), None),
            ("attempts", json!(-1), None),
            ("keyExposed", json!("no"), None),
        ] {
            let mut predicate = predicate();
            predicate[TEST_RUN_KEY][field] = value.clone();
            let error = TestResult::from_statement(&statement(predicate)).unwrap_err().to_string();
            assert_eq!(error, expected.unwrap_or("malformed test result"), "{field}: {value}");
        }
    }

    #[test]
    fn what_would_be_refused_is_not_written() {
        let mut result = TestResult::from_statement(&statement(predicate())).unwrap();
        result.run.commit = "HEAD".to_owned();
        let error = result.to_statement(vec![]).unwrap_err();
        assert!(matches!(error, TestResultError::BadField { field: "commit", .. }));
    }
}
