//! Branch patterns of the setting `branches`.

use std::str::FromStr;

use thiserror::Error;

/// A branch name in which `*` stands for any characters, also `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BranchPattern(glob::Pattern);

/// Not a pattern.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{text}` is not a branch pattern: {reason}")]
pub struct BadPattern {
    text: String,
    reason: &'static str,
}

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
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let pattern = glob::Pattern::new(text);
        pattern.map(BranchPattern).map_err(|error| BadPattern { text: text.to_owned(), reason: error.msg })
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
        ];
        for (pattern, branch, expected) in table {
            assert_eq!(
                pattern.parse::<BranchPattern>().unwrap().matches(branch),
                expected,
                "{pattern} {branch:?}"
            );
        }
        assert!("release/[".parse::<BranchPattern>().is_err());
    }
}
