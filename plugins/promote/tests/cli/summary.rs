//! The signed summary: what it says, where it hangs, when it is there, and who may sign it.

use granary_attest::summary::{Policy, Summary};
use granary_release::claim::ClaimKind;
use granary_testkit::process::Run;
use granary_testkit::registry::{Action, Fault, Options, Registry};
use insta::assert_snapshot;
use serde_json::json;

use crate::world::{
    Evidence, PROMOTER, Release, TRUSTED, UNCHANGED, by_hand, filtered, key, nothing_written, promote,
    refusal, signing, summaries, tested, tested_on, told, until,
};

fn pair() -> Release {
    Release { repositories: vec!["acme/app", "acme/web"], ..Release::new("0.1.1-rc.11") }
}

fn of_pair(run: Run) -> Run {
    signing(run).plugin("repo", "acme/{name}").plugin("lead", "app")
}

/// The one summary of a set.
fn summary_of(registry: &Registry, release: &Release) -> Summary {
    let found = summaries(registry, release.lead(), &release.set_digest());
    assert_eq!(found.len(), 1, "one summary");
    Summary::from_statement(&found[0].1).unwrap()
}

#[test]
fn it_says_what_was_let_in_and_why() {
    let release = Release::new("0.1.1-rc.11");
    let registry = tested(&release);
    let evidence = registry.referrers("acme/app", &release.set_digest());
    let done = signing(promote("push", &registry)).output();
    assert_snapshot!(told(&done), @r"
    exit code 0
    --- stdout
    evidence accepted: 2 passed in `integration`, signed by `zpfsINQ2YaGbIVyy43ammNC0qiqltMeFTpFr0FCC/O4=`, finished [TIME]
    acme/app:claim-0.1.1-d3198773f1ac → [DIGEST] ([TIME])
    acme/app: summary of 0.1.1, attached 2 times → [DIGEST] ([TIME])
    acme/app:set-0.1.1 → [DIGEST] ([TIME])
    acme/app:0.1.1 → [DIGEST] ([TIME])
    acme/app:validated-7a77c59 → [DIGEST] ([TIME])
    IMAGE     VERSION  DIGEST
    acme/app  0.1.1    [DIGEST]
    unprotected: no policy is configured
    promote: done in [TIME]
    --- stderr
    ");

    let (set, app) = (release.set_digest(), release.digest("acme/app"));
    let on_set = summaries(&registry, "acme/app", &set);
    let on_app = summaries(&registry, "acme/app", &app);
    assert_eq!((on_set.len(), on_app.len()), (1, 1));
    assert_eq!(on_set[0].1, on_app[0].1, "one statement for all");
    assert_eq!(done.json(".granary/promote.json")["summary"], json!(on_set[0].0));
    let statement = &on_set[0].1;
    assert!(statement.names(&set) && statement.names(&app));

    let summary = Summary::from_statement(statement).unwrap();
    assert_eq!(summary.resource_uri, format!("oci://{}/acme/app:0.1.1", registry.host()));
    let promotion = &summary.promotion;
    assert_eq!((promotion.version.as_str(), promotion.candidate.as_str()), ("0.1.1", "0.1.1-rc.11"));
    assert_eq!((&promotion.set, &promotion.commit), (&set, &release.commit));
    assert_eq!((promotion.branch.as_deref(), promotion.stage.as_str()), (Some("main"), "stable"));
    assert_eq!(promotion.policy, Policy::Unprotected);
    assert_eq!((promotion.gates.len(), promotion.overridden.is_none()), (0, true));
    assert!(promotion.pipeline_url.as_deref().is_some_and(|url| url.starts_with("http")));
    assert_eq!(promotion.evidence.iter().map(|run| run.bundle.as_str()).collect::<Vec<_>>(), evidence);
    let run = &promotion.evidence[0];
    assert_eq!(
        (run.environment.as_str(), run.key.as_str()),
        ("integration", &*key(TRUSTED).public_key().hint())
    );
    assert!(!promotion.operator.verified, "anybody may push");

    // Nothing is done twice, and nothing more is signed.
    assert_eq!(
        signing(promote("push", &registry)).output().json(".granary/promote.json")["outcome"],
        "unchanged"
    );
    assert_eq!(summaries(&registry, "acme/app", &set).len(), 1);
}

#[test]
fn without_a_key_the_output_says_unsigned() {
    let registry = tested(&Release::new("0.1.1-rc.11"));
    let done = promote("push", &registry).output();
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(done.stdout.matches("unsigned: no `signing_key`").count(), 1, "{done}");
    assert_eq!(done.json(".granary/promote.json")["summary"], "unsigned");
}

/// Whoever looks at production finds it there, too.
#[test]
fn it_hangs_on_every_member_on_both_sides_and_on_the_set() {
    for options in [Options::default(), Options::docker_registry_2_8()] {
        let release = pair();
        let candidates = tested(&release);
        let target = Registry::start(options);
        let run = of_pair(promote("push", &candidates))
            .plugin("target_registry", &target.host())
            .plugin("target_repo", "prod/{name}");
        let done = run.output();
        assert_eq!(done.code, Some(0), "{done}");
        let set = release.set_digest();
        assert_eq!(summaries(&candidates, "acme/app", &set).len(), 1);
        let summary = summary_of(&candidates, &release);
        assert_eq!(summary.resource_uri, format!("oci://{}/prod/app:0.1.1", target.host()));
        for name in ["app", "web"] {
            let digest = release.digest(&format!("acme/{name}"));
            let here = summaries(&candidates, &format!("acme/{name}"), &digest);
            let there = summaries(&target, &format!("prod/{name}"), &digest);
            assert_eq!((here.len(), &here), (1, &there), "{name}");
            assert!(here[0].1.names(&digest) && here[0].1.names(&set), "{name}");
        }
    }
}

#[test]
fn it_is_there_before_anybody_can_see_the_version() {
    let release = pair();
    let registry = tested(&release);
    assert_eq!(of_pair(promote("push", &registry)).output().code, Some(0));
    let writes = registry.requests().into_iter().filter(granary_testkit::registry::Request::is_write);
    let writes: Vec<String> = writes.map(|request| request.to_string()).collect();
    let at = |part: &str| -> Vec<usize> {
        let found = writes.iter().enumerate().filter(|(_, line)| line.contains(part));
        found.map(|(number, _)| number).collect()
    };
    let (claim, blobs) = (at("/manifests/claim-"), at("/blobs/uploads"));
    let (attached, set, versions) =
        (at("PUT /v2/acme/app/manifests/sha256:"), at("/manifests/set-"), at("/manifests/0.1.1 "));
    let attached = [attached, at("PUT /v2/acme/web/manifests/sha256:")].concat();
    assert_eq!((claim.len(), attached.len(), set.len(), versions.len()), (1, 3, 1, 2), "{writes:#?}");
    assert!(blobs.iter().max() < attached.iter().min(), "{writes:#?}");
    assert!(claim[0] < *attached.iter().min().unwrap(), "{writes:#?}");
    assert!(*attached.iter().max().unwrap() < set[0] && set[0] < versions[0], "{writes:#?}");
}

#[test]
fn where_it_cannot_be_attached_nobody_sees_the_version() {
    for (what, part) in [("PUT", "/v2/acme/web/manifests/sha256:"), ("POST", "/v2/acme/web/blobs/uploads")] {
        let registry = tested(&pair());
        let said = r#"{"errors":[{"code":"DENIED","message":"no referrers here"}]}"#;
        let denied = Action::Status { code: 403, headers: Vec::new(), body: said.to_owned() };
        registry.fault(Fault::on(what, part, denied).times(usize::MAX));
        let failed = of_pair(promote("push", &registry)).output();
        assert!(matches!(failed.code, Some(18 | 19)), "{failed}");
        assert!(failed.stderr.contains("hint: nobody can see the version"), "{failed}");
        let tags = [registry.tags("acme/app"), registry.tags("acme/web")].concat_keys();
        assert!(!tags.iter().any(|tag| tag == "set-0.1.1" || tag == "0.1.1"), "{tags:?}\n{failed}");
        registry.clear_faults();
        assert_eq!(of_pair(promote("push", &registry)).output().code, Some(0));
        assert!(!summaries(&registry, "acme/web", &pair().digest("acme/web")).is_empty());
    }
}

/// One hint says what to mend, and it names the settings of the side that refused.
#[test]
fn where_the_target_refuses_it_the_hint_is_about_the_target() {
    let candidates = tested(&Release::new("0.1.1-rc.11"));
    let target = Registry::start(Options::default());
    let denied = Action::Status { code: 401, headers: Vec::new(), body: String::new() };
    // The image itself is the first.
    target.fault(Fault::on("PUT", "/v2/prod/app/manifests/sha256:", denied).after(1).times(usize::MAX));
    let run = signing(promote("push", &candidates))
        .plugin("target_registry", &target.host())
        .plugin("target_repo", "prod/app");
    let failed = run.output();
    assert_eq!(failed.code, Some(18), "{failed}");
    let hints: Vec<&str> = failed.stderr.lines().filter(|line| line.starts_with("hint: ")).collect();
    assert_eq!(hints.len(), 2, "{failed}");
    assert!(hints[0].starts_with("hint: check `target_username` and `target_password`"), "{failed}");
    assert!(hints[1].starts_with("hint: nobody can see the version"), "{failed}");
}

trait Keys {
    fn concat_keys(self) -> Vec<String>;
}

impl<const N: usize> Keys for [std::collections::BTreeMap<String, String>; N] {
    fn concat_keys(self) -> Vec<String> {
        self.into_iter().flat_map(std::collections::BTreeMap::into_keys).collect()
    }
}

/// The first version goes to another branch after it was claimed: the summary speaks of the second.
#[test]
fn it_names_the_version_that_is_won() {
    let (ours, other) = (Release::new("0.1.1-rc.11"), Release::of('b', "0.1.1-rc.12", 12));
    let other = Release { branch: Some("hotfix"), ..other };
    let registry = tested(&ours);
    let slow = Action::Delay(std::time::Duration::from_millis(400));
    registry.fault(Fault::on("GET", "/tags/list", slow).after(1));
    let running = signing(promote("push", &registry)).spawn();
    until(|| registry.tags("acme/app").keys().any(|tag| tag.starts_with("claim-")));
    other.claims(&registry, "0.1.1", ClaimKind::Derived, 0);
    let done = running.wait();
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(done.json(".granary/promote.json")["version"], "0.1.2", "{done}");
    assert_eq!(summary_of(&registry, &ours).promotion.version, "0.1.2");
}

/// Whoever tests must not promote: one stolen key would be enough for both.
#[test]
fn a_key_of_the_tests_is_refused() {
    let registry = tested(&Release::new("0.1.1-rc.11"));
    let run = promote("push", &registry).plugin("signing_key", &key(TRUSTED).to_pem()).output();
    nothing_written(&registry, &run, 2);
    assert_eq!(registry.requests().len(), 0);
    assert_snapshot!(told(&run), @r"
    exit code 2
    --- stdout
    --- stderr
    error: `signing_key` is the private half of `zpfsINQ2YaGbIVyy43ammNC0qiqltMeFTpFr0FCC/O4=` in `trusted_keys`
    hint: whoever tests must not promote: make another pair for promote (`integration-test keygen`)
    ");
}

#[test]
fn an_encrypted_key_needs_its_password() {
    let release = Release::new("0.1.1-rc.11");
    let registry = tested(&release);
    let pem = key(PROMOTER).to_encrypted_pem(b"correct horse", [1; 32], [2; 24]);
    let run = |password: &str| {
        let run = promote("push", &registry).plugin("signing_key", &pem);
        run.plugin("signing_key_password", password).output()
    };
    let nowhere = promote("push", &registry).plugin("signing_key", "/nonexistent/promoter.key").output();
    nothing_written(&registry, &nowhere, 2);
    assert!(nowhere.stderr.contains("cannot read /nonexistent/promoter.key"), "{nowhere}");
    let wrong = run("hunter2-long");
    nothing_written(&registry, &wrong, 20);
    assert!(wrong.stderr.contains("error: `signing_key` cannot be used"), "{wrong}");
    assert!(!format!("{wrong}").contains("hunter2-long"), "{wrong}");
    let done = run("correct horse");
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(summary_of(&registry, &release).promotion.version, "0.1.1");
    let result = std::fs::read_to_string(done.workspace.join(".granary/promote.json")).unwrap();
    assert!(!format!("{done}{result}").contains("correct horse"), "{done}");
    let alone = promote("push", &registry).plugin("signing_key_password", "correct horse").output();
    assert_eq!(alone.code, Some(2), "{alone}");
    assert!(alone.stderr.contains("signing_key_password: there is no `signing_key`"), "{alone}");
}

#[test]
fn who_promoted_is_on_record_and_whether_that_is_known() {
    let operator = |run: Run, registry: &Registry, release: &Release| {
        let done = signing(run).output();
        assert_eq!(done.code, Some(0), "{done}");
        let operator = summary_of(registry, release).promotion.operator;
        (operator.name, operator.verified)
    };
    let manual = Release {
        commit: "8a30957c2bd930246ed135442853c01725dc1b00".to_owned(),
        ..Release::new("0.1.1-rc.11")
    };
    let started_by = |event: &str, release: &Release, changes: &[(&str, &str)]| {
        let registry = tested(release);
        let run = promote(event, &registry).env("CI_PIPELINE_AUTHOR", "ada").plugin("branches", "main");
        let run = changes.iter().fold(run, |run, (name, value)| run.env(name, value));
        operator(run, &registry, release)
    };
    assert_eq!(started_by("manual", &manual, &[]), ("ada".to_owned(), true));
    // Of a restart: that is the author of what was restarted.
    assert_eq!(started_by("manual", &manual, &[("CI_PIPELINE_PARENT", "7")]), ("ada".to_owned(), false));
    assert_eq!(started_by("manual", &manual, &[("CI_PIPELINE_RERUNS", "1")]), ("ada".to_owned(), false));
    assert_eq!(started_by("push", &Release::new("0.1.1-rc.11"), &[]), ("ada".to_owned(), false));

    let release = Release::new("0.1.1-rc.11");
    for (set, name) in [(Some("grace"), "grace"), (None, "unknown")] {
        let registry = tested(&release);
        let run = by_hand(&registry).plugin("commit", &release.commit);
        let run = set.into_iter().fold(run, |run, name| run.plugin("operator", name));
        assert_eq!(operator(run, &registry, &release), (name.to_owned(), false));
    }
    let registry = tested(&release);
    let claimed = promote("push", &registry).plugin("operator", "grace").output();
    nothing_written(&registry, &claimed, 2);
    assert!(claimed.stderr.contains("operator: the pipeline says who started it"), "{claimed}");
}

/// Flux looks at nothing but bundles once there is one.
#[test]
fn an_old_signature_that_the_summary_would_hide() {
    let release = Release::new("0.1.1-rc.11");
    let registry = tested(&release);
    let signature = format!("{}.sig", release.digest("acme/app").replace(':', "-"));
    registry.put_image("acme/app", &[&signature], &Release::of('c', "0.1.1-rc.1", 1).image("acme/app"));
    let refused = signing(promote("push", &registry)).plugin("protect_sig", "true").output();
    nothing_written(&registry, &refused, 10);
    assert_eq!(refusal(&refused)["rule"], "protect_sig");
    let planned = promote("push", &registry).plugin("protect_sig", "true").plugin("dry_run", "true").output();
    assert_eq!(planned.code, Some(0), "nothing is attached without a key: {planned}");
    let done = signing(promote("push", &registry)).output();
    assert_eq!(done.code, Some(0), "{done}");
    let warning =
        format!("warning: acme/app has {signature}: Flux ignores that signature once a bundle is there");
    assert!(done.stderr.contains(&warning), "{done}");
}

#[test]
fn a_dry_run_signs_nothing_and_says_what_it_would() {
    let registry = tested_on(Options::default(), &pair());
    let planned = of_pair(promote("push", &registry)).plugin("dry_run", "true").output();
    nothing_written(&registry, &planned, 0);
    let steps: Vec<&str> = planned.stdout.lines().filter(|line| line.starts_with("  ")).take(3).collect();
    assert_snapshot!(filtered(&steps.join("\n")), @r"
      1. claim acme/app:claim-0.1.1-877ad4d55a76
      2. attach a signed summary to the set and to 2 images
      3. write acme/app:set-0.1.1 → [DIGEST]
    ");
}

/// Evidence of a version that was promoted unsigned by a run that died is not signed for afterwards.
#[test]
fn what_can_be_seen_already_is_not_signed_for_later() {
    let release = pair();
    let registry = tested(&release);
    release.tag_set(&registry, "set-0.1.1");
    registry.put_image("acme/web", &["0.1.1"], &release.image("acme/web"));
    let done = of_pair(promote("push", &registry)).output();
    assert_eq!(done.code, Some(0), "{done}");
    assert!(done.stdout.contains("without judging again"), "{done}");
    assert!(!done.stdout.contains("unsigned"), "that run may have signed: {done}");
    assert!(
        done.stdout.contains("\nnothing is signed: ") || done.stdout.starts_with("nothing is signed: "),
        "{done}"
    );
    assert_eq!(done.json(".granary/promote.json")["summary"], "earlier run");
    let again = of_pair(promote("push", &registry)).output().json(".granary/promote.json");
    assert_eq!((&again["outcome"], &again["summary"]), (&json!("unchanged"), &json!("earlier run")));
    assert_eq!(summaries(&registry, "acme/app", &release.set_digest()).len(), 0);

    // While nobody sees it there is time.
    let registry = tested(&release);
    release.tag_set(&registry, "set-0.1.1");
    release.claims(&registry, "0.1.1", ClaimKind::Derived, 1);
    Evidence::default().attach(&registry, &release);
    let done = of_pair(promote("push", &registry)).output();
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(summary_of(&registry, &release).promotion.version, "0.1.1");
}

/// Each release of an image that does not change hangs one more summary on it. None but its own is of use in the
/// target, and what a promotion costs does not depend on how many there were.
#[test]
fn old_summaries_are_not_copied_again_and_again() {
    let (candidates, target) = (Registry::start(Options::default()), Registry::start(Options::default()));
    let into_target =
        |run: Run| run.plugin("target_registry", &target.host()).plugin("target_repo", "prod/app");
    let mut counts = Vec::new();
    let of = ["0.1.1-rc.11", "0.1.2-rc.12", "0.1.3-rc.13", "0.1.4-rc.14", "0.1.5-rc.15"];
    for (number, (digit, candidate)) in ('a'..).zip(of).enumerate() {
        let release = Release { content: UNCHANGED, ..Release::of(digit, candidate, 11 + number as u64) };
        release.publish(&candidates);
        Evidence::default().attach(&candidates, &release);
        candidates.clear_log();
        target.clear_log();
        let run = signing(by_hand(&candidates)).plugin("commit", &release.commit);
        let done = into_target(run).output();
        assert_eq!(done.code, Some(0), "{done}");
        counts.push((candidates.requests().len(), target.requests().len()));
        let image = release.digest("acme/app");
        assert_eq!(summaries(&target, "prod/app", &image).len(), number + 1, "one of each version");
    }
    // The first two make the repositories, and find no version before them.
    assert!(counts[2..].iter().all(|count| *count == counts[2]), "{counts:?}");
}

/// A target that is added later gets the summary of what was let in before.
#[test]
fn a_target_that_is_added_later_gets_the_summary_of_its_version() {
    let release = Release::new("0.1.1-rc.11");
    let candidates = tested(&release);
    let target = Registry::start(Options::default());
    assert_eq!(signing(promote("push", &candidates)).output().code, Some(0));
    let run = promote("push", &candidates).plugin("target_registry", &target.host());
    let done = run.plugin("target_repo", "prod/app").output();
    assert_eq!(done.code, Some(0), "{done}");
    assert!(done.stdout.contains("0.1.1 is let in already; bringing it to where it is missing"), "{done}");
    assert_eq!(summaries(&target, "prod/app", &release.digest("acme/app")).len(), 1);
}

/// A long copy lies between judging and claiming: the summary tells the time of the former.
#[test]
fn its_time_is_when_evidence_was_judged() {
    let release = Release::new("0.1.1-rc.11");
    let candidates = tested(&release);
    let target = Registry::start(Options::default());
    let slow = std::time::Duration::from_millis(1500);
    target.fault(Fault::on("PUT", "/v2/prod/app/manifests/sha256:", Action::Delay(slow)));
    let started = jiff::Timestamp::now();
    let run = signing(promote("push", &candidates)).plugin("target_registry", &target.host());
    let done = run.plugin("target_repo", "prod/app").output();
    assert_eq!(done.code, Some(0), "{done}");
    let (told, over) = (summary_of(&candidates, &release).time_verified, jiff::Timestamp::now());
    assert!(over.duration_since(told) > jiff::SignedDuration::from_millis(1500), "{told} {over}");
    assert!(told > started);
}
