//! One command from its start until nothing of it runs any more.
//!
//! I/O, one loop over both pipes, the child, the clock and the wish to stop. Refuses to wait for anything
//! without a bound once the end has begun.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use granary_redact::Redactor;
use jiff::Timestamp;
use tokio::process::{Child, ChildStderr, ChildStdout};
use tokio::time::{Instant, sleep_until};

use super::descendants::{self, Orphans};
use super::pipe::Pipe;
use super::program::{self, StartError};
use super::{Command, End, Run, Stream};

/// How often a running command is looked at: orphans that have ended are reaped, and an unfinished line that
/// has stood still for that long is shown.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often one that is being ended is looked at.
const LOOK_EVERY_WHILE_ENDING: Duration = Duration::from_millis(20);
/// How long the kernel may take to end what was killed. Only a process that hangs in a device takes longer.
const KILL_TAKES: Duration = Duration::from_secs(2);
/// How long we wait for output after everything has ended. It is there already, unless somebody out of our
/// reach holds the pipe.
const OUTPUT_TAKES: Duration = Duration::from_secs(1);
/// How many times 64 KiB are read then, should that somebody go on writing: more than two pipes hold.
const LATE_READS: u32 = 64;
/// Longest grace after a stop: Woodpecker kills the container after 20 seconds, and the teardown must still
/// fit in.
const GRACE_WHEN_STOPPED: Duration = Duration::from_secs(4);

/// How far the end has come.
#[derive(Clone, Copy)]
enum Phase {
    /// Nobody has asked for the end.
    Running,
    /// SIGTERM was sent; SIGKILL follows then.
    Asked(Instant),
    /// SIGKILL was sent; we give up then.
    Killed(Instant),
    /// Nothing runs any more; the rest of the output is read until then.
    Over(Instant),
}

pub(super) struct Running<'r> {
    /// Before the child, so that it is dropped while the child's number is still its own.
    orphans: EndOnDrop,
    child: Child,
    status: Option<ExitStatus>,
    out: Pipe<'r, ChildStdout>,
    err: Pipe<'r, ChildStderr>,
    time_limit: Option<Duration>,
    grace: Duration,
    phase: Phase,
    /// Why we ended it, if we did.
    ended_by_us: Option<End>,
    survivors: usize,
    late_reads: u32,
}

