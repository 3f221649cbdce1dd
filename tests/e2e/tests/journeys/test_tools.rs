//! Test runners that projects have: what pytest and `node --test` write is read, and the evidence names their tests.

use e2e::docker_registry::{Access, DockerRegistry};
use e2e::evidence::{TEST_RESULT, statement};
use e2e::openssl::KeyPair;
use e2e::pipeline::{Pipeline, ends, result};
use e2e::programs::program;
use e2e::reader::Reader;
use e2e::release::Release;
use granary_testkit::process::Run;
use serde_json::{Value, json};

const PYTHON: &str = r#"import pytest

def test_answers():
    print("out & <about>")
    assert 6 * 7 == 42

@pytest.mark.parametrize("amount", [1, 2])
def test_orders(amount):
    assert amount > 0

@pytest.mark.skip(reason="needs a broker")
def test_broker():
    pass

def test_login():
    assert LOGIN == "good", "</failure> & more"
"#;

const JAVASCRIPT: &str = r#"import { describe, it, test } from 'node:test';
import assert from 'node:assert';

describe('orders', () => {
  it('fills', () => assert.equal(6 * 7, 42));
  it.skip('needs a broker', () => {});
});
test('login', () => assert.equal(LOGIN, 'good', '</failure> & more'));
"#;

/// A project's tests, run by the plugin and reported by the next step.
struct Project<'a> {
    files: &'a str,
    source: &'a str,
    command: String,
    /// Where the file says `LOGIN`.
    literal: [&'a str; 2],
}

impl Project<'_> {
    /// Runs the tests where `login` is as it should be, or not; returns what is signed then.
    fn evidence(&self, good: bool) -> Value {
        let (registry, keys) = (DockerRegistry::start(Access::Open), KeyPair::generate());
        let release = Release::of_one(&registry, "tools", 1, 11, &keys);
        let pipeline = release.pipeline();
        let _ = release.publish(&pipeline);
        pipeline.write(self.files, &self.source.replace("LOGIN", self.literal[usize::from(!good)]));
        let code = if good { 0 } else { 13 };
        let settings = [("command", self.command.as_str()), ("results", "results.xml")];
        drop(ends(&pipeline.step("integration-test", &settings), code));
        let reported = ends(&report(&pipeline, &keys), code);
        let set = result(&reported, "integration-test", "set");
        let reader = Reader::new(&registry);
        statement(&reader, &release.repository("api"), &set, TEST_RESULT, &keys.public)["predicate"].clone()
    }
}

fn report(pipeline: &Pipeline, keys: &KeyPair) -> Run {
    let settings = [
        ("mode", "report"),
        ("results", "results.xml"),
        ("required_tests", "*login"),
        ("signing_key", keys.private.as_str()),
    ];
    pipeline.step("integration-test", &settings)
}

#[test]
fn pytest() {
    let pytest = program("pytest-3");
    let project = Project {
        files: "test_app.py",
        source: PYTHON,
        command: format!("{} -q -p no:cacheprovider --junitxml={{results}} test_app.py", pytest.display()),
        literal: ["\"good\"", "\"bad\""],
    };
    let passed = project.evidence(true);
    assert_eq!(passed["result"], "PASSED", "{passed}");
    let names = json!([
        "test_app::test_answers",
        "test_app::test_login",
        "test_app::test_orders[1]",
        "test_app::test_orders[2]"
    ]);
    assert_eq!(passed["passedTests"], names, "{passed}");
    let failed = project.evidence(false);
    assert_eq!(failed["result"], "FAILED", "{failed}");
    assert_eq!(failed["failedTests"], json!(["test_app::test_login"]), "{failed}");
}

#[test]
fn node() {
    let node = program("node");
    let project = Project {
        files: "app.test.mjs",
        source: JAVASCRIPT,
        command: format!(
            "{} --test --test-reporter=junit --test-reporter-destination={{results}} app.test.mjs",
            node.display()
        ),
        literal: ["'good'", "'bad'"],
    };
    let passed = project.evidence(true);
    assert_eq!(passed["result"], "PASSED", "{passed}");
    let names = passed["passedTests"].as_array().unwrap();
    for name in ["fills", "login"] {
        assert!(names.iter().any(|found| found.as_str().unwrap().ends_with(name)), "{name}: {passed}");
    }
    let failed = project.evidence(false);
    assert_eq!(failed["result"], "FAILED", "{failed}");
    let names = failed["failedTests"].as_array().unwrap();
    assert!(names.len() == 1 && names[0].as_str().unwrap().ends_with("login"), "{failed}");
}
