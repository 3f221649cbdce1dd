//! Every interleaving of a few promoters at one registry, each free to die at any step, to be run again,
//! and to have its claims lapse (DESIGN §9, "Claim").
//!
//! The promoters are driven by the very machine that promote uses; only the registry is a model: tags
//! that the last writer wins, and a list that is current. Four things must hold in every state that can
//! be reached: no version is ever written with two digests; a commit gets at most one derived version;
//! derived versions of a branch rise in the order of its candidates, whatever is given beside them; and
//! the newest candidate, when it runs alone to the end, finishes.
//!
//! Whether an explorer finds anything is seen when the protocol is broken: the last tests do that.

#![expect(clippy::unwrap_used, reason = "all of it is test code")]

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;

use granary_oci::{Digest, Tag};
use granary_release::claim::{Claim, ClaimKind, ClaimName, Claimant, Claiming, Next, Wanted};
use granary_release::{CommitId, FoundSet, Member, OnTaken, ReleaseSet, TagKind, Version, VersionTags};
use jiff::{SignedDuration, Timestamp};

/// Versions of the model: 1.0.1 to 1.0.10, then 2.0.0 to 2.0.5. A bit each.
const VERSIONS: u8 = 16;

fn version(index: u8) -> Version {
    match index {
        0..10 => Version::new(1, 0, u64::from(index) + 1),
        _ => Version::new(2, 0, u64::from(index) - 10),
    }
}

fn index(version: Version) -> u8 {
    let index = (0..VERSIONS).find(|&index| self::version(index) == version);
    index.unwrap_or_else(|| panic!("{version} lies beyond the model; give it more versions"))
}

fn bits(mask: u16) -> impl Iterator<Item = u8> {
    (0..VERSIONS).filter(move |index| mask & (1 << index) != 0)
}

/// One promoter: which commit, which of its sets, and what it wants.
#[derive(Clone, Copy)]
struct Promoter {
    commit: u8,
    set: u8,
    /// Order number of the commit.
    order: u64,
    given: Option<Version>,
    /// How often it is run again.
    reruns: u8,
}

const fn derived(commit: u8, reruns: u8) -> Promoter {
    Promoter { commit, set: commit, order: commit as u64 + 1, given: None, reruns }
}

const fn given(commit: u8, version: Version, reruns: u8) -> Promoter {
    Promoter { given: Some(version), ..derived(commit, reruns) }
}

/// What the registry has of one set: a bit for each version.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
struct Tags {
    claim: u16,
    /// Of those, the claims that have lapsed.
    lapsed: u16,
    /// Of those, the claims to given versions.
    given: u16,
    /// `set-X.Y.Z`
    set: u16,
    /// `X.Y.Z`
    version: u16,
    /// Of those, what a promoter had derived. No tag: the explorer's own note.
    derived: u16,
}

