use granary_plugin::settings::{Raw, Table};
use granary_plugin::{COMMON, REGISTRY};

use super::*;

const TABLE: Table = Table::new(&[&OWN, &REGISTRY, &COMMON]);

fn ci() -> Ci {
    let sha = "7a77c5932e35c13bf0bf61a33f757b21d41692b5";
    Ci::read(&Env::from_pairs([("CI_COMMIT_SHA", sha), ("CI_REPO", "Acme/App")])).0
}

/// Settings beside those that every run has.
fn read(pairs: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
    let mut all = vec![("registry", "registry.example.test")];
    all.extend(pairs);
    let raw = Raw::from_pairs(&TABLE, &all);
    let mut reader = Reader::new(&TABLE, &raw);
    let settings = resolve(&mut reader, &ci());
    reader.finish(settings).map_err(|errors| errors.0.iter().map(ToString::to_string).collect())
}

/// The only error of settings that have one.
fn wrong(pairs: &[(&str, &str)]) -> String {
    let errors = read(pairs).err().unwrap_or_else(|| panic!("{pairs:?} was accepted"));
    assert_eq!(errors.len(), 1, "{errors:#?}");
    errors.concat()
}

const COMMAND: (&str, &str) = ("command", "sh run.sh {image}");
const RESULTS: (&str, &str) = ("results", "results.json");
const KEY: (&str, &str) = ("signing_key", "tests.key");

fn commands(settings: &Settings) -> &Commands {
    match &settings.mode {
        Mode::Run(commands) => commands,
        Mode::Report => panic!("not a run"),
    }
}

#[test]
fn the_table_is_sound_and_its_default_is_the_runners() {
    assert_eq!(TABLE.problems(), Vec::<String>::new());
    let pass_env = commands(&read(&[COMMAND, RESULTS]).unwrap()).pass_env.clone();
    assert_eq!(pass_env, DEFAULT_PASS_ENV.split(',').collect::<Vec<_>>());
}

#[test]
fn a_run_needs_a_command_and_results_and_nothing_else() {
    let settings = read(&[COMMAND, RESULTS]).unwrap();
    assert_eq!(settings.subject, Subject::Pipeline);
    assert_eq!(settings.registry.repo.to_string(), "acme/app");
    assert_eq!((settings.test_environment.as_str(), settings.attach_to_all), ("integration", false));
    assert!(settings.signing_key.is_none() && settings.platforms.is_empty());
    assert_eq!(settings.results, Results::Files { patterns: vec!["results.json".to_owned()], format: None });
    assert_eq!(
        wrong(&[RESULTS]),
        "command: required, set PLUGIN_COMMAND or --command; accepted: one string, or a JSON list of words as text"
    );
    assert_eq!(
        wrong(&[COMMAND]),
        "results: without results there is no telling whether anything was tested, set PLUGIN_RESULTS or \
         --results; accepted: the files that the tests write, or `results_format: exit-code`"
    );
}

#[test]
fn a_report_needs_results_and_a_key_and_runs_nothing() {
    let settings = read(&[("mode", "report"), RESULTS, KEY]).unwrap();
    assert!(matches!(settings.mode, Mode::Report) && settings.signing_key.is_some());
    assert_eq!(
        wrong(&[("mode", "report"), RESULTS]),
        "signing_key: required, set PLUGIN_SIGNING_KEY or --signing-key-file; accepted: PEM text, or the path of a PEM file"
    );
    for (name, value) in
        [("command", "sh run.sh"), ("teardown", "sh down.sh"), ("env", "A=b"), ("pass_env", "CI")]
    {
        assert_eq!(
            wrong(&[("mode", "report"), RESULTS, KEY, (name, value)]),
            format!("{name}: mode `report` runs nothing; accepted: nothing, or mode `run`")
        );
    }
    assert_eq!(
        wrong(&[("mode", "report"), KEY, ("results_format", "exit-code")]),
        "results_format: mode `report` runs nothing that could have an exit code; accepted: auto, json or junit"
    );
}

#[test]
fn a_mode_that_is_none_is_said_once() {
    assert_eq!(
        wrong(&[("mode", "sign"), RESULTS]),
        "mode: not one of them: `sign`; accepted: one of run, report, install"
    );
    assert_eq!(
        wrong(&[("mode", "install"), RESULTS]),
        "mode: `install` is not built yet; accepted: `run` or `report`"
    );
}

