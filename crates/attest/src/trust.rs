//! The keys whose evidence counts, and for what: the value of the `trusted_keys` setting.
//!
//! The value is PEM (one or more public keys, good for every environment at any time), or a JSON list of
//! `{name, key, environments, not_before, not_after}`. Everything unknown is refused rather than skipped: a misspelt
//! `environment` would otherwise make a key of one environment good for all of them. Reading a value from a path is
//! the caller's business. Errors never repeat a value, which could be a private key in the wrong place.

use jiff::Timestamp;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::key::{KeyError, PublicKey};

/// A key that evidence may be signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    /// How messages and records call it: the name that was given, else the key's hint.
    pub name: String,
    /// The key.
    pub key: PublicKey,
    /// Test environments that it may sign for; empty means all.
    pub environments: Vec<String>,
    /// Evidence that was finished before this does not count.
    pub not_before: Option<Timestamp>,
    /// Evidence that was finished at this time or later does not count.
    pub not_after: Option<Timestamp>,
}

impl TrustedKey {
    /// Whether the key may sign for `environment`.
    #[must_use]
    pub fn covers(&self, environment: &str) -> bool {
        self.environments.is_empty() || self.environments.iter().any(|it| it == environment)
    }

    /// Whether `time` lies in the key's period, `[not_before, not_after)`.
    ///
    /// A time from the evidence is the signer's own word: a stolen key can date back. Taking a key out of the list is
    /// what ends its use.
    #[must_use]
    pub fn valid_at(&self, time: Timestamp) -> bool {
        self.not_before.is_none_or(|first| first <= time) && self.not_after.is_none_or(|end| time < end)
    }
}

impl AsRef<PublicKey> for TrustedKey {
    fn as_ref(&self) -> &PublicKey {
        &self.key
    }
}

/// Why a value of `trusted_keys` is refused. Entries are counted from 1.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrustError {
    /// No key at all: nothing could ever be promoted.
    #[error("the list of trusted keys is empty")]
    Empty,
    /// Begins like JSON and is none.
    #[error("the list of trusted keys is not valid JSON (line {line}, column {column})")]
    NotJson {
        /// Line of the fault.
        line: usize,
        /// Column of the fault.
        column: usize,
    },
    /// JSON, but no list.
    #[error("trusted keys must be PEM or a JSON list of objects")]
    NotAList,
    /// An element of the list that is no object.
    #[error("trusted key {entry} is not an object of name, key, environments, not_before, not_after")]
    NotAnObject {
        /// Place in the list.
        entry: usize,
    },
    /// A field that means nothing.
    #[error("trusted key {entry} has the unknown field {field:?}, known are {}", FIELDS.join(", "))]
    UnknownField {
        /// Place in the list.
        entry: usize,
        /// Name of the field.
        field: String,
    },
    /// A field of the wrong form, or a required one that is absent.
    #[error("trusted key {entry}: {field} must be {expected}")]
    BadField {
        /// Place in the list.
        entry: usize,
        /// Name of the field.
        field: &'static str,
        /// The form that it takes.
        expected: &'static str,
    },
    /// The PEM of one entry, or the whole value, holds no public key.
    #[error("trusted key {name}")]
    BadKey {
        /// Name of the entry; `PEM` where the value is PEM.
        name: String,
        /// What is wrong with it.
        #[source]
        source: KeyError,
    },
    /// A period in which no moment lies.
    #[error("trusted key {name}: not_after is not later than not_before")]
    EmptyPeriod {
        /// Name of the entry.
        name: String,
    },
    /// Two entries of one name: records would not tell them apart.
    #[error("two trusted keys have the name {name:?}")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// One key twice: which entry's environments and period hold?
    #[error("trusted keys {first:?} and {second:?} are the same key")]
    DuplicateKey {
        /// Name of the earlier entry.
        first: String,
        /// Name of the later entry.
        second: String,
    },
}

const FIELDS: [&str; 5] = ["name", "key", "environments", "not_before", "not_after"];

/// Reads the value of `trusted_keys`.
///
/// # Errors
///
/// [`TrustError`], for the first fault. A list is taken whole or not at all.
pub fn parse(value: &str) -> Result<Vec<TrustedKey>, TrustError> {
    let value = value.trim();
    let keys = match value.bytes().next() {
        None => return Err(TrustError::Empty),
        Some(b'[' | b'{') => parse_json(value)?,
        Some(_) => PublicKey::many_from_pem(value)
            .map_err(|source| TrustError::BadKey { name: "PEM".to_owned(), source })?
            .into_iter()
            .map(|key| TrustedKey {
                name: key.hint(),
                key,
                environments: Vec::new(),
                not_before: None,
                not_after: None,
            })
            .collect(),
    };
    if keys.is_empty() {
        return Err(TrustError::Empty);
    }
    refuse_duplicates(&keys)?;
    Ok(keys)
}