type Registry = [Tags; 3];

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Step {
    /// Will list the tags.
    List,
    /// Has listed (which of the lists that were ever seen), and will read claims and decide.
    Decide(u32),
    WriteClaim(u8),
    WriteSet(u8),
    WriteVersion(u8),
    Done,
    /// Superseded, or a conflict.
    GaveUp,
    Dead,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Runner {
    step: Step,
    claimed: u16,
    /// The last of them.
    target: Option<u8>,
    set_written: Option<u8>,
    reruns: u8,
}

impl Runner {
    fn new(reruns: u8) -> Self {
        Runner { step: Step::List, claimed: 0, target: None, set_written: None, reruns }
    }

    fn is_running(&self) -> bool {
        !matches!(self.step, Step::Done | Step::GaveUp | Step::Dead)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    registry: Registry,
    runners: [Runner; 3],
}

/// How the protocol is broken, to see that it is noticed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Broken {
    Nothing,
    /// Goes on right after the claim.
    NoSecondList,
    /// Publishes right after the set.
    NoThirdList,
    /// Goes on writing when its claims have lapsed already.
    WritesTooLong,
}

struct Explorer<'a> {
    promoters: &'a [Promoter],
    founds: Vec<FoundSet>,
    broken: Broken,
    /// Whether the list and the claims are read at two times.
    split: bool,
    visited: HashSet<State>,
    transitions: usize,
    decisions: HashMap<(usize, Runner, Registry, Registry), (Step, &'static str)>,
    lists: HashMap<Registry, u32>,
    listed: Vec<Registry>,
    ends: HashMap<(Runner, Registry), bool>,
    outcomes: BTreeSet<&'static str>,
    path: Vec<String>,
}

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn found_set(promoter: &Promoter) -> FoundSet {
    let commit: CommitId = format!("{:040x}", promoter.commit + 1).parse().unwrap();
    let set = ReleaseSet {
        commit,
        branch: Some("main".to_owned()),
        candidate: "1.0.1-rc.1".parse().unwrap(),
        order: Some(promoter.order),
        pipeline_url: None,
        created: Timestamp::UNIX_EPOCH,
        members: vec![Member {
            name: "app".to_owned(),
            repository: "acme/app".parse().unwrap(),
            digest: Digest::of(&[promoter.set]),
            media_type: granary_oci::media_type::OCI_MANIFEST.to_owned(),
            size: 1,
        }],
        replaces: None,
    };
    FoundSet::new(set)
}

impl<'a> Explorer<'a> {
    fn new(promoters: &'a [Promoter], broken: Broken, split: bool) -> Self {
        Explorer {
            promoters,
            founds: promoters.iter().map(found_set).collect(),
            broken,
            split,
            visited: HashSet::new(),
            transitions: 0,
            decisions: HashMap::new(),
            lists: HashMap::new(),
            listed: Vec::new(),
            ends: HashMap::new(),
            outcomes: BTreeSet::new(),
            path: Vec::new(),
        }
    }

    /// Explores everything; the first violation with the steps that lead to it.
    fn run(&mut self) -> Result<(), String> {
        let mut runners = [Runner { step: Step::Done, ..Runner::new(0) }; 3];
        for (runner, promoter) in runners.iter_mut().zip(self.promoters) {
            *runner = Runner::new(promoter.reruns);
        }
        self.visit(State { registry: Registry::default(), runners })
    }

    fn visit(&mut self, state: State) -> Result<(), String> {
        if !self.visited.insert(state) {
            return Ok(());
        }
        self.newest_finishes(&state)?;
        for who in 0..self.promoters.len() {
            let runner = state.runners[who];
            if runner.is_running() {
                let mut next = state;
                let label = self.act(&mut next, who)?;
                self.follow(next, format!("{who}: {label}"))?;
                if runner.claimed != 0 {
                    let mut next = state;
                    next.runners[who].step = Step::Dead;
                    self.follow(next, format!("{who}: dies"))?;
                }
            } else if runner.step != Step::Done && runner.reruns > 0 {
                let mut next = state;
                next.runners[who] = Runner::new(runner.reruns - 1);
                self.follow(next, format!("{who}: is run again"))?;
            }
        }
        for (set, tags) in state.registry.iter().enumerate() {
            let visible = state.registry.iter().fold(0, |mask, tags| mask | tags.version);
            // The owner of a claim stops writing before others stop minding it.
            let owned = state
                .runners
                .iter()
                .zip(self.promoters)
                .filter(|(runner, promoter)| usize::from(promoter.set) == set && runner.is_running())
                .fold(0, |mask, (runner, _)| mask | runner.claimed);
            let owned = if self.broken == Broken::WritesTooLong { 0 } else { owned };
            let lapsing = tags.claim & !tags.lapsed & !visible & !owned;
            if lapsing != 0 {
                let mut next = state;
                next.registry[set].lapsed |= lapsing;
                self.follow(next, format!("claims of set {set} lapse"))?;
            }
        }
        Ok(())
    }

    fn follow(&mut self, next: State, label: String) -> Result<(), String> {
        self.transitions += 1;
        self.path.push(label);
        self.visit(next)?;
        self.path.pop();
        Ok(())
    }

    /// Lets one promoter take its next step.
    fn act(&mut self, state: &mut State, who: usize) -> Result<String, String> {
        let promoter = self.promoters[who];
        let set = usize::from(promoter.set);
        let bit = |index: u8| 1u16 << index;
        let runner = &mut state.runners[who];
        let label = match runner.step {
            Step::List if self.split => {
                let list = names(&state.registry);
                let next = u32::try_from(self.lists.len()).unwrap();
                let number = *self.lists.entry(list).or_insert(next);
                if number == next {
                    self.listed.push(list);
                }
                runner.step = Step::Decide(number);
                "lists".to_owned()
            }
            Step::List => {
                let runner = *runner;
                let (step, what) = self.decide(who, runner, &state.registry, &state.registry);
                state.runners[who].step = step;
                format!("lists: {what} {step:?}")
            }
            Step::Decide(listed) => {
                let runner = Runner { step: Step::List, ..*runner };
                let listed = self.listed[listed as usize];
                let (step, what) = self.decide(who, runner, &listed, &state.registry);
                state.runners[who].step = step;
                format!("decides: {what} {step:?}")
            }
            Step::WriteClaim(index) => {
                let tags = &mut state.registry[set];
                tags.claim |= bit(index);
                tags.lapsed &= !bit(index);
                match promoter.given {
                    Some(_) => tags.given |= bit(index),
                    None => tags.given &= !bit(index),
                }
                runner.claimed |= bit(index);
                runner.target = Some(index);
                runner.step = match self.broken {
                    Broken::NoSecondList => Step::WriteSet(index),
                    _ => Step::List,
                };
                format!("writes claim-{}", version(index))
            }
            Step::WriteSet(index) => {
                state.registry[set].set |= bit(index);
                runner.set_written = Some(index);
                runner.step = match self.broken {
                    Broken::NoThirdList | Broken::NoSecondList => Step::WriteVersion(index),
                    _ => Step::List,
                };
                self.one_digest(state, index)?;
                format!("writes set-{}", version(index))
            }
            Step::WriteVersion(index) => {
                let tags = &mut state.registry[set];
                tags.version |= bit(index);
                if promoter.given.is_none() {
                    tags.derived |= bit(index);
                }
                runner.step = Step::Done;
                self.one_digest(state, index)?;
                self.derived_versions(&state.registry)?;
                format!("writes {}", version(index))
            }
            Step::Done | Step::GaveUp | Step::Dead => unreachable!("not running"),
        };
        Ok(label)
    }

    fn decide(
        &mut self,
        who: usize,
        runner: Runner,
        listed: &Registry,
        now: &Registry,
    ) -> (Step, &'static str) {
        let key = (who, runner, names(listed), *now);
        if let Some(known) = self.decisions.get(&key) {
            return *known;
        }
        let found = self.ask_machine(who, runner, listed, now);
        self.outcomes.insert(found.1);
        self.decisions.insert(key, found);
        found
    }

    /// One look of the real machine at the modelled registry.
    fn ask_machine(
        &self,
        who: usize,
        runner: Runner,
        listed: &Registry,
        present: &Registry,
    ) -> (Step, &'static str) {
        let promoter = self.promoters[who];
        let claimant = Claimant {
            found: self.founds[who].clone(),
            wanted: promoter.given.map_or(Wanted::Derived(OnTaken::Next), Wanted::Given),
            lowest_base: version(0),
            allow_older: false,
        };
        let mut machine = Claiming::new(claimant, BTreeSet::new());
        let before = bits(runner.claimed).filter(|&index| Some(index) != runner.target);
        for index in before.chain(runner.target) {
            machine.wrote_claim(version(index), now());
        }
        if let Some(index) = runner.set_written {
            machine.wrote_set(version(index));
        }
        assert_eq!(machine.next(), Ok(Next::List));
        machine.listed(self.tag_list(listed), Vec::new(), now());
        loop {
            let step = match machine.next() {
                Ok(Next::Read(reads)) => {
                    for name in reads.claims {
                        let claim = self.claim(&name, present);
                        machine.read_claim(name, claim);
                    }
                    for version in reads.sets {
                        let bit = 1 << index(version);
                        let holder = self.set_with(present, |tags| tags.set & bit != 0);
                        machine.read_set(version, holder.cloned());
                    }
                    continue;
                }
                Ok(Next::WriteClaim(version)) if runner.claimed == 0 => {
                    (Step::WriteClaim(index(version)), "claims")
                }
                Ok(Next::WriteClaim(version)) => (Step::WriteClaim(index(version)), "moves"),
                Ok(Next::GoOn(version)) => (Step::WriteSet(index(version)), "goes on"),
                Ok(Next::Publish(version)) => (Step::WriteVersion(index(version)), "publishes"),
                Ok(Next::Finish(_)) => (Step::Done, "has it already"),
                Ok(Next::Superseded { .. }) => (Step::GaveUp, "superseded"),
                Err(error) => match error {
                    granary_release::claim::ClaimConflict::OwnCommit { .. } => (Step::GaveUp, "own commit"),
                    granary_release::claim::ClaimConflict::Claimed { .. } => (Step::GaveUp, "claimed"),
                    granary_release::claim::ClaimConflict::Held { .. } => (Step::GaveUp, "held"),
                    other => panic!("{other}"),
                },
                Ok(other) => panic!("{other:?}"),
            };
            return step;
        }
    }

    fn tag_list(&self, registry: &Registry) -> VersionTags {
        let mut tags: BTreeSet<Tag> = BTreeSet::new();
        for (promoter, found) in self.promoters.iter().zip(&self.founds) {
            let of_set = &registry[usize::from(promoter.set)];
            tags.extend(bits(of_set.claim).map(|index| ClaimName::new(version(index), &found.digest).tag()));
            tags.extend(bits(of_set.set).map(|index| TagKind::VersionSet(version(index)).tag()));
            tags.extend(bits(of_set.version).map(|index| TagKind::Version(version(index)).tag()));
        }
        VersionTags::read(&tags)
    }

    fn set_with(&self, registry: &Registry, has: impl Fn(&Tags) -> bool) -> Option<&FoundSet> {
        let sets = self.promoters.iter().zip(&self.founds);
        sets.into_iter()
            .find(|(promoter, _)| has(&registry[usize::from(promoter.set)]))
            .map(|(_, found)| found)
    }

    fn claim(&self, name: &ClaimName, registry: &Registry) -> Option<Claim> {
        let bit = 1u16 << index(name.version);
        let sets = self.promoters.iter().zip(&self.founds);
        let (promoter, found) = sets.into_iter().find(|(_, found)| name.is_of(&found.digest))?;
        let tags = &registry[usize::from(promoter.set)];
        let kind = if tags.given & bit != 0 { ClaimKind::Given } else { ClaimKind::Derived };
        let age = SignedDuration::from_hours(if tags.lapsed & bit != 0 { 2 } else { 0 });
        (tags.claim & bit != 0)
            .then(|| Claim::new(name.version, kind, (&found.digest, &found.set), None, now() - age))
    }

    fn violation(&self, what: &str) -> String {
        let mut text = format!("{what}, after:\n");
        for step in &self.path {
            writeln!(text, "  {step}").unwrap();
        }
        text
    }

    fn one_digest(&self, state: &State, index: u8) -> Result<(), String> {
        let writers =
            state.registry.iter().filter(|tags| (tags.set | tags.version) & (1 << index) != 0).count();
        match writers {
            1 => Ok(()),
            _ => Err(self.violation(&format!("{} has two digests", version(index)))),
        }
    }

    fn derived_versions(&self, registry: &Registry) -> Result<(), String> {
        let mut all: Vec<(u64, u8)> = Vec::new();
        for (set, tags) in registry.iter().enumerate() {
            if let Some(promoter) = self.promoters.iter().find(|promoter| usize::from(promoter.set) == set) {
                all.extend(bits(tags.derived).map(|index| (promoter.order, index)));
            }
        }
        all.sort_unstable();
        for pair in all.windows(2) {
            let ((older, lower), (newer, higher)) = (pair[0], pair[1]);
            if older == newer {
                return Err(self.violation("a commit has two derived versions"));
            }
            if lower > higher {
                return Err(self.violation("an older candidate has the higher version"));
            }
        }
        Ok(())
    }

    /// Whether the newest candidate finishes alone: run anew when every claim has lapsed; and, where
    /// nothing else promotes its commit, from where it stands now.
    fn newest_finishes(&mut self, state: &State) -> Result<(), String> {
        let newest = (0..self.promoters.len()).max_by_key(|&who| self.promoters[who].order);
        let who = newest.expect("there are promoters");
        let commit = self.promoters[who].commit;
        // As other bytes by a Git tag too: then there is no derived version any more.
        let own_set = self.promoters[who].set;
        let published = self.promoters.iter().filter(|other| other.commit == commit).any(|other| {
            let tags = state.registry[usize::from(other.set)];
            tags.derived != 0 || (other.set != own_set && tags.version != 0)
        });
        if self.promoters[who].given.is_some() || published || self.broken != Broken::Nothing {
            return Ok(());
        }
        let mut lapsed = state.registry;
        for tags in &mut lapsed {
            tags.lapsed = tags.claim;
        }
        if !self.finishes(who, Runner::new(0), lapsed) {
            return Err(self.violation("the newest candidate does not finish when it is run anew"));
        }
        let alone = self.promoters.iter().filter(|other| other.commit == commit).count() == 1;
        let runner = state.runners[who];
        let first_run = runner.reruns == self.promoters[who].reruns;
        if alone && first_run && runner.is_running() && !self.finishes(who, runner, state.registry) {
            return Err(self.violation("the newest candidate does not finish undisturbed"));
        }
        Ok(())
    }

    fn finishes(&mut self, who: usize, runner: Runner, registry: Registry) -> bool {
        if let Some(&known) = self.ends.get(&(runner, registry)) {
            return known;
        }
        let mut state = State { registry, runners: [Runner { step: Step::Dead, ..runner }; 3] };
        state.runners[who] = runner;
        let mut ends = false;
        for _ in 0..40 {
            if !state.runners[who].is_running() || self.act(&mut state, who).is_err() {
                ends = state.runners[who].step == Step::Done;
                break;
            }
        }
        self.ends.insert((runner, registry), ends);
        ends
    }
}

/// What a list shows: names, and nothing of what lies under them.
fn names(registry: &Registry) -> Registry {
    registry.map(|tags| Tags { lapsed: 0, given: 0, derived: 0, ..tags })
}

/// Explores, and says what it took.
#[expect(clippy::print_stdout, reason = "the counts, with --nocapture")]
fn explore(name: &str, promoters: &[Promoter], split: bool) -> BTreeSet<&'static str> {
    let started = std::time::Instant::now();
    let mut explorer = Explorer::new(promoters, Broken::Nothing, split);
    let result = explorer.run();
    let (states, transitions) = (explorer.visited.len(), explorer.transitions);
    println!(
        "{name}: {states} states, {transitions} steps, {:?}: {:?}",
        started.elapsed(),
        explorer.outcomes
    );
    if let Err(violation) = result {
        panic!("{name}: {violation}");
    }
    explorer.outcomes
}

