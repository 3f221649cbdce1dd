//! What can be wrong with a condition: as it is written, and with one answer.

use thiserror::Error;

/// The longest condition, in bytes. Those in use have a few dozen.
pub(super) const MAX_LENGTH: usize = 2_000;
/// How deep brackets and operators may nest.
pub(super) const MAX_DEPTH: usize = 60;
/// How many parts a condition may have; chained comparisons repeat theirs. Also how deep a chain may lean to
/// the left, which is what the stack has to bear.
pub(super) const MAX_PARTS: usize = 400;

/// Why a condition cannot be used. Places count bytes from 0.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ExpressionError {
    /// Nothing there.
    #[error("is empty")]
    Empty,
    /// Longer, deeper or with more parts than is of use.
    #[error("is longer than {MAX_LENGTH} bytes, or nested too deep")]
    TooLarge,
    /// A letter that begins nothing.
    #[error("has `{found}` at {at}, which begins nothing")]
    Character {
        /// Where.
        at: usize,
        /// The letter.
        found: char,
    },
    /// Digits that are no number.
    #[error("has a malformed number at {at}")]
    NotANumber {
        /// Where it begins.
        at: usize,
    },
    /// `/*` without its end.
    #[error("has a comment at {at} that does not end")]
    UnclosedComment {
        /// Where it begins.
        at: usize,
    },
    /// A word where another is needed.
    #[error("has `{found}` at {at} where something else is needed")]
    Unexpected {
        /// Where.
        at: usize,
        /// The word; `end` for the end.
        found: String,
    },
    /// No variable or function.
    #[error(
        "names `{name}`, which is not known here; there are `result` and the functions of the documentation"
    )]
    UnknownName {
        /// As written.
        name: String,
    },
    /// Argo Rollouts' language has it, we do not.
    #[error("has {what} at {at}, which is not supported")]
    Unsupported {
        /// Where.
        at: usize,
        /// The construct.
        what: &'static str,
    },
    /// `a ?? b > c`
    #[error("mixes `??` and `{operator}` without parentheses")]
    MixedCoalesce {
        /// The other operator.
        operator: String,
    },
    /// Types that go together in no answer.
    #[error(transparent)]
    Types(#[from] EvaluationError),
}

/// Why a condition has no answer for one value.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum EvaluationError {
    /// An operator between things that it does not go with.
    #[error("`{operator}` does not go with {operands}")]
    Operands {
        /// As written.
        operator: &'static str,
        /// Their types.
        operands: String,
    },
    /// A function's argument.
    #[error("`{function}` takes no {argument}")]
    Argument {
        /// Its name.
        function: &'static str,
        /// The type of the argument.
        argument: String,
    },
    /// Too many arguments, or too few.
    #[error("`{function}` takes another number of arguments than {count}")]
    ArgumentCount {
        /// Its name.
        function: &'static str,
        /// How many there are.
        count: usize,
    },
    /// An element that is not there.
    #[error("index {index} is out of range, there are {length} elements")]
    OutOfRange {
        /// As asked for.
        index: i64,
        /// How many there are.
        length: usize,
    },
    /// `%` by zero.
    #[error("integer divide by zero")]
    DivideByZero,
    /// Neither true nor false.
    #[error("the answer is {found}, neither true nor false")]
    NotABool {
        /// The type of the answer.
        found: &'static str,
    },
    /// What might be decided otherwise than in the original.
    #[error("{what} is not supported")]
    Unsupported {
        /// The construct.
        what: &'static str,
    },
}
