//! Every rule of the claim, one registry after the other.

use std::collections::BTreeSet;

use granary_oci::{Digest, Tag};
use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::{FoundSet, Member, NumberingError, OnTaken, ReleaseSet, Version, VersionTags};

const V1: Version = Version::new(1, 0, 1);
const V2: Version = Version::new(1, 0, 2);
const V3: Version = Version::new(1, 0, 3);
const GIVEN: Version = Version::new(2, 0, 0);

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

/// The set of commit `commit`, built for the `build`th time, with base 1.0.1.
fn set_of(commit: u64, build: u8, branch: &str, order: Option<u64>) -> FoundSet {
    let set = ReleaseSet {
        commit: format!("{commit:040x}").parse().unwrap(),
        branch: (!branch.is_empty()).then(|| branch.to_owned()),
        candidate: "1.0.1-rc.1".parse().unwrap(),
        order,
        pipeline_url: None,
        created: Timestamp::UNIX_EPOCH,
        members: vec![Member {
            name: "app".to_owned(),
            repository: "acme/app".parse().unwrap(),
            digest: Digest::of(&[build]),
            media_type: "m".to_owned(),
            size: 1,
        }],
        replaces: None,
    };
    FoundSet::new(set)
}

fn ours() -> FoundSet {
    set_of(5, 0, "main", Some(5))
}

fn older() -> FoundSet {
    set_of(4, 0, "main", Some(4))
}

fn newer() -> FoundSet {
    set_of(6, 0, "main", Some(6))
}

/// Who claims, and what the registry has.
#[derive(Clone)]
struct Case {
    claimant: Claimant,
    tags: Vec<String>,
    production: Vec<Version>,
    claims: Vec<Claim>,
    sets: Vec<(Version, FoundSet)>,
    carried: BTreeSet<Version>,
    claimed: Vec<(Version, SignedDuration)>,
    set_written: Option<Version>,
}

fn wanting(wanted: Wanted) -> Case {
    Case {
        claimant: Claimant { found: ours(), wanted, lowest_base: V1, allow_older: false },
        tags: Vec::new(),
        production: Vec::new(),
        claims: Vec::new(),
        sets: Vec::new(),
        carried: BTreeSet::new(),
        claimed: Vec::new(),
        set_written: None,
    }
}

fn derived() -> Case {
    wanting(Wanted::Derived(OnTaken::Next))
}

fn given(version: Version) -> Case {
    wanting(Wanted::Given(version))
}

impl Case {
    fn claim_of(mut self, found: &FoundSet, version: Version, kind: ClaimKind, minutes_ago: i64) -> Self {
        let created = now() - SignedDuration::from_mins(minutes_ago);
        let claim = Claim::new(version, kind, (&found.digest, &found.set), None, created);
        self.tags.push(claim.name().to_string());
        self.claims.push(claim);
        self
    }

    /// A derived claim, just written.
    fn claimed_by(self, found: &FoundSet, version: Version) -> Self {
        self.claim_of(found, version, ClaimKind::Derived, 0)
    }

    /// `set-X.Y.Z` is there, `X.Y.Z` is not.
    fn begun_by(mut self, found: &FoundSet, version: Version) -> Self {
        self.tags.push(format!("set-{version}"));
        self.sets.push((version, found.clone()));
        self
    }

    fn published_by(mut self, found: &FoundSet, version: Version) -> Self {
        self.tags.push(version.to_string());
        self.begun_by(found, version)
    }

    /// What this run has done before.
    fn after_claims(mut self, versions: &[Version]) -> Self {
        self.claimed.extend(versions.iter().map(|&version| (version, SignedDuration::ZERO)));
        for &version in versions {
            self = self.claimed_by(&ours(), version);
        }
        self
    }

    fn after_set(mut self, version: Version) -> Self {
        self.set_written = Some(version);
        self.begun_by(&ours(), version)
    }

