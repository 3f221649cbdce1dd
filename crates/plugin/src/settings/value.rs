//! From the text of a setting to its meaning. Pure; knows how Woodpecker turns YAML into text and what
//! YAML breaks on the way.
//!
//! Errors say what is wrong and never show the value: whoever reads the setting knows whether it may be
//! shown.

mod error;

use std::fmt;
use std::time::Duration;

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::Value;

use super::Form;

pub use error::ValueError;
pub(crate) use error::did_you_mean;

/// Checks a default of the table against its form.
pub(super) fn check(form: Form, text: &str) -> Result<(), ValueError> {
    match form {
        Form::Bool => boolean(text).map(drop),
        Form::Duration => duration(text).map(drop),
        Form::Integer => integer(text).map(drop),
        Form::List => list(text).map(drop),
        Form::Map => map(text).map(drop),
        Form::ListOrMap => list_or_map(text).map(drop),
        Form::Json => serde_json::from_str::<Value>(text).map(drop).map_err(|error| broken(&error)),
        Form::Choice(words) => words.contains(&text).then_some(()).ok_or(ValueError::Choice(None)),
        Form::Version => version_like(text).map(drop),
        Form::Commit => commit_like(text).map(drop),
        Form::Command => command(text).map(drop),
        Form::Text | Form::Pem => Ok(()),
    }
}

/// Yes or no, in any case.
pub(super) fn boolean(text: &str) -> Result<bool, ValueError> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        _ => Err(ValueError::Bool),
    }
}

/// `7d`, `1h30m`: whole numbers with units, the larger unit first, each at most once.
pub(super) fn duration(text: &str) -> Result<Duration, ValueError> {
    const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];
    const LONGEST: u64 = 3_650 * 86_400;
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ValueError::DurationWithoutUnit);
    }
    let mut rest = text;
    let mut seconds: u64 = 0;
    for (unit, length) in UNITS {
        if let Some((count, after)) = rest.split_once(unit) {
            let digits = !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
            let count = count.parse::<u64>().ok().filter(|_| digits).ok_or(ValueError::Duration)?;
            seconds = count
                .checked_mul(length)
                .and_then(|part| seconds.checked_add(part))
                .filter(|&total| total <= LONGEST)
                .ok_or(ValueError::DurationTooLong)?;
            rest = after;
        }
    }
    match text.is_empty() || !rest.is_empty() {
        true => Err(ValueError::Duration),
        false => Ok(Duration::from_secs(seconds)),
    }
}

/// A whole number.
pub(super) fn integer(text: &str) -> Result<u64, ValueError> {
    text.trim().parse().map_err(|_| ValueError::Integer)
}

/// One text without space around it (YAML's `|` adds a line's end), unless YAML made something else of it.
pub(super) fn text(text: &str) -> Result<String, ValueError> {
    let trimmed = text.trim();
    if trimmed.starts_with('{')
        && let Ok(Value::Object(entries)) = serde_json::from_str::<Value>(trimmed)
    {
        let unquoted = !entries.is_empty() && entries.values().all(Value::is_null);
        return Err(if unquoted { ValueError::Braces } else { ValueError::UnexpectedMap });
    }
    let inner = trimmed.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    if inner.and_then(|inner| inner.get(..10)).is_some_and(|day| day.parse::<jiff::civil::Date>().is_ok()) {
        return Err(ValueError::QuotedDate);
    }
    Ok(trimmed.to_owned())
}

/// A text that is a version; what it means is the plugin's to say. Bare numbers are refused: `1.10` in
/// YAML is 1.1, and nobody could tell afterwards.
pub(super) fn version_like(given: &str) -> Result<String, ValueError> {
    let version = text(given)?.trim().to_owned();
    match is_yaml_number(&version) {
        true => Err(ValueError::VersionIsNumber),
        false => Ok(version),
    }
}

/// A commit or the beginning of one, in lower case.
pub(super) fn commit_like(given: &str) -> Result<String, ValueError> {
    let commit = text(given)?.trim().to_ascii_lowercase();
    let hex = commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    match (7..=40).contains(&commit.len()) && hex {
        true => Ok(commit),
        false if is_yaml_number(&commit) => Err(ValueError::CommitIsNumber),
        false => Err(ValueError::Commit),
    }
}

/// The forms in which Go prints YAML's numbers: `7`, `1.1`, `1.234e+59`, `+Inf`.
fn is_yaml_number(text: &str) -> bool {
    let (mantissa, exponent) = text.split_once("e+").or_else(|| text.split_once("e-")).unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    text == "+Inf" || (digits(whole) && digits(fraction) && digits(exponent))
}

