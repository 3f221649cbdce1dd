//! A built binary, run as Woodpecker runs a plugin.
//!
//! The child sees the variables that the test gave it and four that every process needs (`PATH`, `HOME`, `TMPDIR`, `LC_ALL`), an empty
//! folder as workspace, and no standard input. A child that hangs is killed and the test fails.
//!
//! ```no_run
//! use granary_testkit::process::{Run, binary};
//!
//! let finished = Run::new(binary("promote"))
//!     .recorded("tests/data/push.plugin.env".as_ref())
//!     .plugin("repo", "team/app")
//!     .output();
//! assert_eq!(finished.code, Some(0), "{finished}");
//! ```

mod running;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

pub use running::{Finished, Leash, Running};
pub use rustix::process::Signal;

use running::SharedChild;

/// What children get as `PATH`.
pub const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Longer than any test should take, shorter than anyone's patience.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Finds a binary of another package of the workspace: in `$GRANARY_BIN_DIR`, else in the target folder that the
/// running test or tool was built into. Cargo names a binary (`CARGO_BIN_EXE_…`) only to tests of its own package.
///
/// # Panics
/// Where it is not there.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let folders: Vec<PathBuf> = match std::env::var_os("GRANARY_BIN_DIR") {
        Some(folder) => vec![folder.into()],
        // target/debug/deps/test-1a2b → target/debug/deps, target/debug, target
        None => {
            let own = std::env::current_exe().expect("a running program has a path");
            own.ancestors().skip(1).take(2).map(Path::to_owned).collect()
        }
    };
    let found = folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("no binary {name} in {folders:?}: run `cargo build --workspace` first"))
}

/// A run to be: a binary, its arguments, environment and workspace. Clones share the workspace.
#[derive(Clone, Debug)]
pub struct Run {
    program: PathBuf,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
    own_folder: Arc<TempDir>,
    workspace: PathBuf,
    time_limit: Duration,
    leash: Option<Leash>,
}

impl Run {
    /// A run of `program` without arguments in a new, empty workspace.
    ///
    /// # Panics
    /// Where no temporary folder can be created.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        let own_folder = Arc::new(tempfile::tempdir().expect("a temporary folder can be created"));
        let workspace = own_folder.path().join("workspace");
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        for folder in ["workspace", "home", "tmp"] {
            fs::create_dir(own_folder.path().join(folder)).expect("a temporary folder can be written");
        }
        let environment = BTreeMap::from([
            ("PATH".to_owned(), PATH.to_owned()),
            ("HOME".to_owned(), text(own_folder.path().join("home"))),
            ("TMPDIR".to_owned(), text(own_folder.path().join("tmp"))),
            ("LC_ALL".to_owned(), "C".to_owned()),
        ]);
        Self {
            program: program.into(),
            arguments: Vec::new(),
            environment,
            own_folder,
            workspace,
            time_limit: TIME_LIMIT,
            leash: None,
        }
    }

    /// Appends an argument.
    #[must_use]
    pub fn arg(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Sets several variables.
    #[must_use]
    pub fn envs<'a>(self, variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        variables.into_iter().fold(self, |run, (name, value)| run.env(name, value))
    }

    /// Removes a variable, such as one of a recorded environment.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.environment.remove(name);
        self
    }

    /// Removes every variable whose name starts like this.
    #[must_use]
    pub fn without_prefix(mut self, prefix: &str) -> Self {
        self.environment.retain(|name, _| !name.starts_with(prefix));
        self
    }

    /// Sets a plugin setting: `base-version` or `base_version` becomes `PLUGIN_BASE_VERSION`.
    #[must_use]
    pub fn plugin(self, setting: &str, value: &str) -> Self {
        self.env(&format!("PLUGIN_{}", setting.to_uppercase().replace('-', "_")), value)
    }

    /// Sets the variables of a file with `NAME=value` lines, as recorded from a real step; later calls override.
    /// A line without a name continues nothing and is left out: `env` prints values with newlines that way.
    ///
    /// # Panics
    /// Where the file cannot be read.
    #[must_use]
    pub fn recorded(mut self, file: &Path) -> Self {
        let text = fs::read_to_string(file)
            .unwrap_or_else(|error| panic!("cannot read the environment {}: {error}", file.display()));
        self.environment.extend(text.lines().filter_map(|line| {
            let (name, value) = line.split_once('=')?;
            let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            is_name.then(|| (name.to_owned(), value.to_owned()))
        }));
        self
    }

    /// Runs in this folder and not in one of its own.
    #[must_use]
    pub fn current_dir(mut self, folder: &Path) -> Self {
        self.workspace = folder.to_owned();
        self
    }

    /// The folder that the child starts in.
    #[must_use]
    pub fn workspace(&self) -> &Path {
        &self.workspace
    }

    /// Kills the child after this time and fails; 60 s unless set.
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Ties the child to a leash that somebody else may pull; of several children, the one started last.
    #[must_use]
    pub fn leash(mut self, leash: &Leash) -> Self {
        self.leash = Some(leash.clone());
        self
    }

    /// Runs to the end.
    ///
    /// # Panics
    /// Where the program cannot be started or exceeds its time limit.
    pub fn output(&self) -> Finished {
        self.spawn().wait()
    }

    /// Starts.
    ///
    /// # Panics
    /// Where the program cannot be started.
    #[must_use]
    pub fn spawn(&self) -> Running {
        let logs = tempfile::tempdir_in(self.own_folder.path()).expect("a temporary folder can be written");
        // Files and no pipes: a grandchild that keeps a pipe open would hold up the reader.
        let log = |name: &str| File::create(logs.path().join(name)).expect("a temporary file can be created");
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .envs(&self.environment)
            .current_dir(&self.workspace)
            .stdin(Stdio::null())
            .stdout(log("stdout"))
            .stderr(log("stderr"))
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", self.program.display()));
        let child = SharedChild::new(child);
        if let Some(leash) = &self.leash {
            leash.tie(&child);
        }
        Running::new(self.clone(), child, logs)
    }
}
