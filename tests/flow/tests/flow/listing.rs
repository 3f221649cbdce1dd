//! A failed listing is not an empty registry: no number is made up, nothing is promoted.

use flow::pipeline::{APP, Agent, commit, ends, image};
use granary_testkit::registry::{Action, Auth, Fault, LastPage, Options, Registry, Request};

/// A list of several pages in which everything but the first page fails, and the exit code that has to follow.
fn broken() -> [(Action, i32); 7] {
    let body = |code, body: &str| Action::Status { code, headers: Vec::new(), body: body.to_owned() };
    [
        (Action::status(500), 12),
        (Action::status(403), 18),
        (Action::status(401), 18),
        (Action::ResetBefore, 12),
        (Action::ResetResponseAt(10), 12),
        // A proxy's idea of "not there", and half a page that says it is a whole one.
        (body(404, "<html>no such page</html>"), 20),
        (Action::Truncate(10), 20),
    ]
}

fn pages() -> Options {
    Options { page_size: Some(2), ..Options::default() }
}

#[test]
fn a_listing_that_breaks_off_makes_no_number_up() {
    let agent = Agent::new();
    let registry = Registry::start(pages());
    agent.push(&registry, &commit(1), 11).released(&[image("one")]);
    let state = registry.clone_state();
    for (action, code) in broken() {
        let registry = Registry::start_with(pages(), state.clone());
        let before = registry.snapshot();
        let said = format!("{action:?}");
        registry.fault(Fault::on("GET", "/tags/list", action).after(1).times(usize::MAX));
        let push = agent.push(&registry, &commit(2), 12).publish(&[image("two")]).plugin("retries", "1");
        let failed = ends(&push, code);
        assert_eq!(registry.snapshot(), before, "{said}");
        assert_eq!(registry.count(Request::is_write), 0, "{said} {:?}", registry.requests());
        let result = failed.json(".granary/registry-push.json");
        assert_eq!(
            (&result["outcome"], &result["version"]),
            (&"failed".into(), &serde_json::Value::Null),
            "{said}"
        );
    }
}

#[test]
fn a_listing_that_breaks_off_promotes_nothing() {
    let agent = Agent::new();
    let registry = Registry::start(pages());
    agent.push(&registry, &commit(1), 11).released(&[image("one")]);
    agent.push(&registry, &commit(2), 12).tested(&[image("two")]);
    let state = registry.clone_state();
    for (action, code) in broken() {
        let registry = Registry::start_with(pages(), state.clone());
        let before = registry.snapshot();
        let said = format!("{action:?}");
        registry.fault(Fault::on("GET", "/tags/list", action).after(1).times(usize::MAX));
        let failed = ends(&agent.push(&registry, &commit(2), 12).promote().plugin("retries", "1"), code);
        assert_eq!(registry.snapshot(), before, "{said}");
        assert_eq!(registry.count(Request::is_write), 0, "{said} {:?}", registry.requests());
        assert_eq!(failed.json(".granary/promote.json")["outcome"], "failed", "{said}");
    }
}

/// The same for what stands where a list of evidence should: an error is not "no evidence against it".
#[test]
fn evidence_that_cannot_be_listed_is_not_absent() {
    let agent = Agent::new();
    let registry = Registry::start(Options::default());
    agent.push(&registry, &commit(1), 11).tested(&[image("one")]);
    let state = registry.clone_state();
    for (part, action, code) in [
        ("/referrers/", Action::status(500), 12),
        ("/referrers/", Action::status(403), 18),
        ("/referrers/", Action::Truncate(10), 20),
        ("/blobs/", Action::status(500), 12),
        ("/blobs/", Action::Corrupt, 20),
    ] {
        let registry = Registry::start_with(Options::default(), state.clone());
        let before = registry.snapshot();
        let said = format!("{part} {action:?}");
        registry.fault(Fault::on("GET", part, action).times(usize::MAX));
        let failed = agent.push(&registry, &commit(1), 11).promote().plugin("retries", "1").output();
        assert_eq!(failed.code, Some(code), "{said}\n{failed}");
        assert_eq!(registry.snapshot(), before, "{said}");
    }
}

#[test]
fn a_last_page_that_names_a_next_one_ends_the_list() {
    for last_page in [LastPage::LinkToEmpty, LastPage::LinkToItself] {
        let registry = Registry::start(Options { page_size: Some(2), last_page, ..Options::default() });
        let agent = Agent::new();
        agent.push(&registry, &commit(1), 11).released(&[image("one")]);
        agent.push(&registry, &commit(2), 12).released(&[image("two")]);
        assert_eq!(registry.tags(APP)["0.1.1"], image("two").digest(), "{last_page:?}");
    }
}

#[test]
fn fifteen_hundred_tags_are_read_to_the_last() {
    let mut agent_of = Vec::new();
    for options in [Options { page_size: Some(100), ..Options::default() }, Options::docker_registry_2_8()] {
        let registry = Registry::start(options);
        // The highest by number is neither first nor last by text, and stands on a page in the middle.
        for patch in 0..1490 {
            registry.put_image(APP, &[&format!("1.2.{patch}-rc.1")], &image("old"));
        }
        for tag in
            ["0.9.9", "1.2.99", "1.2.1000", "1.10.0", "1.9.0", "v7.0.0", "9.0.0-rc.1", "latest", "2", "2.0"]
        {
            registry.put_image(APP, &[tag], &image("old"));
        }
        assert_eq!(registry.tags(APP).len(), 1500);
        let agent = Agent::new();
        let pipeline = agent.push(&registry, &commit(1), 11);
        pipeline.tested(&[image("new")]);
        assert_eq!(registry.tags(APP)["1.10.1-rc.11"], image("new").digest());
        // 1.10.0 has no set, so the order has to be settled by hand once.
        drop(ends(&pipeline.promote().plugin("allow_older", "true"), 0));
        assert_eq!(registry.tags(APP)["1.10.1"], image("new").digest());
        agent.push(&registry, &commit(2), 12).released(&[image("newer")]);
        assert_eq!(registry.tags(APP)["1.10.2"], image("newer").digest());
        agent_of.push(agent);
    }
}

#[test]
fn a_wrong_password_is_answered_with_the_registrys_words_and_no_secret() {
    for options in [Options::with_token("robot", "right"), Options::with_basic("robot", "right")] {
        let kind = matches!(options.auth, Auth::Token { .. });
        let registry = Registry::start(options);
        let agent = Agent::new();
        let push = agent.push(&registry, &commit(1), 11).publish(&[image("one")]);
        let failed = ends(&push.plugin("username", "robot").plugin("password", "not-the-right-one"), 18);
        assert!(failed.stderr.contains("wrong user name or password"), "token: {kind}\n{failed}");
        assert!(!failed.stderr.contains("not-the-right-one"), "token: {kind}\n{failed}");
        assert_eq!(registry.snapshot().len(), 0);
    }
}
