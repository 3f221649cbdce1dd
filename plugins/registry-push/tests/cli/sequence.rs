//! `rc_number: sequence`, and many pushers at once.

use std::collections::BTreeSet;

use granary_testkit::process::{Finished, Run};
use granary_testkit::registry::{Action, Fault, Options, Registry};

use crate::{image, set, start, step, tags, writes};

/// A pipeline of the commit `number`, which built its own bytes.
fn pusher(registry: &Registry, number: u64) -> Run {
    let run = step("push.plugin", registry).env("CI_COMMIT_SHA", &commit(number));
    image(number).write_layout(&run.workspace().join("build/app"), "latest");
    run.plugin("source", "oci:build/app").plugin("timeout", "5m")
}

fn sequence(registry: &Registry, number: u64) -> Run {
    pusher(registry, number).env("CI_PIPELINE_NUMBER", "0").plugin("rc_number", "sequence")
}

fn commit(number: u64) -> String {
    format!("{number:07x}{:033x}", 0)
}

fn all_at_once(runs: &[Run]) -> Vec<Finished> {
    let running: Vec<_> = runs.iter().map(Run::spawn).collect();
    running.into_iter().map(granary_testkit::process::Running::wait).collect()
}

fn candidate(finished: &Finished) -> String {
    finished.json(".granary/registry-push.json")["candidate"].as_str().unwrap().to_owned()
}

/// Every candidate was written with one digest, and with one set.
fn candidates_never_moved(registry: &Registry, repository: &str) -> BTreeSet<String> {
    let all: BTreeSet<String> =
        tags(registry, repository).into_iter().filter(|tag| tag.starts_with("0.1.0-rc.")).collect();
    for tag in &all {
        let written: BTreeSet<String> = registry.history(repository, tag).into_iter().collect();
        assert_eq!(written.len(), 1, "{tag}");
    }
    all
}

#[test]
fn numbers_follow_each_other_without_pipelines() {
    let registry = start();
    registry.put_image("acme/app", &["0.0.9-rc.40"], &image(99));
    for number in 1..=3 {
        let finished = sequence(&registry, number).output();
        assert_eq!(finished.code, Some(0), "{finished}");
        assert_eq!(candidate(&finished), format!("0.1.0-rc.{number}"));
    }
    // The same commit with the same bytes: the set it has.
    registry.clear_log();
    let again = sequence(&registry, 2).output();
    assert_eq!((again.code, candidate(&again), writes(&registry)), (Some(0), "0.1.0-rc.2".to_owned(), 0));
    // Other bytes for the commit: the next number.
    let rebuilt = sequence(&registry, 2);
    std::fs::remove_dir_all(rebuilt.workspace().join("build/app")).unwrap();
    image(77).write_layout(&rebuilt.workspace().join("build/app"), "latest");
    assert_eq!(candidate(&rebuilt.output()), "0.1.0-rc.4");
    let claims = tags(&registry, "acme/app").into_iter().filter(|tag| tag.starts_with("rcclaim-0.1.0-rc."));
    assert_eq!(claims.count(), 4);
}

#[test]
fn a_dry_run_shows_the_number_that_it_would_claim() {
    let registry = start();
    let finished = sequence(&registry, 1).plugin("dry_run", "true").output();
    assert_eq!((finished.code, writes(&registry)), (Some(0), 0), "{finished}");
    assert!(finished.stdout.contains("  claim acme/app:rcclaim-0.1.0-rc.1-"), "{finished}");
    assert!(finished.stdout.contains("  write acme/app:0.1.0-rc.1, sha-0000001"), "{finished}");
}

/// A number that somebody took without a claim, at a member only or under a set, is passed by.
#[test]
fn numbers_in_use_elsewhere_are_passed_by() {
    let registry = start();
    registry.put_image("acme/web", &["0.1.0-rc.1"], &image(9));
    let run = sequence(&registry, 1);
    image(2).write_layout(&run.workspace().join("build/web"), "latest");
    let run = run.plugin("repo", "acme/{name}").plugin("source", "oci:build/app,oci:build/web");
    let finished = run.output();
    assert_eq!((finished.code, candidate(&finished)), (Some(0), "0.1.0-rc.2".to_owned()), "{finished}");
    assert!(
        finished.stdout.contains("a published candidate never moves; taking the next number"),
        "{finished}"
    );
    assert_eq!(registry.tags("acme/web")["0.1.0-rc.1"], image(9).digest());
}

/// Killed at any request and run again: one candidate, whole.
#[test]
fn a_killed_push_keeps_its_number() {
    let requests = granary_testkit::crash::at_every_request(
        &Options::docker_registry_2_8(),
        &granary_testkit::registry::State::default(),
        |registry| sequence(registry, 1).plugin("concurrency", "1"),
        |registry, rerun, crash| {
            assert_eq!(rerun.code, Some(0), "{crash:?} {rerun}");
            let tags = tags(registry, "acme/app");
            let short = "0000001";
            let (sha, integration, set) =
                (format!("sha-{short}"), format!("integration-{short}"), format!("set-{}", commit(1)));
            let claims = tags.iter().filter(|tag| tag.starts_with("rcclaim-")).count();
            let mut others: Vec<&str> =
                tags.iter().map(String::as_str).filter(|tag| !tag.starts_with("rcclaim-")).collect();
            others.sort_unstable();
            let mut expected = vec!["0.1.0-rc.1", &integration, "set-0.1.0-rc.1", &set, &sha];
            expected.sort_unstable();
            assert_eq!((claims, others), (1, expected), "{crash:?}");
            candidates_never_moved(registry, "acme/app");
        },
    );
    assert!(requests > 15, "{requests}");
}

