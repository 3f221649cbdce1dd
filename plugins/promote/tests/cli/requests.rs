//! Order and number of requests.

use std::time::Duration;

use granary_release::claim::ClaimKind;
use granary_testkit::registry::{Options, Registry};

use crate::world::{Evidence, Release, list_in_fallback, promote, signing, tested, tested_on};

fn log(registry: &Registry, release: &Release) -> Vec<String> {
    let short = |text: String| {
        let mut text = text.replace(&release.set_digest(), "SET");
        for repository in &release.repositories {
            let name = repository.rsplit('/').next().unwrap().to_uppercase();
            text = text.replace(&release.digest(repository), &name);
        }
        for (number, bundle) in registry.referrers(release.lead(), &release.set_digest()).iter().enumerate() {
            let manifest = registry.manifest(release.lead(), bundle).unwrap().1;
            let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
            text =
                text.replace(manifest["layers"][0]["digest"].as_str().unwrap(), &format!("BUNDLE-{number}"));
            text = text.replace(bundle, &format!("EVIDENCE-{number}"));
        }
        text.replace("/v2/acme/", "")
    };
    let mut log: Vec<String> = registry.requests().iter().map(|request| short(request.to_string())).collect();
    // Much is asked for at once, and which of that arrives first is chance.
    let reads = |one: &String, other: &String| one.starts_with("GET") == other.starts_with("GET");
    log.chunk_by_mut(reads).filter(|asked| asked[0].starts_with("GET")).for_each(<[String]>::sort);
    log
}

/// How many round trips a run took at a registry that takes `latency` for each request.
fn round_trips(registry: &Registry, latency: Duration) -> usize {
    let mut times: Vec<_> = registry.requests().iter().map(|request| request.at).collect();
    times.sort();
    let mut begun = None;
    let begins = |at: &&_| match begun {
        Some(before) if **at - before < latency => false,
        _ => {
            begun = Some(**at);
            true
        }
    };
    times.iter().filter(begins).count()
}

#[test]
fn a_fresh_promotion_asks_for_nothing_twice() {
    let release = Release::new("0.1.1-rc.11");
    let registry = tested(&release);
    assert_eq!(promote("push", &registry).output().code, Some(0));
    assert_eq!(
        log(&registry, &release),
        [
            "GET app/blobs/BUNDLE-0 200",
            // Looked at themselves: a list may be older than the last promotion.
            "GET app/manifests/0.1.1 404",
            "GET app/manifests/APP 200",
            "GET app/manifests/EVIDENCE-0 200",
            "GET app/manifests/set-0.1.1 404",
            "GET app/manifests/set-7a77c5932e35c13bf0bf61a33f757b21d41692b5 200",
            "GET app/referrers/SET?artifactType=application%2Fvnd.dev.sigstore.bundle.v0.3%2Bjson 200",
            "GET app/tags/list?n=1000 200",
            "PUT app/manifests/claim-0.1.1-d3198773f1ac 201",
            // Whoever claims at the same time is seen now, and whoever wrote without a claim.
            "GET app/manifests/0.1.1 404",
            "GET app/manifests/set-0.1.1 404",
            "GET app/tags/list?n=1000 200",
            "PUT app/manifests/set-0.1.1 201",
            // Another run of this very set, which has moved on to a higher version.
            "GET app/tags/list?n=1000 200",
            "PUT app/manifests/0.1.1 201",
            "PUT app/manifests/validated-7a77c59 201",
        ]
    );
}

/// Round trips are what a pipeline waits for: what does not depend on each other is asked for at once. The very
/// first request goes alone, for all others learn from its answer how to be let in.
#[test]
fn a_promotion_is_eleven_round_trips_deep_and_nothing_to_do_four() {
    let release = Release::new("0.1.1-rc.11");
    let before = Release::of('b', "0.1.0-rc.9", 9);
    // Long beside what a busy machine delays: what was sent at once must not look like one after the other.
    let latency = Duration::from_millis(250);
    for promoted_before in [false, true] {
        let registry = tested_on(Options { latency, ..Options::default() }, &release);
        if promoted_before {
            before.publish(&registry);
            before.promoted(&registry, "0.1.0");
        }
        assert_eq!(promote("push", &registry).output().code, Some(0));
        assert!(round_trips(&registry, latency) <= 11, "{:#?}", log(&registry, &release));
        registry.clear_log();
        assert_eq!(promote("push", &registry).output().code, Some(0));
        assert!(round_trips(&registry, latency) <= 4, "{:#?}", log(&registry, &release));
    }
}

/// DESIGN §10, the whole of it: set, evidence, claim, summary, tags.
#[test]
fn with_a_summary_it_is_twenty_requests_and_twelve_round_trips_deep() {
    let release = Release::new("0.1.1-rc.11");
    let latency = Duration::from_millis(250);
    let registry = tested_on(Options { latency, ..Options::default() }, &release);
    assert_eq!(signing(promote("push", &registry)).output().code, Some(0));
    let log: Vec<String> = registry.requests().iter().map(ToString::to_string).collect();
    assert!(round_trips(&registry, latency) <= 12, "{log:#?}");
    assert_eq!(log.len(), 20, "{log:#?}");
    // Its content is brought beside the claim and the list after it.
    let at = |part: &str| log.iter().rposition(|line| line.contains(part)).unwrap();
    assert!(at("PUT /v2/acme/app/blobs/uploads") < at("PUT /v2/acme/app/manifests/set-"), "{log:#?}");
}

