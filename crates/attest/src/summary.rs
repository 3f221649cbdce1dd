//! The verification summary: what was promoted, on which evidence, by whose decision.
//!
//! The predicate is SLSA's (`https://slsa.dev/verification_summary/v1`), so that verifiers of others can read it:
//! PASSED, by whom, when, for which resource. What Granary decides upon stands in an object of our own inside it
//! ([`PROMOTION_KEY`]), under the same signature. A summary without that object, or one that did not pass, is refused.
//!
//! SLSA's `policy` and `inputAttestations` repeat what our object says; only our object is read back, so that there is
//! one truth. No SLSA level is claimed: Granary looks at tests, not at how something was built.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de};
use serde_json::{Value, json};
use thiserror::Error;

use crate::digest::{is_lower_hex, sha256_hex};
use crate::statement::{ResourceDescriptor, Statement};
use crate::test_result::Outcome;

/// Predicate type of SLSA's verification summary.
pub const SUMMARY: &str = "https://slsa.dev/verification_summary/v1";

/// Field of the predicate that holds the [`Promotion`].
pub const PROMOTION_KEY: &str = "https://celestium.life/granary/promotion/v1";

/// `verifier.id` of what Granary's promote writes. Whose promote it was is said by the key.
pub const VERIFIER_ID: &str = "https://celestium.life/granary/promote";

/// `policy.uri` of a promotion that no policy file judged; SLSA wants an address in every case.
pub const UNPROTECTED_URI: &str = "https://celestium.life/granary/policy/unprotected";

/// What `verifiedLevels` says. It must not begin with `SLSA_`, which would claim a level of SLSA's own.
pub const LEVEL: &str = "GRANARY_TESTED";

/// Stage of a promotion from candidate to version.
pub const STABLE: &str = "stable";

const PASSED: &str = "PASSED";

/// Why a summary cannot be written or believed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SummaryError {
    /// The statement says something else.
    #[error("predicate type {found:?} is not a verification summary")]
    OtherPredicate {
        /// What the statement's `predicateType` is.
        found: String,
    },
    /// A summary of another tool, signed by a key that we trust: it says nothing of versions and evidence.
    #[error("the verification summary does not say what was promoted: no {PROMOTION_KEY}")]
    NoPromotion,
    /// Somebody verified, and it did not pass.
    #[error("the verification summary says {found:?}, and only {PASSED} lets anything in")]
    NotPassed {
        /// What `verificationResult` says.
        found: String,
    },
    /// Not the fields of a summary.
    #[error("malformed verification summary")]
    Malformed {
        /// Where and what.
        #[source]
        source: serde_json::Error,
    },
    /// A field whose value cannot be.
    #[error("promotion: {field} is {found:?}, expected {expected}")]
    BadField {
        /// Name of the field, as in the JSON.
        field: &'static str,
        /// Its value.
        found: String,
        /// What would do.
        expected: &'static str,
    },
}

/// A passed verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Who verified.
    pub verifier: Verifier,
    /// When.
    pub time_verified: Timestamp,
    /// What is let in, and where: the reference under which users find it, as a URI.
    pub resource_uri: String,
    /// What was promoted.
    pub promotion: Promotion,
}

/// Who verified. Names only: the signature says whose word it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verifier {
    /// A URI, [`VERIFIER_ID`] where Granary wrote it.
    pub id: String,
    /// Names of programs to their versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub version: BTreeMap<String, String>,
}

/// What was promoted, on what grounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Promotion {
    /// The version that it becomes, `X.Y.Z`.
    pub version: String,
    /// What it was published as, `X.Y.Z-rc.N`.
    pub candidate: String,
    /// Stage that it is let into: [`STABLE`].
    pub stage: String,
    /// Digest of the release set, `sha256:<64 hex>`.
    pub set: String,
    /// Commit that the set was built from, 40 lower-case hex digits.
    pub commit: String,
    /// Branch of that commit, where the set knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The test runs that let it in; never none.
    pub evidence: Vec<Evidence>,
    /// The rules that judged it.
    pub policy: Policy,
    /// What gates said, in the order in which they were asked.
    pub gates: Vec<Gate>,
    /// Who asked for it.
    pub operator: Operator,
    /// Break-glass, if it was used; written as `null` where not.
    #[serde(rename = "override")]
    pub overridden: Option<Override>,
    /// Where a reader finds the run that promoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_url: Option<String>,
}

