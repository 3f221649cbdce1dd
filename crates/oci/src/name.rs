//! Names as registries take them: host, repository, tag, and the three together.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::Digest;

/// Longest tag that the distribution spec allows, in bytes.
const MAX_TAG_BYTES: usize = 128;

/// Longest repository name that common registries take, host not counted (Distribution's own limit).
const MAX_REPOSITORY_BYTES: usize = 255;

/// Why a text is not a name.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ParseNameError {
    /// Not `host[:port]`.
    #[error("`{text}` is not a registry, expected `host` or `host:port` without scheme and path")]
    Registry {
        /// The text as given.
        text: String,
    },
    /// Not a repository path.
    #[error(
        "`{text}` is not a repository, expected lower-case parts such as `acme/app`, with single `.`, `_`, `-` between letters and digits"
    )]
    Repository {
        /// The text as given.
        text: String,
    },
    /// Not a tag.
    #[error(
        "`{text}` is not a tag, expected up to 128 letters, digits, `_`, `.` and `-`, the first not `.` or `-`"
    )]
    Tag {
        /// The text as given.
        text: String,
    },
    /// Not `host/repository:tag` or `host/repository@digest`.
    #[error(
        "`{text}` is not an image reference, expected `host/repository:tag` or `host/repository@sha256:…`"
    )]
    Reference {
        /// The text as given.
        text: String,
    },
}

/// A text for an error, without what stands before an `@` where that may be a user and a password: people
/// paste URLs where a name belongs. A digest behind the `@` stays.
pub fn without_userinfo(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((before, after)) if after.parse::<Digest>().is_err() && !after.starts_with("sha") => {
            let scheme = before.find("://").map_or("", |end| &before[..end + 3]);
            format!("{scheme}***@{after}")
        }
        Some((before, after)) if before.contains('@') => format!("{}@{after}", without_userinfo(before)),
        _ => text.to_owned(),
    }
}

/// `host` or `host:port` of a registry; IPv6 in brackets.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistryHost(String);

impl RegistryHost {
    /// The text as it stands in image references.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Host without port and brackets.
    pub fn host(&self) -> &str {
        let host = match self.0.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => &self.0,
        };
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// Whether the name says that the registry is on this machine: plain HTTP is then no risk.
    pub fn is_loopback(&self) -> bool {
        let host = self.host();
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl FromStr for RegistryHost {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseNameError::Registry { text: without_userinfo(text) };
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, rest)) => {
                address.parse::<std::net::Ipv6Addr>().map_err(|_| error())?;
                (None, rest.strip_prefix(':'))
            }
            None => match text.split_once(':') {
                Some((host, port)) => (Some(host), Some(port)),
                None => (Some(text), None),
            },
        };
        let label = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if host.is_some_and(|host| host.is_empty() || !host.bytes().all(label)) {
            return Err(error());
        }
        if port.is_some_and(|port| port.parse::<u16>().is_err()) {
            return Err(error());
        }
        Ok(RegistryHost(text.to_ascii_lowercase()))
    }
}

/// A repository path below a registry, such as `acme/app`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository(String);

impl Repository {
    /// The path as it stands in URLs.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `part` is one path component: letters and digits with single separators in between.
    fn is_component(part: &str) -> bool {
        let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = part.as_bytes();
        let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
        if !alphanumeric(*first) || !alphanumeric(*last) {
            return false;
        }
        // Separators: one `.`, one or two `_`, or any number of `-` (distribution-spec, "Pulling manifests").
        part.split(|character: char| character.is_ascii_lowercase() || character.is_ascii_digit())
            .all(|run| matches!(run, "" | "." | "_" | "__") || run.bytes().all(|byte| byte == b'-'))
    }
}

impl FromStr for Repository {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > MAX_REPOSITORY_BYTES || !text.split('/').all(Repository::is_component) {
            return Err(ParseNameError::Repository { text: without_userinfo(text) });
        }
        Ok(Repository(text.to_owned()))
    }
}

/// A tag: a name that can be moved, and is therefore resolved once.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(String);

impl Tag {
    /// The tag's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let bytes = text.as_bytes();
        let valid = bytes.len() <= MAX_TAG_BYTES
            && bytes.first().is_some_and(|&first| word(first))
            && bytes.iter().all(|&byte| word(byte) || matches!(byte, b'.' | b'-'));
        match valid {
            true => Ok(Tag(text.to_owned())),
            false => Err(ParseNameError::Tag { text: without_userinfo(text) }),
        }
    }
}

/// What a manifest is asked for by.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum TagOrDigest {
    /// By a name that may have moved since.
    Tag(Tag),
    /// By content.
    Digest(Digest),
}

impl TagOrDigest {
    /// The last part of the manifest URL.
    pub fn as_str(&self) -> &str {
        match self {
            TagOrDigest::Tag(tag) => tag.as_str(),
            TagOrDigest::Digest(digest) => digest.as_str(),
        }
    }
}

impl From<Tag> for TagOrDigest {
    fn from(tag: Tag) -> Self {
        TagOrDigest::Tag(tag)
    }
}