    /// What is read, request after request, and what is decided then.
    fn trace(&self) -> (Vec<Reads>, Result<Next, ClaimConflict>) {
        let mut machine = Claiming::new(self.claimant.clone(), self.carried.clone());
        for &(version, age) in &self.claimed {
            machine.wrote_claim(version, now() - age);
        }
        if let Some(version) = self.set_written {
            machine.wrote_set(version);
        }
        assert_eq!(machine.next(), Ok(Next::List), "nothing is decided without a list of its own");
        let tags: Vec<Tag> = self.tags.iter().map(|tag| tag.parse().unwrap()).collect();
        machine.listed(VersionTags::read(&tags), self.production.clone(), now());
        let mut all = Vec::new();
        loop {
            match machine.next() {
                Ok(Next::Read(reads)) => {
                    all.push(reads.clone());
                    for name in reads.claims {
                        let claim = self.claims.iter().rfind(|claim| claim.name() == name);
                        machine.read_claim(name, claim.cloned());
                    }
                    for version in reads.sets {
                        let set = self.sets.iter().find(|(held, _)| *held == version);
                        machine.read_set(version, set.map(|(_, found)| found.clone()));
                    }
                }
                decided => return (all, decided),
            }
        }
    }

    fn decides(&self) -> Result<Next, ClaimConflict> {
        self.trace().1
    }
}

fn own_commit(version: Version, found: &FoundSet) -> Result<Next, ClaimConflict> {
    let commit = ours().set.commit;
    Err(ClaimConflict::OwnCommit { commit, version, set: found.digest.clone() })
}

fn superseded(by: Version) -> Result<Next, ClaimConflict> {
    Ok(Next::Superseded { by, theirs: 6, ours: 5 })
}

fn check(table: Vec<(&str, Case, Result<Next, ClaimConflict>)>) {
    for (name, case, expected) in table {
        assert_eq!(case.decides(), expected, "{name}");
    }
}

#[test]
fn a_derived_version_before_the_claim() {
    let refuse = wanting(Wanted::Derived(OnTaken::Refuse));
    let taken = NumberingError::Taken { wanted: V1, highest: V1 };
    let elsewhere = set_of(9, 0, "dev", Some(9));
    let mut in_production = derived();
    in_production.production.push(V1);
    in_production.sets.push((V1, older()));
    let mut carried = derived().begun_by(&ours(), V1);
    carried.carried.insert(V1);
    check(vec![
        ("nothing there", derived(), Ok(Next::WriteClaim(V1))),
        ("base published", derived().published_by(&older(), V1), Ok(Next::WriteClaim(V2))),
        ("base begun", derived().begun_by(&older(), V1), Ok(Next::WriteClaim(V2))),
        ("published in the target alone", in_production, Ok(Next::WriteClaim(V2))),
        ("base claimed", derived().claimed_by(&older(), V1), Ok(Next::WriteClaim(V2))),
        ("by another branch", derived().claimed_by(&elsewhere, V1), Ok(Next::WriteClaim(V2))),
        (
            "a lapsed claim",
            derived().claim_of(&newer(), V1, ClaimKind::Derived, 60),
            Ok(Next::WriteClaim(V2)),
        ),
        (
            "a given version's",
            derived().claim_of(&older(), V1, ClaimKind::Given, 59),
            Ok(Next::WriteClaim(V2)),
        ),
        ("lapsed", derived().claim_of(&older(), V1, ClaimKind::Given, 60), Ok(Next::WriteClaim(V1))),
        ("may not be numbered on", refuse.published_by(&older(), V1), Err(ClaimConflict::Numbering(taken))),
        ("an earlier run's claim", derived().claimed_by(&ours(), V3), Ok(Next::WriteClaim(V3))),
        ("an earlier run's set", derived().begun_by(&ours(), V3), Ok(Next::WriteClaim(V3))),
        (
            "a given version of this set",
            derived().claim_of(&ours(), GIVEN, ClaimKind::Given, 0),
            Ok(Next::WriteClaim(V1)),
        ),
        ("finished", derived().published_by(&ours(), V2).published_by(&newer(), V3), Ok(Next::Finish(V2))),
        ("a member has it", carried, Ok(Next::Finish(V1))),
    ]);
}

