//! in-toto statements: this predicate is true of these subjects.
//!
//! Writes v1; reads v1 and v0.1, because cosign 3 still writes the latter. The predicate stays JSON here: its meaning
//! belongs to its type (see [`crate::test_result`]). Refuses statements about nothing, and subjects whose digest no
//! registry could have.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::digest::{is_lower_hex, sha256_hex};

/// `_type` of the statements that are written.
pub const STATEMENT_V1: &str = "https://in-toto.io/Statement/v1";
/// `_type` of the statements that cosign 3 writes; its fields are those of v1.
pub const STATEMENT_V0_1: &str = "https://in-toto.io/Statement/v0.1";

const SHA256: &str = "sha256";

/// Why a statement cannot be written or believed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StatementError {
    /// Not JSON, or not with the fields of a statement.
    #[error("malformed in-toto statement")]
    Malformed {
        /// Where and what.
        #[source]
        source: serde_json::Error,
    },
    /// Another version, or something else altogether.
    #[error("unknown statement type {found:?}")]
    UnknownType {
        /// What `_type` says.
        found: String,
    },
    /// A statement about nothing.
    #[error("the statement has no subject")]
    NoSubject,
    /// A subject without a digest could be anything.
    #[error("subject {name:?} has no digest")]
    NoDigest {
        /// The subject's name, empty where it has none.
        name: String,
    },
    /// Not `sha256:` with 64 lower-case hex digits.
    #[error("{digest:?} is not a digest of the form sha256:<64 lower-case hex digits>")]
    BadDigest {
        /// What was found.
        digest: String,
    },
}

/// Something named, located or hashed: in-toto's ResourceDescriptor, as far as Granary uses it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceDescriptor {
    /// Name for readers, e.g. the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// Algorithm to lower-case hex; several name the same bytes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub digest: BTreeMap<String, String>,
}

impl ResourceDescriptor {
    /// Describes what `digest` (`sha256:<64 hex>`) names.
    ///
    /// # Errors
    ///
    /// [`StatementError::BadDigest`].
    pub fn new(name: impl Into<String>, digest: &str) -> Result<Self, StatementError> {
        let hex =
            sha256_hex(digest).ok_or_else(|| StatementError::BadDigest { digest: digest.to_owned() })?;
        Ok(Self {
            name: Some(name.into()),
            uri: None,
            digest: BTreeMap::from([(SHA256.to_owned(), hex.to_owned())]),
        })
    }

    /// Returns the SHA-256 digest as registries write it, `sha256:<64 hex>`, where there is one.
    #[must_use]
    pub fn sha256(&self) -> Option<String> {
        self.digest.get(SHA256).map(|hex| format!("{SHA256}:{hex}"))
    }
}

/// An in-toto statement.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// What the predicate is about.
    pub subjects: Vec<ResourceDescriptor>,
    /// URI that gives the predicate its meaning.
    pub predicate_type: String,
    /// What is said.
    pub predicate: Value,
}

/// The statement's JSON.
#[derive(Serialize, Deserialize)]
struct Wire {
    #[serde(rename = "_type")]
    statement_type: String,
    subject: Vec<ResourceDescriptor>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    #[serde(default)]
    predicate: Value,
}

impl Statement {
    /// Whether one of the subjects has `digest` (`sha256:<64 hex>`).
    #[must_use]
    pub fn names(&self, digest: &str) -> bool {
        sha256_hex(digest).is_some_and(|hex| {
            self.subjects.iter().any(|subject| subject.digest.get(SHA256).is_some_and(|it| it == hex))
        })
    }

    /// Writes the statement, v1.
    ///
    /// # Errors
    ///
    /// [`StatementError`]: what could not be read back is not written.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StatementError> {
        check_subjects(&self.subjects)?;
        let mut predicate = self.predicate.clone();
        // Equal statements are to be equal bytes, also in a build where some crate has made JSON maps keep their order
        // of insertion.
        predicate.sort_all_objects();
        serde_json::to_vec(&Wire {
            statement_type: STATEMENT_V1.to_owned(),
            subject: self.subjects.clone(),
            predicate_type: self.predicate_type.clone(),
            predicate,
        })
        .map_err(|source| StatementError::Malformed { source })
    }

    /// Reads a statement, v1 or v0.1. Unknown fields are skipped.
    ///
    /// # Errors
    ///
    /// [`StatementError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StatementError> {
        let wire: Wire =
            serde_json::from_slice(bytes).map_err(|source| StatementError::Malformed { source })?;
        if ![STATEMENT_V1, STATEMENT_V0_1].contains(&wire.statement_type.as_str()) {
            return Err(StatementError::UnknownType { found: wire.statement_type });
        }
        check_subjects(&wire.subject)?;
        Ok(Self { subjects: wire.subject, predicate_type: wire.predicate_type, predicate: wire.predicate })
    }
}

