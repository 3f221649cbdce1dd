//! One image: what a push writes, says and leaves, and what a rerun does.

use std::fs;

use granary_testkit::process::Run;
use granary_testkit::registry::{Options, Registry};
use serde_json::json;

use crate::{SET, SHA, image, push, requests, set, stable, start, step, tags, writes};

/// `docker run` without anything: what is missing, and where it is said how.
#[test]
fn without_settings() {
    let finished = Run::new(crate::BINARY).output();
    insta::assert_snapshot!(stable(&finished, &[]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: 5 bad settings
      registry: required, set PLUGIN_REGISTRY or --registry; accepted: a text
      repo: required, set PLUGIN_REPO or --repo; accepted: a text
      sources: required, set PLUGIN_SOURCES or --sources; accepted: a comma-separated or JSON list, or a map (JSON or name=value)
      rc_number: required without a CI_PIPELINE_NUMBER, set PLUGIN_RC_NUMBER or --rc-number; accepted: a whole number from 1 on, or `sequence`
      commit: required by hand, set PLUGIN_COMMIT or --commit; accepted: all 40 hex digits, in quotes
    hint: `--help` lists every setting
    "#);
}

#[test]
fn a_push_publishes_a_candidate() {
    let registry = start();
    let finished = push(&registry).output();
    insta::assert_snapshot!(stable(&finished, &[&registry]), @r#"
    exit code 0
    --- stdout
    acme/app@[DIGEST]: 3 blobs sent (5.6 KiB) ([TIME])
    acme/app:set-7a77c5932e35c13bf0bf61a33f757b21d41692b5, set-0.1.0-rc.11 → [DIGEST] ([TIME])
    acme/app:0.1.0-rc.11, sha-7a77c59, integration-7a77c59 → [DIGEST] ([TIME])
    IMAGE     CANDIDATE    DIGEST
    acme/app  0.1.0-rc.11  [DIGEST]
    registry-push: done in [TIME]
    --- stderr
    "#);
    assert_eq!(
        tags(&registry, "acme/app"),
        ["0.1.0-rc.11", "integration-7a77c59", "set-0.1.0-rc.11", SET, "sha-7a77c59"]
    );
    let image = image(1);
    for tag in ["0.1.0-rc.11", "integration-7a77c59", "sha-7a77c59"] {
        assert_eq!(registry.tags("acme/app")[tag], image.digest(), "{tag}");
        assert_eq!(
            registry.manifest("acme/app", tag).unwrap().1,
            image.bytes(),
            "the manifest is not touched"
        );
    }
    let set = set(&registry, "acme/app", SET);
    assert_eq!((set.commit.as_str(), set.branch.as_deref(), set.order), (SHA, Some("main"), Some(11)));
    assert_eq!(set.pipeline_url.as_deref(), Some("https://ci.example.test/repos/1/pipeline/11"));
    assert_eq!((set.candidate.to_string().as_str(), set.replaces), ("0.1.0-rc.11", None));
}

/// What it costs: a request is a round trip, and each of these has a reason.
#[test]
fn the_requests_of_a_first_push_and_of_a_second() {
    let registry = start();
    let run = push(&registry).plugin("concurrency", "1");
    assert_eq!(run.output().code, Some(0));
    insta::assert_snapshot!(requests(&registry), @r#"
    GET /v2/acme/app/manifests/set-7a77c5932e35c13bf0bf61a33f757b21d41692b5 404
    GET /v2/acme/app/tags/list?n=1000 404
    POST /v2/acme/app/blobs/uploads/ 202
    POST /v2/acme/app/blobs/uploads/ 202
    POST /v2/acme/app/blobs/uploads/ 202
    POST /v2/acme/app/blobs/uploads/ 202
    PUT /v2/acme/app/blobs/uploads/[SESSION] 201
    PUT /v2/acme/app/blobs/uploads/[SESSION] 201
    PUT /v2/acme/app/blobs/uploads/[SESSION] 201
    PUT /v2/acme/app/blobs/uploads/[SESSION] 201
    PUT /v2/acme/app/manifests/[DIGEST] 201
    GET /v2/acme/app/manifests/0.1.0-rc.11 404
    GET /v2/acme/app/manifests/set-0.1.0-rc.11 404
    PUT /v2/acme/app/manifests/set-7a77c5932e35c13bf0bf61a33f757b21d41692b5 201
    PUT /v2/acme/app/manifests/set-0.1.0-rc.11 201
    PUT /v2/acme/app/manifests/[DIGEST]?tag=0.1.0-rc.11&tag=integration-7a77c59&tag=sha-7a77c59 201
    "#);
    // A commit later: one of two layers is there already.
    registry.clear_log();
    let run = push(&registry).plugin("concurrency", "1").env("CI_PIPELINE_NUMBER", "12");
    fs::remove_dir_all(run.workspace().join("build/app")).unwrap();
    image(2).write_layout(&run.workspace().join("build/app"), "latest");
    assert_eq!(run.env("CI_COMMIT_SHA", &"1".repeat(40)).output().code, Some(0));
    insta::assert_snapshot!(requests(&registry), @r#"
    GET /v2/acme/app/manifests/set-1111111111111111111111111111111111111111 404
    GET /v2/acme/app/tags/list?n=1000 200
    HEAD /v2/acme/app/manifests/[DIGEST] 404
    HEAD /v2/acme/app/blobs/[DIGEST] 200
    HEAD /v2/acme/app/blobs/[DIGEST] 200
    HEAD /v2/acme/app/blobs/[DIGEST] 404
    HEAD /v2/acme/app/blobs/[DIGEST] 404
    POST /v2/acme/app/blobs/uploads/ 202
    POST /v2/acme/app/blobs/uploads/ 202
    PUT /v2/acme/app/blobs/uploads/[SESSION] 201
    PUT /v2/acme/app/blobs/uploads/[SESSION] 201
    PUT /v2/acme/app/manifests/[DIGEST] 201
    GET /v2/acme/app/manifests/0.1.0-rc.12 404
    GET /v2/acme/app/manifests/set-0.1.0-rc.12 404
    PUT /v2/acme/app/manifests/set-1111111111111111111111111111111111111111 201
    PUT /v2/acme/app/manifests/set-0.1.0-rc.12 201
    PUT /v2/acme/app/manifests/[DIGEST]?tag=0.1.0-rc.12&tag=integration-1111111&tag=sha-1111111 201
    "#);
}

#[test]
fn the_requests_of_a_rerun() {
    let registry = start();
    assert_eq!(push(&registry).output().code, Some(0));
    registry.clear_log();
    assert_eq!(push(&registry).plugin("concurrency", "1").output().code, Some(0));
    insta::assert_snapshot!(requests(&registry), @r#"
    GET /v2/acme/app/manifests/set-7a77c5932e35c13bf0bf61a33f757b21d41692b5 200
    GET /v2/acme/app/tags/list?n=1000 200
    GET /v2/acme/app/manifests/0.1.0-rc.11 200
    HEAD /v2/acme/app/manifests/sha-7a77c59 200
    HEAD /v2/acme/app/manifests/integration-7a77c59 200
    GET /v2/acme/app/manifests/set-0.1.0-rc.11 200
    "#);
}

#[test]
fn a_restarted_pipeline_with_equal_bytes_changes_nothing() {
    let registry = start();
    assert_eq!(push(&registry).output().code, Some(0));
    let before = registry.snapshot();
    registry.clear_log();
    let rerun = push(&registry).env("CI_PIPELINE_NUMBER", "12").env("CI_PIPELINE_PARENT", "11").output();
    insta::assert_snapshot!(stable(&rerun, &[&registry]), @r#"
    exit code 0
    --- stdout
    IMAGE     CANDIDATE    DIGEST
    acme/app  0.1.0-rc.11  [DIGEST]
    0.1.0-rc.11 is published already
    registry-push: unchanged in [TIME]
    --- stderr
    "#);
    assert_eq!((registry.snapshot(), writes(&registry)), (before, 0));
    assert_eq!(rerun.json(".granary/registry-push.json")["candidate"], "0.1.0-rc.11");
}

#[test]
fn other_bytes_for_the_same_commit_are_a_new_candidate() {
    let registry = start();
    assert_eq!(push(&registry).output().code, Some(0));
    let run = push(&registry).env("CI_PIPELINE_NUMBER", "12").env("CI_PIPELINE_PARENT", "11");
    let rebuilt = image(2);
    fs::remove_dir_all(run.workspace().join("build/app")).unwrap();
    rebuilt.write_layout(&run.workspace().join("build/app"), "latest");
    let first_set = registry.tags("acme/app")[SET].clone();
    let finished = run.output();
    assert_eq!(finished.code, Some(0), "{finished}");
    let now = registry.tags("acme/app");
    assert_eq!(now["0.1.0-rc.11"], image(1).digest(), "a published candidate stays");
    assert_eq!(now["set-0.1.0-rc.11"], first_set);
    for moved in ["0.1.0-rc.12", "sha-7a77c59", "integration-7a77c59"] {
        assert_eq!(now[moved], rebuilt.digest(), "{moved}");
    }
    let set = set(&registry, "acme/app", SET);
    assert_eq!(set.order, Some(11), "the commit keeps the place under which it first appeared");
    assert_eq!(set.replaces.unwrap().to_string(), first_set);
}

#[test]
fn a_dry_run_prints_the_plan_and_writes_nothing() {
    let registry = Registry::start(Options::with_token("ci", "hunter2-hunter2"));
    let run = push(&registry).plugin("username", "ci").plugin("password", "hunter2-hunter2");
    let finished = run.clone().plugin("dry_run", "true").plugin("env_file", "out.env").output();
    insta::assert_snapshot!(stable(&finished, &[&registry]), @r#"
    exit code 0
    --- stdout
    plan: publish 0.1.0-rc.11 (commit 7a77c5932e35c13bf0bf61a33f757b21d41692b5, set [DIGEST])
      [HOST]/acme/app@[DIGEST]: 1 manifest to put, 3 blobs to send (5.6 KiB)
        send blob sha256:20e31b187bea 5.2 KiB
        send blob sha256:3e0173ce677a 281 B
        send blob sha256:a9d99568fc59 108 B
        1. put manifest sha256:011272cada85
      write acme/app:set-7a77c5932e35c13bf0bf61a33f757b21d41692b5, set-0.1.0-rc.11 → [DIGEST]
      write acme/app:0.1.0-rc.11, sha-7a77c59, integration-7a77c59 → [DIGEST]
    registry-push: planned in [TIME]
    --- stderr
    "#);
    assert_eq!((tags(&registry, "acme/app"), writes(&registry)), (Vec::new(), 0));
    assert_eq!(registry.count(|request| request.query.contains("push")), 0, "it asks for no right to write");
    assert!(
        fs::read_to_string(finished.workspace.join("out.env")).unwrap().contains("CANDIDATE=0.1.0-rc.11\n")
    );
    assert_eq!(finished.json(".granary/registry-push.json")["outcome"], "planned");
    // What would be left to do of a run that was cut off after its set.
    assert_eq!(run.output().code, Some(0));
    let rest = run.plugin("dry_run", "true").plugin("tags", "edge").output();
    insta::assert_snapshot!(stable(&rest, &[&registry]), @r#"
    exit code 0
    --- stdout
    plan: finish 0.1.0-rc.11 (commit 7a77c5932e35c13bf0bf61a33f757b21d41692b5, set [DIGEST])
      write acme/app:edge → [DIGEST]
    registry-push: planned in [TIME]
    --- stderr
    "#);
}

#[test]
fn result_and_env_file_are_exact() {
    let registry = start();
    let finished =
        push(&registry).plugin("env_file", "build/.env").plugin("result_file", "build/push.json").output();
    assert_eq!(finished.code, Some(0), "{finished}");
    let (host, digest) = (registry.host(), image(1).digest().to_owned());
    assert_eq!(
        fs::read_to_string(finished.workspace.join("build/.env")).unwrap(),
        format!(
            "VERSION=0.1.0\nCANDIDATE=0.1.0-rc.11\nDIGEST={digest}\nIMAGE={host}/acme/app@{digest}\nDIGEST_APP={digest}\n"
        )
    );
    assert_eq!(
        finished.json("build/push.json"),
        json!({
            "plugin": "registry-push", "outcome": "done", "exit_code": 0, "commit": SHA,
            "set": registry.tags("acme/app")[SET], "version": "0.1.0", "candidate": "0.1.0-rc.11", "lead": "app",
            "artifacts": [{
                "name": "app", "repository": format!("{host}/acme/app"), "digest": digest,
                "tags": ["0.1.0-rc.11", "sha-7a77c59", "integration-7a77c59"],
            }],
        })
    );
}

#[test]
fn further_tags_come_from_setting_and_file() {
    let registry = start();
    let run = push(&registry).plugin("tags", "edge").plugin("tags_file", ".tags");
    fs::write(run.workspace().join(".tags"), "main, edge\nnightly\n").unwrap();
    assert_eq!(run.output().code, Some(0));
    let now = registry.tags("acme/app");
    for tag in ["edge", "main", "nightly"] {
        assert_eq!(now[tag], image(1).digest(), "{tag}");
    }
    fs::write(run.workspace().join(".tags"), "main,latest").unwrap();
    let refused = run.clone().output();
    insta::assert_snapshot!(stable(&refused, &[&registry]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: `tags_file` .tags cannot be used
      cause 1: tag `latest`: `latest` follows stable versions only
    hint: an earlier step writes it into the workspace: tags separated by commas or lines
    "#);
    fs::remove_file(run.workspace().join(".tags")).unwrap();
    let absent = run.output();
    insta::assert_snapshot!(stable(&absent, &[&registry]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: `tags_file` .tags cannot be used
      cause 1: it cannot be read
      cause 2: No such file or directory (os error 2)
    hint: an earlier step writes it into the workspace: tags separated by commas or lines
    "#);
}

#[test]
fn the_base_follows_the_highest_stable_version() {
    let registry = start();
    registry.put_image("acme/app", &["0.1.9", "0.1.145", "v9.0.0", "1.0.0-rc.3", "latest"], &image(9));
    registry.put_image("prod/app", &["2.3.4"], &image(9));
    let candidate = |run: Run| {
        run.plugin("dry_run", "true").output().json(".granary/registry-push.json")["candidate"].clone()
    };
    assert_eq!(candidate(push(&registry)), "0.1.146-rc.11");
    assert_eq!(candidate(push(&registry).plugin("bump", "minor")), "0.2.0-rc.11");
    assert_eq!(candidate(push(&registry).plugin("base_version", "1.0.0")), "1.0.0-rc.11");
    assert_eq!(candidate(push(&registry).plugin("stable_repo", "prod/app")), "2.3.5-rc.11");
    // Promotion writes there and here, and either may be behind for a moment: the higher one counts.
    assert_eq!(candidate(push(&registry).plugin("stable_repo", "empty/app")), "0.1.146-rc.11");
    registry.put_image("acme/app", &["2.5.0"], &image(9));
    assert_eq!(candidate(push(&registry).plugin("stable_repo", "prod/app")), "2.5.1-rc.11");
}

#[test]
fn the_list_is_read_to_its_last_page_however_the_registry_ends_it() {
    for options in [
        Options { page_size: Some(2), ..Options::gitea() },
        Options {
            page_size: Some(2),
            last_page: granary_testkit::registry::LastPage::LinkToItself,
            ..Options::default()
        },
        Options::docker_registry_2_8(),
    ] {
        let registry = Registry::start(options);
        registry.put_image("acme/app", &["0.1.0", "0.1.1", "0.1.2", "0.1.3", "0.1.4"], &image(9));
        let finished = push(&registry).output();
        assert_eq!(finished.code, Some(0), "{finished}");
        assert_eq!(finished.json(".granary/registry-push.json")["candidate"], "0.1.5-rc.11");
    }
}

#[test]
fn one_request_at_a_time_where_that_is_asked() {
    let registry =
        Registry::start(Options { latency: std::time::Duration::from_millis(5), ..Options::default() });
    assert_eq!(push(&registry).plugin("concurrency", "1").output().code, Some(0));
    assert_eq!(registry.peak_concurrency(), 1);
}

/// By hand: the same binary, with flags.
#[test]
fn by_hand_with_flags() {
    let registry = start();
    let run = Run::new(crate::BINARY);
    image(1).write_layout(&run.workspace().join("build/app"), "latest");
    let host = registry.host();
    let flags = [
        "--registry",
        &host,
        "--repo",
        "acme/app",
        "--source",
        "oci:build/app",
        "--commit",
        SHA,
        "--branch",
        "main",
        "--rc-number",
        "7",
    ];
    let finished = flags.into_iter().fold(run, Run::arg).output();
    insta::assert_snapshot!(stable(&finished, &[&registry]), @r#"
    exit code 0
    --- stdout
    acme/app@[DIGEST]: 3 blobs sent (5.6 KiB) ([TIME])
    acme/app:set-7a77c5932e35c13bf0bf61a33f757b21d41692b5, set-0.1.0-rc.7 → [DIGEST] ([TIME])
    acme/app:0.1.0-rc.7, sha-7a77c59, integration-7a77c59 → [DIGEST] ([TIME])
    IMAGE     CANDIDATE   DIGEST
    acme/app  0.1.0-rc.7  [DIGEST]
    registry-push: done in [TIME]
    --- stderr
    "#);
    let set = set(&registry, "acme/app", SET);
    assert_eq!((set.branch.as_deref(), set.order, set.pipeline_url), (Some("main"), None, None));
}

/// Everything that one token allows is asked for at once.
#[test]
fn one_token_for_all_of_a_push() {
    let registry = Registry::start(Options::with_token("ci", "hunter2-hunter2"));
    let run = push(&registry)
        .plugin("username", "ci")
        .plugin("password", "hunter2-hunter2")
        .plugin("log_level", "trace");
    let finished = run.output();
    assert_eq!(finished.code, Some(0), "{finished}");
    assert_eq!(registry.count(|request| request.path == "/token"), 1);
    assert_eq!(registry.count(|request| request.path == "/v2/"), 0, "no ping");
    assert!(!finished.to_string().contains("hunter2"), "{finished}");
}

#[test]
fn a_step_with_commands_publishes_the_same() {
    let registry = start();
    let run = step("push.commands", &registry).plugin("source", "oci:build/app");
    image(1).write_layout(&run.workspace().join("build/app"), "latest");
    let finished = run.output();
    assert_eq!(finished.code, Some(0), "{finished}");
    assert_eq!(registry.tags("acme/app")["0.1.0-rc.11"], image(1).digest());
    assert_eq!(set(&registry, "acme/app", SET).order, Some(11));
}