fn parse_json(text: &str) -> Result<Vec<TrustedKey>, TrustError> {
    let value: Value = serde_json::from_str(text)
        .map_err(|error| TrustError::NotJson { line: error.line(), column: error.column() })?;
    let Value::Array(list) = value else { return Err(TrustError::NotAList) };
    list.iter()
        .enumerate()
        .map(|(index, value)| match value {
            Value::Object(fields) => Entry { number: index + 1, fields }.parse(),
            _ => Err(TrustError::NotAnObject { entry: index + 1 }),
        })
        .collect()
}

/// One element of the JSON list.
struct Entry<'a> {
    number: usize,
    fields: &'a Map<String, Value>,
}

impl Entry<'_> {
    // By hand, because serde's messages quote the offending value.
    fn parse(&self) -> Result<TrustedKey, TrustError> {
        if let Some(field) = self.fields.keys().find(|field| !FIELDS.contains(&field.as_str())) {
            return Err(TrustError::UnknownField {
                entry: self.number,
                field: field.chars().take(40).collect(),
            });
        }
        let name = self.text("name")?.filter(|name| !name.is_empty()).ok_or(self.bad("name", "a text"))?;
        let pem = self.text("key")?.ok_or(self.bad("key", "a public key in PEM"))?;
        let key = PublicKey::from_pem(pem)
            .map_err(|source| TrustError::BadKey { name: name.to_owned(), source })?;
        let not_before = self.time("not_before")?;
        let not_after = self.time("not_after")?;
        if let (Some(first), Some(end)) = (not_before, not_after)
            && end <= first
        {
            return Err(TrustError::EmptyPeriod { name: name.to_owned() });
        }
        Ok(TrustedKey {
            name: name.to_owned(),
            key,
            environments: self.environments()?,
            not_before,
            not_after,
        })
    }

    fn environments(&self) -> Result<Vec<String>, TrustError> {
        let bad = || self.bad("environments", "a list of names that is not empty, or left out for all");
        let Some(value) = self.fields.get("environments") else { return Ok(Vec::new()) };
        // An empty list reads as "none" and would mean "all".
        let list = value.as_array().filter(|list| !list.is_empty()).ok_or_else(bad)?;
        list.iter()
            .map(|name| name.as_str().filter(|name| !name.is_empty()).map(str::to_owned).ok_or_else(bad))
            .collect()
    }

    fn time(&self, field: &'static str) -> Result<Option<Timestamp>, TrustError> {
        let parse =
            |text: &str| text.parse().map_err(|_| self.bad(field, "a time such as 2027-01-31T00:00:00Z"));
        self.text(field)?.map(parse).transpose()
    }

    fn text(&self, field: &'static str) -> Result<Option<&str>, TrustError> {
        match self.fields.get(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.bad(field, "a text")),
        }
    }

    fn bad(&self, field: &'static str, expected: &'static str) -> TrustError {
        TrustError::BadField { entry: self.number, field, expected }
    }
}

