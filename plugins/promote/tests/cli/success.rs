//! What a promotion says, writes and leaves for later steps.

use insta::assert_snapshot;
use serde_json::json;

use crate::world::{Evidence, Release, filtered, nothing_written, promote, tested, told};

#[test]
fn a_tested_candidate_becomes_stable() {
    let release = Release::new("0.1.1-rc.11");
    let registry = tested(&release);
    let done = promote("push", &registry).plugin("env_file", "release.env").output();
    assert_snapshot!(told(&done), @r"
    exit code 0
    --- stdout
    evidence accepted: 2 passed in `integration`, signed by `zpfsINQ2YaGbIVyy43ammNC0qiqltMeFTpFr0FCC/O4=`, finished [TIME]
    acme/app:claim-0.1.1-d3198773f1ac → [DIGEST] ([TIME])
    acme/app:set-0.1.1 → [DIGEST] ([TIME])
    acme/app:0.1.1 → [DIGEST] ([TIME])
    acme/app:validated-7a77c59 → [DIGEST] ([TIME])
    IMAGE     VERSION  DIGEST
    acme/app  0.1.1    [DIGEST]
    unprotected: no policy is configured
    unsigned: no `signing_key`, so no summary says who let this in, and why
    promote: done in [TIME]
    --- stderr
    ");

    let mut result = done.json(".granary/promote.json");
    let evidence = registry.referrers("acme/app", &release.set_digest());
    assert_eq!(result["evidence"], json!(evidence));
    result.as_object_mut().unwrap().remove("evidence");
    let digest = release.digest("acme/app");
    assert_eq!(
        result,
        json!({
            "plugin": "promote", "outcome": "done", "exit_code": 0, "commit": release.commit,
            "set": release.set_digest(), "version": "0.1.1", "candidate": "0.1.1-rc.11", "lead": "app",
            "policy": "unprotected", "summary": "unsigned",
            "artifacts": [{
                "name": "app", "repository": format!("{}/acme/app", registry.host()), "digest": digest,
                "tags": ["0.1.1", "validated-7a77c59"],
            }],
        })
    );
    let env_file = std::fs::read_to_string(done.workspace.join("release.env")).unwrap();
    assert_eq!(
        env_file,
        format!(
            "VERSION=0.1.1\nCANDIDATE=0.1.1-rc.11\nDIGEST={digest}\nIMAGE={}/acme/app@{digest}\nDIGEST_APP={digest}\n",
            registry.host()
        )
    );
    let tags = registry.tags("acme/app");
    assert_eq!(tags["0.1.1"], digest);
    assert_eq!(tags["validated-7a77c59"], digest);
    assert_eq!(tags["set-0.1.1"], release.set_digest());
}

#[test]
fn several_images_get_one_version() {
    let release =
        Release { repositories: vec!["acme/app", "acme/web", "acme/db"], ..Release::new("1.4.0-rc.2") };
    let registry = tested(&release);
    let run = promote("push", &registry).plugin("repo", "acme/{name}").plugin("lead", "app");
    assert_snapshot!(told(&run.output()), @r"
    exit code 0
    --- stdout
    evidence accepted: 2 passed in `integration`, signed by `zpfsINQ2YaGbIVyy43ammNC0qiqltMeFTpFr0FCC/O4=`, finished [TIME]
    acme/app:claim-1.4.0-573b50c94453 → [DIGEST] ([TIME])
    acme/app:set-1.4.0 → [DIGEST] ([TIME])
    acme/web:1.4.0 → [DIGEST] ([TIME])
    acme/db:1.4.0 → [DIGEST] ([TIME])
    acme/app:1.4.0 → [DIGEST] ([TIME])
    acme/web:validated-7a77c59 → [DIGEST] ([TIME])
    acme/db:validated-7a77c59 → [DIGEST] ([TIME])
    acme/app:validated-7a77c59 → [DIGEST] ([TIME])
    IMAGE     VERSION  DIGEST
    acme/app  1.4.0    [DIGEST]
    acme/web  1.4.0    [DIGEST]
    acme/db   1.4.0    [DIGEST]
    unprotected: no policy is configured
    unsigned: no `signing_key`, so no summary says who let this in, and why
    promote: done in [TIME]
    --- stderr
    ");
    for repository in &release.repositories {
        let tags = registry.tags(repository);
        assert_eq!(
            (&tags["1.4.0"], &tags["validated-7a77c59"]),
            (&release.digest(repository), &release.digest(repository))
        );
        assert_eq!(tags.contains_key("set-1.4.0"), *repository == "acme/app");
    }
}

#[test]
fn a_second_run_changes_nothing_and_needs_no_evidence() {
    let release = Release::new("0.1.1-rc.11");
    let registry = crate::world::tested(&release);
    assert_eq!(promote("push", &registry).output().code, Some(0));
    let before = registry.snapshot();
    registry.clear_log();
    // The evidence that let it in has expired by now.
    let again = promote("push", &registry)
        .plugin("max_evidence_age", "1s")
        .plugin("env_file", "release.env")
        .output();
    assert_snapshot!(told(&again), @r"
    exit code 0
    --- stdout
    0.1.1-rc.11 is promoted already, as 0.1.1
    promote: unchanged in [TIME]
    --- stderr
    ");
    nothing_written(&registry, &again, 0);
    assert_eq!(registry.snapshot(), before);
    let result = again.json(".granary/promote.json");
    assert_eq!((&result["outcome"], &result["version"]), (&json!("unchanged"), &json!("0.1.1")));
    assert_eq!(result["artifacts"][0]["tags"], json!(["0.1.1", "validated-7a77c59"]));
    assert!(
        std::fs::read_to_string(again.workspace.join("release.env")).unwrap().starts_with("VERSION=0.1.1\n")
    );
}

#[test]
fn a_dry_run_prints_the_plan() {
    let release = Release { repositories: vec!["acme/app", "acme/web"], ..Release::new("0.1.1-rc.11") };
    let registry = tested(&release);
    let run = promote("push", &registry)
        .plugin("repo", "acme/{name}")
        .plugin("lead", "app")
        .plugin("dry_run", "true");
    let planned = run.output();
    assert_snapshot!(told(&planned), @r"
    exit code 0
    --- stdout
    evidence accepted: 2 passed in `integration`, signed by `zpfsINQ2YaGbIVyy43ammNC0qiqltMeFTpFr0FCC/O4=`, finished [TIME]
    plan: 0.1.1-rc.11 (commit 7a77c5932e35c13bf0bf61a33f757b21d41692b5, set [DIGEST]) becomes 0.1.1
      1. claim acme/app:claim-0.1.1-877ad4d55a76
      2. write acme/app:set-0.1.1 → [DIGEST]
      3. write acme/web:0.1.1 → [DIGEST]
      4. write acme/app:0.1.1 → [DIGEST]
      5. write acme/web:validated-7a77c59 → [DIGEST]
      6. write acme/app:validated-7a77c59 → [DIGEST]
    promote: planned in [TIME]
    --- stderr
    ");
    nothing_written(&registry, &planned, 0);
    let result = planned.json(".granary/promote.json");
    assert_eq!((&result["outcome"], &result["version"]), (&json!("planned"), &json!("0.1.1")));
    assert_eq!(result["artifacts"][0]["tags"], json!([]), "nothing is tagged yet");
}

#[test]
fn a_dry_run_refuses_what_a_run_would_refuse() {
    let release = Release::new("0.1.1-rc.11");
    let registry = tested(&release);
    Evidence { failed: vec!["orders"], age: jiff::SignedDuration::ZERO, ..Evidence::default() }
        .attach(&registry, &release);
    nothing_written(&registry, &promote("push", &registry).plugin("dry_run", "true").output(), 14);
}

/// A run that was killed when members had the version is finished, whatever evidence says by now.
#[test]
fn what_was_begun_is_finished_without_being_judged_again() {
    let release = Release { repositories: vec!["acme/app", "acme/web"], ..Release::new("0.1.1-rc.11") };
    let registry = granary_testkit::registry::Registry::start(granary_testkit::registry::Options::default());
    release.publish(&registry);
    release.tag_set(&registry, "set-0.1.1");
    registry.put_image("acme/web", &["0.1.1"], &release.image("acme/web"));
    let run = promote("push", &registry).plugin("repo", "acme/{name}").plugin("lead", "app");
    assert_snapshot!(told(&run.output()), @r"
    exit code 0
    --- stdout
    0.1.1 is let in already; bringing it to where it is missing, without judging again
    acme/app:0.1.1 → [DIGEST] ([TIME])
    acme/web:validated-7a77c59 → [DIGEST] ([TIME])
    acme/app:validated-7a77c59 → [DIGEST] ([TIME])
    IMAGE     VERSION  DIGEST
    acme/app  0.1.1    [DIGEST]
    acme/web  0.1.1    [DIGEST]
    unprotected: no policy is configured
    promote: done in [TIME]
    --- stderr
    ");
    assert_eq!(registry.tags("acme/app")["0.1.1"], release.digest("acme/app"));
}

#[test]
fn help_names_everything() {
    let help = granary_testkit::process::Run::new(env!("CARGO_BIN_EXE_promote")).arg("--help").output();
    assert_eq!(help.code, Some(0), "{help}");
    for word in [
        "--registry",
        "--trusted-keys",
        "--commit",
        "--candidate",
        "--as-version",
        "--password-file",
        "ACTION",
    ] {
        assert!(help.stdout.contains(word), "{word} is missing in\n{}", filtered(&help.stdout));
    }
    assert!(!help.stdout.contains("--break-glass"), "what is not built is not offered");
}
