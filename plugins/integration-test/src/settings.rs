//! What the settings of integration-test mean.

mod endpoint;
mod resolve;
mod table;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use granary_oci::Platform;
use granary_redact::Secret;
use granary_suite::{RegistrySettings, SigningKeySettings, Subject};

use crate::results::{Format, Rules};
use crate::template::Template;

pub use self::endpoint::{Endpoint, EndpointError};
pub use self::resolve::resolve;
pub use self::table::OWN;

/// What a run of integration-test was asked to do.
#[derive(Clone, Debug)]
pub enum Work {
    /// Run the tests or read what they left, decide, sign.
    Test(Box<Settings>),
    /// Put this program where a later step finds it.
    Install(Box<Install>),
    /// Make a key.
    Keygen(Keygen),
}

/// What mode `install` needs.
#[derive(Clone, Debug)]
pub struct Install {
    /// The registry and the repositories.
    pub registry: RegistrySettings,
    /// What is under test.
    pub subject: Subject,
    /// What will run; empty: this step's own platform.
    pub platforms: Vec<Platform>,
    /// Where to put the program, if not in the default place.
    pub to: Option<PathBuf>,
}

/// What mode `keygen` needs.
#[derive(Clone, Debug)]
pub struct Keygen {
    /// The path without `.key` and `.pub`.
    pub to: PathBuf,
    /// What the private key is encrypted with.
    pub password: Option<Secret>,
}

/// Where to look for what is under test.
#[derive(Clone, Debug)]
pub enum Place {
    /// In a registry.
    Registry(RegistrySettings, Subject),
    /// Beside this program, which mode `install` has put there.
    Beside,
}

/// What the modes `run` and `report` were asked to do.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to look for what is under test.
    pub place: Place,
    /// Run the tests, or read what they left.
    pub mode: Mode,
    /// Where the results come from.
    pub results: Results,
    /// What is asked of them.
    pub rules: Rules,
    /// What ran; empty: this step's own platform.
    pub platforms: Vec<Platform>,
    /// Where it ran.
    pub test_environment: String,
    /// Evidence for every member, not only for the lead.
    pub attach_to_all: bool,
    /// What signs the evidence.
    pub signing_key: Option<SigningKeySettings>,
    /// The candidate is known to be bad.
    pub negative_control: bool,
    /// Oldest results that count.
    pub max_results_age: Option<Duration>,
    /// Where to write what the tests said as JUnit XML.
    pub junit_file: Option<PathBuf>,
    /// Where to write it for readers, as Markdown.
    pub summary_file: Option<PathBuf>,
}

/// Who runs the tests.
#[derive(Clone, Debug)]
pub enum Mode {
    /// This step.
    Run(Box<Commands>),
    /// A step before.
    Report,
}

/// What this step runs.
#[derive(Clone, Debug)]
pub struct Commands {
    /// The tests.
    pub command: Template,
    /// What cleans up after them.
    pub teardown: Option<Template>,
    /// Variables for both.
    pub env: BTreeMap<String, String>,
    /// Variables of this step that both may see.
    pub pass_env: Vec<String>,
    /// What must be there before the tests start.
    pub wait_for: Vec<Endpoint>,
    /// How long that may take.
    pub wait_timeout: Duration,
    /// How often the tests may run, 1 to 10.
    pub attempts: u32,
}

/// Where the results come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Results {
    /// From files; the format is told from their content where it is not set.
    Files {
        /// Names, with wildcards.
        patterns: Vec<String>,
        /// What is in them.
        format: Option<Format>,
    },
    /// From the command's exit code: it is the only test.
    ExitCode,
}

impl fmt::Display for Results {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Results::Files { patterns, .. } => formatter.write_str(&patterns.join(", ")),
            Results::ExitCode => formatter.write_str("exit-code"),
        }
    }
}

impl Results {
    /// The file that `{results}` stands for: where one is named, without wildcards.
    pub fn single_file(&self) -> Option<&str> {
        match self {
            Results::Files { patterns, .. } => match patterns.as_slice() {
                [only] if !only.contains(['*', '?', '[']) => Some(only),
                _ => None,
            },
            Results::ExitCode => None,
        }
    }
}

#[cfg(test)]
mod tests;
