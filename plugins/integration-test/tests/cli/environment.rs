//! What the tests see, and what nobody sees.

use granary_testkit::registry::Options;

use crate::support::{Stage, image, key, leaving, results, shown};

#[test]
fn the_tests_see_what_pass_env_and_env_say_and_nothing_else() {
    let mut stage = Stage::new()
        .tests(&format!("env | sort > seen\n{}", leaving(&results(&["login=passed"]), 0)))
        .set("env", r#"{"APP_URL":"http://app:8080","HOME":"/tmp/tests"}"#)
        .set("username", "ci")
        .set("password", "hunter2");
    stage.run = stage.run.envs([
        ("CI_NETRC_PASSWORD", "forge-token"),
        ("DRONE_BRANCH", "main"),
        ("AWS_SECRET_ACCESS_KEY", "cloud"),
        ("LD_LIBRARY_PATH", "/nowhere"),
    ]);
    let finished = stage.output();
    assert_eq!(finished.code, Some(0), "{finished}");
    let seen = stage.read("seen");
    let names: Vec<&str> = seen.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    // `PWD` is the shell's own.
    let names: Vec<&str> =
        names.into_iter().filter(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name)).collect();
    assert_eq!(
        names,
        [
            "APP_URL",
            "CI",
            "CI_COMMIT_REF",
            "CI_COMMIT_SHA",
            "CI_PIPELINE_EVENT",
            "CI_PIPELINE_PARENT",
            "CI_PIPELINE_URL",
            "CI_REPO",
            "HOME",
            "PATH",
        ]
    );
    assert!(seen.contains("HOME=/tmp/tests\n"), "{seen}");
}

#[test]
fn pass_env_replaces_the_default() {
    let stage = Stage::new()
        .tests(&format!("env > seen\n{}", leaving(&results(&["login=passed"]), 0)))
        .set("pass_env", "PATH,CI_COMMIT_*");
    assert_eq!(stage.output().code, Some(0));
    let seen = stage.read("seen");
    assert!(seen.contains("CI_COMMIT_SHA=") && !seen.contains("CI_REPO="), "{seen}");
}

#[test]
fn secrets_of_the_tests_are_masked_in_their_output() {
    let script = "echo \"token $API_TOKEN\"; echo \"$API_TOKEN\" >&2; printf '%s' \"$API_TOKEN\" | base64\necho \"$DEBUG $PORT\"\nexit 1";
    let stage = Stage::new()
        .tests(script)
        .set("env", r#"{"API_TOKEN":"s3cr3t-of-the-tests","DEBUG":"true","PORT":8080}"#);
    let finished = stage.output();
    let said = shown(&finished);
    assert!(!said.contains("s3cr3t") && !said.contains("czNjcjN0"), "{said}");
    assert!(said.contains("token ***\n") && said.contains("true 8080\n"), "{said}");
}

#[test]
fn the_registrys_password_is_shown_to_nobody() {
    let mut options = Options::with_basic("ci", "hunter2-registry");
    options.anonymous_pull = false;
    let stage = Stage::on(options, &[("app", "acme/app", &image("linux/amd64"))])
        .tests(&format!("cat /proc/$PPID/environ > theirs\n{}", leaving(&results(&["a=passed"]), 0)))
        .set("username", "ci")
        .set("password", "hunter2-registry")
        .set("log_level", "trace");
    let finished = stage.output();
    assert_eq!(finished.code, Some(0), "{finished}");
    assert!(!shown(&finished).contains("hunter2"), "{finished}");
    // Root with every capability may read anything; nobody else may.
    let is_root =
        std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    assert!(is_root || !stage.read("theirs").contains("hunter2"));
}

#[test]
fn a_wrong_password_is_said_in_the_registrys_words() {
    let stage = Stage::on(Options::with_basic("ci", "right"), &[("app", "acme/app", &image("linux/amd64"))])
        .report(&results(&["a=passed"]))
        .set("username", "ci")
        .set("password", "wrong-password");
    let finished = stage.output();
    assert_eq!(finished.code, Some(18), "{finished}");
    assert!(
        finished.stderr.contains("UNAUTHORIZED") && !finished.stderr.contains("wrong-password"),
        "{finished}"
    );
    assert_eq!(stage.evidence_count(), 0);
}

#[test]
fn only_keeps_other_settings_out() {
    let stage = Stage::new().tests("touch ran").set("only", "registry,command,results");
    let stage = stage.set("skip_verify", "true");
    let finished = stage.output();
    assert_eq!(finished.code, Some(2), "{finished}");
    assert!(
        finished
            .stderr
            .contains("skip_verify: PLUGIN_SKIP_VERIFY is in the environment, but `only` does not name it")
    );
    assert!(!stage.has("ran"));
    assert_eq!(stage.registry.requests().len(), 0);
}

#[test]
fn the_key_is_never_shown() {
    let pem = key().to_pem();
    let stage = Stage::new().tests(&format!("cat key.pem\n{}", leaving(&results(&["a=passed"]), 0)));
    stage.write("key.pem", &pem);
    let finished = stage.set("signing_key", "key.pem").output();
    assert_eq!(finished.code, Some(0), "{finished}");
    let secret = pem.lines().nth(1).unwrap();
    assert!(!shown(&finished).contains(secret), "{finished}");
}
