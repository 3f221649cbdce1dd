//! From texts to settings, mode by mode.
//!
//! Pure. A setting that would have no effect in a mode is refused there: whoever set it meant something.

use std::collections::BTreeMap;
use std::path::PathBuf;

use granary_oci::Platform;
use granary_plugin::{Ci, Env, Reader};
use granary_suite::{RegistrySettings, SigningKeySettings, Subject};

use super::{Commands, Endpoint, Install, Keygen, Mode, Place, Results, Settings, Work};
use crate::files::Files;
use crate::results::{Format, Rules};
use crate::runner::child_env;
use crate::template::{Template, TemplateError};

/// Most attempts that may be asked for: a test that passes one time in ten tells nothing.
const MOST_ATTEMPTS: u64 = 10;
/// Most services that are waited for.
const MOST_ENDPOINTS: usize = 50;
/// Settings of `command`, which only mode `run` has.
const OF_COMMANDS: [&str; 7] =
    ["command", "teardown", "env", "pass_env", "wait_for", "wait_timeout", "attempts"];
/// Settings about results, which the modes `run` and `report` have.
const OF_RESULTS: [&str; 8] = [
    "results",
    "results_format",
    "required_tests",
    "max_skipped",
    "negative_control",
    "test_environment",
    "junit_file",
    "summary_file",
];
/// Settings about evidence. A copy has them only where it is told a registry.
const OF_EVIDENCE: [&str; 2] = ["attach", "platforms"];
/// What signs it.
const OF_KEYS: [&str; 2] = ["signing_key", "signing_key_password"];
/// Settings that say in which registry to look for what. A run without any of them may be that of an
/// installed copy, which has the answer lying beside it.
const OF_REGISTRY: [&str; 7] = ["registry", "repo", "username", "password", "lead", "verify", "candidate"];

/// Reads the settings. Pure.
pub fn resolve(reader: &mut Reader<'_>, ci: &Ci) -> Option<Work> {
    // What a mode that is none would need is anybody's guess.
    match reader.choice("mode")? {
        "keygen" => keygen(reader, ci).map(Work::Keygen),
        "install" => install(reader, ci).map(|install| Work::Install(Box::new(install))),
        word => test(reader, ci, word == "report").map(|settings| Work::Test(Box::new(settings))),
    }
}

/// The modes `run` and `report`.
fn test(reader: &mut Reader<'_>, ci: &Ci, is_report: bool) -> Option<Settings> {
    reader.refuse(&["install_to"], "only mode `install` has it", "nothing");
    reader.refuse(&["keygen_to"], "only mode `keygen` has it", "nothing");
    // One that signs is no copy: what it lacks is the registry.
    let asks_nobody = OF_REGISTRY.iter().all(|name| !reader.is_set(name)) && !reader.is_set("signing_key");
    let place = if asks_nobody && !is_report {
        let reason = "without `registry` this is an installed copy, which makes no evidence";
        reader.refuse(&OF_EVIDENCE, reason, "nothing, or `registry` with it");
        Some(Place::Beside)
    } else {
        let registry = RegistrySettings::resolve(reader, ci);
        let subject = Subject::resolve(reader, ci, false);
        registry.zip(subject).map(|(registry, subject)| Place::Registry(registry, subject))
    };
    if !is_report {
        let reason = "mode `run` takes only results that its own tests have just written";
        reader.refuse(&["max_results_age"], reason, "nothing, or mode `report`");
    }
    let mode = test_mode(reader, is_report);
    let results = results(reader, is_report);
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
    let signing_key = SigningKeySettings::resolve(reader);
    if is_report && signing_key.is_none() {
        reader.require::<()>("signing_key", None);
    }
    let files = Files {
        junit: reader.text("junit_file").map(PathBuf::from),
        summary: reader.text("summary_file").map(PathBuf::from),
    };
    let patterns = match &results {
        Some(Results::Files { patterns, .. }) => patterns.as_slice(),
        _ => &[],
    };
    for (setting, reason) in files.conflicts(patterns) {
        reader.reject(setting, reason, "another file");
    }
    // All are read before the first `?`: whoever corrects settings wants to know of each.
    let attach_to_all = reader.choice("attach") == Some("all");
    let negative_control = reader.flag("negative_control");
    let max_results_age = reader.duration("max_results_age");
    Some(Settings {
        place: place?,
        mode: mode?,
        results: results?,
        rules: rules?,
        platforms,
        test_environment: test_environment?,
        attach_to_all,
        signing_key,
        negative_control,
        max_results_age,
        junit_file: files.junit,
        summary_file: files.summary,
    })
}