impl From<Digest> for TagOrDigest {
    fn from(digest: Digest) -> Self {
        TagOrDigest::Digest(digest)
    }
}

impl From<&Tag> for TagOrDigest {
    fn from(tag: &Tag) -> Self {
        TagOrDigest::Tag(tag.clone())
    }
}

impl From<&Digest> for TagOrDigest {
    fn from(digest: &Digest) -> Self {
        TagOrDigest::Digest(digest.clone())
    }
}

/// `host/repository:tag`, `host/repository@digest`, or both, in which case the digest decides.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    /// The registry's host.
    pub host: RegistryHost,
    /// The path below it.
    pub repository: Repository,
    /// Tag or digest.
    pub target: TagOrDigest,
}

impl FromStr for Reference {
    type Err = ParseNameError;

    /// A host is required and a tag is never guessed: `latest` is not something to publish by accident.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseNameError::Reference { text: without_userinfo(text) };
        let (host, rest) = text.split_once('/').ok_or_else(error)?;
        if !host.contains(['.', ':']) && host != "localhost" {
            return Err(error());
        }
        let (name, digest) = match rest.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (rest, None),
        };
        let (path, tag) = match name.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (name, None),
        };
        let target = match (tag, digest) {
            (_, Some(digest)) => TagOrDigest::Digest(digest.parse().map_err(|_| error())?),
            (Some(tag), None) => TagOrDigest::Tag(tag.parse()?),
            (None, None) => return Err(error()),
        };
        Ok(Reference { host: host.parse()?, repository: path.parse()?, target })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = match self.target {
            TagOrDigest::Tag(_) => ':',
            TagOrDigest::Digest(_) => '@',
        };
        write!(formatter, "{}/{}{separator}{}", self.host, self.repository, self.target)
    }
}

/// Names are shown as they are, also where a derived `Debug` would ask for it.
macro_rules! shown_as_text {
    ($($type:ty),+) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(self.as_str())
            }
        }
        impl fmt::Debug for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(self.as_str())
            }
        }
    )+};
}
shown_as_text!(RegistryHost, Repository, Tag, TagOrDigest);

impl fmt::Debug for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pasted_password_is_not_shown() {
        let digest = Digest::of(b"x");
        let table = [
            ("https://ci:hunter2@host/x".to_owned(), "https://***@host/x".to_owned()),
            ("ci:hunter2@host:5000".to_owned(), "***@host:5000".to_owned()),
            (format!("h.test/app@{digest}"), format!("h.test/app@{digest}")),
            (format!("ci:hunter2@h.test/app@{digest}"), format!("***@h.test/app@{digest}")),
            ("h.test/app@sha256:12".to_owned(), "h.test/app@sha256:12".to_owned()),
        ];
        for (given, shown) in table {
            assert_eq!(without_userinfo(&given), shown);
        }
        let error = "https://ci:hunter2@host".parse::<RegistryHost>().unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
    }

    #[test]
    fn hosts() {
        for good in ["registry.example.test", "localhost:5000", "127.0.0.1:5000", "[::1]:5000", "[::1]"] {
            assert_eq!(good.parse::<RegistryHost>().unwrap().as_str(), good);
        }
        for bad in ["", "https://host", "host/path", "host:port", "host:70000", "user@host", "[zz]:1"] {
            assert!(bad.parse::<RegistryHost>().is_err(), "{bad}");
        }
        for (host, loopback) in [
            ("127.0.0.1:5000", true),
            ("[::1]:80", true),
            ("localhost", true),
            ("localhost.example.test", false),
            ("10.0.0.1", false),
        ] {
            assert_eq!(host.parse::<RegistryHost>().unwrap().is_loopback(), loopback, "{host}");
        }
    }

    #[test]
    fn repositories() {
        for good in ["app", "acme/app", "a/b/c", "a-b/c.d/e_f", "a__b", "a---b"] {
            assert!(good.parse::<Repository>().is_ok(), "{good}");
        }
        for bad in ["", "/app", "app/", "a//b", "Acme/app", "a..b", "a___b", "-a", "a/../b", "a b"] {
            assert!(bad.parse::<Repository>().is_err(), "{bad}");
        }
    }

    #[test]
    fn tags() {
        for good in ["1.2.3-rc.4", "_x", "latest", &"a".repeat(128)] {
            assert!(good.parse::<Tag>().is_ok(), "{good}");
        }
        for bad in ["", ".x", "-x", "a/b", "a:b", "1.0+build", &"a".repeat(129)] {
            assert!(bad.parse::<Tag>().is_err(), "{bad}");
        }
    }

    #[test]
    fn references() {
        let digest = Digest::of(b"x");
        let both = format!("h:5000/acme/app:1.0.0@{digest}");
        assert_eq!(both.parse::<Reference>().unwrap().to_string(), format!("h:5000/acme/app@{digest}"));
        assert_eq!("h.test/app:1".parse::<Reference>().unwrap().to_string(), "h.test/app:1");
        for bad in ["app:1", "acme/app:1", "h.test/app", "h.test/app:", "h.test/app@sha256:1"] {
            assert!(bad.parse::<Reference>().is_err(), "{bad}");
        }
    }
}
