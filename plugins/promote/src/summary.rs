//! What the signed summary of a promotion says, and what it is attached to (DESIGN §9). Pure.

use std::collections::BTreeMap;

use granary_attest::statement::{ResourceDescriptor, StatementError};
use granary_attest::summary::{self, Evidence, Policy, STABLE, Summary, VERIFIER_ID, Verifier};
use granary_attest::test_result::Outcome;
use granary_oci::Descriptor;
use granary_plugin::Operator;
use granary_release::{FoundSet, TestOutcome, TestRun, Version};
use jiff::Timestamp;

use crate::places::{Place, Places, Side};

/// What a summary is about besides the set.
pub struct Told<'a> {
    /// The version that the set becomes.
    pub version: Version,
    /// What let it in.
    pub evidence: &'a [TestRun],
    /// Who promotes.
    pub operator: &'a Operator,
    /// `host[:port]/path` from which the lead is deployed.
    pub released: String,
    /// Where the run can be read.
    pub pipeline_url: Option<String>,
    /// When the evidence was judged: whoever verifies asks how old it was then.
    pub judged_on: Timestamp,
}

/// The summary of a set's promotion. There is no policy yet, and no gate that could be overridden.
pub fn summary(set: &FoundSet, told: Told<'_>) -> Summary {
    let release = &set.set;
    let (name, verified) = match told.operator {
        Operator::Verified(name) => (Some(name), true),
        Operator::Unverified(name) => (name.as_ref(), false),
    };
    let name = name.map_or("unknown", String::as_str).to_owned();
    let program = (env!("CARGO_PKG_NAME").to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    Summary {
        verifier: Verifier { id: VERIFIER_ID.to_owned(), version: BTreeMap::from([program]) },
        time_verified: told.judged_on,
        resource_uri: format!("oci://{}:{}", told.released, told.version),
        promotion: summary::Promotion {
            version: told.version.to_string(),
            candidate: release.candidate.to_string(),
            stage: STABLE.to_owned(),
            set: set.digest.to_string(),
            commit: release.commit.to_string(),
            branch: release.branch.clone(),
            evidence: told.evidence.iter().map(evidence).collect(),
            policy: Policy::Unprotected,
            gates: Vec::new(),
            operator: summary::Operator { name, verified },
            overridden: None,
            pipeline_url: told.pipeline_url,
        },
    }
}

fn evidence(run: &TestRun) -> Evidence {
    Evidence {
        bundle: run.bundle.to_string(),
        key: run.key.clone(),
        environment: run.environment.clone(),
        result: match run.outcome() {
            TestOutcome::Passed => Outcome::Passed,
            TestOutcome::Warned => Outcome::Warned,
            TestOutcome::Failed => Outcome::Failed,
        },
        finished_on: run.finished_on,
    }
}

/// The subjects of the statement: the set and every member, by digest. Names are for readers.
///
/// # Errors
/// If a digest is not one of SHA-256.
pub fn subjects(set: &FoundSet) -> Result<Vec<ResourceDescriptor>, StatementError> {
    let members = set.set.members.iter().map(|member| (member.repository.as_str(), &member.digest));
    let all = [(set.set.lead().repository.as_str(), &set.digest)].into_iter().chain(members);
    all.map(|(name, digest)| ResourceDescriptor::new(name, digest.as_str())).collect()
}

/// Which manifests a summary is attached to in which repository: the set where the candidates are, before
/// anything else there, and every member on both sides.
pub fn attachments(set: &FoundSet, places: &Places) -> BTreeMap<Place, Vec<Descriptor>> {
    let lead = Place { side: Side::Candidate, repository: set.set.lead().repository.clone() };
    let mut attachments = BTreeMap::from([(lead, vec![set.manifest().descriptor()])]);
    for (place, member) in places.all() {
        attachments.entry(place).or_default().push(member.descriptor());
    }
    attachments
}

#[cfg(test)]
mod tests {
    use granary_oci::Digest;
    use granary_release::{Member, ReleaseSet};

    use super::*;

    fn set() -> FoundSet {
        let member = |name: &str| Member {
            name: name.to_owned(),
            repository: format!("acme/{name}").parse().unwrap(),
            digest: Digest::of(name.as_bytes()),
            media_type: "application/vnd.oci.image.index.v1+json".to_owned(),
            size: 7,
        };
        FoundSet::new(ReleaseSet {
            commit: "a".repeat(40).parse().unwrap(),
            branch: Some("main".to_owned()),
            candidate: "1.4.0-rc.3".parse().unwrap(),
            order: Some(3),
            pipeline_url: None,
            created: Timestamp::UNIX_EPOCH,
            members: vec![member("app"), member("web")],
            replaces: None,
        })
    }

    #[test]
    fn it_hangs_on_the_set_first_and_on_every_member_on_both_sides() {
        let set = set();
        let target = "prod/{name}";
        let template =
            granary_suite::RepositoryTemplate::parse(target, &"registry.test".parse().unwrap()).unwrap();
        let places = Places::new(&set.set, Some((&template, true))).unwrap();
        let attachments = attachments(&set, &places).into_iter();
        let told: Vec<(String, Vec<Digest>)> = attachments
            .map(|(place, on)| {
                (place.repository.to_string(), on.into_iter().map(|subject| subject.digest).collect())
            })
            .collect();
        let digest = |name: &str| Digest::of(name.as_bytes());
        assert_eq!(
            told,
            [
                ("acme/app".to_owned(), vec![set.digest.clone(), digest("app")]),
                ("acme/web".to_owned(), vec![digest("web")]),
                ("prod/app".to_owned(), vec![digest("app")]),
                ("prod/web".to_owned(), vec![digest("web")]),
            ]
        );
        let subjects = subjects(&set).unwrap().into_iter().map(|subject| subject.sha256().unwrap());
        let all = [&set.digest, &digest("app"), &digest("web")].map(ToString::to_string);
        assert_eq!(subjects.collect::<Vec<_>>(), all);
    }
}
