//! A child from its start to its end: signals, the leash, the time limit, what it said.

use std::fmt;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;

use super::Run;

/// How often a running child is looked at.
const POLL: Duration = Duration::from_millis(2);

#[derive(Clone, Debug)]
pub(super) struct SharedChild(Arc<Mutex<Child>>);

impl SharedChild {
    pub(super) fn new(child: Child) -> Self {
        Self(Arc::new(Mutex::new(child)))
    }

    fn lock(&self) -> MutexGuard<'_, Child> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Kills a child that may not have started yet: made first, given to [`Run::leash`] and to whoever decides, such as
/// [`Registry::kill_at`](crate::registry::Registry::kill_at).
#[derive(Clone, Debug, Default)]
pub struct Leash(Arc<(Mutex<Option<SharedChild>>, Condvar)>);

impl Leash {
    fn tied(&self) -> MutexGuard<'_, Option<SharedChild>> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tie(&self, child: &SharedChild) {
        *self.tied() = Some(child.clone());
        self.0.1.notify_all();
    }

    /// Kills the child with SIGKILL, waiting for it to be started where need be. Its own children live on, as they would
    /// after a real `kill -9`.
    ///
    /// # Panics
    /// Where no child comes within 10 s.
    pub fn kill(&self) {
        let limit = Duration::from_secs(10);
        let waited = self.0.1.wait_timeout_while(self.tied(), limit, |child| child.is_none());
        let (child, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let child = child.as_ref().expect("nothing was started on this leash");
        // Fails only where the child is gone, which is what was wanted.
        let _ = child.lock().kill();
    }
}

/// A child that runs. Dropped, it is killed with its process group.
#[derive(Debug)]
pub struct Running {
    run: Run,
    child: SharedChild,
    logs: TempDir,
    started: Instant,
}

impl Running {
    pub(super) fn new(run: Run, child: SharedChild, logs: TempDir) -> Self {
        Self { run, child, logs, started: Instant::now() }
    }

    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(self.child.lock().id().cast_signed())
    }

    fn status(&self) -> Option<ExitStatus> {
        self.child.lock().try_wait().expect("a child of ours can be waited for")
    }

    /// Sends a signal to the child alone, as a container engine does.
    pub fn signal(&self, signal: Signal) {
        // Looked at first: the id of a child that was waited for may be another's by now.
        if let (None, Some(pid)) = (self.status(), self.pid()) {
            let _ = kill_process(pid, signal);
        }
    }

    /// Standard output up to now.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.log("stdout")
    }

    /// Standard error up to now.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.log("stderr")
    }

    fn log(&self, name: &str) -> String {
        let bytes = fs::read(self.logs.path().join(name)).expect("the log was created with the child");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// Where the time limit is exceeded; the child and its process group are killed.
    pub fn wait(self) -> Finished {
        let status = loop {
            if let Some(status) = self.status() {
                break status;
            }
            if self.started.elapsed() > self.run.time_limit {
                let (program, limit) = (self.run.program.display(), self.run.time_limit);
                panic!("{program} still runs after {limit:?}\n{}{}", self.stdout(), self.stderr());
            }
            std::thread::sleep(POLL);
        };
        Finished {
            code: status.code(),
            signal: status.signal(),
            stdout: self.stdout(),
            stderr: self.stderr(),
            duration: self.started.elapsed(),
            workspace: self.run.workspace.clone(),
            _own_folder: Arc::clone(&self.run.own_folder),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let (None, Some(pid)) = (self.status(), self.pid()) {
            // Its own children with it, or they would outlive the test.
            let _ = kill_process_group(pid, Signal::KILL);
            let _ = self.child.lock().wait();
        }
    }
}

/// A run that ended. Its workspace exists as long as this or the [`Run`] does.
#[derive(Debug)]
#[must_use = "a run that nobody looks at proves nothing"]
pub struct Finished {
    /// Exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// From start to end, to about 2 ms.
    pub duration: Duration,
    /// The folder that it ran in.
    pub workspace: PathBuf,
    _own_folder: Arc<TempDir>,
}

impl Finished {
    /// A JSON file that the run left, by its path below the workspace.
    ///
    /// # Panics
    /// Where it is not there or not JSON, with what the run said.
    #[must_use]
    pub fn json(&self, path: &str) -> serde_json::Value {
        let file = self.workspace.join(path);
        let text = fs::read_to_string(&file)
            .unwrap_or_else(|error| panic!("cannot read {}: {error}\n{self}", file.display()));
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{} is not JSON: {error}\n{text}", file.display()))
    }
}

/// Everything that a failed assertion needs to show.
impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => writeln!(f, "exit code {code}")?,
            (None, signal) => writeln!(f, "signal {}", signal.unwrap_or_default())?,
        }
        write!(f, "--- stdout\n{}--- stderr\n{}", self.stdout, self.stderr)
    }
}