#[test]
fn a_derived_version_after_the_claim() {
    let claimed = || derived().after_claims(&[V1]);
    check(vec![
        ("alone", claimed(), Ok(Next::GoOn(V1))),
        ("others at it", claimed().claimed_by(&older(), V1), Ok(Next::WriteClaim(V2))),
        ("others above it", claimed().claimed_by(&older(), V2), Ok(Next::WriteClaim(V3))),
        ("others below it", derived().after_claims(&[V1, V2]).claimed_by(&older(), V1), Ok(Next::GoOn(V2))),
        ("stable meanwhile", claimed().published_by(&older(), V1), Ok(Next::WriteClaim(V2))),
        ("its set is there", claimed().begun_by(&ours(), V1), Ok(Next::Publish(V1))),
        ("finished by another run", claimed().published_by(&ours(), V1), Ok(Next::Finish(V1))),
        ("after the set", claimed().after_set(V1), Ok(Next::Publish(V1))),
        ("others see us", claimed().after_set(V1).claimed_by(&newer(), V2), Ok(Next::Publish(V1))),
    ]);
}

#[test]
fn newer_candidates_supersede() {
    let undated = set_of(6, 0, "main", None);
    let elsewhere = set_of(6, 0, "dev", Some(6));
    let undecidable = |reason: &str| Ok(Next::Undecidable { reason: reason.to_owned() });
    let mut allowed = derived().published_by(&newer(), V1).claimed_by(&newer(), V2);
    allowed.claimant.allow_older = true;
    check(vec![
        ("stable", derived().published_by(&newer(), V1), superseded(V1)),
        ("begun", derived().begun_by(&newer(), V1), superseded(V1)),
        ("claimed", derived().claimed_by(&newer(), V1), superseded(V1)),
        ("claimed below", derived().after_claims(&[V3]).claimed_by(&newer(), V1), superseded(V1)),
        ("claimed as given", derived().claim_of(&newer(), GIVEN, ClaimKind::Given, 59), superseded(GIVEN)),
        ("lapsed", derived().claim_of(&newer(), GIVEN, ClaimKind::Given, 60), Ok(Next::WriteClaim(V1))),
        ("another branch's claim", derived().claimed_by(&elsewhere, V1), Ok(Next::WriteClaim(V2))),
        (
            "no order number",
            derived().claimed_by(&undated, V1),
            undecidable("1.0.1 was made from a candidate without order number"),
        ),
        ("allowed", allowed, Ok(Next::WriteClaim(V3))),
        // 2.0.0 was given to an old commit: what it says nothing about lies below it.
        (
            "below a given version",
            derived().published_by(&newer(), V1).published_by(&older(), GIVEN).claim_of(
                &older(),
                GIVEN,
                ClaimKind::Given,
                9000,
            ),
            superseded(V1),
        ),
        (
            "below a derived version",
            derived().published_by(&newer(), V1).published_by(&older(), GIVEN).claim_of(
                &older(),
                GIVEN,
                ClaimKind::Derived,
                9000,
            ),
            Ok(Next::WriteClaim(Version::new(2, 0, 1))),
        ),
    ]);
}

