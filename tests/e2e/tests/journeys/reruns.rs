//! The days after the first release: restarts, builds that are not reproducible, tests that fail, pipelines that overtake.

use std::collections::BTreeMap;

use e2e::containers::Containers;
use e2e::docker_registry::{Access, DockerRegistry};
use e2e::openssl::KeyPair;
use e2e::pipeline::{Pipeline, commit, ends, result};
use e2e::reader::Reader;

const PASSED: &str = include_str!("../../data/junit/passed.xml");
const FAILED: &str = include_str!("../../data/junit/failed.xml");

struct Scene {
    containers: Containers,
    registry: DockerRegistry,
    reader: Reader,
    keys: KeyPair,
}

impl Scene {
    fn new() -> Self {
        let registry = DockerRegistry::start(Access::Open);
        let reader = Reader::new(&registry);
        Self { containers: Containers::new(), registry, reader, keys: KeyPair::generate() }
    }

    /// Builds an image into the pipeline's workspace.
    fn build(&self, pipeline: &Pipeline, content: &str) {
        let archive = pipeline.workspace().join("app.tar");
        self.containers
            .build(&[("content", content.as_bytes())], &format!("oci-archive:{}:built", archive.display()));
    }

    /// Builds and publishes.
    fn published(&self, pipeline: &Pipeline, content: &str) {
        self.build(pipeline, content);
        drop(ends(&pipeline.publish("oci-archive:app.tar"), 0));
    }

    fn push(&self, id: u8, number: u64) -> Pipeline {
        Pipeline::push(&commit(id), number, &self.registry.host())
    }

    fn state(&self) -> BTreeMap<String, String> {
        self.reader.state("acme/app")
    }
}

#[test]
fn restarts_change_nothing_and_other_bytes_never_replace_what_was_promoted() {
    let scene = Scene::new();
    let first = scene.push(1, 11);
    scene.published(&first, "one");
    first.write("junit.xml", PASSED);
    let reported = ends(&first.report("junit.xml", &scene.keys), 0);
    assert_eq!(
        reported.json(".granary/integration-test.json")["passed"],
        3,
        "parents of subtests are no tests"
    );
    drop(ends(&first.promote(&scene.keys), 0));
    let before = scene.state();

    // Restarted with what the build has cached.
    let restart = Pipeline::restart(&commit(1), 12, 11, &scene.registry.host());
    std::fs::copy(first.workspace().join("app.tar"), restart.workspace().join("app.tar")).unwrap();
    let pushed = ends(&restart.publish("oci-archive:app.tar"), 0);
    assert_eq!(result(&pushed, "registry-push", "outcome"), "unchanged");
    assert_eq!(result(&pushed, "registry-push", "candidate"), "0.1.0-rc.11");
    assert_eq!(scene.state(), before);
    drop(restart.passes(&scene.keys));
    assert_eq!(result(&ends(&restart.promote(&scene.keys), 0), "promote", "outcome"), "unchanged");
    let names = |state: &BTreeMap<String, String>| state.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&scene.state()), names(&before), "only evidence was added");

    // Restarted with a build that makes other bytes of the same commit.
    let rebuilt = Pipeline::restart(&commit(1), 13, 11, &scene.registry.host());
    scene.published(&rebuilt, "one, an hour later");
    drop(rebuilt.passes(&scene.keys));
    let tested = scene.state();
    assert_eq!(tested["0.1.0"], before["0.1.0"]);
    assert_eq!(tested["0.1.0-rc.11"], before["0.1.0-rc.11"]);
    assert_ne!(tested["0.1.1-rc.13"], before["0.1.0"]);
    let refused = ends(&rebuilt.promote(&scene.keys), 11);
    assert_eq!(result(&refused, "promote", "outcome"), "refused");
    assert!(refused.stderr.contains("has other bytes"), "{refused}");
    assert_eq!(scene.state(), tested, "a refusal writes nothing");
}

#[test]
fn a_commit_whose_tests_fail_is_not_promoted_by_anybody() {
    let scene = Scene::new();
    let pipeline = scene.push(2, 12);
    scene.published(&pipeline, "two");
    pipeline.write("junit.xml", FAILED);
    let failed = ends(&pipeline.report("junit.xml", &scene.keys), 13);
    assert_eq!(result(&failed, "integration-test", "result"), "FAILED");
    assert!(failed.to_string().contains("are billed once"), "the test is named\n{failed}");
    let before = scene.state();

    // promote is not reached in that pipeline; somebody starts it by hand.
    let by_hand = Pipeline::new("manual", &commit(2), 13, &scene.registry.host());
    let refused = ends(&by_hand.promote(&scene.keys), 14);
    assert_eq!(result(&refused, "promote", "outcome"), "refused");
    assert!(refused.stderr.contains("result FAILED, 1 failed: orders::are billed once"), "{refused}");
    assert_eq!(scene.state(), before);
    assert!(!before.contains_key("0.1.0"));
}

#[test]
fn a_pipeline_that_was_overtaken_leaves_the_newer_version_alone() {
    let scene = Scene::new();
    let (older, newer) = (scene.push(1, 11), scene.push(2, 12));
    for (pipeline, content) in [(&older, "older"), (&newer, "newer")] {
        scene.published(pipeline, content);
        drop(pipeline.passes(&scene.keys));
    }
    drop(ends(&newer.promote(&scene.keys), 0));
    let before = scene.state();
    assert_eq!(before["0.1.0"], before["0.1.0-rc.12"]);

    let skipped = ends(&older.promote(&scene.keys), 0);
    assert_eq!(result(&skipped, "promote", "outcome"), "skipped");
    assert_eq!(scene.state(), before);
    // Where somebody asked for just this commit, being skipped would be news.
    let by_hand = Pipeline::new("manual", &commit(1), 13, &scene.registry.host());
    let refused = ends(&by_hand.promote(&scene.keys), 11);
    assert!(refused.stderr.contains("allow_older"), "what would allow it is named\n{refused}");
    assert_eq!(scene.state(), before);
}