fn violation(promoters: &[Promoter], broken: Broken) -> String {
    let found = Explorer::new(promoters, broken, false).run();
    let text = found.expect_err("the explorer must notice");
    text.lines().next().unwrap_or_default().to_owned()
}

const GIVEN_BESIDE: Version = Version::new(1, 0, 2);
const GIVEN_ABOVE: Version = Version::new(2, 0, 0);

#[test]
fn three_commits_of_a_branch() {
    let outcomes = explore("three commits", &[derived(0, 0), derived(1, 0), derived(2, 1)], false);
    for outcome in ["moves", "superseded", "own commit", "publishes"] {
        assert!(outcomes.contains(outcome), "{outcome} never happened");
    }
}

#[test]
fn list_and_claims_are_read_at_two_times() {
    explore("two commits, split", &[derived(0, 2), derived(1, 2)], true);
    explore("given, split", &[given(0, GIVEN_BESIDE, 1), derived(1, 2)], true);
}

#[test]
fn two_runs_of_one_commit() {
    let outcomes = explore("two runs", &[derived(0, 0), derived(1, 1), derived(1, 0)], false);
    assert!(outcomes.contains("own commit"));
    explore("two runs, older", &[derived(0, 1), derived(0, 0), derived(1, 0)], false);
}

#[test]
fn two_sets_of_one_commit() {
    let rebuilt = Promoter { set: 2, ..derived(1, 0) };
    let outcomes = explore("two sets", &[derived(0, 0), derived(1, 1), rebuilt], false);
    assert!(outcomes.contains("own commit"));
}

