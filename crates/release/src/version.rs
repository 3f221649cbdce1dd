//! Stable versions `X.Y.Z` and candidates `X.Y.Z-rc.N`, and nothing between them.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A stable version: SemVer without pre-release and build parts. Tags cannot hold a `+`, and a
/// pre-release that is not a candidate has no place in the flow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Breaking changes.
    pub major: u64,
    /// Additions.
    pub minor: u64,
    /// Mends.
    pub patch: u64,
}

/// Why a text is not a version or candidate.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ParseVersionError {
    /// Two numbers: YAML has read `1.10` as the number 1.1.
    #[error(
        "`{text}` has two numbers where a version has three; quote it in YAML (`1.10` is read as the number 1.1)"
    )]
    Mangled {
        /// The text as given.
        text: String,
    },
    /// Anything else that is no `X.Y.Z`.
    #[error("`{text}` is not a version `X.Y.Z` of plain numbers")]
    NotAVersion {
        /// The text as given.
        text: String,
    },
    /// No `X.Y.Z-rc.N`.
    #[error("`{text}` is not a candidate `X.Y.Z-rc.N` with N from 1 on")]
    NotACandidate {
        /// The text as given.
        text: String,
    },
}

/// Which number of a version is raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bump {
    /// X
    Major,
    /// Y
    Minor,
    /// Z
    Patch,
}

impl Version {
    /// A version of these three numbers.
    pub const fn new(major: u64, minor: u64, patch: u64) -> Self {
        Version { major, minor, patch }
    }

    /// The next version of its kind, `None` beyond the largest number there is: a registry can hold
    /// the tag `18446744073709551615.0.0`, and then there is no next one.
    pub fn bump(self, bump: Bump) -> Option<Version> {
        let Version { major, minor, patch } = self;
        Some(match bump {
            Bump::Major => Version::new(major.checked_add(1)?, 0, 0),
            Bump::Minor => Version::new(major, minor.checked_add(1)?, 0),
            Bump::Patch => Version::new(major, minor, patch.checked_add(1)?),
        })
    }

    /// Whether both are `X.Y.*` of the same X.Y.
    pub fn same_line(self, other: Version) -> bool {
        (self.major, self.minor) == (other.major, other.minor)
    }
}

impl FromStr for Version {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = semver::Version::parse(text)
            .ok()
            .filter(|version| version.pre.is_empty() && version.build.is_empty());
        match parsed {
            Some(version) => Ok(Version::new(version.major, version.minor, version.patch)),
            None if text.split('.').count() == 2 && text.parse::<f64>().is_ok() => {
                Err(ParseVersionError::Mangled { text: text.to_owned() })
            }
            None => Err(ParseVersionError::NotAVersion { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// A release candidate, `X.Y.Z-rc.N`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Candidate {
    /// The version it wants to become.
    pub base: Version,
    /// N, at least 1.
    pub number: u64,
}

impl FromStr for Candidate {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseVersionError::NotACandidate { text: text.to_owned() };
        let (base, number) = text.split_once("-rc.").ok_or_else(error)?;
        let base: Version = base.parse().map_err(|_| error())?;
        // SemVer forbids leading zeros in numeric identifiers; u64's own parser takes them, and `+1`.
        let plain = number.bytes().all(|byte| byte.is_ascii_digit()) && !number.starts_with('0');
        match number.parse() {
            Ok(number) if plain => Ok(Candidate { base, number }),
            _ => Err(error()),
        }
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-rc.{}", self.base, self.number)
    }
}

impl fmt::Debug for Candidate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_versions() {
        assert_eq!("1.20.3".parse(), Ok(Version::new(1, 20, 3)));
        for bad in
            ["", "v1.2.3", "1.2.3-rc.1", "1.2.3+b", "01.2.3", "1.2.3.4", "1.2.x", "1.2.99999999999999999999"]
        {
            assert!(matches!(bad.parse::<Version>(), Err(ParseVersionError::NotAVersion { .. })), "{bad}");
        }
        assert!("1.1".parse::<Version>().unwrap_err().to_string().contains("quote it"));
    }

    #[test]
    fn only_plain_candidates() {
        let candidate: Candidate = "0.1.146-rc.87".parse().unwrap();
        assert_eq!(candidate, Candidate { base: Version::new(0, 1, 146), number: 87 });
        assert_eq!(candidate.to_string(), "0.1.146-rc.87");
        for bad in [
            "1.2.3",
            "1.2.3-rc",
            "1.2.3-rc.0",
            "1.2.3-rc.01",
            "1.2.3-rc.+1",
            "1.2.3-beta.1",
            "v1.2.3-rc.1",
            "1.2-rc.1",
            "1.2.3-rc.1.2",
        ] {
            assert!(bad.parse::<Candidate>().is_err(), "{bad}");
        }
    }

    #[test]
    fn bumps() {
        let version = Version::new(1, 2, 3);
        assert_eq!(version.bump(Bump::Major), Some(Version::new(2, 0, 0)));
        assert_eq!(version.bump(Bump::Minor), Some(Version::new(1, 3, 0)));
        assert_eq!(version.bump(Bump::Patch), Some(Version::new(1, 2, 4)));
        assert_eq!(Version::new(u64::MAX, 0, 0).bump(Bump::Major), None);
    }
}
