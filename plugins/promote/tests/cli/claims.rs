//! Promotions beside each other: who gets which version, who gives way, and what claims have to do with it.

use std::time::Duration;

use granary_release::claim::ClaimKind;
use granary_testkit::process::{Finished, Run, Running};
use granary_testkit::registry::{Action, Fault, Options, Registry};
use insta::assert_snapshot;

use crate::world::{
    Evidence, Release, by_hand, nothing_written, promote, refusal, tested, tested_on, told, until,
};

/// Slow enough that two meet.
fn slow() -> Options {
    Options { latency: Duration::from_millis(15), ..Options::default() }
}

fn add_tested(registry: &Registry, release: &Release) {
    release.publish(registry);
    Evidence::default().attach(registry, release);
}

fn of_commit(registry: &Registry, release: &Release) -> Run {
    by_hand(registry).plugin("commit", &release.commit).plugin("on_superseded", "skip")
}

fn outcome(finished: &Finished) -> (Option<i32>, String) {
    (finished.code, finished.json(".granary/promote.json")["outcome"].as_str().unwrap().to_owned())
}

/// Every version that is there, with what carries it.
fn versions(registry: &Registry) -> Vec<(String, String)> {
    let tags = registry.tags("acme/app").into_iter();
    tags.filter(|(tag, _)| tag.parse::<granary_release::Version>().is_ok()).collect()
}

/// Versions, and sets of versions, that ever named two things: none may.
fn written_twice(registry: &Registry) -> Vec<String> {
    let is_version =
        |tag: &String| tag.strip_prefix("set-").unwrap_or(tag).parse::<granary_release::Version>().is_ok();
    let moved = |tag: &String| registry.history("acme/app", tag).len() != 1;
    registry.tags("acme/app").into_keys().filter(is_version).filter(moved).collect()
}

#[test]
fn two_runs_of_one_commit_end_as_one() {
    for head_start in [0, 20, 45, 70, 90, 110, 130, 160] {
        let release = Release::new("0.1.1-rc.11");
        let registry = tested_on(slow(), &release);
        let first = of_commit(&registry, &release).spawn();
        std::thread::sleep(Duration::from_millis(head_start));
        let second = of_commit(&registry, &release).spawn();
        for finished in [first.wait(), second.wait()] {
            assert_eq!(finished.code, Some(0), "{head_start} ms\n{finished}");
        }
        assert_eq!(
            versions(&registry),
            [("0.1.1".to_owned(), release.digest("acme/app"))],
            "{head_start} ms"
        );
        assert_eq!(written_twice(&registry), Vec::<String>::new(), "{head_start} ms");
    }
}

/// Both have the base 0.1.1. Whatever the order in which they meet, the newer one ends above the older one,
/// or alone.
#[test]
fn two_commits_get_two_versions_in_their_order_or_the_newer_one_alone() {
    let mut alone = 0;
    for head_start in [0_i64, 20, 45, 70, 90, 110, 130, 160, -30, -60, -90, -120] {
        let (older, newer) = (Release::of('b', "0.1.1-rc.11", 11), Release::of('c', "0.1.1-rc.12", 12));
        let registry = tested_on(slow(), &older);
        add_tested(&registry, &newer);
        let both = if head_start < 0 { [&newer, &older] } else { [&older, &newer] };
        let first = of_commit(&registry, both[0]).spawn();
        std::thread::sleep(Duration::from_millis(head_start.unsigned_abs()));
        let second = of_commit(&registry, both[1]).spawn();
        let ends = [first.wait(), second.wait()];
        for finished in &ends {
            assert_eq!(finished.code, Some(0), "{head_start} ms\n{finished}");
        }
        let carried: Vec<String> = versions(&registry).into_iter().map(|(_, digest)| digest).collect();
        let (old, new) = (older.digest("acme/app"), newer.digest("acme/app"));
        assert!(
            carried == [new.clone()] || carried == [old, new],
            "{head_start} ms {:?}",
            registry.tags("acme/app")
        );
        assert_eq!(written_twice(&registry), Vec::<String>::new(), "{head_start} ms");
        if carried.len() == 1 {
            alone += 1;
            let older = if head_start < 0 { &ends[1] } else { &ends[0] };
            assert_eq!(outcome(older).1, "skipped", "{older}");
        }
    }
    assert!(alone > 0, "they never met");
}

