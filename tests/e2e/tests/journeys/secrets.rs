//! Secrets never leave: recognisable values in every secret setting, at the most talkative log level, through success and failure; then
//! looked for in everything that was said, in every file of the workspace, and in everything that the registry stores.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use e2e::docker_registry::{Access, DockerRegistry, PASSWORD, USER};
use e2e::openssl::KeyPair;
use e2e::pipeline::Pipeline;
use e2e::release::Release;
use granary_testkit::process::{Finished, Run, binary};
use serde_json::json;

const KEY_PASSWORD: &str = "key-password-needle-4d7e";
const BROKER_TOKEN: &str = "broker-needle-91e2b";
const NETRC: &str = "netrc-needle-c03f5";

/// What the tests do with what they were given: they tell everybody.
const TALKATIVE: &str = r#"#!/bin/sh
echo "token $BROKER_TOKEN"
echo "token $BROKER_TOKEN" >&2
env
cat <<END >"$1"
{"tests": [{"suite": "$BROKER_TOKEN", "name": "answers $BROKER_TOKEN", "status": "$2", "message": "$BROKER_TOKEN"}]}
END
"#;

/// What must not be found anywhere, in each form in which it could be.
struct Needles {
    forms: Vec<(String, Vec<u8>)>,
    /// What mode `install` leaves: it is as it was built, and long.
    program: Vec<u8>,
}

impl Needles {
    fn new(texts: &[(&str, &str)]) -> Self {
        let forms = texts.iter().flat_map(|(name, text)| {
            let plain = ((*name).to_owned(), text.as_bytes().to_vec());
            // A signed statement lies in base64 within JSON: at which of three places a text starts there, nobody knows.
            let encoded = (0..3).map(move |shift| {
                let padded = [&b"\0\0\0"[..shift], text.as_bytes()].concat();
                let whole = STANDARD_NO_PAD.encode(&padded[..padded.len() / 3 * 3]);
                (format!("{name}, in base64"), whole.as_bytes()[if shift == 0 { 0 } else { 4 }..].to_vec())
            });
            [plain].into_iter().chain(encoded)
        });
        Self { forms: forms.collect(), program: fs::read(binary("integration-test")).unwrap() }
    }

    fn check(&self, what: &str, bytes: &[u8]) {
        for (name, needle) in &self.forms {
            let found = bytes.windows(needle.len()).any(|window| window == needle);
            assert!(!found, "{what} holds {name}:\n{}", String::from_utf8_lossy(bytes));
        }
    }

    /// Looks into every file below a folder, and counts them.
    fn check_files(&self, folder: &Path) -> usize {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let checked = entries.map(|path| match path.is_dir() {
            true => self.check_files(&path),
            false => {
                self.check(&path.display().to_string(), path.display().to_string().as_bytes());
                let bytes = fs::read(&path).unwrap();
                if bytes != self.program {
                    self.check(&path.display().to_string(), &bytes);
                }
                1
            }
        });
        checked.sum()
    }
}

/// A key that [`KEY_PASSWORD`] is needed for.
fn encrypted_key(folder: &Path) -> KeyPair {
    let keygen = Run::new(binary("integration-test"))
        .current_dir(folder)
        .arg("keygen")
        .arg("--keygen-to=made")
        .plugin("signing_key_password", KEY_PASSWORD)
        .plugin("log_level", "trace");
    let made = keygen.output();
    assert_eq!(made.code, Some(0), "{made}");
    assert!(!made.to_string().contains(KEY_PASSWORD), "{made}");
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    KeyPair { private: read("made.key"), public: read("made.pub") }
}

struct World {
    registry: DockerRegistry,
    tests: KeyPair,
    promoter: KeyPair,
    needles: Needles,
}

impl World {
    fn new() -> Self {
        let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let [tests, promoter] = folders.each_ref().map(|folder| encrypted_key(folder.path()));
        // One line of each key, which nothing else has.
        let line = |pair: &KeyPair| pair.private.lines().nth(2).unwrap().to_owned();
        let (test_line, promoter_line) = (line(&tests), line(&promoter));
        let basic = STANDARD.encode(format!("{USER}:{PASSWORD}"));
        let needles = Needles::new(&[
            ("the registry's password", PASSWORD),
            ("the registry's password as it is sent", &basic),
            ("the keys' password", KEY_PASSWORD),
            ("a secret of the tests", BROKER_TOKEN),
            ("the netrc's password", NETRC),
            ("the tests' key", &test_line),
            ("the promoter's key", &promoter_line),
        ]);
        Self { registry: DockerRegistry::start(Access::Password), tests, promoter, needles }
    }

    fn pipeline(&self, release: &Release<'_>) -> Pipeline {
        let pipeline = release
            .pipeline()
            .setting("log_level", "trace")
            .setting("retries", "1")
            .with("CI_NETRC_MACHINE", "gitea.example.test")
            .with("CI_NETRC_USERNAME", "oauth2")
            .with("CI_NETRC_PASSWORD", NETRC);
        pipeline.write("talkative.sh", TALKATIVE);
        pipeline
    }