/// A list that is not current would show nobody's claim.
#[test]
fn a_list_that_lags_is_refused() {
    let registry = start();
    registry.put_image("acme/app", &["0.0.1"], &image(9));
    let body = r#"{"name":"acme/app","tags":["0.0.1"]}"#.to_owned();
    let stale = Action::Status { code: 200, headers: Vec::new(), body };
    registry.fault(Fault::on("GET", "/tags/list", stale).times(1000));
    let finished = sequence(&registry, 1).output();
    assert_eq!(finished.code, Some(12), "{finished}");
    assert!(
        finished.stderr.contains("the tag list lacks the claim to 0.0.2-rc.1 that has just"),
        "{finished}"
    );
    assert!(!tags(&registry, "acme/app").iter().any(|tag| tag.starts_with("0.0.2-rc.")), "{finished}");
}

#[test]
fn sixty_four_pushers_of_sixty_four_commits() {
    let registry = Registry::start(Options::docker_registry_2_8());
    let finished = all_at_once(&(1..=64).map(|number| sequence(&registry, number)).collect::<Vec<_>>());
    let mut numbers = BTreeSet::new();
    for (number, finished) in (1..=64).zip(&finished) {
        assert_eq!(finished.code, Some(0), "{finished}");
        let candidate = candidate(finished);
        let of_commit = set(&registry, "acme/app", &format!("set-{}", commit(number)));
        let of_candidate = set(&registry, "acme/app", &format!("set-{candidate}"));
        assert_eq!((of_commit.candidate.to_string(), &of_commit), (candidate.clone(), &of_candidate));
        assert_eq!(registry.tags("acme/app")[&candidate], image(number).digest());
        assert!(numbers.insert(candidate), "a number twice");
    }
    assert_eq!(candidates_never_moved(&registry, "acme/app"), numbers);
}

#[test]
fn sixty_four_pipelines_of_sixty_four_commits() {
    let registry = Registry::start(Options::docker_registry_2_8());
    let run = |number: u64| pusher(&registry, number).env("CI_PIPELINE_NUMBER", &number.to_string());
    let finished = all_at_once(&(1..=64).map(run).collect::<Vec<_>>());
    for (number, finished) in (1..=64).zip(&finished) {
        assert_eq!(
            (finished.code, candidate(finished)),
            (Some(0), format!("0.1.0-rc.{number}")),
            "{finished}"
        );
        assert_eq!(registry.tags("acme/app")[&format!("0.1.0-rc.{number}")], image(number).digest());
    }
    assert_eq!(candidates_never_moved(&registry, "acme/app").len(), 64);
}

/// Eight runs of one commit with equal bytes at once: by sequence, under one pipeline's number (a matrix),
/// and under eight numbers (restarts). Nothing fails, no candidate has two digests, and what the commit is
/// looked up as is there, whole; afterwards a rerun finds nothing to do.
#[test]
fn eight_pushers_of_one_commit() {
    let numbered = |run: Run, number: u64| run.env("CI_PIPELINE_NUMBER", &number.to_string());
    let ways: [fn(&Registry, u64) -> Run; 3] = [
        |registry, _| sequence(registry, 1),
        |registry, _| pusher(registry, 1),
        |registry, number| pusher(registry, 1).env("CI_PIPELINE_NUMBER", &number.to_string()),
    ];
    for (way, run) in ways.iter().enumerate() {
        let registry = Registry::start(Options::docker_registry_2_8());
        let finished = all_at_once(&(1..=8).map(|number| run(&registry, number)).collect::<Vec<_>>());
        for finished in &finished {
            assert_eq!(finished.code, Some(0), "{way}: {finished}");
            let candidate = candidate(finished);
            assert_eq!(registry.tags("acme/app")[&candidate], image(1).digest(), "{way}");
            // Whatever a later step attaches evidence to stays there to be read.
            let result = finished.json(".granary/registry-push.json");
            let reported = result["set"].as_str().unwrap();
            assert!(registry.manifest("acme/app", reported).is_some(), "{way}: {reported}");
        }
        candidates_never_moved(&registry, "acme/app");
        let of_commit = set(&registry, "acme/app", &format!("set-{}", commit(1)));
        let candidate = of_commit.candidate.to_string();
        assert_eq!(registry.tags("acme/app")[&candidate], image(1).digest(), "{way}");
        assert_eq!(set(&registry, "acme/app", &format!("set-{candidate}")).members, of_commit.members);
        registry.clear_log();
        let rerun = numbered(run(&registry, 99), 99).output();
        let outcome = rerun.json(".granary/registry-push.json")["outcome"].clone();
        assert_eq!((outcome, writes(&registry)), ("unchanged".into(), 0), "{way}: {rerun}");
    }
}
