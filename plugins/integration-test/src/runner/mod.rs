//! Runs a command of the pipeline's author: foreign code, watched and ended for certain.
//!
//! I/O. Hands over exactly the environment it is given, no standard input and no terminal, streams the
//! output line by line with secrets taken out, and does not return while something that it started runs
//! (limits: module `descendants`). Refuses to go through a shell. Knows nothing of tests: what an exit code
//! means is decided elsewhere.
//!
//! # Design
//! The command gets a process group of its own, not a session: `setsid` would take an `unsafe` hook before
//! `exec`, and what it would add, protection from a terminal's signals, the group gives as well.
//!
//! One command runs at a time in a process, a second caller waits, and nothing else may start a child
//! meanwhile: an orphan does not say who started it, so every new child counts as left behind.

mod descendants;
mod environment;
mod lines;
mod pipe;
mod program;
mod running;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use granary_redact::Redactor;
use jiff::Timestamp;
use tokio::sync::Mutex;

use self::running::Running;

pub use self::environment::{BadVariable, DEFAULT_PASS_ENV, child_env};
pub use self::lines::{CUT_MARK, LONGEST_LINE};
pub use self::program::StartError;

/// Longest teardown after a stop: Woodpecker kills the container 20 seconds after it asked, and the plugin
/// itself gives up after 15.
const TEARDOWN_WHEN_STOPPED: Duration = Duration::from_secs(6);

static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// What is to be run, and how.
#[derive(Clone)]
pub struct Command {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Where to run it.
    pub cwd: PathBuf,
    /// Its whole environment; nothing is inherited. See [`child_env`].
    pub env: Vec<(OsString, OsString)>,
    /// How long it may run. `None`: as long as it likes.
    pub time_limit: Option<Duration>,
    /// How long it, and what it leaves behind, has between SIGTERM and SIGKILL.
    pub grace: Duration,
}

/// Where a line of output came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// How a command ended.
#[derive(Debug)]
pub enum End {
    /// By itself, with this code.
    Exited(i32),
    /// By a signal that was not ours.
    Signalled(i32),
    /// It ran longer than it may, and was ended.
    TimedOut(Duration),
    /// Somebody stopped us, and it was ended.
    Stopped,
    /// It never ran.
    CouldNotStart(StartError),
}

impl fmt::Display for End {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Exited(code) => write!(formatter, "ended with exit code {code}"),
            End::Signalled(9) => formatter
                .write_str("was killed by signal 9, which is what the kernel does when memory runs out"),
            End::Signalled(signal) => write!(formatter, "was killed by signal {signal}"),
            End::TimedOut(limit) => write!(formatter, "was ended: it ran longer than {limit:?}"),
            End::Stopped => formatter.write_str("was ended because this step was stopped"),
            End::CouldNotStart(reason) => write!(formatter, "could not be started: {reason}"),
        }
    }
}

/// A command that was run.
#[derive(Debug)]
pub struct Run {
    /// How it ended.
    pub end: End,
    /// When it was started.
    pub started: Timestamp,
    /// When the last of it had ended.
    pub finished: Timestamp,
    /// How many processes it left behind that had to be ended.
    pub left_behind: usize,
    /// How many of them could not be ended: of another user, or hanging in the kernel.
    pub survivors: usize,
}

impl Run {
    /// Whether it ended by itself with exit code 0.
    pub fn succeeded(&self) -> bool {
        matches!(self.end, End::Exited(0))
    }
}

/// A command and what cleaned up after it.
#[derive(Debug)]
pub struct Runs {
    /// The command: what it says counts.
    pub command: Run,
    /// The teardown, where there is one. Its failure leaves the first one standing.
    pub teardown: Option<Run>,
}

impl Runs {
    /// What to say about the teardown if it failed: a fragment without a full stop.
    pub fn teardown_failure(&self) -> Option<String> {
        self.teardown.as_ref().and_then(teardown_failure)
    }
}

/// What to say about a teardown that failed: a fragment without a full stop.
pub fn teardown_failure(teardown: &Run) -> Option<String> {
    let is_left = "what it should have removed may still be there";
    (!teardown.succeeded()).then(|| format!("the teardown {}; {is_left}", teardown.end))
}

/// Runs `command`, then `teardown`, whatever became of the command: after a time-out, a stop and a failed
/// start too. After a stop the teardown has 6 seconds, because the step has not many more.
///
/// `teardown` is asked for when it is to start: how long it may run depends on how long the command took.
/// `sink` gets each line without its end, masked. `now` is the clock of what is said about both.
pub async fn run_with_teardown(
    command: &Command,
    teardown: Option<impl FnOnce() -> Command>,
    redactor: &Redactor,
    sink: &mut dyn FnMut(Stream, &str),
    stop: impl Future<Output = ()>,
    now: &dyn Fn() -> Timestamp,
) -> Runs {
    let first = run(command, redactor, sink, stop, now).await;
    let mut cleaned = None;
    if let Some(teardown) = teardown {
        let is_stopped = matches!(first.end, End::Stopped);
        cleaned = Some(tear_down(teardown(), is_stopped, redactor, sink, now).await);
    }
    Runs { command: first, teardown: cleaned }
}

/// Runs a teardown, in at most 6 seconds where the step was stopped.
pub async fn tear_down(
    mut teardown: Command,
    is_stopped: bool,
    redactor: &Redactor,
    sink: &mut dyn FnMut(Stream, &str),
    now: &dyn Fn() -> Timestamp,
) -> Run {
    if is_stopped {
        let most = TEARDOWN_WHEN_STOPPED;
        teardown.time_limit = Some(teardown.time_limit.map_or(most, |limit| limit.min(most)));
        teardown.grace = teardown.grace.min(Duration::from_secs(1));
    }
    run(&teardown, redactor, sink, std::future::pending(), now).await
}

/// Runs `command` until it and all that it started have ended; at its time limit, and when `stop` completes,
/// they are ended: SIGTERM, `grace`, SIGKILL. What it leaves behind when it ends by itself is ended likewise.
///
/// `sink` gets each line without its end, masked; lines longer than [`LONGEST_LINE`] in pieces that end with
/// [`CUT_MARK`], bytes that are not UTF-8 as U+FFFD. `now` is the clock that start and end are told by.
/// A future that is dropped kills everything at once.
pub async fn run(
    command: &Command,
    redactor: &Redactor,
    sink: &mut dyn FnMut(Stream, &str),
    stop: impl Future<Output = ()>,
    now: &dyn Fn() -> Timestamp,
) -> Run {
    let _turn = ONE_AT_A_TIME.lock().await;

    let started = now();
    match Running::start(command, redactor) {
        Ok(running) => running.finish(sink, stop, started, now).await,
        Err(reason) => {
            Run { end: End::CouldNotStart(reason), started, finished: now(), left_behind: 0, survivors: 0 }
        }
    }
}
