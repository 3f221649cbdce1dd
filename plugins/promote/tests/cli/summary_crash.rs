//! Killed at any request, with a key: a version that anybody can see has a summary, and a rerun ends like one run.

use std::collections::BTreeSet;

use granary_testkit::crash;
use granary_testkit::process::Run;
use granary_testkit::registry::{Options, Registry, Snapshot};
use serde_json::Value;

use crate::world::{Evidence, Release, promote, signing, summaries};

fn pair() -> Release {
    Release { repositories: vec!["acme/app", "acme/web"], ..Release::new("0.1.1-rc.11") }
}

fn run(registry: &Registry) -> Run {
    signing(promote("push", registry)).plugin("repo", "acme/{name}").plugin("lead", "app")
}

/// Everything but claims and summaries, which say when they were made; a rerun may have made one more.
pub(crate) fn settled(registry: &Registry) -> Snapshot {
    let mut snapshot = registry.snapshot();
    for (place, found) in &mut snapshot {
        let mut signed = BTreeSet::new();
        for (subject, referrers) in &mut found.referrers {
            let carriers: Vec<String> =
                summaries(registry, place, subject).into_iter().map(|(carrier, _)| carrier).collect();
            referrers.retain(|digest| !carriers.contains(digest));
            signed.extend(carriers);
        }
        found.referrers.retain(|_, referrers| !referrers.is_empty());
        found.tags.retain(|tag, _| !tag.starts_with("claim-"));
        for (tag, digest) in found.tags.iter_mut().filter(|(tag, _)| tag.starts_with("sha256-")) {
            *digest = other_entries(registry, place, tag, &signed);
        }
        found.tags.retain(|_, digest| !digest.is_empty());
    }
    snapshot
}

/// The entries of a fallback index that are not among these.
fn other_entries(registry: &Registry, place: &str, tag: &str, signed: &BTreeSet<String>) -> String {
    let index: Value = serde_json::from_slice(&registry.manifest(place, tag).unwrap().1).unwrap();
    let entries = index["manifests"].as_array().unwrap().iter();
    let digests = entries.map(|entry| entry["digest"].as_str().unwrap());
    digests.filter(|digest| !signed.contains(*digest)).collect::<Vec<_>>().join(" ")
}

/// A version that anybody can see, or that is settled, has been signed for on the set and on every member.
pub(crate) fn signed_before_seen(registry: &Registry, release: &Release, crash: &str) {
    let tags = registry.tags(release.lead());
    if !tags.contains_key("set-0.1.1") {
        return;
    }
    let subjects = release.repositories.iter().map(|place| (*place, release.digest(place)));
    for (place, subject) in subjects.chain([(release.lead(), release.set_digest())]) {
        let count = summaries(registry, place, &subject).len();
        assert!((1..=2).contains(&count), "{crash}: {count} summaries on {place}@{subject}");
    }
}

#[test]
fn killed_at_any_request_a_rerun_ends_like_one_run() {
    let release = pair();
    for (options, has_api) in [(Options::default(), true), (Options::docker_registry_2_8(), false)] {
        let start = Registry::start(options.clone());
        release.publish(&start);
        let carrier = Evidence::default().attach(&start, &release);
        if !has_api {
            crate::world::list_in_fallback(&start, &release, &carrier);
        }
        let state = start.clone_state();
        let undisturbed = Registry::start_with(options.clone(), state.clone());
        let done = run(&undisturbed).output();
        assert_eq!(done.code, Some(0), "{done}");
        let wanted = settled(&undisturbed);
        let requests = crash::at_every_request(&options, &state, run, |registry, rerun, crash| {
            assert_eq!(rerun.code, Some(0), "{crash:?}\n{rerun}");
            assert_eq!(settled(registry), wanted, "{crash:?}\n{rerun}");
            signed_before_seen(registry, &release, &format!("{crash:?}\n{rerun}"));
            for tag in ["set-0.1.1", "0.1.1"] {
                assert_eq!(registry.history("acme/app", tag).len(), 1, "{crash:?}: {tag} was written twice");
            }
        });
        assert!(requests >= 28, "two images with a summary take more than {requests} requests");
    }
}