/// One dies between its claim and its set. Who comes after it does not wait: there are other versions.
#[test]
fn a_live_claim_of_an_older_candidate_is_passed_by() {
    let (older, ours) = (Release::of('b', "0.1.1-rc.10", 10), Release::new("0.1.1-rc.11"));
    let registry = tested(&ours);
    older.publish(&registry);
    let claim = older.claims(&registry, "0.1.1", ClaimKind::Derived, 1);
    let done = promote("push", &registry).output();
    assert_eq!(outcome(&done), (Some(0), "done".to_owned()), "{done}");
    assert_eq!(versions(&registry), [("0.1.2".to_owned(), ours.digest("acme/app"))]);
    assert!(registry.tags("acme/app").contains_key(&claim), "claims are never deleted");
}

#[test]
fn a_live_claim_of_a_newer_candidate_supersedes_and_a_lapsed_one_does_not() {
    let (ours, newer) = (Release::new("0.1.1-rc.11"), Release::of('b', "0.1.1-rc.12", 12));
    let registry = tested(&ours);
    newer.claims(&registry, "0.1.1", ClaimKind::Derived, 59);
    let skipped = promote("push", &registry).output();
    nothing_written(&registry, &skipped, 0);
    assert_eq!(outcome(&skipped).1, "skipped");
    let refused = promote("push", &registry).plugin("on_superseded", "fail").output();
    nothing_written(&registry, &refused, 11);
    assert_eq!(refusal(&refused)["rule"], "order");

    // By the registry's clock: this machine's may be anything.
    registry.move_clock(120);
    let done = promote("push", &registry).output();
    assert_eq!(outcome(&done), (Some(0), "done".to_owned()), "{done}");
    // Lapsed claims of derived versions are known by their tags alone, so their numbers are left out.
    assert_eq!(versions(&registry), [("0.1.2".to_owned(), ours.digest("acme/app"))]);
}

