//! Floating tags: which there are, and which version each follows (DESIGN §4.8). Pure.
//!
//! A tag such as `1` or `latest` names the newest stable version of its kind. Nothing is decided by one:
//! they are for people and tools that want "the newest", and are written after everything else.

use std::fmt;

use granary_oci::Tag;
use granary_release::{Version, reserved};
use thiserror::Error;

const MAJOR: &str = "{major}";
const MINOR: &str = "{minor}";

/// One floating tag as the setting `floating` names it: `latest`, `{major}`, `v{major}.{minor}`, `stable`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Floating(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Major,
    Minor,
}

/// Why a word cannot be a floating tag.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BadFloating {
    /// Something in braces that means nothing here.
    #[error("`{word}` has braces around something else than {{major}} or {{minor}}")]
    Placeholder {
        /// The word.
        word: String,
    },
    /// The same tag for 1.4 and 2.4.
    #[error("`{word}` has {{minor}} without {{major}}, and would be one tag for 1.4 and 2.4")]
    MinorAlone {
        /// The word.
        word: String,
    },
    /// 1 and 12 give what 11 and 2 give.
    #[error("`{word}` has a number beside another, and would be one tag for several versions")]
    Adjacent {
        /// The word.
        word: String,
    },
    /// A number that is fixed, or a whole version.
    #[error("`{word}` could be taken for a version, and versions never move")]
    LikeAVersion {
        /// The word.
        word: String,
    },
    /// A record of ours.
    #[error("`{word}` cannot float: {reason}")]
    Reserved {
        /// The word.
        word: String,
        /// Why.
        reason: &'static str,
    },
    /// No registry takes it.
    #[error("`{word}` does not give a tag that registries take")]
    NotATag {
        /// The word.
        word: String,
    },
    /// Two words that one day give one tag.
    #[error("`{first}` and `{second}` can give the same tag for different versions")]
    Collision {
        /// The one that stands first.
        first: String,
        /// The other.
        second: String,
    },
}

impl Floating {
    /// Reads the whole list; a word that stands twice counts once.
    ///
    /// # Errors
    /// Every word that cannot be used.
    pub fn parse_all(words: &[String]) -> Result<Vec<Floating>, Vec<BadFloating>> {
        let (mut all, mut errors): (Vec<Floating>, Vec<BadFloating>) = (Vec::new(), Vec::new());
        for word in words {
            match Floating::parse(word) {
                Ok(floating) if all.contains(&floating) => {}
                Ok(floating) => {
                    match all.iter().find(|other| other.shape() == floating.shape()).map(ToString::to_string)
                    {
                        Some(first) => errors.push(BadFloating::Collision { first, second: word.clone() }),
                        None => all.push(floating),
                    }
                }
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(all) } else { Err(errors) }
    }

    fn parse(word: &str) -> Result<Self, BadFloating> {
        let named = || word.to_owned();
        let floating = Floating(parts(word).ok_or_else(|| BadFloating::Placeholder { word: named() })?);
        if floating.0.contains(&Part::Minor) && !floating.0.contains(&Part::Major) {
            return Err(BadFloating::MinorAlone { word: named() });
        }
        if floating.0.windows(2).any(|pair| pair[0].ends_in_number() && pair[1].begins_with_number()) {
            return Err(BadFloating::Adjacent { word: named() });
        }
        // The longest that it can ever give.
        let tag: Tag = floating
            .filled(u64::MAX, u64::MAX)
            .parse()
            .map_err(|_| BadFloating::NotATag { word: named() })?;
        let numbers: Vec<&str> = word.strip_prefix('v').unwrap_or(word).split('.').collect();
        if word == "latest" || numbers == [MAJOR] || numbers == [MAJOR, MINOR] {
            return Ok(floating);
        }
        if is_like_a_version(tag.as_str()) {
            return Err(BadFloating::LikeAVersion { word: named() });
        }
        match reserved(&tag) {
            Some(reason) => Err(BadFloating::Reserved { word: named(), reason }),
            None => Ok(floating),
        }
    }

    /// The tag that follows the line of `version`.
    pub fn tag(&self, version: Version) -> Tag {
        let text = self.filled(version.major, version.minor);
        text.parse().expect("invariant: a longer one was a tag when the setting was read")
    }

    /// The newest of `stables` and `version` that the tag of `version` follows.
    pub fn newest(&self, version: Version, stables: &[Version]) -> Version {
        let follows = |other: &&Version| {
            (!self.0.contains(&Part::Major) || other.major == version.major)
                && (!self.0.contains(&Part::Minor) || other.minor == version.minor)
        };
        stables.iter().filter(follows).copied().fold(version, Version::max)
    }

    fn filled(&self, major: u64, minor: u64) -> String {
        let fill = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Major => major.to_string(),
            Part::Minor => minor.to_string(),
        };
        self.0.iter().map(fill).collect()
    }

    /// What all its tags have in common: every number is a `#`. Of two words with different shapes none ever
    /// gives the other's tag.
    fn shape(&self) -> String {
        let mut shape = String::new();
        for letter in self.filled(0, 0).chars() {
            match letter.is_ascii_digit() {
                true if shape.ends_with('#') => {}
                true => shape.push('#'),
                false => shape.push(letter),
            }
        }
        shape
    }
}

impl fmt::Display for Floating {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| {
            formatter.write_str(match part {
                Part::Text(text) => text,
                Part::Major => MAJOR,
                Part::Minor => MINOR,
            })
        })
    }
}

