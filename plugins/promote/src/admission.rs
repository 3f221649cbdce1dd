//! Whether a set may become a version, before its evidence is asked: branch and order. Pure.

use granary_release::{ReleaseSet, Standing};
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

/// The answer. The texts are fragments that name what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Evidence decides.
    Go,
    /// Evidence decides, although this was found: somebody allowed it.
    GoAlthough(String),
    /// Nothing is to be done: a newer candidate is stable.
    Skip(String),
    /// A newer candidate is stable, and that is an error here.
    Superseded(String),
    /// There is no telling whether this is the newest.
    OrderUnknown(String),
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
    pub fn refuse_branch(&self, set: &ReleaseSet) -> Option<Admission> {
        let branch = set.branch.as_deref();
        if self.branches.iter().any(|pattern| pattern.matches(branch)) {
            return None;
        }
        let allowed = self.branches.iter().map(BranchPattern::as_str).collect::<Vec<_>>().join(", ");
        Some(match branch {
            Some(branch) => Admission::WrongBranch { branch: branch.to_owned(), allowed },
            None => Admission::NoBranch { allowed },
        })
    }

    /// Whether a set may be promoted where it stands (DESIGN §7).
    pub fn admit(&self, standing: Standing) -> Admission {
        match standing {
            Standing::Newest => Admission::Go,
            Standing::Superseded { by, theirs, ours } => {
                let found =
                    format!("{by} is newer: it was made from pipeline {theirs}, this candidate from {ours}");
                match (self.allow_older, self.on_superseded) {
                    (true, _) => Admission::GoAlthough(found),
                    (false, OnSuperseded::Skip) => Admission::Skip(found),
                    (false, OnSuperseded::Fail) => Admission::Superseded(found),
                }
            }
            Standing::Undecidable { reason } if self.allow_older => Admission::GoAlthough(reason),
            Standing::Undecidable { reason } => Admission::OrderUnknown(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allow_older: bool, on_superseded: OnSuperseded) -> Rules {
        let branches = vec!["main".parse().unwrap(), "release/*".parse().unwrap()];
        Rules { branches, allow_older, on_superseded }
    }

    #[test]
    fn order_and_what_may_override_it() {
        let superseded = || Standing::Superseded { by: "0.1.2".parse().unwrap(), theirs: 9, ours: 8 };
        let unknown = || Standing::Undecidable { reason: "no order number".to_owned() };
        let newer = "0.1.2 is newer: it was made from pipeline 9, this candidate from 8".to_owned();
        let reason = "no order number".to_owned();
        let (skip, fail) = (OnSuperseded::Skip, OnSuperseded::Fail);
        let table = [
            (false, skip, Standing::Newest, Admission::Go),
            (true, fail, Standing::Newest, Admission::Go),
            (false, skip, superseded(), Admission::Skip(newer.clone())),
            (false, fail, superseded(), Admission::Superseded(newer.clone())),
            (true, skip, superseded(), Admission::GoAlthough(newer.clone())),
            (true, fail, superseded(), Admission::GoAlthough(newer)),
            // Skipping is for what is known to be older; what is not known is never passed over in silence.
            (false, skip, unknown(), Admission::OrderUnknown(reason.clone())),
            (false, fail, unknown(), Admission::OrderUnknown(reason.clone())),
            (true, skip, unknown(), Admission::GoAlthough(reason)),
        ];
        for (allow_older, on_superseded, standing, expected) in table {
            assert_eq!(rules(allow_older, on_superseded).admit(standing.clone()), expected, "{standing:?}");
        }
    }
}
