//! From the object that a tag event names to the commit behind it.
//!
//! Refuses tags of trees and blobs, chains of tags without end, and ids that are not full SHA-1 names: a prefix
//! could be made to match another object.

use std::path::Path;

use git2::Oid;
use thiserror::Error;

use crate::store::{Object, ObjectError, ObjectStore, StoreError};

/// Most tag objects that are followed. A tag of a tag comes from re-tagging a signed tag; more than two were never
/// meant, and a bound makes the walk end whatever the store holds.
pub const MAX_NESTED_TAGS: usize = 8;

/// A commit, and how it was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peeled {
    /// Full id of the commit, 40 lower-case hex digits.
    pub commit: String,
    /// Ids of the tag objects on the way, outermost first; empty where the object was a commit already.
    pub through_tags: Vec<String>,
}

/// Why no commit was found.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PeelError {
    /// Neither 40 nor 64 hex digits.
    #[error("{object:?} is not a full object id of 40 hex digits")]
    BadId {
        /// What was given.
        object: String,
    },
    /// 64 hex digits: the repository names its objects by SHA-256.
    #[error("{object} is a SHA-256 object id: repositories of that format are not supported")]
    Sha256Repository {
        /// What was given.
        object: String,
    },
    /// The object, or what its tags lead to, is a tree or a blob: nothing to build from.
    #[error("object {id} is a {kind}, not a commit or a tag of one")]
    NotACommit {
        /// Id of the tree or blob.
        id: String,
        /// `tree` or `blob`.
        kind: &'static str,
        /// Ids of the tags that lead there, outermost first.
        through_tags: Vec<String>,
    },
    /// A tag object whose text has no target.
    #[error("tag object {id} is malformed: {reason}")]
    MalformedTag {
        /// Id of the tag object.
        id: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// More than [`MAX_NESTED_TAGS`] tags on the way.
    #[error("{object} leads through more than {MAX_NESTED_TAGS} tags")]
    TooManyTags {
        /// The id at which the walk began.
        object: String,
    },
    /// The workspace has no object store that may be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An object on the way could not be read.
    #[error(transparent)]
    Object(#[from] ObjectError),
}

/// Follows `object` (`CI_COMMIT_SHA`: a commit, or a tag of one) to its commit, in the repository of `workspace`.
///
/// Every object on the way, the commit included, is read by id and hash-checked; refs and `HEAD` play no part, so
/// that an earlier step that moved them changes nothing.
///
/// # Errors
///
/// [`PeelError`]. [`StoreError::NoRepository`] and [`ObjectError::Missing`] say that this workspace does not know
/// (ask the forge); all others that it must not be believed.
pub fn peel(workspace: &Path, object: &str) -> Result<Peeled, PeelError> {
    let mut id = parse_id(object)?;
    let store = ObjectStore::open(workspace)?;
    let mut through_tags = Vec::new();
    loop {
        match store.read(id)? {
            Object::Commit => return Ok(Peeled { commit: id.to_string(), through_tags }),
            Object::Other(kind) => {
                return Err(PeelError::NotACommit { id: id.to_string(), kind, through_tags });
            }
            Object::Tag(_) if through_tags.len() == MAX_NESTED_TAGS => {
                return Err(PeelError::TooManyTags { object: object.to_owned() });
            }
            Object::Tag(text) => {
                let target = tag_target(&text)
                    .map_err(|reason| PeelError::MalformedTag { id: id.to_string(), reason })?;
                through_tags.push(id.to_string());
                // The tag says what it names: a tree that a partial clone has left out needs no reading.
                if let Some(kind) = target.not_a_commit {
                    return Err(PeelError::NotACommit { id: target.id.to_string(), kind, through_tags });
                }
                id = target.id;
            }
        }
    }
}

fn parse_id(object: &str) -> Result<Oid, PeelError> {
    let bad_id = || PeelError::BadId { object: object.chars().take(80).collect() };
    if !object.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(bad_id());
    }
    match object.len() {
        40 => Oid::from_str(object).map_err(|_| bad_id()),
        64 => Err(PeelError::Sha256Repository { object: object.to_owned() }),
        _ => Err(bad_id()),
    }
}

/// What a tag object names.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    id: Oid,
    not_a_commit: Option<&'static str>,
}

/// Reads the first two lines of a tag object, `object <id>` and `type <kind>` (git-mktag(1) fixes their order).
fn tag_target(text: &[u8]) -> Result<Target, &'static str> {
    let mut lines = text.split(|&byte| byte == b'\n');
    let id = lines
        .next()
        .and_then(|line| line.strip_prefix(b"object "))
        .and_then(|hex| str::from_utf8(hex).ok())
        .and_then(|hex| parse_id(hex).ok())
        .ok_or("its first line is not \"object <id>\"")?;
    let not_a_commit = match lines.next() {
        Some(b"type commit" | b"type tag") => None,
        Some(b"type tree") => Some("tree"),
        Some(b"type blob") => Some("blob"),
        _ => return Err("its second line is not \"type <kind>\""),
    };
    Ok(Target { id, not_a_commit })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn tag_text() {
        let id = Oid::from_str(ID).unwrap();
        let table: [(String, Result<Target, &str>); 7] = [
            (format!("object {ID}\ntype commit\ntag v1\n"), Ok(Target { id, not_a_commit: None })),
            (format!("object {ID}\ntype tag\ntag v1\n"), Ok(Target { id, not_a_commit: None })),
            (format!("object {ID}\ntype tree\ntag v1\n"), Ok(Target { id, not_a_commit: Some("tree") })),
            (format!("object {ID}\ntype blob"), Ok(Target { id, not_a_commit: Some("blob") })),
            (format!("object {ID}\ntype commits\n"), Err("its second line is not \"type <kind>\"")),
            (format!("type commit\nobject {ID}\n"), Err("its first line is not \"object <id>\"")),
            (format!("object {}\ntype commit\n", &ID[..39]), Err("its first line is not \"object <id>\"")),
        ];
        for (text, expected) in table {
            assert_eq!(tag_target(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn only_full_ids() {
        for object in ["", "HEAD", "refs/tags/v1", &ID[..7], &ID[..39], &format!("{ID}0"), " "] {
            assert!(matches!(parse_id(object), Err(PeelError::BadId { .. })), "{object}");
        }
        assert_eq!(parse_id(&ID.to_uppercase()).unwrap().to_string(), ID);
        let sha256 = format!("{ID}{}", &ID[..24]);
        assert!(matches!(parse_id(&sha256), Err(PeelError::Sha256Repository { .. })));
    }
}
