//! What goes over the wire: no ping, no token twice, no more requests than were measured.

use std::collections::BTreeSet;

use flow::pipeline::{Agent, commit, ends, image};
use granary_testkit::process::Run;
use granary_testkit::registry::{Options, Registry, Request};

/// Runs a step with success and returns its requests.
fn requests(registry: &Registry, run: &Run) -> Vec<Request> {
    registry.clear_log();
    drop(ends(run, 0));
    registry.requests()
}

fn listed(requests: &[Request]) -> String {
    requests.iter().map(Request::to_string).collect::<Vec<_>>().join("\n")
}

/// The steps of a first pipeline and of its restart, as (name, requests); the same on every registry.
fn steps(registry: &Registry, login: fn(Run) -> Run) -> Vec<(&'static str, Vec<Request>)> {
    let agent = Agent::new();
    let pipeline = agent.push(registry, &commit(1), 11);
    let again = agent.restart(&pipeline, 12);
    let by_commit = agent.restart(&pipeline, 13);
    let tests = [("answers", "passed")];
    let built = [image("one")];
    vec![
        ("first push of a small image", requests(registry, &login(pipeline.publish(&built)))),
        ("signed report", requests(registry, &login(pipeline.report(&tests)))),
        ("promotion", requests(registry, &login(pipeline.promote()))),
        ("the same push again", requests(registry, &login(again.publish(&built)))),
        ("nothing to promote, after a push", requests(registry, &login(again.promote()))),
        ("nothing to promote, by commit", requests(registry, &login(by_commit.promote()))),
    ]
}

/// Measured, not wished for: whoever adds a request has to say so here.
#[test]
fn no_step_makes_more_requests_than_were_measured() {
    for (name, options, most) in [
        ("with OCI-Tag and referrers", Options::default(), [14, 6, 16, 6, 4, 4]),
        ("docker-registry 2.8", Options::docker_registry_2_8(), [16, 12, 17, 6, 4, 4]),
    ] {
        let registry = Registry::start(options);
        for ((step, requests), most) in steps(&registry, |run| run).into_iter().zip(most) {
            report(name, step, requests.len(), most);
            assert!(
                requests.len() <= most,
                "{name}, {step}: {} requests\n{}",
                requests.len(),
                listed(&requests)
            );
        }
    }
}

#[expect(clippy::print_stdout, reason = "the numbers are asked for: cargo test -p flow wire -- --nocapture")]
fn report(registry: &str, step: &str, requests: usize, most: usize) {
    println!("{requests:3} requests of {most:3}: {step} ({registry})");
}

#[test]
fn nobody_pings_and_no_token_is_fetched_twice() {
    let login = |run: Run| run.plugin("username", "robot").plugin("password", "secret");
    for options in [Options::with_token("robot", "secret"), {
        Options { challenge_scope: Some("*".to_owned()), ..Options::with_token("robot", "secret") }
    }] {
        let scope = options.challenge_scope.clone();
        let registry = Registry::start(options);
        for (step, requests) in steps(&registry, login) {
            let pings = requests.iter().filter(|request| request.path.trim_end_matches('/') == "/v2").count();
            assert_eq!(pings, 0, "{step}");
            let tokens: Vec<&str> = requests
                .iter()
                .filter(|request| request.path == "/token")
                .map(|request| request.query.as_str())
                .collect();
            let different: BTreeSet<&str> = tokens.iter().copied().collect();
            assert_eq!(tokens.len(), different.len(), "{step} {scope:?} {tokens:?}");
            assert_eq!(
                tokens.len(),
                1,
                "one repository takes one token: {step} {scope:?}\n{}",
                listed(&requests)
            );
            let refused = requests.iter().filter(|request| request.status == Some(401)).count();
            assert_eq!(
                refused,
                1,
                "the challenge, and no other 401: {step} {scope:?}\n{}",
                listed(&requests)
            );
        }
    }
}

#[test]
fn with_a_password_the_registry_is_not_asked_how_to_be_spoken_to() {
    let registry = Registry::start(Options::with_basic("robot", "secret"));
    let login = |run: Run| run.plugin("username", "robot").plugin("password", "secret");
    for (step, requests) in steps(&registry, login) {
        assert!(requests.iter().all(|request| request.status != Some(401)), "{step}\n{}", listed(&requests));
        assert!(requests.iter().all(|request| request.authorization.as_deref() == Some("basic")), "{step}");
    }
}

#[test]
fn several_images_take_one_token_each() {
    let registry = Registry::start(Options::with_token("robot", "secret"));
    let agent = Agent::new();
    let names = ["app", "web", "worker", "cron"];
    let login = |run: Run| run.plugin("username", "robot").plugin("password", "secret");
    let pipeline = agent.push(&registry, &commit(1), 11).several(&names);
    let images = names.map(image);
    for (step, run) in [
        ("push", pipeline.publish(&images)),
        ("report", pipeline.report(&[("answers", "passed")])),
        ("promote", pipeline.promote()),
    ] {
        let requests = requests(&registry, &login(run));
        let tokens: Vec<&str> = requests
            .iter()
            .filter(|request| request.path == "/token")
            .map(|request| request.query.as_str())
            .collect();
        let different: BTreeSet<&str> = tokens.iter().copied().collect();
        assert_eq!(tokens.len(), different.len(), "{step} {tokens:?}");
        assert_eq!(tokens.len(), names.len(), "{step}\n{}", tokens.join("\n"));
    }
}
