//! Pipelines as Woodpecker runs them: the recorded environment of an event, a workspace that the steps share, and the settings
//! of the docs' examples, `only` included.

use std::fs;
use std::path::{Path, PathBuf};

use granary_testkit::process::{Finished, PATH, Run, binary};
use tempfile::TempDir;

use crate::openssl::KeyPair;

const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../crates/plugin/tests/data/woodpecker-env");

/// A commit's id.
#[must_use]
pub fn commit(number: u8) -> String {
    format!("{number:02x}").repeat(20)
}

/// A pipeline.
#[derive(Debug)]
pub struct Pipeline {
    own: Option<TempDir>,
    workspace: PathBuf,
    event: String,
    variables: Vec<(String, String)>,
    settings: Vec<(String, String)>,
}

impl Pipeline {
    /// The pipeline of an event (`push`, `tag`, `manual`: the recorded environments' names) in an empty workspace, on the
    /// registry at `host`.
    ///
    /// # Panics
    /// Where no temporary folder can be created.
    #[must_use]
    pub fn new(event: &str, commit: &str, number: u64, host: &str) -> Self {
        let own =
            tempfile::Builder::new().prefix("granary-workspace-").tempdir().expect("a temporary folder");
        let workspace = own.path().to_owned();
        Self {
            own: Some(own),
            workspace,
            event: event.to_owned(),
            variables: Vec::new(),
            settings: Vec::new(),
        }
        .with("CI_COMMIT_SHA", commit)
        .with("CI_PIPELINE_NUMBER", &number.to_string())
        .setting("registry", host)
    }

    /// The pipeline of a push to main.
    #[must_use]
    pub fn push(commit: &str, number: u64, host: &str) -> Self {
        Self::new("push", commit, number, host)
    }

    /// The same commit's pipeline, started again from number `of`.
    #[must_use]
    pub fn restart(commit: &str, number: u64, of: u64, host: &str) -> Self {
        Self::push(commit, number, host)
            .with("CI_PIPELINE_PARENT", &of.to_string())
            .with("CI_PIPELINE_RERUNS", "1")
    }

    /// Runs in this folder, such as a clone.
    #[must_use]
    pub fn in_folder(mut self, folder: &Path) -> Self {
        self.own = None;
        self.workspace = folder.to_owned();
        self
    }

    /// Sets a variable of the pipeline.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A setting of every step.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The settings `username` and `password` of every step.
    #[must_use]
    pub fn login(self, user: &str, password: &str) -> Self {
        self.setting("username", user).setting("password", password)
    }

    /// The workspace.
    #[must_use]
    pub fn workspace(&self) -> &Path {
        &self.workspace
    }

    /// Writes a file of the workspace, as a checkout or a build would.
    ///
    /// # Panics
    /// Where it cannot be written.
    pub fn write(&self, path: &str, text: &str) {
        let file = self.workspace.join(path);
        fs::create_dir_all(file.parent().expect("invariant: below the workspace"))
            .expect("a folder can be made");
        fs::write(file, text).expect("the workspace can be written");
    }

    /// A step of a plugin with these settings besides the pipeline's.
    ///
    /// # Panics
    /// Where the plugin was not built.
    #[must_use]
    pub fn step(&self, plugin: &str, settings: &[(&str, &str)]) -> Run {
        let common = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let settings: Vec<(&str, &str)> = common.chain(settings.iter().copied()).collect();
        let only: Vec<&str> = settings.iter().map(|(name, _)| *name).collect();
        let run = Run::new(binary(plugin))
            .recorded(Path::new(RECORDED).join(format!("{}.plugin.env", self.event)).as_ref())
            .without_prefix("PLUGIN_")
            .current_dir(&self.workspace)
            .env("PATH", PATH)
            .env("CI_WORKSPACE", &self.workspace.to_string_lossy())
            .envs(self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())))
            .plugin("only", &only.join(","));
        settings.iter().fold(run, |run, (name, value)| run.plugin(name, value))
    }

    /// A step with `commands`: a script that the shell runs in the workspace, up to the first command that fails. It gets no setting.
    #[must_use]
    pub fn commands(&self, script: &str) -> Run {
        Run::new("/bin/sh")
            .arg("-ec")
            .arg(script)
            .recorded(Path::new(RECORDED).join(format!("{}.commands.env", self.event)).as_ref())
            .current_dir(&self.workspace)
            .env("PATH", PATH)
            .env("CI_WORKSPACE", &self.workspace.to_string_lossy())
            .envs(self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// registry-push of these sources.
    #[must_use]
    pub fn publish(&self, sources: &str) -> Run {
        self.step("registry-push", &[("sources", sources)])
    }

    /// integration-test, mode `report`, of a results file.
    #[must_use]
    pub fn report(&self, results: &str, keys: &KeyPair) -> Run {
        let settings = [("mode", "report"), ("results", results), ("signing_key", keys.private.as_str())];
        self.step("integration-test", &settings)
    }

    /// promote, trusting these keys.
    #[must_use]
    pub fn promote(&self, keys: &KeyPair) -> Run {
        self.step("promote", &[("trusted_keys", keys.public.as_str())])
    }

    /// Leaves the results of one test that passed, and signs them.
    ///
    /// # Panics
    /// Where the step fails.
    pub fn passes(&self, keys: &KeyPair) -> Finished {
        self.write("results.json", r#"{"tests": [{"name": "answers", "status": "passed"}]}"#);
        ends(&self.report("results.json", keys), 0)
    }
}

/// Runs a step and insists on its exit code.
///
/// # Panics
/// Where it ends otherwise, with all that it said.
pub fn ends(run: &Run, code: i32) -> Finished {
    let finished = run.output();
    assert_eq!(finished.code, Some(code), "{finished}");
    finished
}

/// A field of the result file that a plugin has left.
///
/// # Panics
/// Where there is none.
#[must_use]
pub fn result(finished: &Finished, plugin: &str, field: &str) -> String {
    let file = finished.json(&format!(".granary/{plugin}.json"));
    match &file[field] {
        serde_json::Value::String(text) => text.clone(),
        other => panic!("{field} of {plugin} is {other}\n{file}\n{finished}"),
    }
}
