//! A test run, from the candidate under test to the evidence on it.
//!
//! Tags are resolved before the tests and again after them: if they moved in between, there is no
//! telling what was tested, and no evidence is made.

mod attempts;
mod commands;
mod evidence;
mod files;
mod look;
mod record;
mod runs;
mod secrets;
mod shares;
mod wait;

use granary_attest::key::SigningKey;
use granary_net::Http;
use granary_oci::{Platform, RegistryHost};
use granary_plugin::{Context, Failure, Kind, Stopped};
use granary_registry::Registry;
use granary_release::FoundSet;
use jiff::Timestamp;

use crate::plan::{Ran, is_under_test};
use crate::report;
use crate::results::{Decision, Outcome, TestOutcome, decide, is_ahead, older_than, too_old};
use crate::settings::{Mode, Settings};

pub(crate) use self::look::{Look, Moment};
pub(crate) use self::runs::{FOLDER as RUNS_FOLDER, forget_other_sets};

use self::record::RunRecord;
use self::runs::Reads;

/// A test run under way.
pub struct TestRun<'a> {
    /// The run.
    pub context: &'a Context,
    /// What it was asked to do.
    pub settings: &'a Settings,
    /// The registry's address, as the tests see it.
    pub host: RegistryHost,
    /// The registry. None where a copy of this program runs the tests: what it knows was found out when it
    /// was installed, and whoever judges after it looks again.
    pub registry: Option<&'a Registry>,
    /// For `wait_for`.
    pub http: &'a Http,
    /// What is under test.
    pub found: FoundSet,
    /// Which manifests of that run here, where no registry can be asked.
    pub parts: Vec<Ran>,
    /// What signs the evidence.
    pub key: Option<SigningKey>,
}

/// What came of the tests.
struct Judged {
    outcome: Outcome,
    decision: Decision,
    /// When the first attempt began and the last one ended, if this step ran them.
    measured: Option<(Timestamp, Timestamp)>,
    history: History,
    /// Why the run's record does not say what was decided, if it does not.
    unrecorded: Option<Failure>,
}

/// What is known of how the tests ran, whatever came of them.
#[derive(Clone, Copy)]
struct History {
    /// When the first attempt began.
    began: Option<Timestamp>,
    /// How often they ran.
    attempts: u32,
}

impl History {
    /// Nobody has told.
    const UNTOLD: History = History { began: None, attempts: 1 };

    /// What all records tell together: the earliest beginning, the most attempts.
    fn of(records: &[RunRecord]) -> Self {
        records.iter().map(RunRecord::history).fold(History::UNTOLD, |one, other| History {
            began: one.began.into_iter().chain(other.began).min(),
            attempts: one.attempts.max(other.attempts),
        })
    }
}

/// Why there is no decision.
struct Unjudged {
    failure: Failure,
    /// Whether it is about this candidate: its tests did not run to their end.
    counts: bool,
    history: History,
}

impl Unjudged {
    /// Something lies there that is about another candidate.
    fn about_another(failure: Failure) -> Self {
        Unjudged { failure, counts: false, history: History::UNTOLD }
    }
}

impl From<Failure> for Unjudged {
    fn from(failure: Failure) -> Self {
        // A stop, a registry that fails, a bad setting: nothing of that is the candidate's doing.
        let counts = matches!(failure.kind(), Kind::Tests | Kind::BadInput);
        Unjudged { failure, counts, history: History::UNTOLD }
    }
}

impl From<Stopped> for Unjudged {
    fn from(stopped: Stopped) -> Self {
        Unjudged { failure: stopped.into(), counts: false, history: History::UNTOLD }
    }
}

