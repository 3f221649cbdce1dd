//! Release sets of fourteen images: what they cost, and what a failure leaves.

use std::time::Duration;

use granary_testkit::image::{Damage, Image};
use granary_testkit::process::Run;
use granary_testkit::registry::{Action, Fault, Options, Registry, Request};

use crate::{SET, image, set, start, step, tags, writes};

const COUNT: u64 = 14;

fn name(number: u64) -> String {
    format!("image-{number:02}")
}

fn repository(number: u64) -> String {
    format!("acme/{}", name(number))
}

/// Fourteen images; the fifth leads.
fn fourteen(registry: &Registry) -> Run {
    let run = step("push.plugin", registry);
    for number in 1..=COUNT {
        image(number).write_layout(&run.workspace().join("build").join(name(number)), "latest");
    }
    let sources: Vec<String> = (1..=COUNT).map(|number| format!("oci:build/{}", name(number))).collect();
    run.plugin("repo", "acme/{name}").plugin("sources", &sources.join(",")).plugin("lead", &name(5))
}

fn candidates(registry: &Registry) -> Vec<u64> {
    let has = |number: &u64| tags(registry, &repository(*number)).iter().any(|tag| tag.contains("-rc."));
    (1..=COUNT).filter(has).collect()
}

/// Requests, and how many of them were under way at once.
fn cost(registry: &Registry, run: &Run) -> (usize, usize) {
    registry.clear_log();
    let finished = run.output();
    assert_eq!(finished.code, Some(0), "{finished}");
    let requests = registry.requests();
    print_rounds(&requests);
    (requests.len(), registry.peak_concurrency())
}

/// Answers come this late, so that requests which go together are seen to.
const LATENCY: Duration = Duration::from_millis(100);

/// Round trips, as gaps in time: to be looked at, not asserted on a machine that is busy.
#[expect(clippy::print_stdout, reason = "the counts, with --nocapture")]
fn print_rounds(requests: &[Request]) {
    let mut at: Vec<Duration> = requests.iter().map(|request| request.at).collect();
    at.sort_unstable();
    let gaps = at.windows(2).filter(|pair| pair[1] - pair[0] > LATENCY / 2).count();
    println!("{} requests in {} round trips", requests.len(), gaps + 1);
}

/// Members are read, sent and tagged together; a request more is one that somebody waits for.
#[test]
fn requests_are_counted() {
    for (options, new, present, rerun) in
        [(Options::docker_registry_2_8(), 226, 89, 45), (Options::default(), 185, 48, 45)]
    {
        let registry = Registry::start(Options { latency: LATENCY, ..options });
        let run = fourteen(&registry).plugin("concurrency", "64");
        let first = cost(&registry, &run);
        let again = cost(&registry, &run);
        // Another commit with the same bytes: everything but sets and tags is there.
        let other = run.env("CI_COMMIT_SHA", &"1".repeat(40)).env("CI_PIPELINE_NUMBER", "12");
        let third = cost(&registry, &other);
        assert!(first.0 <= new && third.0 <= present && again.0 <= rerun, "{first:?} {third:?} {again:?}");
        for (_, at_once) in [first, again, third] {
            assert!(at_once > COUNT as usize, "one member after the other: {at_once}");
        }
    }
}

/// One limit for all members and blobs.
#[test]
fn no_more_at_once_than_asked() {
    let registry = Registry::start(Options { latency: Duration::from_millis(5), ..Options::default() });
    let finished = fourteen(&registry).plugin("concurrency", "3").output();
    assert_eq!(finished.code, Some(0), "{finished}");
    assert!(registry.peak_concurrency() <= 3, "{}", registry.peak_concurrency());
    assert_eq!(candidates(&registry).len(), 14);
}

