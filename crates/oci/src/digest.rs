//! Content digests: the only names in this suite that cannot come to mean something else.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256, Sha512};
use thiserror::Error;

/// A validated digest such as `sha256:ba78…`: a registered algorithm and its lower-case hex of the
/// right length (image-spec `descriptor.md`, "Digests").
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

/// Why a text is not a digest.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ParseDigestError {
    /// No `algorithm:` in front.
    #[error("`{text}` has no algorithm, expected `sha256:` and 64 hex digits")]
    NoAlgorithm {
        /// The text as given.
        text: String,
    },
    /// An algorithm that the image spec does not register.
    #[error("`{algorithm}` is not a registered digest algorithm, expected `sha256` or `sha512`")]
    UnknownAlgorithm {
        /// What stood before the colon.
        algorithm: String,
    },
    /// Wrong length or wrong characters behind the colon.
    #[error("`{text}` is not `{algorithm}:` followed by {expected} lower-case hex digits")]
    BadHex {
        /// The text as given.
        text: String,
        /// `sha256` or `sha512`.
        algorithm: &'static str,
        /// How many digits belong there.
        expected: usize,
    },
}

impl Digest {
    /// The SHA-256 of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Digest(format!("sha256:{}", hex::encode(Sha256::digest(bytes))))
    }

    /// Whether `bytes` are what this digest names.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        let mut digester = self.digester();
        digester.update(bytes);
        digester.finish() == *self
    }

    /// A running hash of this digest's own algorithm.
    pub fn digester(&self) -> Digester {
        match self.algorithm() {
            "sha512" => Digester(Inner::Sha512(Box::default())),
            _ => Digester::sha256(),
        }
    }

    /// The whole text, `algorithm:hex`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the colon.
    pub fn algorithm(&self) -> &str {
        self.split().0
    }

    /// What stands behind the colon.
    pub fn hex(&self) -> &str {
        self.split().1
    }

    /// `sha256:` and the first twelve digits, for readers; never for a decision.
    pub fn short(&self) -> &str {
        &self.0[..self.algorithm().len() + 13]
    }

    fn split(&self) -> (&str, &str) {
        self.0.split_once(':').expect("invariant: a Digest has a colon")
    }
}

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((algorithm, hex)) = text.split_once(':') else {
            return Err(ParseDigestError::NoAlgorithm { text: text.to_owned() });
        };
        let (algorithm, expected) = match algorithm {
            "sha256" => ("sha256", 64),
            "sha512" => ("sha512", 128),
            other => return Err(ParseDigestError::UnknownAlgorithm { algorithm: other.to_owned() }),
        };
        let is_lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if hex.len() != expected || !hex.bytes().all(is_lower_hex) {
            return Err(ParseDigestError::BadHex { text: text.to_owned(), algorithm, expected });
        }
        Ok(Digest(text.to_owned()))
    }
}

impl TryFrom<String> for Digest {
    type Error = ParseDigestError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A hash in progress, for content that is streamed.
#[derive(Clone)]
pub struct Digester(Inner);

#[derive(Clone)]
enum Inner {
    Sha256(Sha256),
    Sha512(Box<Sha512>),
}

impl Digester {
    /// For content whose digest is not known beforehand.
    pub fn sha256() -> Self {
        Digester(Inner::Sha256(Sha256::new()))
    }

    /// Takes the next bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Inner::Sha256(hash) => hash.update(bytes),
            Inner::Sha512(hash) => hash.update(bytes),
        }
    }

    /// The digest of all bytes taken in.
    pub fn finish(self) -> Digest {
        match self.0 {
            Inner::Sha256(hash) => Digest(format!("sha256:{}", hex::encode(hash.finalize()))),
            Inner::Sha512(hash) => Digest(format!("sha512:{}", hex::encode(hash.finalize()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_as_the_spec_says() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").as_str(), empty);
        assert_eq!(Digest::of(b"").short(), "sha256:e3b0c44298fc");
        assert!(Digest::of(b"a").matches(b"a"));
        assert!(!Digest::of(b"a").matches(b"b"));
    }

    #[test]
    fn sha512_is_checked_with_sha512() {
        let text = "sha512:1f40fc92da241694750979ee6cf582f2d5d7d28e18335de05abc54d0560e0f5302860c652bf08d560252aa5e74210546f369fbbbce8c12cfc7957b2652fe9a75";
        let digest: Digest = text.parse().unwrap();
        assert!(digest.matches(b"a"));
    }

    #[test]
    fn anything_else_is_refused() {
        let upper = format!("sha256:{}", "A".repeat(64));
        let table = [
            ("", "`` has no algorithm, expected `sha256:` and 64 hex digits".to_owned()),
            (
                "md5:00",
                "`md5` is not a registered digest algorithm, expected `sha256` or `sha512`".to_owned(),
            ),
            ("sha256:00", "`sha256:00` is not `sha256:` followed by 64 lower-case hex digits".to_owned()),
            (&upper, format!("`{upper}` is not `sha256:` followed by 64 lower-case hex digits")),
        ];
        for (text, message) in table {
            assert_eq!(text.parse::<Digest>().unwrap_err().to_string(), message);
        }
    }
}
