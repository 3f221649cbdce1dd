//! Secrets never leave: not by what is printed at any level, not by files, arguments or another host.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flow::evidence::key;
use flow::pipeline::{APP, Agent, Pipeline, commit, image};
use flow::programs;
use granary_testkit::process::{Finished, Run};
use granary_testkit::registry::{Action, Fault, Options, Registry, Request};

const USER: &str = "robot";
const PASSWORD: &str = "pass&word/7f3c+needle";
const TEST_SECRET: &str = "database-needle-91e2";

/// Everything that must not be found, in each form in which it could be.
fn needles() -> Vec<String> {
    let pem = key(1).to_pem();
    let key_lines = pem.lines().filter(|line| !line.starts_with("-----")).map(str::to_owned);
    let percent = |text: &str| text.replace('&', "%26").replace('/', "%2F").replace('+', "%2B");
    [PASSWORD.to_owned(), TEST_SECRET.to_owned(), percent(PASSWORD), percent(PASSWORD).to_lowercase()]
        .into_iter()
        .chain([PASSWORD, TEST_SECRET, &format!("{USER}:{PASSWORD}")].map(|text| STANDARD.encode(text)))
        .chain(key_lines)
        .collect()
}

fn assert_clean(what: &str, bytes: &[u8]) {
    for needle in needles() {
        let found = bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
        assert!(!found, "{what} contains {needle}:\n{}", String::from_utf8_lossy(bytes));
    }
}

/// Every file that a run has left in its workspace, in which its home and temporary folder lie as well.
fn assert_files_clean(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => assert_files_clean(&path),
            false => assert_clean(&path.display().to_string(), &fs::read(&path).unwrap()),
        }
    }
}

/// A step with every secret that it can have.
fn with_secrets(pipeline: &Pipeline, run: Run) -> Run {
    let folder = |name: &str| {
        let folder = pipeline.workspace().join(name);
        fs::create_dir_all(&folder).unwrap();
        folder.to_string_lossy().into_owned()
    };
    run.plugin("username", USER)
        .plugin("password", PASSWORD)
        .plugin("log_level", "trace")
        .plugin("retries", "1")
        .plugin("env_file", "out.env")
        .env("HOME", &folder("home"))
        .env("TMPDIR", &folder("tmp"))
        .env("CI_NETRC_PASSWORD", TEST_SECRET)
}

const TESTS: &str = r#"echo "the database's password is $DB_PASSWORD"
echo "on standard error: $DB_PASSWORD" >&2
sleep 0.3
echo '{"tests": [{"name": "answers", "status": "passed", "message": "'$DB_PASSWORD'"}]}' > "$1"
"#;

/// All steps of a pipeline, with all their secrets.
fn steps(pipeline: &Pipeline) -> Vec<Run> {
    fs::write(pipeline.workspace().join("tests.sh"), TESTS).unwrap();
    let tests = pipeline
        .step("integration-test")
        .plugin("command", "sh tests.sh {results}")
        .plugin("results", "ran.json")
        .plugin("env", &format!("{{\"DB_PASSWORD\": \"{TEST_SECRET}\"}}"))
        .plugin("signing_key", &key(1).to_pem());
    let runs = [
        pipeline.publish(&[image("one")]),
        tests,
        pipeline.report(&[("answers", "passed")]),
        pipeline.promote(),
    ];
    runs.map(|run| with_secrets(pipeline, run)).into()
}

fn check(finished: &Finished) {
    assert_clean("stdout", finished.stdout.as_bytes());
    assert_clean("stderr", finished.stderr.as_bytes());
    // What the tests themselves wrote down is theirs.
    let _ = fs::remove_file(finished.workspace.join("ran.json"));
    assert_files_clean(&finished.workspace);
}

#[test]
fn no_secret_is_printed_or_left_behind_when_all_goes_well() {
    for options in [Options::with_token(USER, PASSWORD), Options::with_basic(USER, PASSWORD)] {
        let registry = Registry::start(options);
        let agent = Agent::new();
        for run in steps(&agent.push(&registry, &commit(1), 11)) {
            let finished = run.output();
            assert_eq!(finished.code, Some(0), "{finished}");
            check(&finished);
        }
        assert_eq!(registry.tags(APP)["0.1.0"], image("one").digest());
    }
}