impl<'r> Running<'r> {
    pub(super) fn start(command: &Command, redactor: &'r Redactor) -> Result<Self, StartError> {
        let Some((program, arguments)) = command.argv.split_first() else { return Err(StartError::Empty) };
        let file = program::find(program, &command.cwd, &command.env)?;
        descendants::adopt_orphans();
        let strangers = descendants::children();
        let refused = |source| StartError::Refused { file: file.clone(), source };
        let mut child = tokio::process::Command::new(&file)
            .arg0(program)
            .args(arguments)
            .current_dir(&command.cwd)
            .env_clear()
            .envs(command.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(refused)?;
        let pid = child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
        let pid = pid.expect("invariant: a child that was not waited for has a number");
        let out = child.stdout.take().expect("invariant: standard output was asked for");
        let err = child.stderr.take().expect("invariant: standard error was asked for");
        Ok(Running {
            orphans: EndOnDrop(Orphans::of(pid, strangers)),
            child,
            status: None,
            out: Pipe::new(out, redactor),
            err: Pipe::new(err, redactor),
            time_limit: command.time_limit,
            grace: command.grace,
            phase: Phase::Running,
            ended_by_us: None,
            survivors: 0,
            late_reads: 0,
        })
    }

    pub(super) async fn finish(
        mut self,
        sink: &mut dyn FnMut(Stream, &str),
        stop: impl Future<Output = ()>,
        started: Timestamp,
        now: &dyn Fn() -> Timestamp,
    ) -> Run {
        let mut stop = std::pin::pin!(stop);
        let limit = self.time_limit.map(|limit| Instant::now() + limit);
        let mut next_look = Instant::now() + LOOK_EVERY;
        loop {
            let running = matches!(self.phase, Phase::Running);
            tokio::select! {
                () = self.out.read(), if self.out.is_open() => {
                    self.out.show(&mut |line| sink(Stream::Out, line));
                    self.came_late();
                }
                () = self.err.read(), if self.err.is_open() => {
                    self.err.show(&mut |line| sink(Stream::Err, line));
                    self.came_late();
                }
                status = self.child.wait(), if self.status.is_none() => {
                    // Waiting fails only where somebody else has reaped the child; its code is lost then.
                    self.status = Some(status.unwrap_or_else(|_| ExitStatus::from_raw(0x7f00)));
                    self.orphans.0.command_is_gone();
                    if running {
                        self.phase = Phase::Asked(Instant::now() + self.grace);
                    }
                    next_look = Instant::now();
                }
                () = &mut stop, if running => {
                    self.ended_by_us = Some(End::Stopped);
                    self.phase = Phase::Asked(Instant::now() + self.grace.min(GRACE_WHEN_STOPPED));
                    next_look = Instant::now();
                }
                () = at(limit), if running => {
                    self.ended_by_us = Some(End::TimedOut(self.time_limit.unwrap_or_default()));
                    self.phase = Phase::Asked(Instant::now() + self.grace);
                    next_look = Instant::now();
                }
                () = sleep_until(next_look) => {
                    if running {
                        self.orphans.0.reap();
                        self.out.pause(&mut |line| sink(Stream::Out, line));
                        self.err.pause(&mut |line| sink(Stream::Err, line));
                    } else {
                        self.go_on_ending();
                    }
                    let every = if running { LOOK_EVERY } else { LOOK_EVERY_WHILE_ENDING };
                    next_look = Instant::now() + every;
                }
            }
            if let Phase::Over(until) = self.phase
                && (Instant::now() >= until || !(self.out.is_open() || self.err.is_open()))
            {
                break;
            }
        }
        self.out.finish(&mut |line| sink(Stream::Out, line));
        self.err.finish(&mut |line| sink(Stream::Err, line));
        let left_behind = self.orphans.0.asked();
        Run {
            end: self
                .ended_by_us
                .take()
                .or(self.status.map(end_of))
                .expect("invariant: it ended, or we ended it"),
            started,
            finished: now(),
            left_behind,
            survivors: self.survivors,
        }
    }

    /// Output that comes when all is over may be followed by more.
    fn came_late(&mut self) {
        if let Phase::Over(until) = &mut self.phase
            && self.late_reads < LATE_READS
        {
            self.late_reads += 1;
            *until = Instant::now() + OUTPUT_TAKES;
        }
    }

    /// One look at what is being ended.
    fn go_on_ending(&mut self) {
        let now = Instant::now();
        let living = match self.phase {
            Phase::Running | Phase::Over(_) => return,
            Phase::Asked(_) => self.orphans.0.ask(),
            Phase::Killed(_) => self.orphans.0.kill(),
        };
        if living == 0 && self.status.is_some() {
            self.phase = Phase::Over(now + OUTPUT_TAKES);
            return;
        }
        match self.phase {
            Phase::Asked(until) if now >= until => {
                self.orphans.0.kill();
                self.phase = Phase::Killed(now + KILL_TAKES);
            }
            Phase::Killed(until) if now >= until => {
                self.survivors = living + usize::from(self.status.is_none());
                self.phase = Phase::Over(now + OUTPUT_TAKES);
            }
            _ => {}
        }
    }
}

fn end_of(status: ExitStatus) -> End {
    match (status.code(), status.signal()) {
        (Some(code), _) => End::Exited(code),
        (None, signal) => End::Signalled(signal.unwrap_or_default()),
    }
}

/// Completes then; never without a time.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Kills what still runs when the run is dropped in the middle: at the step's own deadline.
struct EndOnDrop(Orphans);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        // Each round reaches those who lost their parent in the one before: more rounds than a tree is deep.
        for _ in 0..50 {
            // Asked before the look at the others: they become ours when the command ends.
            let command_has_ended = self.0.command_has_ended();
            if command_has_ended {
                // Nobody will ask for its exit code any more.
                self.0.command_is_gone();
            }
            if self.0.kill() == 0 && command_has_ended {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}