/// Without the API each of the two subjects has an index to be read, written and looked at again.
#[test]
fn with_a_summary_on_a_registry_without_referrers_api() {
    let release = Release::new("0.1.1-rc.11");
    let registry = Registry::start(Options::docker_registry_2_8());
    release.publish(&registry);
    let carrier = Evidence::default().attach(&registry, &release);
    list_in_fallback(&registry, &release, &carrier);
    assert_eq!(signing(promote("push", &registry)).output().code, Some(0));
    let log: Vec<String> = registry.requests().iter().map(ToString::to_string).collect();
    assert_eq!(log.len(), 27, "{log:#?}");
}

/// An old candidate learns from one read that it has been overtaken, however many have been promoted since,
/// while everybody's claims are there and when retention has taken them.
#[test]
fn whoever_was_overtaken_long_ago_is_told_soon() {
    let release = Release::new("0.1.1-rc.11");
    let registry = tested(&release);
    for patch in 1..=40_u64 {
        let newer = Release::of('b', "0.1.1-rc.12", 11 + patch);
        newer.promoted(&registry, &format!("0.1.{patch}"));
        newer.claims(&registry, &format!("0.1.{patch}"), ClaimKind::Derived, 9000);
    }
    assert_eq!(promote("push", &registry).output().json(".granary/promote.json")["outcome"], "skipped");
    let sets = |registry: &Registry| registry.count(|request| request.path.contains("/manifests/set-0."));
    assert_eq!(sets(&registry), 1, "{:#?}", log(&registry, &release));
    assert!(registry.requests().len() <= 8, "{:#?}", log(&registry, &release));
}

#[test]
fn nothing_to_do_is_four_requests() {
    let release = Release::new("0.1.1-rc.11");
    let registry = tested(&release);
    release.promoted(&registry, "0.1.1");
    assert_eq!(promote("push", &registry).output().code, Some(0));
    assert_eq!(
        log(&registry, &release),
        [
            "GET app/manifests/0.1.1 200",
            "GET app/manifests/set-0.1.1 200",
            "GET app/manifests/set-7a77c5932e35c13bf0bf61a33f757b21d41692b5 200",
            "GET app/tags/list?n=1000 200",
        ]
    );
}

#[test]
fn set_first_lead_after_members_validated_last() {
    let release =
        Release { repositories: vec!["acme/app", "acme/web", "acme/db"], ..Release::new("0.1.1-rc.11") };
    let registry = tested(&release);
    let run = promote("push", &registry).plugin("repo", "acme/{name}").plugin("lead", "app");
    assert_eq!(run.output().code, Some(0));
    let log = log(&registry, &release);
    // Listed three times, and the version looked at before and after the claim: neither can be saved.
    let mut once: Vec<_> =
        log.iter().filter(|line| !line.contains("tags/list") && !line.ends_with("404")).collect();
    let all = once.len();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), all, "a request was sent twice: {log:#?}");
    let mut writes: Vec<String> = log.into_iter().filter(|line| line.starts_with("PUT ")).collect();
    // The members' order among each other is free.
    writes[2..4].sort();
    writes[5..7].sort();
    assert_eq!(
        writes,
        [
            "PUT app/manifests/claim-0.1.1-eba02f6dd0d6 201",
            "PUT app/manifests/set-0.1.1 201",
            "PUT db/manifests/0.1.1 201",
            "PUT web/manifests/0.1.1 201",
            "PUT app/manifests/0.1.1 201",
            "PUT db/manifests/validated-7a77c59 201",
            "PUT web/manifests/validated-7a77c59 201",
            "PUT app/manifests/validated-7a77c59 201",
        ]
    );
}

/// Members are asked about together; one after the other, fourteen of them would take fourteen round trips.
#[test]
fn members_are_looked_at_and_tagged_at_once() {
    let release = Release {
        repositories: vec!["acme/app", "acme/a", "acme/b", "acme/c"],
        ..Release::new("0.1.1-rc.11")
    };
    let latency = Duration::from_millis(50);
    let registry = tested_on(Options { latency, ..Options::default() }, &release);
    let run = promote("push", &registry).plugin("repo", "acme/{name}").plugin("lead", "app");
    assert_eq!(run.output().code, Some(0));
    let at = |part: &str| {
        let requests = registry.requests().into_iter().filter(|request| request.to_string().contains(part));
        let mut times: Vec<_> = requests.map(|request| request.at).collect();
        times.sort();
        let (before, after) = times.split_at(5);
        assert_eq!(after.len(), 5, "{part}");
        (before[4] - before[0]).max(after[4] - after[0])
    };
    // Four members and the version's set, before the claim and after it.
    assert!(at("0.1.1 404") < latency, "five looks");
    let members = registry.requests().into_iter().filter(|request| {
        request.is_write() && request.path.ends_with("/0.1.1") && !request.path.contains("/app/")
    });
    let times: Vec<_> = members.map(|request| request.at).collect();
    assert!(times[2] - times[0] < latency, "{times:?}");
}

#[test]
fn a_registry_without_referrers_api_is_probed_once() {
    let release = Release::new("0.1.1-rc.11");
    let registry = tested_on(Options::docker_registry_2_8(), &release);
    let run = promote("push", &registry).output();
    // Evidence was attached as the API has it; without the API it hangs on the fallback tag, which is not there.
    assert_eq!(run.code, Some(14), "{run}");
    assert_eq!(registry.count(|request| request.path.contains("/referrers/")), 1);
}

#[test]
fn one_token_reads_and_writes() {
    let release = Release::new("0.1.1-rc.11");
    let registry = tested_on(Options::with_token("ci", "hunter2"), &release);
    let done = promote("push", &registry).plugin("username", "ci").plugin("password", "hunter2").output();
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(registry.count(|request| request.path == "/token"), 1);
    assert!(!format!("{done}").contains("hunter2"));
}
