//! Which of two candidates is newer (DESIGN §7, promote).
//!
//! A candidate whose commit lies before the one that the newest stable was made from is superseded:
//! giving it a higher version would take production back. Without Git at hand the *order number*
//! decides, and only within one branch; where it cannot, nothing is promoted.

use crate::{ReleaseSet, Version};

/// Where a candidate stands beside the newest stable version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing newer is published.
    Newest,
    /// A newer candidate has been promoted.
    Superseded {
        /// The version it got.
        by: Version,
        /// Its order number.
        theirs: u64,
        /// Ours.
        ours: u64,
    },
    /// There is no telling.
    Undecidable {
        /// What is missing.
        reason: String,
    },
}

/// Compares `ours` with the newest stable version and the set it was made from.
///
/// `newest` is `None` where nothing is published (in the X.Y line, for a given version); its set is
/// `None` where the version was not published by this suite.
pub fn standing(ours: &ReleaseSet, newest: Option<(Version, Option<&ReleaseSet>)>) -> Standing {
    let Some((version, theirs)) = newest else { return Standing::Newest };
    let undecidable = |reason: String| Standing::Undecidable { reason };
    let Some(theirs) = theirs else {
        return undecidable(format!(
            "{version} has no release set `set-{version}` that would say what it was made from"
        ));
    };
    if ours.commit == theirs.commit {
        return Standing::Newest;
    }
    if ours.branch.is_none() || ours.branch != theirs.branch {
        let name = |branch: &Option<String>| {
            branch.as_deref().map_or("no branch".to_owned(), |name| format!("`{name}`"))
        };
        return undecidable(format!(
            "{version} was published from {}, this candidate from {}, and order numbers compare within one branch",
            name(&theirs.branch),
            name(&ours.branch)
        ));
    }
    compare(ours.order, version, theirs.order)
}

/// Compares the order numbers of two commits of one branch; `theirs` is that of `version`.
pub(crate) fn compare(ours: Option<u64>, version: Version, theirs: Option<u64>) -> Standing {
    let undecidable = |reason: String| Standing::Undecidable { reason };
    match (ours, theirs) {
        (Some(ours), Some(theirs)) if ours < theirs => Standing::Superseded { by: version, theirs, ours },
        (Some(ours), Some(theirs)) if ours > theirs => Standing::Newest,
        (Some(same), Some(_)) => {
            undecidable(format!("{version} was made from another commit with the same order number {same}"))
        }
        (None, _) => undecidable("this candidate has no order number".to_owned()),
        (_, None) => undecidable(format!("{version} was made from a candidate without order number")),
    }
}

#[cfg(test)]
mod tests {
    use granary_oci::Digest;

    use super::*;
    use crate::Member;

    fn set(commit: char, branch: Option<&str>, order: Option<u64>) -> ReleaseSet {
        ReleaseSet {
            commit: commit.to_string().repeat(40).parse().unwrap(),
            branch: branch.map(str::to_owned),
            candidate: "0.1.1-rc.1".parse().unwrap(),
            order,
            pipeline_url: None,
            created: jiff::Timestamp::UNIX_EPOCH,
            members: vec![Member {
                name: "app".to_owned(),
                repository: "app".parse().unwrap(),
                digest: Digest::of(b"x"),
                media_type: "m".to_owned(),
                size: 1,
            }],
            replaces: None,
        }
    }

    #[test]
    fn order_numbers_decide_within_one_branch() {
        let version = Version::new(0, 1, 1);
        let main = Some("main");
        let table = [
            (set('a', main, Some(2)), set('b', main, Some(1)), "newest"),
            (set('a', main, Some(1)), set('b', main, Some(2)), "superseded"),
            (set('a', main, Some(1)), set('b', main, Some(1)), "undecidable"),
            (set('a', main, None), set('a', main, Some(9)), "newest"),
            (set('a', main, None), set('b', main, Some(1)), "undecidable"),
            (set('a', main, Some(2)), set('b', main, None), "undecidable"),
            (set('a', main, Some(2)), set('b', Some("dev"), Some(1)), "undecidable"),
            (set('a', None, Some(2)), set('b', None, Some(1)), "undecidable"),
        ];
        for (ours, theirs, expected) in table {
            let standing = match standing(&ours, Some((version, Some(&theirs)))) {
                Standing::Newest => "newest",
                Standing::Superseded { .. } => "superseded",
                Standing::Undecidable { .. } => "undecidable",
            };
            assert_eq!(standing, expected, "{ours:?} beside {theirs:?}");
        }
        assert_eq!(standing(&set('a', None, None), None), Standing::Newest);
        assert!(matches!(
            standing(&set('a', main, Some(1)), Some((version, None))),
            Standing::Undecidable { .. }
        ));
    }
}
