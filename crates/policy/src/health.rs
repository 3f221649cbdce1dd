//! Health checks: an address that is asked, and what it must answer.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::Value;
use url::Url;

use crate::error::Problem;
use crate::reader::Reader;
use crate::yaml::{Kind, Node, shown};

/// How long an answer may take, unless the policy says.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the policy may let it take.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(60);

/// One health check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// `http` or `https`, without credentials or fragment.
    pub url: Url,
    /// The status that is healthy.
    pub status: u16,
    /// What the body must say besides.
    pub must_say: Option<MustSay>,
    /// How long the answer may take.
    pub timeout: Duration,
}

/// What a JSON body must say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MustSay {
    /// A JSON pointer (RFC 6901) for [`Value::pointer`].
    pub pointer: String,
    /// A text, a number, true or false. `1` and `"1"` differ.
    pub equals: Value,
}

pub(crate) fn read(reader: &mut Reader, root: &Node) -> BTreeMap<String, HealthCheck> {
    let entries = root.get("health").into_iter().flat_map(Node::entries);
    let check = |entry: &crate::yaml::Entry| {
        Some((entry.key.clone(), one(reader, &entry.value, &format!("health.{}", entry.key))?))
    };
    entries.filter_map(check).collect()
}

fn one(reader: &mut Reader, node: &Node, path: &str) -> Option<HealthCheck> {
    let url = node.get("url").and_then(|url| address(reader, url, &format!("{path}.url")));
    let status = match node.get("status") {
        Some(status) => status.whole().and_then(|status| u16::try_from(status).ok()),
        None => Some(200),
    };
    let must_say = match node.get("json") {
        Some(json) => must_say(reader, json, &format!("{path}.json")).map(Some),
        None => Some(None),
    };
    let timeout = duration(reader, node, path, "timeout", MAX_TIMEOUT, "60s");
    Some(HealthCheck {
        url: url?,
        status: status?,
        must_say: must_say?,
        timeout: timeout?.unwrap_or(DEFAULT_TIMEOUT),
    })
}

/// An address without credentials: what is written here is read by many.
pub(crate) fn address(reader: &mut Reader, node: &Node, path: &str) -> Option<Url> {
    const NEEDED: &str = "a URL that begins with https:// or http://, with a host and without fragment";
    let text = node.text()?;
    // The parser would mend `https:/host`.
    let begins =
        |scheme: &str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    let web = begins("https://") || begins("http://");
    let url = Url::parse(text).ok().filter(|url| web && url.has_host());
    match url {
        // Perhaps a password, so it is not shown.
        Some(url) if !url.username().is_empty() || url.password().is_some() => {
            let (found, needed) = ("…@…".to_owned(), "a URL without user and password");
            reader.at(node.place, path, Problem::Form { found, needed });
            None
        }
        Some(url) if url.fragment().is_none() => Some(url),
        _ => {
            let found = if text.contains('@') { "…@…".to_owned() } else { shown(text) };
            reader.at(node.place, path, Problem::Form { found, needed: NEEDED });
            None
        }
    }
}

fn must_say(reader: &mut Reader, node: &Node, path: &str) -> Option<MustSay> {
    let at = node.get("path")?;
    let pointer = at.text()?;
    let escapes = pointer.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if !pointer.starts_with('/') || !escapes {
        let needed = "a JSON pointer; `$.status.phase` is written /status/phase";
        reader.at(at.place, &format!("{path}.path"), Problem::Form { found: shown(pointer), needed });
        return None;
    }
    let equals = node.get("equals")?;
    Some(MustSay { pointer: pointer.to_owned(), equals: json(equals)? })
}

/// A value as JSON has it; `None` for what JSON has not, such as an infinite number.
pub(crate) fn json(node: &Node) -> Option<Value> {
    match node.kind() {
        Kind::Null => Some(Value::Null),
        Kind::Flag(flag) => Some(Value::Bool(flag)),
        Kind::Whole(number) => Some(Value::from(number)),
        Kind::Number => {
            let number = node.written()?.parse::<f64>().ok()?;
            serde_json::Number::from_f64(number).map(Value::Number)
        }
        Kind::Text => node.written().map(Value::from),
        Kind::List => node.items().iter().map(json).collect::<Option<Vec<Value>>>().map(Value::Array),
        Kind::Map => {
            let entry = |entry: &crate::yaml::Entry| Some((entry.key.clone(), json(&entry.value)?));
            let fields = node.entries().iter().map(entry).collect::<Option<serde_json::Map<_, _>>>();
            fields.map(Value::Object)
        }
        Kind::Refused => None,
    }
}

/// The duration in a field: `None` where it is wrong, `Some(None)` where it is not there.
pub(crate) fn duration(
    reader: &mut Reader,
    node: &Node,
    path: &str,
    key: &str,
    longest: Duration,
    name: &'static str,
) -> Option<Option<Duration>> {
    let Some(value) = node.get(key) else { return Some(None) };
    let text = value.text()?;
    let bound = SignedDuration::try_from(longest).unwrap_or(SignedDuration::MAX);
    let field = format!("{path}.{key}");
    match granary_gates::duration(text, bound, name) {
        Ok(found) if found.is_zero() => {
            let needed = "a duration that is longer than nothing";
            reader.at(value.place, &field, Problem::Form { found: shown(text), needed });
            None
        }
        Ok(found) => Duration::try_from(found).ok().map(Some),
        Err(problem) => {
            let invalid =
                granary_gates::InvalidField { field: field.clone(), value: Some(text.to_owned()), problem };
            reader.at(value.place, &field, Problem::Gates(invalid));
            None
        }
    }
}
