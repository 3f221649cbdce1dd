//! One pipeline, as Woodpecker 3.17 runs it on a plugin step: the variables that a real one was seen to set, a folder of its
//! own, standard output and standard error as one stream.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

use granary_testkit::image::Image;
use granary_testkit::process::PATH;

use super::DemoError;
use super::material::{self, Commit};
use super::scene::{SECRETS, Scene};

/// What started a pipeline.
#[derive(Clone, Copy)]
pub(super) enum Event {
    /// A push to main.
    Push,
    /// Somebody, by hand.
    Manual,
    /// Somebody restarted the pipeline of a push.
    Restart {
        /// Its number.
        of: u64,
    },
}

/// A pipeline with its workspace.
pub(super) struct Pipeline<'a> {
    scene: &'a Scene,
    commit: &'a Commit,
    number: u64,
    event: Event,
    workspace: PathBuf,
}

/// A plugin step.
pub(super) struct Step {
    /// The plugin.
    pub(super) plugin: &'static str,
    /// What is in its `settings:`.
    pub(super) settings: Vec<(&'static str, String)>,
    /// The exit code that it should end with.
    pub(super) expected: i32,
}

/// A step that ended with the exit code that it should end with.
pub(super) struct Finished {
    plugin: &'static str,
    outcome: String,
}

impl Finished {
    /// Fails where the result file names another outcome.
    pub(super) fn has_outcome(&self, expected: &'static str) -> Result<(), DemoError> {
        match self.outcome == expected {
            true => Ok(()),
            false => Err(DemoError::Outcome { plugin: self.plugin, found: self.outcome.clone(), expected }),
        }
    }
}

impl<'a> Pipeline<'a> {
    /// A pipeline with an empty workspace.
    pub(super) fn new(
        scene: &'a Scene,
        commit: &'a Commit,
        number: u64,
        event: Event,
    ) -> Result<Self, DemoError> {
        let workspace = scene.folder(&format!("pipeline-{number}"))?;
        Ok(Self { scene, commit, number, event, workspace })
    }

    /// Says what is about to happen.
    pub(super) fn title(&self, what: &str) {
        println!("\n=== pipeline {}, commit {} ({})", self.number, self.commit.short(), self.commit.message);
        println!("    {what}");
    }

    /// Does what clone and build steps would do.
    pub(super) fn checkout(&self, image: &Image) -> Result<(), DemoError> {
        material::write(&self.workspace, image)
    }

    /// Runs a step and fails where its exit code is not the expected one.
    pub(super) fn run(&self, step: &Step) -> Result<Finished, DemoError> {
        let plugin = step.plugin;
        println!("\n{plugin}");
        for (name, value) in &step.settings {
            println!("  {name}: {}", shown(name, value));
        }
        let started = Instant::now();
        let (status, said) = self.stream(step).map_err(|source| DemoError::Start { plugin, source })?;
        let took = started.elapsed().as_secs_f64();
        let found = status.code().map_or_else(|| status.to_string(), |code| format!("exit code {code}"));
        println!("  = {found} after {took:.2} s");
        if status.code() != Some(step.expected) {
            return Err(DemoError::Exit { plugin, found, expected: step.expected });
        }
        // Line by line: a key in PEM may be printed with an indent.
        let secrets = step.settings.iter().filter(|(name, _)| SECRETS.contains(name));
        for (setting, value) in secrets {
            if value.lines().any(|line| !line.starts_with("-----") && said.contains(line)) {
                return Err(DemoError::Leak { plugin, setting });
            }
        }
        Ok(Finished { plugin, outcome: self.outcome(plugin)? })
    }

    /// Runs a step; what it says is printed as it comes, and returned.
    fn stream(&self, step: &Step) -> io::Result<(ExitStatus, String)> {
        let (reader, writer) = io::pipe()?;
        let mut command = Command::new(self.scene.binaries.join(step.plugin));
        command
            .env_clear()
            .envs(self.environment().map_err(io::Error::other)?)
            .envs(settings(&step.settings))
            .current_dir(&self.workspace)
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer);
        let mut child = command.spawn()?;
        // The command holds the pipe's other end, too: without this the last line never comes.
        drop(command);
        let mut said = String::new();
        for line in BufReader::new(reader).lines() {
            let line = line?;
            println!("  | {line}");
            said.push_str(&line);
            said.push('\n');
        }
        Ok((child.wait()?, said))
    }

