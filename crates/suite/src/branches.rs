//! Branch patterns of the setting `branches`.

use std::str::FromStr;

use granary_release::{NamePattern, ParsePatternError};

/// A branch name in which `*` stands for any characters, also `/`, and `?` for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BranchPattern(NamePattern);

impl BranchPattern {
    /// Whether a branch is meant. A candidate without a branch is meant only by `*`.
    pub fn matches(&self, branch: Option<&str>) -> bool {
        match branch {
            Some(branch) => self.0.matches(branch),
            None => self.0.as_str() == "*",
        }
    }

    /// The pattern as it was given.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for BranchPattern {
    type Err = ParsePatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(BranchPattern)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_what_it_says() {
        let table = [
            ("main", Some("main"), true),
            ("main", Some("maintenance"), false),
            ("main", None, false),
            ("release/*", Some("release/1.2/hotfix"), true),
            ("release/*", None, false),
            ("*", Some("anything"), true),
            ("*", None, true),
            ("**", Some("main"), true),
            ("v[12]", Some("v1"), false),
            ("v[12]", Some("v[12]"), true),
            ("v?", Some("v1"), true),
        ];
        for (pattern, branch, expected) in table {
            assert_eq!(
                pattern.parse::<BranchPattern>().unwrap().matches(branch),
                expected,
                "{pattern} {branch:?}"
            );
        }
        assert!("".parse::<BranchPattern>().is_err());
    }
}