    /// The steps of a pipeline after registry-push, with every secret that they can have.
    fn steps(&self, pipeline: &Pipeline, status: &str) -> [(&'static str, Run); 4] {
        let command = format!("sh talkative.sh {{results}} {status}");
        let environment = json!({ "BROKER_TOKEN": BROKER_TOKEN }).to_string();
        let ran = [("command", command.as_str()), ("results", "ran.json"), ("env", environment.as_str())];
        let reported = [
            ("mode", "report"),
            ("results", "results.json"),
            ("signing_key", self.tests.private.as_str()),
            ("signing_key_password", KEY_PASSWORD),
        ];
        let promoted = [
            ("trusted_keys", self.tests.public.as_str()),
            ("signing_key", self.promoter.private.as_str()),
            ("signing_key_password", KEY_PASSWORD),
            ("target_repo", "ci/production/{name}"),
            ("target_username", USER),
            ("target_password", PASSWORD),
        ];
        // What tests write into their results is theirs to answer for, so what is signed are results without it.
        pipeline
            .write("results.json", &format!(r#"{{"tests": [{{"name": "answers", "status": "{status}"}}]}}"#));
        [
            ("install", pipeline.step("integration-test", &[("mode", "install")])),
            ("run", pipeline.step("integration-test", &ran)),
            ("report", pipeline.step("integration-test", &reported)),
            ("promote", pipeline.step("promote", &promoted)),
        ]
    }

    fn check(&self, step: &str, finished: &Finished) {
        self.needles.check(&format!("stdout of {step}"), finished.stdout.as_bytes());
        self.needles.check(&format!("stderr of {step}"), finished.stderr.as_bytes());
        // What the tests themselves wrote down is theirs.
        let _ = fs::remove_file(finished.workspace.join("ran.json"));
        let files = self.needles.check_files(&finished.workspace);
        assert!(files > 2, "{files}");
    }

    fn check_registry(&self) -> usize {
        self.needles.check("the registry's log", self.registry.log().as_bytes());
        self.needles.check_files(&self.registry.storage())
    }
}

#[test]
fn no_secret_is_found_after_success_and_failure() {
    let world = World::new();
    let signer = KeyPair { private: String::new(), public: world.tests.public.clone() };
    for (id, status, codes) in [(1, "passed", [0, 0, 0, 0]), (2, "failed", [0, 13, 13, 14])] {
        let release = Release::of_one(&world.registry, "secret", id, u64::from(id) + 10, &signer);
        let pipeline = world.pipeline(&release);
        let published = release.publish_step(&pipeline).output();
        assert_eq!(published.code, Some(0), "{published}");
        world.check("registry-push", &published);
        for ((name, step), code) in world.steps(&pipeline, status).iter().zip(codes) {
            if *name == "promote" {
                // It would skip after a step that failed; the registry says the same.
                let _ = fs::remove_dir_all(pipeline.workspace().join(".granary"));
            }
            let finished = step.output();
            assert_eq!(finished.code, Some(code), "{name}\n{finished}");
            world.check(name, &finished);
        }
    }
    // Every manifest, blob and tag of two candidates, their evidence, and a promotion with its summary.
    let files = world.check_registry();
    assert!(files > 40, "{files}");
}

#[test]
fn no_secret_is_found_where_it_is_wrong() {
    let world = World::new();
    let signer = KeyPair { private: String::new(), public: world.tests.public.clone() };
    let release = Release::of_one(&world.registry, "wrong", 1, 11, &signer);
    let good = world.pipeline(&release);
    let published = release.publish_step(&good).output();
    assert_eq!(published.code, Some(0), "{published}");

    // Another password than the keys were made with, and than the registry knows; keys that are none.
    let broken = world.promoter.private.replace(char::is_lowercase, "x");
    for (name, setting, value, codes) in [
        ("key password", "signing_key_password", BROKER_TOKEN, [20, 20]),
        ("registry password", "password", NETRC, [18, 18]),
        ("target password", "target_password", NETRC, [2, 18]),
        ("key", "signing_key", broken.as_str(), [20, 20]),
        ("key that is none", "signing_key", KEY_PASSWORD, [2, 2]),
    ] {
        let pipeline = world.pipeline(&release);
        let [_, _, (_, report), (_, promote)] = world.steps(&pipeline, "passed");
        for ((plugin, step), code) in [("report", report), ("promote", promote)].into_iter().zip(codes) {
            // It would skip after a step that failed.
            let _ = fs::remove_dir_all(pipeline.workspace().join(".granary"));
            let finished = step.plugin(setting, value).output();
            assert_eq!(finished.code, Some(code), "wrong {name}, {plugin}\n{finished}");
            world.check(plugin, &finished);
        }
    }
    let _ = world.check_registry();
}

#[test]
fn the_search_finds_what_is_there() {
    let needles = Needles::new(&[("a secret", BROKER_TOKEN)]);
    for text in ["", "a", "ab", "abc"] {
        let payload = STANDARD.encode(format!("{text}{BROKER_TOKEN} and more"));
        for bytes in [format!("{text}{BROKER_TOKEN}"), payload] {
            assert!(std::panic::catch_unwind(|| needles.check("it", bytes.as_bytes())).is_err(), "{bytes}");
        }
    }
    needles.check("nothing", b"nothing");
}