    fn outcome(&self, plugin: &str) -> Result<String, DemoError> {
        let path = self.workspace.join(format!(".granary/{plugin}.json"));
        let text = std::fs::read_to_string(&path);
        let text = text.map_err(|source| DemoError::File { path: path.clone(), source })?;
        let result: serde_json::Value = serde_json::from_str(&text)
            .map_err(|error| DemoError::File { path, source: io::Error::other(error) })?;
        Ok(result["outcome"].as_str().unwrap_or("none").to_owned())
    }

    fn environment(&self) -> Result<BTreeMap<String, String>, DemoError> {
        let (event, parent, reruns) = match self.event {
            Event::Push => ("push", 0, None),
            Event::Manual => ("manual", 0, None),
            Event::Restart { of } => ("push", of, Some(1_u64)),
        };
        let number = self.number;
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let mut variables: BTreeMap<String, String> =
            ALWAYS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut set = |name: &str, value: String| variables.insert(name.to_owned(), value);
        set("CI_COMMIT_SHA", self.commit.id.to_owned());
        set("CI_COMMIT_MESSAGE", self.commit.message.to_owned());
        set("CI_PIPELINE_EVENT", event.to_owned());
        set("CI_PIPELINE_NUMBER", number.to_string());
        set("CI_PIPELINE_PARENT", parent.to_string());
        if let Some(reruns) = reruns {
            set("CI_PIPELINE_RERUNS", reruns.to_string());
        }
        set("CI_PIPELINE_URL", format!("https://ci.example.test/repos/1/pipeline/{number}"));
        set("CI_WORKSPACE", text(self.workspace.clone()));
        set("PWD", text(self.workspace.clone()));
        set("HOME", text(self.scene.folder("home")?));
        set("TMPDIR", text(self.scene.folder("tmp")?));
        Ok(variables)
    }
}

/// Settings as Woodpecker makes variables of them, with `only` as every example has it.
fn settings(settings: &[(&str, String)]) -> BTreeMap<String, String> {
    let only = settings.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(",");
    let named = settings.iter().map(|(name, value)| (*name, value.clone()));
    named
        .chain([("only", only)])
        .map(|(name, value)| (format!("PLUGIN_{}", name.to_uppercase()), value))
        .collect()
}

/// A setting's value as a log may have it.
fn shown(name: &str, value: &str) -> String {
    match value.lines().next() {
        _ if SECRETS.contains(&name) => "********".to_owned(),
        Some(first) if value.lines().count() > 1 => format!("{first} …"),
        _ => value.to_owned(),
    }
}

