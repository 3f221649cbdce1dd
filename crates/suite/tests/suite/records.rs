//! Release sets as they lie in the lead's repository: found by every name, and only believed where they fit.

use granary_oci::{Tag, TagOrDigest, media_type};
use granary_release::{CommitId, FoundSet, VersionTags};
use granary_suite::{Records, Subject, check_list};
use granary_testkit::registry::{Options, Registry as Server};

use crate::support::{APP, app, client, commit, member, put, refused, set};

fn start() -> (Server, Records) {
    let server = Server::start(Options::default());
    let records = Records::new(client(&server), app());
    (server, records)
}

fn digests(sets: &[FoundSet]) -> Vec<String> {
    sets.iter().map(|found| found.digest.to_string()).collect()
}

/// Whoever can move a tag could otherwise release one commit's bytes as another's.
#[tokio::test]
async fn a_commits_tag_leads_to_that_commit_or_nowhere() {
    let (server, records) = start();
    let (mine, other) = (commit('a'), commit('b'));
    assert_eq!(records.of_commit(&mine).await.unwrap(), None);
    let found = set(&mine, "one", None);
    put(&server, &found, &[&format!("set-{mine}")]);
    assert_eq!(records.of_commit(&mine).await.unwrap(), Some(found.clone()));
    put(&server, &found, &[&format!("set-{other}")]);
    assert_eq!(
        refused(records.of_commit(&other).await),
        (20, format!("{}:set-{other} leads to a set of commit {mine}", app()))
    );
    let whole_commit = Subject::Commit(other.to_string());
    for subject in [Subject::Pipeline, whole_commit] {
        assert_eq!(refused(records.select(&subject, Some(&other)).await).0, 20, "{subject:?}");
    }
}

#[tokio::test]
async fn the_step_before_is_believed_as_far_as_the_registry_bears_it_out() {
    let (server, records) = start();
    let (mine, other) = (commit('a'), commit('b'));
    let found = set(&mine, "one", None);
    let digest = found.digest.to_string();
    let start = format!("the result of the step before names set {digest}, ");
    assert_eq!(
        refused(records.named_by_step_before(&digest, Some(&mine)).await),
        (20, format!("{start}which is not in {}", app()))
    );
    put(&server, &found, &[]);
    assert_eq!(records.named_by_step_before(&digest, Some(&mine)).await.unwrap(), found);
    assert_eq!(records.named_by_step_before(&digest, None).await.unwrap(), found, "by hand");
    assert_eq!(
        refused(records.named_by_step_before(&digest, Some(&other)).await),
        (20, format!("{start}which is of commit {mine}"))
    );
    let message = "the result of the step before names set latest, which is no digest".to_owned();
    assert_eq!(refused(records.named_by_step_before("latest", Some(&mine)).await), (20, message));
}

#[tokio::test]
async fn a_lineage_is_of_one_commit_and_ends_where_a_set_is_gone() {
    let (server, records) = start();
    let (mine, other) = (commit('a'), commit('b'));
    let first = set(&mine, "one", None);
    let second = set(&mine, "two", Some(&first));
    let third = set(&mine, "three", Some(&second));
    put(&server, &second, &[]);
    let lineage = records.lineage(third.clone()).await.unwrap();
    assert_eq!(digests(&lineage), digests(&[third.clone(), second.clone()]), "retention took the first");
    put(&server, &first, &[]);
    let lineage = records.lineage(third.clone()).await.unwrap();
    assert_eq!(digests(&lineage), digests(&[third, second, first]));

    let strange = set(&other, "strange", None);
    let fourth = set(&mine, "four", Some(&set(&mine, "between", Some(&strange))));
    put(&server, &strange, &[]);
    put(&server, &set(&mine, "between", Some(&strange)), &[]);
    assert_eq!(
        refused(records.lineage(fourth).await),
        (20, format!("{}:set-{mine} leads to a set of commit {other}", app()))
    );
}

#[tokio::test]
async fn a_lineage_has_at_most_a_hundred_sets() {
    let (server, records) = start();
    let mut newest = set(&commit('a'), "0", None);
    for number in 1..=100 {
        put(&server, &newest, &[]);
        if number == 100 {
            assert_eq!(records.lineage(newest.clone()).await.unwrap().len(), 100);
        }
        newest = set(&commit('a'), &number.to_string(), Some(&newest));
    }
    let message = "more than 100 sets of one commit replace each other".to_owned();
    assert_eq!(refused(records.lineage(newest).await), (20, message));
}

