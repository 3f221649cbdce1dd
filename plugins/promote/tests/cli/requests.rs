//! Order and number of requests.

use granary_testkit::registry::{Options, Registry};

use crate::world::{Release, promote, tested, tested_on};

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
    // Asked for at once: which of the two arrives first is chance.
    for pair in 1..log.len() {
        if log[pair - 1].starts_with("GET app/manifests/0.")
            && log[pair].starts_with("GET app/manifests/set-0.")
        {
            log.swap(pair - 1, pair);
        }
    }
    log
}

#[test]
fn a_fresh_promotion_asks_for_nothing_twice() {
    let release = Release::new("0.1.1-rc.11");
    let registry = tested(&release);
    assert_eq!(promote("push", &registry).output().code, Some(0));
    assert_eq!(
        log(&registry, &release),
        [
            "GET app/tags/list?n=1000 200",
            "GET app/manifests/set-7a77c5932e35c13bf0bf61a33f757b21d41692b5 200",
            // Looked at themselves: a list may be older than the last promotion.
            "GET app/manifests/set-0.1.1 404",
            "GET app/manifests/0.1.1 404",
            "GET app/referrers/SET?artifactType=application%2Fvnd.dev.sigstore.bundle.v0.3%2Bjson 200",
            "GET app/manifests/EVIDENCE-0 200",
            "GET app/blobs/BUNDLE-0 200",
            "GET app/manifests/APP 200",
            "PUT app/manifests/set-0.1.1 201",
            "PUT app/manifests/0.1.1 201",
            "PUT app/manifests/validated-7a77c59 201",
        ]
    );
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
            "GET app/tags/list?n=1000 200",
            "GET app/manifests/set-7a77c5932e35c13bf0bf61a33f757b21d41692b5 200",
            "GET app/manifests/set-0.1.1 200",
            "GET app/manifests/0.1.1 200",
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
    let mut once = log.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), log.len(), "a request was sent twice: {log:#?}");
    let mut writes: Vec<String> = log.into_iter().filter(|line| line.starts_with("PUT ")).collect();
    // The members' order among each other is free.
    writes[1..3].sort();
    writes[4..6].sort();
    assert_eq!(
        writes,
        [
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
    let latency = std::time::Duration::from_millis(50);
    let registry = tested_on(Options { latency, ..Options::default() }, &release);
    let run = promote("push", &registry).plugin("repo", "acme/{name}").plugin("lead", "app");
    assert_eq!(run.output().code, Some(0));
    let at = |part: &str| {
        let requests = registry.requests().into_iter().filter(|request| request.to_string().contains(part));
        let times: Vec<_> = requests.map(|request| request.at).collect();
        assert_eq!(times.len(), 5, "{part}");
        *times.iter().max().unwrap() - *times.iter().min().unwrap()
    };
    // Four members and the version's set.
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