/// The newer one claims while the older one is between its claim and its list.
#[test]
fn whoever_is_overtaken_after_its_claim_gives_way_and_says_what_stays() {
    let (ours, newer) = (Release::new("0.1.1-rc.11"), Release::of('b', "0.1.1-rc.12", 12));
    let registry = tested(&ours);
    registry.fault(Fault::on("GET", "/tags/list", Action::Delay(Duration::from_millis(400))).after(1));
    let running = promote("push", &registry).spawn();
    until(|| registry.tags("acme/app").keys().any(|tag| tag.starts_with("claim-")));
    newer.claims(&registry, "0.1.1", ClaimKind::Derived, 0);
    let skipped = running.wait();
    assert_snapshot!(told(&skipped), @r"
    exit code 0
    --- stdout
    evidence accepted: 2 passed in `integration`, signed by `zpfsINQ2YaGbIVyy43ammNC0qiqltMeFTpFr0FCC/O4=`, finished [TIME]
    acme/app:claim-0.1.1-d3198773f1ac → [DIGEST] ([TIME])
    claim-0.1.1-d3198773f1ac stays behind: claims are never deleted, they lapse
    skipped, superseded: 0.1.1 is newer: it was made from pipeline 12, this candidate from 11
    promote: skipped in [TIME]
    --- stderr
    ");
    assert_eq!(versions(&registry), []);
    assert!(!registry.tags("acme/app").contains_key("set-0.1.1"));
}

#[test]
fn a_given_version_that_others_claim() {
    let (ours, other) = (Release::new("0.1.1-rc.11"), Release::of('b', "0.1.1-rc.10", 10));
    let registry = tested(&ours);
    other.claims(&registry, "1.5.4", ClaimKind::Given, 1);
    let run = promote("push", &registry).plugin("as_version", "1.5.4").output();
    nothing_written(&registry, &run, 11);
    assert_snapshot!(told(&run), @r"
    exit code 11
    --- stdout
    --- stderr
    error: refusing to promote
      cause 1: version 1.5.4 is claimed for commit bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb until [TIME]
    hint: wait for that run; if it has died, its claim lapses at [TIME], and 1.5.4 is free then
    ");
    assert_eq!(refusal(&run)["rule"], "claim");
    registry.move_clock(3600);
    let done = promote("push", &registry).plugin("as_version", "1.5.4").output();
    assert_eq!(outcome(&done), (Some(0), "done".to_owned()), "{done}");
    assert_eq!(versions(&registry), [("1.5.4".to_owned(), ours.digest("acme/app"))]);
}

/// A rebuild of the commit is promoted at the same time.
#[test]
fn another_run_of_the_commit_with_other_bytes() {
    let ours = Release::new("0.1.1-rc.11");
    let rebuilt =
        Release { content: "second", replaces: Some(ours.set_digest()), ..Release::new("0.1.1-rc.12") };
    let registry = tested(&ours);
    rebuilt.publish(&registry);
    rebuilt.claims(&registry, "0.1.1", ClaimKind::Derived, 1);
    let run = promote("push", &registry).plugin("candidate", "0.1.1-rc.11").output();
    nothing_written(&registry, &run, 11);
    assert_snapshot!(told(&run), @r"
    exit code 11
    --- stdout
    --- stderr
    error: refusing to promote
      cause 1: another run promotes commit 7a77c5932e35c13bf0bf61a33f757b21d41692b5 as 0.1.1 (set [DIGEST])
    hint: wait for the other run and run this one again; if it has died, its claim to 0.1.1 lapses an hour after it began
    ");
}

/// An earlier run died after its claim: the next one takes the same version, and writes the claim anew.
#[test]
fn ones_own_claim_is_taken_up_again() {
    let release = Release::new("0.1.1-rc.11");
    for minutes_ago in [1, 59, 600] {
        let registry = tested(&release);
        let claim = release.claims(&registry, "0.1.1", ClaimKind::Derived, minutes_ago);
        let done = promote("push", &registry).output();
        assert_eq!(outcome(&done), (Some(0), "done".to_owned()), "{done}");
        assert_eq!(versions(&registry), [("0.1.1".to_owned(), release.digest("acme/app"))]);
        assert_eq!(registry.history("acme/app", &claim).len(), 2, "written anew");
    }
}

/// What is not a claim does not say what it wants; guessing could give one version twice.
#[test]
fn a_foreign_manifest_under_a_claims_tag() {
    let (ours, other) = (Release::new("0.1.1-rc.11"), Release::of('b', "0.1.1-rc.12", 12));
    let registry = tested(&ours);
    registry.put_image("acme/app", &["claim-0.1.1-0123456789ab"], &other.image("acme/app"));
    let run = promote("push", &registry).output();
    nothing_written(&registry, &run, 20);
    assert_snapshot!(told(&run), @r"
    exit code 20
    --- stdout
    --- stderr
    error: a claim in acme/app cannot be read
      cause 1: `claim-0.1.1-0123456789ab` is not a claim but `application/vnd.oci.image.config.v1+json`
    hint: only promote writes `claim-` tags; remove this one when no promotion runs, and look up in the registry's log who wrote it
    ");
    // A tag that only looks like one is nobody's business.
    let registry = tested(&ours);
    registry.put_image("acme/app", &["claim-0.1.1", "claim-me"], &other.image("acme/app"));
    assert_eq!(promote("push", &registry).output().code, Some(0));
}

/// Retention took it between list and read.
#[test]
fn a_claim_that_is_gone_does_not_count() {
    let (ours, other) = (Release::new("0.1.1-rc.11"), Release::of('b', "0.1.1-rc.12", 12));
    let registry = tested(&ours);
    other.claims(&registry, "0.1.1", ClaimKind::Derived, 1);
    let body = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"gone"}]}"#.to_owned();
    let gone = Action::Status { code: 404, headers: Vec::new(), body };
    registry.fault(Fault::on("GET", "/manifests/claim-0.1.1", gone).times(usize::MAX));
    let done = promote("push", &registry).output();
    assert_eq!(outcome(&done), (Some(0), "done".to_owned()), "{done}");
}

/// After half an hour others may soon take the claim for dead: nothing is written under it any more.
#[test]
fn a_claim_that_has_grown_old_is_not_written_under() {
    let pair = Release { repositories: vec!["acme/app", "acme/web"], ..Release::new("0.1.1-rc.11") };
    let run =
        |registry: &Registry| promote("push", registry).plugin("repo", "acme/{name}").plugin("lead", "app");
    let registry = tested(&pair);
    let delay = || Action::Delay(Duration::from_millis(400));
    registry.fault(Fault::on("PUT", "/acme/web/manifests/0.1.1", delay()));
    let running = run(&registry).spawn();
    until(|| {
        registry.count(|request| request.method == "PUT" && request.path.ends_with("web/manifests/0.1.1"))
            == 1
    });
    // That answer comes half an hour later.
    registry.move_clock(30 * 60);
    let stopped = running.wait();
    assert_snapshot!(told(&stopped), @r"
    exit code 11
    --- stdout
    evidence accepted: 2 passed in `integration`, signed by `zpfsINQ2YaGbIVyy43ammNC0qiqltMeFTpFr0FCC/O4=`, finished [TIME]
    acme/app:claim-0.1.1-877ad4d55a76 → [DIGEST] ([TIME])
    acme/app:set-0.1.1 → [DIGEST] ([TIME])
    acme/web:0.1.1 → [DIGEST] ([TIME])
    --- stderr
    error: refusing to promote
      cause 1: the claim to 0.1.1 is older than 30 minutes
    hint: run it again: it claims the version anew and continues where this run stopped
    hint: written: acme/web:0.1.1
    hint: not written: acme/app:0.1.1, acme/web:validated-7a77c59, acme/app:validated-7a77c59; run it again, it continues there
    ");
    assert_eq!(refusal(&stopped)["rule"], "claim");
    let rerun = run(&registry).output();
    assert_eq!(rerun.code, Some(0), "{rerun}");
    assert_eq!(registry.tags("acme/app")["0.1.1"], pair.digest("acme/app"));

    // Before anybody can see anything: the second list takes half an hour.
    let registry = tested(&pair);
    registry.fault(Fault::on("GET", "/tags/list", delay()).after(1));
    let running = run(&registry).spawn();
    until(|| registry.count(|request| request.path.ends_with("/tags/list")) == 2);
    registry.move_clock(30 * 60);
    let stopped = running.wait();
    assert_eq!(stopped.code, Some(11), "{stopped}");
    assert!(!registry.tags("acme/app").contains_key("set-0.1.1"));
    assert_eq!(run(&registry).output().code, Some(0));
}

/// A list that does not have what was just written does not have what others wrote either.
#[test]
fn a_list_from_before_the_claim_is_asked_for_again_and_then_refused() {
    let release = Release::new("0.1.1-rc.11");
    let stale = |registry: &Registry, times: usize| {
        let tags: Vec<String> = registry.tags("acme/app").into_keys().collect();
        let body = serde_json::json!({"name": "acme/app", "tags": tags}).to_string();
        let action = Action::Status { code: 200, headers: Vec::new(), body };
        registry.fault(Fault::on("GET", "/tags/list", action).times(times));
    };
    let registry = tested(&release);
    stale(&registry, 3);
    let done = promote("push", &registry).output();
    assert_eq!(outcome(&done), (Some(0), "done".to_owned()), "{done}");

    let registry = tested(&release);
    stale(&registry, usize::MAX);
    let refused = promote("push", &registry).output();
    assert_eq!(refused.code, Some(12), "{refused}");
    assert!(refused.stderr.contains("refusing to number by a tag list that is not whole"), "{refused}");
    assert_eq!(versions(&registry), []);
    assert!(!registry.tags("acme/app").contains_key("set-0.1.1"));
}

/// Twelve commits of one base at once, each with evidence.
#[test]
fn twelve_at_once() {
    const COMMITS: &str = "123456789abc";
    let releases: Vec<Release> = COMMITS
        .chars()
        .zip(20..)
        .map(|(digit, order)| Release { content: "x", ..Release::of(digit, "0.1.1-rc.11", order) })
        .collect();
    let registry = Registry::start(slow());
    releases.iter().for_each(|release| add_tested(&registry, release));
    let running: Vec<_> = releases.iter().map(|release| of_commit(&registry, release).spawn()).collect();
    let ends: Vec<Finished> = running.into_iter().map(Running::wait).collect();
    for finished in &ends {
        assert_eq!(finished.code, Some(0), "{finished}");
    }
    assert_eq!(outcome(ends.last().unwrap()).1, "done", "the newest is always promoted");
    assert_eq!(written_twice(&registry), Vec::<String>::new());
    // Versions rise in the order of the candidates.
    let mut carried: Vec<(granary_release::Version, String)> =
        versions(&registry).into_iter().map(|(tag, digest)| (tag.parse().unwrap(), digest)).collect();
    carried.sort();
    let place =
        |digest: &str| releases.iter().position(|release| release.digest("acme/app") == digest).unwrap();
    let places: Vec<usize> = carried.iter().map(|(_, digest)| place(digest)).collect();
    assert!(places.is_sorted(), "{places:?}");
    let done = ends.iter().filter(|finished| outcome(finished).1 == "done").count();
    assert_eq!(done, carried.len(), "{carried:?}");
}
