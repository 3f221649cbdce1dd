//! The settings of integration-test: the table, and what their texts mean.

use std::collections::BTreeMap;

use granary_oci::Platform;
use granary_plugin::{Ci, Env, Form, Group, Pem, Reader, Setting};
use granary_suite::{RegistrySettings, Subject};

use crate::results::{Format, Rules};
use crate::runner::{DEFAULT_PASS_ENV, child_env};
use crate::template::{Template, TemplateError};

/// The settings that only this plugin has.
pub const OWN: Group = Group {
    title: "integration-test",
    settings: &[
        Setting::new(
            "mode",
            Form::Choice(&["run", "report", "install"]),
            "`run`: run `command`. `report`: an earlier step ran the tests; read what it left, decide, sign. `install` is not built yet.",
        )
        .default("run"),
        Setting::new(
            "candidate",
            Form::Text,
            "The candidate under test: `X.Y.Z-rc.N`, or a tag or digest of its release set.",
        )
        .default_told("what registry-push says, else the commit's newest set"),
        Setting::new(
            "command",
            Form::Command,
            "The test command, split into words as a shell does, but no shell runs it. Placeholders: `{image}` `{image:NAME}` `{tag}` \
             `{digest}` `{digest:NAME}` `{version}` `{candidate}` `{results}` (quote it). Required in mode `run`.",
        ),
        Setting::new(
            "teardown",
            Form::Command,
            "A command that is always run afterwards, also when the tests fail, time out or are stopped.",
        ),
        Setting::not_yet("wait_for", "waiting for services is not built yet; let `command` wait"),
        Setting::new(
            "results",
            Form::List,
            "The files that the tests leave, with `*` and `?` as wildcards. `{results}` in `command` is that file, where exactly one is named without wildcards.",
        ),
        Setting::new(
            "results_format",
            Form::Choice(&["auto", "json", "junit", "exit-code"]),
            "What is in them: the suite's own JSON, JUnit XML, or told from the content. `exit-code` takes the command's exit code for the only test.",
        )
        .default("auto"),
        Setting::new("required_tests", Form::List, "Names of tests that must have passed, with `*` and `?` as wildcards."),
        Setting::new("max_skipped", Form::Integer, "How many tests may have been skipped.").default_told("any number"),
        Setting::new("platforms", Form::List, "The platforms that were tested, such as `linux/amd64`.").default_told("the step's own"),
        Setting::new("env", Form::Map, "Variables for the tests. Values are treated as secrets and masked in their output, numbers and yes/no aside. Mode `run` only.").secret(),
        Setting::new("pass_env", Form::List, "Variables of this step that the tests may see; `CI_*` stands for a prefix. Never `PLUGIN_*`.")
            .default(DEFAULT_PASS_ENV),
        Setting::new("test_environment", Form::Text, "The name of the place where the tests ran.").default("integration"),
        Setting::new("attach", Form::Choice(&["lead", "all"]), "Attach evidence to the set and the `lead`, or to `all` members.").default("lead"),
        Setting::new(
            "signing_key",
            Form::Pem,
            "The private key, P-256 in PKCS#8 PEM, that signs the evidence; text or path. Required in mode `report`. In mode `run` it lies \
             beside foreign code, and the evidence says so.",
        )
        .secret(),
        Setting::not_yet("signing_key_password", "encrypted keys are not built yet"),
        Setting::not_yet("install_to", "mode `install` is not built yet"),
    ],
};

/// What a run of integration-test was asked to do.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The registry and the repositories.
    pub registry: RegistrySettings,
    /// What is under test.
    pub subject: Subject,
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
    pub signing_key: Option<Pem>,
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

