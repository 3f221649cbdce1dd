//! The layout of the file as data: what the reader is strict about, and what the schema is made from.

use crate::error::Problem;
use crate::health::json;
use crate::known::Known;
use crate::reader::Reader;
use crate::yaml::{Kind, Node, is_hidden, shown};

/// What a value looks like.
#[derive(Debug)]
pub(crate) enum Shape {
    Text(Form),
    /// One of a few words.
    Word(&'static [&'static str]),
    Flag,
    Whole {
        least: i64,
        most: i64,
    },
    /// Whole or not, not negative.
    Number,
    /// A whole number, or a text that is one: Kubernetes' `IntOrString`.
    WholeOrText,
    /// A text, a number or a flag.
    Scalar,
    List {
        of: &'static Shape,
        least: usize,
        most: usize,
    },
    Map(&'static Record),
    /// A mapping whose keys are names of the writer's choice.
    Names {
        of: &'static Shape,
        most: usize,
    },
    /// A mapping, or the path of a file that holds it.
    MapOrFile(&'static Record),
}

/// What a text looks like.
#[derive(Debug)]
pub(crate) struct Form {
    /// As messages say it: "a time like 09:30".
    pub(crate) says: &'static str,
    /// For the schema; the reader asks whoever the text is for. Never narrower than that.
    pub(crate) pattern: Option<&'static str>,
    /// Where space at the ends does no harm.
    pub(crate) free: bool,
    /// Goes into messages and records, which have it on one line.
    pub(crate) one_line: bool,
}

/// A mapping with fixed keys.
#[derive(Debug)]
pub(crate) struct Record {
    /// The definition's name in the schema.
    pub(crate) name: &'static str,
    pub(crate) fields: &'static [Field],
    /// Keys that will have a meaning.
    pub(crate) reserved: &'static [(&'static str, &'static str)],
}

/// A key of a mapping.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) key: &'static str,
    pub(crate) about: &'static str,
    pub(crate) shape: Shape,
    pub(crate) needed: bool,
}

impl Field {
    pub(crate) const fn new(key: &'static str, shape: Shape, about: &'static str) -> Field {
        Field { key, about, shape, needed: false }
    }

    pub(crate) const fn needed(self) -> Field {
        Field { needed: true, ..self }
    }
}

/// Names that stand in paths, records and registries.
pub(crate) const MAX_NAME: usize = 63;

/// Whether a text is a name: lower case, digits, `-`.
pub(crate) fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with('-')
}

pub(crate) const NAME_PATTERN: &str = "^[a-z0-9][a-z0-9-]{0,62}$";

/// What a name is, for messages.
pub(crate) const NAME: &str = "a name of lower-case letters, digits and `-`, at most 63";

impl Shape {
    /// As messages name it.
    fn says(&self) -> String {
        match self {
            Shape::Text(form) => form.says.to_owned(),
            Shape::Word(words) => words.join(" or "),
            Shape::Flag => "true or false".to_owned(),
            Shape::Whole { least, most } if least == most => format!("the number {least}"),
            Shape::Whole { least, most } => format!("a whole number from {least} to {most}"),
            Shape::Number => "a number".to_owned(),
            Shape::WholeOrText => "a whole number".to_owned(),
            Shape::Scalar => "a text, a number, true or false".to_owned(),
            Shape::List { of: Shape::Map(_), .. } => "a list of mappings".to_owned(),
            Shape::List { .. } => "a list, as in [a, b]".to_owned(),
            Shape::Map(record) => {
                let keys: Vec<&str> = record.fields.iter().map(|field| field.key).collect();
                match keys.len() {
                    0..=6 => format!("a mapping of {}", keys.join(", ")),
                    _ => format!("a mapping of {} and so on", keys[..5].join(", ")),
                }
            }
            Shape::Names { .. } => "a mapping by name".to_owned(),
            Shape::MapOrFile(_) => "a mapping, or the path of a file that holds it".to_owned(),
        }
    }

