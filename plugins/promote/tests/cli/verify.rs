//! `promote verify`: both chains read back, from wherever one begins, and where they break.

use granary_attest::bundle;
use granary_attest::statement::ResourceDescriptor;
use granary_attest::summary::{self, Policy, STABLE, Summary, VERIFIER_ID, Verifier};
use granary_attest::test_result::Outcome;
use granary_oci::{ArtifactManifest, Descriptor};
use granary_testkit::image::ImageBuilder;
use granary_testkit::process::{Finished, Run};
use granary_testkit::registry::{Options, Registry, Request};
use insta::assert_snapshot;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::world::{
    Evidence, MAIN, PROMOTER, Release, TRUSTED, UNCHANGED, by_hand, filtered, key, list_in_fallback,
    nothing_written, promote, refusal, signing, tested, tested_on, told, told_of_two,
};

fn pair() -> Release {
    Release { repositories: vec!["acme/app", "acme/web"], ..Release::new("0.1.1-rc.11") }
}

/// By hand, of what is in `acme/`.
fn verify(registry: &Registry) -> Run {
    Run::new(env!("CARGO_BIN_EXE_promote"))
        .arg("verify")
        .plugin("registry", &registry.host())
        .plugin("repo", "acme/{name}")
        .plugin("lead", "app")
        .plugin("trusted_keys", &key(TRUSTED).public_key().to_pem())
        .plugin("promoter_keys", &key(PROMOTER).public_key().to_pem())
}

fn promoted(options: Options) -> Registry {
    let registry = tested_on(options, &pair());
    // As registries without the API have it; others do not look there.
    let carrier = registry.referrers("acme/app", &pair().set_digest()).remove(0);
    list_in_fallback(&registry, &pair(), &carrier);
    let run =
        signing(promote("push", &registry)).plugin("repo", "acme/{name}").plugin("lead", "app").output();
    assert_eq!(run.code, Some(0), "{run}");
    registry.clear_log();
    registry
}

/// A promotion that somebody signs for.
struct Told {
    release: Release,
    version: &'static str,
    set: String,
    evidence: Vec<(String, Timestamp)>,
    time: Timestamp,
    key: u8,
}

impl Told {
    /// As promote would have it: by its key, now, on this evidence, finished an hour ago.
    fn new(release: &Release, evidence: &[(String, Timestamp)]) -> Self {
        Told {
            release: release.clone(),
            version: "0.1.1",
            set: release.set_digest(),
            evidence: evidence.to_vec(),
            time: Timestamp::now(),
            key: PROMOTER,
        }
    }

    /// Signs it and attaches it to the set and to the lead.
    fn attach(&self, registry: &Registry) {
        let set = self.release.set();
        let evidence = self.evidence.iter().map(|(bundle, finished_on)| summary::Evidence {
            bundle: bundle.clone(),
            key: "tests".to_owned(),
            environment: "integration".to_owned(),
            result: Outcome::Passed,
            finished_on: *finished_on,
        });
        let summary = Summary {
            verifier: Verifier { id: VERIFIER_ID.to_owned(), version: [].into() },
            time_verified: self.time,
            resource_uri: "oci://registry.test/acme/app:0.1.1".to_owned(),
            promotion: summary::Promotion {
                version: self.version.to_owned(),
                candidate: set.candidate.to_string(),
                stage: STABLE.to_owned(),
                set: self.set.clone(),
                commit: set.commit.to_string(),
                branch: set.branch.clone(),
                evidence: evidence.collect(),
                policy: Policy::Unprotected,
                gates: Vec::new(),
                operator: summary::Operator { name: "ada\nholds: everything".to_owned(), verified: false },
                overridden: None,
                pipeline_url: None,
            },
        };
        let subjects = [set.to_manifest().descriptor(), set.members[0].descriptor()];
        let named = subjects
            .iter()
            .map(|subject| ResourceDescriptor::new("acme/app", subject.digest.as_str()).unwrap());
        let statement = summary.to_statement(named.collect()).unwrap();
        let bytes = bundle::sign_statement(&statement, &key(self.key)).unwrap();
        registry.put_blob("acme/app", granary_oci::EMPTY_JSON);
        registry.put_blob("acme/app", bytes.clone());
        for subject in &subjects {
            let carrier = ArtifactManifest::new(bundle::MEDIA_TYPE)
                .with_layers(vec![Descriptor::of(bundle::MEDIA_TYPE, &bytes)])
                .with_subject(subject)
                .build();
            registry.put_manifest("acme/app", &[], carrier.media_type(), carrier.bytes().to_vec());
        }
    }
}