/// Reads the settings. Pure.
pub fn resolve(reader: &mut Reader<'_>, ci: &Ci) -> Option<Settings> {
    let registry = RegistrySettings::resolve(reader, ci);
    let subject = Subject::resolve(reader, ci, false);
    let mode = mode(reader);
    let results = results(reader, matches!(mode, Some(Mode::Report)));
    if let (Some(Mode::Run(commands)), Some(results)) = (&mode, &results)
        && results.single_file().is_none()
    {
        for (name, template) in
            [("command", Some(&commands.command)), ("teardown", commands.teardown.as_ref())]
        {
            if template.is_some_and(Template::needs_results) {
                reader.reject(name, TemplateError::NoResults.to_string(), "`results: one/file.json`");
            }
        }
    }
    let rules = rules(reader);
    let platforms = platforms(reader);
    let test_environment = reader.text("test_environment").map(|name| name.trim().to_owned());
    let signing_key = reader.pem("signing_key");
    if matches!(mode, Some(Mode::Report)) && signing_key.is_none() {
        reader.require::<()>("signing_key", None);
    }
    Some(Settings {
        registry: registry?,
        subject: subject?,
        mode: mode?,
        results: results?,
        rules: rules?,
        platforms,
        test_environment: test_environment?,
        attach_to_all: reader.choice("attach") == Some("all"),
        signing_key,
    })
}

fn mode(reader: &mut Reader<'_>) -> Option<Mode> {
    let command = template(reader, "command");
    let teardown = template(reader, "teardown");
    let env: BTreeMap<String, String> = reader.map("env").into_iter().collect();
    let pass_env = reader.list("pass_env");
    match reader.choice("mode") {
        Some("report") => {
            for name in ["command", "teardown", "env", "pass_env"] {
                if reader.is_set(name) {
                    reader.reject(name, "mode `report` runs nothing", "nothing, or mode `run`");
                }
            }
            Some(Mode::Report)
        }
        Some("install") => {
            reader.reject("mode", "`install` is not built yet", "`run` or `report`");
            None
        }
        // Not a mode: said already, and what it would need is anybody's guess.
        None => None,
        Some(_) => {
            if let Err(error) = child_env(&Env::default(), &pass_env, &env) {
                reader.reject("env", error.to_string(), "names of variables, with values");
            }
            if pass_env.iter().any(|name| name.to_ascii_uppercase().starts_with("PLUGIN_")) {
                reader.reject(
                    "pass_env",
                    "the tests never see `PLUGIN_*`, which holds this step's own secrets",
                    "other variables; `env` gives values to the tests",
                );
            }
            let command = reader.require("command", command)?;
            Some(Mode::Run(Box::new(Commands { command, teardown, env, pass_env })))
        }
    }
}

fn template(reader: &mut Reader<'_>, name: &str) -> Option<Template> {
    let words = reader.command(name)?;
    Template::parse(&words)
        .map_err(|error| reader.reject(name, error.to_string(), "words, with placeholders from the list"))
        .ok()
}

fn results(reader: &mut Reader<'_>, is_report: bool) -> Option<Results> {
    let patterns = reader.list("results");
    let format = match reader.choice("results_format") {
        Some("exit-code") if is_report => {
            reader.reject(
                "results_format",
                "mode `report` runs nothing that could have an exit code",
                "auto, json or junit",
            );
            return None;
        }
        Some("exit-code") if !patterns.is_empty() => {
            reader.reject(
                "results",
                "`results_format` is `exit-code`, which reads no files",
                "one of the two",
            );
            return None;
        }
        Some("exit-code") => return Some(Results::ExitCode),
        Some("json") => Some(Format::Json),
        Some("junit") => Some(Format::Junit),
        _ => None,
    };
    if patterns.is_empty() {
        reader.reject(
            "results",
            "without results there is no telling whether anything was tested, set PLUGIN_RESULTS or --results",
            "the files that the tests write, or `results_format: exit-code`",
        );
        return None;
    }
    Some(Results::Files { patterns, format })
}

fn rules(reader: &mut Reader<'_>) -> Option<Rules> {
    let required = reader.list("required_tests");
    let max_skipped = reader.integer("max_skipped").and_then(|number| usize::try_from(number).ok());
    Rules::new(&required, max_skipped)
        .map_err(|error| {
            reader.reject("required_tests", error.to_string(), "names, with `*` and `?` as wildcards");
        })
        .ok()
}

fn platforms(reader: &mut Reader<'_>) -> Vec<Platform> {
    let mut platforms = Vec::new();
    for text in reader.list("platforms") {
        match text.parse::<Platform>() {
            Ok(platform) => platforms.push(platform),
            Err(error) => {
                reader.reject("platforms", error.to_string(), "`os/architecture`, such as `linux/amd64`");
            }
        }
    }
    platforms
}

#[cfg(test)]
mod tests;
