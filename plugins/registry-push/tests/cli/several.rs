//! Several images under one version.

use granary_testkit::process::Run;
use granary_testkit::registry::{Options, Registry};
use serde_json::Value;

use crate::{SET, image, set, stable, start, step, tags, writes};

/// Three images; `web` leads.
fn three(registry: &Registry) -> Run {
    let run = step("push.plugin", registry);
    for (seed, name) in (1..).zip(["api", "web", "worker"]) {
        image(seed).write_layout(&run.workspace().join("build").join(name), "latest");
    }
    run.plugin("repo", "acme/{name}")
        .plugin("sources", "oci:build/api,oci:build/web,oci:build/worker")
        .plugin("lead", "web")
}

#[test]
fn one_version_for_all_and_the_record_with_the_lead() {
    let registry = start();
    let finished = three(&registry).plugin("concurrency", "1").plugin("env_file", ".env").output();
    insta::assert_snapshot!(stable(&finished, &[&registry]), @r#"
    exit code 0
    --- stdout
    acme/web@[DIGEST]: 3 blobs sent (5.6 KiB) ([TIME])
    acme/api@[DIGEST]: 3 blobs sent (5.6 KiB) ([TIME])
    acme/worker@[DIGEST]: 3 blobs sent (5.6 KiB) ([TIME])
    acme/web:set-7a77c5932e35c13bf0bf61a33f757b21d41692b5, set-0.1.0-rc.11 → [DIGEST] ([TIME])
    acme/api:0.1.0-rc.11, sha-7a77c59, integration-7a77c59 → [DIGEST] ([TIME])
    acme/worker:0.1.0-rc.11, sha-7a77c59, integration-7a77c59 → [DIGEST] ([TIME])
    acme/web:0.1.0-rc.11, sha-7a77c59, integration-7a77c59 → [DIGEST] ([TIME])
    IMAGE        CANDIDATE    DIGEST
    acme/web     0.1.0-rc.11  [DIGEST]
    acme/api     0.1.0-rc.11  [DIGEST]
    acme/worker  0.1.0-rc.11  [DIGEST]
    registry-push: done in [TIME]
    --- stderr
    "#);
    let digest = |seed| image(seed).digest().to_owned();
    for (seed, repository) in [(1, "acme/api"), (2, "acme/web"), (3, "acme/worker")] {
        for tag in ["0.1.0-rc.11", "sha-7a77c59", "integration-7a77c59"] {
            assert_eq!(registry.tags(repository)[tag], digest(seed), "{repository}:{tag}");
        }
    }
    assert_eq!(tags(&registry, "acme/api").len(), 3, "sets lie with the lead alone");
    let members: Vec<String> =
        set(&registry, "acme/web", SET).members.iter().map(|member| member.name.clone()).collect();
    assert_eq!(members, ["web", "api", "worker"]);
    assert_eq!(
        std::fs::read_to_string(finished.workspace.join(".env")).unwrap(),
        format!(
            "VERSION=0.1.0\nCANDIDATE=0.1.0-rc.11\nDIGEST={web}\nIMAGE={host}/acme/web@{web}\nDIGEST_WEB={web}\n\
             DIGEST_API={api}\nDIGEST_WORKER={worker}\n",
            host = registry.host(),
            api = digest(1),
            web = digest(2),
            worker = digest(3),
        )
    );
    let result = finished.json(".granary/registry-push.json");
    assert_eq!(result["lead"], "web");
    let names: Vec<&Value> =
        result["artifacts"].as_array().unwrap().iter().map(|artifact| &artifact["name"]).collect();
    assert_eq!(names, ["web", "api", "worker"]);
}

/// Content, then the set, then the members' tags, then the lead's: who sees the lead's candidate sees all of it.
#[test]
fn the_lead_is_tagged_last() {
    for options in [Options::default(), Options::docker_registry_2_8()] {
        let registry = Registry::start(options);
        assert_eq!(three(&registry).output().code, Some(0));
        let order: Vec<String> = registry
            .requests()
            .iter()
            .filter(|request| request.method == "PUT" && request.path.contains("/manifests/"))
            .map(granary_testkit::registry::Request::target)
            .collect();
        let at = |repository: &str, part: &str| -> Vec<usize> {
            let matches = |target: &String| {
                let of_repository = target.starts_with(&format!("/v2/{repository}/"));
                let names = ["/", "tag="].iter().any(|before| target.contains(&format!("{before}{part}")));
                of_repository && names
            };
            let found: Vec<usize> =
                order.iter().enumerate().filter(|(_, target)| matches(target)).map(|(at, _)| at).collect();
            assert!(!found.is_empty(), "{repository} {part} in {order:#?}");
            found
        };
        let first = |repository: &str, part: &str| at(repository, part)[0];
        let last = |repository: &str, part: &str| *at(repository, part).last().unwrap();
        let set = first("acme/web", SET);
        for member in ["acme/api", "acme/worker"] {
            assert!(first(member, "sha256:") < set, "content first: {order:#?}");
            assert!(set < first(member, "0.1.0-rc.11"), "the set before tags: {order:#?}");
            for tag in ["0.1.0-rc.11", "sha-7a77c59", "integration-7a77c59"] {
                assert!(
                    last(member, tag) < first("acme/web", "0.1.0-rc.11"),
                    "the lead after {member}:{tag}: {order:#?}"
                );
            }
        }
        assert!(set < first("acme/web", "set-0.1.0-rc.11"), "{order:#?}");
    }
}

/// One of many has a candidate of other bytes: nothing is tagged anywhere.
#[test]
fn one_taken_candidate_stops_all() {
    let registry = start();
    registry.put_image("acme/worker", &["0.1.0-rc.11"], &image(9));
    let finished = three(&registry).output();
    assert_eq!(finished.code, Some(11), "{finished}");
    assert_eq!((tags(&registry, "acme/web"), tags(&registry, "acme/api")), (Vec::new(), Vec::new()));
    assert_eq!(tags(&registry, "acme/worker"), ["0.1.0-rc.11"]);
    assert_eq!(registry.tags("acme/worker")["0.1.0-rc.11"], image(9).digest());
    // The lead's own is in the list that was read anyway: known before anything is sent.
    let registry = start();
    registry.put_image("acme/web", &["0.1.0-rc.11"], &image(9));
    let finished = three(&registry).output();
    assert_eq!((finished.code, writes(&registry)), (Some(11), 0), "{finished}");
}

/// One of many cannot be read: nothing of the others is sent.
#[test]
fn one_broken_source_stops_all() {
    let registry = start();
    let run = three(&registry);
    std::fs::write(run.workspace().join("build/worker/index.json"), "{").unwrap();
    let finished = run.output();
    assert_eq!(finished.code, Some(20), "{finished}");
    assert_eq!(writes(&registry), 0);
}

#[test]
fn a_rerun_is_silent_and_short() {
    let registry = Registry::start(Options::with_token("ci", "right-right"));
    let run = three(&registry).plugin("username", "ci").plugin("password", "right-right");
    assert_eq!(run.output().code, Some(0));
    assert_eq!(registry.count(|request| request.path == "/token"), 3, "one for each repository");
    registry.clear_log();
    let rerun = run.output();
    assert_eq!(rerun.json(".granary/registry-push.json")["outcome"], "unchanged");
    assert_eq!(writes(&registry), 0);
}

/// buildx has pushed all of them: one source with a place for the name.
#[test]
fn images_of_an_earlier_step() {
    let registry = start();
    for (seed, name) in (1..).zip(["api", "web"]) {
        registry.put_image(&format!("ci/{name}"), &["11"], &image(seed));
    }
    let finished = step("push.plugin", &registry)
        .plugin("repo", "acme/{name}")
        .plugin("source", &format!("image:{}/ci/{{name}}:11", registry.host()))
        .plugin("names", "api,web")
        .output();
    assert_eq!(finished.code, Some(0), "{finished}");
    assert_eq!(registry.tags("acme/web")["0.1.0-rc.11"], image(2).digest());
    assert_eq!(finished.json(".granary/registry-push.json")["lead"], "api");
}

#[test]
fn names_that_would_share_a_variable_are_refused_before_anything_is_asked() {
    let registry = start();
    let finished = three(&registry).plugin("names", "api,web,a_b").output();
    assert_eq!(finished.code, Some(2), "{finished}");
    assert_eq!(registry.requests().len(), 0);
}
