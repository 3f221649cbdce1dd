//! Whose sets may become versions, whatever their evidence says. Pure. The order of candidates is decided by
//! [`granary_release::claim`]; what follows from it is said here.

use granary_release::ReleaseSet;
use granary_suite::BranchPattern;

/// What happens when a newer candidate is stable already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnSuperseded {
    /// Exit code 0, outcome `skipped`.
    Skip,
    /// Exit code 11.
    Fail,
}

/// What settings say about who may be promoted.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Branches that may be promoted.
    pub branches: Vec<BranchPattern>,
    /// Promote older candidates too.
    pub allow_older: bool,
    /// What a newer stable version means.
    pub on_superseded: OnSuperseded,
}

/// Why a set may not become a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotAllowed {
    /// The branch may not be promoted.
    WrongBranch {
        /// The branch it comes from.
        branch: String,
        /// What is allowed.
        allowed: String,
    },
    /// The set records no branch.
    NoBranch {
        /// What is allowed.
        allowed: String,
    },
}

impl Rules {
    /// Whether a set's branch may be promoted (DESIGN §4.12). Until forge and Git are asked, the branch
    /// is the one that the set records. `None` where it may.
    pub fn refuse_branch(&self, set: &ReleaseSet) -> Option<NotAllowed> {
        let branch = set.branch.as_deref();
        if self.branches.iter().any(|pattern| pattern.matches(branch)) {
            return None;
        }
        let allowed = self.branches.iter().map(BranchPattern::as_str).collect::<Vec<_>>().join(", ");
        Some(match branch {
            Some(branch) => NotAllowed::WrongBranch { branch: branch.to_owned(), allowed },
            None => NotAllowed::NoBranch { allowed },
        })
    }
}
