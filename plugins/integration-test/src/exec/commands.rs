//! One attempt: waits for services, runs the tests, tears down, reads what they left.
//!
//! The exit code alone proves nothing, and neither do files that lay there before: both have to say the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use granary_plugin::output::seconds;
use granary_plugin::{Failure, Kind};
use granary_redact::Redactor;
use granary_release::Member;
use granary_suite::is_as_committed;
use jiff::Timestamp;

use super::TestRun;
use super::record::Ended;
use super::secrets;
use super::shares::{Shares, limit_and_grace};
use super::wait::wait_for;
use crate::results::{self, Outcome, ReadError};
use crate::runner::{self, Command, End, Run, child_env, tear_down, teardown_failure};
use crate::settings::{Commands, Mode, Results};
use crate::template::{self, Template, Values};

/// Name of the only test where the exit code is the result.
const EXIT_CODE_TEST: &str = "command";

/// Size and time of a file.
type Fingerprint = (u64, SystemTime);

/// What all attempts share.
pub(super) struct Prepared {
    command: Command,
    teardown: Option<Command>,
    redactor: Redactor,
}

/// One attempt.
pub(super) struct Attempt {
    pub(super) started: Timestamp,
    pub(super) finished: Timestamp,
    pub(super) ended: Ended,
    pub(super) exit_code: Option<i32>,
    /// What the tests said, and what is wrong although that may look fine.
    pub(super) result: Result<(Outcome, Vec<String>), Fault>,
}

/// Why an attempt left nothing to judge.
pub(super) struct Fault {
    pub(super) failure: Failure,
    /// Whether the next attempt may fare better.
    pub(super) again: bool,
}

impl Fault {
    fn last(failure: Failure) -> Self {
        Fault { failure, again: false }
    }

    fn passing(failure: Failure) -> Self {
        Fault { failure, again: true }
    }
}

