//! Git commit ids.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The full SHA-1 id of a commit object: 40 lower-case hex digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId(String);

/// Not a full commit id.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{text}` is not a commit id of 40 hex digits")]
pub struct ParseCommitError {
    text: String,
}

impl CommitId {
    /// All 40 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 7 digits, for readers only: two commits may share them.
    pub fn short(&self) -> &str {
        &self.0[..7]
    }
}

impl FromStr for CommitId {
    type Err = ParseCommitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            true => Ok(CommitId(text.to_ascii_lowercase())),
            false => Err(ParseCommitError { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for CommitId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_ids_only() {
        let full = "7A77c5932e35c13bf0bf61a33f757b21d41692b5".parse::<CommitId>().unwrap();
        assert_eq!((full.as_str(), full.short()), ("7a77c5932e35c13bf0bf61a33f757b21d41692b5", "7a77c59"));
        for bad in ["", "7a77c59", "1.234e+59", "7a77c5932e35c13bf0bf61a33f757b21d41692bz"] {
            assert!(bad.parse::<CommitId>().is_err(), "{bad}");
        }
    }
}