fn check_subjects(subjects: &[ResourceDescriptor]) -> Result<(), StatementError> {
    if subjects.is_empty() {
        return Err(StatementError::NoSubject);
    }
    for subject in subjects {
        if subject.digest.is_empty() {
            return Err(StatementError::NoDigest { name: subject.name.clone().unwrap_or_default() });
        }
        // Other algorithms (`gitCommit`, …) may stand beside it; only SHA-256 is ever compared.
        match subject.digest.get(SHA256) {
            Some(hex) if !is_lower_hex(hex, 64) => {
                return Err(StatementError::BadDigest { digest: format!("{SHA256}:{hex}") });
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "ba9a45bf6f430f3e2a385c70f38ebd311d5e2258812ef15f6469ed7fbaf815b5";

    fn statement() -> Statement {
        Statement {
            subjects: vec![ResourceDescriptor::new("ceo/app", &format!("sha256:{HEX}")).unwrap()],
            predicate_type: "https://example.com/p/v1".to_owned(),
            predicate: serde_json::json!({"a": 1}),
        }
    }

    #[test]
    fn writes_v1_and_reads_both() {
        let rest = format!(
            r#""subject":[{{"name":"ceo/app","digest":{{"sha256":"{HEX}"}}}}],"predicateType":"https://example.com/p/v1","predicate":{{"a":1}}}}"#
        );
        let v1 = format!(r#"{{"_type":"https://in-toto.io/Statement/v1",{rest}"#);
        assert_eq!(String::from_utf8(statement().to_bytes().unwrap()).unwrap(), v1);
        for text in [
            v1.clone(),
            v1.replace("/v1\",\"subject", "/v0.1\",\"subject"),
            v1.replace("{\"_type", "{\"x\":[],\"_type"),
        ] {
            assert_eq!(Statement::from_bytes(text.as_bytes()).unwrap(), statement(), "{text}");
        }
    }

    #[test]
    fn refuses_statements_about_nothing() {
        let with_subject = |subject: &str| {
            let text = format!(
                r#"{{"_type":"{STATEMENT_V1}","subject":{subject},"predicateType":"p","predicate":null}}"#
            );
            Statement::from_bytes(text.as_bytes()).map_err(|error| error.to_string())
        };
        let upper = HEX.to_uppercase();
        let bad_digest = |hex: &str| {
            format!("\"sha256:{hex}\" is not a digest of the form sha256:<64 lower-case hex digits>")
        };
        for (subject, expected) in [
            ("[]", "the statement has no subject".to_owned()),
            (r#"[{"name":"a"}]"#, "subject \"a\" has no digest".to_owned()),
            (r#"[{"digest":{}}]"#, "subject \"\" has no digest".to_owned()),
            (&format!(r#"[{{"digest":{{"sha256":"{upper}"}}}}]"#), bad_digest(&upper)),
            (r#"[{"digest":{"sha256":"12"}}]"#, bad_digest("12")),
            (r#"{}"#, "malformed in-toto statement".to_owned()),
        ] {
            assert_eq!(with_subject(subject).unwrap_err(), expected, "{subject}");
        }
        assert!(with_subject(r#"[{"digest":{"gitCommit":"12"}}]"#).is_ok());
        let other = Statement::from_bytes(br#"{"_type":"x","subject":[],"predicateType":"p"}"#);
        assert_eq!(other.unwrap_err().to_string(), "unknown statement type \"x\"");

        let empty = Statement { subjects: vec![], ..statement() };
        assert!(matches!(empty.to_bytes(), Err(StatementError::NoSubject)));
        assert!(
            matches!(ResourceDescriptor::new("a", HEX), Err(StatementError::BadDigest { digest }) if digest == HEX)
        );
    }

    #[test]
    fn names_its_subjects_only() {
        let statement = statement();
        assert!(statement.names(&format!("sha256:{HEX}")));
        assert_eq!(statement.subjects[0].sha256().unwrap(), format!("sha256:{HEX}"));
        for other in
            [HEX, &format!("sha256:{}", HEX.replace('b', "c")), &format!("sha256:{}", HEX.to_uppercase()), ""]
        {
            assert!(!statement.names(other), "{other}");
        }
    }
}
