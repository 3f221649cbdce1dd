//! Files, read by the ids of commit, tree and blob, and hashed.
//!
//! # Design
//! `contents?ref=` would be one request instead of two or three. But its `ref` is a name first and an id
//! second: Gitea 1.26.1 answers from a branch that somebody named like the commit. Trees and blobs are taken
//! by id, and what a tree does not list does not exist, which no 404 could prove.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use thiserror::Error;

use crate::client::{Ask, Forge};
use crate::error::{ForgeError, Problem};
use crate::id::ObjectId;
use crate::name::ForgeKind;
use crate::request::MAX_PAGES;

/// Largest file that is read, in bytes. Policies and requests have a few thousand.
pub const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Folders in a path at most; each costs a request.
const MAX_DEPTH: usize = 16;

/// git-lfs calls nothing larger a pointer.
const LARGEST_LFS_POINTER: usize = 1024;

/// Where to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// At the newest commit of this branch, which must exist.
    Branch(String),
    /// At this commit.
    Commit(ObjectId),
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its content, which hashes to `blob`.
    pub bytes: Vec<u8>,
    /// The id of the content.
    pub blob: ObjectId,
    /// The commit that it was read at.
    pub commit: ObjectId,
}

/// What is at a path instead of a file that anybody could go by.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum NotContent {
    /// Its content is another path.
    #[error("refusing to follow it, it is a symbolic link: put the file itself there")]
    SymbolicLink,
    /// Its content is another repository.
    #[error("it is a submodule, not a file")]
    Submodule,
    /// A tree.
    #[error("it is a folder, not a file")]
    Folder,
    /// Its content is elsewhere.
    #[error("it is an LFS pointer: the content is not in the repository; take it out of LFS")]
    LfsPointer,
    /// More than anybody reads.
    #[error("it has {size} bytes, more than the {MAX_FILE_BYTES} that are read")]
    TooLarge {
        /// Its size in bytes.
        size: u64,
    },
}

#[derive(Deserialize)]
struct TreeAnswer {
    sha: ObjectId,
    // Gitea says `null` of an empty tree.
    tree: Option<Vec<Entry>>,
    truncated: bool,
}

#[derive(Deserialize)]
struct Entry {
    path: String,
    mode: String,
    sha: ObjectId,
    #[serde(default)]
    size: Option<u64>,
}

#[derive(Deserialize)]
struct BlobAnswer {
    sha: ObjectId,
    encoding: String,
    content: String,
}

impl Forge {
    /// A file of the repository; `None` where the commit has none at this path, or its folder.
    ///
    /// # Errors
    /// If branch or commit do not exist, if it is not a plain file of at most [`MAX_FILE_BYTES`], or if the
    /// forge does not say, for whatever reason.
    pub async fn file(&self, path: &str, at: &At) -> Result<Option<File>, ForgeError> {
        let parts: Vec<&str> = path.split('/').collect();
        let usable = |part: &&str| !part.is_empty() && *part != "." && *part != ".." && !part.contains('\0');
        if !parts.iter().all(usable) || parts.len() > MAX_DEPTH {
            return Err(ForgeError::Argument { what: "path", text: path.to_owned() });
        }
        let ask = self.ask(match at {
            At::Branch(name) => format!("reading {path} on branch {name}"),
            At::Commit(id) => format!("reading {path} at commit {id}"),
        });
        let vanished = |what: String| ask.question.problem(Problem::Vanished { what });
        let commit = match at {
            At::Branch(name) => {
                self.head(&ask, name).await?.ok_or_else(|| vanished(format!("branch {name}")))?
            }
            At::Commit(id) => id.clone(),
        };
        let mut tree = match (self.kind(), at) {
            // Gitea gives the commit's own id as its tree's, and takes it as such.
            (ForgeKind::Gitea, At::Branch(_)) => commit.clone(),
            (kind, _) => {
                let found = self.look_up(&ask, commit.as_str()).await?.filter(|found| found.sha == commit);
                let found = found.ok_or_else(|| vanished(format!("commit {commit}")))?;
                if kind == ForgeKind::Gitea { commit.clone() } else { found.tree() }
            }
        };
        for (depth, part) in parts.iter().enumerate() {
            let last = depth + 1 == parts.len();
            let Some(entry) = self.entry(&ask, &tree, part).await? else { return Ok(None) };
            match (entry.mode.as_str(), last) {
                ("040000" | "40000", false) => tree = entry.sha,
                // A path below what is no folder.
                (_, false) => return self.refused(&ask, &entry).map_or(Ok(None), Err),
                (_, true) => {
                    if let Some(error) = self.refused(&ask, &entry) {
                        return Err(error);
                    }
                    let bytes = self.blob(&ask, &entry.sha).await?;
                    return Ok(Some(File { bytes, blob: entry.sha, commit }));
                }
            }
        }
        Ok(None)
    }