#[test]
fn no_secret_is_printed_or_left_behind_when_things_fail() {
    let agent = Agent::new();
    let ready = Registry::start(Options::with_token(USER, PASSWORD));
    for run in &steps(&agent.push(&ready, &commit(1), 11))[..3] {
        assert_eq!(run.output().code, Some(0));
    }
    // A server that echoes what it was given, and the credentials themselves, in any case in its words.
    let echo =
        format!("denied to {USER} with {PASSWORD}, Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
    let body = |code| Action::Status { code, headers: Vec::new(), body: echo.clone() };
    let json = |code| {
        let body = serde_json::json!({"errors": [{"code": "DENIED", "message": echo}]}).to_string();
        let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        Action::Status { code, headers, body }
    };
    let elsewhere = format!("http://127.0.0.1:9/v2/?password={PASSWORD}");
    let redirect =
        Action::Status { code: 307, headers: vec![("Location".to_owned(), elsewhere)], body: String::new() };
    for (part, action) in [
        ("/token", body(401)),
        ("/token", json(401)),
        ("/token", body(500)),
        ("/v2/", body(500)),
        ("/v2/", json(403)),
        ("/v2/", json(404)),
        ("/v2/", Action::ResetBefore),
        ("/v2/", redirect),
    ] {
        let what = format!("{part} {action:?}");
        let registry = Registry::start_with(Options::with_token(USER, PASSWORD), ready.clone_state());
        // The first request passes, so that it comes to a token at all.
        let skipped = usize::from(part == "/v2/");
        registry.fault(Fault::on("*", part, action).after(skipped).times(usize::MAX));
        for run in steps(&agent.push(&registry, &commit(1), 11)) {
            let finished = run.output();
            assert!(
                finished.code.is_some_and(|code| [11, 12, 13, 14, 18, 20].contains(&code)),
                "{what}\n{finished}"
            );
            check(&finished);
            // The next step would skip after one that failed.
            let _ = fs::remove_dir_all(finished.workspace.join(".granary"));
        }
    }
}

#[test]
fn bad_settings_are_named_without_their_values() {
    let registry = Registry::start(Options::default());
    let agent = Agent::new();
    let pipeline = || agent.push(&registry, &commit(1), 11);
    let no_key = format!("-----BEGIN PRIVATE KEY-----\n{PASSWORD}\n");
    // A password without a user, keys that are none, a key where a public one belongs, what `only` does not name.
    for (run, code) in [
        (pipeline().publish(&[image("one")]).plugin("password", PASSWORD), 2),
        (pipeline().report(&[]).plugin("signing_key", &no_key), 20),
        (pipeline().report(&[]).plugin("signing_key", PASSWORD), 2),
        (pipeline().promote().plugin("trusted_keys", &key(1).to_pem()), 20),
        (pipeline().promote().plugin("only", "registry,trusted_keys").plugin("password", PASSWORD), 2),
        (pipeline().report(&[]).plugin("env", &format!("DB_PASSWORD={TEST_SECRET},broken")), 2),
    ] {
        let finished = run.plugin("log_level", "trace").output();
        assert_eq!(finished.code, Some(code), "{finished}");
        check(&finished);
    }
    let misspelt = pipeline().promote().plugin("passwort", PASSWORD).plugin("log_level", "trace").output();
    assert!(misspelt.stderr.contains("PLUGIN_PASSWORT"), "{misspelt}");
    check(&misspelt);
}

/// What this process has started, and what that has started: (process id, arguments).
fn descendants(process: &str) -> Vec<(String, Vec<u8>)> {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    let children = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("children")).ok());
    let children: Vec<String> =
        children.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect();
    let with_arguments = |child: String| {
        let arguments = fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
        let mut all = descendants(&child);
        all.push((child, arguments));
        all
    };
    children.into_iter().flat_map(with_arguments).collect()
}

