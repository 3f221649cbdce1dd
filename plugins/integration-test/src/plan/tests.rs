use granary_oci::{RawManifest, media_type};
use granary_release::{Member, ReleaseSet};

use super::*;

fn index(platforms: &[&str]) -> (Digest, Manifest) {
    let children: Vec<String> = platforms
        .iter()
        .map(|text| {
            let platform: Platform = text.parse().unwrap();
            let digest = Digest::of(text.as_bytes());
            format!(
                r#"{{"mediaType":"{}","digest":"{digest}","size":1,"platform":{}}}"#,
                media_type::OCI_MANIFEST,
                serde_json::to_string(&platform).unwrap()
            )
        })
        .collect();
    let raw = RawManifest::new(
        format!(r#"{{"manifests":[{}]}}"#, children.join(",")).into_bytes(),
        media_type::OCI_INDEX,
    )
    .unwrap();
    (raw.digest().clone(), raw.parse().unwrap().clone())
}

fn found() -> FoundSet {
    let set = ReleaseSet {
        commit: "a".repeat(40).parse().unwrap(),
        branch: None,
        candidate: "0.1.1-rc.1".parse().unwrap(),
        order: None,
        pipeline_url: None,
        created: Timestamp::UNIX_EPOCH,
        members: vec![Member {
            name: "app".to_owned(),
            repository: "app".parse().unwrap(),
            digest: Digest::of(b"app"),
            media_type: "m".to_owned(),
            size: 1,
        }],
        replaces: None,
    };
    FoundSet::new(set)
}

fn decision(passed: &[&str], failed: &[&str]) -> Decision {
    Decision {
        result: if failed.is_empty() { TestOutcome::Passed } else { TestOutcome::Failed },
        passed: passed.iter().map(|&name| name.to_owned()).collect(),
        warned: vec![],
        failed: failed.iter().map(|&name| name.to_owned()).collect(),
        skipped: vec![],
        problems: vec![],
    }
}

#[test]
fn what_ran_of_an_index() {
    let (top, manifest) = index(&["linux/amd64", "linux/arm64/v8", "unknown/unknown"]);
    let platforms = |text: &str| vec![text.parse::<Platform>().unwrap()];
    let amd64 = ran("app", &top, &manifest, &platforms("linux/amd64")).unwrap();
    assert_eq!(amd64, [Ran { name: "app linux/amd64".to_owned(), digest: Digest::of(b"linux/amd64") }]);
    assert_eq!(
        ran("app", &top, &manifest, &platforms("linux/arm64")).unwrap()[0].digest,
        Digest::of(b"linux/arm64/v8")
    );
    let missing = ran("app", &top, &manifest, &platforms("linux/riscv64")).unwrap_err();
    assert_eq!(
        missing.to_string(),
        "`app` has no manifest for linux/riscv64, it has linux/amd64, linux/arm64/v8"
    );
    let plain = Manifest { manifests: vec![], ..manifest };
    assert_eq!(
        ran("app", &top, &plain, &platforms("linux/s390x")).unwrap(),
        [Ran { name: "app".to_owned(), digest: top }]
    );
}

#[test]
fn a_claimed_future_does_not_count() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let now = at("2026-11-21T12:00:00.9Z");
    let claims = |started: &str, finished: &str| Outcome {
        started: Some(at(started)),
        finished: Some(at(finished)),
        ..Outcome::default()
    };
    let past = claims("2026-11-21T11:00:00Z", "2026-11-21T11:30:00Z");
    assert_eq!(times(&past, None, None, now), (at("2026-11-21T11:00:00Z"), now));
    let future = claims("2027-01-01T00:00:00Z", "2027-01-01T00:00:01Z");
    assert_eq!(times(&future, None, None, now), (now, now));
    let measured = Some((at("2026-11-21T11:59:00Z"), at("2026-11-21T11:59:30Z")));
    assert_eq!(times(&future, None, measured, now), (at("2026-11-21T11:59:00Z"), at("2026-11-21T11:59:30Z")));
    // The results know the last attempt, the record of the run the first. It moves no end.
    let table =
        [("2026-11-21T10:00:00Z", "2026-11-21T10:00:00Z"), ("2026-11-21T11:20:00Z", "2026-11-21T11:00:00Z")];
    for (began, started) in table {
        assert_eq!(times(&past, Some(at(began)), None, now), (at(started), now), "{began}");
    }
    let unsaid = times(&Outcome::default(), Some(at("2027-01-01T00:00:00Z")), None, now);
    assert_eq!(unsaid, (now, now));
}

#[test]
fn the_statement_names_set_members_and_parts_once_each() {
    let found = found();
    let circumstances = Circumstances {
        environment: "integration".to_owned(),
        url: None,
        started_on: Timestamp::UNIX_EPOCH,
        finished_on: Timestamp::UNIX_EPOCH,
        platforms: vec!["linux/amd64".parse().unwrap()],
        key_exposed: false,
        attempts: 2,
        command: Some("sh run.sh {image}".to_owned()),
        results: "out/*.xml".to_owned(),
    };
    let parts = [
        Ran { name: "app".to_owned(), digest: Digest::of(b"app") },
        Ran { name: "app linux/amd64".to_owned(), digest: Digest::of(b"part") },
    ];
    let statement = statement(&found, &parts, &decision(&["a"], &["b"]), &circumstances).unwrap();
    let names: Vec<String> =
        statement.subjects.iter().filter_map(granary_attest::statement::ResourceDescriptor::sha256).collect();
    assert_eq!(
        names,
        [found.digest.to_string(), Digest::of(b"app").to_string(), Digest::of(b"part").to_string()]
    );
    let read = TestResult::from_statement(&statement).unwrap();
    assert_eq!(
        (read.result, read.failed_tests.as_slice()),
        (test_result::Outcome::Failed, &["b".to_owned()][..])
    );
    assert_eq!((read.run.set.as_str(), read.run.attempts), (found.digest.as_str(), 2));
    let configured: Vec<_> =
        read.configuration.iter().map(|it| (it.name.as_deref().unwrap(), it.sha256())).collect();
    assert_eq!(
        configured,
        [
            ("environment integration", None),
            ("command sh run.sh {image}", Some(Digest::of(b"sh run.sh {image}").to_string())),
            ("results out/*.xml", None),
        ]
    );
}

#[test]
fn results_must_be_about_what_is_under_test() {
    let found = found();
    let parts = [Ran { name: "x".to_owned(), digest: Digest::of(b"part") }];
    for digest in [&found.digest, &Digest::of(b"app"), &Digest::of(b"part")] {
        assert!(is_under_test(digest, &found, &parts));
    }
    assert!(!is_under_test(&Digest::of(b"other"), &found, &parts));
}
