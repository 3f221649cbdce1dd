//! The project's own form of results.
//!
//! Pure. One object; what is not listed here is ignored, so a suite may add what it likes:
//!
//! | Field | |
//! |---|---|
//! | `schema` | optional, [`SCHEMA`]; another one is refused |
//! | `image` | optional, what was tested, `repository@digest` or with a tag |
//! | `digest` | optional, the digest that was tested; results that name another than ours are refused |
//! | `startedOn`, `finishedOn` | optional, RFC 3339 with an offset |
//! | `tests` | list of `name`, `status` (`passed`, `failed`, `skipped`, `error`, `flaky`), and optionally `suite`, `seconds`, `message` |
//!
//! ```json
//! {
//!   "schema": "https://celestium.life/granary/results/v1",
//!   "digest": "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
//!   "startedOn": "2026-11-21T12:00:00Z",
//!   "finishedOn": "2026-11-21T12:00:09Z",
//!   "tests": [
//!     {"suite": "login", "name": "accepts a good password", "status": "passed", "seconds": 0.25},
//!     {"suite": "login", "name": "refuses a bad one", "status": "failed", "message": "got 200, wanted 401"}
//!   ]
//! }
//! ```

use std::fmt;

use granary_oci::Digest;
use jiff::Timestamp;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::text::message;
use super::{Fault, MAX_TESTS, Outcome, Position, Status, Test, full_name, seconds};

/// The `schema` of the form that is documented in this module.
pub const SCHEMA: &str = "https://celestium.life/granary/results/v1";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    schema: Option<String>,
    image: Option<String>,
    digest: Option<String>,
    started_on: Option<String>,
    finished_on: Option<String>,
    #[serde(deserialize_with = "bounded")]
    tests: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    suite: Option<String>,
    name: String,
    status: Status,
    seconds: Option<f64>,
    message: Option<String>,
}

/// One more case than there may be, at most: the rest is read over.
fn bounded<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Case>, D::Error> {
    struct Cases;
    impl<'de> Visitor<'de> for Cases {
        type Value = Vec<Case>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a sequence")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<Case>, A::Error> {
            let mut cases = Vec::new();
            while cases.len() <= MAX_TESTS {
                match list.next_element()? {
                    Some(case) => cases.push(case),
                    None => return Ok(cases),
                }
            }
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok(cases)
        }
    }
    deserializer.deserialize_seq(Cases)
}

pub(super) fn parse(text: &str) -> Result<Outcome, Fault> {
    let file: File = serde_json::from_str(text).map_err(|error| {
        let problem = error.to_string();
        // The place stands in front of ours already.
        let problem = problem.rsplit_once(" at line ").map_or(problem.as_str(), |(problem, _)| problem);
        Fault::Json { at: Position::Line(error.line(), error.column()), problem: problem.to_owned() }
    })?;
    if let Some(found) = file.schema.filter(|schema| schema != SCHEMA) {
        return Err(Fault::OtherSchema { found });
    }
    if file.tests.len() > MAX_TESTS {
        return Err(Fault::TooManyTests);
    }
    let started = time("startedOn", file.started_on)?;
    let finished = time("finishedOn", file.finished_on)?;
    if let (Some(started), Some(finished)) = (started, finished)
        && finished < started
    {
        let expected = "a time after `startedOn`";
        return Err(Fault::Value { field: "finishedOn".to_owned(), value: finished.to_string(), expected });
    }
    let named = file.digest.map(|text| digest("digest", &text)).transpose()?;
    let in_image = file.image.as_deref().and_then(|image| image.rsplit_once('@'));
    let in_image = in_image.map(|(_, text)| digest("image", text)).transpose()?;
    if let (Some(first), Some(second)) = (&named, &in_image)
        && first != second
    {
        return Err(Fault::DigestsDiffer { first: first.clone(), second: second.clone() });
    }
    let tests = file
        .tests
        .into_iter()
        .enumerate()
        .map(|(index, case)| test(index, case))
        .collect::<Result<_, _>>()?;
    Ok(Outcome { tests, started, finished, named_digest: named.or(in_image), ..Outcome::default() })
}

fn test(index: usize, case: Case) -> Result<Test, Fault> {
    let suite = case.suite.unwrap_or_default();
    let name = full_name(&[suite.as_str()], &case.name, || format!("tests[{index}]"))?;
    let duration = case.seconds.map(|value| {
        seconds(value).ok_or_else(|| Fault::Value {
            field: format!("tests[{index}].seconds"),
            value: value.to_string(),
            expected: "seconds, 0 or more",
        })
    });
    let message = case.message.as_deref().and_then(message);
    Ok(Test { name, status: case.status, duration: duration.transpose()?, message })
}

fn time(field: &str, text: Option<String>) -> Result<Option<Timestamp>, Fault> {
    let parse = |text: String| {
        text.parse().map_err(|_| Fault::Value {
            field: field.to_owned(),
            value: text,
            expected: "a time as in 2026-11-21T12:00:00Z",
        })
    };
    text.map(parse).transpose()
}

fn digest(field: &str, text: &str) -> Result<Digest, Fault> {
    text.parse().map_err(|_| Fault::Value {
        field: field.to_owned(),
        value: text.to_owned(),
        expected: "a digest as in sha256:9f86…",
    })
}
