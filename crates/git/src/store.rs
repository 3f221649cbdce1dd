//! The object store of a workspace: where it is, and reading one object out of it, checked.
//!
//! # Design
//!
//! libgit2's `Repository::open` reads configuration, refuses unknown extensions and foreign owners (a CI workspace
//! is seldom owned by the plugin's UID; switching that check off is `unsafe` and global), and honours `GIT_*`.
//! None of that helps to read an object whose hash is known. So the `objects` folder is found here, by rules that
//! can be read on one page, and handed to libgit2 as a bare object database.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use git2::{ErrorCode, ObjectType, Odb, Oid};
use thiserror::Error;

/// Largest commit or tag object that is read, in bytes. Real ones stay below a few KiB; the bound is for an object
/// whose header promises gigabytes.
pub const MAX_OBJECT_BYTES: usize = 4 * 1024 * 1024;

/// Longest `.git`, `commondir` or `alternates` file that is read, in bytes: each holds paths.
const MAX_POINTER_BYTES: u64 = 64 * 1024;

/// Why the object store of a workspace cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// No `.git` here, or one without an `objects` folder.
    #[error("no Git repository in {}", workspace.display())]
    NoRepository {
        /// The folder that was searched; parents are not.
        workspace: PathBuf,
    },
    /// `.git`, `commondir` or `objects` leads out of the workspace, to something that this pipeline does not own.
    #[error("refusing to read {}: {} leads out of the workspace", target.display(), pointer.display())]
    OutsideWorkspace {
        /// The file, folder or link that leads there.
        pointer: PathBuf,
        /// Where it leads, links resolved.
        target: PathBuf,
    },
    /// The repository borrows objects from another one (`git clone --shared` or `--reference`).
    #[error("refusing to read objects borrowed through {}", file.display())]
    Alternates {
        /// The `objects/info/alternates` file.
        file: PathBuf,
    },
    /// A `.git` file that is not `gitdir: <path>`, or a pointer file of absurd length.
    #[error("{} is not a Git pointer file", file.display())]
    BadPointer {
        /// The file.
        file: PathBuf,
    },
    /// A path that libgit2 cannot be given.
    #[error("path {} is not UTF-8", path.display())]
    PathNotUtf8 {
        /// The path.
        path: PathBuf,
    },
    /// A file or folder of the repository could not be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// libgit2 would not open the folder.
    #[error("cannot open the object store {}", path.display())]
    Open {
        /// The `objects` folder.
        path: PathBuf,
        /// What libgit2 said.
        #[source]
        source: git2::Error,
    },
}

/// Why one object could not be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ObjectError {
    /// Not in the store. In a shallow or partial clone that says nothing about the forge's copy.
    #[error("object {id} is not in the repository of the workspace")]
    Missing {
        /// The id that was asked for, 40 hex digits.
        id: String,
    },
    /// The bytes stored under the id are not the bytes that the id names: damage or forgery.
    #[error("object {id} is corrupt: its content does not have that hash")]
    HashMismatch {
        /// The id that was asked for, 40 hex digits.
        id: String,
    },
    /// The object is there and cannot be inflated or decoded.
    #[error("object {id} cannot be read")]
    Unreadable {
        /// The id that was asked for, 40 hex digits.
        id: String,
        /// What libgit2 said.
        #[source]
        source: git2::Error,
    },
    /// Another kind of object than what names it says.
    #[error("object {id} is a {found}, not a {wanted}")]
    OtherKind {
        /// The id that was asked for, 40 hex digits.
        id: String,
        /// What it is.
        found: &'static str,
        /// What it should be.
        wanted: &'static str,
    },
    /// Above [`MAX_OBJECT_BYTES`].
    #[error("object {id} has {size} bytes, more than the {MAX_OBJECT_BYTES} that a commit or tag may have")]
    TooLarge {
        /// The id that was asked for, 40 hex digits.
        id: String,
        /// Size that the object's header gives, in bytes.
        size: usize,
    },
}

