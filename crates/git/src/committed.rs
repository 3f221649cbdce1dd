//! Whether a file is still what the commit says it is.
//!
//! A test suite runs foreign code in the same workspace, and could write itself a trusted key. So a file
//! that holds rules counts only where its bytes hash to the blob that the commit names. The index and
//! the working tree's own bookkeeping are not asked: an earlier step could have changed those too.

use std::path::{Component, Path};

use git2::{ObjectType, Oid};
use thiserror::Error;

use crate::store::{ObjectError, ObjectStore, StoreError};

/// Why a file does not count as part of the commit.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CommittedError {
    /// Not the full id of a commit.
    #[error("{commit:?} is not a full commit id")]
    BadId {
        /// What was given.
        commit: String,
    },
    /// Not a path that a tree could have.
    #[error("{path} is not a path inside the repository")]
    BadPath {
        /// The path as given.
        path: String,
    },
    /// The commit has no such file.
    #[error("commit {commit} has no file {path}")]
    NotThere {
        /// The commit.
        commit: String,
        /// Path from the top of the repository.
        path: String,
    },
    /// The file has other bytes than the commit's.
    #[error("{path} is not what commit {commit} has: an earlier step has changed it")]
    Changed {
        /// The commit.
        commit: String,
        /// Path from the top of the repository.
        path: String,
    },
    /// A commit or tree whose text has no right shape.
    #[error("object {id} is malformed")]
    Malformed {
        /// Its id.
        id: String,
    },
    /// The workspace has no object store that may be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An object on the way could not be read.
    #[error(transparent)]
    Object(#[from] ObjectError),
}

/// Checks that `bytes` are the file `path`, counted from the top of the repository, of `commit`. Symbolic
/// links and submodules do not count.
///
/// # Errors
///
/// [`CommittedError`]; every one of them means that the file must not be believed.
pub fn check_committed(
    workspace: &Path,
    commit: &str,
    path: &Path,
    bytes: &[u8],
) -> Result<(), CommittedError> {
    let shown = || path.display().to_string();
    let id = Oid::from_str(commit).ok().filter(|_| commit.len() == 40);
    let id = id.ok_or_else(|| CommittedError::BadId { commit: commit.to_owned() })?;
    let store = ObjectStore::open(workspace)?;
    let text = store.content(id, ObjectType::Commit)?;
    let mut current = commit_tree(&text).ok_or_else(|| CommittedError::Malformed { id: id.to_string() })?;
    let mut parts = path.components().peekable();
    if parts.peek().is_none() {
        return Err(CommittedError::BadPath { path: shown() });
    }
    while let Some(part) = parts.next() {
        let Component::Normal(name) = part else { return Err(CommittedError::BadPath { path: shown() }) };
        let tree = store.content(current, ObjectType::Tree)?;
        let malformed = || CommittedError::Malformed { id: current.to_string() };
        let entry = find(&tree, name.as_encoded_bytes()).map_err(|Malformed| malformed())?;
        let wanted = if parts.peek().is_some() { Kind::Folder } else { Kind::File };
        match entry {
            Some((kind, id)) if kind == wanted => current = id,
            _ => return Err(CommittedError::NotThere { commit: commit.to_owned(), path: shown() }),
        }
    }
    match Oid::hash_object(ObjectType::Blob, bytes) {
        Ok(hash) if hash == current => Ok(()),
        _ => Err(CommittedError::Changed { commit: commit.to_owned(), path: shown() }),
    }
}

/// The tree of a commit: its first line is `tree <id>` (gitformat-commit).
fn commit_tree(text: &[u8]) -> Option<Oid> {
    let line = text.split(|&byte| byte == b'\n').next()?;
    let id = line.strip_prefix(b"tree ").filter(|id| id.len() == 40)?;
    Oid::from_str(std::str::from_utf8(id).ok()?).ok()
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Folder,
    File,
    /// Symbolic links and submodules.
    Other,
}

#[derive(Debug, PartialEq, Eq)]
struct Malformed;

/// The entry of a tree with this name: entries are `<octal mode> <name>\0<20 bytes of id>`.
fn find(mut tree: &[u8], wanted: &[u8]) -> Result<Option<(Kind, Oid)>, Malformed> {
    while !tree.is_empty() {
        let zero = tree.iter().position(|&byte| byte == 0).ok_or(Malformed)?;
        let (head, rest) = (&tree[..zero], &tree[zero + 1..]);
        let space = head.iter().position(|&byte| byte == b' ').ok_or(Malformed)?;
        let (mode, name) = (&head[..space], &head[space + 1..]);
        let (id, rest) = rest.split_at_checked(20).ok_or(Malformed)?;
        if name == wanted {
            let kind = match mode {
                b"40000" => Kind::Folder,
                b"100644" | b"100755" | b"100664" => Kind::File,
                _ => Kind::Other,
            };
            return Ok(Some((kind, Oid::from_bytes(id).map_err(|_| Malformed)?)));
        }
        tree = rest;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_are_read_entry_by_entry() {
        let mut tree = Vec::new();
        for (mode, name, fill) in [("100644", "a", 1u8), ("40000", "b", 2), ("120000", "link", 3)] {
            tree.extend([mode.as_bytes(), b" ", name.as_bytes(), b"\0", &[fill; 20]].concat());
        }
        assert_eq!(find(&tree, b"a"), Ok(Some((Kind::File, Oid::from_bytes(&[1; 20]).unwrap()))));
        assert_eq!(find(&tree, b"b"), Ok(Some((Kind::Folder, Oid::from_bytes(&[2; 20]).unwrap()))));
        assert_eq!(find(&tree, b"link"), Ok(Some((Kind::Other, Oid::from_bytes(&[3; 20]).unwrap()))));
        assert_eq!(find(&tree, b"c"), Ok(None));
        assert_eq!(find(&tree[..tree.len() - 1], b"c"), Err(Malformed));
        assert_eq!(find(b"100644", b"a"), Err(Malformed));
    }
}
