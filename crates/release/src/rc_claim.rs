//! Claims to candidate numbers: how `rc_number: sequence` gets an N that nobody else has (DESIGN §9).
//!
//! Registries have no compare-and-swap, but they have a list: who writes `rcclaim-<X.Y.Z-rc.N>-<12 hex>`
//! *before* it lists is seen by everybody who lists later. [`Sequence`] is that as a state machine; it
//! asks for requests and is told their answers. `tests/rc_claims.rs` explores it exhaustively.
//!
//! # The rule
//!
//! 1. List. An own claim that nobody else has made is good: its number is ours (a killed run left it).
//!    Else claim one above every candidate, record and claim of the base.
//! 2. List again. Somebody else's claim to the same number → claim above everything, back to 2.
//!
//! Of two that claim one number, the later listing sees both claims, so at most one goes on; that both may
//! give way costs numbers and nothing else.
//!
//! # Design
//!
//! - **Only the same number stops a run**, not a higher one: what has to be unique is a candidate, and the
//!   order of candidates is decided by commits and order numbers, never by N. So a rerun keeps its number
//!   although others have gone on, and an older commit does not come out with the highest N.
//! - **Who gives way moves by its rank** among those at the number that they fought for, where "one above"
//!   would let all of them meet again; who meets others even so draws a number, from its own digits, so
//!   that nothing here is left to chance that a test could not repeat.
//! - **The claimant is what is published**, not the run: commit, branch, and names, repositories and
//!   digests of the members. The set cannot name it, for it holds the number. Two runs of the same bytes are
//!   one claimant and may share a number: its candidate then has one digest all the same.
//! - **Claims never lapse.** Nothing is lost by a number that nobody uses.

use std::collections::BTreeSet;
use std::fmt;

use granary_oci::{ArtifactManifest, Digest, RawManifest, Tag};
use jiff::Timestamp;
use thiserror::Error;

use crate::{Candidate, CommitId, Member, ReleaseSet, Version};

/// `artifactType` of a claim to a candidate number.
pub const RC_CLAIM_ARTIFACT_TYPE: &str = "application/vnd.granary.rc-claim.v1+json";

/// How many numbers one run claims at most. Each further one means that somebody was as quick once more;
/// of sixty-four that start at the same moment, the last is through after a handful.
pub const MAX_RC_CLAIMS: usize = 16;

/// The range that numbers are drawn from stops growing here.
const MOST_DOUBLINGS: usize = 5;

/// Hex digits of a claimant in a tag.
const DIGITS: usize = 12;

const PREFIX: &str = "rcclaim-";

/// Who claims: the first 12 hex digits of a digest over commit, branch and members.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RcClaimant(String);

impl RcClaimant {
    /// Whoever publishes these members for this commit from this branch.
    pub fn new(commit: &CommitId, branch: Option<&str>, members: &[Member]) -> Self {
        let mut text = format!("{commit}\n{}\n", branch.unwrap_or_default());
        // In order, as sets are compared: two that differ in it are two sets, and need two numbers.
        let line = |member: &Member| format!("{} {} {}\n", member.name, member.repository, member.digest);
        text.extend(members.iter().map(line));
        RcClaimant(Digest::of(text.as_bytes()).hex()[..DIGITS].to_owned())
    }

    /// Whoever published this set.
    pub fn of(set: &ReleaseSet) -> Self {
        Self::new(&set.commit, set.branch.as_deref(), &set.members)
    }
}

/// `rcclaim-<X.Y.Z-rc.N>-<12 hex>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RcClaimName {
    /// What is claimed.
    pub candidate: Candidate,
    /// By whom.
    pub claimant: RcClaimant,
}

impl RcClaimName {
    /// Reads a tag; `None` where it is no such claim.
    pub fn read(tag: &str) -> Option<Self> {
        let (candidate, hex) = tag.strip_prefix(PREFIX)?.rsplit_once('-')?;
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let claimant =
            (hex.len() == DIGITS && hex.bytes().all(is_hex)).then(|| RcClaimant(hex.to_owned()))?;
        Some(RcClaimName { candidate: candidate.parse().ok()?, claimant })
    }

    /// The tag itself.
    pub fn tag(&self) -> Tag {
        self.to_string().parse().expect("invariant: hex, numbers, dots and dashes form a tag")
    }

