use granary_plugin::settings::{Raw, Table};
use granary_plugin::{COMMON, Ci, Env, REGISTRY, Reader};

use crate::runner::DEFAULT_PASS_ENV;

use super::*;

const TABLE: Table = Table::new(&[&OWN, &REGISTRY, &COMMON]);

fn ci() -> Ci {
    let sha = "7a77c5932e35c13bf0bf61a33f757b21d41692b5";
    Ci::read(&Env::from_pairs([("CI_COMMIT_SHA", sha), ("CI_REPO", "Acme/App")])).0
}

fn work(pairs: &[(&str, &str)], ci: &Ci) -> Result<Work, Vec<String>> {
    let raw = Raw::from_pairs(&TABLE, pairs);
    let mut reader = Reader::new(&TABLE, &raw);
    let work = resolve(&mut reader, ci);
    reader.finish(work).map_err(|errors| errors.0.iter().map(ToString::to_string).collect())
}

const REGISTRY_SET: (&str, &str) = ("registry", "registry.example.test");

/// Settings of the modes `run` and `report` beside those that every run has.
fn read(pairs: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
    match work(&[&[REGISTRY_SET], pairs].concat(), &ci())? {
        Work::Test(settings) => Ok(*settings),
        other => panic!("{other:?}"),
    }
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
    let Place::Registry(registry, subject) = &settings.place else { panic!("{:?}", settings.place) };
    assert_eq!((subject, registry.repo.to_string().as_str()), (&Subject::Pipeline, "acme/app"));
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
    for (name, value) in [
        ("command", "sh run.sh"),
        ("teardown", "sh down.sh"),
        ("env", "A=b"),
        ("pass_env", "CI"),
        ("wait_for", "tcp://db:5432"),
        ("wait_timeout", "1m"),
        ("attempts", "2"),
    ] {
        assert_eq!(
            wrong(&[("mode", "report"), RESULTS, KEY, (name, value)]),
            format!("{name}: mode `report` runs nothing; accepted: nothing, or mode `run`")
        );
    }
    assert_eq!(
        wrong(&[("mode", "report"), KEY, ("results_format", "exit-code")]),
        "results_format: mode `report` runs nothing that could have an exit code; accepted: auto, json, junit or tap"
    );
}

#[test]
fn a_mode_that_is_none_is_said_once() {
    assert_eq!(
        wrong(&[("mode", "sign"), RESULTS]),
        "mode: not one of them: `sign`; accepted: one of run, report, install, keygen"
    );
    // Not also that a registry and results are missing, which `keygen` does without.
    assert_eq!(
        work(&[("mode", "keyegn"), ("keygen_to", "tests")], &Ci::default()).unwrap_err(),
        [
            "mode: not one of them (did you mean `keygen`?): `keyegn`; accepted: one of run, report, install, keygen"
        ]
    );
}

#[test]
fn a_run_that_names_no_registry_may_be_a_copys() {
    let place = |pairs: &[(&str, &str)]| match work(pairs, &ci()) {
        Ok(Work::Test(settings)) => format!("{:?}", settings.place).split('(').next().unwrap().to_owned(),
        Ok(other) => panic!("{other:?}"),
        Err(errors) => errors.concat(),
    };
    let missing = "registry: required, set PLUGIN_REGISTRY or --registry; accepted: a text";
    assert_eq!(place(&[COMMAND, RESULTS]), "Beside");
    assert_eq!(place(&[COMMAND, RESULTS, REGISTRY_SET]), "Registry");
    for more in [("candidate", "0.1.146-rc.87"), ("repo", "acme/app"), ("lead", "app"), KEY] {
        assert_eq!(place(&[COMMAND, RESULTS, more]), missing, "{more:?}");
    }
    assert_eq!(place(&[("mode", "report"), RESULTS, KEY]), missing);
    for more in [("attach", "all"), ("platforms", "linux/arm64")] {
        let expected = "without `registry` this is an installed copy, which makes no evidence; accepted: nothing, or `registry` with it";
        assert_eq!(place(&[COMMAND, RESULTS, more]), format!("{}: {expected}", more.0));
        assert_eq!(place(&[COMMAND, RESULTS, REGISTRY_SET, more]), "Registry");
    }
}

