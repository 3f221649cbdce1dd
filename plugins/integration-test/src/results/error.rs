//! Why results cannot be used, with file and place.

use std::fmt;
use std::path::PathBuf;

use granary_oci::Digest;
use granary_plugin::Kind;
use thiserror::Error;

use super::text::excerpt;
use super::{MAX_BYTES, MAX_FILES, MAX_NAME, MAX_NAMES, MAX_TESTS, SCHEMA};

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Bytes from the beginning, where the text has no lines yet.
    Byte(usize),
    /// Both counted from 1; columns in bytes.
    Line(usize, usize),
}

impl Position {
    /// Where the byte at `offset` stands in `text`.
    pub(super) fn of(text: &str, offset: usize) -> Self {
        let before = &text.as_bytes()[..offset.min(text.len())];
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|&&byte| byte != b'\n').count() + 1;
        Position::Line(line, column)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Position::Byte(offset) => write!(formatter, "byte {offset}"),
            Position::Line(line, column) => write!(formatter, "{line}:{column}"),
        }
    }
}

/// Why results cannot be had.
#[derive(Debug, Error)]
pub enum ReadError {
    /// No such file: the tests did not come that far.
    #[error("the tests left no results in {pattern}")]
    Missing {
        /// The file or pattern as set.
        pattern: String,
    },
    /// A file of the repository: whatever became of the tests, it lay there before.
    #[error("{file} was not written by the tests of this pipeline, it is what the commit has")]
    AsCommitted {
        /// The file.
        file: PathBuf,
    },
    /// A pattern that is none.
    #[error("`{pattern}` is not a file pattern")]
    BadPattern {
        /// The pattern as set.
        pattern: String,
        /// What is wrong with it.
        #[source]
        source: glob::PatternError,
    },
    /// A directory, a device, a socket.
    #[error("{file} is not a regular file")]
    NotAFile {
        /// The file.
        file: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot read {file}")]
    Unreadable {
        /// The file or directory.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// More than is read of one run.
    #[error("{file} brings the results to more than {} MiB", MAX_BYTES >> 20)]
    TooLarge {
        /// The file at which the bound was passed.
        file: PathBuf,
    },
    /// More files than are read of one run.
    #[error("`{pattern}` brings the results to more than {MAX_FILES} files")]
    TooManyFiles {
        /// The pattern at which the bound was passed.
        pattern: String,
    },
    /// More to look through than any test leaves.
    #[error("`{pattern}` leads through too many files and folders")]
    TooManyEntries {
        /// The pattern as set.
        pattern: String,
    },
    /// It was read and cannot be used.
    #[error("{file} cannot be used")]
    Unusable {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        #[source]
        fault: Fault,
    },
}

impl ReadError {
    /// How the run ends: 13 where the tests left nothing of their own, 2 for a setting, else 20.
    pub fn kind(&self) -> Kind {
        match self {
            ReadError::Missing { .. } | ReadError::AsCommitted { .. } => Kind::Tests,
            ReadError::BadPattern { .. } => Kind::Settings,
            _ => Kind::BadInput,
        }
    }

    /// What the reader can do.
    pub fn hint(&self) -> &'static str {
        match self {
            ReadError::AsCommitted { .. } => {
                "remove that file from the repository, and let the tests write it anew"
            }
            ReadError::Unreadable { .. } => "let the tests leave files that this step's user may read",
            ReadError::Unusable { fault: Fault::DigestsDiffer { .. }, .. } => {
                "remove results that an earlier run left"
            }
            ReadError::Unusable { fault, .. } if fault.breaks_off() => {
                "results are read whole or not at all; were the tests stopped while they wrote them?"
            }
            ReadError::Unusable { .. } => "`results_format` says what is in them; see docs.md, Results",
            _ => "`results` names the files that the tests write, relative to the step's folder",
        }
    }
}

/// What is wrong with a results file.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Fault {
    /// Nothing in it.
    #[error("it is empty")]
    Empty,
    /// None of the formats begins like this.
    #[error("it begins neither with `{{` (JSON) nor with `<` (JUnit XML), and not as TAP does")]
    UnknownFormat,
    /// Bytes that are no text.
    #[error("{at}: it is not UTF-8")]
    NotUtf8 {
        /// The first bad byte.
        at: Position,
    },
    /// Text in another encoding.
    #[error("its encoding is {found}, only UTF-8 is read")]
    Encoding {
        /// As the file names it.
        found: String,
    },
    /// Not JSON, or not of our form.
    #[error("{at}: {}", excerpt(problem))]
    Json {
        /// Where.
        at: Position,
        /// What the parser says.
        problem: String,
    },
    /// A form of the project's JSON that this version does not know.
    #[error("its schema is `{}`, this version reads `{SCHEMA}`", excerpt(found))]
    OtherSchema {
        /// The schema that it names.
        found: String,
    },
    /// A value of the right type that means nothing.
    #[error("`{field}` is `{}`, expected {expected}", excerpt(value))]
    Value {
        /// The field, such as `tests[3].seconds`.
        field: String,
        /// What stands there.
        value: String,
        /// What may stand there.
        expected: &'static str,
    },
    /// Not well-formed XML, or cut off.
    #[error("{at}: {}", excerpt(problem))]
    Xml {
        /// Where.
        at: Position,
        /// What the parser says.
        problem: String,
    },
    /// XML that was not written to its end.
    #[error("{at}: it ends in the middle, it was cut short")]
    EndsEarly {
        /// Where.
        at: Position,
    },
    /// Entities may be declared there, and expand without end.
    #[error("{at}: a document type declaration, which results have no use for, is refused")]
    Dtd {
        /// Where.
        at: Position,
    },
    /// An entity that XML does not predefine.
    #[error("{at}: unknown entity `&{};`", excerpt(name))]
    Entity {
        /// Where.
        at: Position,
        /// Its name.
        name: String,
    },
    /// XML of another kind.
    #[error("{at}: `<{}>` is not JUnit XML, expected `<testsuites>` or `<testsuite>`", excerpt(element))]
    NotJunit {
        /// Where.
        at: Position,
        /// The outermost element.
        element: String,
    },
    /// Elements in elements in elements.
    #[error("{at}: elements are nested more than {limit} deep")]
    TooDeep {
        /// Where.
        at: Position,
        /// The bound.
        limit: usize,
    },
    /// A test without a name, or with one longer than the bound.
    #[error("{at}: a test needs a name of 1 to {MAX_NAME} bytes")]
    Name {
        /// Where.
        at: String,
    },
    /// A suite that is shorter than it says.
    #[error("{at}: suite `{}` declares {declared} tests and has {found}, it was cut short", excerpt(suite))]
    CutShort {
        /// Where the suite begins.
        at: Position,
        /// Its name.
        suite: String,
        /// Its attribute `tests`.
        declared: usize,
        /// How many there are.
        found: usize,
    },
    /// A version that is not read.
    #[error("{at}: it is TAP version {}, this version reads 13 and 14", excerpt(found))]
    TapVersion {
        /// Where.
        at: Position,
        /// The version that it names.
        found: String,
    },
    /// More tests than anybody has.
    #[error("there are more than {MAX_TESTS} tests")]
    TooManyTests,
    /// Few tests with long names are as large as many.
    #[error("the names of all tests together have more than {} MiB", MAX_NAMES >> 20)]
    TooManyNames,
    /// Two files that speak of different things.
    #[error("it speaks of {second}, another file of the same run of {first}")]
    DigestsDiffer {
        /// What was named first.
        first: Digest,
        /// What this file names.
        second: Digest,
    },
}

impl Fault {
    /// Whether the file looks as if whoever wrote it was stopped.
    fn breaks_off(&self) -> bool {
        match self {
            Fault::Empty | Fault::CutShort { .. } | Fault::EndsEarly { .. } => true,
            // What serde_json and quick-xml say where the text ends, and nowhere else.
            Fault::Json { problem, .. } => problem.starts_with("EOF while parsing"),
            Fault::Xml { problem, .. } => problem.ends_with("not found before end of input"),
            _ => false,
        }
    }
}