/// One object as the store holds it.
pub(crate) enum Object {
    Commit,
    /// The tag's text.
    Tag(Vec<u8>),
    /// A tree or blob: by its header alone, not read and not verified, good only for refusing it.
    Other(&'static str),
}

/// The objects of one workspace.
pub(crate) struct ObjectStore {
    database: Odb<'static>,
}

impl ObjectStore {
    /// Opens the object store of the repository whose `.git` lies directly in `workspace`.
    pub(crate) fn open(workspace: &Path) -> Result<Self, StoreError> {
        let folder = objects_folder(workspace)?;
        refuse_alternates(&folder)?;
        let path = folder.to_str().ok_or_else(|| StoreError::PathNotUtf8 { path: folder.clone() })?;
        let open = || -> Result<Odb<'static>, git2::Error> {
            let database = Odb::new()?;
            database.add_disk_alternate(path)?;
            Ok(database)
        };
        match open() {
            Ok(database) => Ok(Self { database }),
            Err(source) => Err(StoreError::Open { path: folder, source }),
        }
    }

    /// Reads the object `id`. Commits and tags are returned only after their bytes were hashed to `id`.
    pub(crate) fn read(&self, id: Oid) -> Result<Object, ObjectError> {
        let (size, kind) = self.database.read_header(id).map_err(|source| refine(id, source))?;
        match kind {
            ObjectType::Commit | ObjectType::Tag => {}
            ObjectType::Tree => return Ok(Object::Other("tree")),
            ObjectType::Blob => return Ok(Object::Other("blob")),
            ObjectType::Any => return Ok(Object::Other("unknown object")),
        }
        if size > MAX_OBJECT_BYTES {
            return Err(ObjectError::TooLarge { id: id.to_string(), size });
        }
        let object = self.database.read(id).map_err(|source| refine(id, source))?;
        // libgit2 has checked this already, unless somebody in this process switched the check off: it is global.
        let hash = Oid::hash_object(object.kind(), object.data()).map_err(|source| refine(id, source))?;
        if hash != id {
            return Err(ObjectError::HashMismatch { id: id.to_string() });
        }
        // The kind is part of what was hashed; the header above was not.
        match object.kind() {
            ObjectType::Commit => Ok(Object::Commit),
            ObjectType::Tag => Ok(Object::Tag(object.data().to_vec())),
            other => Ok(Object::Other(other.str())),
        }
    }
}

impl ObjectStore {
    /// The bytes of the object `id`, which must be of this kind; hash-checked as in [`Self::read`].
    pub(crate) fn content(&self, id: Oid, kind: ObjectType) -> Result<Vec<u8>, ObjectError> {
        let (size, found) = self.database.read_header(id).map_err(|source| refine(id, source))?;
        if size > MAX_OBJECT_BYTES {
            return Err(ObjectError::TooLarge { id: id.to_string(), size });
        }
        if found != kind {
            return Err(ObjectError::OtherKind {
                id: id.to_string(),
                found: found.str(),
                wanted: kind.str(),
            });
        }
        let object = self.database.read(id).map_err(|source| refine(id, source))?;
        match Oid::hash_object(kind, object.data()) {
            Ok(hash) if hash == id => Ok(object.data().to_vec()),
            _ => Err(ObjectError::HashMismatch { id: id.to_string() }),
        }
    }
}

/// Names what libgit2 met while it looked for `id`.
fn refine(id: Oid, source: git2::Error) -> ObjectError {
    let id = id.to_string();
    match source.code() {
        ErrorCode::NotFound => ObjectError::Missing { id },
        ErrorCode::HashsumMismatch => ObjectError::HashMismatch { id },
        _ => ObjectError::Unreadable { id, source },
    }
}

/// Finds the `objects` folder: `.git/objects`, or what a `.git` file (submodule, linked worktree) points to.
fn objects_folder(workspace: &Path) -> Result<PathBuf, StoreError> {
    let no_repository = || StoreError::NoRepository { workspace: workspace.to_owned() };
    let root = resolve(workspace)?.ok_or_else(no_repository)?;
    let dot_git = root.join(".git");
    let mut git_folder = inside(&root, &dot_git, &dot_git)?.ok_or_else(no_repository)?;
    if git_folder.is_file() {
        let text = read_pointer(&git_folder)?.ok_or_else(no_repository)?;
        let Some(target) = text.strip_prefix("gitdir: ") else {
            return Err(StoreError::BadPointer { file: dot_git });
        };
        git_folder = inside(&root, &dot_git, &root.join(target.trim_end()))?.ok_or_else(no_repository)?;
    }
    // A linked worktree keeps its own HEAD, but the objects of the repository it was made from.
    let common_file = git_folder.join("commondir");
    let common_folder = match read_pointer(&common_file)? {
        Some(text) => {
            inside(&root, &common_file, &git_folder.join(text.trim_end()))?.ok_or_else(no_repository)?
        }
        None => git_folder,
    };
    let objects = common_folder.join("objects");
    match inside(&root, &objects, &objects)? {
        Some(folder) if folder.is_dir() => Ok(folder),
        _ => Err(no_repository()),
    }
}

