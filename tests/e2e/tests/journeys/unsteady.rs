//! A registry behind a proxy that has bad moments; and what passes on the wire.

use std::time::Duration;

use e2e::containers::Containers;
use e2e::docker_registry::{Access, DockerRegistry, PASSWORD, USER};
use e2e::openssl::KeyPair;
use e2e::pipeline::{Pipeline, commit, ends, result};
use e2e::proxy::{Fault, Proxy, Seen};
use e2e::reader::Reader;

/// A release of one image with two blobs on a registry without referrers API, and the same once more: what was counted when
/// this was written. More needs a reason.
const MOST_REQUESTS: [(&str, usize); 6] = [
    // The candidate is looked at behind the content, in a new repository as well: two requests.
    ("registry-push", 16),
    ("integration-test", 12),
    ("promote", 17),
    // The tags are asked for beside the set: in vain here, and one round trip less for every new commit.
    ("registry-push, nothing new", 6),
    ("integration-test, the same results", 12),
    ("promote, nothing new", 4),
];

/// A request that nobody needs: the spec lets a client ask for credentials where they are wanted.
fn is_ping(request: &Seen) -> bool {
    request.target.trim_end_matches('/') == "/v2"
}

fn shown(requests: &[Seen]) -> String {
    requests.iter().map(|request| format!("  {request}\n")).collect()
}

#[test]
fn bad_moments_are_waited_out_and_no_request_is_needless() {
    let containers = Containers::new();
    let registry = DockerRegistry::start(Access::Password);
    let proxy = Proxy::start(&registry, Duration::ZERO);
    let (reader, keys) = (Reader::new(&registry), KeyPair::generate());
    let build = |number: u64| {
        let id = commit(u8::try_from(number).unwrap());
        let pipeline = Pipeline::push(&id, number, &proxy.host()).login(USER, PASSWORD);
        let archive = pipeline.workspace().join("app.tar");
        let content = format!("{number}\n");
        containers.build(&[("app", content.as_bytes())], &format!("oci-archive:{}:built", archive.display()));
        pipeline.write("results.json", r#"{"tests": [{"name": "answers", "status": "passed"}]}"#);
        pipeline
    };
    let steps = |pipeline: &Pipeline| {
        [
            ("registry-push", pipeline.publish("oci-archive:app.tar")),
            ("integration-test", pipeline.report("results.json", &keys)),
            ("promote", pipeline.promote(&keys)),
        ]
    };

    // Undisturbed: what a release costs.
    let calm = build(1);
    let mut counts = Vec::new();
    for (_, step) in steps(&calm).iter().chain(&steps(&calm)) {
        drop(ends(step, 0));
        counts.push(proxy.take_seen());
    }
    for (requests, (plugin, most)) in counts.iter().zip(MOST_REQUESTS) {
        assert!(requests.len() <= most, "{plugin}: more than {most} requests\n{}", shown(requests));
        report(&format!("{plugin}: {} requests\n{}", requests.len(), shown(requests)));
        assert!(!requests.iter().any(is_ping), "{plugin}\n{}", shown(requests));
        let secrets = [PASSWORD, keys.private.lines().nth(1).unwrap()];
        for request in requests {
            assert!(!secrets.iter().any(|secret| request.head.contains(secret)), "{plugin}: {request}");
        }
    }

    // Disturbed: each step meets a registry that restarts, then one that has had enough.
    let stormy = build(2);
    for (plugin, step) in steps(&stormy) {
        proxy.faults(&[Fault::Unavailable, Fault::Unavailable, Fault::TooMany(1)]);
        let finished = ends(&step, 0);
        assert_eq!(proxy.faults_left(), 0, "{finished}");
        assert!(finished.duration >= Duration::from_secs(1), "Retry-After is kept\n{finished}");
        let requests = proxy.take_seen();
        assert!(!requests.iter().any(is_ping), "{plugin}\n{}", shown(&requests));
        report(&format!("{plugin}: {} requests with three faults\n", requests.len()));
    }
    assert_eq!(reader.digest("acme/app:0.1.1"), reader.digest("acme/app:0.1.1-rc.2"));
    assert_eq!(result(&ends(&stormy.promote(&keys), 0), "promote", "outcome"), "unchanged");
}

#[expect(clippy::print_stdout, reason = "the counts, with --nocapture")]
fn report(text: &str) {
    print!("{text}");
}
