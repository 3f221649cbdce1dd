//! Commands that misbehave, and secrets that are looked for in everything that is written.

use granary_testkit::process::{Finished, Signal};
use granary_testkit::registry::Options;

use crate::support::{Stage, image, key, leaving, results, shown, wait_until};

fn passes(script: &str) -> (Stage, Finished) {
    let stage = Stage::new().tests(&format!("{script}\n{}", leaving(&results(&["a=passed"]), 0)));
    let finished = stage.output();
    assert_eq!(finished.code, Some(0), "{script}: {finished}");
    (stage, finished)
}

fn lives(stage: &Stage) -> bool {
    std::fs::exists(format!("/proc/{}", stage.read("pid").trim())).unwrap()
}

#[test]
fn whoever_detaches_is_found_and_ended() {
    for script in [
        "setsid sleep 300 & echo $! > pid",
        "(setsid sh -c 'echo $$ > pid; exec sleep 300' >/dev/null 2>&1 &); while [ ! -s pid ]; do sleep 0.02; done",
        "(trap '' TERM HUP; sh -c 'echo $$ > pid; sleep 300; true' &) ; while [ ! -s pid ]; do sleep 0.02; done",
    ] {
        let stage = Stage::new().tests(&format!("{script}\n{}", leaving(&results(&["a=passed"]), 0)));
        let finished = stage.set("timeout", "60s").run.output();
        assert_eq!(finished.code, Some(0), "{script}: {finished}");
        assert!(finished.stdout.contains("the tests left processes running, now ended: "), "{finished}");
        let pid = std::fs::read_to_string(finished.workspace.join("pid")).unwrap();
        assert!(!std::fs::exists(format!("/proc/{}", pid.trim())).unwrap(), "{script}");
    }
}

#[test]
fn output_is_shown_as_it_comes_and_input_is_none() {
    // Closes its output and goes on; ends without a newline; writes what is no UTF-8.
    let (stage, finished) =
        passes("printf 'no newline, \\377 no text'; exec >&- 2>&-; sleep 0.2; touch went-on");
    assert!(stage.has("went-on") && finished.stdout.contains("no newline, \u{fffd} no text\n"), "{finished}");
    let (_, finished) = passes("cat; echo \"input ended\"; [ -t 0 ] || echo no terminal");
    assert!(finished.stdout.contains("| input ended\n| no terminal\n"), "{finished}");
}

/// Folders that lead to themselves, and a long line of bytes that are no text.
#[test]
fn what_tests_leave_ends_and_what_they_write_is_shown() {
    let script = format!(
        "mkdir g; ln -s . g/a; ln -s . g/b; head -c 200000 /dev/zero | tr '\\0' '\\351'; printf '\\n'\n\
         printf '%s' '{}' > g/results.json",
        results(&["a=passed"])
    );
    let stage = Stage::new().tests(&script).set("command", "sh tests.sh").set("results", "g/**/*.json");
    let finished = stage.output();
    assert_eq!(finished.code, Some(0), "{:.2000}", finished.stderr);
    assert_eq!(finished.stdout.matches('\u{fffd}').count(), 200_000);
}

#[test]
fn a_flood_costs_no_memory() {
    let script = format!(
        "head -c 100000000 /dev/zero | tr '\\0' x; grep -E '^Vm(HWM|RSS)' /proc/$PPID/status > memory\n{}",
        leaving(&results(&["a=passed"]), 0)
    );
    let stage = Stage::new().tests(&script);
    let finished = stage.output();
    assert_eq!(finished.code, Some(0));
    assert!(finished.stdout.len() > 100_000_000);
    let peak: u64 =
        stage.read("memory").lines().next().unwrap().split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(peak < 40_000, "{peak} KiB");
}

#[test]
fn one_that_ignores_the_request_to_end_is_killed() {
    let stage = Stage::new().tests("trap '' TERM INT; echo $$ > pid; echo up; while :; do sleep 1; done");
    let running = stage.run.spawn();
    wait_until("the tests are up", || running.stdout().contains("up\n"));
    running.signal(Signal::TERM);
    let finished = running.wait();
    assert_eq!(finished.code, Some(143), "{finished}");
    assert!(!lives(&stage), "{finished}");
}

/// Every secret that the step has, planted and looked for in whatever it wrote.
#[test]
fn no_secret_is_in_anything_that_is_written() {
    let pem = key().to_encrypted_pem(b"hunter2-password", [1; 32], [2; 24]);
    let secrets = [
        "hunter2-registry",
        "hunter2-password",
        "hunter2-netrc",
        "hunter2-of-env",
        pem.lines().nth(1).unwrap(),
    ];
    let mut options = Options::with_basic("ci", "hunter2-registry");
    options.anonymous_pull = false;
    // The tests have one of them, and write it in pieces, in other forms and into their results.
    let script = format!(
        "printf 'a hunter2-'; sleep 0.2; echo 'of-env b'; printf '%s' \"$TOKEN\" | base64; echo \"$TOKEN\" >&2\n\
         env; cat /proc/self/environ; {}",
        leaving(&results(&["login [hunter2-of-env]=failed"]), 1)
    );
    let stage = Stage::on(options, &[("app", "acme/app", &image("linux/amd64"))])
        .tests(&script)
        .set("username", "ci")
        .set("password", "hunter2-registry")
        .set("signing_key", &pem)
        .set("signing_key_password", "hunter2-password")
        .set("env", "TOKEN=hunter2-of-env")
        .set("attempts", "2")
        .set("junit_file", "out/junit.xml")
        .set("summary_file", "out/summary.md")
        .set("env_file", "out/env")
        .set("log_level", "trace");
    let stage = Stage { run: stage.run.clone().env("CI_NETRC_PASSWORD", "hunter2-netrc"), ..stage };
    let finished = stage.output();
    assert_eq!(finished.code, Some(13), "{finished}");
    let mut written = vec![("output".to_owned(), shown(&finished))];
    for file in
        [".granary/integration-test.json", stage.run_record().0.as_str(), "out/junit.xml", "out/summary.md"]
    {
        written.push((file.to_owned(), stage.read(file)));
    }
    let evidence = stage.evidence("acme/app", stage.found.digest.as_str());
    assert_eq!(
        (evidence.len(), evidence[0].result.failed_tests.as_slice()),
        (1, &["login [***]".to_owned()][..])
    );
    written.push(("evidence".to_owned(), format!("{:?} {}", evidence[0].result, evidence[0].manifest)));
    for (place, text) in &written {
        for secret in secrets {
            assert!(!text.contains(secret), "{secret} is in {place}: {text}");
        }
    }
}

#[test]
fn half_a_secret_is_not_shown_where_a_message_is_cut() {
    let message = format!("{}hunter2-hunter2", "x".repeat(292));
    let text = serde_json::json!({"tests": [{"name": "a", "status": "failed", "message": message}]});
    let stage = Stage::new().tests(&leaving(&text.to_string(), 0));
    let finished = stage.set("env", r#"{"TOKEN":"hunter2-hunter2"}"#).output();
    assert_eq!(finished.code, Some(13), "{finished}");
    let shown = finished.stdout.lines().find(|line| line.starts_with("FAILED a: xxx")).unwrap();
    assert!(shown.ends_with("x***") && !finished.stdout.contains("hunter2"), "{finished}");
}
