//! The tags this suite writes and reads, by name (DESIGN §7, §9).

use granary_oci::Tag;

use crate::claim::ClaimName;
use crate::{Candidate, CommitId, Version};

/// What a tag of ours says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagKind<'a> {
    /// `set-<40 hex>`: the release set of a commit; moves when the commit is rebuilt to other bytes.
    CommitSet(&'a CommitId),
    /// `set-<X.Y.Z-rc.N>`: the release set of a candidate.
    CandidateSet(Candidate),
    /// `set-<X.Y.Z>`: the release set that became this version.
    VersionSet(Version),
    /// `X.Y.Z-rc.N`.
    Candidate(Candidate),
    /// `X.Y.Z`.
    Version(Version),
    /// `sha-<short>`, for readers.
    Commit(&'a CommitId),
    /// `integration-<short>`, for readers: published, not yet judged.
    Integration(&'a CommitId),
    /// `validated-<short>`, for readers: promoted.
    Validated(&'a CommitId),
}

impl TagKind<'_> {
    /// The tag itself.
    pub fn tag(&self) -> Tag {
        let text = match self {
            TagKind::CommitSet(commit) => format!("set-{commit}"),
            TagKind::CandidateSet(candidate) => format!("set-{candidate}"),
            TagKind::VersionSet(version) => format!("set-{version}"),
            TagKind::Candidate(candidate) => candidate.to_string(),
            TagKind::Version(version) => version.to_string(),
            TagKind::Commit(commit) => format!("sha-{}", commit.short()),
            TagKind::Integration(commit) => format!("integration-{}", commit.short()),
            TagKind::Validated(commit) => format!("validated-{}", commit.short()),
        };
        text.parse().expect("invariant: hex, numbers, dots and dashes form a tag")
    }
}

/// What the tag list of the lead's repository says about versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionTags {
    /// `X.Y.Z`, rising.
    pub stables: Vec<Version>,
    /// The versions of `set-<X.Y.Z>`, rising.
    pub sets: Vec<Version>,
    /// The commits of `set-<40 hex>`.
    pub commits: Vec<CommitId>,
    /// `claim-<X.Y.Z>-<12 hex>`, by version.
    pub claims: Vec<ClaimName>,
    /// Every tag.
    names: std::collections::BTreeSet<String>,
}

impl VersionTags {
    /// Sorts a tag list; order and repetitions in it do not matter (docker-registry 2.8 does not sort).
    pub fn read<'a>(tags: impl IntoIterator<Item = &'a Tag>) -> Self {
        let names = tags.into_iter().map(|tag| tag.as_str().to_owned()).collect();
        let mut found = VersionTags { names, ..VersionTags::default() };
        for name in &found.names {
            if let Ok(version) = name.parse() {
                found.stables.push(version);
            } else if let Some(rest) = name.strip_prefix("set-") {
                match (rest.parse(), rest.parse()) {
                    (Ok(version), _) => found.sets.push(version),
                    (_, Ok(commit)) => found.commits.push(commit),
                    _ => {}
                }
            } else if let Some(claim) = ClaimName::read(name) {
                found.claims.push(claim);
            }
        }
        found.stables.sort_unstable();
        found.sets.sort_unstable();
        found.claims.sort_unstable();
        found
    }

    /// Whether the list has this tag.
    pub fn has(&self, tag: &Tag) -> bool {
        self.names.contains(tag.as_str())
    }

    /// Every version that is visible or about to be: `X.Y.Z` or `set-<X.Y.Z>`.
    pub fn taken(&self) -> impl Iterator<Item = Version> {
        self.stables.iter().chain(&self.sets).copied()
    }
}

/// Why a tag cannot be asked for as an extra tag of a candidate, if it cannot: an RC moves nothing but
/// itself (DESIGN §4.8), and the suite's own records are not for settings to write.
pub fn reserved(tag: &Tag) -> Option<&'static str> {
    let text = tag.as_str();
    let numbers = text.strip_prefix('v').unwrap_or(text).split('.').collect::<Vec<_>>();
    let prefixes = [
        "set-",
        "claim-",
        "rcclaim-",
        "override-",
        "validated-",
        "integration-",
        "sha-",
        "sha256-",
        "sha512-",
    ];
    if text == "latest" {
        Some("`latest` follows stable versions only")
    } else if numbers.len() <= 3 && numbers.iter().all(|part| part.parse::<u64>().is_ok()) {
        Some("a candidate moves no stable or floating version")
    } else if text.parse::<Candidate>().is_ok() {
        Some("candidates are numbered by the plugin")
    } else if prefixes.iter().any(|prefix| text.starts_with(prefix)) {
        Some("the prefix is used for the suite's own records")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(text: &str) -> Tag {
        text.parse().unwrap()
    }

    #[test]
    fn names_are_the_contract() {
        let commit: CommitId = "3f2a91c000000000000000000000000000000000".parse().unwrap();
        let candidate: Candidate = "0.1.146-rc.87".parse().unwrap();
        let table = [
            (TagKind::CommitSet(&commit), "set-3f2a91c000000000000000000000000000000000"),
            (TagKind::CandidateSet(candidate), "set-0.1.146-rc.87"),
            (TagKind::VersionSet(candidate.base), "set-0.1.146"),
            (TagKind::Candidate(candidate), "0.1.146-rc.87"),
            (TagKind::Version(candidate.base), "0.1.146"),
            (TagKind::Commit(&commit), "sha-3f2a91c"),
            (TagKind::Integration(&commit), "integration-3f2a91c"),
            (TagKind::Validated(&commit), "validated-3f2a91c"),
        ];
        for (kind, expected) in table {
            assert_eq!(kind.tag().as_str(), expected);
        }
    }

    #[test]
    fn a_list_is_sorted_by_number_not_by_text() {
        let commit = "3f2a91c000000000000000000000000000000000";
        let list = [
            "0.1.10",
            "0.1.9",
            "v9.9.9",
            "0.1.10-rc.1",
            "latest",
            "set-0.1.11",
            "set-0.1.12-rc.1",
            "set-x",
            "claim-0.1.10-6ee0eb490ff8",
            "claim-0.1.9-6ee0eb490ff8",
            "rcclaim-0.1.9-rc.1-6ee0eb490ff8",
        ]
        .map(tag);
        let commit_set = tag(&format!("set-{commit}"));
        let found = VersionTags::read(list.iter().chain([&commit_set]));
        assert_eq!(found.stables, [Version::new(0, 1, 9), Version::new(0, 1, 10)]);
        assert_eq!(found.sets, [Version::new(0, 1, 11)]);
        assert_eq!(found.commits, [commit.parse().unwrap()]);
        let claims = found.claims.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(claims, ["claim-0.1.9-6ee0eb490ff8", "claim-0.1.10-6ee0eb490ff8"]);
        assert_eq!(found.taken().max(), Some(Version::new(0, 1, 11)));
        assert!(found.has(&tag("latest")) && !found.has(&tag("0.1.1")));
    }

    #[test]
    fn an_rc_moves_nothing_but_itself() {
        for text in [
            "latest",
            "1",
            "1.2",
            "1.2.3",
            "v1.2.3",
            "1.2.3-rc.1",
            "set-x",
            "claim-1.0.0-x",
            "sha256-00",
            "validated-x",
        ] {
            assert!(reserved(&tag(text)).is_some(), "{text}");
        }
        for text in ["edge", "main", "nightly-2026-11-21", "1.2.3-debug"] {
            assert_eq!(reserved(&tag(text)), None, "{text}");
        }
    }
}
