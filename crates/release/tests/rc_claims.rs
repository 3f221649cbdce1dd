//! Every interleaving of three pushers that number in sequence, each free to die at any step and to be run
//! again (DESIGN §9, `rcclaim-`).
//!
//! The pushers are driven by the very machine that registry-push uses; only the registry is a model. In
//! every state that can be reached: no candidate is ever written with two digests; one claimant whose runs
//! follow each other ends with one candidate, a rerun taking up the number that a killed run had for itself
//! alone; and whoever runs alone finishes.
//!
//! Whether an explorer finds anything is seen when the protocol is broken: the last test does that.

#![expect(clippy::unwrap_used, reason = "all of it is test code")]

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use granary_oci::{Digest, Tag};
use granary_release::{
    Candidate, CommitId, Member, RcClaimName, RcClaimant, RcNext, Sequence, TagKind, Version,
};

const BASE: Version = Version::new(1, 0, 0);

fn rc(number: u8) -> Candidate {
    Candidate { base: BASE, number: number.into() }
}

/// Numbers 0 to 31, a bit each.
fn bits(mask: u32) -> impl Iterator<Item = u8> {
    (0..32).filter(move |number| mask & (1 << number) != 0)
}

/// What the registry has of one claimant.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
struct Tags {
    claim: u32,
    /// `set-X.Y.Z-rc.N`
    set: u32,
    /// `X.Y.Z-rc.N`
    candidate: u32,
    /// `set-<40 hex>`: the number in it.
    of_commit: Option<u8>,
}

