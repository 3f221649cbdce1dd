use super::*;

fn member(bytes: &str) -> Member {
    Member {
        name: "app".to_owned(),
        repository: "acme/app".parse().unwrap(),
        digest: Digest::of(bytes.as_bytes()),
        media_type: "m".to_owned(),
        size: 1,
    }
}

fn facts(bytes: &str, stables: &[&str]) -> Facts {
    Facts {
        commit: "a".repeat(40).parse().unwrap(),
        branch: Some("main".to_owned()),
        order: Some(12),
        pipeline_url: None,
        now: Timestamp::UNIX_EPOCH,
        members: vec![member(bytes)],
        published: None,
        ours: None,
        stables: stables.iter().map(|version| version.parse().unwrap()).collect(),
    }
}

fn numbering(rc_number: u64) -> Numbering {
    let rc_number = RcNumber::Given(rc_number);
    Numbering { base_version: None, initial_version: Version::new(0, 1, 0), bump: Bump::Patch, rc_number }
}

fn published(decision: Decision) -> ReleaseSet {
    match decision {
        Decision::Publish(set) => set,
        other => panic!("{other:?}"),
    }
}

#[test]
fn tasks_of_events() {
    let tag = |name| task(Some(&Event::Tag), Some(name), "v");
    assert_eq!(tag("v1.5.4"), Task::For(Version::new(1, 5, 4)));
    assert_eq!(tag("v1.5.4-rc.2"), Task::Exactly("1.5.4-rc.2".parse().unwrap()));
    for other in ["1.5.4", "v1.5", "v1.5.4-beta.1", "nightly", "vv1.0.0"] {
        assert!(matches!(tag(other), Task::Skip(_)), "{other}");
    }
    assert_eq!(task(Some(&Event::Release), Some("1.5.4"), ""), Task::For(Version::new(1, 5, 4)));
    // A tag name counts only where the event is one: it can be forged elsewhere.
    assert_eq!(task(Some(&Event::Push), Some("v1.5.4"), "v"), Task::Next);
    assert_eq!(task(None, None, "v"), Task::Next);
}

#[test]
fn the_first_candidate_and_the_next() {
    let first = published(decide(&Task::Next, &numbering(7), &facts("a", &[])).unwrap());
    assert_eq!(first.candidate.to_string(), "0.1.0-rc.7");
    let next = published(decide(&Task::Next, &numbering(8), &facts("a", &["0.1.145", "0.1.9"])).unwrap());
    assert_eq!((next.candidate.to_string(), next.order), ("0.1.146-rc.8".to_owned(), Some(12)));
    let too_low = Numbering { base_version: Some(Version::new(0, 1, 145)), ..numbering(8) };
    assert!(decide(&Task::Next, &too_low, &facts("a", &["0.1.145"])).is_err());
}

#[test]
fn a_rerun_with_equal_bytes_adopts() {
    let set = published(decide(&Task::Next, &numbering(7), &facts("a", &[])).unwrap());
    let found = FoundSet::new(set.clone());
    let rerun = Facts {
        published: Some(found.clone()),
        ours: Some(found.clone()),
        order: None,
        ..facts("a", &["0.1.0"])
    };
    let adopted = Decision::Adopt(found.clone());
    assert_eq!(decide(&Task::Next, &numbering(9), &rerun).unwrap(), adopted);
    assert!(!needs_stables(&Task::Next, &rerun.members, Some(&found)));
    assert_eq!(
        decide(&Task::Exactly("0.1.0-rc.7".parse().unwrap()), &numbering(9), &rerun).unwrap(),
        adopted
    );
    assert!(leaves_alone(&Task::For(Version::new(1, 0, 0)), Some(&found)));
    assert!(!leaves_alone(&Task::For(Version::new(1, 0, 0)), None));
    assert!(!leaves_alone(&Task::Next, Some(&found)));
}

