//! Writes result files: whole or not at all.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A file that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
pub struct WriteError {
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

/// Where a file goes, and how much it matters.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// The file.
    pub(crate) path: PathBuf,
    /// Set by the user: then not being able to write it is an error, else a warning.
    pub(crate) set: bool,
}

impl Target {
    /// Makes the folder, takes an earlier result away and tries whether a file can be made, before the run
    /// does anything that it could not report.
    ///
    /// The earlier result goes because a run that is killed writes none, and what lies there then would
    /// be read as its own.
    pub(crate) fn prepare(&self) -> Result<(), WriteError> {
        temporary(&self.path)?;
        match std::fs::remove_file(&self.path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(WriteError { path: self.path.clone(), source })
            }
            _ => Ok(()),
        }
    }
}

/// Writes `text` to a temporary file beside `path` and renames it, so that a reader sees the old file or
/// the new one and a link at `path` is replaced, not followed.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), WriteError> {
    // Readable to the steps that follow, which may run as another user.
    write_file(path, text.as_bytes(), 0o644)
}

/// The same for whatever content, with these permissions.
///
/// # Errors
/// [`WriteError`], with what was there before untouched.
pub fn write_file(path: &Path, mut content: impl Read, mode: u32) -> Result<(), WriteError> {
    let failed = |source| WriteError { path: path.to_owned(), source };
    let mut file = temporary(path)?;
    std::io::copy(&mut content, &mut file).map_err(failed)?;
    file.as_file().set_permissions(PermissionsExt::from_mode(mode)).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Makes the folder of a file that a run will write and tries whether it can be made, before the run does
/// anything that it could not report. A file that is there already stays as it is.
///
/// # Errors
/// [`WriteError`].
pub fn prepare_file(path: &Path) -> Result<(), WriteError> {
    temporary(path).map(drop)
}

fn temporary(path: &Path) -> Result<tempfile::NamedTempFile, WriteError> {
    let failed = |source| WriteError { path: path.to_owned(), source };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    if path.is_dir() {
        return Err(failed(std::io::Error::from(std::io::ErrorKind::IsADirectory)));
    }
    tempfile::Builder::new().prefix(".granary-").tempfile_in(folder).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_replaced_and_not_followed_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = folder.path().join("elsewhere");
        std::fs::write(&elsewhere, "mine").unwrap();
        let path = folder.path().join("new/result.json");
        std::fs::create_dir(folder.path().join("new")).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        write(&path, "{}\n").unwrap();
        assert_eq!(std::fs::read_to_string(&elsewhere).unwrap(), "mine");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{}\n");
        assert_eq!(std::fs::read_dir(folder.path().join("new")).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_read_whole_replaces_nothing() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(std::io::Error::other("gone"))
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        write_file(&path, &b"first"[..], 0o755).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o755);
        assert!(write_file(&path, (&b"sec"[..]).chain(Broken), 0o644).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"first");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(write_file(folder.path(), &b""[..], 0o644).is_err(), "a folder is in the way");
    }

    #[test]
    fn an_earlier_result_does_not_survive_the_start_of_a_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result.json");
        std::fs::write(&path, "old").unwrap();
        Target { path: path.clone(), set: false }.prepare().unwrap();
        assert!(!path.exists());
        let inside_a_file = folder.path().join("result.json/x.json");
        std::fs::write(&path, "a file").unwrap();
        let error = Target { path: inside_a_file.clone(), set: true }.prepare().unwrap_err();
        assert_eq!(error.to_string(), format!("cannot write {}", inside_a_file.display()));
    }
}
