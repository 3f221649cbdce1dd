//! Test commands that leave processes behind: in the background, in a session of their own, orphaned. All of them are ended, and the
//! results are read and signed as if they had never been.

use std::fs;
use std::time::{Duration, Instant};

use e2e::docker_registry::{Access, DockerRegistry};
use e2e::evidence::{TEST_RESULT, statement};
use e2e::openssl::KeyPair;
use e2e::pipeline::{Pipeline, ends, result};
use e2e::reader::Reader;
use e2e::release::Release;

/// How many processes it leaves.
const STARTED: usize = 5;

/// Every process leaves its id in `pids`.
const LEAVES: &str = r#"#!/bin/sh
# Usage: leaves.sh RESULTS ENDING
set -eu
linger='echo $$ >>pids; sleep 60'
# A child in the background, with the output still open.
sh -c "$linger" &
# A grandchild whose parent is gone.
( sh -c "$linger" & )
# A session of its own, away from every process group of ours.
setsid sh -c "$linger" &
# A session, forked twice and deaf to everything that can be ignored.
setsid sh -c "trap '' TERM HUP INT; ( $linger ) >/dev/null 2>&1 & exec sleep 60" &
echo $! >>pids
# Until all have said who they are.
while [ "$(wc -l <pids)" -lt 5 ]; do sleep 0.02; done
echo '{"tests": [{"name": "answers", "status": "passed"}]}' >"$1"
$2
"#;

/// The processes that the suite has started and that still run.
fn running(pipeline: &Pipeline) -> Vec<String> {
    let pids = fs::read_to_string(pipeline.workspace().join("pids")).unwrap_or_default();
    let workspace = pipeline.workspace().canonicalize().unwrap();
    // An id may be somebody else's by now, but not in this folder.
    let runs = |pid: &&str| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == workspace);
    pids.split_whitespace().filter(runs).map(str::to_owned).collect()
}

/// Of all that the suite has started nothing is left.
fn all_are_gone(pipeline: &Pipeline) {
    let pids = fs::read_to_string(pipeline.workspace().join("pids")).unwrap();
    assert_eq!(pids.lines().count(), STARTED, "{pids}");
    assert_eq!(running(pipeline), Vec::<String>::new());
}

#[test]
fn all_that_was_left_behind_is_ended() {
    let (registry, keys) = (DockerRegistry::start(Access::Open), KeyPair::generate());
    let release = Release::of_one(&registry, "left", 1, 11, &keys);
    let pipeline = release.pipeline();
    let _ = release.publish(&pipeline);
    pipeline.write("leaves.sh", LEAVES);
    let step = |ending: &str, timeout: &str| {
        let command = format!("sh leaves.sh {{results}} '{ending}'");
        let settings = [("command", command.as_str()), ("results", "results.json"), ("timeout", timeout)];
        pipeline.step("integration-test", &settings)
    };

    // Who is deaf has an eighth of the time before SIGKILL.
    drop(ends(&step("true", "24s"), 0));
    all_are_gone(&pipeline);
    let reported = ends(&pipeline.report("results.json", &keys), 0);
    let set = result(&reported, "integration-test", "set");
    let reader = Reader::new(&registry);
    let evidence = statement(&reader, &release.repository("api"), &set, TEST_RESULT, &keys.public);
    assert_eq!(evidence["predicate"]["result"], "PASSED", "{evidence}");
    assert_eq!(evidence["predicate"]["passedTests"], serde_json::json!(["answers"]), "{evidence}");

    // The same where the suite fails, and where it never ends; which shows that they would have stayed.
    let clean = || {
        for name in ["pids", "results.json"] {
            fs::remove_file(pipeline.workspace().join(name)).unwrap();
        }
    };
    clean();
    drop(ends(&step("exit 3", "24s"), 13));
    all_are_gone(&pipeline);
    clean();
    let endless = step("sleep 60", "8s").spawn();
    let started = Instant::now();
    while running(&pipeline).len() < STARTED && started.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(running(&pipeline).len(), STARTED, "{}", endless.stderr());
    let ended = endless.wait();
    assert_eq!(ended.code, Some(13), "{ended}");
    all_are_gone(&pipeline);
}
