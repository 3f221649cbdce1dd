//! Summaries where production is elsewhere: they arrive there with what they speak of, and are read back from both sides.

use e2e::cosign::Cosign;
use e2e::evidence::{SUMMARY, TEST_RESULT};
use e2e::gitea::OWNER;
use e2e::openssl::KeyPair;
use e2e::pipeline::{ends, result};
use e2e::release::Release;

use crate::scene::Kind;

fn arrives(from: Kind, to: Kind) {
    let (source, target, cosign) = (from.start(), to.start(), Cosign::new());
    let (source, target) = (source.as_ref(), target.as_ref());
    let [tests, promoter, other] = [(); 3].map(|()| KeyPair::generate());
    let release = Release::of_two(source, "summed", 1, 11, &tests);
    let pipeline = release.pipeline();
    release.publish_and_test(&pipeline);
    let target_settings = Release::target(&target.host(), target, "production");
    let elsewhere: Vec<(&str, &str)> =
        target_settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let signing = [&elsewhere[..], &[("signing_key", promoter.private.as_str())]].concat();
    let promoted = release.promote(&pipeline, &signing, "0.1.0");

    // cosign finds the summary on what users pull, on both sides; and on the lead the evidence that it stands on.
    for name in ["api", "web"] {
        let digest = release.images()[name].digest();
        let places = [
            (source, format!("{}@{digest}", release.repository(name))),
            (target, format!("{OWNER}/production/{name}@{digest}")),
        ];
        for (registry, image) in places {
            let accepted = cosign.verify_attestation(registry, &image, SUMMARY, &promoter.public);
            assert!(accepted.success, "{image}: {}", accepted.stderr);
            let refused = cosign.verify_attestation(registry, &image, SUMMARY, &tests.public);
            assert!(!refused.success, "{image}: {}", refused.stdout);
            if name == "api" {
                let accepted = cosign.verify_attestation(registry, &image, TEST_RESULT, &tests.public);
                assert!(accepted.success, "{image}: {}", accepted.stderr);
            }
        }
    }

    let set = result(&promoted, "promote", "set");
    let web = format!("{OWNER}/production/web@{}", release.images()["web"].digest());
    for asked in ["0.1.0", set.as_str(), release.images()["api"].digest(), web.as_str()] {
        let verified = ends(&release.verify_step(asked, &promoter, &elsewhere), 0);
        assert!(verified.stdout.contains(&set) && verified.stdout.contains("0.1.0"), "{asked}\n{verified}");
        drop(ends(&release.verify_step(asked, &other, &elsewhere), 14));
    }
}

#[test]
fn from_docker_registry_into_one_with_the_referrers_api() {
    arrives(Kind::DockerRegistry, Kind::Referrers);
}

#[test]
fn from_one_with_the_referrers_api_into_gitea() {
    arrives(Kind::Referrers, Kind::Gitea);
}
