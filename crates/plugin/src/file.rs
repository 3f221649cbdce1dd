//! Files that an earlier step or a user wrote, read up to a bound.

use std::io::Read;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// Key files, certificates, results: a bundle of all public CAs is a quarter of this.
pub(crate) const LONGEST_FILE: u64 = 1024 * 1024;

/// Why a JSON file could not be used. Shows where it is wrong, and its texts where serde does.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is there but cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Nobody wrote that.
    #[error("{} is larger than {most} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// How large it may be.
        most: u64,
    },
    /// Something else.
    #[error("{} is not {kind}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it should be, with its article.
        kind: &'static str,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

/// What `parse` makes of a JSON file of at most `most` bytes; `None` where there is no such file. `kind` is
/// what it should be, with its article.
///
/// # Errors
/// [`FileError`]; a file that cannot be understood is not taken for one that is missing.
pub fn read_json<T>(
    path: &Path,
    most: u64,
    kind: &'static str,
    parse: impl FnOnce(&str) -> Result<T, serde_json::Error>,
) -> Result<Option<T>, FileError> {
    let path = || path.to_owned();
    let text = match read_file(&path(), most) {
        Ok(Some(text)) => text,
        Ok(None) => return Err(FileError::TooLarge { path: path(), most }),
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(FileError::Read { path: path(), source }),
    };
    parse(&text).map(Some).map_err(|source| FileError::Malformed { path: path(), kind, source })
}

/// The text of a file, or `None` where it is longer than [`LONGEST_FILE`].
pub(crate) fn read_bounded(path: &Path) -> std::io::Result<Option<String>> {
    read_file(path, LONGEST_FILE)
}

/// The text of a regular file that somebody else may have written, or `None` where it has more than `most`
/// bytes.
///
/// # Errors
/// As for [`read_bytes`]; also where it is not UTF-8.
pub fn read_file(path: &Path, most: u64) -> std::io::Result<Option<String>> {
    // The bound may fall within a character, which is no reason to call the file unreadable.
    let Some(bytes) = read_bytes(path, most)? else { return Ok(None) };
    let invalid = |error: std::string::FromUtf8Error| {
        std::io::Error::new(std::io::ErrorKind::InvalidData, error.utf8_error())
    };
    String::from_utf8(bytes).map(Some).map_err(invalid)
}

/// The bytes of a regular file that somebody else may have written, or `None` where it has more than `most`.
/// Never waits for another process: reading blocks the thread on which signals and the deadline are watched.
///
/// # Errors
/// As for any file; also where it is a folder, a pipe or a device, or where reading it would wait.
pub fn read_bytes(path: &Path, most: u64) -> std::io::Result<Option<Vec<u8>>> {
    // Looked at before it is opened, since opening a device can do something, and afterwards, since another
    // file may have taken its place.
    refuse_unless_file(&std::fs::metadata(path)?)?;
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let file = std::fs::File::options().read(true).custom_flags(nonblocking).open(path)?;
    refuse_unless_file(&file.metadata()?)?;
    read_at_most(file, most)
}

fn refuse_unless_file(metadata: &std::fs::Metadata) -> std::io::Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is not a regular file"))
}

fn read_at_most(file: impl Read, most: u64) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    match file.take(most + 1).read_to_end(&mut bytes) {
        Ok(_) => Ok((bytes.len() as u64 <= most).then_some(bytes)),
        // Files of the kernel call themselves regular: reading `/proc/kmsg` waits for its next message.
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Err(std::io::Error::new(
            std::io::ErrorKind::InvalidInput,
            "it has no end: reading it waits for somebody to write",
        )),
        Err(error) => Err(error),
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
    fn nothing_is_waited_for() {
        struct Waits;
        impl Read for Waits {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::WouldBlock.into())
            }
        }
        let error = read_at_most(b"begins".chain(Waits), 100).unwrap_err();
        assert_eq!(error.to_string(), "it has no end: reading it waits for somebody to write");
        // What is enough is not waited beyond.
        assert_eq!(read_at_most(b"begins".chain(Waits), 5).unwrap(), None);
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        for path in [pipe.as_path(), Path::new("/dev/zero"), folder.path()] {
            assert_eq!(read_bytes(path, 100).unwrap_err().to_string(), "it is not a regular file");
        }
        // Files of the kernel that end are as good as any, although their size is 0.
        assert!(read_file(Path::new("/proc/self/status"), LONGEST_FILE).unwrap().unwrap().contains("Name:"));
    }
}
