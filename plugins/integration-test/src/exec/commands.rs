//! The part of a test run that runs commands and judges what they left.
//!
//! The exit code alone proves nothing, and neither do files that lay there before: both have to say the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use granary_plugin::output::seconds;
use granary_plugin::{Failure, Kind};
use granary_redact::{Redactor, Secret};
use granary_release::Member;
use granary_suite::is_as_committed;
use jiff::Timestamp;

use super::shares::{Shares, limit_and_grace};
use super::{TestRun, Tested};
use crate::results::{self, Outcome, ReadError};
use crate::runner::{Command, End, Runs, child_env, run_with_teardown};
use crate::settings::{Commands, Mode, Results};
use crate::template::{self, Template, Values};

/// Name of the only test where the exit code is the result.
const EXIT_CODE_TEST: &str = "command";

/// Size and time of a file.
type Fingerprint = (u64, SystemTime);

impl TestRun<'_> {
    pub(super) async fn run_commands(&self, commands: &Commands) -> Result<Tested, Failure> {
        let shares = Shares::of(self.context.remaining(), commands.teardown.is_some());
        let command = within(self.command(commands, "command", &commands.command)?, shares.tests);
        let teardown = commands.teardown.as_ref();
        // Filled in before the tests start: a template that cannot be must not be found out after them.
        let teardown = teardown
            .map(|template| self.command(commands, "teardown", template))
            .transpose()?
            .map(|command| || within(command, shares.teardown(self.context.remaining())));
        let before = self.fingerprints();
        let mut redactor = Redactor::new();
        // Numbers and yes or no are as little masked here as in the step's own output: a log without `true`
        // and `8080` says nothing any more.
        let telling = |value: &&String| {
            value.parse::<u32>().is_err() && !matches!(value.to_ascii_lowercase().as_str(), "true" | "false")
        };
        commands.env.values().filter(telling).for_each(|value| redactor.add(&Secret::new(value.clone())));
        let output = &self.context.output;
        output.info(format_args!("running {}", command.argv.join(" ")));
        let stop = async {
            self.context.stop.requested().await;
        };
        let mut print = |_, line: &str| output.child_line(line);
        let now = || self.context.now();
        let runs = run_with_teardown(&command, teardown, &redactor, &mut print, stop, &now).await;
        if runs.command.left_behind > 0 {
            output.info(format_args!(
                "the tests left processes running, now ended: {}",
                runs.command.left_behind
            ));
        }
        match (&runs.teardown, runs.teardown_failure()) {
            (_, Some(failed)) => output.warn(failed),
            (Some(_), None) => output.done("torn down"),
            (None, None) => {}
        }
        self.context.stop.check()?;
        self.tested(&runs, &before)
    }

    /// What a run and the files it left say together: the exit code alone proves nothing, and neither do
    /// files beside an exit code that contradicts them.
    fn tested(&self, runs: &Runs, before: &BTreeMap<PathBuf, Fingerprint>) -> Result<Tested, Failure> {
        let run = &runs.command;
        let measured = Some((run.started, run.finished));
        let not_run = |message: String| Failure::new(Kind::Tests, message);
        let code = match &run.end {
            End::Exited(code) => *code,
            End::CouldNotStart(reason) => {
                return Err(
                    not_run(format!("the test command could not be started: {reason}")).hint(reason.hint())
                );
            }
            End::TimedOut(limit) => {
                return Err(not_run(format!(
                    "the test command took longer than it may, and was ended after {}",
                    seconds(*limit)
                )).hint(
                    "`timeout` is the time for the whole step, a part of which is kept for what comes after the tests",
                ));
            }
            ended => return Err(not_run(format!("the test command {ended}"))),
        };
        if self.settings.results == Results::ExitCode {
            let outcome = Outcome::of_exit_code(EXIT_CODE_TEST, code, run.started, run.finished);
            return Ok(Tested { outcome, measured, problems: Vec::new() });
        }
        if let Some(stale) = self.fingerprints().iter().find(|(file, now)| before.get(*file) == Some(*now)) {
            return Err(with_code(
                not_run(format!("the tests left {} as it was before they ran", stale.0.display()))
                    .hint("results of an earlier run count for nothing; let the tests write them anew"),
                code,
            ));
        }
        let outcome = self.read_results().map_err(|failure| with_code(failure, code))?;
        let mut problems = Vec::new();
        if code != 0 {
            problems.push(format!("the test command ended with exit code {code}"));
        }
        if run.survivors > 0 {
            problems.push(format!("{} processes that the tests started could not be ended", run.survivors));
        }
        Ok(Tested { outcome, measured, problems })
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
            let hint = match error {
                ReadError::AsCommitted { .. } => {
                    "remove that file from the repository, and let the tests write it anew"
                }
                ReadError::Missing { .. } | ReadError::NotAFile { .. } | ReadError::BadPattern { .. } => {
                    "`results` names the files that the tests write, relative to the step's folder"
                }
                _ => "results are read whole or not at all; were the tests stopped while they wrote them?",
            };
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
            repository: format!("{}/{}", self.settings.registry.host, member.repository),
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
