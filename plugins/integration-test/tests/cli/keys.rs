//! Keys: made by hand, encrypted, refused.

use std::os::unix::fs::PermissionsExt as _;

use granary_attest::key::{PublicKey, SigningKey};
use granary_testkit::process::Run;

use crate::support::{Stage, results};

fn keygen() -> Run {
    Run::new(env!("CARGO_BIN_EXE_integration-test")).arg("keygen").arg("--keygen-to=tests")
}

fn read(run: &Run, name: &str) -> String {
    std::fs::read_to_string(run.workspace().join(name)).unwrap()
}

#[test]
fn a_key_is_made_once_and_for_its_owner_alone() {
    let run = keygen();
    let finished = run.output();
    assert_eq!(finished.code, Some(0), "{finished}");
    let private = SigningKey::from_pem(&read(&run, "tests.key")).unwrap();
    let public = PublicKey::from_pem(&read(&run, "tests.pub")).unwrap();
    assert_eq!(private.public_key().hint(), public.hint());
    assert!(
        finished.stdout.contains(&public.hint()) && finished.stdout.contains("not encrypted"),
        "{finished}"
    );
    assert!(!finished.stdout.contains("BEGIN"), "{finished}");
    for words in [
        "for the tests: the private key belongs into a secret limited to integration-test, the public key into `trusted_keys` of promote;",
        "for promote: make another pair, its private key into a secret limited to promote, its public key into `promoter_keys`.",
    ] {
        assert!(finished.stdout.contains(words), "{finished}");
    }
    let mode = |name: &str| run.workspace().join(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("tests.key"), 0o600);

    let before = read(&run, "tests.key");
    let again = run.output();
    assert_eq!(again.code, Some(2), "{again}");
    assert!(again.stderr.contains("error: refusing to write over tests.key"), "{again}");
    // Neither half is left where the other cannot be written.
    std::fs::remove_file(run.workspace().join("tests.key")).unwrap();
    let half = run.output();
    assert_eq!(half.code, Some(2), "{half}");
    assert!(
        half.stderr.contains("refusing to write over tests.pub")
            && !run.workspace().join("tests.key").exists()
    );
    std::fs::write(run.workspace().join("tests.key"), before).unwrap();
    let other = keygen().output();
    assert!(
        other.code == Some(0) && !other.stdout.contains(&public.hint()),
        "another key each time: {other}"
    );
}

#[test]
fn a_link_in_the_place_of_a_key_is_not_followed() {
    let run = keygen();
    std::os::unix::fs::symlink("elsewhere", run.workspace().join("tests.key")).unwrap();
    assert_eq!(run.output().code, Some(2));
    assert!(!run.workspace().join("elsewhere").exists() && !run.workspace().join("tests.pub").exists());
}

#[test]
fn an_encrypted_key_signs_with_its_password_and_with_no_other() {
    let run = keygen().plugin("signing_key_password", "hunter2-hunter2");
    let finished = run.output();
    assert_eq!(finished.code, Some(0), "{finished}");
    assert!(finished.stdout.contains("encrypted with the password"), "{finished}");
    let pem = read(&run, "tests.key");
    assert!(pem.starts_with("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----"), "{pem}");

    let stage = || Stage::new().report(&results(&["a=passed"])).set("signing_key", &pem);
    let right = stage().set("signing_key_password", "hunter2-hunter2").output();
    assert_eq!(right.code, Some(0), "{right}");
    for password in [Some("hunter3-hunter3"), None] {
        let stage = match password {
            Some(password) => stage().set("signing_key_password", password),
            None => stage(),
        };
        let wrong = stage.output();
        assert_eq!(wrong.code, Some(20), "{wrong}");
        assert!(wrong.stderr.contains("error: `signing_key` cannot be used\n  cause 1: "), "{wrong}");
        assert!(wrong.stderr.contains("password") && !wrong.stderr.contains("hunter3"), "{wrong}");
        assert_eq!(stage.registry.requests().len(), 0);
    }
}

#[test]
fn no_key_is_made_in_a_pipeline_or_by_a_dry_run() {
    let run = keygen().env("CI", "woodpecker");
    let refused = run.output();
    assert_eq!(refused.code, Some(2), "{refused}");
    assert!(refused.stderr.contains("mode: `keygen` is for runs by hand"), "{refused}");
    let planned = keygen().arg("--dry-run");
    assert_eq!(planned.output().code, Some(0));
    for run in [&run, &planned] {
        assert!(!run.workspace().join("tests.key").exists() && !run.workspace().join("tests.pub").exists());
    }
    let loaded = keygen().arg("--command=a").arg("--results=x").arg("--registry=r");
    let refused = loaded.output();
    assert_eq!(refused.code, Some(2), "{refused}");
    assert!(refused.stderr.starts_with("error: 3 bad settings\n"), "{refused}");
    assert!(!loaded.workspace().join("tests.key").exists());
    let twice = keygen().arg("--mode=report").output();
    assert_eq!(twice.code, Some(2), "{twice}");
}
