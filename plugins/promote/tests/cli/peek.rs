//! What is read of a version by two requests at once, while another run publishes it between their answers.

use granary_testkit::registry::{Action, Fault, Registry, Request};

use crate::world::{Release, promote, tested, until};

fn is_get(request: &Request, name: &str) -> bool {
    request.method == "GET" && request.path.ends_with(name)
}

fn answered(registry: &Registry, name: &str) -> usize {
    registry.count(|request| is_get(request, name) && request.status.is_some_and(|status| status != 503))
}

/// `set-0.1.1` is asked for before the other run writes it, and 0.1.1 afterwards: the answers fit together
/// only when the first is asked for again, and then nobody claims what is there.
#[test]
fn a_version_that_appears_between_two_answers_is_seen_whole() {
    let release = Release::new("0.1.1-rc.11");
    let registry = tested(&release);
    let held = Fault::when(|request| is_get(request, "/manifests/0.1.1"), Action::status(503));
    registry.fault(held.times(usize::MAX));
    let running = promote("push", &registry).plugin("retries", "20").spawn();
    // The list has been read before anything else.
    until(|| answered(&registry, "/manifests/set-0.1.1") == 1);
    release.promoted(&registry, "0.1.1");
    registry.clear_faults();
    let finished = running.wait();
    assert_eq!(finished.code, Some(0), "{finished}");
    assert_eq!(answered(&registry, "/manifests/set-0.1.1"), 2, "asked for again");
    let written: Vec<String> =
        registry.requests().into_iter().filter(Request::is_write).map(|r| r.path).collect();
    let signpost = format!("/v2/acme/app/manifests/validated-{}", &release.commit[..7]);
    assert_eq!(written, [signpost], "no claim, and no version once more");
}
