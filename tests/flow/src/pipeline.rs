//! Pipelines as Woodpecker would run them: the recorded environment of an event, a workspace that the steps share, and
//! the settings that the docs' examples have.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use granary_attest::key::SigningKey;
use granary_testkit::image::{Image, ImageBuilder};
use granary_testkit::process::{Finished, Run};
use granary_testkit::registry::Registry;
use serde_json::json;
use tempfile::TempDir;

use crate::evidence::key;
use crate::programs;

/// The seed of the key that signs what tests said, and is trusted unless a test says otherwise.
const TEST_KEY: u8 = 1;

/// The repository of the recorded pipelines, and of the lead where there are several images.
pub const APP: &str = "acme/app";

/// The repository of the second image.
pub const WEB: &str = "acme/web";

/// A commit's id.
#[must_use]
pub fn commit(number: u8) -> String {
    format!("{number:02x}").repeat(20)
}

/// A small image whose bytes follow from `content`.
#[must_use]
pub fn image(content: &str) -> Image {
    ImageBuilder::new("linux/amd64").file("app/content", content.as_bytes()).build()
}

/// The same as an index for two platforms.
#[must_use]
pub fn index(content: &str) -> Image {
    let arm = ImageBuilder::new("linux/arm64").file("app/content", content.as_bytes()).build();
    Image::index(&[image(content), arm])
}

/// Runs a step and insists on its exit code.
///
/// # Panics
/// Where it ends otherwise.
pub fn ends(run: &Run, code: i32) -> Finished {
    let finished = run.output();
    assert_eq!(finished.code, Some(code), "{finished}");
    finished
}

/// Waits until something is so, looking often.
///
/// # Panics
/// Where it is not so within 30 s.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(30), "in vain: until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Where pipelines run; their workspaces are removed with it.
#[derive(Debug)]
pub struct Agent {
    folder: TempDir,
    workspaces: Cell<usize>,
}

impl Default for Agent {
    fn default() -> Self {
        Self::new()
    }
}

impl Agent {
    /// An agent without pipelines.
    ///
    /// # Panics
    /// Where no temporary folder can be created.
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be created");
        Self { folder, workspaces: Cell::new(0) }
    }

    /// The folder that everything of this agent lies in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn workspace(&self) -> PathBuf {
        self.workspaces.set(self.workspaces.get() + 1);
        let workspace = self.folder.path().join(self.workspaces.get().to_string());
        fs::create_dir(&workspace).expect("a temporary folder can be written");
        workspace
    }

    /// A pipeline of an event (`push`, `tag`, `manual`, …, as in the names of the recorded environments) in a new
    /// workspace.
    #[must_use]
    pub fn pipeline(&self, registry: &Registry, event: &str, commit: &str, number: u64) -> Pipeline {
        let recorded =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/plugin/tests/data/woodpecker-env");
        Pipeline {
            recorded: recorded.join(format!("{event}.plugin.env")),
            workspace: self.workspace(),
            host: registry.host(),
            number,
            variables: vec![
                ("CI_COMMIT_SHA".to_owned(), commit.to_owned()),
                ("CI_PIPELINE_NUMBER".to_owned(), number.to_string()),
            ],
            names: Vec::new(),
        }
    }

    /// A pipeline on a push to main.
    #[must_use]
    pub fn push(&self, registry: &Registry, commit: &str, number: u64) -> Pipeline {
        self.pipeline(registry, "push", commit, number)
    }

    /// A pipeline started again: a new number, its first number as parent, an empty workspace.
    #[must_use]
    pub fn restart(&self, pipeline: &Pipeline, number: u64) -> Pipeline {
        let mut again = pipeline.clone().in_folder(&self.workspace());
        again.variables.extend([
            ("CI_PIPELINE_NUMBER".to_owned(), number.to_string()),
            ("CI_PIPELINE_PARENT".to_owned(), pipeline.number.to_string()),
            ("CI_PIPELINE_RERUNS".to_owned(), "1".to_owned()),
        ]);
        again.number = number;
        again
    }
}

/// One pipeline. Its steps share a workspace.
#[derive(Clone, Debug)]
pub struct Pipeline {
    recorded: PathBuf,
    workspace: PathBuf,
    host: String,
    number: u64,
    variables: Vec<(String, String)>,
    names: Vec<String>,
}