#[test]
fn an_installation_takes_no_setting_that_it_would_not_use() {
    let install = ("mode", "install");
    let Ok(Work::Install(settings)) = work(&[install, REGISTRY_SET], &ci()) else { panic!() };
    assert_eq!((settings.subject, settings.to), (Subject::Pipeline, None));
    let to = ("install_to", "tools/it");
    let Ok(Work::Install(settings)) = work(&[install, REGISTRY_SET, to], &ci()) else { panic!() };
    assert_eq!(settings.to, Some(PathBuf::from("tools/it")));
    // Whatever takes the reader's setting must not refuse it in its turn.
    let (copy, report) = ([COMMAND, RESULTS], [("mode", "report"), RESULTS, KEY]);
    let table = [
        (COMMAND, "runs nothing; accepted: nothing; give it to the copy that is installed", &copy[..0], None),
        (
            ("wait_for", "tcp://db:5432"),
            "runs nothing; accepted: nothing; give it to the copy that is installed",
            &copy,
            None,
        ),
        (
            ("attempts", "2"),
            "runs nothing; accepted: nothing; give it to the copy that is installed",
            &copy,
            None,
        ),
        (
            RESULTS,
            "runs nothing; accepted: nothing; give it to the copy that is installed, and to mode `report`",
            &copy[..0],
            None,
        ),
        (
            ("required_tests", "a"),
            "runs nothing; accepted: nothing; give it to the copy that is installed, and to mode `report`",
            &copy,
            Some(&report),
        ),
        (
            ("negative_control", "true"),
            "runs nothing; accepted: nothing; give it to the copy that is installed, and to mode `report`",
            &copy,
            Some(&report),
        ),
        (
            ("max_results_age", "1h"),
            "runs nothing; accepted: nothing; give it to mode `report`",
            &copy[..0],
            Some(&report),
        ),
        (
            ("attach", "all"),
            "signs nothing; accepted: nothing; give it to mode `report`",
            &copy[..0],
            Some(&report),
        ),
        (KEY, "signs nothing; accepted: nothing; give it to mode `report`", &copy[..0], None),
    ];
    for (set, expected, copy, report) in table {
        let errors = work(&[install, REGISTRY_SET, set], &ci()).unwrap_err();
        assert_eq!(errors, [format!("{}: mode `install` {expected}", set.0)]);
        if !copy.is_empty() {
            work(&[copy, &[set]].concat(), &ci()).unwrap();
        }
        if let Some(report) = report {
            read(&[&report[..], &[set]].concat()).unwrap();
        }
    }
    let keygen_to = work(&[install, REGISTRY_SET, ("keygen_to", "tests")], &ci()).unwrap_err();
    assert_eq!(keygen_to, ["keygen_to: only mode `keygen` has it; accepted: nothing"]);
    let nameless = work(&[install, REGISTRY_SET, ("install_to", "..")], &ci()).unwrap_err();
    assert_eq!(
        nameless,
        ["install_to: it names no file; accepted: a path that ends with the name of the program"]
    );
    assert_eq!(wrong(&[COMMAND, RESULTS, to]), "install_to: only mode `install` has it; accepted: nothing");
    assert_eq!(
        wrong(&[COMMAND, RESULTS, ("max_results_age", "1h")]),
        "max_results_age: mode `run` takes only results that its own tests have just written; accepted: nothing, or mode `report`"
    );
}

