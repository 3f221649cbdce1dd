//! Push, test, report, promote: the README's way.

use flow::pipeline::{APP, Agent, commit, ends, image, index};
use flow::state::{moved, set_field};
use granary_testkit::registry::{Options, Registry};
use serde_json::{Value, json};

/// The fields of a result file that every reader may rely on.
fn main_fields(result: &Value) -> Value {
    let names = [
        "plugin",
        "outcome",
        "exit_code",
        "commit",
        "set",
        "version",
        "candidate",
        "artifacts",
        "lead",
        "refusal",
    ];
    names.iter().filter_map(|&name| Some((name.to_owned(), result.get(name)?.clone()))).collect::<Value>()
}

const TESTS: &str = r#"#!/bin/sh
cat > "$2" <<END
{"image": "$1", "tests": [{"name": "answers", "status": "passed"}, {"name": "says why", "status": "passed"}]}
END
"#;

#[test]
fn a_commit_becomes_a_stable_release_and_a_rerun_changes_nothing() {
    let registry = Registry::start(Options::default());
    let agent = Agent::new();
    let (first, built) = (commit(1), index("first"));
    let pipeline = agent.push(&registry, &first, 11);
    let candidate_tags = ["0.1.0-rc.11", "sha-0101010", "integration-0101010"];
    let artifacts = |tags: &[&str]| {
        json!([{
            "name": "app",
            "repository": format!("{}/{APP}", registry.host()),
            "digest": built.digest(),
            "tags": tags,
        }])
    };

    // registry-push
    let pushed = ends(&pipeline.publish(std::slice::from_ref(&built)), 0);
    let set = registry.tags(APP)[&format!("set-{first}")].clone();
    let fields = |plugin: &str, outcome: &str, candidate: &str, tags: &[&str]| {
        json!({
            "plugin": plugin, "outcome": outcome, "exit_code": 0, "commit": first, "set": set, "version": "0.1.0",
            "candidate": candidate, "artifacts": artifacts(tags), "lead": "app",
        })
    };
    assert_eq!(
        main_fields(&pushed.json(".granary/registry-push.json")),
        fields("registry-push", "done", "0.1.0-rc.11", &candidate_tags)
    );
    for tag in candidate_tags {
        assert_eq!(registry.tags(APP)[tag], built.digest(), "{tag}");
    }
    let mut tags: Vec<String> = registry.tags(APP).into_keys().collect();
    let set_of_commit = format!("set-{first}");
    assert_eq!(
        tags,
        ["0.1.0-rc.11", "integration-0101010", "set-0.1.0-rc.11", &set_of_commit, "sha-0101010"],
        "a candidate moves nothing but itself"
    );

    // integration-test: the project's own command, then the signed report
    std::fs::write(pipeline.workspace().join("tests.sh"), TESTS).unwrap();
    let run = pipeline
        .step("integration-test")
        .plugin("command", "sh tests.sh {image} {results}")
        .plugin("results", "results.json");
    let tested = ends(&run, 0);
    assert_eq!(
        main_fields(&tested.json(".granary/integration-test.json")),
        fields("integration-test", "done", "0.1.0-rc.11", &["0.1.0-rc.11"])
    );
    assert_eq!(registry.referrers(APP, &set), [""; 0], "a step that runs foreign code signs nothing");
    let report = pipeline.step("integration-test").plugin("mode", "report").plugin("results", "results.json");
    let report = report.plugin("signing_key", &flow::evidence::key(1).to_pem());
    let reported = ends(&report, 0).json(".granary/integration-test.json");
    assert_eq!(main_fields(&reported), fields("integration-test", "done", "0.1.0-rc.11", &["0.1.0-rc.11"]));
    assert_eq!((&reported["result"], &reported["passed"]), (&json!("PASSED"), &json!(2)));
    assert_eq!(registry.referrers(APP, &set).len(), 1, "the set carries the evidence");
    assert_eq!(registry.referrers(APP, built.digest()).len(), 1, "and so does the lead");

    // promote
    let env_file = pipeline.promote().plugin("env_file", "release.env");
    let promoted = ends(&env_file, 0);
    assert_eq!(
        main_fields(&promoted.json(".granary/promote.json")),
        fields("promote", "done", "0.1.0-rc.11", &["0.1.0", "validated-0101010"])
    );
    let variables = std::fs::read_to_string(pipeline.workspace().join("release.env")).unwrap();
    for line in ["VERSION=0.1.0".to_owned(), format!("DIGEST={}", built.digest())] {
        assert!(variables.lines().any(|found| found == line), "{line} in {variables}");
    }
    tags.extend(["0.1.0", "set-0.1.0", "validated-0101010"].map(str::to_owned));
    tags.push(format!("claim-0.1.0-{}", &set["sha256:".len()..][..12]));
    tags.sort();
    assert_eq!(registry.tags(APP).into_keys().collect::<Vec<_>>(), tags);
    assert_eq!(registry.tags(APP)["0.1.0"], built.digest(), "the promoted digest is the tested digest");
    assert_eq!(registry.tags(APP)["validated-0101010"], built.digest());
    assert_eq!(registry.tags(APP)["set-0.1.0"], set);

    // The pipeline is restarted: a new number, an empty workspace, the same bytes.
    let before = registry.snapshot();
    let again = agent.restart(&pipeline, 12);
    let outcome = |finished: granary_testkit::process::Finished, plugin: &str| {
        main_fields(&finished.json(&format!(".granary/{plugin}.json")))
    };
    assert_eq!(
        outcome(ends(&again.publish(std::slice::from_ref(&built)), 0), "registry-push"),
        fields("registry-push", "unchanged", "0.1.0-rc.11", &candidate_tags)
    );
    assert_eq!(registry.snapshot(), before, "registry-push adopted what is there");
    drop(ends(&again.report(&[("answers", "passed")]), 0));
    let tags_before = registry.tags(APP);
    assert_eq!(outcome(ends(&again.promote(), 0), "promote")["outcome"], "unchanged");
    assert_eq!(registry.tags(APP), tags_before);

    // The second commit gets the next version.
    let second = agent.push(&registry, &commit(2), 13);
    second.released(&[index("second")]);
    assert_eq!(registry.tags(APP)["0.1.1-rc.13"], index("second").digest());
    assert_eq!(registry.tags(APP)["0.1.1"], index("second").digest());
    assert_eq!(registry.tags(APP)["0.1.0"], built.digest());
    assert_eq!(set_field(&registry, APP, "set-0.1.1", "order").as_deref(), Some("13"));
    assert_eq!(moved(&registry), [""; 0], "a published version never moves");
}

