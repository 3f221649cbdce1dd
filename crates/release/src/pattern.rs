//! Names of tests and branches with wildcards, as settings ask for them: `orders::*`, `smoke-??`, `release/*`.
//!
//! Only `*` and `?` are wildcards. Brackets stand for themselves, because names of parametrised tests have
//! them (`test_sum[1-2]`), and a `*` also matches `/` and `::`: nobody's test names are paths alone.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Longest pattern, in bytes. Matching takes time in proportion to both lengths.
pub const MAX_PATTERN_BYTES: usize = 1024;

/// A pattern of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern(String);

/// Why a text is no pattern of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ParsePatternError {
    /// It could match nothing.
    #[error("the pattern is empty")]
    Empty,
    /// Above [`MAX_PATTERN_BYTES`].
    #[error("the pattern has {length} bytes, at most {MAX_PATTERN_BYTES} are allowed")]
    TooLong {
        /// Length in bytes.
        length: usize,
    },
}

impl FromStr for NamePattern {
    type Err = ParsePatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.len() {
            0 => Err(ParsePatternError::Empty),
            length if length > MAX_PATTERN_BYTES => Err(ParsePatternError::TooLong { length }),
            _ => Ok(NamePattern(text.to_owned())),
        }
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl NamePattern {
    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `name` may be what was meant: the longest word of the pattern is in it, in whatever case.
    /// For messages only.
    pub(crate) fn is_like(&self, name: &str) -> bool {
        let words = self.0.split(|character: char| !character.is_alphanumeric());
        let longest = words.max_by_key(|word| word.len()).unwrap_or_default();
        longest.len() > 2 && name.to_lowercase().contains(&longest.to_lowercase())
    }

    /// Whether the whole of `name` matches: `*` stands for any text, also none, `?` for one character.
    /// Upper and lower case differ.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let (mut pattern, mut rest) = (self.0.chars(), name.chars());
        // Where the last `*` was, and the name from there on: on a mismatch that star takes one more.
        let mut star = None;
        loop {
            let here = rest.clone();
            match (pattern.next(), rest.next()) {
                (None, None) => return true,
                (Some('*'), _) => {
                    rest = here;
                    star = Some((pattern.clone(), rest.clone()));
                }
                (Some('?'), Some(_)) => {}
                (Some(wanted), Some(found)) if wanted == found => {}
                // The name is used up, and more is wanted than stars can stand for.
                (Some(_), None) => return false,
                _ => {
                    let Some((after_star, mut taken)) = star.take() else { return false };
                    if taken.next().is_none() {
                        return false;
                    }
                    (pattern, rest) = (after_star.clone(), taken.clone());
                    star = Some((after_star, taken));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, name: &str) -> bool {
        pattern.parse::<NamePattern>().unwrap().matches(name)
    }

    #[test]
    fn what_matches() {
        for (pattern, name, expected) in [
            ("login", "login", true),
            ("login", "Login", false),
            ("login", "login works", false),
            ("login", "", false),
            ("*", "", true),
            ("*", "anything at all", true),
            ("orders::*", "orders::fill", true),
            ("orders::*", "orders::", true),
            ("orders::*", "orders", false),
            ("*::fill", "orders::fill", true),
            ("*::fill", "orders::fill::twice", false),
            ("o*s::*l", "orders::cancel", true),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXbXbXd", false),
            ("**", "x", true),
            ("a***b", "ab", true),
            ("smoke-??", "smoke-12", true),
            ("smoke-??", "smoke-1", false),
            ("?", "é", true),
            ("?", "", false),
            ("a*", "a/b", true),
            ("test_sum[1-2]", "test_sum[1-2]", true),
            ("test_sum[*]", "test_sum[1-2]", true),
            ("test_sum[1-2]", "test_sum1", false),
            ("*.*", "no dot", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} on {name:?}");
        }
    }

    #[test]
    fn what_is_refused() {
        assert_eq!("".parse::<NamePattern>(), Err(ParsePatternError::Empty));
        assert!("x".repeat(1024).parse::<NamePattern>().is_ok());
        assert_eq!("x".repeat(1025).parse::<NamePattern>(), Err(ParsePatternError::TooLong { length: 1025 }));
    }

    /// Many stars must not cost time without end: with backtracking into each of them this would.
    #[test]
    fn many_stars_are_quick() {
        assert!(!matches(&"a*".repeat(500), &"a".repeat(499)));
        assert!(!matches(&format!("{}b", "a*".repeat(500)), &"a".repeat(100_000)));
    }

    /// The definition, without any cleverness.
    fn defined(pattern: &[char], name: &[char]) -> bool {
        match (pattern, name) {
            ([], []) => true,
            (['*', more @ ..], _) => (0..=name.len()).any(|taken| defined(more, &name[taken..])),
            (['?', more @ ..], [_, rest @ ..]) => defined(more, rest),
            ([wanted, more @ ..], [found, rest @ ..]) => wanted == found && defined(more, rest),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab*?]{1,8}", name in "[ab]{0,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(matches(&pattern, &name), defined(&chars(&pattern), &chars(&name)));
        }
    }
}
