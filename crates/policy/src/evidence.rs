//! What is asked of evidence: the policy's own rules, and a stage's in their place.

use std::time::Duration;

use granary_attest::trust::{self, TrustError, TrustedKey};
use granary_release::{EvidenceRules, NamePattern};
use serde_json::{Map, Value};

use crate::error::Problem;
use crate::files::{Files, is_key_path};
use crate::health::duration;
use crate::reader::Reader;
use crate::yaml::{Node, shown};

/// The oldest test run that counts where nothing is said: the default of `max_evidence_age`.
pub const DEFAULT_MAX_AGE: Duration = Duration::from_secs(7 * 86_400);

/// Beyond a year, age is no rule.
const MAX_AGE: Duration = Duration::from_secs(366 * 86_400);

/// What is asked of evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// For [`granary_release::judge`].
    pub rules: EvidenceRules,
    /// The keys whose evidence counts. None: those of the setting `trusted_keys`.
    pub trusted_keys: Vec<TrustedKey>,
}

/// The keys of one `evidence:` that are there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PartialEvidence {
    required_tests: Option<Vec<NamePattern>>,
    environments: Option<Vec<String>>,
    max_age: Option<Duration>,
    allow_warned: Option<bool>,
    trusted_keys: Option<Vec<TrustedKey>>,
}

impl PartialEvidence {
    pub(crate) fn read(
        reader: &mut Reader,
        node: Option<&Node>,
        path: &str,
        files: &mut Files<'_>,
    ) -> PartialEvidence {
        let Some(node) = node else { return PartialEvidence::default() };
        let keys = node.get("trusted_keys");
        PartialEvidence {
            required_tests: node.get("required_tests").map(|list| patterns(reader, list, path)),
            environments: node
                .get("environments")
                .map(|list| distinct(reader, list, &format!("{path}.environments"), str::to_owned)),
            max_age: duration(reader, node, path, "max_age", MAX_AGE, "a year").flatten(),
            allow_warned: node.get("allow_warned").and_then(Node::flag),
            trusted_keys: keys.map(|list| trusted_keys(reader, list, &format!("{path}.trusted_keys"), files)),
        }
    }

    /// These, and where nothing is said the others', and where nothing is said the defaults.
    pub(crate) fn or(&self, other: &PartialEvidence) -> Evidence {
        fn either<T: Clone>(one: &Option<T>, other: &Option<T>) -> Option<T> {
            one.clone().or_else(|| other.clone())
        }
        Evidence {
            rules: EvidenceRules {
                max_age: either(&self.max_age, &other.max_age).unwrap_or(DEFAULT_MAX_AGE),
                required_tests: either(&self.required_tests, &other.required_tests).unwrap_or_default(),
                environments: either(&self.environments, &other.environments).unwrap_or_default(),
                allow_warned: either(&self.allow_warned, &other.allow_warned).unwrap_or(false),
            },
            trusted_keys: either(&self.trusted_keys, &other.trusted_keys).unwrap_or_default(),
        }
    }
}

fn patterns(reader: &mut Reader, list: &Node, path: &str) -> Vec<NamePattern> {
    let mut found = Vec::new();
    for (index, item) in list.items().iter().enumerate() {
        let Some(text) = item.text() else { continue };
        match text.parse() {
            Ok(pattern) => found.push(pattern),
            Err(_) => {
                let needed = "a pattern of test names of at most 1024 bytes";
                let at = format!("{path}.required_tests[{index}]");
                reader.at(item.place, &at, Problem::Form { found: shown(text), needed });
            }
        }
    }
    found
}

/// The texts of a list, none of them twice; two of one `form` are the same.
pub(crate) fn distinct(
    reader: &mut Reader,
    list: &Node,
    path: &str,
    form: impl Fn(&str) -> String,
) -> Vec<String> {
    let mut found: Vec<(String, String)> = Vec::new();
    for (index, item) in list.items().iter().enumerate() {
        let Some(text) = item.text() else { continue };
        let (form, at) = (form(text), format!("{path}[{index}]"));
        match found.iter().position(|(other, _)| *other == form) {
            Some(first) => {
                let first = format!("{path}[{first}]");
                reader.at(item.place, &at, Problem::Taken { name: shown(text), path: first });
            }
            None => found.push((form, text.to_owned())),
        }
    }
    found.into_iter().map(|(_, text)| text).collect()
}

/// A list of keys as the setting `trusted_keys` has it.
pub(crate) fn trusted_keys(
    reader: &mut Reader,
    list: &Node,
    path: &str,
    files: &mut Files<'_>,
) -> Vec<TrustedKey> {
    let mut found: Vec<(String, TrustedKey)> = Vec::new();
    for (index, entry) in list.items().iter().enumerate() {
        let at = format!("{path}[{index}]");
        let Some(key) = trusted_key(reader, entry, &at, files) else { continue };
        let same = |other: &&(String, TrustedKey)| other.1.name == key.name || other.1.key == key.key;
        if let Some((first, other)) = found.iter().find(same) {
            let field = if other.name == key.name { "name" } else { "key" };
            let place = entry.get(field).map_or(entry.place, |node| node.place);
            let problem = Problem::Taken { name: shown(&other.name), path: first.clone() };
            reader.at(place, &format!("{at}.{field}"), problem);
            continue;
        }
        found.push((at, key));
    }
    found.into_iter().map(|(_, key)| key).collect()
}

fn trusted_key(reader: &mut Reader, entry: &Node, path: &str, files: &mut Files<'_>) -> Option<TrustedKey> {
    let key = entry.get("key")?;
    let key_path = format!("{path}.key");
    let pem = match key.text()? {
        text if is_key_path(text) => files.named(reader, key, &key_path)?.1,
        text if text.contains("-----BEGIN") => text,
        _ => {
            let found = "it is neither PEM nor the path of a .pub or .pem file in the repository".to_owned();
            reader.at(key.place, &key_path, Problem::EvidenceKey { found });
            return None;
        }
    };
    let mut fields = Map::new();
    fields.insert("name".to_owned(), Value::from(entry.get("name")?.text()?));
    fields.insert("key".to_owned(), Value::from(pem));
    for field in ["not_before", "not_after"] {
        let time = entry.get(field).and_then(Node::text);
        fields.extend(time.map(|time| (field.to_owned(), Value::from(time))));
    }
    if let Some(environments) = entry.get("environments") {
        let names = distinct(reader, environments, &format!("{path}.environments"), str::to_owned);
        // A list whose entries are all wrong was reported, and must not become "all environments".
        if names.is_empty() {
            return None;
        }
        fields.insert("environments".to_owned(), Value::from(names));
    }
    let list = Value::Array(vec![Value::Object(fields)]);
    let error = match trust::parse(&list.to_string()) {
        Ok(keys) => return keys.into_iter().next(),
        Err(error) => error,
    };
    let (field, problem) = match &error {
        TrustError::BadField { field, expected, .. } => {
            let found = entry.get(field).and_then(Node::text).unwrap_or_default();
            (*field, Problem::Form { found: shown(found), needed: expected })
        }
        TrustError::EmptyPeriod { .. } => {
            let found = entry.get("not_after").and_then(Node::text).unwrap_or_default();
            ("not_after", Problem::Form { found: shown(found), needed: "later than `not_before`" })
        }
        TrustError::BadKey { source, .. } => ("key", Problem::EvidenceKey { found: chain(source) }),
        other => ("key", Problem::EvidenceKey { found: chain(other) }),
    };
    let place = entry.get(field).map_or(entry.place, |node| node.place);
    reader.at(place, &format!("{path}.{field}"), problem);
    None
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