#[test]
fn fourteen_images_are_one_release() {
    let registry = Registry::start(Options::docker_registry_2_8());
    let agent = Agent::new();
    let names: Vec<String> = (1..=14).map(|number| format!("part-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let images: Vec<_> = names.iter().map(|name| image(name)).collect();
    let pipeline = agent.push(&registry, &commit(1), 1).several(&names);
    pipeline.released(&images);
    for (name, image) in names.iter().zip(&images) {
        let tags = registry.tags(&format!("acme/{name}"));
        for tag in ["0.1.0-rc.1", "sha-0101010", "integration-0101010", "0.1.0", "validated-0101010"] {
            assert_eq!(tags[tag], image.digest(), "{name}:{tag}");
        }
        let has_records = tags.keys().any(|tag| tag.starts_with("set-"));
        assert_eq!(has_records, *name == "part-1", "the records lie with the lead: {name}");
    }
    assert_eq!(moved(&registry), [""; 0]);
}

#[test]
fn a_dry_run_says_what_would_be_written_and_writes_nothing() {
    let registry = Registry::start(Options::default());
    let agent = Agent::new();
    let pipeline = agent.push(&registry, &commit(1), 1);
    let planned = ends(&pipeline.publish(&[image("app")]).plugin("dry_run", "true"), 0);
    assert_eq!(planned.json(".granary/registry-push.json")["outcome"], "planned");
    assert_eq!(registry.count(granary_testkit::registry::Request::is_write), 0, "{:?}", registry.requests());

    pipeline.tested(&[image("app")]);
    let before = registry.snapshot();
    registry.clear_log();
    let planned = ends(&pipeline.promote().plugin("dry_run", "true"), 0);
    assert_eq!(planned.json(".granary/promote.json")["outcome"], "planned");
    let digest = image("app").digest().to_owned();
    for (step, tag) in [(3, "0.1.0"), (4, "validated-0101010")] {
        let line = format!("  {step}. write {APP}:{tag} → {digest}");
        assert!(planned.stdout.lines().any(|found| found == line), "{line}\n{planned}");
    }
    assert_eq!(registry.count(granary_testkit::registry::Request::is_write), 0, "{:?}", registry.requests());
    assert_eq!(registry.snapshot(), before);
}

#[test]
fn a_private_ca_is_trusted_where_it_is_named_and_nowhere_else() {
    let registry = Registry::start(Options { tls: true, ..Options::default() });
    let agent = Agent::new();
    let pipeline = agent.push(&registry, &commit(1), 11);
    drop(ends(&pipeline.publish(&[image("one")]).plugin("retries", "0"), 12));
    assert_eq!(registry.snapshot().len(), 0);
    let steps =
        [pipeline.publish(&[image("one")]), pipeline.report(&[("answers", "passed")]), pipeline.promote()];
    for step in steps {
        drop(ends(&step.plugin("ca_cert", registry.ca_pem()), 0));
    }
    assert_eq!(registry.tags(APP)["0.1.0"], image("one").digest());
}