fn refuse_duplicates(keys: &[TrustedKey]) -> Result<(), TrustError> {
    for (index, second) in keys.iter().enumerate() {
        for first in &keys[..index] {
            if first.key == second.key {
                return Err(TrustError::DuplicateKey {
                    first: first.name.clone(),
                    second: second.name.clone(),
                });
            }
            if first.name == second.name {
                return Err(TrustError::DuplicateName { name: second.name.clone() });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const PEM: &str = include_str!("../tests/data/keys/p256.pub.pem");
    const OTHER_PEM: &str = include_str!("../tests/data/keys/other.pub.pem");
    const PRIVATE_PEM: &str = include_str!("../tests/data/keys/p256.pkcs8.pem");
    const HINT: &str = "B47x0AhtGnvAbCBkHHrRjvjcHoo1FXqatm3oWdXZLAs=";

    #[test]
    fn pem_is_trusted_for_everything() {
        let keys = parse(&format!("\n{PEM}{OTHER_PEM}")).unwrap();
        assert_eq!(keys.len(), 2);
        assert_eq!((keys[0].name.as_str(), keys[0].key.to_pem().as_str()), (HINT, PEM));
        assert_eq!(keys[1].key.to_pem(), OTHER_PEM);
        assert!(
            keys[0].covers("integration")
                && keys[0].valid_at(Timestamp::MIN)
                && keys[0].valid_at(Timestamp::MAX)
        );
    }

    #[test]
    fn json_restricts() {
        let keys = parse(
            &json!([
                {"name": "ci", "key": PEM, "environments": ["integration", "load"],
                 "not_before": "2026-01-01T00:00:00Z", "not_after": "2027-01-01T00:00:00Z"},
                {"name": "old", "key": OTHER_PEM.replace('\n', "\\n")},
            ])
            .to_string(),
        )
        .unwrap();
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!((keys[0].name.as_str(), keys[1].name.as_str()), ("ci", "old"));
        for (environment, covered) in [("integration", true), ("load", true), ("Load", false), ("", false)] {
            assert_eq!(keys[0].covers(environment), covered, "{environment}");
        }
        for (moment, valid) in [
            ("2025-12-31T23:59:59Z", false),
            ("2026-01-01T00:00:00Z", true),
            ("2026-12-31T23:59:59.999Z", true),
            ("2027-01-01T00:00:00Z", false),
        ] {
            assert_eq!(keys[0].valid_at(time(moment)), valid, "{moment}");
        }
        assert_eq!((keys[1].environments.len(), keys[1].not_before, keys[1].not_after), (0, None, None));
    }

    #[test]
    fn refusals() {
        let one = |field: &str, value: Value| {
            let mut entry = json!({"name": "ci", "key": PEM});
            entry[field] = value;
            json!([entry]).to_string()
        };
        let period = json!([{"name": "ci", "key": PEM, "not_before": "2027-01-01T00:00:00Z", "not_after": "2027-01-01T00:00:00Z"}]);
        for (value, expected) in [
            (String::new(), "the list of trusted keys is empty".to_owned()),
            (" \n".to_owned(), "the list of trusted keys is empty".to_owned()),
            ("[]".to_owned(), "the list of trusted keys is empty".to_owned()),
            ("[{]".to_owned(), "the list of trusted keys is not valid JSON (line 1, column 3)".to_owned()),
            ("{}".to_owned(), "trusted keys must be PEM or a JSON list of objects".to_owned()),
            (
                json!([PEM]).to_string(),
                "trusted key 1 is not an object of name, key, environments, not_before, not_after".to_owned(),
            ),
            (
                one("environment", json!("load")),
                "trusted key 1 has the unknown field \"environment\", known are name, key, environments, not_before, not_after"
                    .to_owned(),
            ),
            (one("name", json!("")), "trusted key 1: name must be a text".to_owned()),
            (one("key", json!(7)), "trusted key 1: key must be a text".to_owned()),
            (json!([{"name": "ci"}]).to_string(), "trusted key 1: key must be a public key in PEM".to_owned()),
            (
                one("environments", json!([])),
                "trusted key 1: environments must be a list of names that is not empty, or left out for all".to_owned(),
            ),
            (
                one("environments", json!("load")),
                "trusted key 1: environments must be a list of names that is not empty, or left out for all".to_owned(),
            ),
            (
                one("not_after", json!("2027-01-31")),
                "trusted key 1: not_after must be a time such as 2027-01-31T00:00:00Z".to_owned(),
            ),
            (period.to_string(), "trusted key ci: not_after is not later than not_before".to_owned()),
            (
                json!([{"name": "a", "key": PEM}, {"name": "a", "key": OTHER_PEM}]).to_string(),
                "two trusted keys have the name \"a\"".to_owned(),
            ),
            (
                json!([{"name": "a", "key": PEM}, {"name": "b", "key": PEM}]).to_string(),
                "trusted keys \"a\" and \"b\" are the same key".to_owned(),
            ),
            (PEM.repeat(2), format!("trusted keys \"{HINT}\" and \"{HINT}\" are the same key")),
            ("/run/secrets/keys.pem".to_owned(), "trusted key PEM".to_owned()),
            (one("key", json!(format!("{PEM}{OTHER_PEM}"))), "trusted key ci".to_owned()),
        ] {
            assert_eq!(parse(&value).unwrap_err().to_string(), expected, "{value}");
        }
    }

    #[test]
    fn a_private_key_in_the_wrong_place_is_not_printed() {
        let secret = &PRIVATE_PEM[60..80];
        assert!(matches!(
            parse(PRIVATE_PEM),
            Err(TrustError::BadKey { source: KeyError::PrivateInsteadOfPublic, .. })
        ));
        for value in [
            PRIVATE_PEM.to_owned(),
            json!([PRIVATE_PEM]).to_string(),
            json!([{"name": "a", "key": PRIVATE_PEM}]).to_string(),
            json!([{"name": [PRIVATE_PEM], "key": PEM}]).to_string(),
            json!([{"name": "a", "key": PEM, "not_after": PRIVATE_PEM}]).to_string(),
            format!("[\"{PRIVATE_PEM}"),
        ] {
            let error = parse(&value).unwrap_err();
            assert!(!format!("{error} {error:?}").contains(secret), "{error:?}");
        }
    }
}