#[test]
fn given_versions() {
    let held = |found: Option<FoundSet>| {
        Err(ClaimConflict::Held { version: V2, holder: found.map(|found| found.digest) })
    };
    let claimed = |found: FoundSet| {
        Err(ClaimConflict::Claimed {
            version: V2,
            commit: found.set.commit,
            until: now() + SignedDuration::from_mins(60),
        })
    };
    let mut foreign = given(V2);
    foreign.tags.push(V2.to_string());
    let after = || {
        let mut case = given(V2).claim_of(&ours(), V2, ClaimKind::Given, 0);
        case.claimed.push((V2, SignedDuration::ZERO));
        case
    };
    check(vec![
        ("free", given(V2), Ok(Next::WriteClaim(V2))),
        ("below what is stable", given(V2).published_by(&older(), GIVEN), Ok(Next::WriteClaim(V2))),
        ("taken", given(V2).published_by(&older(), V2), held(Some(older()))),
        ("begun", given(V2).begun_by(&older(), V2), held(Some(older()))),
        ("taken by others' tools", foreign, held(None)),
        ("claimed", given(V2).claimed_by(&older(), V2), claimed(older())),
        ("lapsed", given(V2).claim_of(&older(), V2, ClaimKind::Derived, 60), Ok(Next::WriteClaim(V2))),
        ("newer in its line", given(V2).published_by(&newer(), V3), superseded(V3)),
        ("newer claim in its line", given(V2).claimed_by(&newer(), V1), superseded(V1)),
        ("newer elsewhere", given(V2).published_by(&newer(), GIVEN), Ok(Next::WriteClaim(V2))),
        ("newer claim elsewhere", given(V2).claimed_by(&newer(), GIVEN), Ok(Next::WriteClaim(V2))),
        ("derived for this commit", given(V2).claimed_by(&ours(), V1), Ok(Next::WriteClaim(V2))),
        ("claimed by us", after(), Ok(Next::GoOn(V2))),
        ("and by others", after().claimed_by(&older(), V2), claimed(older())),
        ("and stable", after().published_by(&older(), V2), held(Some(older()))),
        ("after the set", after().after_set(V2), Ok(Next::Publish(V2))),
        ("finished", given(V2).published_by(&ours(), V2), Ok(Next::Finish(V2))),
    ]);
}

/// Somebody put the very bytes there by hand: no other set holds the version, and it is not moved.
#[test]
fn a_given_version_that_is_there_with_our_bytes_is_adopted() {
    let decides = |tags: &[&str], holder: Option<FoundSet>| {
        let mut machine = Claiming::new(given(V2).claimant, BTreeSet::new());
        machine.adopt(V2);
        let tags: Vec<Tag> = tags.iter().map(|tag| tag.parse().unwrap()).collect();
        machine.listed(VersionTags::read(&tags), Vec::new(), now());
        machine.read_set(V2, holder);
        machine.next()
    };
    assert_eq!(decides(&["1.0.2"], None), Ok(Next::WriteClaim(V2)));
    let held = |holder| Err(ClaimConflict::Held { version: V2, holder });
    assert_eq!(decides(&["1.0.2", "set-1.0.2"], Some(older())), held(Some(older().digest)));
    assert_eq!(decides(&["1.0.2", "set-1.0.2"], None), held(None), "what lies there is no set");
    assert_eq!(decides(&["set-1.0.2"], None), held(None));
}

/// Two sets may share the bytes that were put there, and differ in another member.
#[test]
fn what_is_adopted_is_claimed_all_the_same() {
    let mut machine = Claiming::new(given(V2).claimant, BTreeSet::new());
    machine.adopt(V2);
    let claim = Claim::new(V2, ClaimKind::Given, (&older().digest, &older().set), None, now());
    let tags = ["1.0.2".parse().unwrap(), claim.name().tag()];
    machine.listed(VersionTags::read(&tags), Vec::new(), now());
    let reads = Reads { claims: vec![claim.name()], sets: Vec::new() };
    assert_eq!(machine.next(), Ok(Next::Read(reads)));
    let (commit, until) = (claim.commit.clone(), claim.expires);
    machine.read_claim(claim.name(), Some(claim));
    assert_eq!(machine.next(), Err(ClaimConflict::Claimed { version: V2, commit, until }));
}

