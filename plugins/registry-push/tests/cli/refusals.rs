//! What is refused, with which exit code and words, and that nothing is written then.

use granary_testkit::registry::{Action, Fault, Options, Registry};

use crate::{causes, image, push, stable, start, tags, writes};

#[test]
fn two_bad_settings_are_both_reported() {
    let registry = start();
    let finished = push(&registry).plugin("base_version", "1.1").plugin("bump", "huge").output();
    insta::assert_snapshot!(stable(&finished, &[&registry]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: 2 bad settings
      base_version: looks like a YAML number (1.10 arrives as 1.1): put the version in quotes and write all of it: `1.1`; accepted: a version in quotes, such as "1.2.3"
      bump: not one of them: `huge`; accepted: one of patch, minor, major
    hint: `--help` lists every setting
    "#);
    assert_eq!(registry.requests().len(), 0);
}

#[test]
fn pipeline_number_zero() {
    let registry = start();
    let finished = push(&registry).env("CI_PIPELINE_NUMBER", "0").output();
    insta::assert_snapshot!(stable(&finished, &[&registry]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: 1 bad setting
      rc_number: CI_PIPELINE_NUMBER is 0, as `woodpecker-cli exec` sets it, and every run would publish the same candidate: set PLUGIN_RC_NUMBER or --rc-number; accepted: a whole number from 1 on, or `sequence`
    hint: `--help` lists every setting
    "#);
}

#[test]
fn a_setting_outside_only() {
    let registry = start();
    let finished = push(&registry).plugin("only", "registry,source").plugin("base_version", "9.0.0").output();
    insta::assert_snapshot!(stable(&finished, &[&registry]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: 1 bad setting
      base_version: PLUGIN_BASE_VERSION is in the environment, but `only` does not name it; accepted: in `only` where the step uses it, else not set
    hint: `--help` lists every setting
    "#);
    assert_eq!(registry.requests().len(), 0);
}

#[test]
fn a_candidate_of_other_bytes() {
    let registry = start();
    registry.put_image("acme/app", &["0.1.0-rc.11"], &image(9));
    let before = registry.snapshot();
    let finished = push(&registry).output();
    insta::assert_snapshot!(stable(&finished, &[&registry]), @r#"
    exit code 11
    --- stdout
    --- stderr
    error: refusing to publish
      cause 1: acme/app:0.1.0-rc.11 is [DIGEST], not [DIGEST]; a published candidate never moves
    hint: a new pipeline gets a new number; by hand give another `rc_number`
    "#);
    assert_eq!((registry.snapshot(), writes(&registry)), (before, 0));
    let result = finished.json(".granary/registry-push.json");
    assert_eq!(
        (&result["outcome"], &result["refusal"]),
        (
            &serde_json::json!("refused"),
            &serde_json::json!({
                "rule": "candidate.immutable", "found": image(9).digest(), "needed": image(1).digest()
            })
        )
    );
}

/// Two commits by hand under one number.
#[test]
fn a_candidate_of_another_commit() {
    let registry = start();
    assert_eq!(push(&registry).output().code, Some(0));
    let before = registry.snapshot();
    let other = "0".repeat(39) + "1";
    let finished = push(&registry).env("CI_COMMIT_SHA", &other).output();
    insta::assert_snapshot!(stable(&finished, &[&registry]), @r#"
    exit code 11
    --- stdout
    --- stderr
    error: refusing to publish
      cause 1: acme/app:set-0.1.0-rc.11 is [DIGEST], not [DIGEST]; a published candidate never moves
    hint: a new pipeline gets a new number; by hand give another `rc_number`
    "#);
    assert_eq!(registry.snapshot(), before);
}

#[test]
fn a_base_that_is_not_above_production() {
    let registry = start();
    registry.put_image("acme/app", &["1.4.0"], &image(9));
    let finished = push(&registry).plugin("base_version", "1.4.0").output();
    insta::assert_snapshot!(stable(&finished, &[&registry]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: refusing to publish
      cause 1: no base version for the candidate
      cause 2: base version 1.4.0 does not lie above the highest stable version 1.4.0
    hint: set `base_version` above 1.4.0, or leave it out
    "#);
    assert_eq!(writes(&registry), 0);
}

#[test]
fn a_wrong_password() {
    for options in [Options::with_token("ci", "right"), Options::with_basic("ci", "right")] {
        let registry = Registry::start(options);
        let finished = push(&registry)
            .plugin("username", "ci")
            .plugin("password", "hunter2-hunter2")
            .plugin("log_level", "trace")
            .output();
        assert_eq!(finished.code, Some(18), "{finished}");
        assert!(
            causes(&finished, &registry).contains("wrong user name or password"),
            "the registry's words: {finished}"
        );
        for secret in ["hunter2-hunter2", "Y2k6aHVudGVyMi1odW50ZXIy"] {
            assert!(!finished.to_string().contains(secret), "{finished}");
            let result =
                std::fs::read_to_string(finished.workspace.join(".granary/registry-push.json")).unwrap();
            assert!(!result.contains(secret), "{result}");
        }
        assert_eq!(tags(&registry, "acme/app"), Vec::<String>::new());
    }
    let registry = Registry::start(Options::with_token("ci", "right"));
    let finished = push(&registry).plugin("username", "ci").plugin("password", "hunter2-hunter2").output();
    insta::assert_snapshot!(stable(&finished, &[&registry]), @r#"
    exit code 18
    --- stdout
    --- stderr
    error: reading manifest [HOST]/acme/app:set-7a77c5932e35c13bf0bf61a33f757b21d41692b5: authentication failed
      cause 1: the credentials of `ci` were refused with 401 Unauthorized: UNAUTHORIZED wrong user name or password
    hint: check `username` and `password`, and what that user may do there
    "#);
}

#[test]
fn a_user_who_may_not_push() {
    let options =
        Options { read_only: vec!["acme/app".to_owned()], ..Options::with_token("ci", "right-right") };
    let registry = Registry::start(options);
    let finished = push(&registry).plugin("username", "ci").plugin("password", "right-right").output();
    insta::assert_snapshot!(stable(&finished, &[&registry]), @r#"
    exit code 18
    --- stdout
    --- stderr
    error: pushing blob [HOST]/acme/app@[DIGEST]: authentication failed
      cause 1: no permission for repository:acme/app:pull,push: UNAUTHORIZED authentication required
    hint: check `username` and `password`, and what that user may do there
    "#);
}

#[test]
fn a_registry_that_is_not_there() {
    let registry = start();
    let run = push(&registry).plugin("registry", "127.0.0.1:1").plugin("retries", "1");
    let finished = run.output();
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(12), ""), "{finished}");
    // The set and the tags are asked for at once; either may be the first that fails.
    for expected in [
        "127.0.0.1:1/acme/app",
        ": no usable answer\n  cause 1: GET http://127.0.0.1:1/v2/acme/app/",
        ": no connection\n  cause 2: error sending request\n",
        "cause 5: Connection refused (os error 111)\nhint: run it again when the registry answers: ",
    ] {
        assert!(finished.stderr.contains(expected), "{expected}: {finished}");
    }
}

/// A listing that fails half-way is not an empty registry: no number is invented.
#[test]
fn a_listing_that_fails_half_way() {
    let registry = Registry::start(Options { page_size: Some(2), ..Options::default() });
    registry.put_image("acme/app", &["0.1.0", "0.1.1", "0.1.2"], &image(9));
    registry.fault(Fault::on("GET", "last=", Action::status(503)).times(usize::MAX));
    let finished = push(&registry).plugin("retries", "1").output();
    assert_eq!(finished.code, Some(12), "{finished}");
    assert_eq!(writes(&registry), 0);
    assert_eq!(finished.json(".granary/registry-push.json")["candidate"], serde_json::Value::Null);
}

#[test]
fn passing_faults_are_passed_over() {
    let registry = start();
    registry.fault(Fault::on("GET", "/tags/list", Action::status(503)).times(2));
    registry.fault(Fault::on("PUT", "/manifests/", Action::too_many_requests(1)));
    registry.fault(Fault::on("PUT", "/blobs/uploads/", Action::ResetAfter));
    let finished = push(&registry).output();
    assert_eq!(finished.code, Some(0), "{finished}");
    assert_eq!(registry.faults_left(), 0);
    assert_eq!(registry.tags("acme/app")["0.1.0-rc.11"], image(1).digest());
}

#[test]
fn a_registry_that_forbids_moving_tags() {
    let registry = Registry::start(Options { immutable_tags: Some(403), ..Options::default() });
    assert_eq!(push(&registry).output().code, Some(0));
    let run = push(&registry).env("CI_PIPELINE_NUMBER", "12");
    std::fs::remove_dir_all(run.workspace().join("build/app")).unwrap();
    image(2).write_layout(&run.workspace().join("build/app"), "latest");
    let finished = run.output();
    insta::assert_snapshot!(stable(&finished, &[&registry]), @r#"
    exit code 19
    --- stdout
    acme/app@[DIGEST]: 2 blobs sent (5.5 KiB), 1 there already ([TIME])
    --- stderr
    error: pushing manifest [HOST]/acme/app:set-7a77c5932e35c13bf0bf61a33f757b21d41692b5: the registry answered 403 Forbidden: TAG_INVALID tag set-7a77c5932e35c13bf0bf61a33f757b21d41692b5 exists and is immutable
    hint: the registry's own words above say which rule or quota it was
    "#);
    assert_eq!(registry.tags("acme/app")["0.1.0-rc.11"], image(1).digest());
}

/// Somebody else's manifest under the tag that holds the record.
#[test]
fn a_record_that_is_none() {
    let registry = start();
    registry.put_image("acme/app", &[crate::SET], &image(9));
    let finished = push(&registry).output();
    insta::assert_snapshot!(stable(&finished, &[&registry]), @r#"
    exit code 20
    --- stdout
    --- stderr
    error: a release set cannot be read
      cause 1: [DIGEST] is not a release set but `application/vnd.oci.image.config.v1+json`
    hint: only registry-push writes `set-` tags; whoever wrote this one can be found in the registry's log
    "#);
    assert_eq!(writes(&registry), 0);
}