#[test]
fn other_bytes_are_a_new_candidate_in_the_old_place() {
    let old = published(decide(&Task::Next, &numbering(7), &facts("a", &[])).unwrap());
    let old = FoundSet::new(old);
    let digest = old.digest.clone();
    let rebuilt =
        Facts { published: Some(old.clone()), ours: Some(old), order: Some(99), ..facts("b", &["0.1.0"]) };
    assert!(needs_stables(&Task::Next, &rebuilt.members, rebuilt.ours.as_ref()));
    let new = published(decide(&Task::Next, &numbering(9), &rebuilt).unwrap());
    assert_eq!(new.candidate.to_string(), "0.1.1-rc.9");
    assert_eq!((new.order, new.replaces), (Some(12), Some(digest)));
}

#[test]
fn a_commit_that_comes_to_another_branch_is_a_candidate_of_that_branch() {
    let feature = Facts { branch: Some("feature".to_owned()), order: Some(5), ..facts("a", &[]) };
    let set = published(decide(&Task::Next, &numbering(5), &feature).unwrap());
    let on_feature = FoundSet::new(set.clone());
    assert_eq!(of_branch(std::slice::from_ref(&on_feature), Some("main")), None);
    let merged = Facts { published: Some(on_feature.clone()), order: Some(11), ..facts("a", &[]) };
    assert!(needs_stables(&Task::Next, &merged.members, None));
    let on_main = published(decide(&Task::Next, &numbering(11), &merged).unwrap());
    assert_eq!((on_main.branch.as_deref(), on_main.order), (Some("main"), Some(11)));
    assert_eq!(on_main.members, set.members);
    // Restarted after that, the feature's pipeline finds its own set again, and so does a Git tag's run, which
    // knows no branch, the newest.
    let newest = FoundSet::new(on_main);
    let lineage = [newest.clone(), on_feature.clone()];
    assert_eq!(of_branch(&lineage, Some("feature")), Some(&on_feature));
    assert_eq!(of_branch(&lineage, None), Some(&newest));
    let again = Facts { published: Some(newest), ours: Some(on_feature.clone()), ..feature };
    assert_eq!(decide(&Task::Next, &numbering(12), &again).unwrap(), Decision::Adopt(on_feature));
}

#[test]
fn git_tags_name_the_candidate() {
    let on_tag = Facts { branch: None, order: None, ..facts("a", &[]) };
    let base = published(decide(&Task::For(Version::new(1, 5, 4)), &numbering(9), &on_tag).unwrap());
    assert_eq!((base.candidate.to_string(), base.branch), ("1.5.4-rc.9".to_owned(), None));
    let exact = Task::Exactly("1.5.4-rc.2".parse().unwrap());
    assert_eq!(
        published(decide(&exact, &numbering(9), &on_tag).unwrap()).candidate.to_string(),
        "1.5.4-rc.2"
    );
}

#[test]
fn a_sequence_numbers_the_draft_later() {
    let sequence = Numbering { rc_number: RcNumber::Sequence, ..numbering(0) };
    let Decision::Claim(draft) = decide(&Task::Next, &sequence, &facts("a", &["0.1.145"])).unwrap() else {
        panic!("a draft");
    };
    assert_eq!(draft.base(), Version::new(0, 1, 146));
    let numbered = draft.numbered("0.1.146-rc.3".parse().unwrap());
    let given = published(decide(&Task::Next, &numbering(3), &facts("a", &["0.1.145"])).unwrap());
    assert_eq!(numbered, given);
    assert_eq!(draft.claimant(), RcClaimant::of(&given));
    // What names its number, or has one, needs none.
    let exact = Task::Exactly("1.5.4-rc.2".parse().unwrap());
    assert!(matches!(decide(&exact, &sequence, &facts("a", &[])), Ok(Decision::Publish(_))));
    let found = FoundSet::new(given);
    let rerun = Facts { published: Some(found.clone()), ours: Some(found.clone()), ..facts("a", &[]) };
    assert_eq!(decide(&Task::Next, &sequence, &rerun), Ok(Decision::Adopt(found)));
}

#[test]
fn tags_of_a_member() {
    let set = published(decide(&Task::Next, &numbering(7), &facts("a", &[])).unwrap());
    let extra: Vec<Tag> = ["edge", "sha-aaaaaaa"].iter().map(|tag| tag.parse().unwrap()).collect();
    let names: Vec<String> = tags(&set, &extra).iter().map(Tag::to_string).collect();
    assert_eq!(names, ["0.1.0-rc.7", "sha-aaaaaaa", "integration-aaaaaaa", "edge"]);
}