/// One test run that counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// Digest of the manifest that carries the bundle, `sha256:<64 hex>`.
    pub bundle: String,
    /// Name of the trusted key that signed it.
    pub key: String,
    /// Test environment.
    pub environment: String,
    /// How it ended.
    pub result: Outcome,
    /// When the last test ended.
    #[serde(with = "crate::time")]
    pub finished_on: Timestamp,
}

/// The rules that judged a promotion: the text `unprotected`, or `{"uri": …, "digest": "sha256:…"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub enum Policy {
    /// No policy file: what the pipeline's own settings ask, and nothing else.
    Unprotected,
    /// A file that the branch cannot change.
    File {
        /// Where it was read, with its revision.
        uri: String,
        /// Hash of its bytes, `sha256:<64 hex>`.
        digest: String,
    },
}

/// What one gate said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// Its name.
    pub name: String,
    /// `allow`, or what it said instead where an override went past it.
    pub decision: String,
    /// Why.
    #[serde(default)]
    pub reasons: Vec<String>,
}

/// Who asked for a promotion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// Login, or what stood in its place.
    pub name: String,
    /// Whether the CI server vouches for the name. On restarts, deployments and by hand it does not.
    pub verified: bool,
}

/// The use of break-glass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// Why, in the operator's words.
    pub reason: String,
    /// Ticket, where one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// The one digest that it holds for, `sha256:<64 hex>`.
    pub digest: String,
    /// Makes it usable once.
    pub nonce: String,
}

/// The predicate's own fields, as far as they are read. Field order is the specification's.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    verifier: Verifier,
    #[serde(with = "crate::time")]
    time_verified: Timestamp,
    resource_uri: String,
    #[serde(rename = "https://celestium.life/granary/promotion/v1")]
    promotion: Promotion,
}

impl Summary {
    /// Makes the statement that says this of `subjects`.
    ///
    /// # Errors
    ///
    /// [`SummaryError::BadField`]: what [`Self::from_statement`] would refuse is not written.
    pub fn to_statement(&self, subjects: Vec<ResourceDescriptor>) -> Result<Statement, SummaryError> {
        self.check()?;
        let wire = Wire {
            verifier: self.verifier.clone(),
            time_verified: self.time_verified,
            resource_uri: self.resource_uri.clone(),
            promotion: self.promotion.clone(),
        };
        let mut predicate =
            serde_json::to_value(wire).map_err(|source| SummaryError::Malformed { source })?;
        let inputs = self.promotion.evidence.iter().map(|evidence| sha256(&evidence.bundle));
        predicate["policy"] = match &self.promotion.policy {
            Policy::Unprotected => json!({"uri": UNPROTECTED_URI}),
            Policy::File { uri, digest } => json!({"uri": uri, "digest": sha256(digest)}),
        };
        predicate["inputAttestations"] = inputs.map(|digest| json!({"digest": digest})).collect();
        predicate["verificationResult"] = PASSED.into();
        predicate["verifiedLevels"] = json!([LEVEL]);
        predicate["slsaVersion"] = "1.1".into();
        Ok(Statement { subjects, predicate_type: SUMMARY.to_owned(), predicate })
    }

