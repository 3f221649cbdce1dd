use granary_oci::{Repository, Tag};
use granary_release::claim::{ClaimName, Wanted};
use granary_release::{Candidate, Member, OnTaken, ReleaseSet};
use granary_suite::RepositoryTemplate;

use super::*;
use crate::places::{Place, PlacesError, Side};

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

fn read(tags: &[&str]) -> VersionTags {
    let tags: Vec<Tag> = tags.iter().map(|tag| tag.parse().unwrap()).collect();
    VersionTags::read(&tags)
}

fn alone(set: &FoundSet) -> Places {
    Places::new(&set.set, None).unwrap()
}

fn template(text: &str) -> RepositoryTemplate {
    RepositoryTemplate::parse(text, &"registry.test".parse().unwrap()).unwrap()
}

/// Everything that a set's members have to carry.
fn everywhere(places: &Places) -> Carried {
    places.all().map(|(place, member)| (place, member.digest.clone())).collect()
}

fn facts(asked: &FoundSet, older: &[FoundSet], tags: &[&str], version_sets: &[(&str, &FoundSet)]) -> Facts {
    // Every member carries what the lead's tag list shows.
    let carried = |version: &str, found: &FoundSet| match tags.contains(&version) {
        true => everywhere(&alone(found)),
        false => Carried::new(),
    };
    Facts {
        asked: asked.clone(),
        named: false,
        lineage: std::iter::once(asked).chain(older).cloned().collect(),
        lists: Lists { tags: read(tags), target: None },
        version_sets: version_sets
            .iter()
            .map(|(version, found)| {
                let found = (*found).clone();
                (version.parse().unwrap(), Holder { digest: found.digest.clone(), found: Some(found) })
            })
            .collect(),
        carried: version_sets
            .iter()
            .filter(|(_, found)| found.set.commit == asked.set.commit)
            .map(|(version, found)| (version.parse().unwrap(), carried(version, found)))
            .collect(),
    }
}

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

#[test]
fn a_commit_gets_one_derived_version() {
    let asked = found('a', "0.1.1-rc.5", "a");
    let theirs = found('b', "0.1.2-rc.6", "b");
    let none = facts(&asked, &[], &["0.1.2", "set-0.1.2"], &[("0.1.2", &theirs)]);
    assert_eq!(choose(&none, DERIVED).unwrap(), Choice { set: asked.clone(), seen: None });
    let tags = ["0.1.1", "set-0.1.1", "0.1.2", "set-0.1.2"];
    let promoted = facts(&asked, &[], &tags, &[("0.1.1", &asked), ("0.1.2", &theirs)]);
    let expected = Choice { set: asked.clone(), seen: Some(version("0.1.1")) };
    assert_eq!(choose(&promoted, DERIVED).unwrap(), expected);
    // One by Git tag stands beside it.
    let given = Wanted::Given(version("1.5.4"));
    assert_eq!(choose(&promoted, given).unwrap().seen, None);
    let own = facts(&asked, &[], &["1.5.4", "set-1.5.4"], &[("1.5.4", &asked)]);
    assert_eq!(choose(&own, given).unwrap().seen, Some(version("1.5.4")));
    // Begun by a run that was killed: nobody has seen it.
    let begun = facts(&asked, &[], &["set-1.5.4"], &[("1.5.4", &asked)]);
    assert_eq!(choose(&begun, given).unwrap().seen, None);
}

#[test]
fn a_rebuilt_commit_keeps_what_it_was_promoted_as() {
    let old = found('a', "0.1.1-rc.5", "a");
    let new = found('a', "0.1.2-rc.9", "other bytes");
    let mut facts = facts(&new, std::slice::from_ref(&old), &["0.1.1", "set-0.1.1"], &[("0.1.1", &old)]);
    let by_commit = choose(&facts, DERIVED).unwrap();
    assert_eq!(by_commit, Choice { set: old.clone(), seen: Some(version("0.1.1")) });
    let by_tag = choose(&facts, Wanted::Given(version("1.5.4"))).unwrap();
    assert_eq!(by_tag, Choice { set: old.clone(), seen: None });

    facts.named = true;
    let refused = choose(&facts, DERIVED).unwrap_err();
    let expected = Conflict::OtherBytes {
        commit: new.set.commit.clone(),
        version: version("0.1.1"),
        promoted: old.digest.clone(),
        asked: new.digest.clone(),
    };
    assert_eq!(refused, expected);
    // What was only begun binds nobody.
    facts.carried.values_mut().for_each(Carried::clear);
    assert_eq!(choose(&facts, DERIVED).unwrap(), Choice { set: new.clone(), seen: None });

    assert_eq!(check_same_bytes(&new, version("0.1.1"), &old), Err(expected));
    assert_eq!(check_same_bytes(&new, version("0.1.1"), &found('b', "0.1.1-rc.5", "b")), Ok(()));
    assert_eq!(check_same_bytes(&old, version("0.1.1"), &old), Ok(()));
}