#[test]
fn a_key_is_made_by_hand_only() {
    let keygen = ("mode", "keygen");
    let by_hand = Ci::default();
    let Ok(Work::Keygen(settings)) = work(&[keygen, ("signing_key_password", "hunter2\n")], &by_hand) else {
        panic!()
    };
    assert_eq!((settings.to, settings.password), (PathBuf::from("granary"), Some(Secret::new("hunter2"))));
    let other = [COMMAND, RESULTS, REGISTRY_SET, KEY, ("platforms", "linux/amd64"), ("install_to", "x")];
    for set in other {
        let errors = work(&[keygen, set], &by_hand).unwrap_err();
        let expected = "mode `keygen` makes a key and does nothing else; accepted: nothing";
        assert_eq!(errors, [format!("{}: {expected}", set.0)]);
    }
    let woodpecker = Ci::read(&Env::from_pairs([("CI", "woodpecker")])).0;
    let errors = work(&[keygen], &woodpecker).unwrap_err();
    assert!(errors.len() == 1 && errors[0].starts_with("mode: `keygen` is for runs by hand: "), "{errors:?}");
}

#[test]
fn repetition_and_waiting_have_bounds() {
    let settings = read(&[COMMAND, RESULTS]).unwrap();
    let plain = commands(&settings);
    assert_eq!((plain.attempts, plain.wait_timeout, plain.wait_for.len()), (1, Duration::from_secs(120), 0));
    let settings =
        read(&[COMMAND, RESULTS, ("attempts", "10"), ("wait_for", "tcp://db:5432,http://app:8080/health")]);
    let settings = settings.unwrap();
    let endpoints: Vec<String> = commands(&settings).wait_for.iter().map(ToString::to_string).collect();
    assert_eq!(
        (commands(&settings).attempts, endpoints.join(" ").as_str()),
        (10, "tcp://db:5432 http://app:8080/health")
    );
    for number in ["0", "11"] {
        let expected = format!("attempts: not possible: `{number}`; accepted: 1 to 10");
        assert_eq!(wrong(&[COMMAND, RESULTS, ("attempts", number)]), expected);
    }
    assert_eq!(
        wrong(&[COMMAND, RESULTS, ("wait_for", "db:5432")]),
        "wait_for: `db://` cannot be waited for; accepted: `tcp://host:port`, `http://host[:port]/path` or `https://…`"
    );
    let many = vec!["tcp://db:5432"; 51].join(",");
    assert_eq!(wrong(&[COMMAND, RESULTS, ("wait_for", &many)]), "wait_for: 51 items; accepted: at most 50");
    assert_eq!(
        wrong(&[COMMAND, RESULTS, ("signing_key_password", "hunter2")]),
        "signing_key_password: there is no `signing_key` that it could be for; accepted: both, or neither"
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
    bad(("max_skipped", "few"), "max_skipped: ");
    bad(("attach", "some"), "attach: not one of them");
    bad(("env", r#"{"A=B":"x"}"#), "env: `A=B` cannot be the name of an environment variable");
    bad(("pass_env", "CI_*,plugin_token"), "pass_env: the tests never see `PLUGIN_*`");
}

#[test]
fn two_bad_settings_are_both_reported() {
    let errors = read(&[("command", "pytest,-x"), ("max_skipped", "-1"), RESULTS]).unwrap_err();
    assert_eq!(errors.len(), 2, "{errors:#?}");
    assert!(errors[0].starts_with("command: ") && errors[1].starts_with("max_skipped: "), "{errors:#?}");
}

#[test]
fn all_bad_settings_are_reported_at_once() {
    let bad = [("command", "pytest,-x"), ("attach", "some"), ("negative_control", "perhaps"), RESULTS];
    let mut errors = read(&[bad.as_slice(), &[("max_skipped", "-1")]].concat()).unwrap_err();
    errors.sort();
    let names: Vec<&str> = errors.iter().filter_map(|error| error.split(':').next()).collect();
    assert_eq!(names, ["attach", "command", "max_skipped", "negative_control"]);
}