impl Part {
    fn begins_with_number(&self) -> bool {
        match self {
            Part::Text(text) => text.starts_with(|letter: char| letter.is_ascii_digit()),
            Part::Major | Part::Minor => true,
        }
    }

    fn ends_in_number(&self) -> bool {
        match self {
            Part::Text(text) => text.ends_with(|letter: char| letter.is_ascii_digit()),
            Part::Major | Part::Minor => true,
        }
    }
}

/// The parts of a word; `None` where braces stand around something else.
fn parts(word: &str) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut rest = word;
    while !rest.is_empty() {
        let known = [(MAJOR, Part::Major), (MINOR, Part::Minor)];
        let found = known.into_iter().find_map(|(name, part)| Some((rest.strip_prefix(name)?, part)));
        rest = match found {
            Some((after, part)) => {
                parts.push(part);
                after
            }
            None => {
                let end = rest.find('{').unwrap_or(rest.len());
                let text = rest.get(..end).filter(|text| !text.is_empty() && !text.contains('}'))?;
                parts.push(Part::Text(text.to_owned()));
                &rest[end..]
            }
        };
    }
    Some(parts)
}

/// Numbers and dots alone, or whatever begins like `X.Y.Z`: what follows a range of versions might take it.
fn is_like_a_version(tag: &str) -> bool {
    let text = tag.strip_prefix('v').unwrap_or(tag);
    let numbers = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let mut dotted = text.split('.');
    let mut number =
        || dotted.next().is_some_and(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    let two_numbers = number() && number();
    let third = dotted.next().is_some_and(|part| part.starts_with(|letter: char| letter.is_ascii_digit()));
    numbers(text) || (two_numbers && third)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Vec<Floating>, Vec<String>> {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        Floating::parse_all(&words).map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn tags_follow_their_line() {
        let stables = ["1.4.8", "1.5.0", "2.0.1"].map(version);
        let table = [
            ("latest", "1.4.9", "latest", "2.0.1"),
            ("stable", "2.1.0", "stable", "2.1.0"),
            ("{major}", "1.4.9", "1", "1.5.0"),
            ("{major}", "1.5.1", "1", "1.5.1"),
            ("{major}", "0.9.0", "0", "0.9.0"),
            ("v{major}.{minor}", "1.4.9", "v1.4", "1.4.9"),
            ("{major}.{minor}", "1.4.7", "1.4", "1.4.8"),
            ("{major}.{minor}-debug", "1.4.9", "1.4-debug", "1.4.9"),
            ("line-{major}", "3.0.0", "line-3", "3.0.0"),
        ];
        for (word, ours, tag, newest) in table {
            let floating = &parsed(&[word]).unwrap()[0];
            assert_eq!(floating.tag(version(ours)).as_str(), tag, "{word}");
            assert_eq!(floating.newest(version(ours), &stables), version(newest), "{word} for {ours}");
            assert_eq!(floating.to_string(), word);
        }
        assert_eq!(parsed(&["latest", "{major}", "latest"]).unwrap().len(), 2);
    }

    #[test]
    fn what_could_be_something_else_is_refused() {
        let table = [
            ("{patch}", "`{patch}` has braces around something else than {major} or {minor}"),
            ("{major", "`{major` has braces around something else than {major} or {minor}"),
            ("x}", "`x}` has braces around something else than {major} or {minor}"),
            ("x-{minor}", "`x-{minor}` has {minor} without {major}, and would be one tag for 1.4 and 2.4"),
            (
                "{major}{minor}",
                "`{major}{minor}` has a number beside another, and would be one tag for several versions",
            ),
            (
                "r{major}0",
                "`r{major}0` has a number beside another, and would be one tag for several versions",
            ),
            ("1", "`1` could be taken for a version, and versions never move"),
            ("v1.5", "`v1.5` could be taken for a version, and versions never move"),
            ("1.5.0", "`1.5.0` could be taken for a version, and versions never move"),
            ("{major}.0", "`{major}.0` could be taken for a version, and versions never move"),
            (
                "{major}.{minor}.0",
                "`{major}.{minor}.0` could be taken for a version, and versions never move",
            ),
            (
                "{major}.{minor}.0-rc.{major}",
                "`{major}.{minor}.0-rc.{major}` could be taken for a version, and versions never move",
            ),
            (
                "v{major}.{minor}.1-x",
                "`v{major}.{minor}.1-x` could be taken for a version, and versions never move",
            ),
            ("{minor}.{major}", "`{minor}.{major}` could be taken for a version, and versions never move"),
            ("set-{major}", "`set-{major}` cannot float: the prefix is used for the suite's own records"),
            ("validated-x", "`validated-x` cannot float: the prefix is used for the suite's own records"),
            ("sha256-x", "`sha256-x` cannot float: the prefix is used for the suite's own records"),
            ("a b", "`a b` does not give a tag that registries take"),
            ("-{major}", "`-{major}` does not give a tag that registries take"),
        ];
        for (word, told) in table {
            assert_eq!(parsed(&[word]).unwrap_err(), [told], "{word}");
        }
        let told = "`x-{major}` and `x-1` can give the same tag for different versions";
        assert_eq!(parsed(&["x-{major}", "x-1", "latest"]).unwrap_err(), [told]);
        let long = "x".repeat(110) + "{major}";
        assert!(parsed(&[&long]).unwrap_err()[0].ends_with("does not give a tag that registries take"));
        assert!(parsed(&["{major}", "v{major}", "{major}.{minor}", "latest", "stable"]).is_ok());
    }
}