impl Pipeline {
    /// The workspace.
    #[must_use]
    pub fn workspace(&self) -> &Path {
        &self.workspace
    }

    /// The same pipeline in another workspace, such as a Git repository.
    #[must_use]
    pub fn in_folder(mut self, workspace: &Path) -> Self {
        self.workspace = workspace.to_owned();
        self
    }

    /// Sets a variable of the pipeline.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The pipeline of a Git tag.
    #[must_use]
    pub fn of_tag(self, tag: &str) -> Self {
        self.with("CI_COMMIT_REF", &format!("refs/tags/{tag}")).with("CI_COMMIT_TAG", tag)
    }

    /// Several images in `acme/{name}` in place of one in `acme/app`.
    #[must_use]
    pub fn several(mut self, names: &[&str]) -> Self {
        self.names = names.iter().map(|&name| name.to_owned()).collect();
        self
    }

    /// The images app and web, in repositories of their own.
    #[must_use]
    pub fn app_and_web(self) -> Self {
        self.several(&["app", "web"])
    }

    /// A step.
    #[must_use]
    pub fn step(&self, plugin: &str) -> Run {
        self.step_of(Run::new(programs::plugin(plugin)))
    }

    /// A step whose plugin is started by another program, which is all that `run` has yet.
    #[must_use]
    pub fn step_of(&self, run: Run) -> Run {
        let variables = self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let run = run
            .recorded(&self.recorded)
            .without_prefix("PLUGIN_")
            .current_dir(&self.workspace)
            .env("CI_WORKSPACE", &self.workspace.to_string_lossy())
            .envs(variables)
            .plugin("registry", &self.host);
        match self.names.first() {
            Some(lead) => run.plugin("repo", "acme/{name}").plugin("lead", lead),
            None => run,
        }
    }

    /// Leaves images where a build step would, and returns the step that publishes them. With several names: as many
    /// images.
    ///
    /// # Panics
    /// Where a layout cannot be written.
    #[must_use]
    pub fn publish(&self, images: &[Image]) -> Run {
        let names: Vec<&str> = match self.names.is_empty() {
            true => vec!["app"],
            false => self.names.iter().map(String::as_str).collect(),
        };
        assert_eq!(names.len(), images.len(), "an image for each name");
        let mut sources = Vec::new();
        for (name, image) in names.iter().zip(images) {
            let folder = self.workspace.join("build").join(name);
            // What an earlier build of this workspace left.
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).expect("the workspace can be written");
            image.write_layout(&folder, "latest");
            sources.push(format!("oci:build/{name}"));
        }
        self.step("registry-push").plugin("sources", &sources.join(","))
    }

    /// Leaves results where tests would, and returns the step that signs them.
    ///
    /// # Panics
    /// Where the workspace cannot be written.
    #[must_use]
    pub fn report(&self, tests: &[(&str, &str)]) -> Run {
        let tests: Vec<_> =
            tests.iter().map(|(name, status)| json!({"name": name, "status": status})).collect();
        fs::write(self.workspace.join("results.json"), json!({"tests": tests}).to_string())
            .expect("the workspace can be written");
        self.step("integration-test")
            .plugin("mode", "report")
            .plugin("results", "results.json")
            .plugin("signing_key", &key(TEST_KEY).to_pem())
    }

    /// The step that promotes.
    #[must_use]
    pub fn promote(&self) -> Run {
        self.promote_trusting(&key(TEST_KEY))
    }

    /// The step that promotes what this key has signed.
    #[must_use]
    pub fn promote_trusting(&self, key: &SigningKey) -> Run {
        self.step("promote").plugin("trusted_keys", &key.public_key().to_pem())
    }

    /// Publishes and tests, with success.
    ///
    /// # Panics
    /// Where a step fails.
    pub fn tested(&self, images: &[Image]) {
        drop(ends(&self.publish(images), 0));
        drop(ends(&self.report(&[("answers", "passed")]), 0));
    }

    /// Publishes, tests and promotes, with success.
    ///
    /// # Panics
    /// Where a step fails.
    pub fn released(&self, images: &[Image]) {
        self.tested(images);
        drop(ends(&self.promote(), 0));
    }
}