#[test]
fn the_commit_inside_a_set_tells_even_where_the_chain_is_broken() {
    let old = found('a', "0.1.0-rc.1", "a");
    let new = found('a', "0.1.1-rc.9", "other bytes");
    // Retention has taken the set in between: the lineage of the new one does not lead to the old one.
    let facts = facts(&new, &[], &["0.1.0", "set-0.1.0"], &[("0.1.0", &old)]);
    assert_eq!(choose(&facts, DERIVED).unwrap(), Choice { set: old, seen: Some(version("0.1.0")) });
}

#[test]
fn only_versions_that_can_be_ours_are_looked_up() {
    let lineage = [found('a', "0.1.3-rc.5", "a"), found('a', "0.1.2-rc.4", "b")];
    let claim =
        |version: &str, found: &FoundSet| ClaimName::new(version.parse().unwrap(), &found.digest).to_string();
    let theirs = found('b', "0.1.2-rc.6", "b");
    let claims = [
        claim("0.1.4", &theirs),
        claim("0.1.5", &theirs),
        claim("0.1.5", &lineage[1]),
        claim("0.1.1", &theirs),
    ];
    let sets = ["set-0.1.1", "set-0.1.2", "set-0.1.3", "set-0.1.4", "set-0.1.5"];
    let names: Vec<&str> = sets.into_iter().chain(claims.iter().map(String::as_str)).collect();
    let tags = read(&names);
    let looked = |wanted| -> Vec<String> {
        versions_to_look_up(&lineage, &tags, wanted).iter().map(Version::to_string).collect()
    };
    // 0.1.4 is claimed by others alone; of 0.1.2 and 0.1.3 the claims have gone.
    assert_eq!(looked(DERIVED), ["0.1.2", "0.1.3", "0.1.5"]);
    assert_eq!(looked(Wanted::Given(version("0.1.1"))), ["0.1.1", "0.1.2", "0.1.3", "0.1.5"]);
    assert_eq!(looked(Wanted::Given(version("0.1.4"))), ["0.1.2", "0.1.3", "0.1.4", "0.1.5"]);
}

fn names(steps: &[Vec<Write>]) -> Vec<Vec<String>> {
    let name = |write: &Write| {
        let side = match write.place.side {
            Side::Candidate => "",
            Side::Target => "target ",
        };
        format!("{side}{}:{}", write.place.repository, write.tag)
    };
    steps.iter().map(|step| step.iter().map(name).collect()).collect()
}

#[test]
fn members_before_the_lead_and_the_target_before_the_candidates() {
    let set = found('a', "0.1.1-rc.5", "a");
    let none = Carried::new();
    assert_eq!(
        names(&writes(&alone(&set), &set, version("0.1.1"), &none)).concat(),
        ["acme/web:0.1.1", "acme/app:0.1.1", "acme/web:validated-aaaaaaa", "acme/app:validated-aaaaaaa"]
    );
    // Another registry, with repositories of the same names.
    let template = template("acme/{name}");
    let places = Places::new(&set.set, Some((&template, false))).unwrap();
    assert_eq!(
        names(&writes(&places, &set, version("0.1.1"), &none)).concat(),
        [
            "target acme/web:0.1.1",
            "acme/web:0.1.1",
            "target acme/app:0.1.1",
            "acme/app:0.1.1",
            "target acme/web:validated-aaaaaaa",
            "acme/web:validated-aaaaaaa",
            "target acme/app:validated-aaaaaaa",
            "acme/app:validated-aaaaaaa",
        ]
    );
}

/// Each side's floating tags follow that side's own list.
#[test]
fn floating_tags_follow_the_list_of_their_side() {
    let set = found('a', "0.1.1-rc.5", "a");
    let places = Places::new(&set.set, Some((&template("prod/{name}"), false))).unwrap();
    let floating = crate::floating::Floating::parse_all(&["latest".to_owned()]).unwrap();
    let newest = |candidates: &[&str], target: &[&str]| -> Vec<(Side, String)> {
        let lists = Lists { tags: read(candidates), target: Some(Some(read(target))) };
        let all = follows(&floating, &places, version("0.1.1"), &lists).concat();
        let lead = all.into_iter().filter(|follow| follow.place.repository.as_str().ends_with("app"));
        lead.map(|follow| (follow.place.side, follow.newest.to_string())).collect()
    };
    let told = |target: &str, candidates: &str| {
        vec![(Side::Target, target.to_owned()), (Side::Candidate, candidates.to_owned())]
    };
    assert_eq!(newest(&["0.1.1"], &["0.1.1", "0.3.0"]), told("0.3.0", "0.1.1"));
    assert_eq!(newest(&["0.1.1", "0.2.0"], &["0.1.1"]), told("0.1.1", "0.2.0"));
}