#[test]
fn that_no_version_is_to_be_had_needs_no_order() {
    let undated = || set_of(6, 0, "main", None);
    let mut refuse = wanting(Wanted::Derived(OnTaken::Refuse));
    let taken = NumberingError::Taken { wanted: V1, highest: V2 };
    let undecidable = || {
        Ok(Next::Undecidable { reason: "1.0.2 was made from a candidate without order number".to_owned() })
    };
    check(vec![
        ("order unknown", derived().published_by(&undated(), V2), undecidable()),
        ("and refused", refuse.clone().published_by(&undated(), V2), Err(ClaimConflict::Numbering(taken))),
        ("superseded", refuse.clone().published_by(&newer(), V1), superseded(V1)),
    ]);
    refuse.claimant.found.set.candidate = "1.0.3-rc.1".parse().unwrap();
    check(vec![("free, but unknown", refuse.published_by(&undated(), V2), undecidable())]);
}

#[test]
fn what_was_found_can_be_allowed_afterwards() {
    let case = derived().published_by(&newer(), V1);
    let tags: Vec<Tag> = case.tags.iter().map(|tag| tag.parse().unwrap()).collect();
    let mut machine = Claiming::new(case.claimant, BTreeSet::new());
    machine.listed(VersionTags::read(&tags), Vec::new(), now());
    machine.read_set(V1, Some(newer()));
    assert_eq!(machine.next(), superseded(V1));
    machine.allow_older();
    assert_eq!(machine.next(), Ok(Next::WriteClaim(V2)));
}

#[test]
fn two_runs_of_one_commit_do_not_derive_two_versions() {
    let rebuilt = set_of(5, 1, "main", Some(5));
    let lapsed = ClaimKind::Derived;
    check(vec![
        ("the other set claims", derived().claimed_by(&rebuilt, V1), own_commit(V1, &rebuilt)),
        (
            "the other set is begun",
            derived().begun_by(&rebuilt, V1).claimed_by(&rebuilt, V1),
            own_commit(V1, &rebuilt),
        ),
        ("the other set is stable", derived().published_by(&rebuilt, V1), own_commit(V1, &rebuilt)),
        ("the other set has lapsed", derived().claim_of(&rebuilt, V1, lapsed, 60), Ok(Next::WriteClaim(V2))),
        (
            "the other set as given",
            derived().claim_of(&rebuilt, GIVEN, ClaimKind::Given, 0),
            // It may be what is left to see of a derived run of that set.
            own_commit(GIVEN, &rebuilt),
        ),
        // The earlier run may be about to publish 1.0.1, which others keep this one from.
        (
            "cannot follow",
            derived().claimed_by(&ours(), V1).claimed_by(&older(), V1),
            own_commit(V1, &ours()),
        ),
        (
            "need not follow",
            derived().claim_of(&ours(), V1, lapsed, 60).claimed_by(&older(), V1),
            Ok(Next::WriteClaim(V2)),
        ),
        (
            "another run moved on",
            derived().after_claims(&[V1]).claimed_by(&ours(), V2),
            own_commit(V2, &ours()),
        ),
        (
            "seen by the third list",
            derived().after_claims(&[V1]).after_set(V1).claimed_by(&ours(), V2),
            own_commit(V2, &ours()),
        ),
        // Our own claim has overwritten that of the run that wrote the set.
        (
            "moved from what another run began",
            derived().after_claims(&[V1, V2]).begun_by(&ours(), V1).claimed_by(&older(), V1),
            own_commit(V1, &ours()),
        ),
    ]);
}