type Registry = [Tags; 3];

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Step {
    /// Looks whether the commit is published.
    Begin,
    List,
    Claim(u8),
    WriteCommitSet(u8),
    WriteSet(u8),
    WriteCandidate(u8),
    Done,
    Dead,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Runner {
    step: Step,
    /// Of this run, the last one, and how many there were.
    claimed: Option<u8>,
    claims: u8,
    reruns: u8,
}

impl Runner {
    const fn new(reruns: u8) -> Self {
        Runner { step: Step::Begin, claimed: None, claims: 0, reruns }
    }

    fn is_running(&self) -> bool {
        !matches!(self.step, Step::Done | Step::Dead)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    registry: Registry,
    runners: [Runner; 3],
}

struct Explorer {
    /// Which claimant each pusher is.
    who: [usize; 3],
    claimants: Vec<RcClaimant>,
    /// Goes on right after the claim.
    broken: bool,
    /// The machine's own bound would only make the model larger.
    most_claims: u8,
    visited: HashSet<State>,
    decisions: HashMap<(usize, Runner, Registry), Step>,
    /// Who is known to finish from where.
    ends: HashSet<(usize, Runner, Registry)>,
    adopted: usize,
    moved: usize,
    path: Vec<String>,
}

fn claimant(number: u8) -> RcClaimant {
    let commit: CommitId = format!("{:040x}", u64::from(number) + 1).parse().unwrap();
    let member = Member {
        name: "app".to_owned(),
        repository: "acme/app".parse().unwrap(),
        digest: Digest::of(&[number]),
        media_type: granary_oci::media_type::OCI_MANIFEST.to_owned(),
        size: 1,
    };
    RcClaimant::new(&commit, Some("main"), &[member])
}

impl Explorer {
    fn new(who: [usize; 3], broken: bool, most_claims: u8) -> Self {
        Explorer {
            who,
            claimants: (0..3).map(claimant).collect(),
            broken,
            most_claims,
            visited: HashSet::new(),
            decisions: HashMap::new(),
            ends: HashSet::new(),
            adopted: 0,
            moved: 0,
            path: Vec::new(),
        }
    }

    fn run(&mut self, reruns: [u8; 3]) -> Result<(), String> {
        self.visit(State { registry: Registry::default(), runners: reruns.map(Runner::new) })
    }

    fn visit(&mut self, state: State) -> Result<(), String> {
        if !self.visited.insert(state) {
            return Ok(());
        }
        self.finishes_alone(&state)?;
        for pusher in 0..3 {
            let runner = state.runners[pusher];
            let mut next = state;
            if runner.is_running() {
                let label = self.act(&mut next, pusher)?;
                self.follow(next, format!("{pusher}: {label}"))?;
                let mut next = state;
                next.runners[pusher].step = Step::Dead;
                self.follow(next, format!("{pusher}: dies"))?;
            } else if runner.step == Step::Dead && runner.reruns > 0 {
                next.runners[pusher] = Runner::new(runner.reruns - 1);
                self.follow(next, format!("{pusher}: is run again"))?;
            }
        }
        Ok(())
    }

    fn follow(&mut self, next: State, label: String) -> Result<(), String> {
        self.path.push(label);
        self.sound(&next)?;
        self.visit(next)?;
        self.path.pop();
        Ok(())
    }

    fn act(&mut self, state: &mut State, pusher: usize) -> Result<String, String> {
        let claimant = self.who[pusher];
        let runner = state.runners[pusher];
        let tags = &mut state.registry[claimant];
        let step = match runner.step {
            Step::Begin => tags.of_commit.map_or(Step::List, Step::WriteSet),
            Step::List => {
                let key = (self.who[pusher], runner, state.registry);
                let step = match self.decisions.get(&key) {
                    Some(&known) => known,
                    None => self.listed(&state.registry, pusher, runner)?,
                };
                self.decisions.insert(key, step);
                // With whom it always meets again gives up at some time; here sooner.
                match step {
                    Step::Claim(_) if runner.claims >= self.most_claims => Step::Dead,
                    step => step,
                }
            }
            Step::Claim(number) => {
                tags.claim |= 1 << number;
                let runner = &mut state.runners[pusher];
                runner.claimed = Some(number);
                runner.claims += 1;
                if self.broken { Step::WriteCommitSet(number) } else { Step::List }
            }
            Step::WriteCommitSet(number) => {
                tags.of_commit = Some(number);
                Step::WriteSet(number)
            }
            Step::WriteSet(number) => {
                tags.set |= 1 << number;
                Step::WriteCandidate(number)
            }
            Step::WriteCandidate(number) => {
                tags.candidate |= 1 << number;
                Step::Done
            }
            Step::Done | Step::Dead => unreachable!("not running"),
        };
        state.runners[pusher].step = step;
        Ok(format!("{:?}, then {step:?}", runner.step))
    }

    fn listed(&mut self, registry: &Registry, pusher: usize, runner: Runner) -> Result<Step, String> {
        let who = self.who[pusher];
        let mut machine = Sequence::new(BASE, self.claimants[who].clone());
        for _ in 0..runner.claims {
            machine.wrote(rc(runner.claimed.unwrap()));
        }
        assert_eq!(machine.next(), Ok(RcNext::List));
        machine.listed(&self.tags(registry));
        let others = (0..3).filter(|&other| other != who);
        let rivals = others.fold(0, |mask, other| mask | registry[other].claim);
        let own_alone = registry[who].claim & !rivals;
        loop {
            return match machine.next() {
                Ok(RcNext::Look(candidate)) => {
                    let number = u8::try_from(candidate.number).unwrap();
                    machine.looked(candidate, registry[who].set & (1 << number) != 0);
                    continue;
                }
                Ok(RcNext::Claim(_)) if own_alone != 0 => {
                    Err(self.violation("a number that nobody else claims is not taken up"))
                }
                Ok(RcNext::Claim(candidate)) => {
                    self.moved += usize::from(runner.claims > 0);
                    Ok(Step::Claim(u8::try_from(candidate.number).unwrap()))
                }
                Ok(RcNext::Own(candidate)) => {
                    self.adopted += usize::from(runner.claims == 0);
                    Ok(Step::WriteCommitSet(u8::try_from(candidate.number).unwrap()))
                }
                other => Err(self.violation(&format!("{other:?}"))),
            };
        }
    }

    fn tags(&self, registry: &Registry) -> Vec<Tag> {
        let mut tags = Vec::new();
        for (of_claimant, claimant) in registry.iter().zip(&self.claimants) {
            let claim = |number| RcClaimName { candidate: rc(number), claimant: claimant.clone() }.tag();
            tags.extend(bits(of_claimant.claim).map(claim));
            tags.extend(bits(of_claimant.set).map(|number| TagKind::CandidateSet(rc(number)).tag()));
            tags.extend(bits(of_claimant.candidate).map(|number| TagKind::Candidate(rc(number)).tag()));
        }
        tags
    }

    fn sound(&self, state: &State) -> Result<(), String> {
        let visible = |tags: &Tags| tags.set | tags.candidate;
        let mut seen = 0u32;
        for (claimant, tags) in state.registry.iter().enumerate() {
            if seen & visible(tags) != 0 {
                return Err(self.violation("a candidate has two digests"));
            }
            seen |= visible(tags);
            let runs = self.who.iter().filter(|&&who| who == claimant).count();
            if runs == 1 && visible(tags).count_ones() > 1 {
                return Err(self.violation("one push became two candidates"));
            }
        }
        Ok(())
    }

    /// Whoever goes on, or is run anew, without anybody else, comes to its end.
    fn finishes_alone(&mut self, state: &State) -> Result<(), String> {
        for pusher in 0..3 {
            let mut alone = *state;
            let key = (self.who[pusher], alone.runners[pusher], alone.registry);
            if !self.ends.insert(key) {
                continue;
            }
            if !alone.runners[pusher].is_running() {
                alone.runners[pusher] = Runner::new(0);
            }
            let most_claims = std::mem::replace(&mut self.most_claims, u8::MAX);
            for _ in 0..12 {
                if alone.runners[pusher].is_running() {
                    self.act(&mut alone, pusher)?;
                }
            }
            self.most_claims = most_claims;
            if alone.runners[pusher].step != Step::Done {
                return Err(self.violation("a pusher does not finish alone"));
            }
        }
        Ok(())
    }

    fn violation(&self, what: &str) -> String {
        let mut text = format!("{what}, after:\n");
        for step in &self.path {
            writeln!(text, "  {step}").unwrap();
        }
        text
    }
}

#[expect(clippy::print_stdout, reason = "the counts, with --nocapture")]
fn explore(who: [usize; 3], reruns: [u8; 3], most_claims: u8) {
    let mut explorer = Explorer::new(who, false, most_claims);
    if let Err(violation) = explorer.run(reruns) {
        panic!("{violation}");
    }
    println!("{who:?}: {} states", explorer.visited.len());
    assert!(explorer.adopted > 0, "no rerun ever took up a number");
    assert!(explorer.moved > 0, "nobody ever gave way");
}

#[test]
fn three_commits_that_are_run_again() {
    explore([0, 1, 2], [1, 0, 0], 2);
}

#[test]
fn two_runs_of_one_commit_beside_another() {
    explore([0, 0, 1], [1, 0, 0], 3);
}

#[test]
fn without_the_second_list_a_candidate_gets_two_digests() {
    let found = Explorer::new([0, 1, 2], true, 2).run([0, 0, 0]);
    let text = found.expect_err("the explorer must notice");
    assert!(text.starts_with("a candidate has two digests"), "{text}");
}

/// Sixty-four pushers that begin at the same moment, in whatever order their requests come in: each has a
/// number of its own, long before the bound.
#[test]
fn sixty_four_at_once_come_apart() {
    const PUSHERS: usize = 64;
    for seed in 1..=8u64 {
        let mut random = seed;
        let mut draw = |below: usize| {
            // Knuth's MMIX generator; its high bits are good enough to pick somebody.
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(random >> 33).unwrap() % below
        };
        let mut tags: Vec<Tag> = Vec::new();
        let mut waiting: Vec<Sequence> =
            (0..PUSHERS).map(|number| Sequence::new(BASE, claimant(u8::try_from(number).unwrap()))).collect();
        // All list the empty repository, all claim, all list: nobody is ever alone at first.
        let mut claims = vec![0; PUSHERS];
        let mut owned: Vec<Option<Candidate>> = vec![None; PUSHERS];
        while owned.iter().any(Option::is_none) {
            let mut order: Vec<usize> = (0..PUSHERS).filter(|&who| owned[who].is_none()).collect();
            for at in (1..order.len()).rev() {
                order.swap(at, draw(at + 1));
            }
            // Some are a step behind.
            order.truncate(order.len() - draw(order.len()) / 2);
            for who in order {
                match waiting[who].next().unwrap() {
                    RcNext::List => waiting[who].listed(&tags),
                    RcNext::Claim(candidate) => {
                        tags.push(waiting[who].claim(candidate).tag());
                        waiting[who].wrote(candidate);
                        claims[who] += 1;
                    }
                    RcNext::Own(candidate) => owned[who] = Some(candidate),
                    other => panic!("{other:?}"),
                }
            }
        }
        let different: HashSet<u64> = owned.iter().flatten().map(|candidate| candidate.number).collect();
        assert_eq!(different.len(), PUSHERS, "seed {seed}");
        let most = claims.iter().max().unwrap();
        assert!(*most <= granary_release::MAX_RC_CLAIMS / 2, "seed {seed}: {most} claims");
    }
}
