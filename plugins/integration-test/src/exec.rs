//! A test run, from the candidate under test to the evidence on it.
//!
//! Tags are resolved before the tests and again after them: if they moved in between, there is no
//! telling what was tested, and no evidence is made.

mod attempts;
mod commands;
mod evidence;
mod look;
mod record;
mod shares;
mod summary;
mod wait;

use granary_attest::key::SigningKey;
use granary_net::Http;
use granary_oci::{Platform, RegistryHost};
use granary_plugin::{Context, Failure, Kind};
use granary_registry::Registry;
use granary_release::FoundSet;
use jiff::Timestamp;

use crate::plan::{Ran, is_under_test, older_than};
use crate::report;
use crate::results::{Decision, Outcome, Verdict, decide, too_old};
use crate::settings::{Mode, Settings};

pub(crate) use self::look::{Look, Moment};
pub(crate) use self::record::remove as remove_record;

use self::record::RunRecord;

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
}

/// What is known of how the tests ran, whatever came of them.
#[derive(Clone)]
struct History {
    /// When the first attempt began.
    began: Option<Timestamp>,
    /// How often they ran.
    attempts: u32,
    /// The command, as its setting has it.
    command: Option<String>,
}

impl History {
    /// Nobody has told.
    const UNTOLD: History = History { began: None, attempts: 1, command: None };
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
        self.files().prepare()?;
        let judged = match &self.settings.mode {
            Mode::Run(commands) => self.run_commands(commands, &ran).await,
            Mode::Report => self.report(&ran),
        };
        let judged = match judged {
            Ok(judged) => judged,
            Err(unjudged) => {
                if unjudged.counts {
                    self.attest_that_nothing_counts(&ran, platforms, &unjudged).await;
                }
                self.write_failure(&unjudged);
                return Err(unjudged.failure);
            }
        };
        let written = self.write_summary(&judged);
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
        if self.settings.negative_control && judged.decision.result != Verdict::Failed {
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
            // Tests that did not run, or were skipped, tell nothing of what a test can notice.
            Verdict::Failed if self.settings.negative_control && !decision.failed.is_empty() => {
                output.info("negative control: the tests notice the known-bad candidate, as they must");
                Ok(())
            }
            Verdict::Failed => Err(report::failure(decision)),
            Verdict::Passed => Ok(()),
            Verdict::Warned => {
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
        let record = RunRecord::read(self.context, &self.found)?;
        let history = record.as_ref().map_or(History::UNTOLD, RunRecord::history);
        self.context.record(|facts| {
            facts.extra.insert("attempts".to_owned(), history.attempts.into());
        });
        match self.reported(record.as_ref(), ran) {
            Ok((outcome, decision)) => Ok(Judged { outcome, decision, measured: None, history }),
            Err(unjudged) => Err(Unjudged { history, ..unjudged }),
        }
    }

    /// Reads results and decides. Results that are older than the candidate are about another.
    fn reported(&self, record: Option<&RunRecord>, ran: &[Ran]) -> Result<(Outcome, Decision), Unjudged> {
        if let Some(record) = record {
            self.check_record(record)?;
        }
        let outcome = self.read_results()?;
        let created = self.found.set.created;
        if let Some(when) = older_than(created, outcome.finished, self.oldest_file(), self.context.now()) {
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
        if let Some(record) = record {
            record.add_to(&mut decision);
        }
        report::tests(self.context, &outcome, &decision, None);
        Ok((outcome, decision))
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
