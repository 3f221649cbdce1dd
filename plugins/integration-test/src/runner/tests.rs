use std::collections::BTreeSet;
use std::path::Path;

use granary_redact::Secret;

use super::*;

/// Runs a future as a plugin does.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn shell(script: &str) -> Command {
    Command {
        argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
        cwd: std::env::temp_dir(),
        env: vec![("PATH".into(), "/usr/bin:/bin".into())],
        time_limit: Some(Duration::from_secs(20)),
        grace: Duration::from_secs(10),
    }
}

fn run_it(command: &Command, stop: impl Future<Output = ()>) -> (Run, Vec<(Stream, String)>) {
    let mut redactor = Redactor::new();
    redactor.add(&Secret::new("hunter2-hunter2"));
    let mut lines = Vec::new();
    let mut sink = |stream, line: &str| lines.push((stream, line.to_owned()));
    let run = block_on(run(command, &redactor, &mut sink, stop, &Timestamp::now));
    (run, lines)
}

fn run_script(script: &str) -> (Run, Vec<String>) {
    let (run, lines) = run_it(&shell(script), std::future::pending());
    (run, lines.into_iter().map(|(_, line)| line).collect())
}

/// Without the time that it waited for the other tests of this process.
fn took(run: &Run) -> Duration {
    run.finished.duration_since(run.started).unsigned_abs()
}

/// Processes on this machine whose command line holds the marker.
fn alive(marker: &str) -> Vec<i32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else { continue };
        let command_line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&command_line).replace('\0', " ").contains(marker) {
            found.push(pid);
        }
    }
    found
}

#[test]
fn an_end_is_told_as_it_was() {
    let table = [
        ("exit 0", "ended with exit code 0"),
        ("exit 7", "ended with exit code 7"),
        ("kill -SEGV $$", "was killed by signal 11"),
        ("kill -KILL $$", "was killed by signal 9, which is what the kernel does when memory runs out"),
    ];
    for (script, expected) in table {
        let (run, _) = run_script(script);
        assert_eq!((run.end.to_string().as_str(), run.left_behind), (expected, 0), "{script}");
        assert!(run.started <= run.finished);
        assert_eq!(run.succeeded(), script == "exit 0");
    }
}

#[test]
fn times_are_told_by_the_clock_that_is_given() {
    let calls = std::cell::Cell::new(0);
    let clock = || {
        calls.set(calls.get() + 1);
        Timestamp::from_second(1_000 * calls.get()).unwrap()
    };
    let mut sink = |_, _: &str| {};
    for command in [shell("exit 0"), Command { argv: Vec::new(), ..shell("") }] {
        calls.set(0);
        let teardown = Some(|| shell("exit 0"));
        let stop = std::future::pending();
        let runs = block_on(run_with_teardown(&command, teardown, &Redactor::new(), &mut sink, stop, &clock));
        let of = |run: &Run| [run.started.as_second(), run.finished.as_second()];
        assert_eq!([of(&runs.command), of(&runs.teardown.unwrap())], [[1_000, 2_000], [3_000, 4_000]]);
    }
}

#[test]
fn both_streams_come_live_and_to_the_last_byte() {
    let (run, lines) = run_it(
        &shell("echo one; echo two >&2; printf 'no end'; printf 'nor here' >&2"),
        std::future::pending(),
    );
    assert!(run.succeeded());
    let of =
        |stream| lines.iter().filter(|line| line.0 == stream).map(|line| line.1.as_str()).collect::<Vec<_>>();
    assert_eq!(of(Stream::Out), ["one", "no end"]);
    assert_eq!(of(Stream::Err), ["two", "nor here"]);

    let mut first_line = None;
    let mut sink = |_, line: &str| {
        first_line.get_or_insert((line.to_owned(), Timestamp::now()));
    };
    // The line has no end: it is shown when it stands still.
    let run = block_on(run_without_stop(&shell("printf 'waiting for it '; sleep 2.6; echo done"), &mut sink));
    let (line, shown) = first_line.unwrap();
    assert_eq!(line, "waiting for it ");
    assert!(shown.duration_since(run.started).as_millis() < 2500, "{shown} {}", run.started);
}

async fn run_without_stop(command: &Command, sink: &mut dyn FnMut(Stream, &str)) -> Run {
    run(command, &Redactor::new(), sink, std::future::pending(), &Timestamp::now).await
}

#[test]
fn a_secret_written_in_two_halves_is_masked() {
    let (_, lines) = run_script("printf 'a hunter2-'; sleep 0.1; echo hunter2 b; echo hunter2-hunter2 >&2");
    assert_eq!(BTreeSet::from_iter(lines), BTreeSet::from(["a *** b".to_owned(), "***".to_owned()]));
}