/// Evidence of one image that finished so long ago, with the bundle's digest.
fn evidence(registry: &Registry, release: &Release, age: SignedDuration) -> (String, Timestamp) {
    attached(registry, release, &Evidence { age, ..Evidence::default() })
}

fn attached(registry: &Registry, release: &Release, evidence: &Evidence) -> (String, Timestamp) {
    let bundle = evidence.attach(registry, release);
    let manifest = registry.manifest("acme/app", &bundle).unwrap().1;
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let blob = registry.blob("acme/app", manifest["layers"][0]["digest"].as_str().unwrap()).unwrap();
    let keys = granary_attest::trust::parse(&key(TRUSTED).public_key().to_pem()).unwrap();
    let statement = bundle::open(&blob, &keys).unwrap().statement;
    let result = granary_attest::test_result::TestResult::from_statement(&statement).unwrap();
    (bundle, result.run.finished_on)
}

/// A registry in which 0.1.1 of one image was promoted without a summary.
fn unsigned(release: &Release) -> Registry {
    let registry = Registry::start(Options::default());
    release.publish(&registry);
    release.promoted(&registry, "0.1.1");
    registry
}

#[track_caller]
fn holds(finished: &Finished) {
    assert_eq!(finished.code, Some(0), "{finished}");
    assert!(finished.stdout.contains("\nholds: 0.1.1 is set sha256:"), "{finished}");
    assert_eq!(finished.json(".granary/promote.json")["outcome"], "unchanged", "{finished}");
}

#[track_caller]
fn breaks(registry: &Registry, finished: &Finished, rule: &str) -> Value {
    nothing_written(registry, finished, 14);
    assert!(!finished.stdout.contains("\nholds:"), "{finished}");
    let refused = refusal(finished);
    assert_eq!(refused["rule"], rule, "{finished}");
    refused
}

