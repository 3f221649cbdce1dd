//! Against environments recorded from a real Woodpecker, and against forged ones.

use super::*;

const MAIN: &str = "7a77c5932e35c13bf0bf61a33f757b21d41692b5";
const MANUAL: &str = "8a30957c2bd930246ed135442853c01725dc1b00";
const TAG_OBJECT: &str = "dd8976b379966dda6d4cae82cc03a2147cf77e0f";
const PULL: &str = "9990879ae0720eb9af2d3dbda54df45215c70c74";

/// A recorded environment; second lines of multi-line values stand alone in it and are left out.
fn recorded(file: &str) -> Env {
    let path = format!("{}/tests/data/woodpecker-env/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    Env::from_pairs(text.lines().filter_map(|line| line.split_once('=')))
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn all_recorded_environments_are_read_alike_in_both_kinds_of_step() {
    // file, event, commit, ref, branch, tag, number, parent, reruns, order, message
    type Row = (&'static str, Event, &'static str, &'static str, Option<&'static str>, Option<&'static str>);
    type Numbered = (Row, u64, u64, Option<u64>, Option<u64>);
    let table: [Numbered; 8] = [
        (("push", Event::Push, MAIN, "refs/heads/main", Some("main"), None), 11, 0, None, Some(11)),
        (("cron", Event::Cron, MAIN, "refs/heads/main", Some("main"), None), 12, 0, None, Some(12)),
        (("manual", Event::Manual, MANUAL, "refs/heads/main", Some("main"), None), 7, 0, None, Some(7)),
        (
            ("deployment", Event::Deployment, MAIN, "refs/heads/main", Some("main"), None),
            13,
            11,
            Some(1),
            Some(11),
        ),
        (("tag", Event::Tag, MAIN, "refs/tags/v1.3.0", None, Some("v1.3.0")), 15, 0, None, None),
        (
            ("tag-rc", Event::Tag, TAG_OBJECT, "refs/tags/v1.3.0-rc.1", None, Some("v1.3.0-rc.1")),
            14,
            0,
            None,
            None,
        ),
        (("release", Event::Release, MAIN, "refs/tags/v1.3.0", None, Some("v1.3.0")), 16, 0, None, None),
        (
            ("pull_request", Event::PullRequest, PULL, "refs/pull/1/head", Some("main"), None),
            18,
            0,
            None,
            None,
        ),
    ];
    for ((file, event, sha, commit_ref, branch, tag), number, parent, reruns, order) in table {
        for step in ["plugin", "commands"] {
            let file = format!("{file}.{step}.env");
            let (ci, warnings) = Ci::read(&recorded(&file));
            assert_eq!(warnings, Vec::<String>::new(), "{file}");
            assert_eq!(ci.event.as_ref(), Some(&event), "{file}");
            assert_eq!(ci.commit_sha.as_deref(), Some(sha), "{file}");
            assert_eq!(ci.commit_ref.as_deref(), Some(commit_ref), "{file}");
            assert_eq!((ci.branch.as_deref(), ci.tag.as_deref()), (branch, tag), "{file}");
            assert_eq!((ci.pipeline_number, ci.pipeline_parent), (Some(number), Some(parent)), "{file}");
            assert_eq!((ci.reruns, ci.order_number()), (reruns, order), "{file}");
            assert_eq!(ci.is_rerun_or_deployed(), event == Event::Deployment, "{file}");
            assert!(ci.is_woodpecker(), "{file}");
            assert_eq!(ci.pipeline_url, Some(format!("https://ci.example.test/repos/1/pipeline/{number}")));
            assert_eq!(ci.repo.as_deref(), Some("acme/app"), "{file}");
            assert_eq!(ci.default_branch.as_deref(), Some("main"), "{file}");
            assert_eq!(ci.clone_url.as_deref(), Some("https://gitea.example.test/acme/app.git"), "{file}");
            assert_eq!(ci.forge_type.as_deref(), Some("gitea"), "{file}");
            assert_eq!(ci.forge_url.as_deref(), Some("https://gitea.example.test"), "{file}");
            assert_eq!(ci.system_name.as_deref(), Some("woodpecker"), "{file}");
            assert_eq!(
                ci.workspace.as_deref(),
                Some("/woodpecker/src/gitea.example.test/acme/app"),
                "{file}"
            );
            let live = (event == Event::Deployment).then_some("live");
            assert_eq!(ci.deploy_target.as_deref(), live, "{file}");
            // Cron runs have neither author nor message.
            let author = (event != Event::Cron).then(|| "acme".to_owned());
            assert_eq!(ci.author, author, "{file}");
            let operator = match event {
                Event::Manual => Operator::Verified("acme".to_owned()),
                _ => Operator::Unverified(author),
            };
            assert_eq!(ci.operator(), operator, "{file}");
        }
    }
    assert_eq!(Ci::read(&recorded("manual.plugin.env")).0.commit_message, some("MANUAL PIPELINE @ main"));
    assert_eq!(Ci::read(&recorded("cron.plugin.env")).0.commit_message, None);
}

/// A push pipeline with some variables set otherwise; an empty value takes one away.
fn push_with(changes: &[(&str, &str)]) -> (Ci, Vec<String>) {
    let base = [
        ("CI", "woodpecker"),
        ("CI_PIPELINE_EVENT", "push"),
        ("CI_COMMIT_REF", "refs/heads/main"),
        ("CI_COMMIT_BRANCH", "main"),
        ("CI_PIPELINE_NUMBER", "42"),
        ("CI_PIPELINE_PARENT", "0"),
        ("CI_PIPELINE_AUTHOR", "ann"),
    ];
    Ci::read(&Env::from_pairs(base.iter().chain(changes).copied()))
}

#[test]
fn the_order_number_is_where_the_commit_first_appeared() {
    type Row = (&'static [(&'static str, &'static str)], Option<u64>, &'static str);
    let table: [Row; 9] = [
        (&[], Some(42), "first run"),
        (&[("CI_PIPELINE_PARENT", "40"), ("CI_PIPELINE_RERUNS", "1")], Some(40), "first rerun"),
        (&[("CI_PIPELINE_PARENT", "41"), ("CI_PIPELINE_RERUNS", "2")], None, "the parent is a rerun too"),
        (&[("CI_PIPELINE_PARENT", "40")], None, "before 3.15 the parent may be a rerun"),
        (&[("CI_PIPELINE_RERUNS", "1")], None, "a count without a parent"),
        (&[("CI_PIPELINE_PARENT", "40"), ("CI_PIPELINE_RERUNS", "one")], None, "no number"),
        (&[("CI_PIPELINE_RERUNS", "0")], Some(42), "a count of none"),
        (&[("CI_PIPELINE_NUMBER", "0")], None, "woodpecker-cli exec"),
        (&[("CI", "")], None, "by hand"),
    ];
    for (changes, order, why) in table {
        assert_eq!(push_with(changes).0.order_number(), order, "{why}");
    }
    let deployed_tag = [
        ("CI_PIPELINE_EVENT", "deployment"),
        ("CI_COMMIT_REF", "refs/tags/v1.0.0"),
        ("CI_PIPELINE_PARENT", "40"),
        ("CI_PIPELINE_RERUNS", "1"),
    ];
    assert_eq!(push_with(&deployed_tag).0.order_number(), None, "a deployed tag pipeline is a tag's");
}

#[test]
fn a_pipeline_number_of_zero_is_not_an_absent_one() {
    assert_eq!(push_with(&[("CI_PIPELINE_NUMBER", "0")]).0.pipeline_number, Some(0));
    assert_eq!(push_with(&[("CI_PIPELINE_NUMBER", "")]).0.pipeline_number, None);
}

#[test]
fn forged_values_are_dropped_with_a_warning() {
    let (ci, warnings) = push_with(&[("CI_COMMIT_TAG", "v9.9.9"), ("CI_PIPELINE_DEPLOY_TARGET", "live")]);
    assert_eq!((ci.tag, ci.deploy_target), (None, None));
    assert_eq!(warnings, ["CI_COMMIT_TAG is ignored: CI_COMMIT_REF does not name that tag"]);

    let (ci, warnings) = push_with(&[("CI_COMMIT_REF", "refs/tags/v1.0.0"), ("CI_COMMIT_TAG", "v2.0.0")]);
    assert_eq!((ci.tag, ci.branch), (some("v1.0.0"), None));
    assert_eq!(warnings.len(), 2, "{warnings:?}");

    let (ci, warnings) = push_with(&[("CI_COMMIT_BRANCH", "release")]);
    assert_eq!(ci.branch, some("main"));
    assert_eq!(warnings, ["CI_COMMIT_BRANCH is ignored: CI_COMMIT_REF says otherwise"]);

    let (ci, warnings) = push_with(&[("CI_COMMIT_SHA", "1.234e+59")]);
    assert_eq!(ci.commit_sha, None);
    assert_eq!(warnings, ["CI_COMMIT_SHA is ignored: not 40 hex digits"]);
}

#[test]
fn manual_runs_before_3_18_have_a_bare_branch_for_a_ref() {
    let (ci, warnings) = push_with(&[("CI_COMMIT_REF", "main"), ("CI_PIPELINE_EVENT", "manual")]);
    assert_eq!((ci.branch, ci.tag, warnings), (some("main"), None, vec![]));
}

#[test]
fn a_restarted_manual_run_names_nobody() {
    let manual = ("CI_PIPELINE_EVENT", "manual");
    let ann = Some("ann".to_owned());
    assert_eq!(push_with(&[manual]).0.operator(), Operator::Verified("ann".to_owned()));
    for forged in [
        ("CI_PIPELINE_PARENT", "40"),
        ("CI_PIPELINE_RERUNS", "1"),
        ("CI_PIPELINE_RERUNS", "x"),
        ("CI_PIPELINE_PARENT", ""),
        ("CI", ""),
    ] {
        assert_eq!(
            push_with(&[manual, forged]).0.operator(),
            Operator::Unverified(ann.clone()),
            "{forged:?}"
        );
    }
}