    /// What lies under the tag. Only the tag's name counts; the rest is for whoever wonders. It needs the
    /// content of the empty descriptor.
    pub fn manifest(&self, commit: &CommitId, run_url: Option<&str>, now: Timestamp) -> RawManifest {
        let always = [
            ("org.opencontainers.image.created", now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
            ("org.opencontainers.image.revision", commit.to_string()),
            ("org.opencontainers.image.version", self.candidate.to_string()),
        ];
        let run = run_url.map(|url| ("life.celestium.granary.pipeline", url.to_owned()));
        let all = always.into_iter().chain(run).map(|(key, value)| (key.to_owned(), value));
        ArtifactManifest::new(RC_CLAIM_ARTIFACT_TYPE).with_annotations(all.collect()).build()
    }
}

impl fmt::Display for RcClaimName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{PREFIX}{}-{}", self.candidate, self.claimant.0)
    }
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RcNext {
    /// List the tags of the lead's repository (after a move: after a random pause), then
    /// [`Sequence::listed`].
    List,
    /// Write the claim to this candidate, then [`Sequence::wrote`].
    Claim(Candidate),
    /// The candidate has been published, under our claim: read its set, then [`Sequence::looked`].
    Look(Candidate),
    /// The candidate is ours.
    Own(Candidate),
}

/// Why there is no number. Nothing that anybody acts on has been written.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum RcClaimError {
    /// The registry's list is not current, so nobody would see our claim.
    #[error("the tag list lacks the claim to {candidate} that has just been written")]
    Stale {
        /// What was claimed.
        candidate: Candidate,
    },
    /// Others were as quick each time.
    #[error("{MAX_RC_CLAIMS} numbers of {base} were claimed, and each time somebody else claimed them too")]
    Crowded {
        /// The base.
        base: Version,
    },
    /// There is no higher number.
    #[error("no number is left above {highest}")]
    Exhausted {
        /// The highest one.
        highest: Candidate,
    },
}

/// What a list says of one base.
#[derive(Clone, Debug, Default)]
struct Listing {
    /// Numbers with `X.Y.Z-rc.N` or `set-X.Y.Z-rc.N`.
    published: BTreeSet<u64>,
    own: BTreeSet<u64>,
    others: BTreeSet<(u64, RcClaimant)>,
}

impl Listing {
    fn is_rivalled(&self, number: u64) -> bool {
        self.others.iter().any(|(claimed, _)| *claimed == number)
    }

    fn highest(&self) -> u64 {
        let claimed = self.own.iter().copied().chain(self.others.iter().map(|(number, _)| *number));
        self.published.iter().copied().chain(claimed).max().unwrap_or(0)
    }
}

/// One run's way to its number.
#[derive(Clone, Debug)]
pub struct Sequence {
    base: Version,
    claimant: RcClaimant,
    /// What this run claimed last.
    claimed: Option<u64>,
    claims: usize,
    listing: Option<Listing>,
    /// Published numbers that turned out to be ours.
    ours: BTreeSet<u64>,
    /// Numbers that others use without a claim.
    occupied: BTreeSet<u64>,
}

impl Sequence {
    /// Begins.
    pub fn new(base: Version, claimant: RcClaimant) -> Self {
        Sequence {
            base,
            claimant,
            claimed: None,
            claims: 0,
            listing: None,
            ours: BTreeSet::new(),
            occupied: BTreeSet::new(),
        }
    }

    /// The claim to write for [`RcNext::Claim`].
    pub fn claim(&self, candidate: Candidate) -> RcClaimName {
        RcClaimName { candidate, claimant: self.claimant.clone() }
    }

    /// Whether this run has given way already.
    pub fn has_moved(&self) -> bool {
        self.claims > 1
    }

