//! Floating tags: what they follow, when they are written, and what interrupted and simultaneous runs leave.

use std::time::Duration;

use granary_testkit::crash;
use granary_testkit::process::{Finished, Run};
use granary_testkit::registry::{Action, Fault, Options, Registry, Request, Snapshot, State};
use insta::assert_snapshot;
use serde_json::json;

use crate::world::{Evidence, Release, by_hand, promote, tested, tested_on, told, until};

const ALL: &str = "latest,{major},{major}.{minor}";

fn named(registry: &Registry, repository: &str, tag: &str) -> Option<String> {
    registry.tags(repository).get(tag).cloned()
}

/// Which of several releases each of these tags of the lead names; `-` where it is not there.
fn follow(registry: &Registry, releases: &[(&'static str, &Release)], tags: &[&str]) -> String {
    let one = |tag: &&str| {
        let found = named(registry, "acme/app", tag);
        let release = releases.iter().find(|(_, release)| found == Some(release.digest("acme/app")));
        format!("{tag}={}", release.map_or("-", |(name, _)| name))
    };
    tags.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn add(registry: &Registry, release: &Release) {
    release.publish(registry);
    Evidence::default().attach(registry, release);
}

fn as_version(registry: &Registry, release: &Release, version: &str) -> Run {
    by_hand(registry)
        .plugin("commit", &release.commit)
        .plugin("as_version", version)
        .plugin("floating", ALL)
        .plugin("allow_older", "true")
}

fn tags_of(finished: &Finished) -> Vec<String> {
    let result = finished.json(".granary/promote.json");
    result["artifacts"][0]["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn they_follow_the_newest_stable_of_their_line_and_no_other() {
    let (old, new) = (Release::of('b', "1.4.9-rc.1", 1), Release::of('c', "1.5.0-rc.1", 2));
    let (two, last) = (Release::of('d', "2.0.0-rc.1", 3), Release::of('e', "1.5.1-rc.1", 4));
    let registry = tested(&old);
    let releases = [("old", &old), ("new", &new), ("two", &two), ("last", &last)];
    [&new, &two, &last].into_iter().for_each(|release| add(&registry, release));
    let tags = ["latest", "1", "1.4", "1.5", "2", "2.0"];
    for (release, version, expected) in [
        (&new, "1.5.0", "latest=new 1=new 1.4=- 1.5=new 2=- 2.0=-"),
        (&old, "1.4.9", "latest=new 1=new 1.4=old 1.5=new 2=- 2.0=-"),
        (&two, "2.0.0", "latest=two 1=new 1.4=old 1.5=new 2=two 2.0=two"),
        (&last, "1.5.1", "latest=two 1=last 1.4=old 1.5=last 2=two 2.0=two"),
    ] {
        let run = as_version(&registry, release, version).output();
        assert_eq!(run.code, Some(0), "{run}");
        assert_eq!(follow(&registry, &releases, &tags), expected, "{version}");
    }
    // What the last one moved, and nothing else, is in its result.
    let again = as_version(&registry, &last, "1.5.1").output();
    assert_eq!(again.json(".granary/promote.json")["outcome"], "unchanged");
    assert_eq!(tags_of(&again), ["1.5.1", "validated-eeeeeee", "1", "1.5"]);
}

#[test]
fn they_come_last_of_all_and_cost_two_lists() {
    let release = Release { repositories: vec!["acme/app", "acme/web"], ..Release::new("0.1.1-rc.11") };
    let run = |registry: &Registry| {
        promote("push", registry)
            .plugin("repo", "acme/{name}")
            .plugin("lead", "app")
            .plugin("floating", "latest")
    };
    let registry = tested(&release);
    let done = run(&registry).output();
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(tags_of(&done), ["0.1.1", "validated-7a77c59", "latest"]);
    let requests: Vec<String> = registry.requests().iter().map(ToString::to_string).collect();
    let at = |part: &str| requests.iter().rposition(|line| line.contains(part)).unwrap();
    let rest: Vec<&str> =
        requests[at("PUT /v2/acme/app/manifests/validated-") + 1..].iter().map(String::as_str).collect();
    assert_eq!(
        rest,
        [
            // Others may have become visible meanwhile,
            "GET /v2/acme/app/tags/list?n=1000 200",
            "PUT /v2/acme/web/manifests/latest 201",
            "PUT /v2/acme/app/manifests/latest 201",
            // and now as well.
            "GET /v2/acme/app/tags/list?n=1000 200",
        ]
    );

    registry.clear_log();
    let again = run(&registry).output();
    assert_eq!(again.json(".granary/promote.json")["outcome"], "unchanged", "{again}");
    let looks = registry.count(|request| request.path.ends_with("/latest"));
    let all = registry.requests().len();
    assert_eq!((looks, registry.count(|request| request.method == "HEAD")), (2, 2), "one look for each tag");
    registry.clear_log();
    assert_eq!(run(&registry).without("PLUGIN_FLOATING").output().code, Some(0));
    assert_eq!(registry.requests().len() + looks, all, "without them nothing is asked");
}

#[test]
fn on_both_sides_the_target_first() {
    let release = Release { repositories: vec!["acme/app", "acme/web"], ..Release::new("0.1.1-rc.11") };
    let registry = tested(&release);
    let run = promote("push", &registry)
        .plugin("repo", "acme/{name}")
        .plugin("lead", "app")
        .plugin("target_repo", "live/{name}")
        .plugin("floating", "{major}");
    let done = run.output();
    assert_eq!(done.code, Some(0), "{done}");
    let puts = registry.requests().into_iter().filter(Request::is_write);
    let puts: Vec<String> = puts.map(|request| request.path).filter(|path| path.ends_with("/0")).collect();
    assert_eq!(
        puts,
        [
            "/v2/live/web/manifests/0",
            "/v2/live/app/manifests/0",
            "/v2/acme/web/manifests/0",
            "/v2/acme/app/manifests/0",
        ]
    );
    assert_eq!(run.output().json(".granary/promote.json")["outcome"], "unchanged");
}

/// A promotion is done without them; what is missing is written by the next run, whoever has taken it away.
#[test]
fn a_rerun_mends_what_is_missing_and_leaves_what_is_newer() {
    let release = Release::new("0.1.1-rc.11");
    let registry = tested(&release);
    let run = || promote("push", &registry).plugin("floating", "latest,{major}");
    assert_eq!(promote("push", &registry).output().code, Some(0));
    let added = run().output();
    assert_eq!(added.json(".granary/promote.json")["outcome"], "done", "{added}");
    let ours = release.digest("acme/app");
    assert_eq!(named(&registry, "acme/app", "latest").as_ref(), Some(&ours));

    registry.put_image("acme/app", &["latest"], &Release::of('f', "0.1.0-rc.1", 1).image("acme/app"));
    assert_eq!(run().output().json(".granary/promote.json")["outcome"], "done");
    assert_eq!(named(&registry, "acme/app", "latest").as_ref(), Some(&ours));

    let newer = Release::of('b', "0.2.0-rc.12", 12);
    newer.publish(&registry);
    newer.promoted(&registry, "0.2.0");
    for tag in ["latest", "0"] {
        registry.put_image("acme/app", &[tag], &newer.image("acme/app"));
    }
    let before = registry.snapshot();
    let left = run().output();
    assert_eq!(left.json(".granary/promote.json")["outcome"], "unchanged", "{left}");
    assert_eq!(registry.snapshot(), before);
    assert_eq!(tags_of(&left), ["0.1.1", "validated-7a77c59"]);
}

/// Killed between writing `latest` over a newer version and mending that: nobody else would ever mend it.
#[test]
fn a_rerun_mends_what_it_wrote_over_a_newer_version() {
    let release = Release::new("0.1.1-rc.11");
    let registry = tested(&release);
    let run = || promote("push", &registry).plugin("floating", "latest");
    assert_eq!(run().output().code, Some(0));
    let newer = Release::of('b', "0.1.1-rc.12", 12);
    newer.publish(&registry);
    newer.promoted(&registry, "0.1.2");
    let rerun = run().output();
    assert_eq!(rerun.code, Some(0), "{rerun}");
    assert_eq!(named(&registry, "acme/app", "latest"), Some(newer.digest("acme/app")));
    assert_eq!(run().output().json(".granary/promote.json")["outcome"], "unchanged");
}

/// The older of two is held up with its `latest` on the way, and the newer one is through meanwhile.
#[test]
fn of_two_at_once_the_newest_stays() {
    let (older, newer) = (Release::of('b', "0.1.1-rc.11", 11), Release::of('c', "0.1.1-rc.12", 12));
    let repositories = vec!["acme/app", "acme/web"];
    let (older, newer) =
        (Release { repositories: repositories.clone(), ..older }, Release { repositories, ..newer });
    for verify in ["false", "true"] {
        let registry = tested(&older);
        add(&registry, &newer);
        let of = |release: &Release| {
            by_hand(&registry)
                .plugin("repo", "acme/{name}")
                .plugin("lead", "app")
                .plugin("verify", verify)
                .plugin("commit", &release.commit)
                .plugin("floating", ALL)
        };
        let held_up = Action::Delay(Duration::from_millis(1500));
        registry.fault(Fault::on("PUT", "/acme/app/manifests/latest", held_up));
        let first = of(&older).spawn();
        until(|| {
            registry
                .count(|request| request.method == "PUT" && request.path.ends_with("/app/manifests/latest"))
                == 1
        });
        let second = of(&newer).output();
        assert_eq!(second.code, Some(0), "{second}");
        assert_eq!(named(&registry, "acme/app", "latest"), Some(newer.digest("acme/app")));
        let first = first.wait();
        assert_eq!(first.code, Some(0), "{first}");
        let history = registry.history("acme/app", "latest");
        assert_eq!(
            history.get(1),
            Some(&older.digest("acme/app")),
            "the older one did write last: {history:?}"
        );
        for place in ["acme/app", "acme/web"] {
            for tag in ["latest", "0", "0.1"] {
                assert_eq!(named(&registry, place, tag), Some(newer.digest(place)), "{place}:{tag} {first}");
            }
        }
        assert_eq!(tags_of(&first), ["0.1.1", "validated-bbbbbbb"], "its tags are not the newest any more");
        assert_eq!(tags_of(&second), ["0.1.2", "validated-ccccccc", "latest", "0", "0.1"]);
    }
}

/// However two meet, in the end `latest` is the highest version that is there.
#[test]
fn whenever_two_meet_the_newest_stays() {
    for head_start in [0_u64, 40, 90, 130, 170, 200, 230, 260] {
        let (older, newer) = (Release::of('b', "0.1.1-rc.11", 11), Release::of('c', "0.1.1-rc.12", 12));
        let slow = Options { latency: Duration::from_millis(15), ..Options::default() };
        let registry = tested_on(slow, &older);
        add(&registry, &newer);
        let of = |release: &Release| {
            let run = by_hand(&registry).plugin("commit", &release.commit).plugin("floating", ALL);
            run.plugin("on_superseded", "skip")
        };
        let first = of(&older).spawn();
        std::thread::sleep(Duration::from_millis(head_start));
        let second = of(&newer).spawn();
        for finished in [first.wait(), second.wait()] {
            assert_eq!(finished.code, Some(0), "{head_start} ms\n{finished}");
        }
        for tag in ["latest", "0", "0.1"] {
            let found = named(&registry, "acme/app", tag);
            assert_eq!(found, Some(newer.digest("acme/app")), "{head_start} ms: {tag}");
        }
    }
}

#[test]
fn killed_at_any_request_a_rerun_ends_like_one_run() {
    let pair = Release { repositories: vec!["acme/app", "acme/web"], ..Release::new("0.1.1-rc.11") };
    let before = Release::of('b', "0.1.0-rc.9", 9);
    let settled = |registry: &Registry| -> Snapshot {
        let mut snapshot = registry.snapshot();
        snapshot.values_mut().for_each(|found| found.tags.retain(|tag, _| !tag.starts_with("claim-")));
        snapshot
    };
    let begin = || {
        let registry = tested(&pair);
        before.publish(&registry);
        before.promoted(&registry, "0.1.0");
        registry.put_image("acme/app", &["latest", "0.1"], &before.image("acme/app"));
        registry
    };
    let state: State = begin().clone_state();
    let run = |registry: &Registry| {
        let run = promote("push", registry).plugin("repo", "acme/{name}").plugin("lead", "app");
        run.plugin("floating", "latest,{major}.{minor}")
    };
    let undisturbed = Registry::start_with(Options::default(), state.clone());
    assert_eq!(run(&undisturbed).output().code, Some(0));
    let wanted = settled(&undisturbed);
    let requests = crash::at_every_request(&Options::default(), &state, run, |registry, rerun, crash| {
        assert_eq!(rerun.code, Some(0), "{crash:?} {rerun}");
        assert_eq!(settled(registry), wanted, "{crash:?} {rerun}");
    });
    assert!(requests >= 25, "{requests} requests are fewer than such a promotion has");
}

#[test]
fn what_cannot_be_written_leaves_the_version_there() {
    let registry = tested(&Release::new("0.1.1-rc.11"));
    let run = || promote("push", &registry).plugin("floating", "latest");
    registry.fault(Fault::on("PUT", "/manifests/latest", Action::status(403)));
    let refused = run().output();
    assert_eq!(refused.code, Some(18), "{refused}");
    assert!(refused.stderr.contains("hint: 0.1.1 itself is promoted; floating tags are left"), "{refused}");
    assert!(registry.tags("acme/app").contains_key("validated-7a77c59"));
    let rerun = run().output();
    assert_eq!(rerun.json(".granary/promote.json")["outcome"], "done", "{rerun}");
    assert!(registry.tags("acme/app").contains_key("latest"));
}

/// A list that has not even the version that was just written shows no newer one either.
#[test]
fn a_list_that_lags_behind_is_not_gone_by() {
    let release = Release::new("0.1.1-rc.11");
    let registry = tested(&release);
    release.promoted(&registry, "0.1.1");
    let stale = json!({"name": "acme/app", "tags": ["0.1.0"]}).to_string();
    let action = Action::Status { code: 200, headers: Vec::new(), body: stale };
    registry.fault(Fault::on("GET", "/tags/list", action).after(1).times(usize::MAX));
    let run = promote("push", &registry).plugin("floating", "latest").output();
    assert_eq!(run.code, Some(12), "{run}");
    assert!(!registry.tags("acme/app").contains_key("latest"));
}

#[test]
fn a_plan_names_them() {
    let release = Release::new("0.1.1-rc.11");
    let registry = tested(&release);
    let plan = promote("push", &registry).plugin("floating", ALL).plugin("dry_run", "true").output();
    assert_eq!(plan.code, Some(0), "{plan}");
    let steps: Vec<String> =
        told(&plan).lines().filter(|line| line.starts_with("  ")).map(str::to_owned).collect();
    assert_snapshot!(steps.join("\n"), @r"
    1. claim acme/app:claim-0.1.1-d3198773f1ac
    2. write acme/app:set-0.1.1 → [DIGEST]
    3. write acme/app:0.1.1 → [DIGEST]
    4. write acme/app:validated-7a77c59 → [DIGEST]
    5. write acme/app:latest → [DIGEST]
    5. write acme/app:0 → [DIGEST]
    5. write acme/app:0.1 → [DIGEST]
    ");
    release.promoted(&registry, "0.1.1");
    registry.put_image("acme/app", &["0"], &release.image("acme/app"));
    let rest = promote("push", &registry).plugin("floating", ALL).plugin("dry_run", "true").output();
    assert_eq!(rest.json(".granary/promote.json")["outcome"], "planned", "{rest}");
    let steps: Vec<String> =
        told(&rest).lines().filter(|line| line.starts_with("  ")).map(str::to_owned).collect();
    assert_snapshot!(steps.join("\n"), @r"
    1. write acme/app:latest → [DIGEST]
    1. write acme/app:0.1 → [DIGEST]
    ");
    assert_eq!(registry.count(Request::is_write), 0);
}

#[test]
fn what_cannot_float_is_refused() {
    let registry = tested(&Release::new("0.1.1-rc.11"));
    let run = promote("push", &registry).plugin("floating", "latest,1,{patch},set-{major}").output();
    assert_eq!(run.code, Some(2), "{run}");
    for told in ["`1` could be taken for a version", "`{patch}` has braces", "`set-{major}` cannot float"] {
        assert!(run.stderr.contains(told), "{run}");
    }
    assert_eq!(registry.requests().len(), 0);
}