#[tokio::test]
async fn a_commit_is_found_by_its_first_digits_if_they_are_its_own() {
    let (server, records) = start();
    let sibling: CommitId = format!("{}{}", "a".repeat(10), "b".repeat(30)).parse().unwrap();
    for (commit, content) in [(commit('a'), "one"), (sibling.clone(), "two"), (commit('c'), "three")] {
        put(&server, &set(&commit, content, None), &[&format!("set-{commit}")]);
    }
    let select = async |prefix: &str| {
        // The pipeline's own commit has no say where another is named.
        let found = records.select(&Subject::Commit(prefix.to_owned()), Some(&commit('d'))).await;
        found.map(|found| found.map(|found| found.set.commit))
    };
    for (prefix, expected) in [
        ("ccccccc", Some(commit('c'))),
        ("aaaaaaaaaab", Some(sibling.clone())),
        ("aaaaaaaaaaa", Some(commit('a'))),
        (sibling.as_str(), Some(sibling.clone())),
        ("eeeeeee", None),
        (commit('e').as_str(), None),
    ] {
        assert_eq!(select(prefix).await.unwrap(), expected, "{prefix}");
    }
    let message = format!("commit `aaaaaaa` is ambiguous: {}, {sibling}", commit('a'));
    assert_eq!(refused(select("aaaaaaa").await), (2, message));
}

#[tokio::test]
async fn a_set_is_found_by_every_other_name() {
    let (server, records) = start();
    let (mine, other) = (commit('a'), commit('b'));
    let old = set(&mine, "old", None);
    let new = set(&mine, "new", Some(&old));
    put(&server, &old, &[]);
    put(&server, &new, &[&format!("set-{mine}"), "set-0.1.0-rc.1", "kept"]);
    for (content, tag) in [("old", "0.1.0-rc.0"), ("new", "0.1.0-rc.1"), ("stray", "stray")] {
        server.put_manifest(APP, &[tag], media_type::OCI_INDEX, member(content));
    }
    let digest = |found: &FoundSet| Subject::Digest(found.digest.clone());
    let of_member = |found: &FoundSet| Subject::Digest(found.set.lead().digest.clone());
    let tag = |name: &str| Subject::Tag(name.parse().unwrap());
    let candidate = |text: &str| Subject::Candidate(text.parse().unwrap());
    let nowhere = Subject::Digest(granary_oci::Digest::of(b"nowhere"));
    for (subject, pipeline, expected) in [
        (Subject::Pipeline, Some(&mine), Some(&new)),
        (Subject::Pipeline, Some(&other), None),
        (Subject::Pipeline, None, None),
        (candidate("0.1.0-rc.1"), None, Some(&new)),
        (candidate("0.1.0-rc.2"), Some(&mine), None),
        (digest(&new), None, Some(&new)),
        (digest(&old), Some(&other), Some(&old)),
        (of_member(&new), Some(&mine), Some(&new)),
        (of_member(&old), Some(&mine), Some(&old)),
        (nowhere, Some(&mine), None),
        (tag("kept"), None, Some(&new)),
        (tag("0.1.0-rc.0"), Some(&mine), Some(&old)),
        (tag("nowhere"), Some(&mine), None),
    ] {
        let found = records.select(&subject, pipeline).await.unwrap();
        assert_eq!(found.as_ref(), expected, "{subject:?} in {pipeline:?}");
    }
    let stranger =
        |name: &str| format!("`candidate` {name} is not a release set, nor in one of this pipeline's commit");
    // The member of another commit's set is not looked for: anybody's set could name it.
    for (subject, pipeline) in
        [(tag("stray"), Some(&mine)), (tag("0.1.0-rc.1"), Some(&other)), (tag("0.1.0-rc.1"), None)]
    {
        let Subject::Tag(name) = &subject else { unreachable!() };
        let expected = (2, stranger(name.as_str()));
        assert_eq!(refused(records.select(&subject, pipeline).await), expected, "{subject:?}");
    }
    let plain = TagOrDigest::from(&"stray".parse::<Tag>().unwrap());
    assert_eq!(refused(records.set(&plain).await).0, 20);
}

#[test]
fn a_list_without_what_was_just_read_is_not_numbered_by() {
    let tag = |name: &str| name.parse::<Tag>().unwrap();
    let list = VersionTags::read(&[tag("1.2.3"), tag("set-1.2.3")]);
    assert!(check_list(&list, &app(), &tag("set-1.2.3")).is_ok());
    assert_eq!(
        refused(check_list(&list, &app(), &tag("set-1.2.4"))),
        (
            12,
            format!(
                "refusing to number by a tag list that is not whole: {} has set-1.2.4, and the list lacks it",
                app()
            )
        )
    );
}
