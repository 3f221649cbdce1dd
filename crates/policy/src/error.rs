//! What can be wrong with a policy, and where.

use std::fmt;

use granary_gates::InvalidField;
use thiserror::Error;

use crate::known::Known;

/// Most errors that are reported of one file: what is read in a log has an end.
pub const MAX_ERRORS: usize = 100;

/// A place in a file, both counted from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Place {
    pub(crate) const START: Place = Place { line: 1, column: 1 };
}

/// One thing that is wrong with a policy: `promotion.yaml:12:9: stages.live.windows[0].to: …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// The file's name as it was given.
    pub file: String,
    /// Where the value is; of what is missing, where it would belong.
    pub place: Place,
    /// The path from the top of the file; empty where it is about the file.
    pub path: String,
    /// What is wrong, and what is accepted.
    pub problem: Problem,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { line, column } = self.place;
        write!(formatter, "{}:{line}:{column}: ", self.file)?;
        if !self.path.is_empty() {
            write!(formatter, "{}: ", self.path)?;
        }
        write!(formatter, "{}", self.problem)
    }
}

impl std::error::Error for PolicyError {}

/// What is wrong. Values are shown shortened; those of keys never.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Problem {
    /// No YAML.
    #[error("is not YAML that can be read: {found}")]
    Yaml {
        /// As the parser puts it.
        found: String,
    },
    /// Nothing but comments.
    #[error("is empty; needed are `version: 1`, `zone` and `stages`")]
    Empty,
    /// More bytes than a policy has.
    #[error("has {bytes} bytes; at most {most} are accepted")]
    TooLong {
        /// How many there are.
        bytes: usize,
        /// How many are accepted.
        most: usize,
    },
    /// Mappings in mappings in mappings.
    #[error("lies deeper than {most} levels")]
    TooDeep {
        /// How deep a value may lie.
        most: usize,
    },
    /// More of something than is of use.
    #[error("has more than {most} entries")]
    TooMany {
        /// How many are accepted.
        most: usize,
    },
    /// Fewer of something than are needed.
    #[error("is an empty list; at least one entry is needed")]
    NoEntries,
    /// A second `---`.
    #[error("begins a second document; a policy is one")]
    SecondDocument,
    /// `*name`
    #[error("is an alias; write the value out, so that whoever reads the line sees what holds")]
    Alias,
    /// `&name`
    #[error("has an anchor, which nothing may refer to; remove `&…`")]
    Anchor,
    /// `!name`
    #[error("has a tag; remove `!…`, and quote what is meant as text")]
    Tag,
    /// `? [a, b]`
    #[error("is a key that is no text")]
    KeyIsNoText,
    /// Twice in one mapping.
    #[error("is there already, in line {line}")]
    Duplicate {
        /// Where it is first.
        line: usize,
    },
    /// A key that means nothing.
    #[error("is no known key; {known}")]
    Unknown {
        /// What is meant, or all that there is.
        known: Known,
    },
    /// A key whose meaning is decided and whose effect is not built.
    #[error("is reserved and not built yet: {what}")]
    Reserved {
        /// What it will hold.
        what: &'static str,
    },
    /// A key without a value.
    #[error("has no value; remove it, or give it {needed}")]
    Null {
        /// What belongs there.
        needed: String,
    },
    /// Another kind of value.
    #[error("is {found}; needed is {needed}{hint}")]
    Type {
        /// What is there.
        found: &'static str,
        /// What belongs there.
        needed: String,
        /// How to write it, where that can be told.
        hint: &'static str,
    },
    /// Nothing there.
    #[error("is missing; needed is {needed}")]
    Missing {
        /// What is needed.
        needed: String,
    },
    /// A number beyond its bounds.
    #[error("is {found}, not between {least} and {most}")]
    OutOfRange {
        /// What is there.
        found: i64,
        /// The least that is accepted.
        least: i64,
        /// The most.
        most: i64,
    },
    /// Not one of the words.
    #[error("`{found}` is none of {words}")]
    Word {
        /// What is there.
        found: String,
        /// Those that are accepted.
        words: String,
    },
    /// Not in the form that it has.
    #[error("`{found}` is not {needed}")]
    Form {
        /// What is there.
        found: String,
        /// The form.
        needed: &'static str,
    },
    /// Space before or behind a text, which nobody sees.
    #[error("begins or ends with space")]
    Padded,
    /// Line ends, or what a terminal obeys.
    #[error("holds a line end or characters that are not shown; needed is one plain line")]
    Hidden,
    /// A release that this one is older than.
    #[error("is {found}; this release reads version 1")]
    Version {
        /// What is there.
        found: i64,
    },
    /// What gates have to say about a window or a calendar.
    #[error("{}", about(.0))]
    Gates(InvalidField),
    /// No key that evidence can be signed with. The value is not shown: it may be a private key.
    #[error("is not a key that can be used: {found}")]
    EvidenceKey {
        /// What is wrong with it.
        found: String,
    },
    /// No key that a request can be signed with.
    #[error(
        "is not an SSH public key: {found}; accepted is `ssh-ed25519 AAAA…` or `ecdsa-sha2-nistp256 AAAA…`"
    )]
    SshKey {
        /// What is wrong with it.
        found: &'static str,
    },
    /// A name that is in use.
    #[error("`{name}` is there already, as {path}")]
    Taken {
        /// The name, or the key's.
        name: String,
        /// Where it is first.
        path: String,
    },
    /// A name that something else in the file has to have.
    #[error("`{name}` is unknown here; {known}")]
    NotThere {
        /// The name.
        name: String,
        /// What there is.
        known: Known,
    },
    /// A second file that nobody read.
    #[error("the file `{path}` was not read")]
    FileNotRead {
        /// Its path.
        path: String,
    },
    /// A setting that decides which policy is read.
    #[error("`{name}` decides which policy is read, so no policy can let it through")]
    AboveThePolicy {
        /// The setting.
        name: String,
    },
    /// More signatures than persons.
    #[error("asks for {signatures}, and the keys are those of {persons}; entries of one name are one person")]
    TooFewPersons {
        /// How many signatures.
        signatures: i64,
        /// How many persons.
        persons: usize,
    },
    /// An analysis that Argo Rollouts would refuse.
    #[error("{found}")]
    Analysis {
        /// What is wrong.
        found: String,
    },
    /// The end of what is reported.
    #[error("{more} more errors are not shown")]
    More {
        /// How many.
        more: usize,
    },
}

/// What gates say, without the path, and with the value shortened.
fn about(invalid: &InvalidField) -> String {
    match &invalid.value {
        Some(value) => format!("`{}` {}", crate::yaml::shown(value), invalid.problem),
        None => invalid.problem.to_string(),
    }
}
