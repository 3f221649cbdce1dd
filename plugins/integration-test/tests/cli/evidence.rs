//! What is signed, on what, and when not.

use granary_attest::test_result::Outcome;
use granary_testkit::git::Repository;
use granary_testkit::image::{Image, MANIFEST};
use granary_testkit::registry::{Options, Referrers};
use insta::assert_snapshot;

use crate::support::{CANDIDATE, COMMIT, Stage, image, key, leaving, results, shown, wait_until};

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

fn index() -> Image {
    Image::index(&[image("linux/amd64"), image("linux/arm64")])
}

/// The platform that the tests of this file run on, as images have it.
fn own() -> &'static str {
    if cfg!(target_arch = "aarch64") { "linux/arm64" } else { "linux/amd64" }
}

#[test]
fn a_report_signs_for_the_set_and_the_lead() {
    let index = index();
    let api = image("linux/s390x");
    let stage = Stage::on(Options::default(), &[("app", "acme/app", &index), ("api", "acme/api", &api)])
        .report(&results(&["login=passed", "pay=passed", "browser=skipped"]))
        .set("repo", "acme/{name}")
        .set("lead", "app");
    let finished = stage.output();
    assert_snapshot!(shown(&finished), @r#"
    exit 0
    --- stdout
    testing 0.1.146-rc.87 of commit 7a77c5932e35c13bf0bf61a33f757b21d41692b5, set [DIGEST]
    PASSED: 2 passed, 0 failed, 1 skipped
    evidence PASSED on acme/app@[DIGEST]: [DIGEST], signed by zpfsINQ2YaGbIVyy43ammNC0qiqltMeFTpFr0FCC/O4=
    evidence PASSED on acme/app@[DIGEST]: [DIGEST], signed by zpfsINQ2YaGbIVyy43ammNC0qiqltMeFTpFr0FCC/O4=
    integration-test: done in [TIME]
    "#);

    let set = stage.found.digest.to_string();
    let part = image(own());
    let subjects = [set.as_str(), index.digest(), api.digest(), part.digest()];
    for subject in [set.as_str(), index.digest()] {
        let found = stage.evidence("acme/app", subject);
        let [evidence] = found.as_slice() else { panic!("{} bundles on {subject}", found.len()) };
        assert_eq!(evidence.subjects, subjects);
        let result = &evidence.result;
        assert_eq!(result.result, Outcome::Passed);
        assert_eq!(result.passed_tests, ["login", "pay"]);
        assert_eq!(result.url.as_deref(), Some("https://ci.example.test/repos/1/pipeline/87"));
        let run = &result.run;
        assert_eq!(
            (run.commit.as_str(), run.set.as_str(), run.environment.as_str()),
            (COMMIT, set.as_str(), "integration")
        );
        assert_eq!((run.platforms.as_slice(), run.key_exposed), (&[own().to_owned()][..], false));
        assert_eq!(evidence.manifest["artifactType"], BUNDLE);
        assert_eq!(evidence.manifest["subject"]["digest"], subject);
    }
    assert_eq!(
        stage.registry.referrers("acme/api", api.digest()).len(),
        0,
        "only the lead without `attach: all`"
    );
    let result = finished.json(".granary/integration-test.json");
    let mut said: Vec<&str> =
        result["evidence"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    let mut there = [
        &stage.registry.referrers("acme/app", &set)[..],
        &stage.registry.referrers("acme/app", index.digest()),
    ]
    .concat();
    said.sort_unstable();
    there.sort_unstable();
    assert_eq!(said, there);
}

#[test]
fn every_request_of_a_report_is_needed() {
    let stage = Stage::new().report(&results(&["login=passed"]));
    assert_eq!(stage.output().code, Some(0));
    let mut requests: Vec<String> =
        stage.registry.requests().iter().map(|it| format!("{} {}", it.method, it.path)).collect();
    for request in &mut requests {
        if let Some((start, _)) = request.rsplit_once("sha256:") {
            *request = format!("{start}[DIGEST]");
        }
        if let Some((start, _)) = request.split_once("/uploads/") {
            *request = format!("{start}/uploads/");
        }
    }
    requests.sort_unstable();
    assert_snapshot!(requests.join("\n"), @r#"
    GET /v2/acme/app/manifests/set-7a77c5932e35c13bf0bf61a33f757b21d41692b5
    HEAD /v2/acme/app/manifests/0.1.146-rc.87
    POST /v2/acme/app/blobs/uploads/
    PUT /v2/acme/app/blobs/uploads/
    PUT /v2/acme/app/manifests/[DIGEST]
    PUT /v2/acme/app/manifests/[DIGEST]
    "#);
}

#[test]
fn one_token_for_each_repository_reads_and_writes() {
    let (app, api) = (image("linux/amd64"), image("linux/arm64"));
    for (attach, tokens) in [("lead", 2), ("all", 2)] {
        let members = [("app", "acme/app", &app), ("api", "acme/api", &api)];
        let stage = Stage::on(Options::with_token("ci", "hunter2-hunter2"), &members)
            .report(&results(&["login=passed"]))
            .set("repo", "acme/{name}")
            .set("lead", "app")
            .set("attach", attach)
            .set("username", "ci")
            .set("password", "hunter2-hunter2");
        let finished = stage.output();
        assert_eq!(finished.code, Some(0), "{finished}");
        assert_eq!(stage.registry.count(|request| request.path == "/token"), tokens, "{attach}: {finished}");
    }
}

#[test]
fn results_that_the_commit_brought_along_prove_nothing() {
    let mut repository = Repository::new();
    let commit = repository.commit("out/results.json", &results(&["login=passed"]), "first");
    let stage = Stage::new();
    let mut set = stage.found.set.clone();
    set.commit = commit.parse().unwrap();
    let manifest = set.to_manifest();
    let tag = format!("set-{commit}");
    stage.registry.put_manifest("acme/app", &[&tag], MANIFEST, manifest.bytes().to_vec());
    let evidence = || stage.registry.referrers("acme/app", manifest.digest().as_str()).len();
    let report = crate::support::step(&stage.registry)
        .current_dir(repository.path())
        .env("CI_COMMIT_SHA", &commit)
        .plugin("mode", "report")
        .plugin("results", "out/*.json")
        .plugin("signing_key", &key().to_pem());
    // The tests crashed, under `failure: ignore`.
    assert_snapshot!(shown(&report.output()), @r#"
    exit 13
    --- stdout
    testing 0.1.146-rc.87 of commit 71c523753974946048a9b59e03ad5c04a6c84b86, set [DIGEST]
    evidence FAILED on acme/app@[DIGEST]: [DIGEST], signed by zpfsINQ2YaGbIVyy43ammNC0qiqltMeFTpFr0FCC/O4=
    evidence FAILED on acme/app@[DIGEST]: [DIGEST], signed by zpfsINQ2YaGbIVyy43ammNC0qiqltMeFTpFr0FCC/O4=
    --- stderr
    error: there are no usable test results
      cause 1: out/results.json was not written by the tests of this pipeline, it is what the commit has
    hint: remove that file from the repository, and let the tests write it anew
    "#);
    assert_eq!(evidence(), 1);
    std::fs::write(repository.path().join("out/results.json"), results(&["login=passed", "pay=passed"]))
        .unwrap();
    let written = report.output();
    assert_eq!(written.code, Some(0), "{written}");
    assert_eq!(evidence(), 2);
    // Without the objects of the commit there is no telling.
    std::fs::write(repository.path().join("out/results.json"), results(&["login=passed"])).unwrap();
    std::fs::rename(repository.path().join(".git"), repository.path().join("git-is-gone")).unwrap();
    let untold = report.plugin("log_level", "debug").output();
    assert_eq!(untold.code, Some(0), "{untold}");
    let debug = "debug: no telling whether out/results.json is what the commit has: no Git repository in ";
    assert!(untold.stderr.contains(debug), "{untold}");
}

#[test]
fn failed_tests_are_signed_for_as_well() {
    let stage = Stage::new().report(&results(&["login=passed", "pay=failed"]));
    assert_snapshot!(stage.shown(), @r#"
    exit 13
    --- stdout
    testing 0.1.146-rc.87 of commit 7a77c5932e35c13bf0bf61a33f757b21d41692b5, set [DIGEST]
    FAILED pay: pay is failed
    FAILED: 1 passed, 1 failed, 0 skipped
    evidence FAILED on acme/app@[DIGEST]: [DIGEST], signed by zpfsINQ2YaGbIVyy43ammNC0qiqltMeFTpFr0FCC/O4=
    evidence FAILED on acme/app@[DIGEST]: [DIGEST], signed by zpfsINQ2YaGbIVyy43ammNC0qiqltMeFTpFr0FCC/O4=
    --- stderr
    error: 1 of 2 tests failed
    hint: the failed tests and their messages are listed above
    "#);
    let found = stage.evidence("acme/app", stage.found.digest.as_str());
    assert_eq!(found.len(), 1);
    let result = &found[0].result;
    assert_eq!((result.result, result.failed_tests.as_slice()), (Outcome::Failed, &["pay".to_owned()][..]));
}

#[test]
fn a_report_without_results_signs_that_nothing_counts() {
    let stage = Stage::new().report("");
    std::fs::remove_file(stage.run.workspace().join("results.json")).unwrap();
    let finished = stage.output();
    assert_eq!(finished.code, Some(13), "{finished}");
    // Else the PASSED of an earlier run would stand for tests that crashed.
    let found = stage.evidence("acme/app", stage.found.digest.as_str());
    assert_eq!(found.len(), 1);
    let result = &found[0].result;
    assert_eq!(
        (result.result, result.passed_tests.len(), result.failed_tests.len()),
        (Outcome::Failed, 0, 0)
    );
}

#[test]
fn results_from_before_the_candidate_are_not_believed() {
    let stage = Stage::new().report(&results(&["login=passed"]));
    let file = std::fs::File::options().write(true).open(stage.run.workspace().join("results.json")).unwrap();
    let long_ago = stage.found.set.created - jiff::SignedDuration::from_hours(24);
    file.set_modified(long_ago.into()).unwrap();
    let finished = stage.output();
    assert_eq!(finished.code, Some(13), "{finished}");
    assert!(finished.stderr.contains("before the candidate was published"), "{finished}");
}

#[test]
fn a_secret_in_the_name_of_a_test_is_not_published() {
    let stage = Stage::new()
        .tests(&leaving(&results(&["login [hunter2-of-env]=passed"]), 0))
        .set("env", "TOKEN=hunter2-of-env")
        .set("signing_key", &key().to_pem());
    assert_eq!(stage.output().code, Some(0));
    let found = stage.evidence("acme/app", stage.found.digest.as_str());
    assert_eq!(found[0].result.passed_tests, ["login [***]"]);
}

#[test]
fn a_key_beside_the_tests_is_warned_about_and_marked() {
    let stage =
        Stage::new().tests(&leaving(&results(&["login=passed"]), 0)).set("signing_key", &key().to_pem());
    let finished = stage.output();
    assert_eq!(finished.code, Some(0), "{finished}");
    assert!(
        finished.stderr.contains("warning: the signing key lies beside the tests, which could read it"),
        "{finished}"
    );
    let found = stage.evidence("acme/app", stage.found.digest.as_str());
    assert!(found[0].result.run.key_exposed);
    assert!(found[0].result.run.started_on <= found[0].result.run.finished_on);
}

#[test]
fn a_key_that_is_none_is_explained() {
    let public = key().public_key().to_pem();
    let rsa = "-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----\n";
    for (pem, reason) in [(public.as_str(), "public key"), (rsa, "RSA")] {
        let finished = Stage::new().report(&results(&["a=passed"])).set("signing_key", pem).output();
        assert_eq!(finished.code, Some(20), "{finished}");
        assert!(
            finished.stderr.starts_with("error: `signing_key` cannot be used\n")
                && finished.stderr.contains(reason),
            "{finished}"
        );
    }
    let absent = Stage::new().report(&results(&["a=passed"])).set("signing_key", "no/such.key").output();
    assert_eq!(absent.code, Some(2), "{absent}");
}

#[test]
fn all_members_get_evidence_where_it_is_asked_for() {
    let (app, api) = (image("linux/amd64"), image("linux/arm64"));
    let stage = Stage::on(Options::default(), &[("app", "acme/app", &app), ("api", "acme/api", &api)])
        .report(&results(&["login=passed"]))
        .set("repo", "acme/{name}")
        .set("lead", "app")
        .set("attach", "all");
    assert_eq!(stage.output().code, Some(0));
    for (repository, digest) in [("acme/app", app.digest()), ("acme/api", api.digest())] {
        let found = stage.evidence(repository, digest);
        assert_eq!(found.len(), 1, "{repository}");
        assert_eq!(found[0].subjects, [stage.found.digest.as_str(), app.digest(), api.digest()]);
    }
}

#[test]
fn platforms_say_what_ran() {
    let index = index();
    let stage = Stage::on(Options::default(), &[("app", "acme/app", &index)])
        .report(&results(&["login=passed"]))
        .set("platforms", "linux/arm64,linux/amd64");
    assert_eq!(stage.output().code, Some(0));
    let found = stage.evidence("acme/app", index.digest());
    let (arm64, amd64) = (image("linux/arm64"), image("linux/amd64"));
    assert_eq!(
        found[0].subjects,
        [stage.found.digest.as_str(), index.digest(), arm64.digest(), amd64.digest()]
    );
    assert_eq!(found[0].result.run.platforms, ["linux/arm64", "linux/amd64"]);

    let wrong = stage.set("platforms", "linux/riscv64");
    assert_snapshot!(wrong.shown(), @r#"
    exit 2
    --- stdout
    testing 0.1.146-rc.87 of commit 7a77c5932e35c13bf0bf61a33f757b21d41692b5, set [DIGEST]
    --- stderr
    error: `platforms` cannot be what ran
      cause 1: `app` has no manifest for linux/riscv64, it has linux/amd64, linux/arm64
    hint: name the platforms that the tests ran
    "#);
    assert_eq!(wrong.evidence("acme/app", index.digest()).len(), 1, "no second bundle");
}

#[test]
fn evidence_claims_no_platform_that_an_index_does_not_have() {
    let index = Image::index(&[image("linux/riscv64"), image("linux/s390x")]);
    let stage =
        Stage::on(Options::default(), &[("app", "acme/app", &index)]).report(&results(&["login=passed"]));
    let finished = stage.output();
    assert_eq!(finished.code, Some(0), "{finished}");
    let warning = format!(
        "warning: `app` has no manifest for {}, it has linux/riscv64, linux/s390x, and `platforms` does not say \
         which was tested: evidence will name none\n",
        own()
    );
    assert_eq!(finished.stderr, warning);
    let found = stage.evidence("acme/app", index.digest());
    assert_eq!(found[0].subjects, [stage.found.digest.as_str(), index.digest()]);
    assert_eq!(found[0].result.run.platforms, Vec::<String>::new());
}

#[test]
fn a_registry_without_referrers_gets_a_fallback_index_that_says_what_is_in_it() {
    let options = Options { referrers: Referrers::Off, ..Options::docker_registry_2_8() };
    let stage =
        Stage::on(options, &[("app", "acme/app", &image("linux/amd64"))]).report(&results(&["a=passed"]));
    let finished = stage.output();
    assert_eq!(finished.code, Some(0), "{finished}");
    for subject in [stage.found.digest.as_str(), stage.found.set.lead().digest.as_str()] {
        let tag = subject.replace(':', "-");
        let (_, fallback) = stage.registry.manifest("acme/app", &tag).unwrap();
        let fallback: serde_json::Value = serde_json::from_slice(&fallback).unwrap();
        let entries = fallback["manifests"].as_array().unwrap();
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0]["artifactType"], BUNDLE);
        let annotations = &entries[0]["annotations"];
        assert_eq!(annotations["dev.sigstore.bundle.content"], "dsse-envelope");
        assert_eq!(
            annotations["dev.sigstore.bundle.predicateType"],
            "https://in-toto.io/attestation/test-result/v0.1"
        );
        assert_eq!(stage.evidence("acme/app", subject)[0].result.result, Outcome::Passed);
    }
}

#[test]
fn tags_that_do_not_fit_are_refused_before_anything_runs() {
    let stage = Stage::new().tests("touch ran");
    let other = image("linux/arm64");
    stage.registry.put_image("acme/app", &[CANDIDATE], &other);
    assert_snapshot!(stage.shown(), @r#"
    exit 11
    --- stdout
    testing 0.1.146-rc.87 of commit 7a77c5932e35c13bf0bf61a33f757b21d41692b5, set [DIGEST]
    --- stderr
    error: refusing to test a candidate whose tags do not fit: acme/app:0.1.146-rc.87 is [DIGEST], the set says [DIGEST]
    hint: candidates never move: find out who pushed to that tag, and publish the commit anew
    "#);
    assert!(!stage.has("ran"));

    let report = Stage::new().report(&results(&["a=passed"]));
    report.registry.put_image("acme/app", &[CANDIDATE], &other);
    let finished = report.output();
    assert_eq!(finished.code, Some(11), "{finished}");
    assert_eq!(report.evidence_count(), 0);
    let refusal = &finished.json(".granary/integration-test.json")["refusal"];
    assert_eq!(refusal["rule"], "candidate.tags");
    assert_eq!(
        (&refusal["found"], &refusal["needed"]),
        (&other.digest().into(), &report.found.set.lead().digest.as_str().into())
    );
}

#[test]
fn a_half_published_candidate_is_not_tested() {
    let (app, api) = (image("linux/amd64"), image("linux/arm64"));
    let stage = Stage::on(Options::default(), &[("app", "acme/app", &app), ("api", "acme/api", &api)]);
    let without_tag = granary_testkit::registry::Registry::start(Options::default());
    let (_, set) = stage.registry.manifest("acme/app", &format!("set-{COMMIT}")).unwrap();
    without_tag.put_image("acme/app", &[CANDIDATE], &app);
    without_tag.put_image("acme/api", &[], &api);
    without_tag.put_manifest("acme/app", &[&format!("set-{COMMIT}")], MANIFEST, set);
    let stage = stage
        .tests("touch ran")
        .set("registry", &without_tag.host())
        .set("repo", "acme/{name}")
        .set("lead", "app");
    let finished = stage.output();
    assert_eq!(finished.code, Some(11), "{finished}");
    assert!(
        finished.stderr.contains("hint: run registry-push again: it finishes a candidate that it began"),
        "{finished}"
    );
    assert!(!stage.has("ran"));
}

#[test]
fn tags_that_move_while_the_tests_run_leave_no_evidence() {
    let script = format!(
        "touch started; while [ ! -e go ]; do sleep 0.05; done\n{}",
        leaving(&results(&["a=passed"]), 0)
    );
    let stage = Stage::new().tests(&script).set("signing_key", &key().to_pem());
    let running = stage.run.spawn();
    wait_until("the tests start", || stage.has("started"));
    stage.registry.put_image("acme/app", &[CANDIDATE], &image("linux/arm64"));
    stage.write("go", "");
    let finished = running.wait();
    assert_snapshot!(shown(&finished), @r#"
    exit 11
    --- stdout
    testing 0.1.146-rc.87 of commit 7a77c5932e35c13bf0bf61a33f757b21d41692b5, set [DIGEST]
    running sh tests.sh results.json
    PASSED: 1 passed, 0 failed, 0 skipped in [TIME]
    --- stderr
    warning: the signing key lies beside the tests, which could read it; the evidence will say `keyExposed`. Sign in a step of its own with `mode: report`
    error: refusing to vouch for a candidate that changed while it was tested: acme/app:0.1.146-rc.87 is [DIGEST], the set says [DIGEST]
    hint: candidates never move: find out who pushed to that tag, and publish the commit anew
    "#);
    assert_eq!(stage.evidence_count(), 0);
}