impl TestRun<'_> {
    /// Tests.
    ///
    /// # Errors
    /// With exit code 13 if the tests failed, and the others of DESIGN §6.
    pub async fn run(&self) -> Result<(), Failure> {
        let look = self.look();
        let (ran, platforms) = match &look {
            Some(look) => look.first().await?,
            None => (self.parts.clone(), Vec::new()),
        };
        if self.context.common.dry_run {
            report::plan(self.context, self.settings, &self.found, self.words()?.as_deref());
            return Ok(());
        }
        self.check_files()?;
        let judged = match &self.settings.mode {
            Mode::Run(commands) => self.run_commands(commands, &ran).await,
            Mode::Report => self.report(&ran),
        };
        let mut judged = match judged {
            Ok(judged) => judged,
            Err(unjudged) => {
                if unjudged.counts {
                    self.attest_that_nothing_counts(&ran, platforms, &unjudged).await;
                }
                self.write_failure(&unjudged);
                return Err(unjudged.failure);
            }
        };
        let mut written = self.write_judged(&judged);
        if let Some(unrecorded) = judged.unrecorded.take() {
            // A step that signs by itself has no judge after it who would miss the record.
            if self.key.is_some() || written.is_err() {
                self.context.output.warn(unrecorded);
            } else {
                written = Err(unrecorded);
            }
        }
        let end = self.vouch(&ran, platforms, &judged, look.as_ref()).await;
        self.ended(end, written)
    }

    /// Attaches evidence of what was decided, if nothing moved meanwhile.
    async fn vouch(
        &self,
        ran: &[Ran],
        platforms: Vec<Platform>,
        judged: &Judged,
        look: Option<&Look<'_>>,
    ) -> Result<(), Failure> {
        self.context.stop.check()?;
        // In mode `report` the tests ran before the first look, which is the one after them already.
        if let (Mode::Run(_), Some(look)) = (&self.settings.mode, look) {
            look.check_tags(Moment::After).await?;
        }
        if self.settings.negative_control && judged.decision.result != TestOutcome::Failed {
            return Err(report::control_passed(&judged.decision));
        }
        self.attest(ran, platforms, judged).await?;
        self.verdict(judged)
    }

    /// The exit code that the decision comes to.
    fn verdict(&self, judged: &Judged) -> Result<(), Failure> {
        let decision = &judged.decision;
        let output = &self.context.output;
        match decision.result {
            // Tests that could not run, or were skipped, tell nothing of what a test can notice.
            TestOutcome::Failed if self.settings.negative_control && judged.outcome.has_failed() => {
                output.info("negative control: the tests notice the known-bad candidate, as they must");
                Ok(())
            }
            TestOutcome::Failed => Err(report::failure(decision, &self.settings.mode)),
            TestOutcome::Passed => Ok(()),
            TestOutcome::Warned => {
                output.warn(report::warning(decision, judged.history.attempts));
                Ok(())
            }
        }
    }

    fn look(&self) -> Option<Look<'_>> {
        let platforms = &self.settings.platforms;
        self.registry.map(|registry| Look { context: self.context, registry, found: &self.found, platforms })
    }

    /// Judges what an earlier step's tests left.
    fn report(&self, ran: &[Ran]) -> Result<Judged, Unjudged> {
        self.check_clock()?;
        let reads = Reads::of(self.settings, &self.context.workspace);
        let records = runs::read(self.context, &self.found, &reads)?;
        let history = History::of(&records);
        self.context.record(|facts| {
            facts.extra.insert("attempts".to_owned(), history.attempts.into());
        });
        match self.reported(&records, ran) {
            Ok((outcome, decision)) => {
                Ok(Judged { outcome, decision, measured: None, history, unrecorded: None })
            }
            Err(unjudged) => Err(Unjudged { history, ..unjudged }),
        }
    }

    /// Reads results and decides. Results that are older than the candidate are about another.
    fn reported(&self, records: &[RunRecord], ran: &[Ran]) -> Result<(Outcome, Decision), Unjudged> {
        records.iter().try_for_each(|record| self.check_record(record))?;
        let outcome = self.read_results()?;
        let created = self.found.set.created;
        if let Some(when) = older_than(created, outcome.finished, self.oldest_file()) {
            let message =
                format!("the results are from {when}, before the candidate was published on {created}");
            return Err(Failure::new(Kind::Tests, message)
                .hint("results of an earlier run count for nothing; let the tests write them anew")
                .into());
        }
        let most = self.settings.max_results_age;
        if let Some(message) =
            most.and_then(|most| too_old(outcome.finished, self.oldest_file(), most, self.context.now()))
        {
            return Err(Failure::new(Kind::Tests, message)
                .hint("let the tests of this pipeline write them anew")
                .into());
        }
        self.check_named_digest(&outcome, ran)?;
        let mut decision = decide(&outcome, &self.settings.rules);
        records.iter().for_each(|record| record.add_to(&mut decision));
        report::tests(self.context, &outcome, &decision, None);
        Ok((outcome, decision))
    }

    /// A candidate that is yet to come would be older than no results at all.
    fn check_clock(&self) -> Result<(), Failure> {
        let (created, now) = (self.found.set.created, self.context.now());
        if !is_ahead(created, now) {
            return Ok(());
        }
        let message = format!(
            "the candidate was published on {created}, and here it is {now}: no telling which results are older"
        );
        Err(Failure::new(Kind::Undecidable, message)
            .hint("compare the clocks of this machine and of the one that ran registry-push"))
    }

    /// A record must be of this set, and of a run that came to its end.
    fn check_record(&self, record: &RunRecord) -> Result<(), Unjudged> {
        if let Some(other) = record.is_about_another(&self.found) {
            let message = format!("the record of the test run is about {other}, which is not under test");
            let hint = format!("under test is set {}; remove what an earlier run left", self.found.digest);
            return Err(Unjudged::about_another(Failure::new(Kind::BadInput, message).hint(hint)));
        }
        match record.cut_short() {
            None => Ok(()),
            Some(why) => {
                let said = record.problems.first().map_or_else(String::new, |problem| format!(": {problem}"));
                Err(Failure::new(Kind::Tests, format!("the tests did not run to their end: {why}{said}"))
                    .hint("look at the output of the step that ran them")
                    .into())
            }
        }
    }

    /// Results that name a digest must name one that is under test.
    fn check_named_digest(&self, outcome: &Outcome, ran: &[Ran]) -> Result<(), Unjudged> {
        let Some(named) =
            outcome.named_digest.as_ref().filter(|named| !is_under_test(named, &self.found, ran))
        else {
            return Ok(());
        };
        let message = format!("the results are about {named}, which is not under test");
        let hint =
            format!("under test is set {}; remove results that an earlier run left", self.found.digest);
        Err(Unjudged::about_another(Failure::new(Kind::BadInput, message).hint(hint)))
    }
}
