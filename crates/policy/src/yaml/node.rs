//! Reading values of the tree.

use super::{Entry, Kind, Node, Value};
use crate::error::Place;

impl Node {
    pub(crate) fn kind(&self) -> Kind {
        match &self.value {
            Value::Scalar { text, plain: true } => plain_kind(text),
            Value::Scalar { plain: false, .. } => Kind::Text,
            Value::List(_) => Kind::List,
            Value::Map(_) => Kind::Map,
            Value::Refused => Kind::Refused,
        }
    }

    /// A scalar as it is written.
    pub(crate) fn written(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        self.written().filter(|_| self.kind() == Kind::Text)
    }

    pub(crate) fn flag(&self) -> Option<bool> {
        if let Kind::Flag(flag) = self.kind() { Some(flag) } else { None }
    }

    pub(crate) fn whole(&self) -> Option<i64> {
        if let Kind::Whole(number) = self.kind() { Some(number) } else { None }
    }

    pub(crate) fn items(&self) -> &[Node] {
        if let Value::List(items) = &self.value { items } else { &[] }
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        if let Value::Map(entries) = &self.value { entries } else { &[] }
    }

    /// The value of a key. One that is null was reported and counts as one that is not there.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        let entry = self.entries().iter().find(|entry| entry.key == key)?;
        Some(&entry.value).filter(|node| node.kind() != Kind::Null)
    }

    /// The place of what a path such as `stages.live.windows[2].from` names, else of the last part of it that
    /// is there: of a key where it has a mapping or nothing, of a value else.
    pub(crate) fn locate(&self, path: &str) -> Place {
        let (mut here, mut place) = (self, self.place);
        for part in path.split(['.', '[']).filter(|part| !part.is_empty()) {
            let next = match part.strip_suffix(']').and_then(|index| index.parse::<usize>().ok()) {
                Some(index) => here.items().get(index).map(|item| (item, item.place)),
                None => here.entries().iter().find(|entry| entry.key == part).map(|entry| {
                    let on_key = matches!(entry.value.kind(), Kind::Map | Kind::List | Kind::Null);
                    (&entry.value, if on_key { entry.place } else { entry.value.place })
                }),
            };
            let Some(next) = next else { break };
            (here, place) = next;
        }
        place
    }
}

impl Node {
    /// The keys of the mapping that a path of names leads to.
    pub(crate) fn entries_at(&self, path: &str) -> impl Iterator<Item = &str> {
        let found = path.split('.').try_fold(self, |here, part| here.get(part));
        found.into_iter().flat_map(Node::entries).map(|entry| entry.key.as_str())
    }
}

/// The core schema (YAML 1.2.2, §10.3.2).
fn plain_kind(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "true" | "True" | "TRUE" => return Kind::Flag(true),
        "false" | "False" | "FALSE" => return Kind::Flag(false),
        ".nan" | ".NaN" | ".NAN" => return Kind::Number,
        _ => {}
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        return Kind::Number;
    }
    let all = |text: &str, digit: fn(&u8) -> bool| !text.is_empty() && text.as_bytes().iter().all(digit);
    if all(unsigned, u8::is_ascii_digit) {
        return text.parse().map_or(Kind::Number, Kind::Whole);
    }
    let other_base = text.strip_prefix("0x").is_some_and(|digits| all(digits, u8::is_ascii_hexdigit))
        || text.strip_prefix("0o").is_some_and(|digits| all(digits, |digit| (b'0'..=b'7').contains(digit)));
    let digits_or_point = |byte: u8| byte.is_ascii_digit() || b".eE+-".contains(&byte);
    let number = unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        && text.bytes().all(digits_or_point)
        && text.parse::<f64>().is_ok();
    if other_base || number { Kind::Number } else { Kind::Text }
}