    /// Reports whatever in `node` has not this shape.
    pub(crate) fn check(&self, reader: &mut Reader, path: &str, node: &Node) {
        let kind = node.kind();
        match (self, kind) {
            (_, Kind::Refused) => {}
            (_, Kind::Null) => {
                reader.at(node.place, path, Problem::Null { needed: self.says() });
            }
            (Shape::Text(form), Kind::Text) => {
                let text = node.text().unwrap_or_default();
                if !form.free && text.trim() != text {
                    reader.at(node.place, path, Problem::Padded);
                }
                if form.one_line && text.chars().any(is_hidden) {
                    reader.at(node.place, path, Problem::Hidden);
                }
                if text.trim().is_empty() {
                    let needed = form.says.to_owned();
                    reader.at(node.place, path, Problem::Missing { needed });
                }
            }
            (Shape::Word(words), Kind::Text) => {
                let found = node.text().unwrap_or_default();
                if !words.contains(&found) {
                    let (found, words) = (shown(found), words.join(", "));
                    reader.at(node.place, path, Problem::Word { found, words });
                }
            }
            (Shape::Whole { least, most }, Kind::Whole(found)) => {
                let (least, most) = (*least, *most);
                if found < least || found > most {
                    reader.at(node.place, path, Problem::OutOfRange { found, least, most });
                }
            }
            (Shape::List { of, least, most }, Kind::List) => {
                let count = node.items().len();
                if count > *most {
                    reader.at(node.place, path, Problem::TooMany { most: *most });
                    return;
                }
                if count < *least {
                    reader.at(node.place, path, Problem::NoEntries);
                }
                for (index, item) in node.items().iter().enumerate() {
                    of.check(reader, &format!("{path}[{index}]"), item);
                }
            }
            (Shape::Map(record) | Shape::MapOrFile(record), Kind::Map) => record.check(reader, path, node),
            (Shape::Names { of, most }, Kind::Map) => names(reader, path, node, of, *most),
            (Shape::Number | Shape::Scalar, Kind::Number) if json(node).is_none() => {
                let found = shown(node.written().unwrap_or_default());
                let needed = "a finite number in decimal digits";
                reader.at(node.place, path, Problem::Form { found, needed });
            }
            (Shape::Flag, Kind::Flag(_))
            | (Shape::Number, Kind::Whole(_) | Kind::Number)
            | (Shape::WholeOrText, Kind::Whole(_) | Kind::Text)
            | (Shape::Scalar, Kind::Text | Kind::Flag(_) | Kind::Whole(_) | Kind::Number)
            | (Shape::MapOrFile(_), Kind::Text) => {}
            _ => {
                let hint = self.hint(node);
                reader.at(node.place, path, Problem::Type { found: named(kind), needed: self.says(), hint });
            }
        }
    }

    /// How to write what was probably meant.
    fn hint(&self, node: &Node) -> &'static str {
        match (self, node.kind()) {
            (Shape::Text(_) | Shape::Word(_), Kind::Whole(_) | Kind::Number | Kind::Flag(_)) => "; quote it",
            (Shape::Flag, Kind::Text) if matches!(node.text(), Some("yes" | "on" | "Yes" | "On")) => {
                "; write true"
            }
            (Shape::Flag, Kind::Text) if matches!(node.text(), Some("no" | "off" | "No" | "Off")) => {
                "; write false"
            }
            (Shape::Whole { .. } | Shape::Number, Kind::Text)
                if node.text().is_some_and(|text| text.parse::<f64>().is_ok()) =>
            {
                "; remove the quotes"
            }
            (Shape::List { of: Shape::Text(_), .. }, Kind::Text) => "; put [ ] around it",
            _ => "",
        }
    }
}

fn names(reader: &mut Reader, path: &str, node: &Node, of: &Shape, most: usize) {
    let count = node.entries().len();
    if count > most {
        reader.at(node.place, path, Problem::TooMany { most });
        return;
    }
    for entry in node.entries() {
        let below = join(path, &shown(&entry.key));
        if !is_name(&entry.key) {
            reader.at(entry.place, &below, Problem::Form { found: shown(&entry.key), needed: NAME });
        }
        of.check(reader, &below, &entry.value);
    }
}

impl Record {
    fn check(&self, reader: &mut Reader, path: &str, node: &Node) {
        for entry in node.entries() {
            let below = join(path, &shown(&entry.key));
            let known = self.fields.iter().find(|field| field.key == entry.key);
            let reserved = self.reserved.iter().find(|(key, _)| *key == entry.key);
            match (known, reserved) {
                (Some(field), _) => field.shape.check(reader, &below, &entry.value),
                (None, Some((_, what))) => reader.at(entry.place, &below, Problem::Reserved { what }),
                (None, None) => {
                    let keys = self.fields.iter().map(|field| field.key);
                    let known = Known::to_writer_of(&entry.key, keys);
                    reader.at(entry.place, &below, Problem::Unknown { known });
                }
            }
        }
        for field in self.fields.iter().filter(|field| field.needed) {
            if node.entries().iter().all(|entry| entry.key != field.key) {
                let needed = field.shape.says();
                reader.at(node.place, &join(path, field.key), Problem::Missing { needed });
            }
        }
    }
}

pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn named(kind: Kind) -> &'static str {
    match kind {
        Kind::Null | Kind::Refused => "nothing",
        Kind::Flag(_) => "true or false",
        Kind::Whole(_) | Kind::Number => "a number",
        Kind::Text => "a text",
        Kind::List => "a list",
        Kind::Map => "a mapping",
    }
}
