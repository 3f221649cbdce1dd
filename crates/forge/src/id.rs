//! Ids of Git objects, and the one hash that makes them: pure.

use std::fmt;
use std::str::FromStr;

use sha1::{Digest as _, Sha1};
use thiserror::Error;

/// The full SHA-1 id of an object: 40 lower-case hex digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(String);

/// Not a full id.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{text}` is not an object id of 40 hex digits")]
pub struct ParseIdError {
    text: String,
}

impl ObjectId {
    /// All 40 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id that Git gives to a file of this content.
    pub fn of_blob(content: &[u8]) -> Self {
        let mut hash = Sha1::new();
        hash.update(format!("blob {}\0", content.len()));
        hash.update(content);
        let digits = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        ObjectId(digits)
    }
}

impl FromStr for ObjectId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            true => Ok(ObjectId(text.to_ascii_lowercase())),
            // Whatever a server sent in its place is not repeated whole.
            false => Err(ParseIdError { text: text.chars().take(70).collect() }),
        }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for ObjectId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_hash_as_git_hashes_them() {
        // `git hash-object --stdin`
        assert_eq!(ObjectId::of_blob(b"").as_str(), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
        assert_eq!(ObjectId::of_blob(b"version: 1\n").as_str(), "b82551848c644f63b8517a7bdf8be9a992e6f4da");
    }

    #[test]
    fn full_ids_only() {
        assert_eq!(
            "7A77c5932e35c13bf0bf61a33f757b21d41692b5".parse::<ObjectId>().unwrap().as_str(),
            "7a77c5932e35c13bf0bf61a33f757b21d41692b5"
        );
        let sha256 = "a".repeat(64);
        for text in ["", "7a77c59", "main", "7a77c5932e35c13bf0bf61a33f757b21d41692bg", &sha256] {
            assert!(text.parse::<ObjectId>().is_err(), "{text}");
        }
    }
}