    /// Why an entry is not to be read as a file.
    fn refused(&self, ask: &Ask, entry: &Entry) -> Option<ForgeError> {
        let size = entry.size.unwrap_or(0);
        let problem = match entry.mode.as_str() {
            "100644" | "100755" | "100664" if size > MAX_FILE_BYTES => NotContent::TooLarge { size },
            "100644" | "100755" | "100664" => return None,
            "120000" => NotContent::SymbolicLink,
            "160000" => NotContent::Submodule,
            "040000" | "40000" => NotContent::Folder,
            _ => {
                return Some(
                    ask.question.problem(Problem::Json { reason: "a mode that Git has not".to_owned() }),
                );
            }
        };
        Some(ForgeError::Content { question: Box::new(ask.question.clone()), problem })
    }

    /// The entry of this name; `None` where the whole list has none.
    async fn entry(&self, ask: &Ask, tree: &ObjectId, name: &str) -> Result<Option<Entry>, ForgeError> {
        for page in 1..=MAX_PAGES {
            let page = page.to_string();
            let query = match self.kind() {
                ForgeKind::Gitea => &[("page", page.as_str())][..],
                ForgeKind::GitHub => &[],
            };
            let url = self.below(&["git", "trees", tree.as_str()], query);
            let answer: TreeAnswer = self
                .json(ask, url)
                .await?
                .ok_or_else(|| ask.question.problem(Problem::Vanished { what: format!("tree {tree}") }))?;
            if answer.sha != *tree {
                return Err(ask.question.another(format!("tree {tree}"), format!("tree {}", answer.sha)));
            }
            let entries = answer.tree.unwrap_or_default();
            let ended = entries.is_empty() || !answer.truncated;
            if let Some(entry) = entries.into_iter().find(|entry| entry.path == name) {
                return Ok(Some(entry));
            }
            match (ended, self.kind()) {
                (true, _) if !answer.truncated => return Ok(None),
                (false, ForgeKind::Gitea) => {}
                _ => return Err(ask.question.problem(Problem::Truncated)),
            }
        }
        Err(ask.question.problem(Problem::Endless { bound: MAX_PAGES }))
    }

    async fn blob(&self, ask: &Ask, id: &ObjectId) -> Result<Vec<u8>, ForgeError> {
        let url = self.below(&["git", "blobs", id.as_str()], &[]);
        let answer: BlobAnswer = self
            .json(ask, url)
            .await?
            .ok_or_else(|| ask.question.problem(Problem::Vanished { what: format!("blob {id}") }))?;
        if answer.sha != *id {
            return Err(ask.question.another(format!("blob {id}"), format!("blob {}", answer.sha)));
        }
        let unreadable = |reason: &str| ask.question.problem(Problem::Json { reason: reason.to_owned() });
        if answer.encoding != "base64" {
            return Err(unreadable("content that is not base64"));
        }
        // GitHub breaks the lines.
        let text: String = answer.content.split_ascii_whitespace().collect();
        let bytes = STANDARD.decode(text).map_err(|_| unreadable("content that is not base64"))?;
        let found = ObjectId::of_blob(&bytes);
        if found != *id {
            let (wanted, found) = (id.to_string(), found.to_string());
            return Err(ask.question.problem(Problem::Hash { wanted, found }));
        }
        let size = bytes.len() as u64;
        let problem = match () {
            () if size > MAX_FILE_BYTES => NotContent::TooLarge { size },
            () if is_lfs_pointer(&bytes) => NotContent::LfsPointer,
            () => return Ok(bytes),
        };
        Err(ForgeError::Content { question: Box::new(ask.question.clone()), problem })
    }
}

fn is_lfs_pointer(bytes: &[u8]) -> bool {
    // The second is its name from before it was called LFS.
    let begins =
        [&b"version https://git-lfs.github.com/spec/"[..], b"version https://hawser.github.com/spec/"];
    bytes.len() <= LARGEST_LFS_POINTER && begins.iter().any(|begin| bytes.starts_with(begin))
}
