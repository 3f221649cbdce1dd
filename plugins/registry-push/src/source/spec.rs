//! The text of a source, `scheme:rest`, parsed once.
//!
//! Splits as skopeo does: the path ends at the first `:`, so that what follows may itself hold one
//! (`docker-archive:app.tar:registry/app:1.0`). A path with a colon in it cannot be named.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use granary_oci::{Digest, ParseNameError, Reference, without_userinfo};
use thiserror::Error;

/// The schemes, for messages.
const ACCEPTED: &str = "`oci:DIR`, `oci-archive:FILE`, `docker-archive:FILE`, `dir:PATH` or `image:REF`";

/// Endings that say how a file is packed, not what it is.
const ARCHIVE_ENDINGS: [&str; 4] = [".tar.gz", ".tgz", ".tar", ".gz"];

/// Where an artifact comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceSpec {
    /// From disk: read by [`super::load`].
    Local(LocalSource),
    /// From a registry, where an earlier step pushed it.
    Image(Reference),
}

/// A source on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalSource {
    /// `oci:DIR[:TAG|@DIGEST]`: an OCI image layout.
    OciDirectory {
        /// The folder that holds `oci-layout`.
        path: PathBuf,
        /// Which of its images.
        select: Selector,
    },
    /// `oci-archive:FILE[:TAG|@DIGEST]`: the same as a tar file.
    OciArchive {
        /// The file, plain or gzip.
        path: PathBuf,
        /// Which of its images.
        select: Selector,
    },
    /// `docker-archive:FILE[:TAG|@DIGEST]`: what `docker save` writes.
    DockerArchive {
        /// The file, plain or gzip.
        path: PathBuf,
        /// Which of its images.
        select: Selector,
    },
    /// `dir:PATH`: a folder that becomes a Flux-style artifact.
    Directory {
        /// The folder.
        path: PathBuf,
    },
}

/// Which image of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// The one that is there.
    Only,
    /// By the name that it was stored under: the tag alone or the end of the whole name.
    Name(String),
    /// By digest.
    Digest(Digest),
}

/// Why a text is not a source, or gives no name.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ParseSourceError {
    /// No scheme, or none that is known.
    #[error("`{text}` has no known scheme, expected {ACCEPTED}")]
    Scheme {
        /// The text as given.
        text: String,
    },
    /// Nothing behind the scheme.
    #[error("`{text}` names no path, expected {ACCEPTED}")]
    NoPath {
        /// The text as given.
        text: String,
    },
    /// A colon with nothing behind it.
    #[error("`{text}` ends where a tag is expected")]
    NoTag {
        /// The text as given.
        text: String,
    },
    /// `image:` with something else than a reference.
    #[error("`{text}` names no image")]
    Reference {
        /// The text as given.
        text: String,
        /// What is wrong with it.
        #[source]
        source: ParseNameError,
    },
    /// No member name can be derived.
    #[error("`{text}` gives no name: `{stem}` is not made of `a-z`, `0-9` and `-`; set `names`")]
    Name {
        /// The source.
        text: String,
        /// The last part of its path.
        stem: String,
    },
}

impl FromStr for SourceSpec {
    type Err = ParseSourceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || ParseSourceError::Scheme { text: without_userinfo(text) };
        let (scheme, rest) = text.split_once(':').ok_or_else(unknown)?;
        let local = match scheme {
            "image" => {
                return rest
                    .parse()
                    .map(SourceSpec::Image)
                    .map_err(|source| ParseSourceError::Reference { text: without_userinfo(text), source });
            }
            "oci" => selected(text, rest).map(|(path, select)| LocalSource::OciDirectory { path, select }),
            "oci-archive" => {
                selected(text, rest).map(|(path, select)| LocalSource::OciArchive { path, select })
            }
            "docker-archive" => {
                selected(text, rest).map(|(path, select)| LocalSource::DockerArchive { path, select })
            }
            // A folder holds one thing: whatever follows belongs to its path.
            "dir" => non_empty(text, rest).map(|path| LocalSource::Directory { path }),
            _ => return Err(unknown()),
        }?;
        Ok(SourceSpec::Local(local))
    }
}

fn selected(text: &str, rest: &str) -> Result<(PathBuf, Selector), ParseSourceError> {
    if let Some((path, tail)) = rest.rsplit_once('@')
        && let Ok(digest) = tail.parse()
    {
        // `DIR:TAG@DIGEST`: the digest decides, as in image references.
        let path = path.split_once(':').map_or(path, |(path, _)| path);
        return Ok((non_empty(text, path)?, Selector::Digest(digest)));
    }
    match rest.split_once(':') {
        None => Ok((non_empty(text, rest)?, Selector::Only)),
        Some((_, "")) => Err(ParseSourceError::NoTag { text: without_userinfo(text) }),
        Some((path, tag)) => Ok((non_empty(text, path)?, Selector::Name(tag.to_owned()))),
    }
}

fn non_empty(text: &str, path: &str) -> Result<PathBuf, ParseSourceError> {
    match path {
        "" => Err(ParseSourceError::NoPath { text: without_userinfo(text) }),
        path => Ok(PathBuf::from(path)),
    }
}

