//! The token by which plugin code learns that it should stop.
//!
//! A plugin is PID 1 in its container: without a handler SIGTERM does nothing and SIGKILL follows 20 s
//! later. The handler itself is in `run`; here is only what plugin code sees.

use tokio::sync::watch;

use crate::failure::{Failure, Kind};

/// Which signal asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C, by hand.
    Interrupt,
    /// A cancelled pipeline.
    Terminate,
}

impl Signal {
    /// The exit code's row in the table.
    pub const fn kind(self) -> Kind {
        match self {
            Signal::Interrupt => Kind::Interrupted,
            Signal::Terminate => Kind::Terminated,
        }
    }

    /// The signal's name.
    pub const fn name(self) -> &'static str {
        match self {
            Signal::Interrupt => "SIGINT",
            Signal::Terminate => "SIGTERM",
        }
    }
}

/// Says whether the run has been asked to stop. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<Option<Signal>>);

/// The run was asked to stop, between two atomic steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("stopped by {}", .0.name())]
pub struct Stopped(pub Signal);

impl Stop {
    /// A token and the end that triggers it; tests use it to stop a plugin at a chosen place.
    pub fn pair() -> (watch::Sender<Option<Signal>>, Stop) {
        let (sender, receiver) = watch::channel(None);
        (sender, Stop(receiver))
    }

    /// To be asked before each atomic step: `context.stop.check()?`.
    ///
    /// # Errors
    /// [`Stopped`] once a signal has come.
    pub fn check(&self) -> Result<(), Stopped> {
        self.0.borrow().map_or(Ok(()), |signal| Err(Stopped(signal)))
    }

    /// Waits for the signal, for a `select!` against something slow. Never returns where none comes.
    pub async fn requested(&self) -> Stopped {
        let mut receiver = self.0.clone();
        let asked = receiver.wait_for(Option::is_some).await.ok().and_then(|signal| *signal);
        match asked {
            Some(signal) => Stopped(signal),
            // The sender is gone: nobody can ask any more.
            None => std::future::pending().await,
        }
    }
}

impl From<Stopped> for Failure {
    fn from(stopped: Stopped) -> Self {
        Failure::new(stopped.0.kind(), stopped.to_string())
            .hint("run it again: what is complete is not done again")
    }
}
