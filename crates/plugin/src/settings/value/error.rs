//! What can be wrong with the text of a setting. Nothing here shows the text.

/// Why a text is not what the setting takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Neither yes nor no.
    #[error("not a yes or no")]
    Bool,
    /// `30`.
    #[error("a number without a unit")]
    DurationWithoutUnit,
    /// Not a duration.
    #[error("not a duration")]
    Duration,
    /// Longer than ten years: somebody meant something else.
    #[error("longer than ten years")]
    DurationTooLong,
    /// Not a whole number.
    #[error("not a whole number")]
    Integer,
    /// Starts like JSON but is none.
    #[error("starts like JSON but is not valid JSON (line {line}, column {column})")]
    Json {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// JSON of another shape than this setting takes.
    #[error(
        "JSON of the wrong shape (line {line}, column {column}): a field is missing, unknown or of another kind"
    )]
    JsonShape {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// A list or map inside a list or map.
    #[error("entry {0} is neither a text nor a number nor true or false")]
    Nested(usize),
    /// `a,b` where `k=v` is expected.
    #[error("entry {0} is not name=value")]
    MapEntry(usize),
    /// The same name again.
    #[error("entry {0} has a name that was there before")]
    MapTwice(usize),
    /// `{version}` without quotes.
    #[error("a YAML map arrived: a text that begins with {{ must be in quotes, as in \"{{version}}\"")]
    Braces,
    /// A JSON object where one text is expected.
    #[error("a map arrived where one text is expected")]
    UnexpectedMap,
    /// `2024-01-01` without quotes.
    #[error("an unquoted YAML date arrived: put it in quotes")]
    QuotedDate,
    /// `1.1`.
    #[error("looks like a YAML number (1.10 arrives as 1.1): put the version in quotes and write all of it")]
    VersionIsNumber,
    /// `1.234e+59`.
    #[error("looks like a YAML number (an unquoted SHA can arrive as 1.2e+59): put it in quotes")]
    CommitIsNumber,
    /// Not a commit.
    #[error("not 7 to 40 hex digits")]
    Commit,
    /// None of the words; the one that is nearly the same.
    #[error("not one of them{}", did_you_mean(*.0))]
    Choice(Option<&'static str>),
    /// `pytest,-k,a`.
    #[error("the first word contains a comma, so this was a YAML list: write one string, or JSON as text")]
    CommandIsList,
    /// `sh -c 'x`.
    #[error("a quote is not closed")]
    CommandQuotes,
    /// Nothing to run.
    #[error("no command in it")]
    CommandEmpty,
}

/// The nearest name, in brackets, where there is one.
pub(crate) fn did_you_mean(nearest: Option<&'static str>) -> String {
    nearest.map_or_else(String::new, |nearest| format!(" (did you mean `{nearest}`?)"))
}
