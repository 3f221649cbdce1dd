//! What goes wrong at the registry, and what a run leaves then.

use granary_testkit::image::ImageBuilder;
use granary_testkit::process::{Run, Signal};
use granary_testkit::registry::{Action, Fault, Options, Registry};
use insta::assert_snapshot;
use serde_json::json;

use crate::world::{Evidence, MAIN, Release, nothing_written, promote, tested, tested_on, told, until};

fn pair() -> Release {
    Release { repositories: vec!["acme/app", "acme/web"], ..Release::new("0.1.1-rc.11") }
}

fn promote_pair(registry: &Registry) -> Run {
    promote("push", registry).plugin("repo", "acme/{name}").plugin("lead", "app")
}

#[test]
fn a_wrong_password() {
    for options in [Options::with_token("ci", "hunter2"), Options::with_basic("ci", "hunter2")] {
        let registry = tested_on(options, &Release::new("0.1.1-rc.11"));
        let run =
            promote("push", &registry).plugin("username", "ci").plugin("password", "swordfish").output();
        nothing_written(&registry, &run, 18);
        assert!(run.stderr.contains("hint: check `username` and `password`"), "{run}");
        assert!(run.stderr.contains("UNAUTHORIZED"), "the registry's own reason is missing: {run}");
        assert!(!format!("{run}").contains("swordfish"), "{run}");
    }
}

