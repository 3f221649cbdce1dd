//! A folder's content in the one order that Flux artifacts have, and what stays out of them.

use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{Problem, Skipped};

/// Files and folders of one tree.
const MAX_ENTRIES: usize = 200_000;

/// What Flux leaves out by default, at any depth, and two of our own: `.git` also where it is a file
/// (worktrees, submodules), and `.granary`, where the plugins leave results that no artifact may hold.
const IGNORED_NAMES: [&str; 5] = [".git", ".gitignore", ".gitmodules", ".gitattributes", ".granary"];

/// The same by ending: images, films and archives do not belong among manifests.
const IGNORED_ENDINGS: [&str; 8] = [".jpg", ".jpeg", ".gif", ".png", ".wmv", ".flv", ".tar.gz", ".zip"];

/// A file or folder that belongs into the artifact.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// Path below the root, `/` between parts; empty for the root itself.
    pub(super) name: String,
    pub(super) kind: NodeKind,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum NodeKind {
    Folder,
    File { size: u64, executable: bool },
}

/// Everything below a folder: each folder before its entries, entries by the bytes of their names.
pub(super) struct Walk<'root> {
    root: &'root Path,
    /// Not entered: the run's own files, where its scratch folder lies inside the tree.
    scratch: PathBuf,
    /// Names that are still to come, the next one last.
    pending: Vec<PathBuf>,
    count: usize,
    pub(super) skipped: Vec<Skipped>,
}

impl<'root> Walk<'root> {
    /// `root` with all links resolved.
    pub(super) fn new(root: &'root Path, scratch: &Path) -> Result<Self, Problem> {
        let scratch = fs::canonicalize(scratch)
            .map_err(|source| Problem::Scratch { path: scratch.to_owned(), source })?;
        Ok(Walk { root, scratch, pending: vec![PathBuf::new()], count: 0, skipped: Vec::new() })
    }

    /// The next file or folder.
    pub(super) fn next(&mut self) -> Result<Option<Node>, Problem> {
        while let Some(relative) = self.pending.pop() {
            self.count += 1;
            if self.count > MAX_ENTRIES {
                return Err(Problem::TooMany { what: "files and folders", limit: MAX_ENTRIES });
            }
            let path = self.root.join(&relative);
            let metadata =
                fs::symlink_metadata(&path).map_err(|source| Problem::Read { path: path.clone(), source })?;
            let Some(kind) = self.kind(&path, &relative, &metadata)? else { continue };
            let name = relative.into_os_string().into_string().map_err(|name| Problem::EntryName {
                name: name.as_bytes().escape_ascii().to_string(),
                reason: "it is not UTF-8",
            })?;
            return Ok(Some(Node { name, kind }));
        }
        Ok(None)
    }

    fn kind(
        &mut self,
        path: &Path,
        relative: &Path,
        metadata: &Metadata,
    ) -> Result<Option<NodeKind>, Problem> {
        if metadata.is_dir() {
            if path == self.scratch {
                return Ok(None);
            }
            self.pending.extend(children(path, relative)?);
            return Ok(Some(NodeKind::Folder));
        }
        if metadata.is_file() {
            // The owner's bit, as Git does: the rest is the umask of whoever checked the tree out.
            let executable = metadata.permissions().mode() & 0o100 != 0;
            return Ok(Some(NodeKind::File { size: metadata.len(), executable }));
        }
        let kind = if metadata.is_symlink() { "symbolic link" } else { "special file" };
        self.skipped.push(Skipped { path: relative.to_owned(), kind });
        Ok(None)
    }
}

/// The entries of a folder that are not ignored, last one first. Entries of an ignored folder are
/// never looked at: no rule of ours brings one back.
fn children(path: &Path, relative: &Path) -> Result<Vec<PathBuf>, Problem> {
    let unreadable = |source| Problem::Read { path: path.to_owned(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        if names.len() == MAX_ENTRIES {
            return Err(Problem::TooMany { what: "files and folders", limit: MAX_ENTRIES });
        }
        let name = entry.map_err(unreadable)?.file_name();
        if !is_ignored(name.as_bytes()) {
            names.push(name);
        }
    }
    names.sort_unstable_by(|left, right| right.as_bytes().cmp(left.as_bytes()));
    Ok(names.into_iter().map(|name| relative.join(name)).collect())
}

fn is_ignored(name: &[u8]) -> bool {
    IGNORED_NAMES.iter().any(|ignored| ignored.as_bytes() == name)
        || IGNORED_ENDINGS.iter().any(|ending| name.ends_with(ending.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignores() {
        for name in [".git", ".gitignore", ".granary", "a.png", ".zip", "x.tar.gz"] {
            assert!(is_ignored(name.as_bytes()), "{name}");
        }
        for name in [".github", "git", "a.PNG", "a.tar", "a.gz", "png", ".granary.yaml", "zip"] {
            assert!(!is_ignored(name.as_bytes()), "{name}");
        }
    }
}
