//! The signed summary of a promotion: on everything that gets the version, before anybody can see that version.

use std::time::Duration;

use e2e::docker_registry::{Access, DockerRegistry};
use e2e::evidence::{SUMMARY, statement};
use e2e::openssl::KeyPair;
use e2e::pipeline::{ends, result};
use e2e::proxy::{Proxy, Seen};
use e2e::reader::Reader;
use e2e::release::Release;
use serde_json::Value;

const PROMOTION: &str = "https://celestium.life/granary/promotion/v1";

#[test]
fn it_is_on_all_members_before_the_version_is() {
    let registry = DockerRegistry::start(Access::Password);
    let [tests, promoter] = [(); 2].map(|()| KeyPair::generate());
    let release = Release::of_two(&registry, "summary", 1, 11, &tests);
    release.publish_and_test(&release.pipeline());

    let proxy = Proxy::start(&registry, Duration::ZERO);
    let pipeline = release.pipeline_at(&proxy.host());
    let promoted = release.promote(&pipeline, &[("signing_key", &promoter.private)], "0.1.0");
    let set = result(&promoted, "promote", "set");
    let reader = Reader::new(&registry);
    let subjects = [
        ("api", set.as_str()),
        ("api", release.images()["api"].digest()),
        ("web", release.images()["web"].digest()),
    ];
    for (name, digest) in subjects {
        let said = statement(&reader, &release.repository(name), digest, SUMMARY, &promoter.public);
        let predicate = &said["predicate"];
        assert_eq!(predicate["verificationResult"], "PASSED", "{predicate}");
        let promotion = &predicate[PROMOTION];
        assert_eq!(promotion["version"], "0.1.0", "{predicate}");
        assert_eq!(promotion["candidate"], "0.1.0-rc.11", "{predicate}");
        assert_eq!(promotion["set"], set.as_str(), "{predicate}");
        assert_eq!(promotion["commit"], release.commit(), "{predicate}");
        assert_eq!(promotion["evidence"][0]["result"], "PASSED", "{predicate}");
        let about = said["subject"].as_array().unwrap();
        let hex = |value: &Value| value["digest"]["sha256"].as_str().map(|hex| format!("sha256:{hex}"));
        assert!(about.iter().any(|subject| hex(subject).as_deref() == Some(digest)), "{digest}: {said}");
    }

    // What one finds by a digest is there before what one finds by a name.
    let seen = proxy.take_seen();
    let shown: String = seen.iter().filter(|seen| seen.is_write()).map(|seen| format!("{seen}\n")).collect();
    let position = |wanted: &str| {
        let writes = |seen: &Seen| seen.tags_written().iter().any(|tag| tag.starts_with(wanted));
        (seen.iter().position(writes), seen.iter().rposition(writes))
    };
    let (listed, visible) = (position("sha256-").1.unwrap(), position("set-0.1.0").0.unwrap());
    assert!(listed < visible && visible < position("0.1.0").0.unwrap(), "{shown}");

    // There is one for each, and a run that finds everything done adds none.
    let again = release.pipeline();
    drop(release.promote(&again, &[("signing_key", &promoter.private)], "0.1.0"));
    for (name, digest) in subjects {
        let _ = statement(&reader, &release.repository(name), digest, SUMMARY, &promoter.public);
    }
}

#[test]
fn both_chains_are_read_back_from_any_digest() {
    let registry = DockerRegistry::start(Access::Password);
    let [tests, promoter, other] = [(); 3].map(|()| KeyPair::generate());
    let release = Release::of_two(&registry, "verified", 1, 11, &tests);
    let pipeline = release.pipeline();
    release.publish_and_test(&pipeline);
    let promoted = release.promote(&pipeline, &[("signing_key", &promoter.private)], "0.1.0");
    let (reader, lead) = (Reader::new(&registry), release.repository("api"));
    let before = reader.state(&lead);

    let set = result(&promoted, "promote", "set");
    let web = format!("{}@{}", release.repository("web"), release.images()["web"].digest());
    for asked in ["0.1.0", "0.1.0-rc.11", set.as_str(), release.images()["api"].digest(), web.as_str()] {
        let verified = ends(&release.verify_step(asked, &promoter, &[]), 0);
        for part in ["0.1.0", set.as_str(), release.commit()] {
            assert!(verified.stdout.contains(part), "{asked}: {part}\n{verified}");
        }
        drop(ends(&release.verify_step(asked, &other, &[]), 14));
    }
    // Who believes other tests' keys believes no promotion that stands on them.
    let elsewhere = release.verify_step("0.1.0", &promoter, &[("trusted_keys", &other.public)]);
    drop(ends(&elsewhere, 14));
    assert_eq!(reader.state(&lead), before, "to look is not to write");

    // What nobody has promoted yet has one chain only.
    let next = Release::of_two(&registry, "verified", 2, 12, &tests);
    next.publish_and_test(&next.pipeline());
    drop(ends(&next.verify_step("0.1.1-rc.12", &promoter, &[]), 14));
}

#[test]
fn without_a_key_there_is_none_and_the_output_says_so() {
    let registry = DockerRegistry::start(Access::Open);
    let keys = KeyPair::generate();
    let release = Release::of_one(&registry, "unsigned", 1, 11, &keys);
    let pipeline = release.pipeline();
    release.publish_and_test(&pipeline);
    let promoted = release.promote(&pipeline, &[], "0.1.0");
    assert!(promoted.to_string().contains("unsigned"), "{promoted}");
}

#[test]
fn the_tests_key_signs_no_promotion() {
    let registry = DockerRegistry::start(Access::Open);
    let keys = KeyPair::generate();
    let release = Release::of_one(&registry, "same", 1, 11, &keys);
    let pipeline = release.pipeline();
    release.publish_and_test(&pipeline);
    let before = Reader::new(&registry).state(&release.repository("api"));
    let refused = ends(&release.promote_step(&pipeline, &[("signing_key", &keys.private)]), 2);
    assert!(refused.stderr.contains("signing_key") && refused.stderr.contains("trusted_keys"), "{refused}");
    assert_eq!(Reader::new(&registry).state(&release.repository("api")), before);
}
