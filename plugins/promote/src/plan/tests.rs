use granary_release::{Candidate, Member, ReleaseSet};

use super::*;

const DERIVED: Wanted = Wanted::Derived(OnTaken::Next);

fn found(commit: char, candidate: &str, bytes: &str) -> FoundSet {
    let member = |name: &str| Member {
        name: name.to_owned(),
        repository: format!("acme/{name}").parse().unwrap(),
        digest: Digest::of(format!("{bytes}/{name}").as_bytes()),
        media_type: "m".to_owned(),
        size: 1,
    };
    let set = ReleaseSet {
        commit: commit.to_string().repeat(40).parse().unwrap(),
        branch: Some("main".to_owned()),
        candidate: candidate.parse::<Candidate>().unwrap(),
        order: Some(1),
        pipeline_url: None,
        created: jiff::Timestamp::UNIX_EPOCH,
        members: vec![member("app"), member("web")],
        replaces: None,
    };
    FoundSet::new(set)
}

fn facts(asked: &FoundSet, older: &[FoundSet], tags: &[&str], version_sets: &[(&str, &Digest)]) -> Facts {
    let tags: Vec<Tag> = tags.iter().map(|tag| tag.parse().unwrap()).collect();
    Facts {
        asked: asked.clone(),
        named: false,
        lineage: std::iter::once(asked).chain(older).cloned().collect(),
        carried: carried(asked, older, &tags, version_sets),
        tags: VersionTags::read(&tags),
        version_sets: version_sets
            .iter()
            .map(|(version, digest)| {
                let found =
                    std::iter::once(asked).chain(older).find(|found| found.digest == **digest).cloned();
                (version.parse().unwrap(), Holder { digest: (*digest).clone(), found })
            })
            .collect(),
    }
}

/// Every member carries what the lead's tag list shows.
fn carried(
    asked: &FoundSet,
    older: &[FoundSet],
    tags: &[Tag],
    version_sets: &[(&str, &Digest)],
) -> BTreeMap<Version, Carried> {
    let mut all = BTreeMap::new();
    for (version, digest) in version_sets {
        let Some(found) = std::iter::once(asked).chain(older).find(|found| found.digest == **digest) else {
            continue;
        };
        let visible = tags.iter().any(|tag| tag.as_str() == *version);
        let members = found.set.members.iter().filter(|_| visible);
        let carried = members.map(|member| (member.repository.clone(), member.digest.clone())).collect();
        all.insert(version.parse().unwrap(), carried);
    }
    all
}

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

#[test]
fn a_new_candidate_gets_its_base() {
    let asked = found('a', "0.1.1-rc.5", "a");
    let choice = choose(&facts(&asked, &[], &["0.1.0"], &[]), DERIVED).unwrap();
    assert_eq!(choice, Choice { version: version("0.1.1"), set: asked, begun: false });
}

#[test]
fn a_base_that_others_took_is_left_to_them() {
    let asked = found('a', "0.1.1-rc.5", "a");
    let theirs = found('b', "0.1.1-rc.4", "b").digest;
    // Visible, or only begun by a run that was killed after `set-0.1.1`.
    for tags in [&["0.1.1", "set-0.1.1"][..], &["set-0.1.1"]] {
        let facts = facts(&asked, &[], tags, &[("0.1.1", &theirs)]);
        assert_eq!(choose(&facts, DERIVED).unwrap().version, version("0.1.2"));
        assert!(matches!(choose(&facts, Wanted::Derived(OnTaken::Refuse)), Err(Conflict::Numbering { .. })));
    }
}

#[test]
fn a_commit_gets_one_derived_version() {
    let asked = found('a', "0.1.1-rc.5", "a");
    let facts = facts(
        &asked,
        &[],
        &["0.1.1", "set-0.1.1", "0.1.2", "set-0.1.2"],
        &[("0.1.1", &asked.digest), ("0.1.2", &found('b', "0.1.2-rc.6", "b").digest)],
    );
    assert_eq!(
        choose(&facts, DERIVED).unwrap(),
        Choice { version: version("0.1.1"), set: asked, begun: true }
    );
}