#[test]
fn both_chains_are_told_and_hold() {
    let registry = promoted(Options::default());
    let run = verify(&registry).plugin("as_version", "0.1.1").output();
    holds(&run);
    nothing_written(&registry, &run, 0);
    assert_snapshot!(told(&run), @r"
    exit code 0
    --- stdout
    set      acme/app@[DIGEST]
      commit 7a77c5932e35c13bf0bf61a33f757b21d41692b5, branch main, candidate 0.1.1-rc.11, published [TIME]
      app acme/app@[DIGEST]
      web acme/web@[DIGEST]
    evidence [DIGEST]
      PASSED in `integration`, signed by `zpfsINQ2YaGbIVyy43ammNC0qiqltMeFTpFr0FCC/O4=`, finished [TIME], 2 passed, 0 failed, 0 warned; named by the summary
    summary  [DIGEST]
      0.1.1 for stage stable, signed by `DKm75sWdancPhkyhNuN4s1AzKXzvZlKJIl9DV9HC10Q=`, on [TIME], by acme (unverified)
      resource oci://[HOST]/acme/app:0.1.1
      policy unprotected
      gates none
      override none
      names evidence [DIGEST]
      pipeline https://ci.example.test/repos/1/pipeline/11
    tag      acme/app:0.1.1 → [DIGEST]
    tag      acme/web:0.1.1 → [DIGEST]
    holds: 0.1.1 is set [DIGEST], let in on 1 test run; summary and evidence verify
    promote: unchanged in [TIME]
    --- stderr
    ");
    let result = run.json(".granary/promote.json");
    assert_eq!((&result["version"], &result["candidate"]), (&json!("0.1.1"), &json!("0.1.1-rc.11")));
    assert_eq!((&result["commit"], &result["set"]), (&json!(MAIN), &json!(pair().set_digest())));
    assert_eq!(result["artifacts"][1]["tags"], json!(["0.1.1"]));
    let chain = &result["chain"];
    assert_eq!((&chain["evidence"][0]["passed"], &chain["evidence"][0]["named"]), (&json!(2), &json!(true)));
    assert_eq!(chain["summary"]["promotion"]["policy"], "unprotected");
    assert_eq!(chain["summary"]["promotion"]["evidence"][0]["bundle"], chain["evidence"][0]["bundle"]);
}

#[test]
fn from_wherever_one_begins_and_without_the_referrers_api() {
    for options in [Options::default(), Options::docker_registry_2_8()] {
        let registry = promoted(options);
        let (set, app, web) = (pair().set_digest(), pair().digest("acme/app"), pair().digest("acme/web"));
        let running = format!("{}/acme/web@{web}", registry.host());
        for asked in [
            set.as_str(),
            &app,
            "0.1.1",
            "0.1.1-rc.11",
            "set-0.1.1",
            "validated-7a77c59",
            "sha-7a77c59",
            &running,
            "acme/web:0.1.1",
            "acme/app:integration-7a77c59",
        ] {
            let run = verify(&registry).plugin("candidate", asked).output();
            holds(&run);
        }
        holds(&verify(&registry).plugin("commit", "7a77c59").output());
        let image = verify(&registry).plugin("candidate", &running).output();
        assert!(image.stdout.starts_with(&format!("image    acme/web@{web}\n")), "{image}");
        let both = verify(&registry).plugin("candidate", &app).plugin("as_version", "0.1.1").output();
        holds(&both);
        assert_eq!(registry.count(Request::is_write), 0);
    }
}

#[test]
fn every_event_may_ask_and_nothing_is_asked_but_to_read() {
    let options = Options::with_token("ci", "hunter2");
    let registry = tested_on(options, &pair());
    let login = |run: Run| run.plugin("username", "ci").plugin("password", "hunter2");
    let run = login(signing(promote("push", &registry))).plugin("repo", "acme/{name}").plugin("lead", "app");
    assert_eq!(run.output().code, Some(0));
    registry.clear_log();
    for event in ["pull_request", "push", "cron"] {
        let run = login(promote(event, &registry))
            .plugin("repo", "acme/{name}")
            .plugin("lead", "app")
            .plugin("action", "verify")
            .plugin("promoter_keys", &key(PROMOTER).public_key().to_pem())
            .plugin("as_version", "0.1.1")
            .output();
        holds(&run);
    }
    let tokens = registry.requests().into_iter().filter(|request| request.path == "/token");
    let pushes = tokens.filter(|request| request.to_string().contains("push"));
    assert_eq!(pushes.map(|request| request.to_string()).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn in_production_what_was_copied_there_leads_back() {
    let candidates = tested(&pair());
    let production = Registry::start(Options::default());
    let with_target = |run: Run| {
        run.plugin("repo", "acme/{name}")
            .plugin("lead", "app")
            .plugin("target_registry", &production.host())
            .plugin("target_repo", "live/{name}")
    };
    let run = with_target(signing(promote("push", &candidates))).output();
    assert_eq!(run.code, Some(0), "{run}");
    let web = pair().digest("acme/web");
    let running = format!("{}/live/web:0.1.1@{web}", production.host());
    let run = with_target(verify(&candidates)).plugin("candidate", &running).output();
    holds(&run);
    let shown = told_of_two(&run, &production);
    assert!(shown.starts_with("exit code 0\n--- stdout\nimage    [TARGET]/live/web@[DIGEST]\n"), "{shown}");
    assert!(shown.contains("\ntag      [TARGET]/live/web:0.1.1 → [DIGEST]\n"), "{shown}");

    // Nobody who only knows production knows the set.
    candidates.clear_log();
    let alone = verify(&production).plugin("repo", "live/{name}").plugin("candidate", &web);
    let alone = alone.plugin("candidate", &running).output();
    breaks(&candidates, &alone, "set");
    assert!(alone.stderr.contains("production elsewhere is `target_registry` and `target_repo`"), "{alone}");

    // Moved in production only.
    let other = ImageBuilder::new("linux/amd64").file("other", b"bytes").build();
    production.put_image("live/app", &["0.1.1"], &other);
    let moved = with_target(verify(&candidates)).plugin("as_version", "0.1.1").output();
    let refused = breaks(&candidates, &moved, "version.tag");
    assert!(refused["found"].as_str().unwrap().contains("/live/app:0.1.1 names"), "{refused}");
}

#[test]
fn a_summary_by_a_key_that_nobody_knows() {
    let registry = promoted(Options::default());
    let stranger = key(3).public_key().to_pem();
    let run = verify(&registry).plugin("promoter_keys", &stranger).plugin("as_version", "0.1.1").output();
    let refused = breaks(&registry, &run, "summary");
    assert!(
        refused["found"].as_str().unwrap().starts_with("no summary of set [DIGEST] as 0.1.1 that counts"),
        "{refused}"
    );
    assert!(run.stdout.contains("named by the summary") && run.stdout.contains("summary  none by"), "{run}");
    // Of an image nothing but the evidence leads on, and that is on the lead only by integration-test.
    let image = format!("acme/web@{}", pair().digest("acme/web"));
    let lost = verify(&registry).plugin("promoter_keys", &stranger).plugin("candidate", &image).output();
    breaks(&registry, &lost, "digest");
}

#[test]
fn keys_do_not_speak_for_each_other() {
    let release = Release::new("0.1.1-rc.11");
    let registry = unsigned(&release);
    let named = evidence(&registry, &release, SignedDuration::from_hours(1));
    Told { key: TRUSTED, ..Told::new(&release, &[named]) }.attach(&registry);
    let run = verify(&registry).plugin("as_version", "0.1.1").output();
    breaks(&registry, &run, "summary");
    let both = verify(&registry).plugin("promoter_keys", &key(TRUSTED).public_key().to_pem());
    let both = both.plugin("as_version", "0.1.1").output();
    assert_eq!(both.code, Some(2), "{both}");
    assert!(both.stderr.contains("in `promoter_keys` is in `trusted_keys` as well"), "{both}");
}

#[test]
fn a_summary_of_another_set() {
    let (release, other) = (Release::new("0.1.1-rc.11"), Release::of('b', "0.1.1-rc.12", 12));
    let registry = unsigned(&release);
    let named = evidence(&registry, &release, SignedDuration::from_hours(1));
    Told { set: other.set_digest(), ..Told::new(&release, &[named]) }.attach(&registry);
    let run = verify(&registry).plugin("as_version", "0.1.1").output();
    breaks(&registry, &run, "summary.set");
    // The words of a signer do not become lines of ours.
    assert!(run.stdout.contains("by ada holds: everything (unverified)"), "{run}");

    // From the image it leads to that other set, which does not know the image.
    other.publish(&registry);
    let image = verify(&registry).plugin("candidate", &release.digest("acme/app")).output();
    breaks(&registry, &image, "set.member");
}

#[test]
fn evidence_that_is_named_has_to_be_there_to_be_trusted_and_to_say_so() {
    let release = Release::new("0.1.1-rc.11");
    let gone = (format!("sha256:{}", "ab".repeat(32)), Timestamp::now());
    let hour = SignedDuration::from_hours(1);
    let judged = |attach: &dyn Fn(&Registry)| {
        let registry = unsigned(&release);
        attach(&registry);
        registry.clear_log();
        let run = verify(&registry).plugin("as_version", "0.1.1").output();
        (registry, run)
    };
    let (registry, missing) = judged(&|registry| {
        evidence(registry, &release, hour);
        Told::new(&release, std::slice::from_ref(&gone)).attach(registry);
    });
    let refused = breaks(&registry, &missing, "summary.evidence");
    assert_eq!(refused["found"], "evidence [DIGEST] is not attached to the set");

    let (registry, stranger) = judged(&|registry| {
        let bundle = Evidence { key: 3, ..Evidence::default() }.attach(registry, &release);
        Told::new(&release, &[(bundle, Timestamp::now())]).attach(registry);
    });
    let refused = breaks(&registry, &stranger, "summary.evidence");
    assert!(
        refused["found"].as_str().unwrap().starts_with("evidence that does not count: [DIGEST]:"),
        "{refused}"
    );

    let (registry, differs) = judged(&|registry| {
        let (bundle, _) = evidence(registry, &release, hour);
        Told::new(&release, &[(bundle, Timestamp::now())]).attach(registry);
    });
    breaks(&registry, &differs, "summary.evidence");

    let (registry, failed) = judged(&|registry| {
        let lost = Evidence { failed: vec!["orders"], ..Evidence::default() };
        let named = attached(registry, &release, &lost);
        Told::new(&release, &[named]).attach(registry);
    });
    breaks(&registry, &failed, "evidence.result");
}

/// What was young enough when it was promoted stays so; what was too old then was never good enough.
#[test]
fn evidence_is_as_old_as_it_was_when_the_summary_was_signed() {
    let days = |count: i64| SignedDuration::from_hours(24 * count);
    for (promoted, rule) in [(days(25), None), (days(1), Some("evidence.age"))] {
        let release = Release::new("0.1.1-rc.11");
        let registry = unsigned(&release);
        let named = evidence(&registry, &release, days(30));
        Told { time: Timestamp::now() - promoted, ..Told::new(&release, &[named]) }.attach(&registry);
        let run = verify(&registry).plugin("as_version", "0.1.1").output();
        match rule {
            None => holds(&run),
            Some(rule) => {
                breaks(&registry, &run, rule);
                holds(
                    &verify(&registry)
                        .plugin("as_version", "0.1.1")
                        .plugin("max_evidence_age", "30d")
                        .output(),
                );
            }
        }
    }
}

#[test]
fn a_failure_that_the_summary_passes_over_is_said() {
    let release = Release::new("0.1.1-rc.11");
    let registry = unsigned(&release);
    let named = evidence(&registry, &release, SignedDuration::from_hours(2));
    let failed = Evidence {
        failed: vec!["orders"],
        result: Outcome::Failed,
        environment: "load",
        ..Evidence::default()
    };
    failed.attach(&registry, &release);
    Told::new(&release, &[named]).attach(&registry);
    let run = verify(&registry).plugin("as_version", "0.1.1").output();
    holds(&run);
    assert!(run.stderr.contains("warning: failed tests that were over when the summary was signed"), "{run}");
}

/// In an environment the newest run decides: what failed before it was made up for.
#[test]
fn a_failure_that_a_later_run_made_up_for_is_no_news() {
    let release = Release::new("0.1.1-rc.11");
    for (failed_before, warns) in [(3, false), (1, true)] {
        let registry = unsigned(&release);
        let named = evidence(&registry, &release, SignedDuration::from_hours(2));
        let age = SignedDuration::from_hours(failed_before);
        let failed = Evidence { failed: vec!["orders"], result: Outcome::Failed, age, ..Evidence::default() };
        failed.attach(&registry, &release);
        Told::new(&release, &[named]).attach(&registry);
        let run = verify(&registry).plugin("as_version", "0.1.1").output();
        holds(&run);
        assert_eq!(run.stderr.contains("warning: failed tests"), warns, "{run}");
    }
}

#[test]
fn settings_without_effect_are_refused() {
    let registry = Registry::start(Options::default());
    for (name, value) in [
        ("floating", "latest"),
        ("negative_control", "true"),
        ("allow_older", "true"),
        ("wait_for_evidence", "5m"),
        ("signing_key", &key(PROMOTER).to_pem()),
        ("branches", "main"),
    ] {
        let run = verify(&registry).plugin("as_version", "0.1.1").plugin(name, value).output();
        assert_eq!(run.code, Some(2), "{run}");
        assert!(run.stderr.contains(&format!("{name}: without effect on `verify`")), "{run}");
    }
    let keys = key(PROMOTER).public_key().to_pem();
    let run = promote("push", &registry).plugin("promoter_keys", &keys).output();
    assert_eq!(run.code, Some(2), "{run}");
    assert!(run.stderr.contains("promoter_keys: without effect on `promote`"), "{run}");
    assert_eq!(registry.requests().len(), 0);
}

#[test]
fn tags_that_moved() {
    let other = ImageBuilder::new("linux/amd64").file("other", b"bytes").build();
    let registry = promoted(Options::default());
    registry.put_image("acme/web", &["0.1.1"], &other);
    let run = verify(&registry).plugin("as_version", "0.1.1").output();
    let refused = breaks(&registry, &run, "version.tag");
    assert_eq!(refused["found"], "acme/web:0.1.1 names [DIGEST]");
    // Whoever asks about the tag is not led astray by what lies under it now.
    breaks(&registry, &verify(&registry).plugin("candidate", "acme/web:0.1.1").output(), "digest");

    let registry = promoted(Options::default());
    let theirs = Release::of('b', "0.1.1-rc.12", 12);
    theirs.tag_set(&registry, "set-0.1.1");
    let run = verify(&registry).plugin("candidate", &pair().set_digest()).output();
    breaks(&registry, &run, "version.set");
    breaks(&registry, &verify(&registry).plugin("as_version", "0.1.1").output(), "summary");
}

#[test]
fn what_was_never_promoted_is_told_as_far_as_it_goes() {
    let release = pair();
    let registry = tested(&release);
    let run = verify(&registry).plugin("candidate", "0.1.1-rc.11").output();
    breaks(&registry, &run, "summary");
    assert!(run.stdout.contains("not named by the summary"), "{run}");
    breaks(&registry, &verify(&registry).plugin("as_version", "0.1.1").output(), "version.set");
    breaks(&registry, &verify(&registry).plugin("candidate", "0.1.1-rc.12").output(), "set");
}

#[test]
fn from_a_platform_there_is_no_way_up() {
    let registry = promoted(Options::default());
    let platform = ImageBuilder::new("linux/arm64").file("app", b"arm").build();
    registry.put_image("acme/app", &[], &platform);
    let run = verify(&registry).plugin("candidate", platform.digest()).output();
    breaks(&registry, &run, "digest");
    assert_snapshot!(filtered(&run.stderr), @r"
    error: cannot verify: nothing is attached to [DIGEST] in acme/app
    hint: if this is one platform of an index: OCI has no way from a platform's manifest up to its index; give the index' digest, or the version
    ");
    let nowhere = format!("sha256:{}", "ab".repeat(32));
    let run = verify(&registry).plugin("candidate", &nowhere).output();
    breaks(&registry, &run, "digest");
    assert!(run.stderr.contains("give `candidate` as `repository@sha256:…`"), "{run}");
}

/// An image that did not change is in several sets; its newest promotion is told, another one on demand.
#[test]
fn an_image_of_several_releases() {
    let first = Release::of('b', "0.1.0-rc.9", 9);
    let registry = unsigned(&first);
    registry.put_image("acme/app", &["0.1.0"], &first.image("acme/app"));
    let named = evidence(&registry, &first, SignedDuration::from_hours(3));
    let earlier = Timestamp::now() - SignedDuration::from_hours(2);
    Told { time: earlier, ..Told::new(&first, std::slice::from_ref(&named)) }.attach(&registry);
    // A rollback: the same set as a higher version.
    first.tag_set(&registry, "set-0.1.2");
    registry.put_image("acme/app", &["0.1.2"], &first.image("acme/app"));
    Told { version: "0.1.2", ..Told::new(&first, &[named]) }.attach(&registry);
    let newest = verify(&registry).plugin("candidate", &first.digest("acme/app")).output();
    assert_eq!(newest.code, Some(0), "{newest}");
    assert!(newest.stdout.contains("\nholds: 0.1.2 is set"), "{newest}");
    assert!(newest.stdout.contains("\nalso     sha256:"), "{newest}");
    let older = verify(&registry).plugin("candidate", &first.digest("acme/app"));
    holds(&older.plugin("as_version", "0.1.1").output());
}

/// A promotion that gave way after it had signed: its summary is of a version that went to another set.
#[test]
fn a_summary_of_a_version_that_was_not_had_does_not_count_against_the_one_that_was() {
    let release = Release::new("0.1.1-rc.11");
    let registry = unsigned(&release);
    let named = evidence(&registry, &release, SignedDuration::from_hours(1));
    let earlier = Timestamp::now() - SignedDuration::from_mins(5);
    Told { time: earlier, ..Told::new(&release, std::slice::from_ref(&named)) }.attach(&registry);
    Told { version: "0.2.0", ..Told::new(&release, &[named]) }.attach(&registry);
    holds(&verify(&registry).plugin("candidate", "0.1.1-rc.11").output());
    let asked = verify(&registry).plugin("candidate", "0.1.1-rc.11").plugin("as_version", "0.2.0").output();
    breaks(&registry, &asked, "version.set");
}

/// Two commits with the same image; the second's promotion was killed between its summary and its version.
#[test]
fn an_image_in_two_sets() {
    let release =
        |digit, candidate, order| Release { content: UNCHANGED, ..Release::of(digit, candidate, order) };
    let (first, second) = (release('b', "0.1.1-rc.9", 9), release('c', "0.1.2-rc.10", 10));
    assert_eq!(first.digest("acme/app"), second.digest("acme/app"));
    let registry = unsigned(&first);
    second.publish(&registry);
    let on_first = evidence(&registry, &first, SignedDuration::from_hours(3));
    let on_second = evidence(&registry, &second, SignedDuration::from_hours(2));
    let earlier = Timestamp::now() - SignedDuration::from_hours(1);
    Told { time: earlier, ..Told::new(&first, &[on_first]) }.attach(&registry);
    Told { version: "0.1.2", ..Told::new(&second, &[on_second]) }.attach(&registry);
    let image = || verify(&registry).plugin("candidate", &first.digest("acme/app"));
    holds(&image().output());
    // Once both are promoted the newest is told, and the other on demand.
    second.tag_set(&registry, "set-0.1.2");
    registry.put_image("acme/app", &["0.1.2"], &second.image("acme/app"));
    let newest = image().output();
    assert!(newest.stdout.contains("\nholds: 0.1.2 is set"), "{newest}");
    holds(&image().plugin("as_version", "0.1.1").output());
}

/// As an image that nobody changes has it after so many releases.
#[test]
fn summaries_without_end_are_no_reason_to_refuse() {
    let release = |order: u64| {
        let digit = char::from_digit(u32::try_from(order % 16).unwrap(), 16).unwrap();
        Release { content: UNCHANGED, ..Release::of(digit, "0.1.1-rc.9", order) }
    };
    let registry = promoted_alone(&release(1));
    let member = release(1).set().members[0].descriptor();
    for number in 0..60 {
        let junk = format!("old summary {number}").into_bytes();
        registry.put_blob("acme/app", junk.clone());
        let carrier = ArtifactManifest::new(bundle::MEDIA_TYPE)
            .with_layers(vec![Descriptor::of(bundle::MEDIA_TYPE, &junk)])
            .with_subject(&member)
            .with_annotation(bundle::PREDICATE_TYPE_ANNOTATION, summary::SUMMARY)
            .with_annotation("org.opencontainers.image.created", "2026-01-01T00:00:00Z")
            .build();
        registry.put_manifest("acme/app", &[], carrier.media_type(), carrier.bytes().to_vec());
    }
    let run = verify(&registry).plugin("candidate", member.digest.as_str()).output();
    holds(&run);
    assert!(run.stdout.contains("11 older summaries on sha256:"), "{run}");
}

fn promoted_alone(release: &Release) -> Registry {
    let registry = tested(release);
    let run = signing(by_hand(&registry)).plugin("commit", &release.commit).output();
    assert_eq!(run.code, Some(0), "{run}");
    registry.clear_log();
    registry
}

#[test]
fn a_tag_beside_a_digest_has_to_name_it() {
    let release = Release::new("0.1.1-rc.11");
    let registry = promoted_alone(&release);
    let asked = |tag: &str| {
        let candidate = format!("acme/app:{tag}@{}", release.digest("acme/app"));
        verify(&registry).plugin("candidate", &candidate).output()
    };
    holds(&asked("0.1.1"));
    holds(&asked("validated-7a77c59"));
    breaks(&registry, &asked("0.1.0"), "version.tag");
    let other = ImageBuilder::new("linux/amd64").file("other", b"bytes").build();
    registry.put_image("acme/app", &["0.1.0"], &other);
    breaks(&registry, &asked("0.1.0"), "version.tag");
}

#[test]
fn production_that_was_not_looked_at_is_said() {
    let candidates = tested(&pair());
    let production = Registry::start(Options::default());
    let with_target =
        |run: Run| run.plugin("target_registry", &production.host()).plugin("target_repo", "live/{name}");
    let run = signing(promote("push", &candidates)).plugin("repo", "acme/{name}").plugin("lead", "app");
    assert_eq!(with_target(run).output().code, Some(0));
    let resource = format!("oci://{}/live/app:0.1.1", production.host());
    for (run, looked_at) in [(verify(&candidates), false), (with_target(verify(&candidates)), true)] {
        let run = run.plugin("as_version", "0.1.1").output();
        holds(&run);
        assert!(run.stdout.contains(&format!("\n  resource {resource}\n")), "{run}");
        let warning = format!("warning: production is {resource}; it was not looked at");
        assert_eq!(run.stderr.contains(&warning), !looked_at, "{run}");
        assert_eq!(run.json(".granary/promote.json")["chain"]["summary"]["resource"], json!(resource));
    }
}

/// What was promoted is told of a commit, and not what it was built as afterwards.
#[test]
fn a_commit_that_was_built_again_after_its_promotion() {
    let release = Release::new("0.1.1-rc.11");
    let registry = promoted_alone(&release);
    let again = Release { content: "second", replaces: Some(release.set_digest()), ..release.clone() };
    again.publish(&registry);
    let run = verify(&registry).plugin("commit", &release.commit).output();
    holds(&run);
    assert!(run.stdout.contains(&release.set_digest()), "{run}");
}