#[test]
fn the_registry_says_why_it_refuses() {
    let registry = tested(&Release::new("0.1.1-rc.11"));
    let said = r#"{"errors":[{"code":"DENIED","message":"robot account expired on Monday"}]}"#;
    let denied = || Action::Status { code: 403, headers: Vec::new(), body: said.to_owned() };
    registry.fault(Fault::on("GET", "/tags/list", denied()).times(usize::MAX));
    let run = promote("push", &registry).output();
    nothing_written(&registry, &run, 18);
    assert_snapshot!(told(&run), @r"
    exit code 18
    --- stdout
    --- stderr
    error: listing tags of [HOST]/acme/app: the registry answered 403 Forbidden: DENIED robot account expired on Monday
    hint: check `username` and `password`, and what that user may do there
    ");
}

#[test]
fn a_registry_that_is_down() {
    let port = Registry::start(Options::default());
    let run = promote("push", &port).plugin("retries", "1");
    drop(port);
    let run = run.output();
    assert_eq!(run.code, Some(12), "{run}");
    assert_eq!(run.json(".granary/promote.json")["outcome"], "failed");
}

#[test]
fn a_list_that_breaks_off_is_not_a_short_list() {
    let release = Release::new("0.1.1-rc.11");
    for (action, code) in [(Action::status(500), 12), (Action::Truncate(20), 20), (Action::status(401), 18)] {
        let registry = tested_on(Options { page_size: Some(2), ..Options::default() }, &release);
        registry.fault(Fault::on("GET", "/tags/list", action).after(1).times(usize::MAX));
        nothing_written(&registry, &promote("push", &registry).plugin("retries", "0").output(), code);
    }
}

/// Passing trouble is ridden out, and nothing is written twice for it.
#[test]
fn passing_trouble() {
    let registry = tested(&Release::new("0.1.1-rc.11"));
    registry.fault(Fault::on("GET", "/tags/list", Action::status(503)).times(2));
    registry.fault(Fault::on("PUT", "/manifests/0.1.1", Action::too_many_requests(0)));
    let run = promote("push", &registry).output();
    assert_eq!(run.code, Some(0), "{run}");
    assert_eq!(registry.faults_left(), 0);
    assert_eq!(registry.history("acme/app", "0.1.1").len(), 1);
}

#[test]
fn a_set_tag_that_somebody_else_wrote() {
    let release = Release::new("0.1.1-rc.11");
    let registry = tested(&release);
    let image = release.image("acme/app");
    registry.put_image("acme/app", &[&format!("set-{MAIN}")], &image);
    let no_set = promote("push", &registry).output();
    nothing_written(&registry, &no_set, 20);
    assert_snapshot!(told(&no_set), @r"
    exit code 20
    --- stdout
    --- stderr
    error: a release set cannot be read
      cause 1: [DIGEST] is not a release set but `application/vnd.oci.image.config.v1+json`
    hint: only registry-push writes `set-` tags; whoever wrote this one can be found in the registry's log
    ");

    let theirs = Release::of('b', "0.1.1-rc.12", 12);
    theirs.publish(&registry);
    theirs.tag_set(&registry, &format!("set-{MAIN}"));
    let other_commit = promote("push", &registry).output();
    nothing_written(&registry, &other_commit, 20);
    assert_snapshot!(told(&other_commit), @r"
    exit code 20
    --- stdout
    --- stderr
    error: acme/app:set-7a77c5932e35c13bf0bf61a33f757b21d41692b5 leads to a set of commit bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
    hint: only registry-push writes `set-` tags; somebody else has moved this one
    ");
}

#[test]
fn a_member_that_garbage_collection_took() {
    let registry = tested(&pair());
    let body = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#.to_owned();
    let gone = Action::Status { code: 404, headers: Vec::new(), body };
    registry.fault(Fault::on("GET", "/v2/acme/web/manifests/sha256:", gone).times(usize::MAX));
    let run = promote_pair(&registry).output();
    nothing_written(&registry, &run, 20);
    assert_snapshot!(told(&run), @r"
    exit code 20
    --- stdout
    evidence accepted: 2 passed in `integration`, signed by `zpfsINQ2YaGbIVyy43ammNC0qiqltMeFTpFr0FCC/O4=`, finished [TIME]
    --- stderr
    error: acme/web@[DIGEST] is not there, although release set [DIGEST] names it
    hint: the registry's garbage collection may have taken it; publish the commit anew
    ");
}

/// Whichever of several it is that cannot be tagged: the lead, which says that all have the version, is not.
#[test]
fn any_member_that_cannot_be_tagged_keeps_the_lead_back() {
    let repositories = ["acme/app", "acme/job", "acme/web", "acme/worker"];
    for broken in &repositories[1..] {
        let registry = tested(&Release { repositories: repositories.to_vec(), ..pair() });
        registry.fault(Fault::on("PUT", &format!("/{broken}/manifests/0.1.1"), Action::status(403)));
        let run = promote_pair(&registry).output();
        assert_eq!(run.code, Some(18), "{broken}: {run}");
        for place in repositories {
            let there = registry.tags(place).contains_key("0.1.1");
            assert_eq!(there, place != *broken && place != "acme/app", "{place} after {broken}: {run}");
        }
        assert!(run.stderr.contains(&format!("not written: {broken}:0.1.1, acme/app:0.1.1")), "{run}");
        assert_eq!(promote_pair(&registry).output().code, Some(0), "the rerun finishes it");
        assert!(repositories.iter().all(|place| registry.tags(place).contains_key("0.1.1")));
    }
}

/// Denied half-way: the log says what is there and what is not, and a rerun finishes it.
#[test]
fn a_tag_that_may_not_be_written() {
    let registry = tested(&pair());
    let said = r#"{"errors":[{"code":"DENIED","message":"tag 0.1.1 is protected"}]}"#;
    let denied = Action::Status { code: 403, headers: Vec::new(), body: said.to_owned() };
    registry.fault(Fault::on("PUT", "/acme/app/manifests/0.1.1", denied));
    let run = promote_pair(&registry).output();
    assert_eq!(run.code, Some(19), "{run}");
    assert_snapshot!(told(&run), @r"
    exit code 19
    --- stdout
    evidence accepted: 2 passed in `integration`, signed by `zpfsINQ2YaGbIVyy43ammNC0qiqltMeFTpFr0FCC/O4=`, finished [TIME]
    acme/app:claim-0.1.1-877ad4d55a76 → [DIGEST] ([TIME])
    acme/app:set-0.1.1 → [DIGEST] ([TIME])
    acme/web:0.1.1 → [DIGEST] ([TIME])
    --- stderr
    error: pushing manifest [HOST]/acme/app:0.1.1: the registry answered 403 Forbidden: DENIED tag 0.1.1 is protected
    hint: the registry's own words above say which rule or quota it was
    hint: not written: acme/app:0.1.1, acme/web:validated-7a77c59, acme/app:validated-7a77c59; run it again, it continues there
    ");
    let tags = registry.tags("acme/app");
    assert!(
        tags.contains_key("set-0.1.1")
            && !tags.contains_key("0.1.1")
            && !tags.contains_key("validated-7a77c59")
    );

    let rerun = promote_pair(&registry).output();
    assert_eq!(rerun.code, Some(0), "{rerun}");
    assert_same_as_undisturbed(&registry);
}

#[test]
fn stopped_between_two_writes() {
    let registry = tested(&pair());
    registry.fault(Fault::on(
        "PUT",
        "/acme/web/manifests/0.1.1",
        Action::Delay(std::time::Duration::from_millis(500)),
    ));
    let running = promote_pair(&registry).spawn();
    until(|| {
        registry.count(|request| request.path == "/v2/acme/web/manifests/0.1.1" && request.method == "PUT")
            == 1
    });
    running.signal(Signal::TERM);
    let stopped = running.wait();
    assert_eq!(stopped.code, Some(143), "{stopped}");
    assert_snapshot!(told(&stopped), @r"
    exit code 143
    --- stdout
    evidence accepted: 2 passed in `integration`, signed by `zpfsINQ2YaGbIVyy43ammNC0qiqltMeFTpFr0FCC/O4=`, finished [TIME]
    acme/app:claim-0.1.1-877ad4d55a76 → [DIGEST] ([TIME])
    acme/app:set-0.1.1 → [DIGEST] ([TIME])
    SIGTERM: stopping before the next step
    acme/web:0.1.1 → [DIGEST] ([TIME])
    done so far:
      acme/app:claim-0.1.1-877ad4d55a76 → [DIGEST] ([TIME])
      acme/app:set-0.1.1 → [DIGEST] ([TIME])
      acme/web:0.1.1 → [DIGEST] ([TIME])
    --- stderr
    error: stopped by SIGTERM
    hint: run it again: what is complete is not done again
    ");
    assert_eq!(stopped.json(".granary/promote.json")["exit_code"], json!(143));
    assert!(registry.tags("acme/web").contains_key("0.1.1"), "the write under way was finished");
    assert!(!registry.tags("acme/app").contains_key("0.1.1"));

    let rerun = promote_pair(&registry).output();
    assert_eq!(rerun.code, Some(0), "{rerun}");
    assert_same_as_undisturbed(&registry);
}

#[test]
fn a_wait_is_stopped_at_once() {
    let registry = Registry::start(Options::default());
    let running = promote("push", &registry).plugin("wait_for_evidence", "10m").spawn();
    until(|| running.stdout().contains("waiting for"));
    running.signal(Signal::TERM);
    let stopped = running.wait();
    assert_eq!(stopped.code, Some(143), "{stopped}");
    assert!(stopped.duration < std::time::Duration::from_secs(5), "{stopped}");
}

fn assert_same_as_undisturbed(registry: &Registry) {
    let undisturbed = Registry::start(Options::default());
    pair().publish(&undisturbed);
    Evidence::default().attach(&undisturbed, &pair());
    assert_eq!(promote_pair(&undisturbed).output().code, Some(0));
    // A claim says when it was made.
    let settled = |registry: &Registry, repository: &str| {
        let mut tags = registry.tags(repository);
        tags.retain(|tag, _| !tag.starts_with("claim-"));
        tags
    };
    for repository in pair().repositories {
        assert_eq!(settled(registry, repository), settled(&undisturbed, repository));
    }
}

/// A proxy that says "not there" of what the list has: believing it would move a published version.
#[test]
fn a_version_that_is_listed_is_not_absent() {
    for said in ["", "{}", r#"{"errors":[]}"#, r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#] {
        let release = Release::new("0.1.1-rc.11");
        let registry = tested(&release);
        let other = ImageBuilder::new("linux/amd64").file("other", b"bytes").build();
        registry.put_image("acme/app", &["0.1.1", "set-0.1.1"], &other);
        let before = registry.snapshot();
        let action = Action::Status { code: 404, headers: Vec::new(), body: said.to_owned() };
        registry.fault(Fault::on("GET", "manifests/0.1.1", action.clone()).times(usize::MAX));
        registry.fault(Fault::on("GET", "manifests/set-0.1.1", action).times(usize::MAX));
        let run = promote("push", &registry).plugin("as_version", "0.1.1").output();
        assert!(matches!(run.code, Some(12 | 20)), "{said:?}: {run}");
        registry.clear_faults();
        assert_eq!(registry.snapshot(), before, "{said:?}: {run}");
    }
}
