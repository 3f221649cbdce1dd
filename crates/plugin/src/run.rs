//! From `main` to exit code: the one place that reads the process, and the order of everything.

mod cli;
mod drive;

use std::ffi::OsString;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use jiff::Timestamp;

use crate::ci::Ci;
use crate::common::Common;
use crate::context::{Context, default_result};
use crate::environment::Env;
use crate::failure::{Failure, Kind, Refusal};
use crate::network::Network;
use crate::output::{Output, seconds};
use crate::report::{self, Facts, Outcome, StepResult, Target};
use crate::settings::{Group, Raw, Reader, Table};
use crate::stop::Stop;

/// A way to call the plugin, for `--help`.
#[derive(Debug, Clone, Copy)]
pub struct Example {
    /// What it is for.
    pub purpose: &'static str,
    /// The command line.
    pub command: &'static str,
}

/// A plugin. Its `main.rs` is `granary_plugin::main::<ThePlugin>()`.
///
/// # Design
/// A type with constants, not a value: there is one plugin per binary, everything about it is known when
/// it is compiled, and `run` may be a plain `async fn`.
pub trait Plugin {
    /// What [`Plugin::resolve`] makes of the settings.
    type Settings;

    /// The binary's and the plugin's name.
    const NAME: &'static str;
    /// One line on what it does.
    const ABOUT: &'static str;
    /// Its settings: [`crate::COMMON`] and what else it has. A setting called `action` or `mode` with a
    /// choice of words can by hand be given as a subcommand.
    const GROUPS: &'static [&'static Group];
    /// How to call it.
    const EXAMPLES: &'static [Example];
    /// Whether the plugin itself ends at [`Context::deadline`], because it has children to end and a
    /// teardown to run. Else the runner drops the run then, with exit code 12.
    const OWN_TIMEOUT: bool = false;

    /// Understands the settings. Pure; says what is wrong through the reader and reads on, so that all
    /// errors come at once.
    fn resolve(reader: &mut Reader<'_>, ci: &Ci) -> Option<Self::Settings>;

    /// Does the work. Notes what it is about with [`Context::record`] as it goes.
    ///
    /// Dropped 15 seconds after a signal, and at the deadline: at any `.await` point.
    fn run(settings: Self::Settings, context: &Context) -> impl Future<Output = Result<Outcome, Failure>>;
}

/// The whole of a plugin's `main`.
pub fn main<P: Plugin>() -> ExitCode {
    // First of all: a child, or any process of the same user, could read the secrets in our environment.
    let hidden = make_non_dumpable();
    let output = Output::to_process();
    report_panics(&output);
    if let Err(error) = hidden {
        output.warn(format_args!(
            "other processes of this user may be able to read this one's secrets: {error}"
        ));
    }
    let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    let arguments: Vec<OsString> = std::env::args_os().collect();
    ExitCode::from(call::<P>(&arguments, &Env::of_process(), &here, &output))
}

/// Answers `--help` and the like, or runs.
fn call<P: Plugin>(arguments: &[OsString], env: &Env, here: &Path, output: &Output) -> u8 {
    let table = Table::new(P::GROUPS);
    match cli::parse::<P>(&table, arguments) {
        cli::Asked::Print(text) => {
            output.print(text.trim_end());
            0
        }
        cli::Asked::Wrong(text) => {
            output.error(text.trim_end());
            Kind::Settings.code()
        }
        cli::Asked::Run(flags) => {
            let (flags, unreadable) = cli::read_files(flags);
            let raw = Raw::read(&table, env, flags);
            step::<P>(&table, &raw, unreadable, env, here, output)
        }
    }
}

/// One run, from what was given to the exit code.
fn step<P: Plugin>(
    table: &Table,
    raw: &Raw,
    unreadable: Vec<cli::Unreadable>,
    env: &Env,
    here: &Path,
    output: &Output,
) -> u8 {
    let started = Instant::now();
    let (ci, dropped) = Ci::read(env);
    let (network, ignored) = Network::read(env, &ci, raw.only(), here);
    raw.secrets(table).iter().chain(&network.secrets()).for_each(|secret| output.add_secret(secret));
    raw.credentials(table).iter().for_each(|(user, password)| output.add_credentials(user, password));

    let mut reader = Reader::new(table, raw);
    for file in unreadable {
        reader.reject(&file.setting, file.reason, "the path of a readable file, or - for standard input");
    }
    let common = Common::read(&mut reader);
    let settings = P::resolve(&mut reader, &ci);
    output.set_level(common.log_level);
    for warning in raw.warnings().iter().chain(&dropped).chain(&ignored) {
        output.warn(warning);
    }

    let workspace = ci.workspace.as_deref().map_or(here, Path::new).to_owned();
    let files = Files::new::<P>(&common, &workspace, here);
    let first_facts = Facts { commit: untagged_commit(&ci), ..Facts::default() };
    let (end, facts) = match reader.finish(settings) {
        Err(errors) => {
            // The file of an earlier run must go even if this one does nothing.
            let _ = files.prepare(output);
            (Err(Failure::from(errors)), first_facts)
        }
        Ok(settings) => match files.prepare(output) {
            Err(failure) => (Err(failure), first_facts),
            Ok(()) => {
                let (sender, stop) = Stop::pair();
                let context = Context {
                    ci,
                    env: env.clone(),
                    deadline: started + common.timeout,
                    common,
                    network,
                    output: output.clone(),
                    stop,
                    workspace,
                    clock: Box::new(Timestamp::now),
                    facts: Mutex::new(first_facts),
                };
                let end = drive::drive::<P>(settings, &context, &sender);
                (end, context.facts.into_inner().unwrap_or_else(PoisonError::into_inner))
            }
        },
    };
    let end = files.write(P::NAME, end, facts, output);
    match end {
        Ok(outcome) => {
            output.info(format_args!("{}: {} in {}", P::NAME, outcome.word(), seconds(started.elapsed())));
            0
        }
        Err(failure) => failure.kind().code(),
    }
}

