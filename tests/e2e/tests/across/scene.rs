//! The registries and readers that the journeys go through.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::containers::Containers;
use e2e::distribution::Distribution;
use e2e::docker_registry::{Access, DockerRegistry};
use e2e::foreign::{Crane, ForeignReader, Regctl};
use e2e::gitea::Gitea;
use e2e::openssl::KeyPair;
use e2e::referrers_registry::ReferrersRegistry;
use e2e::registry::Registry;
use e2e::release::Release;
use e2e::server;

/// A kind of registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Debian's Distribution 2.8, for everybody.
    DockerRegistry,
    /// Distribution 3, with a password.
    Distribution,
    /// With the referrers API, for everybody.
    Referrers,
    /// Gitea, with tokens.
    Gitea,
}

/// All of them.
pub(crate) const KINDS: [Kind; 4] = [Kind::DockerRegistry, Kind::Distribution, Kind::Referrers, Kind::Gitea];

impl Kind {
    /// Starts an empty one.
    pub(crate) fn start(self) -> Box<dyn Registry> {
        match self {
            Self::DockerRegistry => Box::new(DockerRegistry::start(Access::Open)),
            Self::Distribution => Box::new(Distribution::start()),
            Self::Referrers => Box::new(ReferrersRegistry::start()),
            Self::Gitea => Box::new(Gitea::start()),
        }
    }
}

/// What reads, and whose evidence counts.
pub(crate) struct Scene {
    pub(crate) skopeo: Containers,
    pub(crate) crane: Crane,
    pub(crate) regctl: Regctl,
    pub(crate) keys: KeyPair,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let (skopeo, crane) = (Containers::new(), Crane::new());
        Self { skopeo, crane, regctl: Regctl::new(), keys: KeyPair::generate() }
    }

    fn readers(&self) -> [&dyn ForeignReader; 3] {
        [&self.skopeo, &self.crane, &self.regctl]
    }

    /// Every reader finds the built bytes of every image under these tags, below `path`, platforms included.
    pub(crate) fn holds(&self, registry: &dyn Registry, release: &Release<'_>, path: &str, tags: &[&str]) {
        for reader in self.readers() {
            for (name, image) in release.images() {
                let repository = format!("{}/{path}/{name}", e2e::gitea::OWNER);
                let listed = reader.tags(registry, &repository);
                for tag in tags {
                    let who = format!("{} on {repository}:{tag}", reader.name());
                    assert!(listed.iter().any(|listed| listed == tag), "{who}: {listed:?}");
                    let found = reader.digest(registry, &format!("{repository}:{tag}"));
                    assert_eq!(found, image.digest(), "{who}");
                }
                for content in image.manifests() {
                    let found = reader.manifest(registry, &format!("{repository}@{}", content.digest));
                    assert_eq!(found, content.bytes, "{} on {repository}", reader.name());
                }
            }
        }
    }

    /// What hangs on the lead's index and on each of its platforms, as regctl finds it, and on the set.
    pub(crate) fn papers(
        &self,
        registry: &dyn Registry,
        release: &Release<'_>,
        path: &str,
    ) -> BTreeMap<String, Vec<u8>> {
        let repository = format!("{}/{path}/api", e2e::gitea::OWNER);
        let subjects = release.images()["api"].manifests().iter().map(|content| content.digest.clone());
        subjects.flat_map(|subject| self.regctl.referrers_below(registry, &repository, &subject)).collect()
    }
}

/// A registry's raw answer to a request below `/v2/`, with the credentials as Basic authentication, which every registry here takes.
pub(crate) fn ask(
    registry: &dyn Registry,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> String {
    let basic = registry
        .credentials()
        .map(|known| format!("Basic {}", STANDARD.encode(format!("{}:{}", known.user, known.password))));
    let authorization = basic.as_deref().map(|basic| ("Authorization", basic));
    let headers: Vec<(&str, &str)> = authorization.into_iter().chain(headers.iter().copied()).collect();
    server::ask(&registry.host(), method, &format!("/v2/{target}"), &headers, body).expect("it answers")
}
