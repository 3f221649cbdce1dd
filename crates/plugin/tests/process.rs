//! The contract as a user meets it: the example plugin as a process, with nothing in its environment but
//! what each test puts there.
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// `cargo test` builds examples beside the tests.
fn echo() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    tests.parent().unwrap().parent().unwrap().join("examples/echo")
}

/// What a run came to.
#[derive(Debug, PartialEq, Eq)]
struct End {
    code: Option<i32>,
    out: String,
    err: String,
}

fn end(code: i32, out: &str, err: &str) -> End {
    End { code: Some(code), out: out.to_owned(), err: err.to_owned() }
}

/// A folder to run in.
struct Step {
    folder: tempfile::TempDir,
}

impl Step {
    fn new() -> Self {
        Step { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn command(&self, arguments: &[&str], env: &[(&str, &str)]) -> Command {
        let mut command = Command::new(echo());
        command.args(arguments).env_clear().envs(env.iter().copied()).current_dir(self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str], env: &[(&str, &str)]) -> End {
        self.finish(self.command(arguments, env).output().unwrap())
    }

    fn finish(&self, output: std::process::Output) -> End {
        let folder = self.folder.path().to_str().unwrap();
        let text = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap().replace(folder, "[FOLDER]");
            let timeless = |line: &str| match line.rsplit_once(" in ") {
                Some((outcome, time)) if outcome.starts_with("echo: ") && time.ends_with('s') => {
                    format!("{outcome} in [TIME]\n")
                }
                _ => format!("{line}\n"),
            };
            text.lines().map(timeless).collect::<String>()
        };
        End { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// The fields of the result that say how it ended.
    fn result(&self) -> (String, u64) {
        let result: serde_json::Value = serde_json::from_str(&self.read(".granary/echo.json")).unwrap();
        (result["outcome"].as_str().unwrap().to_owned(), result["exit_code"].as_u64().unwrap())
    }
}

#[test]
fn no_settings_name_what_is_missing() {
    let step = Step::new();
    let missing = "error: 1 bad setting\n  \
                   repo: required, set PLUGIN_REPO or --repo; accepted: a text\n\
                   hint: `--help` lists every setting\n";
    assert_eq!(step.run(&[], &[]), end(2, "", missing));
    assert_eq!(step.result(), ("failed".to_owned(), 2));
}

#[test]
fn in_a_pipeline_no_settings_are_needed() {
    let step = Step::new();
    let (folder, sha) = (step.path("work"), "7a77c5932e35c13bf0bf61a33f757b21d41692b5");
    let env = [
        ("CI", "woodpecker"),
        ("CI_REPO", "Acme/App"),
        ("CI_COMMIT_SHA", sha),
        ("CI_COMMIT_REF", "refs/heads/main"),
        ("CI_WORKSPACE", folder.to_str().unwrap()),
    ];
    assert_eq!(step.run(&[], &env), end(0, "echo acme/app\necho: done in [TIME]\n", ""));
    let result: serde_json::Value = serde_json::from_str(&step.read("work/.granary/echo.json")).unwrap();
    assert_eq!(
        result,
        serde_json::json!({
            "plugin": "echo", "outcome": "done", "exit_code": 0, "commit": sha, "set": null, "version": "1.2.3",
            "candidate": null, "lead": "app",
            "artifacts": [
                {"name": "app", "repository": "registry.test/acme/app", "digest": "sha256:12", "tags": []}
            ],
        })
    );
}

#[test]
fn two_bad_settings_are_both_reported() {
    let env = [("PLUGIN_REPO", "a/b"), ("PLUGIN_BASE_VERSION", "1.1"), ("PLUGIN_TIMEOUT", "30")];
    let both = "error: 2 bad settings\n  \
                timeout: a number without a unit: `30`; accepted: a duration such as 90s, 30m, 1h30m or 7d\n  \
                base_version: looks like a YAML number (1.10 arrives as 1.1): put the version in quotes and write \
                all of it: `1.1`; accepted: a version in quotes, such as \"1.2.3\"\n\
                hint: `--help` lists every setting\n";
    assert_eq!(Step::new().run(&[], &env), end(2, "", both));
}

#[test]
fn a_typo_is_warned_about_and_a_reserved_name_refused() {
    let typo = [("PLUGIN_REPO", "a/b"), ("PLUGIN_DRYRUN", "true"), ("PLUGIN_CAMELNAME", "cn")];
    assert_eq!(
        Step::new().run(&[], &typo),
        end(
            0,
            "echo a/b\necho: done in [TIME]\n",
            "warning: PLUGIN_CAMELNAME is ignored: there is no such setting\n\
             warning: PLUGIN_DRYRUN is ignored: there is no such setting (did you mean `dry_run`?)\n"
        )
    );
    let reserved = [("PLUGIN_REPO", "a/b"), ("PLUGIN_FLOATING", "latest"), ("PLUGIN_INSECURE", "true")];
    assert_eq!(
        Step::new().run(&[], &reserved),
        end(
            2,
            "",
            "error: 2 bad settings\n  \
             insecure: could mean either of two things; accepted: skip_verify (TLS without checking certificates) \
             or plain_http (no TLS)\n  \
             floating: PLUGIN_FLOATING is not built yet and would have no effect; accepted: not set\n\
             hint: `--help` lists every setting\n"
        )
    );
}

#[test]
fn help_is_complete() {
    let ended = Step::new().run(&["--help"], &[]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    let expected = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/help.txt");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&expected, &ended.out).unwrap();
    }
    assert_eq!(ended.out, std::fs::read_to_string(expected).unwrap(), "UPDATE_EXPECTED=1 writes it anew");
    assert_eq!(Step::new().run(&["--version"], &[]), end(0, "echo 0.1.0\n", ""));
}

#[test]
fn the_docs_table_is_printed_for_xtask() {
    let ended = Step::new().run(&["--settings-markdown"], &[]);
    let row = "| `tags` | _none_ | What to say. Accepts a comma-separated or JSON list. Also `tag`. |\n";
    assert!(
        ended.out.starts_with("### Settings\n\n| Settings Name | Default | Description |\n"),
        "{}",
        ended.out
    );
    assert!(ended.out.contains(row), "{}", ended.out);
    assert!(!ended.out.contains("floating"), "{}", ended.out);
}

#[test]
fn secrets_come_from_a_file_or_standard_input_and_never_show() {
    let step = Step::new();
    std::fs::write(step.path("password"), "hunter2\n").unwrap();
    let masked =
        end(12, "echo a/b\n", "trace: the password is ***\nerror: cannot echo\n  cause 1: denied for ***\n");
    let arguments = ["fail", "--repo=a/b", "--log-level=trace", "--password-file"];
    assert_eq!(step.run(&[&arguments[..], &["password"]].concat(), &[]), masked);

    let mut command = step.command(&[&arguments[..], &["-"]].concat(), &[]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"hunter2").unwrap();
    assert_eq!(step.finish(child.wait_with_output().unwrap()), masked);

    let env = [("PLUGIN_PASSWORD", "hunter2"), ("PLUGIN_REPO", "a/b"), ("PLUGIN_LOG_LEVEL", "trace")];
    assert_eq!(step.run(&["fail"], &env), masked);

    let absent = step.run(&[&arguments[..], &["absent"]].concat(), &[]);
    assert_eq!(absent.code, Some(2));
    assert!(absent.err.contains("password: cannot read absent: No such file"), "{}", absent.err);

    let plain = "error: --password is a secret, and arguments are visible to every process\n\
                 hint: set PLUGIN_PASSWORD in the environment, or use --password-file\n";
    assert_eq!(step.run(&["--password", "hunter2"], &[]), end(2, "", plain));
    assert_eq!(step.run(&["--password=hunter2"], &[]), end(2, "", plain));
}

#[test]
fn a_panic_is_a_bug_with_a_code_and_no_secrets() {
    let step = Step::new();
    let ended = step.run(&["panic", "--repo=a/b"], &[("PLUGIN_PASSWORD", "hunter2")]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.starts_with("error: this is a bug at "), "{}", ended.err);
    assert!(
        ended.err.ends_with(": lost ***\nhint: please report it with the lines above\n"),
        "{}",
        ended.err
    );
}

#[test]
fn set_but_empty_is_unset() {
    let env = [("PLUGIN_REPO", ""), ("CI_REPO", "a/b"), ("PLUGIN_TIMEOUT", ""), ("PLUGIN_EMPTY", "")];
    assert_eq!(Step::new().run(&[], &env), end(0, "echo a/b\necho: done in [TIME]\n", ""));
}

#[test]
fn only_keeps_everything_else_out_and_flags_are_exempt() {
    let env = [("PLUGIN_ONLY", "repo"), ("PLUGIN_REPO", "a/b"), ("PLUGIN_SKIP_VERIFY", "true")];
    let refused = "error: 1 bad setting\n  \
                   skip_verify: PLUGIN_SKIP_VERIFY is in the environment, but `only` does not name it; accepted: in \
                   `only` where the step uses it, else not set\n\
                   hint: `--help` lists every setting\n";
    assert_eq!(Step::new().run(&[], &env), end(2, "", refused));
    let by_hand = Step::new().run(&["--dry-run"], &env[..2]);
    assert_eq!(by_hand, end(0, "echo a/b\necho: planned in [TIME]\n", ""));
}

#[test]
fn a_stop_is_answered_between_two_steps_with_a_result() {
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let step = Step::new();
        let mut child = step.command(&["linger", "--repo=a/b"], &[]).spawn().unwrap();
        wait_for_first_line(&mut child);
        kill(signal, child.id());
        let ended = step.finish(child.wait_with_output().unwrap());
        let out = format!(
            "SIG{signal}: stopping before the next step\ntidied up\ndone so far:\n  echo a/b\n  tidied up\n"
        );
        let err = format!(
            "error: stopped by SIG{signal}\nhint: run it again: what is complete is not done again\n"
        );
        assert_eq!(ended, end(code, &out, &err));
        assert_eq!(step.result(), ("failed".to_owned(), u64::try_from(code).unwrap()));
    }
}

#[test]
fn a_step_that_does_not_listen_ends_at_the_second_signal() {
    let step = Step::new();
    let mut child = step.command(&["--wait=60s", "--repo=a/b"], &[]).spawn().unwrap();
    wait_for_first_line(&mut child);
    let started = Instant::now();
    kill("TERM", child.id());
    std::thread::sleep(Duration::from_millis(300));
    kill("TERM", child.id());
    let ended = step.finish(child.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(143));
    assert!(ended.err.ends_with("hint: a second signal ended it at once\n"), "{}", ended.err);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[test]
fn the_time_of_the_step_is_bounded() {
    let step = Step::new();
    let out_of_time = "error: the step took longer than `timeout` allows (1.00s)\n\
                       hint: run it again: what is complete is not done again; or set a longer `timeout`\n";
    let arguments = ["--wait=60s", "--repo=a/b", "--timeout=1s"];
    assert_eq!(step.run(&arguments, &[]), end(12, "echo a/b\n", out_of_time));
    assert_eq!(step.result(), ("failed".to_owned(), 12));
}

#[test]
fn failures_and_refusals_leave_a_result_without_secrets() {
    let step = Step::new();
    let env = [("PLUGIN_PASSWORD", "hunter2"), ("PLUGIN_REPO", "a/b")];
    assert_eq!(step.run(&["fail"], &env).code, Some(12));
    assert_eq!(step.result(), ("failed".to_owned(), 12));
    let refused = step.run(&["refuse"], &env);
    let why = "error: refusing to echo without evidence\nhint: run the tests first\n";
    assert_eq!(refused, end(14, "echo a/b\n", why));
    assert_eq!(step.result(), ("refused".to_owned(), 14));
    let result: serde_json::Value = serde_json::from_str(&step.read(".granary/echo.json")).unwrap();
    let refusal = serde_json::json!({"rule": "evidence", "found": "said ***", "needed": "PASSED"});
    assert_eq!((&result["refusal"], &result["version"]), (&refusal, &serde_json::json!("1.2.3")));
}

#[test]
fn a_result_that_cannot_be_written_is_known_before_the_work() {
    let step = Step::new();
    std::fs::write(step.path("file"), "").unwrap();
    let refused = |setting: &str| {
        format!(
            "error: `{setting}` names a file that cannot be written\n  \
             cause 1: cannot write [FOLDER]/file/x\n  \
             cause 2: File exists (os error 17)\n\
             hint: name a path in the workspace, or in a folder that this step's user may write to\n"
        )
    };
    let unseen = "warning: later steps will not see the result of this one: cannot write ";
    let env_file = step.run(&["--repo=a/b", "--env-file=file/x"], &[]);
    assert_eq!(env_file, end(2, "", &refused("env_file")));
    let result_file = step.run(&["--repo=a/b", "--result-file=file/x"], &[]);
    let err = format!("{}{unseen}[FOLDER]/file/x: File exists (os error 17)\n", refused("result_file"));
    assert_eq!(result_file, end(2, "", &err));

    let step = Step::new();
    std::fs::write(step.path(".granary"), "").unwrap();
    let by_default = step.run(&["--repo=a/b"], &[]);
    let err = format!("{unseen}[FOLDER]/.granary/echo.json: File exists (os error 17)\n");
    assert_eq!(by_default, end(0, "echo a/b\necho: done in [TIME]\n", &err));
}

#[test]
fn the_env_file_holds_what_a_later_step_needs() {
    let step = Step::new();
    assert_eq!(step.run(&["--repo=a/b", "--env-file=out/.env", "--dry-run"], &[]).code, Some(0));
    let expected =
        "VERSION=1.2.3\nDIGEST=sha256:12\nIMAGE=registry.test/a/b@sha256:12\nDIGEST_APP=sha256:12\n";
    assert_eq!(step.read("out/.env"), expected);
    assert_eq!(step.run(&["fail", "--repo=a/b", "--env-file=out/.env"], &[]).code, Some(12));
    assert!(!step.path("out/.env").exists(), "a failed run does not leave the release of an earlier one");
}

#[test]
fn other_processes_cannot_read_the_environment() {
    let ended = Step::new().run(&["inspect", "--repo=a/b"], &[]);
    assert_eq!(ended, end(0, "echo a/b\ndumpable: NotDumpable\necho: unchanged in [TIME]\n", ""));
}

/// The same from outside: a second process of the same user looks. Root with all capabilities may look into every
/// process, so as root both run as a user without any.
#[cfg(target_os = "linux")]
#[test]
fn a_process_of_the_same_user_is_denied_the_environment() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let step = Step::new();
    // Readable for that user, or the kernel alone would forbid the look.
    std::fs::copy(echo(), step.path("echo")).unwrap();
    for (path, mode) in [(step.folder.path().to_owned(), 0o777), (step.path("echo"), 0o755)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let unprivileged = |program: &Path, arguments: &[&str]| {
        let mut command = Command::new(if root { Path::new("setpriv") } else { program });
        if root {
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(program);
        }
        command.args(arguments).current_dir(step.folder.path()).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let look = |mut secretive: Command| {
        let mut child = secretive.env("PLUGIN_PASSWORD", "hunter2-long").spawn().unwrap();
        wait_for_first_line(&mut child);
        let environment = format!("/proc/{}/environ", child.id());
        let looked = unprivileged(Path::new("/bin/cat"), &[&environment]).output().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&looked.stdout).contains("PLUGIN_PASSWORD=hunter2-long"), text(&looked.stderr))
    };
    let open = unprivileged(Path::new("/bin/sh"), &["-c", "echo; exec sleep 30"]);
    assert_eq!(
        look(open),
        (true, String::new()),
        "the control can be read, or this test would prove nothing"
    );
    let (seen, error) = look(unprivileged(&step.path("echo"), &["--repo=a/b", "--wait=30s"]));
    assert!(!seen && error.contains("Permission denied"), "{error}");
}

#[test]
fn a_closed_log_does_not_stop_the_work() {
    let step = Step::new();
    let mut child = step.command(&["--repo=a/b", "--wait=1s"], &[]).spawn().unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(step.result(), ("done".to_owned(), 0));
}

/// Reads byte by byte, so that what follows the first line is left for later.
fn wait_for_first_line(child: &mut std::process::Child) {
    let out = child.stdout.as_mut().unwrap();
    let mut byte = [0];
    while byte != *b"\n" {
        std::io::Read::read_exact(out, &mut byte).unwrap();
    }
}

fn kill(signal: &str, process: u32) {
    let process = rustix::process::Pid::from_raw(i32::try_from(process).unwrap()).unwrap();
    let signal = if signal == "TERM" { rustix::process::Signal::TERM } else { rustix::process::Signal::INT };
    rustix::process::kill_process(process, signal).unwrap();
}