/// What is the same in every pipeline of the demo.
const ALWAYS: &[(&str, &str)] = &[
    ("CI", "woodpecker"),
    ("CI_COMMIT_AUTHOR", "ada"),
    ("CI_COMMIT_AUTHOR_EMAIL", "ada@example.test"),
    ("CI_COMMIT_BRANCH", "main"),
    ("CI_COMMIT_REF", "refs/heads/main"),
    ("CI_COMMIT_TIMESTAMP", "1795207215"),
    ("CI_FORGE_TYPE", "gitea"),
    ("CI_FORGE_URL", "https://gitea.example.test"),
    ("CI_PIPELINE_AUTHOR", "ada"),
    ("CI_PIPELINE_CREATED", "1795207215"),
    ("CI_PIPELINE_FILES", "[]"),
    ("CI_PIPELINE_STARTED", "1795207215"),
    ("CI_PIPELINE_STATUS", "success"),
    ("CI_REPO", "acme/granary"),
    ("CI_REPO_CLONE_URL", "https://gitea.example.test/acme/granary.git"),
    ("CI_REPO_DEFAULT_BRANCH", "main"),
    ("CI_REPO_NAME", "granary"),
    ("CI_REPO_OWNER", "acme"),
    ("CI_REPO_PRIVATE", "true"),
    ("CI_REPO_REMOTE_ID", "1"),
    ("CI_REPO_URL", "https://gitea.example.test/acme/granary"),
    ("CI_STEP_NAME", "plugin"),
    ("CI_STEP_NUMBER", "0"),
    ("CI_STEP_STARTED", "1795207217"),
    ("CI_STEP_TYPE", "plugin"),
    ("CI_SYSTEM_HOST", "ci.example.test"),
    ("CI_SYSTEM_NAME", "woodpecker"),
    ("CI_SYSTEM_PLATFORM", "linux/amd64"),
    ("CI_SYSTEM_URL", "https://ci.example.test"),
    ("CI_WORKFLOW_NAME", "woodpecker"),
    ("CI_WORKFLOW_NUMBER", "1"),
    ("PATH", PATH),
];

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: Commit =
        Commit { id: "3f2a91c05b7d4e8896aa10c2f4b35d7e9081c6ab", message: "x", forgotten: &[] };

    /// Runs a plugin that is this shell script, with a password among its settings.
    fn run(script: &str, expected: i32) -> Result<Finished, DemoError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("script"), format!("#!/bin/sh\nmkdir .granary\n{script}\n"))
            .unwrap();
        // By another process: a file that this one has just written is busy while any other test forks.
        let mut install = Command::new("install");
        let install = install.args(["-m", "755", "script", "promote"]).current_dir(folder.path());
        assert!(install.status().unwrap().success());
        let scene = Scene::new(folder.path().to_owned()).unwrap();
        let pipeline = Pipeline::new(&scene, &COMMIT, 7, Event::Restart { of: 3 }).unwrap();
        pipeline.run(&Step { plugin: "promote", settings: scene.registry_settings(), expected })
    }

    #[test]
    fn a_step_that_does_not_do_what_it_should_ends_the_demo() {
        const DONE: &str = r#"echo '{"outcome":"done"}' >.granary/promote.json;"#;
        let said = |script: &str, expected| {
            run(&format!("{DONE} {script}"), expected)
                .and_then(|step| step.has_outcome("done"))
                .map_err(|e| e.to_string())
        };
        assert_eq!(said("exit 0", 0), Ok(()));
        assert_eq!(said("exit 14", 14), Ok(()));
        for (script, error) in [
            ("exit 14", "promote ended with exit code 14, and should have with exit code 0"),
            ("kill -9 $$", "promote ended with signal: 9 (SIGKILL), and should have with exit code 0"),
            (r#"echo "sent $PLUGIN_PASSWORD""#, "promote has printed the secret setting password"),
            (r#"echo "sent $PLUGIN_PASSWORD" >&2"#, "promote has printed the secret setting password"),
            (
                r#"echo '{"outcome":"skipped"}' >.granary/promote.json"#,
                "promote reports the outcome skipped, and should report done",
            ),
        ] {
            assert_eq!(said(script, 0), Err(error.to_owned()), "{script}");
        }
    }

    #[test]
    fn a_step_sees_its_pipeline_and_nothing_else() {
        let script = r#"[ "$CI_PIPELINE_NUMBER $CI_PIPELINE_PARENT $CI_PIPELINE_RERUNS" = "7 3 1" ] || exit 1
            [ "$CI_WORKSPACE" = "$PWD" ] && [ -z "$CARGO_MANIFEST_DIR$CARGO" ] || exit 2
            echo '{"outcome":"done"}' >.granary/promote.json"#;
        assert!(run(script, 0).is_ok());
    }

    #[test]
    fn settings_become_variables_and_only_names_them() {
        let made = settings(&[("repo", "acme/app".to_owned()), ("signing_key", "k".to_owned())]);
        let expected =
            [("PLUGIN_ONLY", "repo,signing_key"), ("PLUGIN_REPO", "acme/app"), ("PLUGIN_SIGNING_KEY", "k")];
        assert_eq!(made, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }

    #[test]
    fn secrets_are_masked_and_keys_shortened() {
        assert_eq!(shown("password", "x"), "********");
        assert_eq!(
            shown("trusted_keys", "-----BEGIN PUBLIC KEY-----\nMFkw\n"),
            "-----BEGIN PUBLIC KEY----- …"
        );
        assert_eq!(shown("repo", "acme/app"), "acme/app");
    }
}
