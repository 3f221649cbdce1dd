//! Keys and certificates that a setting gives as text or as a path.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use granary_redact::Secret;

use crate::failure::{Failure, Kind};

/// A bundle of all public CAs is a quarter of this.
pub(crate) const LONGEST_FILE: u64 = 1024 * 1024;

/// PEM text, or the file that holds it. Treated as secret: a private key looks the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pem {
    /// The text itself.
    Text(Secret),
    /// Where to read it.
    Path(PathBuf),
}

/// Why the file of a key or certificate could not be used.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It is larger than any key or bundle.
    #[error("{} is larger than {LONGEST_FILE} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// It is something else.
    #[error("{} is not PEM: no `-----BEGIN` in it", path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
    },
}

impl Pem {
    /// Tells text from path by the PEM header. A path cannot contain one.
    pub fn from_value(value: &str) -> Self {
        match value.contains("-----BEGIN ") {
            true => Pem::Text(Secret::new(value)),
            false => Pem::Path(PathBuf::from(value)),
        }
    }

    /// The PEM text, read where it is a path. A secret's text belongs into the redactor:
    /// [`crate::Context::load`] does both.
    ///
    /// # Errors
    /// [`PemError`] with the path.
    pub fn load(&self) -> Result<Secret, PemError> {
        let path = match self {
            Pem::Text(text) => return Ok(text.clone()),
            Pem::Path(path) => path,
        };
        let text = read_bounded(path).map_err(|source| PemError::Read { path: path.clone(), source })?;
        let text = text.ok_or_else(|| PemError::TooLarge { path: path.clone() })?;
        if !text.contains("-----BEGIN ") {
            return Err(PemError::NotPem { path: path.clone() });
        }
        Ok(Secret::new(text))
    }
}

/// The text of a file, or `None` where it is longer than [`LONGEST_FILE`].
pub(crate) fn read_bounded(path: &Path) -> std::io::Result<Option<String>> {
    read_file(path, LONGEST_FILE)
}

/// The text of a regular file that somebody else may have written, or `None` where it has more than `most`
/// bytes.
///
/// # Errors
/// As for any file; also where it is a folder, a pipe or not UTF-8.
pub fn read_file(path: &Path, most: u64) -> std::io::Result<Option<String>> {
    // Looked at before it is opened: a named pipe that an earlier step left waits for a writer for ever, and
    // reading blocks the thread on which signals and the deadline are watched.
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    // The bound may fall within a character, which is no reason to call the file unreadable.
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Ok(None);
    }
    let invalid = |error: std::string::FromUtf8Error| {
        std::io::Error::new(std::io::ErrorKind::InvalidData, error.utf8_error())
    };
    String::from_utf8(bytes).map(Some).map_err(invalid)
}

impl From<PemError> for Failure {
    fn from(error: PemError) -> Self {
        Failure::new(Kind::Settings, "a key or certificate cannot be used")
            .caused_by(error)
            .hint("give the PEM text itself, or the path of a file that this step can read")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "aü").unwrap();
        assert_eq!(read_file(&path, 3).unwrap().as_deref(), Some("aü"));
        // Within a character, too.
        assert_eq!((read_file(&path, 2).unwrap(), read_file(&path, 1).unwrap()), (None, None));
        std::fs::write(&path, b"hunter2 \xff").unwrap();
        let error = read_file(&path, 100).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
        assert!(!format!("{error:?}").contains("104"), "the content is not in the error: {error:?}");
    }

    #[test]
    fn text_and_path_are_told_apart_and_a_wrong_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        std::fs::write(&path, "-----BEGIN X-----\nAA==\n-----END X-----\n").unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(Pem::from_value(&text), Pem::Text(Secret::new(text.clone())));
        assert_eq!(Pem::from_value(path.to_str().unwrap()).load().unwrap(), Secret::new(text));
        let folder_error = Pem::Path(folder.path().to_owned()).load().unwrap_err();
        assert_eq!(std::error::Error::source(&folder_error).unwrap().to_string(), "it is not a regular file");
        std::fs::write(&path, "hunter2").unwrap();
        let wrong = Pem::Path(path.clone()).load().unwrap_err().to_string();
        assert_eq!(wrong, format!("{} is not PEM: no `-----BEGIN` in it", path.display()));
    }
}