/// Refuses a store that borrows. libgit2 would follow the list to any place that the file names, and offers no
/// switch; in CI the list comes from `--reference` clones, whose store lies outside the workspace in any case.
fn refuse_alternates(objects: &Path) -> Result<(), StoreError> {
    let file = objects.join("info/alternates");
    let Some(text) = read_pointer(&file)? else { return Ok(()) };
    if text.lines().all(|line| line.trim().is_empty() || line.starts_with('#')) {
        return Ok(());
    }
    Err(StoreError::Alternates { file })
}

/// Resolves `target`, to which `pointer` leads; `None` where it does not exist.
fn inside(root: &Path, pointer: &Path, target: &Path) -> Result<Option<PathBuf>, StoreError> {
    match resolve(target)? {
        Some(target) if !target.starts_with(root) => {
            Err(StoreError::OutsideWorkspace { pointer: pointer.to_owned(), target })
        }
        found => Ok(found),
    }
}

/// Resolves every link in `path`; `None` where nothing is there.
fn resolve(path: &Path) -> Result<Option<PathBuf>, StoreError> {
    absent_is_none(path, fs::canonicalize(path))
}

/// Reads a file that holds paths; `None` where nothing is there.
fn read_pointer(path: &Path) -> Result<Option<String>, StoreError> {
    // A pipe or device in its place would block or never end.
    match absent_is_none(path, fs::metadata(path))? {
        None => return Ok(None),
        Some(metadata) if !metadata.is_file() => {
            return Err(StoreError::BadPointer { file: path.to_owned() });
        }
        Some(_) => {}
    }
    let Some(file) = absent_is_none(path, fs::File::open(path))? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.take(MAX_POINTER_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| StoreError::Io { path: path.to_owned(), source })?;
    match String::from_utf8(bytes) {
        Ok(text) if text.len() as u64 <= MAX_POINTER_BYTES => Ok(Some(text)),
        _ => Err(StoreError::BadPointer { file: path.to_owned() }),
    }
}

fn absent_is_none<T>(path: &Path, result: io::Result<T>) -> Result<Option<T>, StoreError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(source) => Err(StoreError::Io { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// libgit2's own check is a process-wide switch; ours must not depend on it.
    #[test]
    fn a_forgery_is_seen_with_the_check_of_libgit2_off() {
        git2::opts::strict_hash_verification(false);
        let folder = tempfile::TempDir::new().unwrap();
        let repository = git2::Repository::init(folder.path()).unwrap();
        let database = repository.odb().unwrap();
        let write = |text: &[u8]| {
            let id = database.write(ObjectType::Tag, text).unwrap();
            let hex = id.to_string();
            (id, folder.path().join(".git/objects").join(&hex[..2]).join(&hex[2..]))
        };
        let (id, path) = write(b"object 0123456789abcdef0123456789abcdef01234567\ntype commit\n");
        let (_, forged) = write(b"object 9999999999abcdef0123456789abcdef01234567\ntype commit\n");
        assert!(matches!(ObjectStore::open(folder.path()).unwrap().read(id), Ok(Object::Tag(_))));

        fs::remove_file(&path).unwrap();
        fs::copy(&forged, &path).unwrap();
        let result = ObjectStore::open(folder.path()).unwrap().read(id);
        assert!(matches!(result, Err(ObjectError::HashMismatch { id: named }) if named == id.to_string()));
    }

    #[test]
    fn an_absurd_size_is_refused_before_reading() {
        let folder = tempfile::TempDir::new().unwrap();
        let repository = git2::Repository::init(folder.path()).unwrap();
        let text = vec![b'x'; MAX_OBJECT_BYTES + 1];
        let id = repository.odb().unwrap().write(ObjectType::Tag, &text).unwrap();
        let result = ObjectStore::open(folder.path()).unwrap().read(id);
        assert!(matches!(result, Err(ObjectError::TooLarge { size, .. }) if size == MAX_OBJECT_BYTES + 1));
    }
}
