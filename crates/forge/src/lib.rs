//! Questions to the API of a forge: Gitea and Forgejo (one API), GitHub and GitHub Enterprise Server.
//!
//! What decides over a promotion is asked here and not in the workspace: which branch is the default one and
//! whether it is protected, what a file says at a commit, whether a commit is reachable from a branch, which
//! commit a tag means. Therefore everything is asked *by id*: on Gitea a branch or tag that is named like a
//! commit id is taken for that commit by `compare` and by `contents?ref=`, so that whoever may push could
//! answer these questions himself. Content counts only where its bytes hash to the id of the blob.
//!
//! It refuses to take "no answer" or "you may not see this" for "there is none", to send a login to anybody
//! but the given origin, to follow a redirect out of the API, and to read what is a pointer rather than
//! content (symbolic links, submodules, LFS). It only reads. I/O crate: knows nothing of plugins.
//!
//! APIs: <https://gitea.com/api/swagger>, <https://docs.github.com/en/rest?apiVersion=2022-11-28>.

mod address;
mod branch;
mod client;
mod error;
mod file;
mod github_rules;
mod history;
mod id;
mod link;
mod name;
mod observe;
mod protection;
mod request;
mod said;
mod tag;
mod throttle;

pub use address::SetupError;
pub use branch::Branch;
pub use client::{Forge, ForgeOptions, Login};
pub use error::{Class, ForgeError, Problem, Question};
pub use file::{At, File, MAX_FILE_BYTES, NotContent};
pub use history::{Commit, Reachability};
pub use id::{ObjectId, ParseIdError};
pub use name::{ForgeKind, ParseForgeError, RepositoryName};
pub use observe::{Event, Observer};
pub use protection::{BranchRules, Protection, Rules, Who};
pub use said::Said;
pub use tag::{MAX_NESTED_TAGS, Tag};