#[test]
fn a_command_is_split_as_a_shell_does_or_given_as_json() {
    for text in [r#"sh -c 'echo "$1"' x {digest:web}"#, r#"["sh","-c","echo \"$1\"","x","{digest:web}"]"#] {
        let settings = read(&[("command", text), RESULTS]).unwrap();
        let expected = Template::parse(&["sh", "-c", "echo \"$1\"", "x", "{digest:web}"]).unwrap();
        assert_eq!(commands(&settings).command, expected, "{text}");
    }
}

#[test]
fn what_yaml_made_of_a_command_is_refused_with_the_fix() {
    let table = [
        (
            "pytest,-k,a,b",
            "the first word contains a comma, so this was a YAML list: write one string, or JSON as text",
        ),
        (r#"{"version":null}"#, "quote"),
        ("sh 'run", "quote"),
        ("sh run.sh {digets}", "unknown placeholder `{digets}` in `{digets}`, known are {image} "),
        ("sh run.sh {tag:web}", "`{tag:web}` in `{tag:web}` takes no name"),
    ];
    for (value, reason) in table {
        for (name, other) in [("command", None), ("teardown", Some(COMMAND))] {
            let pairs: Vec<_> = [Some((name, value)), other, Some(RESULTS)].into_iter().flatten().collect();
            let error = wrong(&pairs);
            assert!(error.starts_with(&format!("{name}: ")) && error.contains(reason), "{error}");
        }
    }
}

#[test]
fn results_as_a_placeholder_needs_one_file() {
    let command = ("command", "sh run.sh {results}");
    assert_eq!(read(&[command, RESULTS]).unwrap().results.single_file(), Some("results.json"));
    for results in [("results", "out/*.xml"), ("results", "a.json,b.json"), ("results_format", "exit-code")] {
        assert_eq!(
            wrong(&[command, results]),
            "command: `{results}` needs the setting `results` with one file name without wildcards; \
             accepted: `results: one/file.json`"
        );
    }
}

#[test]
fn the_exit_code_is_a_result_only_where_it_is_asked_for() {
    assert_eq!(read(&[COMMAND, ("results_format", "exit-code")]).unwrap().results, Results::ExitCode);
    assert_eq!(
        wrong(&[COMMAND, RESULTS, ("results_format", "exit-code")]),
        "results: `results_format` is `exit-code`, which reads no files; accepted: one of the two"
    );
    let junit = read(&[COMMAND, RESULTS, ("results_format", "junit")]).unwrap();
    let format = Some(Format::Junit);
    assert_eq!(junit.results, Results::Files { patterns: vec!["results.json".to_owned()], format });
}

#[test]
fn platforms_patterns_and_variables_are_checked() {
    let settings = read(&[COMMAND, RESULTS, ("platforms", "linux/amd64,linux/arm64/v8")]).unwrap();
    let platforms: Vec<String> = settings.platforms.iter().map(Platform::to_string).collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64/v8"]);
    let bad = |pair: (&'static str, &'static str), start: &str| {
        let error = wrong(&[COMMAND, RESULTS, pair]);
        assert!(error.starts_with(start), "{error}");
    };
    bad(("platforms", "amd64"), "platforms: ");
    bad(("required_tests", "login::["), "required_tests: ");
    bad(("max_skipped", "few"), "max_skipped: ");
    bad(("attach", "some"), "attach: not one of them");
    bad(("env", r#"{"A=B":"x"}"#), "env: `A=B` cannot be the name of an environment variable");
    bad(("pass_env", "CI_*,plugin_token"), "pass_env: the tests never see `PLUGIN_*`");
}

#[test]
fn names_that_are_not_built_yet_are_refused_and_not_ignored() {
    for (name, instead) in [
        ("wait_for", "waiting for services is not built yet; let `command` wait"),
        ("signing_key_password", "encrypted keys are not built yet"),
        ("install_to", "mode `install` is not built yet"),
    ] {
        assert_eq!(
            wrong(&[COMMAND, RESULTS, (name, "x")]),
            format!(
                "{name}: PLUGIN_{} is not built yet and would have no effect; accepted: not set ({instead})",
                name.to_uppercase()
            )
        );
    }
}

#[test]
fn two_bad_settings_are_both_reported() {
    let errors = read(&[("command", "pytest,-x"), ("max_skipped", "-1"), RESULTS]).unwrap_err();
    assert_eq!(errors.len(), 2, "{errors:#?}");
    assert!(errors[0].starts_with("command: ") && errors[1].starts_with("max_skipped: "), "{errors:#?}");
}
