//! Killed before or after any request, a rerun comes to the same end.

use std::cell::Cell;

use granary_testkit::crash;
use granary_testkit::process::Run;
use granary_testkit::registry::{Options, Registry, State};

use crate::{SET, image, set, step};

/// Two images; a restarted pipeline has a new number and a workspace of its own.
fn two(registry: &Registry, number: &str) -> Run {
    let run = step("push.plugin", registry).env("CI_PIPELINE_NUMBER", number);
    for (seed, name) in (1..).zip(["api", "web"]) {
        image(seed).write_layout(&run.workspace().join(name), "latest");
    }
    run.plugin("repo", "acme/{name}").plugin("sources", "oci:api,oci:web").plugin("concurrency", "1")
}

/// Killed before the record was written, nothing was visible and the rerun publishes under its own number;
/// killed after, it finishes the number that the record has. Either way one candidate, whole.
#[test]
fn a_rerun_finishes_whatever_was_cut_off() {
    let runs = Cell::new(0);
    let numbers = |registry: &Registry| {
        runs.set(runs.get() + 1);
        two(registry, if runs.get() % 2 == 1 { "11" } else { "12" })
    };
    let adopted = Cell::new(0);
    let requests =
        crash::at_every_request(&Options::default(), &State::default(), numbers, |registry, rerun, crash| {
            assert_eq!(rerun.code, Some(0), "{crash:?} {rerun}");
            let candidate = set(registry, "acme/api", SET).candidate.to_string();
            if candidate == "0.1.0-rc.11" {
                adopted.set(adopted.get() + 1);
            } else {
                assert_eq!(candidate, "0.1.0-rc.12", "{crash:?}");
            }
            let of_set = format!("set-{candidate}");
            let members = [candidate.as_str(), "integration-7a77c59", "sha-7a77c59"];
            let lead = [candidate.as_str(), "integration-7a77c59", &of_set, SET, "sha-7a77c59"];
            assert_eq!(crate::tags(registry, "acme/web"), members, "{crash:?}");
            assert_eq!(crate::tags(registry, "acme/api"), lead, "{crash:?}");
            let history = |tag: &str| registry.history("acme/api", tag);
            assert_eq!(history(SET), history(&of_set), "one record: {crash:?}");
            assert_eq!(history(&candidate), [image(1).digest()], "{crash:?}");
        });
    assert!(requests > 20, "{requests}");
    assert!(adopted.get() > 4, "some of them die between the record and the end: {}", adopted.get());
}
