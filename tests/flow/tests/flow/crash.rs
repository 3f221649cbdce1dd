//! `kill -9` before and after every request: a rerun ends where an undisturbed run would.

use std::cell::{Cell, RefCell};

use flow::evidence::key;
use flow::pipeline::{APP, Agent, WEB, commit, ends, image};
use flow::state::{end_state, moved, set_field, settled};
use granary_testkit::crash::at_every_request;
use granary_testkit::image::Image;
use granary_testkit::registry::{Options, Referrers, Registry, State};

fn images() -> [Image; 2] {
    [image("app"), image("web")]
}

/// Registries that differ in what a write costs: with the referrers API and several tags at once, and without.
fn registries() -> [Options; 2] {
    [Options::default(), Options::docker_registry_2_8()]
}

/// A registry in which two images of commit 1 are published and tested.
fn tested(options: &Options, agent: &Agent) -> State {
    let registry = Registry::start(options.clone());
    agent.push(&registry, &commit(1), 11).app_and_web().tested(&images());
    registry.clone_state()
}

#[test]
fn push_killed_anywhere_and_run_again_publishes_what_one_run_would() {
    let agent = Agent::new();
    for options in registries() {
        let push =
            |registry: &Registry| agent.push(registry, &commit(1), 11).app_and_web().publish(&images());
        let undisturbed = Registry::start(options.clone());
        drop(ends(&push(&undisturbed), 0));
        let wanted = end_state(&undisturbed);
        let requests = at_every_request(&options, &State::default(), push, |registry, rerun, crash| {
            assert_eq!(rerun.code, Some(0), "{crash:?}\n{rerun}");
            assert_eq!(end_state(registry), wanted, "{crash:?}\n{rerun}");
            assert_eq!(moved(registry), [""; 0], "{crash:?}");
        });
        assert!(requests >= 20, "two images take more than {requests} requests");
    }
}

#[test]
fn push_killed_anywhere_and_restarted_under_a_new_number_leaves_one_candidate() {
    let agent = Agent::new();
    let runs = Cell::new(0_usize);
    let push = |registry: &Registry| {
        let first = agent.push(registry, &commit(1), 11).app_and_web();
        runs.set(runs.get() + 1);
        match runs.get() % 2 {
            1 => first.publish(&images()),
            _ => agent.restart(&first, 12).publish(&images()),
        }
    };
    let seen = RefCell::new(std::collections::BTreeSet::new());
    at_every_request(&Options::default(), &State::default(), push, |registry, rerun, crash| {
        assert_eq!(rerun.code, Some(0), "{crash:?}\n{rerun}");
        let set = format!("set-{}", commit(1));
        let candidate = rerun.json(".granary/registry-push.json")["candidate"].as_str().unwrap().to_owned();
        assert!(["0.1.0-rc.11", "0.1.0-rc.12"].contains(&candidate.as_str()), "{crash:?} {candidate}");
        let [app, web] = images();
        for (repository, image) in [(APP, app), (WEB, web)] {
            let tags = registry.tags(repository);
            for tag in [candidate.as_str(), "sha-0101010", "integration-0101010"] {
                assert_eq!(tags[tag], image.digest(), "{crash:?} {repository}:{tag}");
            }
            let candidates: Vec<&String> =
                tags.keys().filter(|tag| tag.starts_with('0') && tag.contains("-rc.")).collect();
            assert_eq!(candidates, [&candidate], "{crash:?}: nobody may find half a candidate");
        }
        assert_eq!(registry.tags(APP)[&format!("set-{candidate}")], registry.tags(APP)[&set], "{crash:?}");
        assert_eq!(
            set_field(registry, APP, &set, "order").as_deref(),
            Some("11"),
            "{crash:?}: the commit keeps its place in the order"
        );
        assert_eq!(moved(registry), [""; 0], "{crash:?}");
        seen.borrow_mut().insert(candidate);
    });
    assert_eq!(seen.into_inner().len(), 2, "before the set the new number counts, after it the old one");
}

