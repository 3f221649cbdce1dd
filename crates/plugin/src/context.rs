//! What a plugin's `run` is given besides its settings.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use granary_redact::Secret;
use jiff::Timestamp;

use crate::ci::Ci;
use crate::common::Common;
use crate::environment::Env;
use crate::failure::{Failure, Kind};
use crate::network::Network;
use crate::output::{Level, Output};
use crate::pem::Pem;
use crate::previous::{self, PreviousError};
use crate::report::{Facts, StepResult};
use crate::stop::Stop;

/// The surroundings of a run. Nothing below it reads clock, environment or signals.
pub struct Context {
    /// The pipeline.
    pub ci: Ci,
    /// The environment, for what a child process may see of it ([`Env::for_child`]).
    pub env: Env,
    /// The settings that every plugin has.
    pub common: Common,
    /// Proxies and trust anchors.
    pub network: Network,
    /// The printer.
    pub output: Output,
    /// Whether the run should stop, to be asked between atomic steps.
    pub stop: Stop,
    /// The folder that the steps share; by hand the working folder.
    pub workspace: PathBuf,
    /// When the step's time is over. The runner ends the run then; a plugin that has children to end does
    /// it before ([`crate::Plugin::OWN_TIMEOUT`]).
    pub deadline: Instant,
    pub(crate) clock: Box<dyn Fn() -> Timestamp>,
    pub(crate) facts: Mutex<Facts>,
}

impl Context {
    /// A context without pipeline, environment and signals that prints to memory, for the tests of plugins;
    /// fields can be replaced.
    pub fn detached(common: Common) -> Self {
        Context {
            ci: Ci::default(),
            env: Env::default(),
            deadline: Instant::now() + common.timeout,
            common,
            network: Network::default(),
            output: Output::to_memory(Level::Trace),
            stop: Stop::pair().1,
            workspace: PathBuf::from("."),
            clock: Box::new(Timestamp::now),
            facts: Mutex::new(Facts::default()),
        }
    }

    /// The same with another clock.
    #[must_use]
    pub fn with_clock(self, clock: impl Fn() -> Timestamp + 'static) -> Self {
        Context { clock: Box::new(clock), ..self }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// How much of the step's time is left.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Notes what the run is about as soon as it is known. Result and env file are made of it, however the
    /// run ends.
    pub fn record(&self, note: impl FnOnce(&mut Facts)) {
        note(&mut self.facts.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What was noted so far.
    pub fn facts(&self) -> Facts {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The result that an earlier step of this workflow left in its default place.
    ///
    /// # Errors
    /// [`PreviousError`], where there is one that cannot be understood.
    pub fn previous(&self, plugin: &str) -> Result<Option<StepResult>, PreviousError> {
        previous::read(&default_result(&self.workspace, plugin))
    }

    /// The text of the key or certificate that `setting` gives; the lines of a private key are masked in the
    /// output from now on.
    ///
    /// # Errors
    /// With exit code 2, where the file cannot be read or is no PEM.
    pub fn load(&self, setting: &str, pem: &Pem) -> Result<Secret, Failure> {
        let text = pem.load().map_err(|error| {
            Failure::new(Kind::Settings, format!("`{setting}` cannot be used"))
                .caused_by(error)
                .hint("give the PEM text itself, or the path of a file that this step can read")
        })?;
        if text.expose().contains("PRIVATE KEY-----") {
            self.output.add_secret(&text);
        }
        Ok(text)
    }
}

/// Where a plugin leaves its result unless it is told otherwise.
pub(crate) fn default_result(workspace: &Path, plugin: &str) -> PathBuf {
    workspace.join(".granary").join(format!("{plugin}.json"))
}