#[test]
fn the_environment_is_what_was_given_and_there_is_no_input() {
    let mut command = shell("cat; env | sort");
    command.env.push(("GREETING".into(), "two words".into()));
    let (run, lines) = run_it(&command, std::future::pending());
    assert!(run.succeeded());
    let lines: Vec<String> = lines.into_iter().map(|(_, line)| line).collect();
    // PWD and the like are the shell's own.
    let own = ["PWD=", "OLDPWD=", "SHLVL=", "_="];
    let given: Vec<&String> =
        lines.iter().filter(|line| !own.iter().any(|name| line.starts_with(name))).collect();
    assert_eq!(given, ["GREETING=two words", "PATH=/usr/bin:/bin"]);
}

#[test]
fn a_flood_is_shown_whole() {
    let (mut bytes, mut longest) = (0, 0);
    let mut sink = |_, line: &str| {
        bytes += line.trim_end_matches(CUT_MARK).len();
        longest = longest.max(line.len());
    };
    let run = block_on(run_without_stop(&shell("head -c 100000000 /dev/zero | tr '\\0' x"), &mut sink));
    assert!(run.succeeded());
    assert_eq!((bytes, longest), (100_000_000, LONGEST_LINE + CUT_MARK.len()));
}

#[test]
fn a_time_limit_ends_the_whole_tree() {
    let table = [
        // Ends when asked.
        ("sleep 61.01 & sleep 61.01", "sleep 61.01", 10_000),
        // Ignores the request, as do its children.
        ("trap '' TERM; sleep 61.02 & sleep 61.02", "sleep 61.02", 200),
        // In another session, behind a parent that waits for it.
        ("setsid sh -c 'trap \"\" TERM; sleep 61.03; true' & wait", "sleep 61.03", 200),
        // Forked twice and detached.
        ("(setsid sleep 61.04 >/dev/null 2>&1 &) ; sleep 61.04", "sleep 61.04", 10_000),
        // Stopped processes see no SIGTERM.
        ("sleep 61.05 & kill -STOP $!; kill -STOP $$", "sleep 61.05", 200),
    ];
    for (script, marker, grace) in table {
        let command = Command {
            time_limit: Some(Duration::from_millis(300)),
            grace: Duration::from_millis(grace),
            ..shell(script)
        };
        let (run, _) = run_it(&command, std::future::pending());
        assert_eq!(run.end.to_string(), "was ended: it ran longer than 300ms", "{script}");
        assert!(took(&run) < Duration::from_secs(2), "{script}: {:?}", took(&run));
        assert_eq!((alive(marker), run.survivors), (vec![], 0), "{script}");
    }
}

#[test]
fn what_is_left_behind_is_ended_and_holds_nobody_up() {
    let table = [
        // Holds the pipes.
        ("sleep 62.01 & echo done", "sleep 62.01", 1),
        ("setsid sleep 62.02 & sleep 0.1; echo done", "sleep 62.02", 1),
        ("(setsid sh -c 'sleep 62.03 & sleep 62.03' &); sleep 0.1; echo done", "sleep 62.03", 1),
    ];
    for (script, marker, at_least) in table {
        let (run, lines) = run_script(script);
        assert!(run.succeeded(), "{script}: {}", run.end);
        assert_eq!(lines, ["done"], "{script}");
        assert!(run.left_behind >= at_least, "{script}: {}", run.left_behind);
        assert_eq!((alive(marker), run.survivors), (vec![], 0), "{script}");
        assert!(took(&run) < Duration::from_secs(1), "{script}: {:?}", took(&run));
    }
}

#[test]
fn orphans_that_end_are_reaped_and_the_exit_code_stays_ours() {
    // Orphans of ours that end while the command runs; a look comes every second.
    let script = "for i in 1 2 3 4 5; do (sh -c 'exit 9' &) ; done; sleep 1.6; \
                  ps -o stat= --ppid $PPID | grep -c Z; exit 3";
    let (run, lines) = run_script(script);
    assert!(matches!(run.end, End::Exited(3)), "{}", run.end);
    assert_eq!(lines, ["0"]);
}

