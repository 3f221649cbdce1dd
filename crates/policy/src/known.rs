//! The name that is meant by a misspelt one.

use std::fmt;

/// The names that there are, for somebody who wrote another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// One that is spelt nearly so.
    Near(String),
    /// All of them.
    All(Vec<String>),
}

impl fmt::Display for Known {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Known::Near(name) => write!(formatter, "is `{name}` meant?"),
            Known::All(names) if names.is_empty() => write!(formatter, "there is none"),
            Known::All(names) => write!(formatter, "there is {}", names.join(", ")),
        }
    }
}

impl Known {
    /// What to say to somebody who wrote `name` where only `names` mean anything.
    pub(crate) fn to_writer_of<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Known {
        let names: Vec<&str> = names.into_iter().collect();
        let wrong = name.to_lowercase().replace('-', "_");
        let near = (wrong.chars().count() / 3).clamp(1, 3);
        let steps = |name: &str| distance(&wrong, &name.to_lowercase().replace('-', "_"));
        let nearest = names.iter().map(|name| (steps(name), *name)).filter(|(steps, _)| *steps <= near).min();
        match nearest {
            Some((_, name)) => Known::Near(name.to_owned()),
            None => Known::All(names.into_iter().map(str::to_owned).collect()),
        }
    }
}

/// Names longer than that are no typing errors of ours.
const LONGEST_COMPARED: usize = 60;

/// The edit distance of two names: letters inserted, deleted or replaced.
fn distance(left: &str, right: &str) -> usize {
    if left.len() > LONGEST_COMPARED {
        return usize::MAX;
    }
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, letter) in left.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, other) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_near_when_few_letters_differ() {
        let names = ["windows", "soak", "approvals", "break_glass"];
        for (wrong, meant) in [
            ("window", Some("windows")),
            ("Windows", Some("windows")),
            ("break-glass", Some("break_glass")),
            ("breakglass", Some("break_glass")),
            ("aprovals", Some("approvals")),
            ("soka", None),
            ("", None),
            ("gates", None),
        ] {
            let known = Known::to_writer_of(wrong, names);
            let near = meant.map(|meant| Known::Near(meant.to_owned()));
            assert_eq!(known, near.unwrap_or_else(|| Known::All(names.map(str::to_owned).into())), "{wrong}");
        }
    }
}
