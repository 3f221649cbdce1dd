//! Every other refusal, with its exit code and what the result file says about it.

use granary_testkit::registry::Registry;
use insta::assert_snapshot;
use serde_json::json;

use crate::world::{Release, nothing_written, promote, refusal, tested, told};

/// A tested candidate beside a stable version of another commit.
fn beside(theirs: &Release, version: &str, ours: &Release) -> Registry {
    let registry = tested(ours);
    theirs.publish(&registry);
    theirs.promoted(&registry, version);
    registry
}

#[test]
fn a_version_that_names_other_bytes() {
    let release = Release::new("0.1.1-rc.11");
    let registry = tested(&Release { repositories: vec!["acme/app", "acme/web"], ..release.clone() });
    let foreign = Release { content: "foreign", ..release };
    registry.put_image("acme/web", &["0.1.1"], &foreign.image("acme/web"));
    let run = promote("push", &registry).plugin("repo", "acme/{name}").plugin("lead", "app").output();
    nothing_written(&registry, &run, 11);
    assert_snapshot!(told(&run), @r"
    exit code 11
    --- stdout
    --- stderr
    error: refusing to promote
      cause 1: acme/web:0.1.1 is [DIGEST], not [DIGEST]; a published version never moves
    hint: 0.1.1 was written by somebody else; give another with `as_version`, or remove that tag
    ");
    assert_snapshot!(refusal(&run), @r#"{"found":"acme/web:0.1.1 is [DIGEST], not [DIGEST]; a published version never moves","needed":"[DIGEST]","rule":"version"}"#);
}

#[test]
fn a_branch_that_is_not_allowed() {
    let release = Release { branch: Some("feature/x"), ..Release::new("0.1.1-rc.11") };
    let registry = tested(&release);
    let run = promote("push", &registry).output();
    nothing_written(&registry, &run, 10);
    assert_snapshot!(told(&run), @r"
    exit code 10
    --- stdout
    --- stderr
    error: refusing to promote 0.1.1-rc.11: it comes from branch `feature/x`
    hint: `branches` allows main
    ");
    assert_eq!(refusal(&run), json!({"rule": "branches", "found": "feature/x", "needed": "main"}));
    let allowed = promote("push", &registry).plugin("branches", "main,feature/*").output();
    assert_eq!(allowed.code, Some(0), "{allowed}");
}

#[test]
fn a_set_without_branch() {
    let release = Release { branch: None, order: None, ..Release::new("1.3.0-rc.1") };
    let registry = tested(&release);
    let run = promote("tag", &registry).output();
    nothing_written(&registry, &run, 15);
    assert_snapshot!(told(&run), @r#"
    exit code 15
    --- stdout
    --- stderr
    error: refusing to promote 1.3.0-rc.1: its set records no branch
    hint: it was published for a Git tag; `branches: "*"` allows commits of any branch
    "#);
    assert_eq!(refusal(&run), json!({"rule": "branches", "found": "no branch on record", "needed": "main"}));
    assert_eq!(promote("tag", &registry).plugin("branches", "*").output().code, Some(0));
}

#[test]
fn superseded() {
    let (ours, theirs) = (Release::new("0.1.1-rc.11"), Release::of('b', "0.1.1-rc.12", 12));
    let registry = beside(&theirs, "0.1.1", &ours);
    let skipped = promote("push", &registry).output();
    nothing_written(&registry, &skipped, 0);
    assert_snapshot!(told(&skipped), @r"
    exit code 0
    --- stdout
    skipped, superseded: 0.1.1 is newer: it was made from pipeline 12, this candidate from 11
    promote: skipped in [TIME]
    --- stderr
    ");
    assert_eq!(skipped.json(".granary/promote.json")["outcome"], "skipped");

    let failed = promote("push", &registry).plugin("on_superseded", "fail").output();
    nothing_written(&registry, &failed, 11);
    assert_snapshot!(told(&failed), @r"
    exit code 11
    --- stdout
    --- stderr
    error: refusing to promote 0.1.1-rc.11: 0.1.1 is newer: it was made from pipeline 12, this candidate from 11
    hint: `allow_older: true` promotes it all the same
    ");
    assert_snapshot!(refusal(&failed), @r#"{"found":"0.1.1 is newer: it was made from pipeline 12, this candidate from 11","needed":"a candidate newer than the newest stable version","rule":"order"}"#);

    let by_default = promote("manual", &registry).plugin("commit", &ours.commit).output();
    nothing_written(&registry, &by_default, 11);

    let allowed = promote("push", &registry).plugin("allow_older", "true").output();
    assert_eq!(allowed.code, Some(0), "{allowed}");
    assert_eq!(
        allowed.stderr,
        "warning: allow_older: promoting although 0.1.1 is newer: it was made from pipeline 12, this candidate from 11\n"
    );
    assert_eq!(registry.tags("acme/app")["0.1.2"], ours.digest("acme/app"));
}

#[test]
fn no_telling_which_is_newer() {
    let (ours, theirs) =
        (Release::new("0.1.1-rc.11"), Release { order: None, ..Release::of('b', "0.1.1-rc.12", 12) });
    let registry = beside(&theirs, "0.1.1", &ours);
    let run = promote("push", &registry).output();
    nothing_written(&registry, &run, 15);
    assert_snapshot!(told(&run), @r"
    exit code 15
    --- stdout
    --- stderr
    error: refusing to promote 0.1.1-rc.11: there is no telling whether it is the newest: 0.1.1 was made from a candidate without order number
    hint: `allow_older: true` promotes it all the same
    ");
    assert_eq!(refusal(&run)["rule"], "order");
    assert_eq!(promote("push", &registry).plugin("allow_older", "true").output().code, Some(0));
}

/// Superseded is decided before evidence: a candidate that nobody wants need not be tested.
#[test]
fn superseded_comes_before_evidence() {
    let (ours, theirs) = (Release::new("0.1.1-rc.11"), Release::of('b', "0.1.1-rc.12", 12));
    let registry = Registry::start(granary_testkit::registry::Options::default());
    ours.publish(&registry);
    theirs.publish(&registry);
    theirs.promoted(&registry, "0.1.1");
    nothing_written(&registry, &promote("push", &registry).output(), 0);
}

#[test]
fn on_taken_refuse() {
    let (ours, theirs) = (Release::new("0.1.1-rc.11"), Release::of('b', "0.1.1-rc.10", 10));
    let registry = beside(&theirs, "0.1.1", &ours);
    let run = promote("push", &registry).plugin("on_taken", "refuse").output();
    nothing_written(&registry, &run, 11);
    assert_snapshot!(told(&run), @r"
    exit code 11
    --- stdout
    --- stderr
    error: refusing to promote
      cause 1: no version can be derived for candidate 0.1.1-rc.11
      cause 2: version 0.1.1 cannot be used: 0.1.1 is taken already
    hint: `on_taken: next` takes the next free version
    ");
    let next = promote("push", &registry).output();
    assert_eq!(next.json(".granary/promote.json")["version"], "0.1.2", "{next}");
}

#[test]
fn a_given_version_that_is_taken() {
    let (ours, theirs) = (Release::new("0.1.1-rc.11"), Release::of('b', "0.1.1-rc.10", 10));
    let registry = beside(&theirs, "1.5.4", &ours);
    let run = promote("push", &registry).plugin("as_version", "1.5.4").output();
    nothing_written(&registry, &run, 11);
    assert_snapshot!(told(&run), @r"
    exit code 11
    --- stdout
    --- stderr
    error: refusing to promote
      cause 1: version 1.5.4 is taken by set [DIGEST]
    hint: choose another version than 1.5.4
    ");
    assert_snapshot!(refusal(&run), @r#"{"found":"version 1.5.4 is taken by set [DIGEST]","needed":"a version that is free","rule":"version"}"#);
}

/// A given version is judged beside its own X.Y line: below everything else it is a patch release.
#[test]
fn a_given_version_above_and_below_the_newest() {
    let (ours, theirs) = (Release::new("0.1.1-rc.11"), Release::of('b', "2.0.0-rc.12", 12));
    for given in ["3.0.0", "1.5.4"] {
        let registry = beside(&theirs, "2.0.0", &ours);
        let run = promote("push", &registry).plugin("as_version", given).output();
        assert_eq!(run.code, Some(0), "{run}");
        assert_eq!(registry.tags("acme/app")[given], ours.digest("acme/app"));
    }
    let registry = beside(&theirs, "2.0.0", &ours);
    let run =
        promote("push", &registry).plugin("as_version", "2.0.1").plugin("on_superseded", "fail").output();
    nothing_written(&registry, &run, 11);
}

#[test]
fn other_bytes_of_a_commit_that_is_promoted() {
    let first = Release::new("0.1.1-rc.11");
    let rebuilt =
        Release { content: "second", replaces: Some(first.set_digest()), ..Release::new("0.1.2-rc.13") };
    let registry = tested(&first);
    rebuilt.publish(&registry);
    first.promoted(&registry, "0.1.1");
    // By commit: it is promoted, as what it was promoted as.
    let by_commit = promote("push", &registry).output();
    nothing_written(&registry, &by_commit, 0);
    assert_eq!(by_commit.json(".granary/promote.json")["set"], json!(first.set_digest()));
    // By name: these bytes are not.
    let by_name = promote("push", &registry).plugin("candidate", "0.1.2-rc.13").output();
    nothing_written(&registry, &by_name, 11);
    assert_snapshot!(told(&by_name), @r"
    exit code 11
    --- stdout
    --- stderr
    error: refusing to promote
      cause 1: commit 7a77c5932e35c13bf0bf61a33f757b21d41692b5 is already 0.1.1, made from set [DIGEST]; set [DIGEST] has other bytes
    hint: 0.1.1 stays as it is; a change needs a new commit
    ");
}

#[test]
fn a_pull_request() {
    let registry = tested(&Release::new("0.1.1-rc.11"));
    let run = promote("pull_request", &registry).output();
    nothing_written(&registry, &run, 10);
    assert_eq!(registry.requests().len(), 0);
    assert_snapshot!(told(&run), @r"
    exit code 10
    --- stdout
    --- stderr
    error: refusing to promote on event pull_request
    hint: anybody may open a pull request; use `when: event: [push, tag, manual]`
    ");
    assert_eq!(refusal(&run)["rule"], "event");
}
