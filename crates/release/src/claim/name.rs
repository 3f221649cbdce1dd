//! The tag of a claim: what can be said of it without reading it.

use std::fmt;

use granary_oci::{Digest, Tag};

use crate::Version;

/// How many hex digits of the set's digest a claim's tag has.
const SET_DIGITS: usize = 12;

/// `claim-<X.Y.Z>-<first 12 hex digits of the set's digest>`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimName {
    /// The version that is claimed.
    pub version: Version,
    set: String,
}

impl ClaimName {
    /// The claim of a set to a version.
    pub fn new(version: Version, set: &Digest) -> Self {
        ClaimName { version, set: set.hex()[..SET_DIGITS].to_owned() }
    }

    /// Reads a tag; `None` where it is no claim.
    pub fn read(tag: &str) -> Option<Self> {
        let (version, set) = tag.strip_prefix("claim-")?.rsplit_once('-')?;
        let hex = set.len() == SET_DIGITS
            && set.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        hex.then_some(ClaimName { version: version.parse().ok()?, set: set.to_owned() })
    }

    /// Whether a set with this digest makes this claim.
    pub fn is_of(&self, set: &Digest) -> bool {
        set.hex().starts_with(&self.set)
    }

    /// The tag itself.
    pub fn tag(&self) -> Tag {
        self.to_string().parse().expect("invariant: hex, numbers, dots and dashes form a tag")
    }
}

impl fmt::Display for ClaimName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "claim-{}-{}", self.version, self.set)
    }
}

impl fmt::Debug for ClaimName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        let set = Digest::of(b"set");
        let name = ClaimName::new(Version::new(0, 1, 146), &set);
        assert_eq!(name.tag().as_str(), "claim-0.1.146-6ee0eb490ff8");
        assert_eq!(ClaimName::read(name.tag().as_str()), Some(name.clone()));
        assert!(name.is_of(&set) && !name.is_of(&Digest::of(b"other")));
    }

    #[test]
    fn other_tags_are_no_claims() {
        for tag in [
            "0.1.146",
            "rcclaim-0.1.146-6ee0eb490ff8",
            "claim-0.1.146",
            "claim-0.1.146-6ee0eb490ff",
            "claim-0.1.146-6ee0eb490ff86",
            "claim-0.1.146-6EE0EB490FF8",
            "claim-0.1.146-rc.1-6ee0eb490ff8",
            "claim-v0.1.146-6ee0eb490ff8",
        ] {
            assert_eq!(ClaimName::read(tag), None, "{tag}");
        }
    }
}