#[test]
fn promotion_killed_anywhere_and_run_again_ends_like_one_run() {
    let agent = Agent::new();
    for options in registries() {
        let state = tested(&options, &agent);
        // Without the result files of the steps before, as a restarted pipeline begins.
        let promote = |registry: &Registry| agent.push(registry, &commit(1), 11).app_and_web().promote();
        let undisturbed = Registry::start_with(options.clone(), state.clone());
        drop(ends(&promote(&undisturbed), 0));
        let wanted = settled(&undisturbed);
        let requests = at_every_request(&options, &state, promote, |registry, rerun, crash| {
            assert_eq!(rerun.code, Some(0), "{crash:?}\n{rerun}");
            assert_eq!(settled(registry), wanted, "{crash:?}\n{rerun}");
            assert_eq!(moved(registry), [""; 0], "{crash:?}");
        });
        assert!(requests >= 10, "a promotion of two images takes more than {requests} requests");
    }
}

/// Evidence that was good when the version was let in may be bad when a rerun looks at it: a key is withdrawn, a test
/// fails later. Half a version helps nobody, so what can be seen of one is finished; what cannot is judged anew.
#[test]
fn after_a_crash_only_a_version_that_can_be_seen_is_finished_unjudged() {
    let agent = Agent::new();
    for referrers in [Referrers::On, Referrers::Off] {
        let options = Options { referrers, ..Options::default() };
        let state = tested(&options, &agent);
        let undisturbed = Registry::start_with(options.clone(), state.clone());
        drop(ends(&agent.push(&undisturbed, &commit(1), 11).app_and_web().promote(), 0));
        let wanted = settled(&undisturbed);
        let runs = Cell::new(0_usize);
        let carried = Cell::new(false);
        let before = RefCell::new(state.clone());
        let promote = |registry: &Registry| {
            runs.set(runs.get() + 1);
            let pipeline = agent.push(registry, &commit(1), 11).app_and_web();
            if runs.get() % 2 == 1 {
                return pipeline.promote();
            }
            carried.set([APP, WEB].iter().any(|place| registry.tags(place).contains_key("0.1.0")));
            before.replace(registry.clone_state());
            pipeline.promote_trusting(&key(9))
        };
        let (finished, refused) = (Cell::new(0_usize), Cell::new(0_usize));
        at_every_request(&options, &state, promote, |registry, rerun, crash| {
            if carried.get() {
                finished.set(finished.get() + 1);
                assert_eq!(rerun.code, Some(0), "{crash:?}\n{rerun}");
                assert_eq!(settled(registry), wanted, "{crash:?}\n{rerun}");
                return;
            }
            refused.set(refused.get() + 1);
            assert_eq!(rerun.code, Some(14), "{crash:?}\n{rerun}");
            let before = Registry::start_with(options.clone(), before.borrow().clone());
            assert_eq!(registry.snapshot(), before.snapshot(), "{crash:?}: a refusal writes nothing");
            for place in [APP, WEB] {
                let visible: Vec<String> = registry.tags(place).into_keys().collect();
                let hidden = !visible.iter().any(|tag| tag == "0.1.0" || tag == "validated-0101010");
                assert!(hidden, "{crash:?} {place} {visible:?}");
            }
        });
        assert!(finished.get() >= 5 && refused.get() >= 10, "{finished:?} finished, {refused:?} refused");
    }
}

#[test]
fn a_report_killed_anywhere_and_run_again_lets_the_commit_through() {
    let agent = Agent::new();
    for options in registries() {
        let registry = Registry::start(options.clone());
        drop(ends(&agent.push(&registry, &commit(1), 11).app_and_web().publish(&images()), 0));
        let report = |registry: &Registry| {
            let pipeline = agent.push(registry, &commit(1), 11).app_and_web();
            pipeline.report(&[("answers", "passed")]).plugin("attach", "all")
        };
        at_every_request(&options, &registry.clone_state(), report, |registry, rerun, crash| {
            assert_eq!(rerun.code, Some(0), "{crash:?}\n{rerun}");
            let promote = agent.push(registry, &commit(1), 11).app_and_web().promote();
            let planned = ends(&promote.plugin("dry_run", "true"), 0);
            assert_eq!(planned.json(".granary/promote.json")["outcome"], "planned", "{crash:?}\n{planned}");
        });
    }
}

