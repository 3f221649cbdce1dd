//! Keys and certificates that a setting gives as text or as a path.

use std::path::PathBuf;

use granary_redact::Secret;

use crate::file::{LONGEST_FILE, read_bounded};

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

    /// Whether a value is the path of a file beyond doubt, and not a key in a form that is not understood here
    /// (such as Base64 of the PEM text), which nobody must print.
    pub(crate) fn is_plain_path(value: &str) -> bool {
        let begins = ["/", "./", "../", "~/"].iter().any(|start| value.starts_with(start));
        let ends = [".pem", ".key", ".pub", ".crt", ".cer"].iter().any(|end| value.ends_with(end));
        (begins || ends) && !value.contains(char::is_control) && !value.contains("-----BEGIN ")
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

#[cfg(test)]
mod tests {
    use super::*;

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