impl TestRun<'_> {
    /// Fills in the templates before anything starts: one that cannot be must not be found out afterwards.
    pub(super) fn prepare(&self, commands: &Commands) -> Result<Prepared, Failure> {
        let command = self.command(commands, "command", &commands.command)?;
        let teardown = commands.teardown.as_ref();
        let teardown = teardown.map(|template| self.command(commands, "teardown", template)).transpose()?;
        let mut redactor = Redactor::new();
        secrets::of_env(commands).for_each(|secret| redactor.add(&secret));
        let passed = secrets::of_pass_env(commands, &self.context.env);
        passed.iter().for_each(|secret| self.context.output.add_secret(secret));
        Ok(Prepared { command, teardown, redactor })
    }

    /// Waits, runs the tests, reads what they left, tears down: the last whatever became of the others, and
    /// after the reading, which it must neither take anything from nor add anything to.
    pub(super) async fn attempt(&self, commands: &Commands, prepared: &Prepared) -> Attempt {
        let output = &self.context.output;
        let shares = Shares::of(self.context.remaining(), prepared.teardown.is_some());
        // So that no line of theirs looks like one of ours.
        let mut print = |_, line: &str| output.child_line(&format!("| {line}"));
        let now = || self.context.now();
        let mut before = BTreeMap::new();
        let ran = match self.wait(commands, shares.tests).await {
            Err(failure) => Err((failure, now())),
            Ok(()) => {
                let left = Shares::of(self.context.remaining(), prepared.teardown.is_some()).tests;
                let command = within(prepared.command.clone(), left);
                before = self.fingerprints();
                output.info(format_args!("running {}", command.argv.join(" ")));
                let stop = async {
                    self.context.stop.requested().await;
                };
                Ok(runner::run(&command, &prepared.redactor, &mut print, stop, &now).await)
            }
        };
        if let Ok(run) = &ran
            && run.left_behind > 0
        {
            output.info(format_args!("the tests left processes running, now ended: {}", run.left_behind));
        }
        let attempt = match ran {
            Ok(run) => self.attempt_of(&run, &before),
            Err((failure, at)) => Attempt {
                started: at,
                finished: at,
                ended: match failure.kind() {
                    Kind::Tests => Ended::NotReady,
                    _ => Ended::Stopped,
                },
                exit_code: None,
                result: Err(Fault::last(failure)),
            },
        };
        if let Some(teardown) = &prepared.teardown {
            let teardown = within(teardown.clone(), shares.teardown(self.context.remaining()));
            let is_stopped = self.context.stop.check().is_err();
            let run = tear_down(teardown, is_stopped, &prepared.redactor, &mut print, &now).await;
            match teardown_failure(&run) {
                Some(failed) => output.warn(failed),
                None => output.done("torn down"),
            }
        }
        attempt
    }

    /// Waits until what the tests need is there.
    async fn wait(&self, commands: &Commands, share: Duration) -> Result<(), Failure> {
        if commands.wait_for.is_empty() {
            return Ok(());
        }
        let limit = commands.wait_timeout.min(share);
        tokio::select! {
            stopped = self.context.stop.requested() => Err(stopped.into()),
            waited = wait_for(&commands.wait_for, limit, self.http, &self.context.output) => waited,
        }
    }

    fn attempt_of(&self, run: &Run, before: &BTreeMap<PathBuf, Fingerprint>) -> Attempt {
        let (ended, exit_code) = match &run.end {
            End::Exited(code) => (Ended::Exited, Some(*code)),
            End::Signalled(_) => (Ended::Killed, None),
            End::TimedOut(_) => (Ended::TimedOut, None),
            End::Stopped => (Ended::Stopped, None),
            End::CouldNotStart(_) => (Ended::NotStarted, None),
        };
        let (started, finished) = (run.started, run.finished);
        Attempt { started, finished, ended, exit_code, result: self.told(run, before) }
    }

    /// What a run and the files it left say together: the exit code alone proves nothing, and neither do
    /// files beside an exit code that contradicts them.
    fn told(
        &self,
        run: &Run,
        before: &BTreeMap<PathBuf, Fingerprint>,
    ) -> Result<(Outcome, Vec<String>), Fault> {
        let not_run = |message: String| Failure::new(Kind::Tests, message);
        let code = match &run.end {
            End::Exited(code) => *code,
            End::CouldNotStart(reason) => {
                let message = format!("the test command could not be started: {reason}");
                return Err(Fault::last(not_run(message).hint(reason.hint())));
            }
            // All of the step's time is gone with it.
            End::TimedOut(limit) => {
                return Err(Fault::last(not_run(format!(
                    "the test command took longer than it may, and was ended after {}",
                    seconds(*limit)
                )).hint(
                    "`timeout` is the time for the whole step, a part of which is kept for what comes after the tests",
                )));
            }
            ended => return Err(Fault::passing(not_run(format!("the test command {ended}")))),
        };
        let problems = contradictions(code, run.survivors, &self.settings.results);
        if self.settings.results == Results::ExitCode {
            let outcome = Outcome::of_exit_code(EXIT_CODE_TEST, code, run.started, run.finished);
            return Ok((outcome, problems));
        }
        if let Some(stale) = self.fingerprints().iter().find(|(file, now)| before.get(*file) == Some(*now)) {
            return Err(Fault::passing(with_code(
                not_run(format!("the tests left {} as it was before they ran", stale.0.display()))
                    .hint("results of an earlier run count for nothing; let the tests write them anew"),
                code,
            )));
        }
        let outcome = self.read_results().map_err(|failure| Fault {
            again: failure.kind() != Kind::Settings,
            failure: with_code(failure, code),
        })?;
        Ok((outcome, problems))
    }

    pub(super) fn read_results(&self) -> Result<Outcome, Failure> {
        let Results::Files { patterns, format } = &self.settings.results else {
            return Ok(Outcome::default());
        };
        // In mode `run` this step sees for itself whether the tests wrote them.
        let is_report = matches!(self.settings.mode, Mode::Report);
        let committed =
            |file: &Path, bytes: &[u8]| is_report && is_as_committed(self.context, file, bytes) == Some(true);
        results::read(patterns, Path::new(""), *format, &committed).map_err(|error: ReadError| {
            let hint = error.hint();
            Failure::new(error.kind(), "there are no usable test results").caused_by(error).hint(hint)
        })
    }

    /// Size and time of the files that `results` names now. Files that cannot be looked at are left to
    /// the reading.
    fn fingerprints(&self) -> BTreeMap<PathBuf, Fingerprint> {
        let Results::Files { patterns, .. } = &self.settings.results else { return BTreeMap::new() };
        let find = |pattern| results::find(std::slice::from_ref(pattern), Path::new("")).ok();
        let files = patterns.iter().filter_map(find).flatten();
        let fingerprint = |file: PathBuf| {
            let metadata = std::fs::metadata(&file).ok()?;
            Some((file, (metadata.len(), metadata.modified().ok()?)))
        };
        files.filter_map(fingerprint).collect()
    }

    /// When the oldest file that `results` names was written.
    pub(super) fn oldest_file(&self) -> Option<Timestamp> {
        let written =
            self.fingerprints().into_values().filter_map(|(_, time)| Timestamp::try_from(time).ok());
        written.min()
    }

    /// A command without limits yet: [`within`] gives it some.
    fn command(&self, commands: &Commands, setting: &str, template: &Template) -> Result<Command, Failure> {
        let argv = self.expand(setting, template)?;
        let env = child_env(&self.context.env, &commands.pass_env, &commands.env)
            .map_err(|error| Failure::new(Kind::Settings, "`env` cannot be used").caused_by(error))?;
        Ok(Command { argv, cwd: PathBuf::from("."), env, time_limit: None, grace: Duration::ZERO })
    }

    pub(super) fn words(&self) -> Result<Option<Vec<String>>, Failure> {
        match &self.settings.mode {
            Mode::Run(commands) => self.expand("command", &commands.command).map(Some),
            Mode::Report => Ok(None),
        }
    }

    fn expand(&self, setting: &str, template: &Template) -> Result<Vec<String>, Failure> {
        let set = &self.found.set;
        let member = |member: &Member| template::Member {
            name: member.name.clone(),
            repository: format!("{}/{}", self.host, member.repository),
            digest: member.digest.to_string(),
        };
        let values = Values {
            members: set.members.iter().map(member).collect(),
            lead: set.lead().name.clone(),
            tag: set.candidate.to_string(),
            version: set.candidate.base.to_string(),
            candidate: set.candidate.to_string(),
            results: self.settings.results.single_file().map(str::to_owned),
        };
        template.expand(&values).map_err(|error| {
            Failure::new(Kind::Settings, format!("`{setting}` cannot be filled in")).caused_by(error)
        })
    }
}