#[test]
fn a_given_version_beside_derived_ones() {
    for (name, beside) in [("given 1.0.2", GIVEN_BESIDE), ("given 2.0.0", GIVEN_ABOVE)] {
        for at in 0..3 {
            let mut promoters = [derived(0, 0), derived(1, 0), derived(2, 0)];
            promoters[at] = given(at as u8, beside, 0);
            explore(&format!("{name} for commit {at}"), &promoters, false);
        }
    }
    let both = [derived(0, 0), derived(1, 1), given(1, GIVEN_BESIDE, 1)];
    explore("given beside derived of one commit", &both, false);
}

/// The run by tag has the derived run's set and version, and so the tag of its claim: the rebuilt one sees only what was
/// written there last.
#[test]
fn a_git_tag_on_the_version_that_is_derived_while_the_commit_is_rebuilt() {
    let rebuilt = Promoter { set: 1, ..derived(0, 0) };
    let outcomes = explore("given over derived", &[derived(0, 0), given(0, version(0), 0), rebuilt], false);
    assert!(outcomes.contains("own commit"));
}

#[test]
fn without_the_second_list_a_version_gets_two_digests() {
    let promoters = [derived(0, 0), derived(1, 0)];
    assert_eq!(violation(&promoters, Broken::NoSecondList), "1.0.1 has two digests, after:");
}

#[test]
fn without_the_third_list_a_commit_gets_two_versions() {
    let promoters = [derived(0, 0), derived(1, 1), derived(1, 0)];
    assert_eq!(violation(&promoters, Broken::NoThirdList), "a commit has two derived versions, after:");
}

#[test]
fn who_writes_on_after_its_claim_has_lapsed_is_overtaken() {
    let promoters = [derived(0, 0), derived(1, 1), given(2, GIVEN_BESIDE, 0)];
    assert_eq!(violation(&promoters, Broken::WritesTooLong), "1.0.2 has two digests, after:");
}