#[test]
fn a_rebuilt_commit_keeps_what_it_was_promoted_as() {
    let old = found('a', "0.1.1-rc.5", "a");
    let new = found('a', "0.1.2-rc.9", "other bytes");
    let mut facts =
        facts(&new, std::slice::from_ref(&old), &["0.1.1", "set-0.1.1"], &[("0.1.1", &old.digest)]);
    let by_commit = choose(&facts, DERIVED).unwrap();
    assert_eq!((by_commit.version, &by_commit.set), (version("0.1.1"), &old));
    let by_tag = choose(&facts, Wanted::Given(version("1.5.4"))).unwrap();
    assert_eq!(by_tag, Choice { version: version("1.5.4"), set: old.clone(), begun: false });

    facts.named = true;
    let refused = choose(&facts, DERIVED).unwrap_err();
    assert_eq!(
        refused,
        Conflict::OtherBytes {
            commit: new.set.commit.clone(),
            version: version("0.1.1"),
            promoted: old.digest,
            asked: new.digest,
        }
    );
}

#[test]
fn what_was_begun_is_finished_unless_others_have_passed_it() {
    let asked = found('a', "0.1.1-rc.5", "a");
    let theirs = found('b', "0.1.2-rc.6", "b").digest;
    let alone = facts(&asked, &[], &["set-0.1.1"], &[("0.1.1", &asked.digest)]);
    let choice = choose(&alone, DERIVED).unwrap();
    assert_eq!((choice.version, choice.begun), (version("0.1.1"), true));
    let passed = facts(
        &asked,
        &[],
        &["set-0.1.1", "set-0.1.2", "0.1.2"],
        &[("0.1.1", &asked.digest), ("0.1.2", &theirs)],
    );
    let choice = choose(&passed, DERIVED).unwrap();
    assert_eq!((choice.version, choice.begun), (version("0.1.3"), false));
    // A member carries it: it was let in, and is finished where it is.
    let mut member_only = passed;
    let web = &asked.set.members[1];
    member_only
        .carried
        .insert(version("0.1.1"), Carried::from([(web.repository.clone(), web.digest.clone())]));
    let choice = choose(&member_only, DERIVED).unwrap();
    assert_eq!((choice.version, choice.begun), (version("0.1.1"), true));
}

#[test]
fn a_rebuilt_commit_is_free_of_what_was_only_begun() {
    let old = found('a', "0.1.1-rc.5", "a");
    let new = found('a', "0.1.1-rc.9", "other bytes");
    let mut facts = facts(&new, std::slice::from_ref(&old), &["set-0.1.1"], &[("0.1.1", &old.digest)]);
    facts.named = true;
    let choice = choose(&facts, DERIVED).unwrap();
    assert_eq!((choice.version, choice.set), (version("0.1.2"), new));
}

#[test]
fn the_commit_inside_a_set_tells_even_where_the_chain_is_broken() {
    let old = found('a', "0.1.0-rc.1", "a");
    let new = found('a', "0.1.1-rc.9", "other bytes");
    // Retention has taken the set in between: the lineage of the new one does not lead to the old one.
    let mut facts =
        facts(&new, std::slice::from_ref(&old), &["0.1.0", "set-0.1.0"], &[("0.1.0", &old.digest)]);
    facts.lineage = vec![new.clone()];
    assert_eq!(choose(&facts, DERIVED).unwrap().set, old);
    let refused = check_same_bytes(&new, version("0.1.0"), Some(&old)).unwrap_err();
    assert!(matches!(refused, Conflict::OtherBytes { .. }));
    assert_eq!(check_same_bytes(&new, version("0.1.0"), Some(&found('b', "0.1.0-rc.1", "b"))), Ok(()));
    assert_eq!(check_same_bytes(&old, version("0.1.0"), Some(&old)), Ok(()));
}

#[test]
fn a_given_version_is_taken_only_by_others() {
    let asked = found('a', "0.1.1-rc.5", "a");
    let wanted = Wanted::Given(version("1.5.4"));
    let own = facts(&asked, &[], &["set-1.5.4"], &[("1.5.4", &asked.digest)]);
    assert!(choose(&own, wanted).unwrap().begun);
    let other = found('b', "0.1.1-rc.4", "b").digest;
    let taken = facts(&asked, &[], &["set-1.5.4"], &[("1.5.4", &other)]);
    assert_eq!(choose(&taken, wanted), Err(Conflict::Taken { version: version("1.5.4"), holder: other }));
}

#[test]
fn only_versions_that_can_be_ours_are_looked_up() {
    let lineage = [found('a', "0.1.3-rc.5", "a"), found('a', "0.1.2-rc.4", "b")];
    let tags: Vec<Tag> =
        ["set-0.1.1", "set-0.1.2", "set-0.1.3"].iter().map(|tag| tag.parse().unwrap()).collect();
    let tags = VersionTags::read(&tags);
    assert_eq!(versions_to_look_up(&lineage, &tags, DERIVED), [version("0.1.2"), version("0.1.3")]);
    let given = Wanted::Given(version("0.1.1"));
    assert_eq!(
        versions_to_look_up(&lineage, &tags, given),
        [version("0.1.1"), version("0.1.2"), version("0.1.3")]
    );
}