/// The first commit's promotion dies, the second commit is promoted, and then somebody restarts the first.
#[test]
fn a_promotion_that_died_and_was_overtaken_leaves_whole_versions_only() {
    let agent = Agent::new();
    let newer = || [image("newer app"), image("newer web")];
    let registry = Registry::start_with(Options::default(), tested(&Options::default(), &agent));
    agent.push(&registry, &commit(2), 12).app_and_web().tested(&newer());
    let runs = Cell::new(0_usize);
    let promote = |registry: &Registry| {
        runs.set(runs.get() + 1);
        if runs.get().is_multiple_of(2) {
            drop(ends(&agent.push(registry, &commit(2), 12).app_and_web().promote(), 0));
        }
        agent.push(registry, &commit(1), 11).app_and_web().promote()
    };
    let outcomes = RefCell::new(std::collections::BTreeSet::new());
    at_every_request(&Options::default(), &registry.clone_state(), promote, |registry, rerun, crash| {
        assert_eq!(rerun.code, Some(0), "{crash:?}\n{rerun}");
        outcomes.borrow_mut().insert(rerun.json(".granary/promote.json")["outcome"].to_string());
        let versions = |place: &str| {
            let tags = registry.tags(place).into_iter();
            tags.filter(|(tag, _)| ["0.1.0", "0.1.1", "0.1.2"].contains(&tag.as_str())).collect::<Vec<_>>()
        };
        let (app, web) = (versions(APP), versions(WEB));
        let old = images();
        let newer = newer();
        let of = |app: &Image, web: &Image| (app.digest().to_owned(), web.digest().to_owned());
        let pairs: Vec<_> =
            app.into_iter().zip(web).map(|(app, web)| (app.0 == web.0, (app.1, web.1))).collect();
        let (old, newer) = (of(&old[0], &old[1]), of(&newer[0], &newer[1]));
        // In rising order: the newer commit alone, or above the older one.
        let alone = vec![(true, newer.clone())];
        let above = vec![(true, old), (true, newer)];
        assert!(pairs == alone || pairs == above, "{crash:?} {pairs:?}\n{rerun}");
        assert_eq!(versions(APP).len(), versions(WEB).len(), "{crash:?}");
        assert_eq!(moved(registry), [""; 0], "{crash:?}");
    });
    let outcomes = outcomes.into_inner();
    assert!(outcomes.len() >= 2, "skipped where nothing could be seen, else finished: {outcomes:?}");
}

/// The tags that a step writes, in the order in which the registry saw them.
fn written(registry: &Registry, run: &granary_testkit::process::Run) -> Vec<String> {
    registry.clear_log();
    drop(ends(run, 0));
    let puts = registry.requests();
    let puts = puts.iter().filter(|request| request.method == "PUT" && request.path.contains("/manifests/"));
    let tags = puts.map(|put| put.path.trim_start_matches("/v2/").replace("/manifests/", ":"));
    // Content is pushed by digest.
    tags.filter(|tag| !tag.contains(":sha256:")).collect()
}

/// Whoever sees the lead's tag sees all of the release: a deployment may start at that very moment.
#[test]
fn the_lead_is_tagged_last_and_the_record_is_written_first() {
    let agent = Agent::new();
    let registry = Registry::start(Options::docker_registry_2_8());
    let pipeline = agent.push(&registry, &commit(1), 11).app_and_web();
    let set = format!("{APP}:set-{}", commit(1));
    let pushed = written(&registry, &pipeline.publish(&images()));
    let (records, tags) = pushed.split_at(2);
    assert_eq!(records, [set.as_str(), "acme/app:set-0.1.0-rc.11"]);
    let (members, lead) = tags.split_at(3);
    for (tags, repository) in [(members, WEB), (lead, APP)] {
        let wanted =
            ["0.1.0-rc.11", "integration-0101010", "sha-0101010"].map(|tag| format!("{repository}:{tag}"));
        let mut tags = tags.to_vec();
        tags.sort();
        assert_eq!(tags, wanted);
    }
    drop(ends(&pipeline.report(&[("answers", "passed")]), 0));
    let set = registry.tags(APP)["set-0.1.0-rc.11"].clone();
    let claim = format!("acme/app:claim-0.1.0-{}", &set["sha256:".len()..][..12]);
    assert_eq!(
        written(&registry, &pipeline.promote()),
        [
            claim.as_str(),
            "acme/app:set-0.1.0",
            "acme/web:0.1.0",
            "acme/app:0.1.0",
            "acme/web:validated-0101010",
            "acme/app:validated-0101010",
        ]
    );
}
