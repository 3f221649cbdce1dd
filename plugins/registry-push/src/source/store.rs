//! Files by name, wherever they are kept: a layout's folder, or an archive that is read in place.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use granary_registry::BlobSource;

use super::Problem;

/// Where the bytes of one file are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Stretch {
    /// The file on disk that holds them.
    pub(super) path: PathBuf,
    /// Where they begin in it.
    pub(super) offset: u64,
    /// How many there are.
    pub(super) size: u64,
}

impl Stretch {
    /// A reader that ends where the stretch does.
    pub(super) fn open(&self) -> Result<io::Take<File>, Problem> {
        let read = |source| Problem::Read { path: self.path.clone(), source };
        let mut file = File::open(&self.path).map_err(read)?;
        file.seek(SeekFrom::Start(self.offset)).map_err(read)?;
        Ok(file.take(self.size))
    }

    /// All bytes, of a file that is known to be small.
    pub(super) fn read(&self, entry: &str, limit: u64) -> Result<Vec<u8>, Problem> {
        if self.size > limit {
            return Err(Problem::TooLarge { what: format!("`{entry}`"), limit });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(self.size).unwrap_or_default());
        self.open()?
            .read_to_end(&mut bytes)
            .map_err(|source| Problem::Read { path: self.path.clone(), source })?;
        match bytes.len() as u64 == self.size {
            true => Ok(bytes),
            false => Err(Problem::Changed { path: self.path.clone() }),
        }
    }

    /// The same for the upload.
    pub(super) fn into_blob(self) -> BlobSource {
        BlobSource::File { path: self.path, offset: self.offset }
    }
}

/// Something that holds files by name.
pub(super) trait Store {
    /// Finds a regular file.
    ///
    /// # Errors
    /// [`Problem::Missing`] if there is none; others if it is something that must not be read.
    fn find(&self, entry: &str) -> Result<Stretch, Problem>;
}

/// A folder.
pub(super) struct Folder {
    /// As given, for messages.
    path: PathBuf,
    /// With all links resolved, to see what leads out of it.
    resolved: PathBuf,
}

impl Folder {
    /// # Errors
    /// If there is no such folder.
    pub(super) fn open(path: &Path) -> Result<Self, Problem> {
        let resolved = fs::canonicalize(path).map_err(|source| absent_or_unreadable(path, source))?;
        match resolved.is_dir() {
            true => Ok(Folder { path: path.to_owned(), resolved }),
            false => Err(Problem::NotA { path: path.to_owned(), expected: "folder" }),
        }
    }
}

impl Store for Folder {
    /// Callers pass fixed names and digests only, so that no name holds `..`; a link is followed as
    /// long as it stays inside.
    fn find(&self, entry: &str) -> Result<Stretch, Problem> {
        let read = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => Problem::Missing { entry: entry.to_owned() },
            _ => Problem::Read { path: self.path.join(entry), source },
        };
        let path = fs::canonicalize(self.resolved.join(entry)).map_err(read)?;
        if !path.starts_with(&self.resolved) {
            return Err(Problem::Outside { entry: entry.to_owned(), target: path });
        }
        let metadata = fs::metadata(&path).map_err(read)?;
        match metadata.is_file() {
            true => Ok(Stretch { path, offset: 0, size: metadata.len() }),
            false => Err(Problem::NotAFile { entry: entry.to_owned() }),
        }
    }
}

/// For the path of a setting: not there is the setting's fault, everything else the system's.
pub(super) fn absent_or_unreadable(path: &Path, source: io::Error) -> Problem {
    match source.kind() {
        io::ErrorKind::NotFound => Problem::Absent { path: path.to_owned() },
        _ => Problem::Read { path: path.to_owned(), source },
    }
}
