//! `stable_repo` in another registry.

use granary_testkit::process::Run;
use granary_testkit::registry::{Action, Fault, Options, Registry};

use crate::{image, push, writes};

/// `other:elsewhere`.
const ELSEWHERE: &str = "b3RoZXI6ZWxzZXdoZXJl";

fn both() -> (Registry, Registry) {
    let candidates = Registry::start(Options::with_token("ci", "hunter2-hunter2"));
    let production = Registry::start(Options::with_token("other", "elsewhere"));
    candidates.put_image("acme/app", &["0.1.9"], &image(9));
    production.put_image("prod/app", &["2.3.4"], &image(9));
    (candidates, production)
}

fn run(candidates: &Registry, production: &Registry, path: &str) -> Run {
    let run = push(candidates)
        .plugin("username", "ci")
        .plugin("password", "hunter2-hunter2")
        .plugin("stable_repo", &format!("{}/{path}", production.host()));
    let folder = run.workspace().join("docker");
    std::fs::create_dir(&folder).unwrap();
    let config = format!(r#"{{"auths":{{"{}":{{"auth":"{ELSEWHERE}"}}}}}}"#, production.host());
    std::fs::write(folder.join("config.json"), config).unwrap();
    run.env("DOCKER_CONFIG", folder.to_str().unwrap())
}

#[test]
fn the_higher_of_both_counts_and_each_is_read_with_its_own_credentials() {
    let (candidates, production) = both();
    let candidate = |path: &str| {
        let finished = run(&candidates, &production, path).plugin("dry_run", "true").output();
        assert_eq!(finished.code, Some(0), "{finished}");
        finished.json(".granary/registry-push.json")["candidate"].as_str().unwrap().to_owned()
    };
    assert_eq!(candidate("prod/app"), "2.3.5-rc.11");
    assert_eq!(candidate("prod/none"), "0.1.10-rc.11", "a repository that is not there yet is empty");
    // Promotion has come as far as the candidates' repository, and production's is behind.
    candidates.put_image("acme/app", &["2.4.0"], &image(9));
    assert_eq!(candidate("prod/app"), "2.4.1-rc.11");
    assert_eq!(writes(&production), 0);
    assert!(!production.saw_bytes(b"hunter2-hunter2"));
}

#[test]
fn without_an_auth_file_nobody_is_asked_in_our_name() {
    let (candidates, production) = both();
    let finished = run(&candidates, &production, "prod/app").without("DOCKER_CONFIG").output();
    assert_eq!((finished.code, writes(&candidates)), (Some(18), 0), "{finished}");
    assert!(finished.stderr.contains("for other registries use an auth file (DOCKER_CONFIG)"), "{finished}");
    // Nor the same in Basic's form.
    for secret in ["hunter2-hunter2", "Y2k6aHVudGVyMi1odW50ZXIy"] {
        assert!(!production.saw_bytes(secret.as_bytes()), "{secret}");
    }
}

/// A failed listing, of either, is not an empty registry.
#[test]
fn either_list_that_fails_ends_the_run() {
    for failing in [0, 1] {
        let (candidates, production) = both();
        let registry = [&candidates, &production][failing];
        registry.fault(Fault::on("GET", "/tags/list", Action::status(500)).times(1000));
        let finished = run(&candidates, &production, "prod/app").plugin("retries", "0").output();
        assert_eq!((finished.code, writes(&candidates)), (Some(12), 0), "{finished}");
    }
}