#[test]
fn a_run_is_bounded() {
    let mut late = derived().after_claims(&[V1]);
    late.claimed[0].1 = CLAIM_WRITES;
    assert_eq!(late.decides(), Err(ClaimConflict::OutOfTime { version: V1 }));
    late.claimed[0].1 = CLAIM_WRITES - SignedDuration::from_secs(1);
    assert_eq!(late.decides(), Ok(Next::GoOn(V1)));
    late.claimed.insert(0, (Version::new(1, 0, 0), CLAIM_WRITES));
    assert_eq!(late.decides(), Err(ClaimConflict::OutOfTime { version: V1 }), "a move buys no time");

    let most = u64::try_from(MAX_CLAIMS).unwrap();
    let versions: Vec<Version> = (1..=most).map(|patch| Version::new(1, 0, patch)).collect();
    let last = *versions.last().unwrap();
    let crowded = derived().after_claims(&versions).claimed_by(&older(), last);
    assert_eq!(crowded.decides(), Err(ClaimConflict::Crowded { version: last }));
    assert_eq!(
        derived().after_claims(&versions[1..]).claimed_by(&older(), last).decides(),
        Ok(Next::WriteClaim(Version::new(1, 0, most + 1)))
    );
}

#[test]
fn few_requests() {
    let reads = |case: Case| -> Vec<String> {
        let one = |reads: &Reads| {
            let sets = reads.sets.iter().map(|version| format!("set-{version}"));
            sets.chain(reads.claims.iter().map(ToString::to_string)).collect::<Vec<_>>().join(" ")
        };
        case.trace().0.iter().map(one).collect()
    };
    let name = |found: &FoundSet, version: Version| ClaimName::new(version, &found.digest).to_string();
    let (base, none) = (Version::new(1, 0, 0), Vec::<String>::new());
    assert_eq!(reads(derived()), none, "an empty repository");
    assert_eq!(reads(derived().after_claims(&[V1, V2])), none, "own claims are known");
    let steady = derived()
        .published_by(&older(), Version::new(0, 9, 0))
        .claimed_by(&older(), Version::new(0, 9, 0))
        .published_by(&older(), base)
        .claimed_by(&older(), base);
    let highest = [format!("set-1.0.0 {}", name(&older(), base))];
    assert_eq!(reads(steady.clone()), highest, "the highest version; other claims on taken ones are settled");
    let racing = steady.claimed_by(&older(), V1).claimed_by(&newer(), V2);
    assert_eq!(
        reads(racing),
        [format!("set-1.0.0 {} {} {}", name(&older(), base), name(&older(), V1), name(&newer(), V2))],
        "all at once"
    );
    let long_ago =
        (1..=600).fold(derived(), |case, patch| case.published_by(&newer(), Version::new(1, 0, patch)));
    assert_eq!(reads(long_ago), ["set-1.0.600"], "whoever has been overtaken need not know by how many");
    assert_eq!(
        reads(given(V2).claimed_by(&older(), GIVEN)),
        none,
        "another line does not concern a given version"
    );
}

#[test]
fn what_is_known_is_not_read_again_while_it_counts() {
    let case = derived().claimed_by(&older(), V1).claim_of(&older(), V2, ClaimKind::Derived, 61);
    let tags: Vec<Tag> = case.tags.iter().map(|tag| tag.parse().unwrap()).collect();
    let mut machine = Claiming::new(case.claimant.clone(), BTreeSet::new());
    machine.listed(VersionTags::read(&tags), Vec::new(), now());
    for claim in &case.claims {
        machine.read_claim(claim.name(), Some(claim.clone()));
    }
    assert_eq!(machine.next(), Ok(Next::WriteClaim(V3)));
    let claim = machine.claim(V3, None, now());
    assert_eq!((claim.kind, claim.expires), (ClaimKind::Derived, now() + CLAIM_LIFETIME));
    machine.wrote_claim(V3, claim.created);
    assert_eq!(machine.deadline(), Some(now() + CLAIM_WRITES));
    machine.listed(VersionTags::read(&tags), Vec::new(), now());
    let lapsed = Reads { claims: vec![case.claims[1].name()], sets: vec![] };
    assert_eq!(machine.next(), Ok(Next::Read(lapsed)), "a rerun may have written it anew");
    machine.read_claim(case.claims[1].name(), None);
    assert_eq!(machine.next(), Ok(Next::GoOn(V3)), "retention has taken it");
}
