//! `kill -9` at every request of a promotion from one registry to another, whichever of the two it goes to.

use granary_testkit::process::{Leash, Run};
use granary_testkit::registry::{Options, Registry, State, When};

use crate::summary_crash::{settled, signed_before_seen};
use crate::world::{Release, promote, signing, summaries, tested};

/// More requests to one of them than a promotion of two images has.
const MOST: usize = 200;

fn pair() -> Release {
    Release { repositories: vec!["acme/app", "acme/web"], ..Release::new("0.1.1-rc.11") }
}

fn run(candidates: &Registry, target: &Registry) -> Run {
    signing(promote("push", candidates))
        .plugin("repo", "acme/{name}")
        .plugin("lead", "app")
        .plugin("target_registry", &target.host())
}

fn versions_written_twice(registry: &Registry) -> Vec<String> {
    let places = registry.snapshot().into_keys();
    let tags =
        places.flat_map(|place| registry.tags(&place).into_keys().map(move |tag| (place.clone(), tag)));
    let moved = tags.filter(|(place, tag)| {
        tag.strip_prefix("set-").unwrap_or(tag).starts_with('0') && registry.history(place, tag).len() != 1
    });
    moved.map(|(place, tag)| format!("{place}:{tag}")).collect()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Victim {
    Candidates,
    Target,
}

#[test]
fn killed_at_any_request_to_either_registry_a_rerun_ends_like_one_run() {
    let release = pair();
    let candidates = tested(&release);
    let member = release.set().members[1].descriptor();
    let sbom = granary_oci::ArtifactManifest::new("application/vnd.acme.sbom").with_subject(&member).build();
    candidates.put_blob("acme/web", granary_oci::EMPTY_JSON);
    candidates.put_manifest("acme/web", &[], sbom.media_type(), sbom.bytes().to_vec());
    let state = candidates.clone_state();
    drop(candidates);
    for options in [Options::default(), Options::docker_registry_2_8()] {
        let begin = || {
            let candidates = Registry::start_with(Options::default(), state.clone());
            (candidates, Registry::start_with(options.clone(), State::default()))
        };
        let (candidates, target) = begin();
        assert_eq!(run(&candidates, &target).output().code, Some(0));
        let wanted = (settled(&candidates), settled(&target));
        let mut requests = 0;
        for victim in [Victim::Candidates, Victim::Target] {
            for at in 1..=MOST {
                let [before, after] = [When::Before, When::After].map(|when| {
                    let (candidates, target) = begin();
                    let leash = Leash::default();
                    let deed = leash.clone();
                    let registry = if victim == Victim::Target { &target } else { &candidates };
                    registry.kill_at(at, when, move || deed.kill());
                    let killed = run(&candidates, &target).leash(&leash).output();
                    if registry.kill_pending() {
                        return false;
                    }
                    assert_eq!(killed.signal, Some(9), "{victim:?} {at} {when:?}\n{killed}");
                    whole(&candidates, &target, &format!("{victim:?} {at} {when:?}"));
                    let rerun = run(&candidates, &target).output();
                    assert_eq!(rerun.code, Some(0), "{victim:?} {at} {when:?}\n{rerun}");
                    assert_eq!(
                        (settled(&candidates), settled(&target)),
                        wanted,
                        "{victim:?} {at} {when:?}\n{rerun}"
                    );
                    for registry in [&candidates, &target] {
                        assert_eq!(versions_written_twice(registry), [""; 0], "{victim:?} {at} {when:?}");
                    }
                    true
                });
                if !before || !after {
                    requests += at - 1;
                    break;
                }
            }
        }
        assert!(requests >= 35, "two images take more than {requests} requests");
    }
}

/// Whatever a killed run has left: a tag tells of nothing that is not whole, and the lead's comes last.
fn whole(candidates: &Registry, target: &Registry, crash: &str) {
    let release = pair();
    let has = |registry: &Registry, place: &str, tag: &str| registry.tags(place).contains_key(tag);
    for registry in [candidates, target] {
        assert!(!has(registry, "acme/app", "0.1.1") || has(registry, "acme/web", "0.1.1"), "{crash}");
        for place in ["acme/app", "acme/web"] {
            let tagged = has(registry, place, "0.1.1");
            assert!(!tagged || has(candidates, "acme/app", "set-0.1.1"), "{crash}");
            let blobs = release.image(place);
            let there = blobs.blobs().iter().all(|blob| registry.blob(place, &blob.digest).is_some());
            assert!(!tagged || there, "{crash}");
        }
    }
    signed_before_seen(candidates, &release, crash);
    for place in ["acme/app", "acme/web"] {
        let signed = !summaries(target, place, &release.digest(place)).is_empty();
        assert!(signed || !has(candidates, "acme/app", "set-0.1.1"), "{crash}");
    }
    // Before anything else: all content is in the target.
    if candidates.tags("acme/app").keys().any(|tag| tag.starts_with("claim-")) {
        for place in ["acme/app", "acme/web"] {
            assert!(target.manifest(place, &release.digest(place)).is_some(), "{crash}");
        }
    }
}
