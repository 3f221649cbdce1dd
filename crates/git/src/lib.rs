//! Reads objects of the Git repository in a CI workspace, by id and hash-checked.
//!
//! One question it answers is the one a tag event asks: on Gitea, `CI_COMMIT_SHA` of an annotated or
//! signed tag names the *tag object*, and an image tagged after that id would be found by nobody. [`peel`] follows
//! the tag to its commit. The other is whether a file still is what the commit says ([`check_committed`]): rules that
//! an earlier step could have rewritten are no rules.
//!
//! The workspace is not trusted: earlier steps of the same pipeline could write to `.git`. Therefore this crate
//! refuses everything that is a pointer rather than content. It never reads `HEAD`, refs, replace refs, grafts or
//! any configuration (the repository's, the user's or the system's), only objects, and an object counts only where
//! its bytes hash to the id that was asked for.
//!
//! I/O crate: knows nothing of plugins, `CI_*` names or registries; plugins may import it.

mod committed;
mod peel;
mod store;

pub use committed::{CommittedError, check_committed};
pub use peel::{MAX_NESTED_TAGS, PeelError, Peeled, peel};
pub use store::{MAX_OBJECT_BYTES, ObjectError, StoreError};