/// What speaks against a run whatever its results say.
fn contradictions(code: i32, survivors: usize, results: &Results) -> Vec<String> {
    let mut problems = Vec::new();
    // Where the exit code is the result, it is the only test's.
    if code != 0 && *results != Results::ExitCode {
        problems.push(format!("the test command ended with exit code {code}"));
    }
    if survivors > 0 {
        problems.push(format!("{survivors} processes that the tests started could not be ended"));
    }
    problems
}

/// The command with what of the step's time is its own.
fn within(command: Command, share: Duration) -> Command {
    let (limit, grace) = limit_and_grace(share);
    Command { time_limit: Some(limit), grace, ..command }
}

/// Tells what the tests ended with, where their results cannot be had: that is why, most of the time.
fn with_code(failure: Failure, code: i32) -> Failure {
    match code {
        0 => failure,
        code => failure.hint(format!("the test command ended with exit code {code}; its output is above")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_ended_speaks_against_every_kind_of_run() {
        let files = Results::Files { patterns: vec!["results.json".to_owned()], format: None };
        let (code, survivors) = (
            "the test command ended with exit code 3",
            "2 processes that the tests started could not be ended",
        );
        let table = [
            (0, 0, &files, vec![]),
            (3, 0, &files, vec![code]),
            (3, 2, &files, vec![code, survivors]),
            (0, 0, &Results::ExitCode, vec![]),
            (3, 0, &Results::ExitCode, vec![]),
            (0, 2, &Results::ExitCode, vec![survivors]),
        ];
        for (code, survivors, results, expected) in table {
            assert_eq!(contradictions(code, survivors, results), expected, "{code} {survivors} {results}");
        }
    }
}
