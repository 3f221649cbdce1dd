//! Names: the kind of forge, a repository, a branch or tag. Pure.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Which API is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForgeKind {
    /// Gitea and Forgejo: `/api/v1`.
    Gitea,
    /// github.com, ghe.com and GitHub Enterprise Server.
    GitHub,
}

/// A name that a forge cannot be asked about.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ParseForgeError {
    /// Another forge.
    #[error("`{text}` is not a forge that can be asked: it takes gitea, forgejo or github")]
    Kind {
        /// What was given.
        text: String,
    },
    /// Not `owner/name`.
    #[error("`{text}` is not the name of a repository: it takes owner/name")]
    Repository {
        /// What was given.
        text: String,
    },
}

impl FromStr for ForgeKind {
    type Err = ParseForgeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "gitea" | "forgejo" => Ok(ForgeKind::Gitea),
            "github" => Ok(ForgeKind::GitHub),
            _ => Err(ParseForgeError::Kind { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for ForgeKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            ForgeKind::Gitea => "Gitea",
            ForgeKind::GitHub => "GitHub",
        })
    }
}

/// A repository of the forge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryName {
    owner: String,
    name: String,
}

impl RepositoryName {
    /// The person or organisation.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// The name below the owner.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for RepositoryName {
    type Err = ParseForgeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let part = |part: &str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            !part.is_empty() && part != "." && part != ".." && part.bytes().all(allowed)
        };
        match text.split_once('/') {
            Some((owner, name)) if part(owner) && part(name) => {
                Ok(RepositoryName { owner: owner.to_owned(), name: name.to_owned() })
            }
            _ => Err(ParseForgeError::Repository { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.owner, self.name)
    }
}

/// Whether Git takes this as a branch's or tag's name (git-check-ref-format). Nothing else is sent to a
/// forge: `branches/..` is answered with 200, about the repository.
pub(crate) fn is_ref_name(text: &str) -> bool {
    let forbidden = |character: char| character.is_control() || " ~^:?*[\\".contains(character);
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    text.len() <= 250
        && text != "@"
        && !text.starts_with('-')
        && !text.ends_with('.')
        && !text.contains("..")
        && !text.contains("@{")
        && !text.contains(forbidden)
        && text.split('/').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_repositories() {
        assert_eq!("Forgejo".parse(), Ok(ForgeKind::Gitea));
        assert_eq!("github".parse(), Ok(ForgeKind::GitHub));
        assert!("gitlab".parse::<ForgeKind>().is_err());
        assert_eq!("acme/app.go".parse::<RepositoryName>().unwrap().to_string(), "acme/app.go");
        for text in ["", "acme", "acme/", "/app", "acme/app/x", "acme/..", "a b/c", "acme/app?x"] {
            assert!(text.parse::<RepositoryName>().is_err(), "{text}");
        }
    }

    #[test]
    fn ref_names() {
        for name in ["main", "release/1.x", "v1.2.3-rc.1", "ä", "a@b"] {
            assert!(is_ref_name(name), "{name}");
        }
        for name in [
            "", "..", "a/../b", "a//b", "/a", "a/", "a b", "a?x", "a\n", ".a", "a.lock", "a.", "-a", "@",
            "a@{1}",
        ] {
            assert!(!is_ref_name(name), "{name}");
        }
    }
}
