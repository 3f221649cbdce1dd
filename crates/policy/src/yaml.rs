//! YAML as a tree in which everything knows its place.
//!
//! The part of YAML that people write: mappings, lists, texts, one document. What lets one text stand for
//! another (anchors, aliases, tags, directives) is refused, so that what a reviewer reads is what holds and
//! a short file cannot become a long one.

use std::borrow::Cow;

use granit_parser::{Event, Marker, Options, Parser, ScalarStyle, Span};

use crate::error::{Place, Problem};

mod node;

/// Longest file, in bytes: a policy is read on every promotion, through a forge's API.
pub const MAX_BYTES: usize = 256 * 1024;

/// How many mappings and lists may lie in one another. The file's own layout needs eight.
pub const MAX_DEPTH: usize = 16;

/// Most values in a file.
pub const MAX_VALUES: usize = 20_000;

/// Most keys of one mapping: each is held against those before it.
const MAX_KEYS: usize = 1_000;

/// A value and where it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
}

/// What a value is as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// A text; where it is plain it may be meant as something else.
    Scalar { text: String, plain: bool },
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the file, each key once.
    Map(Vec<Entry>),
    /// Something that was refused and reported; nothing more is said about it.
    Refused,
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) place: Place,
    pub(crate) key: String,
    pub(crate) value: Node,
}

/// What the core schema of YAML 1.2 takes a plain scalar for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Flag(bool),
    Whole(i64),
    /// A number that is not whole, or too large to be counted with.
    Number,
    Text,
    List,
    Map,
    Refused,
}

/// A fault of the text itself.
pub(crate) struct Fault {
    pub(crate) place: Place,
    /// Empty where it is about the file.
    pub(crate) path: String,
    pub(crate) problem: Problem,
}

impl Fault {
    fn of_file(place: Place, problem: Problem) -> Fault {
        Fault { place, path: String::new(), problem }
    }
}

/// Reads one document. `None` where there is none or where it cannot be read to its end.
pub(crate) fn load(text: &str) -> (Option<Node>, Vec<Fault>) {
    if text.len() > MAX_BYTES {
        let problem = Problem::TooLong { bytes: text.len(), most: MAX_BYTES };
        return (None, vec![Fault::of_file(Place::START, problem)]);
    }
    let options = granit_parser::options! {
        disallow_directives: true,
        emit_unresolved_aliases: true,
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH + 1,
        block_nesting_limit: MAX_DEPTH + 1,
    };
    let mut loader = Loader::default();
    loader.run(text, options);
    (loader.root, loader.faults)
}

#[derive(Default)]
struct Loader {
    /// The mappings and lists that are not complete.
    open: Vec<Open>,
    root: Option<Node>,
    faults: Vec<Fault>,
    values: usize,
}

struct Open {
    place: Place,
    inside: Inside,
}

enum Inside {
    List(Vec<Node>),
    /// With the key whose value comes next.
    Map(Vec<Entry>, Option<(Place, String)>),
}

impl Loader {
    fn run(&mut self, text: &str, options: Options) {
        let mut parser = Parser::new_from_str_with_options(text, options);
        let mut documents = 0;
        while let Some(next) = parser.next_event() {
            let (event, span) = match next {
                Ok(next) => next,
                Err(error) => {
                    self.root = None;
                    let problem = Problem::Yaml { found: readable(error.kind()) };
                    return self.faults.push(Fault::of_file(place(*error.marker()), problem));
                }
            };
            if matches!(event, Event::DocumentStart(..)) {
                documents += 1;
            }
            if documents > 1 {
                // Which of them is meant?
                self.root = None;
                return self.faults.push(Fault::of_file(place(span.start), Problem::SecondDocument));
            }
            if let Err(problem) = self.take(event, span) {
                self.root = None;
                return self.fault(place(span.start), problem);
            }
        }
        if self.root.is_none() && self.faults.is_empty() {
            self.faults.push(Fault::of_file(Place::START, Problem::Empty));
        }
    }