fn install(reader: &mut Reader<'_>, ci: &Ci) -> Option<Install> {
    let (runs, signs) = ("mode `install` runs nothing", "mode `install` signs nothing");
    reader.refuse(&OF_COMMANDS, runs, "nothing; give it to the copy that is installed");
    reader.refuse(&OF_RESULTS, runs, "nothing; give it to the copy that is installed, and to mode `report`");
    reader.refuse(&["max_results_age"], runs, "nothing; give it to mode `report`");
    reader.refuse(&["attach"], signs, "nothing; give it to mode `report`");
    reader.refuse(&OF_KEYS, signs, "nothing; give it to mode `report`");
    reader.refuse(&["keygen_to"], "only mode `keygen` has it", "nothing");
    let registry = RegistrySettings::resolve(reader, ci);
    let subject = Subject::resolve(reader, ci, false);
    let platforms = platforms(reader);
    let to = reader.text("install_to").map(PathBuf::from);
    if to.as_ref().is_some_and(|to| to.file_name().is_none()) {
        reader.reject("install_to", "it names no file", "a path that ends with the name of the program");
    }
    Some(Install { registry: registry?, subject: subject?, platforms, to })
}

fn keygen(reader: &mut Reader<'_>, ci: &Ci) -> Option<Keygen> {
    if ci.is_woodpecker() {
        let reason = "`keygen` is for runs by hand: in a pipeline the key would lie in the workspace, where every later step can read it";
        reader.reject("mode", reason, "`run`, `report` or `install`");
    }
    let reason = "mode `keygen` makes a key and does nothing else";
    for names in [
        OF_COMMANDS.as_slice(),
        &OF_RESULTS,
        &OF_EVIDENCE,
        &OF_REGISTRY,
        &["max_results_age", "signing_key", "install_to"],
    ] {
        reader.refuse(names, reason, "nothing");
    }
    let to = reader.text("keygen_to").map(PathBuf::from);
    if to.as_ref().is_some_and(|to| to.file_name().is_none()) {
        reader.reject(
            "keygen_to",
            "it names no file",
            "a path such as `tests`, which becomes tests.key and tests.pub",
        );
    }
    let password = reader.secret("signing_key_password");
    Some(Keygen { to: to?, password })
}

fn test_mode(reader: &mut Reader<'_>, is_report: bool) -> Option<Mode> {
    let command = template(reader, "command");
    let teardown = template(reader, "teardown");
    let env: BTreeMap<String, String> = reader.map("env").into_iter().collect();
    let pass_env = reader.list("pass_env");
    let wait_for = endpoints(reader);
    let wait_timeout = reader.duration("wait_timeout");
    let attempts = attempts(reader);
    if is_report {
        reader.refuse(&OF_COMMANDS, "mode `report` runs nothing", "nothing, or mode `run`");
        return Some(Mode::Report);
    }
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
    let (wait_timeout, attempts) = (wait_timeout?, attempts?);
    Some(Mode::Run(Box::new(Commands { command, teardown, env, pass_env, wait_for, wait_timeout, attempts })))
}

fn attempts(reader: &mut Reader<'_>) -> Option<u32> {
    let number = reader.integer("attempts")?;
    if !(1..=MOST_ATTEMPTS).contains(&number) {
        reader.reject("attempts", format!("not possible: `{number}`"), format!("1 to {MOST_ATTEMPTS}"));
        return None;
    }
    u32::try_from(number).ok()
}

fn endpoints(reader: &mut Reader<'_>) -> Vec<Endpoint> {
    const ACCEPTED: &str = "`tcp://host:port`, `http://host[:port]/path` or `https://…`";
    let texts = reader.list("wait_for");
    if texts.len() > MOST_ENDPOINTS {
        reader.reject("wait_for", format!("{} items", texts.len()), format!("at most {MOST_ENDPOINTS}"));
    }
    let mut endpoints = Vec::new();
    for text in texts {
        match text.parse::<Endpoint>() {
            Ok(endpoint) => endpoints.push(endpoint),
            Err(error) => reader.reject("wait_for", error.to_string(), ACCEPTED),
        }
    }
    endpoints
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
                "auto, json, junit or tap",
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
        Some("tap") => Some(Format::Tap),
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
