//! The signed summary on its way: its content is brought beside the claim, and it is attached when the
//! version is ours and nobody sees it yet (DESIGN §4.3).

use std::collections::BTreeMap;
use std::time::Instant;

use futures_util::future::try_join_all;
use granary_attest::bundle::sign_statement;
use granary_attest::summary::SUMMARY;
use granary_oci::{Descriptor, Digest};
use granary_plugin::{Failure, Kind};
use granary_registry::RegistryError;
use granary_release::{FoundSet, TestRun, Version};
use granary_suite::{PushedBundle, SUMMARY_VERSION, attach_pushed, push_bundle};
use jiff::Timestamp;

use super::{PlacedSet, Promotion};
use crate::places::{Place, Side};
use crate::plan::Lists;
use crate::refusal::hidden_signature;
use crate::summary::{Told, attachments, subjects, summary};

/// A signed summary of one version.
pub(super) struct Summary<'a> {
    promotion: &'a Promotion<'a>,
    set: &'a FoundSet,
    version: Version,
    bundle: Vec<u8>,
    signed_on: Timestamp,
    /// What it is attached to, by repository.
    attachments: BTreeMap<Place, Vec<Descriptor>>,
    pushed: Vec<PushedBundle>,
    on_set: Option<Digest>,
}

impl Promotion<'_> {
    /// Signs for a version that is about to be claimed; `None` where there is no key.
    pub(super) fn sign_summary<'a>(
        &'a self,
        subject: &'a PlacedSet,
        version: Version,
        (evidence, judged_on): (&[TestRun], Timestamp),
    ) -> Result<Option<Summary<'a>>, Failure> {
        let Some(key) = self.signing_key else { return Ok(None) };
        let PlacedSet { set, places } = subject;
        let signed_on = self.context.now();
        let told = Told {
            version,
            evidence,
            operator: &self.settings.operator,
            released: self.sites.released(places, set.set.lead()),
            pipeline_url: self.context.ci.pipeline_url.clone(),
            judged_on,
        };
        let bug = || Failure::new(Kind::Unexpected, "the summary cannot be written");
        let subjects = subjects(set).map_err(|error| bug().caused_by(error))?;
        let statement = summary(set, told).to_statement(subjects).map_err(|error| bug().caused_by(error))?;
        let bundle = sign_statement(&statement, key).map_err(|error| bug().caused_by(error))?;
        let attachments = attachments(set, places);
        let (pushed, on_set) = (Vec::new(), None);
        Ok(Some(Summary { promotion: self, set, version, bundle, signed_on, attachments, pushed, on_set }))
    }

    /// Looks for signatures of cosign 2 that nobody would look at any more once a bundle is beside them. Only
    /// the lead's tags are at hand; to list the other members' would cost a request each.
    pub(super) fn check_hidden_signatures(&self, subject: &PlacedSet, lists: &Lists) -> Result<(), Failure> {
        let lead = subject.places.lead();
        let signature = format!("{}.sig", lead.member.digest.as_str().replace(':', "-"));
        let signature = signature.parse().expect("invariant: an algorithm and hex digits form a tag");
        // What is copied brings its bundles with it, whether this run signs or not.
        let candidates = (self.signing_key.is_some()).then_some((Side::Candidate, &lists.tags));
        let target = lists.target_tags().map(|tags| (Side::Target, tags));
        for (side, tags) in candidates.into_iter().chain(target) {
            if let Some(place) = lead.on(side).filter(|_| tags.has(&signature)) {
                let refused = hidden_signature(&self.sites.name(&place), &signature);
                if self.settings.protect_sig {
                    return Err(refused);
                }
                let name = self.sites.name(&place);
                self.context.output.warn(format_args!(
                    "{name} has {signature}: Flux ignores that signature once a bundle is there"
                ));
            }
        }
        Ok(())
    }
}

impl Summary<'_> {
    /// Brings the content into every repository that it will be attached in. Nobody sees it there.
    ///
    /// # Errors
    /// If a registry fails.
    pub(super) async fn bring(&mut self) -> Result<(), Failure> {
        let push = self.attachments.keys().map(async |place| {
            let registry = self.promotion.sites.registry(place.side);
            let pushed =
                push_bundle(registry, &place.repository, SUMMARY, self.bundle.clone(), self.signed_on).await;
            let pushed = pushed.map_err(|error| unsigned(place, error))?;
            Ok::<_, Failure>(pushed.with_annotation(SUMMARY_VERSION, &self.version.to_string()))
        });
        self.pushed = try_join_all(push).await?;
        Ok(())
    }

    /// Attaches it everywhere, at once. Does nothing the second time.
    ///
    /// # Errors
    /// If a registry fails.
    pub(super) async fn attach(&mut self) -> Result<(), Failure> {
        if self.on_set.is_some() {
            return Ok(());
        }
        let started = Instant::now();
        let attach = self.attachments.iter().zip(&self.pushed).map(async |((place, subjects), pushed)| {
            let registry = self.promotion.sites.registry(place.side);
            let attached = attach_pushed(registry, pushed, subjects).await;
            Ok::<_, Failure>((place, attached.map_err(|error| unsigned(place, error))?))
        });
        let attached = try_join_all(attach).await?;
        let lead = &self.set.set.lead().repository;
        let on_set = attached.iter().find_map(|(place, digests)| {
            let holds_set = place.side == Side::Candidate && place.repository == *lead;
            digests.first().filter(|_| holds_set).cloned()
        });
        let count: usize = attached.iter().map(|(_, digests)| digests.len()).sum();
        let digest = on_set.clone().expect("invariant: the set is among what it is attached to");
        let line = format!("{lead}: summary of {}, attached {count} times → {digest}", self.version);
        self.promotion.context.output.done_in(line, started.elapsed());
        self.on_set = on_set;
        Ok(())
    }

    /// The digest of what is attached to the set.
    pub(super) fn on_set(&self) -> Option<&Digest> {
        self.on_set.as_ref()
    }
}

fn unsigned(place: &Place, error: RegistryError) -> Failure {
    place.side.failure()(error)
        .hint("nobody can see the version: its signed summary comes first; run it again")
}