/// The name of a member whose name was not set: the last part of the path or repository, for archives
/// without their ending, in lower case.
///
/// # Errors
/// If that is not `[a-z0-9-]+`.
pub fn default_name(source: &SourceSpec) -> Result<String, ParseSourceError> {
    let last = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stem = match source {
        SourceSpec::Image(reference) => {
            let path = reference.repository.as_str();
            path.rsplit_once('/').map_or(path, |(_, last)| last).to_owned()
        }
        SourceSpec::Local(LocalSource::OciDirectory { path, .. } | LocalSource::Directory { path }) => {
            last(path)
        }
        SourceSpec::Local(LocalSource::OciArchive { path, .. } | LocalSource::DockerArchive { path, .. }) => {
            let file = last(path);
            let stem = ARCHIVE_ENDINGS.iter().find_map(|ending| file.strip_suffix(ending));
            stem.unwrap_or(&file).to_owned()
        }
    };
    let name = stem.to_ascii_lowercase();
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    match !name.is_empty() && name.bytes().all(allowed) {
        true => Ok(name),
        false => Err(ParseSourceError::Name { text: source.to_string(), stem }),
    }
}

impl fmt::Display for SourceSpec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourceSpec::Local(local) => fmt::Display::fmt(local, formatter),
            SourceSpec::Image(reference) => write!(formatter, "image:{reference}"),
        }
    }
}

impl fmt::Display for LocalSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LocalSource::OciDirectory { path, select } => write!(formatter, "oci:{}{select}", path.display()),
            LocalSource::OciArchive { path, select } => {
                write!(formatter, "oci-archive:{}{select}", path.display())
            }
            LocalSource::DockerArchive { path, select } => {
                write!(formatter, "docker-archive:{}{select}", path.display())
            }
            LocalSource::Directory { path } => write!(formatter, "dir:{}", path.display()),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selector::Only => Ok(()),
            Selector::Name(name) => write!(formatter, ":{name}"),
            Selector::Digest(digest) => write!(formatter, "@{digest}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn every_scheme_and_what_it_selects() {
        let digest = Selector::Digest(DIGEST.parse().unwrap());
        let oci = |path: &str, select| LocalSource::OciDirectory { path: path.into(), select };
        let archive = |path: &str, select| LocalSource::OciArchive { path: path.into(), select };
        let docker = |path: &str, select| LocalSource::DockerArchive { path: path.into(), select };
        let name = |name: &str| Selector::Name(name.to_owned());
        let table = [
            ("oci:out", oci("out", Selector::Only)),
            ("oci:out/app:1.0", oci("out/app", name("1.0"))),
            (&format!("oci:out@{DIGEST}"), oci("out", digest.clone())),
            (&format!("oci:out:1.0@{DIGEST}"), oci("out", digest)),
            ("oci:a@b", oci("a@b", Selector::Only)),
            ("oci-archive:/tmp/a.tar:x", archive("/tmp/a.tar", name("x"))),
            ("docker-archive:a.tar:h.test/app:1.0", docker("a.tar", name("h.test/app:1.0"))),
            ("dir:./deploy", LocalSource::Directory { path: "./deploy".into() }),
            ("dir:a:b", LocalSource::Directory { path: "a:b".into() }),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse::<SourceSpec>().unwrap(), SourceSpec::Local(expected), "{text}");
        }
        let image: SourceSpec = "image:h.test:5000/acme/app:1.0".parse().unwrap();
        assert_eq!(image, SourceSpec::Image("h.test:5000/acme/app:1.0".parse().unwrap()));
    }

    #[test]
    fn what_is_shown_parses_to_the_same_again() {
        for text in
            ["oci:out:1.0", "oci-archive:a.tar", "docker-archive:a.tar:x/y:1", "dir:d", "image:h.test/a:1"]
        {
            assert_eq!(text.parse::<SourceSpec>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn refusals_say_what_is_accepted() {
        let table = [
            (
                "build/out",
                "`build/out` has no known scheme, expected `oci:DIR`, `oci-archive:FILE`, `docker-archive:FILE`, `dir:PATH` or `image:REF`",
            ),
            (
                "docker-daemon:app:1",
                "`docker-daemon:app:1` has no known scheme, expected `oci:DIR`, `oci-archive:FILE`, `docker-archive:FILE`, `dir:PATH` or `image:REF`",
            ),
            (
                "oci:",
                "`oci:` names no path, expected `oci:DIR`, `oci-archive:FILE`, `docker-archive:FILE`, `dir:PATH` or `image:REF`",
            ),
            (
                "dir:",
                "`dir:` names no path, expected `oci:DIR`, `oci-archive:FILE`, `docker-archive:FILE`, `dir:PATH` or `image:REF`",
            ),
            ("oci:out:", "`oci:out:` ends where a tag is expected"),
            ("image:app", "`image:app` names no image"),
        ];
        for (text, message) in table {
            assert_eq!(text.parse::<SourceSpec>().unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn names_come_from_the_last_part() {
        let table = [
            ("oci:out/App:1.0", "app"),
            ("oci-archive:out/app-2.tar.gz", "app-2"),
            ("docker-archive:web.tar", "web"),
            ("docker-archive:web.tgz:x", "web"),
            ("oci-archive:worker", "worker"),
            ("dir:./deploy/", "deploy"),
            ("image:h.test/acme/api:1", "api"),
        ];
        for (text, name) in table {
            assert_eq!(default_name(&text.parse().unwrap()).unwrap(), name, "{text}");
        }
        for bad in ["dir:.", "dir:a/..", "oci:out/my_app", "oci-archive:app-1.0.tar", "oci-archive:.tar"] {
            assert!(
                matches!(default_name(&bad.parse().unwrap()), Err(ParseSourceError::Name { .. })),
                "{bad}"
            );
        }
    }
}