#[test]
fn children_that_were_there_before_are_left_alone() {
    let mut bystander = {
        let _turn = ONE_AT_A_TIME.blocking_lock();
        std::process::Command::new("sleep").arg("63.01").spawn().unwrap()
    };
    let (run, _) = run_script("sleep 63.02 & exit 0");
    assert_eq!((run.left_behind, alive("sleep 63.02")), (1, vec![]));
    assert_eq!(bystander.try_wait().unwrap(), None);
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[test]
fn a_stop_ends_it_and_a_dropped_run_does_too() {
    let soon = || tokio::time::sleep(Duration::from_millis(200));
    let command = Command { time_limit: None, ..shell("setsid sleep 64.01 & sleep 64.01") };
    let (run, _) = run_it(&command, async { soon().await });
    assert!(matches!(run.end, End::Stopped), "{}", run.end);
    assert!(took(&run) < Duration::from_secs(1), "{:?}", took(&run));
    assert_eq!(alive("sleep 64.01"), Vec::<i32>::new());

    let command = shell("trap '' TERM; setsid sh -c 'sleep 64.02; true' & sleep 64.02; true");
    let it_runs = async {
        while alive("sleep 64.02").len() < 4 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    block_on(async {
        let mut sink = |_, _: &str| {};
        tokio::select! {
            run = run_without_stop(&command, &mut sink) => panic!("it ended: {}", run.end),
            () = it_runs => {}
        }
    });
    assert_eq!(alive("sleep 64.02"), Vec::<i32>::new());
}

#[test]
fn what_cannot_be_started_is_explained() {
    let place = tempfile::tempdir().unwrap();
    let script = |name: &str, text: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        let file = place.path().join(name);
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        format!("./{name}")
    };
    let table = [
        (vec![], "the command has no words", "set `command`"),
        (vec!["no-such-tool".to_owned()], "`no-such-tool` was not found in PATH=/usr/bin:/bin", "toolchain"),
        (
            vec![script("a", "#!/no/such/interpreter\n")],
            "cannot start /T/./a",
            "the interpreter in its `#!` line",
        ),
        (vec![script("b", "echo no first line\n")], "cannot start /T/./b", "a script needs a `#!` line"),
        (vec!["true".to_owned(), "a\0b".to_owned()], "cannot start /usr/bin/true", "a script needs"),
    ];
    for (argv, expected, hint) in table {
        let command = Command { argv, cwd: place.path().to_owned(), ..shell("") };
        let (run, lines) = run_it(&command, std::future::pending());
        let End::CouldNotStart(reason) = run.end else { panic!("{expected}: {}", run.end) };
        assert_eq!(reason.to_string().replace(&place.path().display().to_string(), "/T"), expected);
        assert!(reason.hint().contains(hint), "{}", reason.hint());
        assert_eq!(lines, []);
    }
}

#[test]
fn the_teardown_always_runs_and_hides_nothing() {
    let place = tempfile::tempdir().unwrap();
    let missing = Command { argv: vec!["no-such-tool".to_owned()], ..shell("") };
    let slow = Command { time_limit: Some(Duration::from_millis(200)), ..shell("sleep 65.01") };
    let table: [(&str, Command, bool); 4] = [
        ("ended with exit code 3", shell("exit 3"), false),
        ("was ended: it ran longer than 200ms", slow, false),
        ("was ended because this step was stopped", shell("sleep 65.02"), true),
        ("could not be started: `no-such-tool` was not found in PATH=/usr/bin:/bin", missing, false),
    ];
    for (expected, command, stopped) in table {
        let mark = place.path().join("torn-down");
        let both = teardown_of(&command, "touch torn-down; exit 5", place.path(), stopped);
        assert_eq!(both.command.end.to_string(), expected);
        assert!(std::fs::remove_file(&mark).is_ok(), "no teardown: {expected}");
        assert_eq!(
            both.teardown_failure().as_deref(),
            Some("the teardown ended with exit code 5; what it should have removed may still be there")
        );
    }
    let both = teardown_of(&shell("exit 0"), "exit 0", place.path(), false);
    assert_eq!((both.command.succeeded(), both.teardown_failure()), (true, None));
    let both = teardown_of(&shell("exit 0"), "sleep 65.03", place.path(), false);
    assert!(both.command.succeeded());
    assert!(both.teardown_failure().unwrap().starts_with("the teardown was ended: it ran longer than 500ms"));
}

fn teardown_of(command: &Command, script: &str, place: &Path, stopped: bool) -> Runs {
    let teardown =
        || Command { cwd: place.to_owned(), time_limit: Some(Duration::from_millis(500)), ..shell(script) };
    let stop = async {
        if !stopped {
            std::future::pending::<()>().await;
        }
    };
    let mut sink = |_, _: &str| {};
    block_on(run_with_teardown(command, Some(teardown), &Redactor::new(), &mut sink, stop, &Timestamp::now))
}