#[test]
fn no_secret_is_in_any_processs_arguments() {
    let options = Options { latency: Duration::from_millis(40), ..Options::with_token(USER, PASSWORD) };
    let registry = Registry::start(options);
    let agent = Agent::new();
    let seen = std::cell::RefCell::new(std::collections::BTreeSet::new());
    for run in steps(&agent.push(&registry, &commit(1), 11)) {
        let finished = std::thread::scope(|scope| {
            let running = scope.spawn(|| run.output());
            while !running.is_finished() {
                for (_, arguments) in descendants("self") {
                    assert_clean("a process's arguments", &arguments);
                    let program = arguments.split(|byte| *byte == 0).next().unwrap_or_default();
                    let program = String::from_utf8_lossy(program).into_owned();
                    seen.borrow_mut().insert(program.rsplit('/').next().unwrap_or_default().to_owned());
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            running.join().unwrap()
        });
        assert_eq!(finished.code, Some(0), "{finished}");
    }
    for program in ["registry-push", "integration-test", "sh", "promote"] {
        assert!(seen.borrow().contains(program), "{program} was looked at, of {seen:?}");
    }
}

#[test]
fn another_host_gets_neither_credentials_nor_tokens() {
    let content = Registry::start(Options::default());
    let storage = Registry::start_sharing(Options::default(), &content);
    let options = Options { redirect_blobs: Some(storage.url()), ..Options::with_token(USER, PASSWORD) };
    let registry = Registry::start_sharing(options, &content);
    let agent = Agent::new();
    for run in steps(&agent.push(&registry, &commit(1), 11)) {
        assert_eq!(run.output().code, Some(0));
    }
    assert!(
        storage.count(|request| request.path.contains("/blobs/")) > 0,
        "the evidence was read from there"
    );
    assert_eq!(storage.count(|request| request.authorization.is_some()), 0, "{:?}", storage.requests());
    for needle in needles() {
        assert!(!storage.saw_bytes(needle.as_bytes()), "{needle}");
    }
    assert!(!storage.saw_bytes(b"tok-"), "a token of the registry");
    // The key and the tests' secrets go to nobody, not even to the registry.
    for needle in needles().iter().filter(|needle| !basic().contains(needle.as_str())) {
        assert!(!registry.saw_bytes(needle.as_bytes()), "{needle}");
    }
    assert!(registry.saw_bytes(basic().as_bytes()), "the search finds what is there");
    assert!(registry.requests().iter().all(|request: &Request| !request.query.contains("password")));
}

fn basic() -> String {
    STANDARD.encode(format!("{USER}:{PASSWORD}"))
}

/// Everything that a test command can find out about its surroundings.
const SPY: &str = r#"env > seen.env
cat /proc/$PPID/environ > seen.parent 2> seen.error
cat /proc/$PPID/mem > seen.memory 2>> seen.error
ls -l /proc/$PPID/fd > seen.files 2>> seen.error
echo '{"tests": [{"name": "answers", "status": "passed"}]}' > ran.json
"#;

/// Runs a program as a user without privileges: root with all capabilities may look into every process, so the promise
/// only holds for others, and images run as others.
fn unprivileged(agent: &Agent, program: &Path) -> Run {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return Run::new(program);
    }
    // Readable for that user, or the kernel alone would forbid the look.
    let copy = agent.folder().join(program.file_name().unwrap());
    fs::copy(program, &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(agent.folder(), fs::Permissions::from_mode(0o755)).unwrap();
    let run = Run::new("/usr/bin/setpriv").arg("--reuid=65534").arg("--regid=65534").arg("--clear-groups");
    run.arg("--").arg(&copy.to_string_lossy())
}

#[test]
fn the_tests_cannot_read_the_settings_of_the_plugin_that_runs_them() {
    let registry = Registry::start(Options::with_token(USER, PASSWORD));
    let agent = Agent::new();
    let pipeline = agent.push(&registry, &commit(1), 11);
    assert_eq!(with_secrets(&pipeline, pipeline.publish(&[image("one")])).output().code, Some(0));
    fs::write(pipeline.workspace().join("spy.sh"), SPY).unwrap();
    for folder in ["", "home", "tmp", ".granary"] {
        let folder = pipeline.workspace().join(folder);
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let seen = |name: &str| fs::read(pipeline.workspace().join(name)).unwrap();
    let secrets = |run: Run| {
        with_secrets(&pipeline, pipeline.step_of(run))
            .plugin("signing_key", &key(1).to_pem())
            .plugin("log_level", "info")
    };

    // A program that does not protect itself can be read by its child, or this test would prove nothing.
    let open = secrets(unprivileged(&agent, Path::new("/bin/sh")).arg("-c").arg("sh spy.sh; true"));
    assert_eq!(open.output().code, Some(0));
    assert!(String::from_utf8_lossy(&seen("seen.parent")).contains(PASSWORD), "the control can see it");
    fs::remove_file(pipeline.workspace().join("ran.json")).unwrap();

    let tests = secrets(unprivileged(&agent, &programs::plugin("integration-test")))
        .plugin("command", "sh spy.sh")
        .plugin("results", "ran.json")
        .plugin("env", &format!("{{\"DB_PASSWORD\": \"{TEST_SECRET}\"}}"));
    let finished = tests.output();
    assert_eq!(finished.code, Some(0), "{finished}");
    let errors = String::from_utf8_lossy(&seen("seen.error")).into_owned();
    assert_eq!(errors.matches("Permission denied").count(), 3, "environ, mem and fd: {errors}");
    assert_eq!(seen("seen.parent"), b"", "the parent's environment");
    assert_eq!(seen("seen.memory"), b"", "the parent's memory");
    let environment = String::from_utf8(seen("seen.env")).unwrap();
    let names: Vec<&str> = environment.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    assert!(
        !names.iter().any(|name| name.starts_with("PLUGIN_") || name.starts_with("CI_NETRC")),
        "{names:?}"
    );
    assert!(names.contains(&"CI_COMMIT_SHA") && names.contains(&"PATH"), "{names:?}");
    assert!(
        environment.contains(&format!("DB_PASSWORD={TEST_SECRET}")),
        "what is meant for the tests arrives"
    );
    assert!(!environment.contains(PASSWORD), "{environment}");
    for line in key(1).to_pem().lines().filter(|line| !line.starts_with("-----")) {
        assert!(!environment.contains(line), "{environment}");
    }
}