    /// Reads the summary of a statement. Unknown fields are skipped.
    ///
    /// Whether the statement names the digest that was asked about is for the caller to see.
    ///
    /// # Errors
    ///
    /// [`SummaryError`]: among them [`SummaryError::OtherPredicate`], which is no fault of the statement.
    pub fn from_statement(statement: &Statement) -> Result<Self, SummaryError> {
        if statement.predicate_type != SUMMARY {
            return Err(SummaryError::OtherPredicate { found: statement.predicate_type.clone() });
        }
        let predicate = &statement.predicate;
        match predicate.get("verificationResult") {
            None => {
                let source = de::Error::missing_field("verificationResult");
                return Err(SummaryError::Malformed { source });
            }
            Some(result) if result.as_str() == Some(PASSED) => {}
            Some(result) => {
                let found = result.as_str().map_or_else(|| result.to_string(), ToOwned::to_owned);
                return Err(SummaryError::NotPassed { found });
            }
        }
        if predicate.get(PROMOTION_KEY).is_none() {
            return Err(SummaryError::NoPromotion);
        }
        let wire = Wire::deserialize(predicate).map_err(|source| SummaryError::Malformed { source })?;
        let summary = Self {
            verifier: wire.verifier,
            time_verified: wire.time_verified,
            resource_uri: wire.resource_uri,
            promotion: wire.promotion,
        };
        summary.check()?;
        Ok(summary)
    }

    fn check(&self) -> Result<(), SummaryError> {
        let bad = |field, found: &dyn fmt::Display, expected| {
            Err(SummaryError::BadField { field, found: found.to_string(), expected })
        };
        const DIGEST: &str = "sha256:<64 lower-case hex digits>";
        let promotion = &self.promotion;
        let named = [
            ("verifier.id", &self.verifier.id),
            ("resourceUri", &self.resource_uri),
            ("candidate", &promotion.candidate),
            ("stage", &promotion.stage),
            ("operator.name", &promotion.operator.name),
        ];
        if let Some((field, value)) = named.into_iter().find(|(_, value)| value.is_empty()) {
            return bad(field, value, "a text that is not empty");
        }
        if !is_version(&promotion.version) {
            return bad("version", &promotion.version, "X.Y.Z");
        }
        if !is_lower_hex(&promotion.commit, 40) {
            return bad("commit", &promotion.commit, "40 lower-case hex digits");
        }
        let digests = [("set", &promotion.set)]
            .into_iter()
            .chain(promotion.evidence.iter().map(|evidence| ("evidence.bundle", &evidence.bundle)))
            .chain(promotion.policy.digest().map(|digest| ("policy.digest", digest)))
            .chain(promotion.overridden.iter().map(|used| ("override.digest", &used.digest)));
        for (field, digest) in digests {
            if sha256_hex(digest).is_none() {
                return bad(field, digest, DIGEST);
            }
        }
        if promotion.evidence.is_empty() {
            return bad("evidence", &"[]", "at least one test run");
        }
        if let Some(failed) = promotion.evidence.iter().find(|evidence| evidence.result == Outcome::Failed) {
            return bad("evidence.result", &failed.result, "PASSED or WARNED");
        }
        Ok(())
    }
}

impl Policy {
    fn digest(&self) -> Option<&String> {
        match self {
            Self::Unprotected => None,
            Self::File { digest, .. } => Some(digest),
        }
    }
}

const UNPROTECTED: &str = "unprotected";

impl TryFrom<Value> for Policy {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        let text = |field: &str| value.get(field).and_then(Value::as_str).map(ToOwned::to_owned);
        match (value.as_str(), text("uri"), text("digest")) {
            (Some(UNPROTECTED), ..) => Ok(Self::Unprotected),
            (None, Some(uri), Some(digest)) => Ok(Self::File { uri, digest }),
            _ => Err(format!("a policy is {UNPROTECTED:?} or an object with the texts uri and digest")),
        }
    }
}

impl From<Policy> for Value {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Unprotected => UNPROTECTED.into(),
            Policy::File { uri, digest } => json!({"uri": uri, "digest": digest}),
        }
    }
}

/// A digest as in-toto writes it. What is no digest gives an empty object; [`Summary::check`] has refused it before.
fn sha256(digest: &str) -> Value {
    sha256_hex(digest).map_or_else(|| json!({}), |hex| json!({"sha256": hex}))
}

/// Whether `text` is three plain numbers.
fn is_version(text: &str) -> bool {
    let number = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_digit())
            && (part == "0" || !part.starts_with('0'))
    };
    text.split('.').count() == 3 && text.split('.').all(number)
}

#[cfg(test)]
mod tests;