    /// An error ends the reading; faults that do not are collected.
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Problem> {
        let at = place(span.start);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_marks(at, anchor, tag.is_some());
                self.scalar(at, text, style)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_marks(at, anchor, tag.is_some());
                self.begin(at, Inside::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_marks(at, anchor, tag.is_some());
                self.begin(at, Inside::Map(Vec::new(), None))
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                self.fault(at, Problem::Alias);
                self.add(Node { place: at, value: Value::Refused })
            }
            // Streams and documents are counted before; there are no comments and no events of anchors.
            _ => Ok(()),
        }
    }

    fn refuse_marks(&mut self, at: Place, anchor: usize, tag: bool) {
        if anchor != 0 {
            self.fault(at, Problem::Anchor);
        }
        if tag {
            self.fault(at, Problem::Tag);
        }
    }

    fn scalar(&mut self, at: Place, text: Cow<'_, str>, style: ScalarStyle) -> Result<(), Problem> {
        let plain = style == ScalarStyle::Plain;
        let Some(Open { inside: Inside::Map(entries, key @ None), .. }) = self.open.last_mut() else {
            return self.add(Node { place: at, value: Value::Scalar { text: text.into_owned(), plain } });
        };
        if entries.len() >= MAX_KEYS {
            return Err(Problem::TooMany { most: MAX_KEYS });
        }
        let first = entries.iter().find(|entry| entry.key == *text).map(|entry| entry.place.line);
        *key = Some((at, text.into_owned()));
        if let Some(line) = first {
            self.fault(at, Problem::Duplicate { line });
        }
        Ok(())
    }

    /// A fault of the value that is being read.
    fn fault(&mut self, place: Place, problem: Problem) {
        let mut path = String::new();
        for open in &self.open {
            match &open.inside {
                Inside::List(items) => path.push_str(&format!("[{}]", items.len())),
                Inside::Map(_, Some((_, key))) if path.is_empty() => path = shown(key),
                Inside::Map(_, Some((_, key))) => path.push_str(&format!(".{}", shown(key))),
                Inside::Map(_, None) => {}
            }
        }
        self.faults.push(Fault { place, path, problem });
    }

    fn begin(&mut self, place: Place, inside: Inside) -> Result<(), Problem> {
        if self.open.len() >= MAX_DEPTH {
            return Err(Problem::TooDeep { most: MAX_DEPTH });
        }
        self.open.push(Open { place, inside });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Problem> {
        let Some(Open { place, inside }) = self.open.pop() else { return Ok(()) };
        let value = match inside {
            Inside::List(items) => Value::List(items),
            Inside::Map(entries, _) => Value::Map(entries),
        };
        self.add(Node { place, value })
    }

    /// Puts a complete value where it belongs.
    fn add(&mut self, node: Node) -> Result<(), Problem> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(Problem::TooMany { most: MAX_VALUES });
        }
        match self.open.last_mut().map(|open| &mut open.inside) {
            None => self.root = Some(node),
            Some(Inside::List(items)) => items.push(node),
            Some(Inside::Map(entries, key)) => match key.take() {
                // Of a key that is there twice, the first holds; both are reported.
                Some((place, key)) if entries.iter().all(|entry| entry.key != key) => {
                    entries.push(Entry { place, key, value: node });
                }
                Some(_) => {}
                None => return Err(Problem::KeyIsNoText),
            },
        }
        Ok(())
    }
}

fn place(marker: Marker) -> Place {
    Place { line: marker.line(), column: marker.col() + 1 }
}

/// The parser's own words; it says about tabs what they are, not what to write instead.
fn readable(kind: &granit_parser::ErrorKind) -> String {
    let found = shown(&kind.to_string());
    match found.contains("tab") {
        true => format!("{found}; indent with spaces"),
        false => found,
    }
}

/// A value as messages show it: short, on one line, without characters that a terminal would obey.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 120;
    let harmless = |letter| if is_hidden(letter) { '\u{fffd}' } else { letter };
    let mut found: String = text.chars().take(LONGEST).map(harmless).collect();
    if text.chars().nth(LONGEST).is_some() {
        found.push('…');
    }
    found
}

/// Whether a letter has no shape, or gives one to others: control, zero width, direction.
pub(crate) fn is_hidden(letter: char) -> bool {
    let turns = matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}');
    letter.is_control() || turns || letter == '\u{feff}'
}

#[cfg(test)]
mod tests;
