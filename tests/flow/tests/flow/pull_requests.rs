//! What a stranger's pull request builds is neither published nor promoted.

use flow::pipeline::{APP, Agent, commit, ends, image};
use granary_testkit::registry::{Options, Registry};

#[test]
fn a_pull_request_neither_publishes_nor_promotes() {
    let registry = Registry::start(Options::default());
    let agent = Agent::new();
    agent.push(&registry, &commit(1), 11).tested(&[image("one")]);
    let before = registry.snapshot();
    registry.clear_log();
    for event in ["pull_request", "pull_request_closed", "pull_request_metadata"] {
        // The commit of the tested candidate: not even what is good may be promoted from here.
        let pipeline =
            agent.pipeline(&registry, "pull_request", &commit(1), 18).with("CI_PIPELINE_EVENT", event);
        for (plugin, run) in
            [("registry-push", pipeline.publish(&[image("two")])), ("promote", pipeline.promote())]
        {
            let refused = ends(&run, 10);
            let result = refused.json(&format!(".granary/{plugin}.json"));
            assert_eq!(
                (&result["outcome"], &result["refusal"]["rule"]),
                (&"refused".into(), &"event".into())
            );
            assert_eq!(result["refusal"]["found"], event);
        }
        let named = pipeline.promote().plugin("candidate", "0.1.0-rc.11").plugin("branches", "*");
        drop(ends(&named, 10));
    }
    assert_eq!(registry.requests().len(), 0, "refused before anything is asked");
    assert_eq!(registry.snapshot(), before);
    assert_eq!(registry.tags(APP)["0.1.0-rc.11"], image("one").digest());
}