/// Whichever member's content fails, and however: no tag of this run anywhere.
#[test]
fn content_that_fails_leaves_no_tag() {
    for number in 1..=COUNT {
        // A layout that misses a layer is said before anything is written.
        let registry = start();
        let run = fourteen(&registry);
        let folder = run.workspace().join("build").join(name(number));
        std::fs::remove_dir_all(&folder).unwrap();
        image(number).write_damaged_layout(&folder, "latest", Damage::MissingBlob);
        let finished = run.output();
        assert_eq!((finished.code, writes(&registry)), (Some(20), 0), "{number}: {finished}");

        // A server error for as long as it is tried.
        let place = format!("/v2/{}/", repository(number));
        let failing = place.clone();
        registry.fault(
            Fault::when(
                move |request: &Request| request.path.starts_with(&failing) && request.is_write(),
                Action::status(500),
            )
            .times(1000),
        );
        let finished = fourteen(&registry).plugin("retries", "0").output();
        assert_eq!((finished.code, candidates(&registry)), (Some(12), vec![]), "{number}: {finished}");
        assert_eq!(tags(&registry, &repository(5)), Vec::<String>::new(), "{number}: no set either");

        // A repository that the user may only read.
        let options = Options::with_token("ci", "right-right");
        let registry = Registry::start(Options { read_only: vec![repository(number)], ..options });
        let run = fourteen(&registry).plugin("username", "ci").plugin("password", "right-right");
        let finished = run.output();
        assert_eq!((finished.code, candidates(&registry)), (Some(18), vec![]), "{number}: {finished}");
        assert_eq!(tags(&registry, &repository(5)), Vec::<String>::new(), "{number}: no set either");
    }
}

/// One image of a set is what Gitea does not take: said before anything of the others is sent.
#[test]
fn a_nested_index_at_gitea_stops_all_before_the_first_write() {
    let auth = Options::with_token("ci", "right-right").auth;
    let registry = Registry::start(Options { auth, ..Options::gitea() });
    let run = fourteen(&registry).plugin("username", "ci").plugin("password", "right-right");
    let folder = run.workspace().join("build").join(name(9));
    std::fs::remove_dir_all(&folder).unwrap();
    let nested = Image::index(&[Image::index(&[image(9)]), image(10)]);
    nested.write_layout(&folder, "latest");
    for dry_run in ["true", "false"] {
        let finished = run.clone().plugin("dry_run", dry_run).output();
        assert_eq!((finished.code, writes(&registry)), (Some(20), 0), "{finished}");
        assert!(finished.stderr.contains("refuses an index inside an index"), "{finished}");
        assert!(finished.stderr.contains("hint: build one index of all platforms"), "{finished}");
    }
    assert_eq!(registry.count(|request| request.path.contains("/blobs/")), 0, "nothing is looked for either");
}

/// A member cannot be tagged: the others are, the lead is not, and the message says so. A rerun finishes.
#[test]
fn a_tag_that_fails_leaves_the_lead_untagged_and_the_rerun_finishes() {
    for number in (1..=COUNT).filter(|number| *number != 5) {
        let registry = Registry::start(Options::docker_registry_2_8());
        let place = format!("/v2/{}/manifests/", repository(number));
        registry.fault(
            Fault::when(
                move |request: &Request| {
                    request.method == "PUT"
                        && request.path.starts_with(&place)
                        && request.path.contains("-rc.")
                },
                Action::status(403),
            )
            .times(1000),
        );
        let run = fourteen(&registry).plugin("retries", "0");
        let finished = run.output();
        assert!(matches!(finished.code, Some(18 | 19)), "{finished}");
        let mut tagged: Vec<u64> = (1..=COUNT).filter(|other| ![5, number].contains(other)).collect();
        assert!(!tags(&registry, &repository(5)).iter().any(|tag| tag == "0.1.0-rc.11"), "{finished}");
        let has = |other: &u64| tags(&registry, &repository(*other)).iter().any(|tag| tag == "0.1.0-rc.11");
        tagged.retain(has);
        assert_eq!(tagged.len(), 12, "the others are finished: {finished}");
        let written = format!("tagged: {}:0.1.0-rc.11", repository(if number == 1 { 2 } else { 1 }));
        let left = format!("not tagged, or in part: {}:0.1.0-rc.11", repository(5));
        assert!(finished.stderr.contains(&written) && finished.stderr.contains(&left), "{finished}");
        registry.clear_faults();
        // A restarted pipeline has a new number; the candidate is the one that was begun.
        let rerun = run.env("CI_PIPELINE_NUMBER", "12").output();
        assert_eq!(rerun.code, Some(0), "{rerun}");
        assert_eq!(candidates(&registry).len(), 14);
        assert_eq!(set(&registry, &repository(5), SET).candidate.to_string(), "0.1.0-rc.11");
        assert_eq!(registry.tags(&repository(number))["0.1.0-rc.11"], image(number).digest());
    }
}