    /// Takes in all tags of the lead's repository, asked for *after* the last claim was answered.
    pub fn listed<'a>(&mut self, tags: impl IntoIterator<Item = &'a Tag>) {
        let mut listing = Listing::default();
        for tag in tags {
            let text = tag.as_str();
            if let Some(claim) = RcClaimName::read(text) {
                match claim.candidate {
                    candidate if candidate.base != self.base => {}
                    candidate if claim.claimant == self.claimant => {
                        listing.own.insert(candidate.number);
                    }
                    candidate => {
                        listing.others.insert((candidate.number, claim.claimant));
                    }
                }
            } else if let Ok(candidate) = text.strip_prefix("set-").unwrap_or(text).parse::<Candidate>()
                && candidate.base == self.base
            {
                listing.published.insert(candidate.number);
            }
        }
        self.listing = Some(listing);
    }

    /// The claim is written.
    pub fn wrote(&mut self, candidate: Candidate) {
        self.claimed = Some(candidate.number);
        self.claims += 1;
        self.listing = None;
    }

    /// What [`RcNext::Look`] found: our own set, or something else.
    pub fn looked(&mut self, candidate: Candidate, is_ours: bool) {
        let numbers = if is_ours { &mut self.ours } else { &mut self.occupied };
        numbers.insert(candidate.number);
    }

    /// Somebody who claims nothing uses this candidate, in whichever repository of the set.
    pub fn occupied(&mut self, candidate: Candidate) {
        self.ours.remove(&candidate.number);
        self.occupied.insert(candidate.number);
    }

    /// The number that would be claimed if nobody else did anything; for a plan that is only printed.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub fn likely(&self) -> Result<Candidate, RcClaimError> {
        match self.next()? {
            RcNext::Claim(candidate) | RcNext::Look(candidate) | RcNext::Own(candidate) => Ok(candidate),
            RcNext::List => Ok(self.candidate(1)),
        }
    }

    /// Decides.
    ///
    /// # Errors
    /// [`RcClaimError`].
    pub fn next(&self) -> Result<RcNext, RcClaimError> {
        let Some(listing) = &self.listing else { return Ok(RcNext::List) };
        if let Some(number) = self.claimed.filter(|number| !listing.own.contains(number)) {
            return Err(RcClaimError::Stale { candidate: self.candidate(number) });
        }
        let usable = |number: &u64| !listing.is_rivalled(*number) && !self.occupied.contains(number);
        if let Some(number) = listing.own.iter().copied().rev().find(usable) {
            let unread = listing.published.contains(&number) && !self.ours.contains(&number);
            let candidate = self.candidate(number);
            return Ok(if unread { RcNext::Look(candidate) } else { RcNext::Own(candidate) });
        }
        if self.claims >= MAX_RC_CLAIMS {
            return Err(RcClaimError::Crowded { base: self.base });
        }
        let highest = listing.highest().max(self.occupied.last().copied().unwrap_or(0));
        let number = highest
            .checked_add(1 + self.distance(listing))
            .ok_or(RcClaimError::Exhausted { highest: self.candidate(highest) })?;
        Ok(RcNext::Claim(self.candidate(number)))
    }

    /// How far above everything the next claim lies. Those that lost a number to each other in the same list
    /// keep apart by their rank in it; who has lost more often has met others with other lists, and draws
    /// from a range that doubles each time.
    fn distance(&self, listing: &Listing) -> u64 {
        let rivals = listing.others.iter().filter(|(number, _)| Some(*number) == self.claimed);
        if self.claims < 2 {
            return rivals.filter(|(_, claimant)| *claimant < self.claimant).count() as u64;
        }
        let doubled = 1u64 << self.claims.min(MOST_DOUBLINGS);
        let range = (rivals.count() as u64 + 1) * doubled;
        let drawn = Digest::of(format!("{} {}", self.claimant.0, self.claims).as_bytes());
        u64::from_str_radix(&drawn.hex()[..DIGITS], 16).expect("invariant: a digest is hex") % range
    }

    fn candidate(&self, number: u64) -> Candidate {
        Candidate { base: self.base, number }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Version = Version::new(1, 2, 3);

    fn claimant(letter: char) -> RcClaimant {
        RcClaimant(letter.to_string().repeat(DIGITS))
    }

    fn tags(names: &[&str]) -> Vec<Tag> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn rc(number: u64) -> Candidate {
        Candidate { base: BASE, number }
    }

    fn after(names: &[&str]) -> Sequence {
        let mut sequence = Sequence::new(BASE, claimant('b'));
        sequence.listed(&tags(names));
        sequence
    }

    #[test]
    fn names() {
        let name = RcClaimName { candidate: rc(7), claimant: claimant('a') };
        assert_eq!(name.tag().as_str(), "rcclaim-1.2.3-rc.7-aaaaaaaaaaaa");
        assert_eq!(RcClaimName::read("rcclaim-1.2.3-rc.7-aaaaaaaaaaaa"), Some(name));
        for other in [
            "claim-1.2.3-rc.7-aaaaaaaaaaaa",
            "rcclaim-1.2.3-aaaaaaaaaaaa",
            "rcclaim-1.2.3-rc.7-aaaaaaaaaaa",
            "rcclaim-1.2.3-rc.7-AAAAAAAAAAAA",
            "rcclaim-1.2.3-rc.7",
        ] {
            assert_eq!(RcClaimName::read(other), None, "{other}");
        }
    }

    #[test]
    fn the_claimant_is_what_is_published() {
        let member = |name: &str, content: &[u8]| Member {
            name: name.to_owned(),
            repository: format!("acme/{name}").parse().unwrap(),
            digest: Digest::of(content),
            media_type: granary_oci::media_type::OCI_MANIFEST.to_owned(),
            size: 1,
        };
        let commit: CommitId = "7a77c5932e35c13bf0bf61a33f757b21d41692b5".parse().unwrap();
        let (app, web) = (member("app", b"1"), member("web", b"2"));
        let ours = RcClaimant::new(&commit, Some("main"), &[app.clone(), web.clone()]);
        assert_eq!(ours, RcClaimant::new(&commit, Some("main"), &[app.clone(), web.clone()]));
        let other_commit = "1111111111111111111111111111111111111111".parse().unwrap();
        for other in [
            RcClaimant::new(&commit, Some("main"), &[web.clone(), app.clone()]),
            RcClaimant::new(&other_commit, Some("main"), &[app.clone(), web.clone()]),
            RcClaimant::new(&commit, Some("next"), &[app.clone(), web.clone()]),
            RcClaimant::new(&commit, Some("main"), &[app.clone(), member("web", b"3")]),
            RcClaimant::new(&commit, Some("main"), &[app]),
        ] {
            assert_ne!(ours, other);
        }
    }

    #[test]
    fn one_above_candidates_records_and_claims_of_the_base() {
        let table: [(&[&str], RcNext); 8] = [
            (&[], RcNext::Claim(rc(1))),
            (&["1.2.3-rc.9", "1.2.3-rc.10", "1.2.4-rc.99", "1.2.3", "v1.2.3-rc.50"], RcNext::Claim(rc(11))),
            (&["set-1.2.3-rc.12", "1.2.3-rc.10"], RcNext::Claim(rc(13))),
            (&["rcclaim-1.2.3-rc.4-aaaaaaaaaaaa", "1.2.3-rc.3"], RcNext::Claim(rc(5))),
            // A killed run of ours: its number, though others have gone on.
            (&["rcclaim-1.2.3-rc.4-bbbbbbbbbbbb", "1.2.3-rc.7"], RcNext::Own(rc(4))),
            (&["rcclaim-1.2.3-rc.4-bbbbbbbbbbbb", "rcclaim-1.2.3-rc.4-aaaaaaaaaaaa"], RcNext::Claim(rc(5))),
            (&["rcclaim-1.2.4-rc.4-bbbbbbbbbbbb"], RcNext::Claim(rc(1))),
            (&["rcclaim-1.2.3-rc.4-bbbbbbbbbbbb", "set-1.2.3-rc.4"], RcNext::Look(rc(4))),
        ];
        for (names, expected) in table {
            assert_eq!(after(names).next(), Ok(expected), "{names:?}");
        }
    }

    #[test]
    fn who_gives_way_moves_by_its_rank() {
        let mut sequence = after(&[]);
        sequence.wrote(rc(1));
        assert_eq!(sequence.next(), Ok(RcNext::List));
        let names = ["rcclaim-1.2.3-rc.1-bbbbbbbbbbbb", "rcclaim-1.2.3-rc.1-aaaaaaaaaaaa", "1.2.3-rc.1"];
        sequence.listed(&tags(&names));
        assert_eq!(sequence.next(), Ok(RcNext::Claim(rc(3))), "aaaaaaaaaaaa takes 2");
        sequence.wrote(rc(3));
        assert!(sequence.has_moved());
        sequence.listed(&tags(&[names[0], names[1], "rcclaim-1.2.3-rc.3-bbbbbbbbbbbb", "1.2.3-rc.9"]));
        assert_eq!(sequence.next(), Ok(RcNext::Own(rc(3))));
    }

    #[test]
    fn a_number_that_is_in_use_without_a_claim_is_left() {
        let mut sequence = after(&["rcclaim-1.2.3-rc.4-bbbbbbbbbbbb", "set-1.2.3-rc.4"]);
        sequence.looked(rc(4), true);
        assert_eq!(sequence.next(), Ok(RcNext::Own(rc(4))));
        sequence.occupied(rc(4));
        assert_eq!(sequence.next(), Ok(RcNext::Claim(rc(5))));
    }

    #[test]
    fn what_cannot_be_decided_ends() {
        let mut sequence = after(&[]);
        sequence.wrote(rc(1));
        sequence.listed(&tags(&["1.2.3-rc.1"]));
        assert_eq!(sequence.next(), Err(RcClaimError::Stale { candidate: rc(1) }));
        let last = format!("1.2.3-rc.{}", u64::MAX);
        assert_eq!(after(&[&last]).next(), Err(RcClaimError::Exhausted { highest: rc(u64::MAX) }));
        let mut sequence = after(&[]);
        for number in 1..=MAX_RC_CLAIMS as u64 {
            sequence.wrote(rc(number));
            let name = |letter: &str| format!("rcclaim-1.2.3-rc.{number}-{}", letter.repeat(DIGITS));
            sequence.listed(&tags(&[&name("a"), &name("b")]));
        }
        assert_eq!(sequence.next(), Err(RcClaimError::Crowded { base: BASE }));
    }
}
