//! Runs: what the child sees, how it ends, how it dies.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use granary_testkit::crash;
use granary_testkit::process::{Leash, Run, Signal, binary};
use granary_testkit::registry::{Options, Registry, State, When};

fn shell(script: &str) -> Run {
    Run::new("/bin/sh").arg("-c").arg(script)
}

#[test]
fn a_child_sees_what_it_was_given_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let recorded = folder.path().join("push.env");
    std::fs::write(&recorded, "CI=woodpecker\nCI_REPO=a/b\nPLUGIN_MULTI=one\ntwo lines\nCI_GONE=x\n")
        .expect("a file");
    let finished = Run::new("/usr/bin/env")
        .recorded(&recorded)
        .env("CI_REPO", "acme/app")
        .without("CI_GONE")
        .plugin("base-version", "1.2.3")
        .output();
    assert_eq!(finished.code, Some(0), "{finished}");
    let names: BTreeSet<&str> =
        finished.stdout.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    let expected =
        ["CI", "CI_REPO", "HOME", "LC_ALL", "PATH", "PLUGIN_BASE_VERSION", "PLUGIN_MULTI", "TMPDIR"];
    assert_eq!(names, BTreeSet::from(expected));
    assert!(finished.stdout.contains("CI_REPO=acme/app\n"));
}

#[test]
fn ends_are_told_apart() {
    let finished = shell("echo out; echo err >&2; exit 11").output();
    assert_eq!((finished.code, finished.signal), (Some(11), None));
    assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("out\n", "err\n"));
    let finished = shell("kill -9 $$").output();
    assert_eq!((finished.code, finished.signal), (None, Some(9)));
    assert_eq!(shell("read line || exit 3").output().code, Some(3), "no standard input");
}

#[test]
fn files_in_the_workspace_are_read_by_clones_of_a_run() {
    let run = shell(
        "test -f .granary/x.json || { mkdir .granary; echo '{\"outcome\":\"done\"}' > .granary/x.json; }",
    );
    assert_eq!(run.output().json(".granary/x.json")["outcome"], "done");
    assert_eq!(run.clone().output().code, Some(0));
    assert!(run.workspace().join(".granary/x.json").is_file());
}

#[test]
fn two_runs_at_once_do_not_mix() {
    let slow = shell("sleep 0.2; exit 4");
    let quick = slow.clone().arg("ignored").env("X", "1");
    let (one, two) = (slow.spawn(), quick.spawn());
    assert_eq!((two.wait().code, one.wait().code), (Some(4), Some(4)));
}

#[test]
#[should_panic(expected = "still runs after 200ms")]
fn a_run_that_hangs_fails() {
    let _ = shell("sleep 30 & sleep 30").time_limit(Duration::from_millis(200)).output();
}

#[test]
fn a_signal_reaches_the_child_and_output_can_be_watched() {
    let running =
        shell("trap 'echo stopped; exit 143' TERM; echo ready; while :; do sleep 0.05; done").spawn();
    let started = Instant::now();
    while running.stdout() != "ready\n" {
        assert!(started.elapsed() < Duration::from_secs(10), "it never got ready");
        std::thread::sleep(Duration::from_millis(5));
    }
    running.signal(Signal::TERM);
    let finished = running.wait();
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(143), "ready\nstopped\n"));
}

#[test]
fn a_request_kills_the_process_that_made_it() {
    let registry = Registry::start(Options::default());
    let leash = Leash::default();
    let deed = leash.clone();
    registry.kill_at(2, When::After, move || deed.kill());
    let script = format!(
        "for n in 1 2 3; do exec 3<>/dev/tcp/127.0.0.1/{}; \
         printf 'GET /v2/ HTTP/1.1\\r\\nhost: x\\r\\nconnection: close\\r\\n\\r\\n' >&3; cat <&3 >/dev/null; echo $n; done",
        registry.port()
    );
    let finished = Run::new("/bin/bash").arg("-c").arg(&script).leash(&leash).output();
    assert_eq!((finished.signal, finished.stdout.as_str()), (Some(9), "1\n"), "{finished}");
    assert_eq!(registry.requests().len(), 2);
    assert!(!registry.kill_pending());
}

#[test]
#[should_panic(expected = "cargo build --workspace")]
fn a_binary_that_was_not_built_is_named_with_the_remedy() {
    let _ = binary("no-such-plugin");
}

/// Sets three tags, one request each.
fn tagger(registry: &Registry) -> Run {
    let script = format!(
        "for n in 1 2 3; do exec 3<>/dev/tcp/127.0.0.1/{}; \
         printf 'PUT /v2/app/manifests/%s HTTP/1.1\\r\\nhost: x\\r\\nconnection: close\\r\\n\
         content-type: text/plain\\r\\ncontent-length: 19\\r\\n\\r\\n\
         {{\"schemaVersion\":2}}' $n >&3; cat <&3 >/dev/null; done",
        registry.port()
    );
    Run::new("/bin/bash").arg("-c").arg(&script)
}

#[test]
fn a_flow_is_killed_at_each_of_its_requests() {
    let undisturbed = Registry::start(Options::default());
    assert_eq!(tagger(&undisturbed).output().code, Some(0));
    assert_eq!(undisturbed.tags("app").len(), 3);
    let seen = std::cell::RefCell::new(Vec::new());
    let requests =
        crash::at_every_request(&Options::default(), &State::default(), tagger, |registry, rerun, crash| {
            assert_eq!(rerun.code, Some(0), "{rerun}");
            assert_eq!(registry.snapshot(), undisturbed.snapshot(), "{crash:?}");
            assert_eq!(registry.requests().len(), 3, "the rerun's alone");
            seen.borrow_mut().push((crash.at, crash.when));
        });
    let (before, after) = (When::Before, When::After);
    let expected = [(1, before), (1, after), (2, before), (2, after), (3, before), (3, after)];
    assert_eq!((requests, &seen.borrow()[..]), (3, &expected[..]));
}