#[test]
fn places_in_the_target() {
    let set = found('a', "0.1.1-rc.5", "a");
    let of = |text: &str, same: bool| Places::new(&set.set, Some((&template(text), same)));
    let released = |places: Places| -> Vec<String> {
        let members = places.members().iter();
        members.map(|placed| names(&[vec![write_at(placed.released())]]).concat().concat()).collect()
    };
    assert_eq!(released(of("prod/{name}", true).unwrap()), ["target prod/app:x", "target prod/web:x"]);
    assert_eq!(released(of("acme/{name}", false).unwrap()), ["target acme/app:x", "target acme/web:x"]);
    assert_eq!(released(of("acme/{name}", true).unwrap()), ["acme/app:x", "acme/web:x"]);
    assert!(matches!(of("prod/all", true), Err(PlacesError::Template(_))), "two images, one repository");

    // The member `web` would get the tags of `app`.
    let mut crossed = set.set.clone();
    crossed.members[0].repository = "prod/web".parse().unwrap();
    let error = Places::new(&crossed, Some((&template("prod/{name}"), true))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`target_repo` puts `web` into prod/web, where the candidates of `app` are"
    );
    assert!(Places::new(&crossed, Some((&template("prod/{name}"), false))).is_ok());
}

fn write_at(place: Place) -> Write {
    Write { place, tag: "x".parse().unwrap(), digest: Digest::of(b"x"), moves: false }
}

/// Every prefix of the writes, as a run killed there leaves it, is finished by the next run to the
/// same end, on one side and on two.
#[test]
fn killed_anywhere_the_rest_is_still_to_do() {
    let set = found('a', "0.1.1-rc.5", "a");
    let template = template("prod/{name}");
    for target in [None, Some((&template, true)), Some((&template, false))] {
        let places = Places::new(&set.set, target).unwrap();
        let all: Vec<Write> = writes(&places, &set, version("0.1.1"), &Carried::new()).concat();
        for killed_after in 0..=all.len() {
            let (done, _) = all.split_at(killed_after);
            let lead_tags = |side: Side| {
                let lead: Option<Repository> = places.lead().on(side).map(|place| place.repository);
                let on_lead = done.iter().filter(|write| {
                    write.place.side == side && Some(&write.place.repository) == lead.as_ref()
                });
                VersionTags::read(on_lead.map(|write| &write.tag))
            };
            let lists = Lists {
                tags: lead_tags(Side::Candidate),
                target: target.map(|_| Some(lead_tags(Side::Target))),
            };
            let carried: Carried = done
                .iter()
                .filter(|write| write.tag.as_str() == "0.1.1")
                .map(|write| (write.place.clone(), write.digest.clone()))
                .collect();
            let complete = is_complete(&places, &set.set.commit, &lists, &carried);
            assert_eq!(complete, killed_after == all.len(), "killed after {killed_after}");
            let rest: Vec<Write> = writes(&places, &set, version("0.1.1"), &carried).concat();
            // `validated-` may be written twice; everything else exactly once.
            let together: std::collections::BTreeSet<String> =
                done.iter().chain(&rest).map(|write| format!("{write:?}")).collect();
            assert_eq!(together.len(), all.len(), "killed after {killed_after}");
            assert_eq!(rest.last(), all.last(), "killed after {killed_after}");
        }
    }
}

#[test]
fn a_version_with_other_bytes_stops_everything_on_either_side() {
    let set = found('a', "0.1.1-rc.5", "a");
    let template = template("acme/{name}");
    let places = Places::new(&set.set, Some((&template, false))).unwrap();
    let name = |place: &Place| format!("{:?}/{}", place.side, place.repository);
    let check = |carried: &Carried| check_carried(&places, version("0.1.1"), carried, name);
    assert_eq!(check(&everywhere(&places)), Ok(()));
    assert_eq!(check(&Carried::new()), Ok(()));
    for (place, member) in places.all() {
        let carried = Carried::from([(place.clone(), Digest::of(b"other"))]);
        let expected = Conflict::Published {
            place: name(&place),
            version: version("0.1.1"),
            found: Digest::of(b"other"),
            wanted: member.digest.clone(),
        };
        assert_eq!(check(&carried), Err(expected));
    }
}
