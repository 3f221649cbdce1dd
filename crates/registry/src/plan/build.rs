//! From content and facts to a plan: pure.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use granary_oci::{Descriptor, Digest, EMPTY_JSON, FallbackIndex, Manifest, RawManifest};

use super::{BlobWay, PlanError, PlannedBlob, PlannedManifest, TransferFacts, TransferPlan};
use crate::blob_source::BlobSource;
use crate::content::Content;

/// A manifest and what follows from it.
pub(crate) struct Step<'a> {
    raw: &'a RawManifest,
    pub(crate) manifest: &'a Manifest,
    /// Steps of lower rounds come first.
    round: usize,
    beside_subject: bool,
    /// Belongs to the top, as opposed to referring to something.
    pub(crate) below_top: bool,
}

type Sources<'a> = HashMap<&'a Digest, (&'a Descriptor, &'a BlobSource)>;

/// The steps of complete content.
pub(crate) fn steps(content: &Content, referrers_api: bool) -> Result<Vec<Step<'_>>, PlanError> {
    let blobs: HashSet<&Digest> = content.blobs.iter().map(|(descriptor, _)| &descriptor.digest).collect();
    let mut steps: Vec<Step<'_>> = Vec::new();
    let mut rounds: HashMap<Digest, usize> = HashMap::new();
    for raw in &content.manifests {
        if rounds.contains_key(raw.digest()) {
            continue;
        }
        let manifest = raw.parse().map_err(|source| PlanError::Manifest { source })?;
        if let Some(blob) = manifest.blobs().find(|blob| !blobs.contains(&blob.digest)) {
            let (manifest, blob) = (raw.digest().clone(), blob.digest.clone());
            return Err(PlanError::NoBlob { manifest, blob });
        }
        let mut after_children = 0;
        for child in &manifest.manifests {
            let Some(below) = rounds.get(&child.digest) else {
                let (index, child) = (raw.digest().clone(), child.digest.clone());
                return Err(PlanError::NoChild { index, child });
            };
            after_children = after_children.max(below + 1);
        }
        // A subject may be missing, or come later: the specification allows referrers to come first.
        let subject = manifest.subject.as_ref().and_then(|subject| rounds.get(&subject.digest)).copied();
        let after_subject = subject.map_or(0, |subject| if referrers_api { subject } else { subject + 1 });
        let round = after_children.max(after_subject);
        let beside_subject = subject == Some(round);
        rounds.insert(raw.digest().clone(), round);
        steps.push(Step { raw, manifest, round, beside_subject, below_top: false });
    }
    if !rounds.contains_key(&content.top) {
        return Err(PlanError::NoTop { top: content.top.clone() });
    }
    let top = HashSet::from([content.top.clone()]);
    let below = closure(&steps, top);
    for step in &mut steps {
        step.below_top = below.contains(step.raw.digest());
    }
    Ok(steps)
}

/// These and everything below them. Parents come after their children, so one walk from the end does.
fn closure(steps: &[Step<'_>], mut found: HashSet<Digest>) -> HashSet<Digest> {
    for step in steps.iter().rev() {
        if found.contains(step.raw.digest()) {
            found.extend(step.manifest.manifests.iter().map(|child| child.digest.clone()));
        }
    }
    found
}

impl TransferPlan {
    /// The plan for content at a place of which this is known. Sends nothing.
    ///
    /// # Errors
    /// If the content is not complete, or the registry is known to refuse it.
    pub fn new(content: &Content, facts: &TransferFacts) -> Result<Self, PlanError> {
        let steps = steps(content, facts.referrers_api)?;
        let listed = closure(&steps, facts.listed.clone());
        let is_present =
            |step: &Step<'_>| (facts.top_present && step.below_top) || listed.contains(step.raw.digest());
        let (present, missing): (Vec<Step<'_>>, Vec<Step<'_>>) = steps.into_iter().partition(is_present);
        if facts.refuses_nested_indexes {
            for step in &missing {
                if let Some(child) = content.index_in(step.manifest) {
                    let (index, host) = (step.raw.digest().clone(), facts.host.clone());
                    return Err(PlanError::NestedIndex { index, child, host });
                }
            }
        }
        let blobs = blobs(&missing, content, facts);
        let mut rounds: Vec<Vec<PlannedManifest>> = Vec::new();
        for step in missing {
            let Step { raw, manifest, round, beside_subject, .. } = step;
            rounds.resize_with(rounds.len().max(round + 1), Vec::new);
            rounds[round].push(PlannedManifest {
                raw: raw.clone(),
                entry: FallbackIndex::entry(raw, manifest),
                beside_subject,
                blobs: manifest.blobs().map(|blob| blob.digest.clone()).collect(),
                subject: manifest.subject.clone(),
            });
        }
        rounds.retain(|round| !round.is_empty());
        Ok(TransferPlan {
            host: facts.host.clone(),
            repository: facts.repository.clone(),
            top: content.top.clone(),
            top_present: facts.top_present,
            blobs,
            rounds,
            present: present.into_iter().map(|step| step.raw.digest().clone()).collect(),
        })
    }
}

/// Each blob once, the largest first.
fn blobs(missing: &[Step<'_>], content: &Content, facts: &TransferFacts) -> Vec<PlannedBlob> {
    let sources: Sources<'_> =
        content.blobs.iter().map(|(descriptor, source)| (&descriptor.digest, (descriptor, source))).collect();
    let mut known = HashSet::new();
    let named = missing.iter().flat_map(|step| step.manifest.blobs());
    let mut blobs: Vec<PlannedBlob> = named
        .filter(|blob| known.insert(&blob.digest))
        .filter_map(|blob| sources.get(&blob.digest))
        .map(|(descriptor, source)| {
            let way = way(descriptor, source, facts);
            PlannedBlob { descriptor: (*descriptor).clone(), source: at_hand(descriptor, source, facts), way }
        })
        .collect();
    blobs.sort_by_key(|blob| Reverse(blob.descriptor.size));
    blobs
}

fn way(descriptor: &Descriptor, source: &BlobSource, facts: &TransferFacts) -> BlobWay {
    if facts.known_blobs.contains(&descriptor.digest) {
        return BlobWay::Known;
    }
    match source {
        BlobSource::Remote { registry, repository } if *registry.host() == facts.host => {
            if *repository == facts.repository {
                return BlobWay::Known;
            }
            if facts.mounts {
                return BlobWay::Mount { from: repository.clone(), absent: facts.fresh };
            }
        }
        _ => {}
    }
    if facts.fresh { BlobWay::Upload } else { BlobWay::Find }
}

/// The source, without a request to another registry where the content is in hand: everybody knows `{}`,
/// and a descriptor may carry its content with it.
fn at_hand(descriptor: &Descriptor, source: &BlobSource, facts: &TransferFacts) -> BlobSource {
    let elsewhere = matches!(source, BlobSource::Remote { registry, .. } if *registry.host() != facts.host);
    let inside = || descriptor.data.as_deref().and_then(|data| STANDARD.decode(data).ok()).map(Bytes::from);
    let empty = || Some(Bytes::from_static(EMPTY_JSON));
    let is_it = |bytes: &Bytes| bytes.len() as u64 == descriptor.size && descriptor.digest.matches(bytes);
    let found = match elsewhere {
        true => inside().filter(is_it).or_else(|| empty().filter(is_it)),
        false => None,
    };
    found.map_or_else(|| source.clone(), BlobSource::Bytes)
}