/// The commit of the pipeline where it is surely one: on tags it can be a tag object.
fn untagged_commit(ci: &Ci) -> Option<String> {
    ci.commit_sha.clone().filter(|_| ci.tag.is_none())
}

/// The files in which the run reports.
struct Files {
    result: Target,
    env: Option<PathBuf>,
}

impl Files {
    fn new<P: Plugin>(common: &Common, workspace: &Path, here: &Path) -> Self {
        let result = match &common.result_file {
            Some(path) => Target { path: here.join(path), set: true },
            None => Target { path: default_result(workspace, P::NAME), set: false },
        };
        Files { result, env: common.env_file.as_ref().map(|path| here.join(path)) }
    }

    /// Finds out before the work begins whether it could be reported.
    fn prepare(&self, output: &Output) -> Result<(), Failure> {
        match self.result.prepare() {
            Err(error) if self.result.set => return Err(unwritable("result_file", error)),
            // What an earlier run left there would be taken for this one's.
            Err(error) if self.result.path.symlink_metadata().is_ok() => {
                return Err(Failure::new(Kind::Settings, "the result of an earlier run cannot be replaced")
                    .caused_by(error)
                    .hint("an earlier step wrote it as another user: run both as one, or set `result_file` to another path"));
            }
            Err(error) => output.warn(without_result(&error)),
            Ok(()) => {}
        }
        let env = self.env.clone().map(|path| Target { path, set: true });
        env.map_or(Ok(()), |env| env.prepare().map_err(|error| unwritable("env_file", error)))
    }

    /// Writes both files and prints why the run failed, where it did.
    fn write(
        &self,
        plugin: &str,
        end: Result<Outcome, Failure>,
        facts: Facts,
        output: &Output,
    ) -> Result<Outcome, Failure> {
        let mut end = end;
        if let (Ok(outcome), Some(path)) = (&end, &self.env)
            && outcome.has_release()
            && let Err(failure) = report::variables(&facts)
                .map_err(Failure::from)
                .and_then(|text| report::write(path, &text).map_err(|error| unwritable("env_file", error)))
        {
            end = Err(failure);
        }
        let mut result = StepResult::new(plugin, end.as_ref().copied(), facts);
        // A refusal quotes servers and files; the other fields are ours.
        result.refusal = result.refusal.map(|refusal| Refusal {
            rule: refusal.rule,
            found: output.redacted(&refusal.found),
            needed: output.redacted(&refusal.needed),
        });
        let written = report::write(&self.result.path, &result.to_json());
        if let Err(failure) = &end {
            output.error(failure.render());
        }
        match written {
            Err(error) if self.result.set && end.is_ok() => {
                let failure = unwritable("result_file", error);
                output.error(failure.render());
                Err(failure)
            }
            Err(error) if self.result.set => {
                output.warn(without_result(&error));
                end
            }
            // For the default place `prepare` has warned.
            _ => end,
        }
    }
}

fn unwritable(setting: &str, error: report::WriteError) -> Failure {
    Failure::new(Kind::Settings, format!("`{setting}` names a file that cannot be written"))
        .caused_by(error)
        .hint("name a path in the workspace, or in a folder that this step's user may write to")
}

fn without_result(error: &report::WriteError) -> String {
    use std::error::Error as _;
    let cause = error.source().map_or_else(String::new, |source| format!(": {source}"));
    format!("later steps will not see the result of this one: {error}{cause}")
}

/// Denies other processes of the same user the look into `/proc/<pid>/environ` and this one's memory.
/// Does not stop a root that has all capabilities.
#[cfg(target_os = "linux")]
fn make_non_dumpable() -> std::io::Result<()> {
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn make_non_dumpable() -> std::io::Result<()> {
    Ok(())
}

/// Ends the process with exit code 1 and a redacted line at the first panic; left to itself, a release
/// build would print the plain message and abort with 134. No result file is left: `prepare` has taken
/// the earlier one away.
fn report_panics(output: &Output) {
    let output = output.clone();
    std::panic::set_hook(Box::new(move |panic| {
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text =
            text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
        let place = panic.location().map_or_else(String::new, |place| format!(" at {place}"));
        output.after_panic(&format!(
            "error: this is a bug{place}: {text}\nhint: please report it with the lines above"
        ));
        #[expect(
            clippy::exit,
            reason = "the contract has an exit code for bugs, which an abort would not give"
        )]
        std::process::exit(Kind::Unexpected.code().into());
    }));
}