#[test]
fn given_versions_stand_beside_their_own_line() {
    let tags: Vec<Tag> = ["1.4.9", "1.5.3", "2.0.0"].iter().map(|tag| tag.parse().unwrap()).collect();
    let tags = VersionTags::read(&tags);
    assert_eq!(
        newest_beside(version("1.5.4"), Wanted::Given(version("1.5.4")), &tags),
        Some(version("1.5.3"))
    );
    assert_eq!(newest_beside(version("1.6.0"), Wanted::Given(version("1.6.0")), &tags), None);
    assert_eq!(newest_beside(version("2.0.1"), DERIVED, &tags), Some(version("2.0.0")));
    assert_eq!(newest_beside(version("2.0.0"), DERIVED, &tags), Some(version("1.5.3")));
}

/// Every prefix of the writes, as a run killed there leaves it, is finished by the next run to the
/// same end, and no version is visible before `set-<X.Y.Z>` says whose it is.
#[test]
fn killed_anywhere_the_rest_is_still_to_do() {
    let asked = found('a', "0.1.1-rc.5", "a");
    let choice = choose(&facts(&asked, &[], &[], &[]), DERIVED).unwrap();
    let all: Vec<Write> = writes(&choice, &Carried::new()).concat();
    let names: Vec<String> = all.iter().map(|write| format!("{}:{}", write.repository, write.tag)).collect();
    assert_eq!(
        names,
        [
            "acme/app:set-0.1.1",
            "acme/web:0.1.1",
            "acme/app:0.1.1",
            "acme/web:validated-aaaaaaa",
            "acme/app:validated-aaaaaaa",
        ]
    );
    for killed_after in 0..=all.len() {
        let done = &all[..killed_after];
        let lead_tags: Vec<Tag> = done
            .iter()
            .filter(|write| write.repository == choice.set.set.lead().repository)
            .map(|write| write.tag.clone())
            .collect();
        let tags = VersionTags::read(&lead_tags);
        let carried: BTreeMap<Repository, Digest> = done
            .iter()
            .filter(|write| write.tag.as_str() == "0.1.1")
            .map(|write| (write.repository.clone(), write.digest.clone()))
            .collect();
        let rerun = Choice { begun: killed_after > 0, ..choice.clone() };
        let expected = match killed_after {
            0 | 1 => Progress::Untouched,
            5 => Progress::Complete,
            _ => Progress::Begun,
        };
        assert_eq!(progress(&rerun, &tags, &carried).unwrap(), expected, "killed after {killed_after}");
        if expected == Progress::Complete {
            continue;
        }
        let rest: Vec<Write> = writes(&rerun, &carried).concat();
        // `validated-` may be written twice; everything else exactly once.
        let together: std::collections::BTreeSet<String> = done
            .iter()
            .chain(&rest)
            .map(|write| format!("{}:{}={}", write.repository, write.tag, write.digest))
            .collect();
        assert_eq!(together.len(), all.len(), "killed after {killed_after}");
        assert_eq!(rest.last(), all.last(), "killed after {killed_after}");
    }
}

#[test]
fn a_version_tag_by_hand_is_no_judgement() {
    let asked = found('a', "0.1.1-rc.5", "a");
    let members = asked.set.members.iter().map(|member| (member.repository.clone(), member.digest.clone()));
    let carried: Carried = members.collect();
    let tags = facts(&asked, &[], &["0.1.1", "validated-aaaaaaa"], &[]).tags;
    let mut choice = Choice { version: version("0.1.1"), set: asked, begun: false };
    assert_eq!(progress(&choice, &tags, &carried).unwrap(), Progress::Untouched);
    choice.begun = true;
    assert_eq!(progress(&choice, &tags, &carried).unwrap(), Progress::Complete);
}

#[test]
fn a_version_with_other_bytes_stops_everything() {
    let asked = found('a', "0.1.1-rc.5", "a");
    let choice = choose(&facts(&asked, &[], &[], &[]), DERIVED).unwrap();
    let web = &asked.set.members[1];
    let carried = BTreeMap::from([(web.repository.clone(), Digest::of(b"other"))]);
    let conflict = progress(&choice, &VersionTags::default(), &carried).unwrap_err();
    assert_eq!(
        conflict,
        Conflict::Published {
            repository: web.repository.clone(),
            version: version("0.1.1"),
            found: Digest::of(b"other"),
            wanted: web.digest.clone(),
        }
    );
}