/// A command line as words. JSON text is taken as it is, everything else is split as a shell splits it.
pub(super) fn command(given: &str) -> Result<Vec<String>, ValueError> {
    let trimmed = given.trim();
    let words = if trimmed.starts_with('[') {
        json_list(trimmed)?
    } else {
        shlex::split(&text(trimmed)?).ok_or(ValueError::CommandQuotes)?
    };
    match words.first() {
        None => Err(ValueError::CommandEmpty),
        Some(first) if first.contains(',') && !trimmed.starts_with('[') => Err(ValueError::CommandIsList),
        Some(_) => Ok(words),
    }
}

/// Several texts: JSON where the first character says so, else split at commas. Empty ones are dropped,
/// since `[a, null]` in YAML arrives as `a,`.
pub(super) fn list(text: &str) -> Result<Vec<String>, ValueError> {
    let trimmed = text.trim();
    let items = match trimmed.starts_with('[') {
        true => json_list(trimmed)?,
        false => self::text(trimmed)?.split(',').map(|item| item.trim().to_owned()).collect(),
    };
    Ok(items.into_iter().filter(|item| !item.is_empty()).collect())
}

/// The texts of a JSON list, without nulls; an empty text stays, since as an argument it means something.
fn json_list(text: &str) -> Result<Vec<String>, ValueError> {
    let items: Vec<Value> = serde_json::from_str(text).map_err(|error| broken(&error))?;
    let texts = items
        .iter()
        .enumerate()
        .map(|(index, item)| scalar(item).map_err(|()| ValueError::Nested(index + 1)));
    let texts: Vec<Option<String>> = texts.collect::<Result<_, _>>()?;
    Ok(texts.into_iter().flatten().collect())
}

/// Names with values, in the order given: a JSON object, or `name=value` split at commas or lines.
pub(super) fn map(text: &str) -> Result<Vec<(String, String)>, ValueError> {
    let text = text.trim();
    let entries: Vec<(String, String)> = if text.starts_with('{') {
        let Pairs(pairs) = object(text)?;
        let mut entries = Vec::new();
        for (index, (name, value)) in pairs.into_iter().enumerate() {
            if let Some(value) = scalar(&value).map_err(|()| ValueError::Nested(index + 1))? {
                entries.push((name, value));
            }
        }
        entries
    } else {
        let separator = if text.contains('\n') { '\n' } else { ',' };
        let items = text.split(separator).map(str::trim).filter(|item| !item.is_empty());
        let named = items.enumerate().map(|(index, item)| {
            let (name, value) = item.split_once('=').ok_or(ValueError::MapEntry(index + 1))?;
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        });
        named.collect::<Result<_, _>>()?
    };
    for (index, (name, _)) in entries.iter().enumerate() {
        if name.is_empty() {
            return Err(ValueError::MapEntry(index + 1));
        }
        if entries[..index].iter().any(|(earlier, _)| earlier == name) {
            return Err(ValueError::MapTwice(index + 1));
        }
    }
    Ok(entries)
}

/// Items with names where they have some: a map, or a list all of whose entries are `name=item`.
pub(super) fn list_or_map(text: &str) -> Result<Vec<(Option<String>, String)>, ValueError> {
    let named =
        |entries: Vec<(String, String)>| entries.into_iter().map(|(name, item)| (Some(name), item)).collect();
    if text.trim().starts_with('{') {
        return map(text).map(named);
    }
    let items = list(text)?;
    let is_name = |name: &str| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    let all_named = |item: &String| item.split_once('=').is_some_and(|(name, _)| is_name(name));
    match items.iter().all(all_named) {
        true => map(&items.join("\n")).map(named),
        false => Ok(items.into_iter().map(|item| (None, item)).collect()),
    }
}

/// Where JSON is broken; serde's own message may quote the value.
pub(super) fn broken(error: &serde_json::Error) -> ValueError {
    let (line, column) = (error.line(), error.column());
    match error.classify() {
        serde_json::error::Category::Data => ValueError::JsonShape { line, column },
        _ => ValueError::Json { line, column },
    }
}

/// The text of a scalar, `None` for null. Numbers and booleans count as the text that they were written as.
fn scalar(value: &Value) -> Result<Option<String>, ()> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        Value::Number(number) => Ok(Some(number.to_string())),
        Value::Bool(flag) => Ok(Some(flag.to_string())),
        Value::Array(_) | Value::Object(_) => Err(()),
    }
}

/// A JSON object in the order in which it is written, duplicates included; `serde_json::Map` sorts.
struct Pairs(Vec<(String, Value)>);

fn object(text: &str) -> Result<Pairs, ValueError> {
    struct InOrder;
    impl<'de> Visitor<'de> for InOrder {
        type Value = Pairs;
        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a JSON object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Pairs, A::Error> {
            let mut pairs = Vec::new();
            while let Some(pair) = access.next_entry()? {
                pairs.push(pair);
            }
            Ok(Pairs(pairs))
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let pairs = deserializer.deserialize_map(InOrder).map_err(|error| broken(&error))?;
    deserializer.end().map_err(|error| broken(&error))?;
    Ok(pairs)
}

#[cfg(test)]
mod tests;
