//! What it takes to bring content into a repository: pure, made of what is known beforehand, and printed
//! by a dry run.
//!
//! # Order
//! Blobs first, the largest ahead: it decides when all are done. Then manifests, round by round: what an
//! index lists strictly before the index, for registries refuse an index whose children are missing (and
//! a reader could meet it half). Referrers go in the same round as what they refer to where the registry
//! is known to keep the list of referrers itself: the specification lets a referrer come before its
//! subject, one round trip less is waited for, and a signature is never later than what it signs. Where
//! the list is a fallback tag, subjects come strictly first, since that tag is an index of its own which
//! readers find before they have seen the subject.

mod build;
mod show;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use granary_oci::{Descriptor, Digest, ManifestError, RawManifest, RegistryHost, Repository};
use thiserror::Error;

use crate::blob_source::BlobSource;
pub(crate) use build::steps;
pub use show::ByteCount;
pub(crate) use show::counted;

/// Why content cannot be brought to where it is to go. Nothing was sent.
#[derive(Debug, Error)]
pub enum PlanError {
    /// The top is not among the manifests.
    #[error("the content does not hold its own top manifest {top}")]
    NoTop {
        /// The top.
        top: Digest,
    },
    /// A manifest names a blob that is not there.
    #[error("manifest {manifest} names blob {blob}, which the content does not hold")]
    NoBlob {
        /// The manifest.
        manifest: Digest,
        /// The blob.
        blob: Digest,
    },
    /// An index lists a manifest that is not there, or that comes later.
    #[error("index {index} lists manifest {child}, which does not come before it")]
    NoChild {
        /// The index.
        index: Digest,
        /// The child.
        child: Digest,
    },
    /// A manifest that cannot be read.
    #[error("the content holds an unusable manifest")]
    Manifest {
        /// Why.
        #[source]
        source: ManifestError,
    },
    /// An index inside an index, and a registry that takes none.
    #[error(
        "index {index} lists another index, {child}, and {host} refuses an index inside an index: list the \
         platform manifests in one flat index, or use another registry"
    )]
    NestedIndex {
        /// The outer index.
        index: Digest,
        /// The inner one.
        child: Digest,
        /// The registry.
        host: RegistryHost,
    },
    /// A plan is carried out where it does not belong.
    #[error("the plan is for {planned} and cannot be carried out at {asked}")]
    OtherTarget {
        /// `host/repository` of the plan.
        planned: String,
        /// Where it was to be carried out.
        asked: String,
    },
}

/// What is known about the target before anything is sent.
#[derive(Clone, Debug)]
pub struct TransferFacts {
    /// The registry.
    pub host: RegistryHost,
    /// The repository.
    pub repository: Repository,
    /// The top is there, and with it everything below it.
    pub top_present: bool,
    /// Referrers that are found from their subjects there. That a referrer's manifest is there would not
    /// be enough: a run may have died before it was entered in the fallback index.
    pub listed: HashSet<Digest>,
    /// Blobs that are there.
    pub known_blobs: HashSet<Digest>,
    /// The repository is new: blobs are not looked for before they are sent.
    pub fresh: bool,
    /// Blobs can be mounted from other repositories of the registry.
    pub mounts: bool,
    /// The registry keeps the lists of referrers itself.
    pub referrers_api: bool,
    /// The registry refuses an index that lists an index.
    pub refuses_nested_indexes: bool,
}

impl TransferFacts {
    /// Nothing is known but where it goes; mounts are tried.
    pub fn new(host: RegistryHost, repository: Repository) -> Self {
        TransferFacts {
            host,
            repository,
            top_present: false,
            listed: HashSet::new(),
            known_blobs: HashSet::new(),
            fresh: false,
            mounts: true,
            referrers_api: false,
            refuses_nested_indexes: false,
        }
    }
}

/// How a blob gets to where it is needed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BlobWay {
    /// It is known to be there: a manifest that names it is, or it was sent before.
    Known,
    /// Taken over from another repository of the registry; sent, if the registry does not do that.
    Mount {
        /// The repository.
        from: Repository,
        /// It is not there: it is sent without a look.
        absent: bool,
    },
    /// Looked for, and sent if it is not there.
    #[default]
    Find,
    /// Sent without a look: it is not there. Being wrong about that costs an upload, nothing else.
    Upload,
}

/// One blob of a plan.
#[derive(Clone, Debug)]
pub struct PlannedBlob {
    /// Digest and size.
    pub descriptor: Descriptor,
    /// Where its bytes are.
    pub source: BlobSource,
    /// How it gets there.
    pub way: BlobWay,
}

/// One manifest of a plan.
#[derive(Clone, Debug)]
pub struct PlannedManifest {
    /// The bytes.
    pub raw: RawManifest,
    /// What it refers to: it is put so that it is found from there.
    pub subject: Option<Descriptor>,
    /// How a list of referrers shows it, where it has a subject.
    pub entry: Descriptor,
    /// It goes in the same round as its subject, see the module's "Order".
    pub(crate) beside_subject: bool,
    pub(crate) blobs: Vec<Digest>,
}

/// Everything that has to be done to bring content into a repository, in order. Made by
/// [`Registry::plan_transfer`](crate::Registry::plan_transfer), carried out by
/// [`Registry::execute`](crate::Registry::execute), printed by `Display` or [`TransferPlan::lines`].
#[derive(Clone, Debug)]
pub struct TransferPlan {
    pub(crate) host: RegistryHost,
    pub(crate) repository: Repository,
    top: Digest,
    pub(crate) top_present: bool,
    blobs: Vec<PlannedBlob>,
    rounds: Vec<Vec<PlannedManifest>>,
    present: Vec<Digest>,
}

impl TransferPlan {
    /// Where it goes.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The manifest or index that stands for the whole.
    pub fn top(&self) -> &Digest {
        &self.top
    }

    /// Whether the top is there already, and with it everything below it.
    pub fn top_present(&self) -> bool {
        self.top_present
    }

    /// Each blob that the manifests to put name, once, the largest first.
    pub fn blobs(&self) -> &[PlannedBlob] {
        &self.blobs
    }

    /// The manifests to put: those of one round together, the rounds one after the other.
    pub fn rounds(&self) -> &[Vec<PlannedManifest>] {
        &self.rounds
    }

    /// Manifests that are not put, for they are there.
    pub fn present(&self) -> &[Digest] {
        &self.present
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.rounds.is_empty()
    }

    /// Bytes of the blobs that will be sent, or may have to be if they are not found there. Mounts are
    /// not counted, though a registry may refuse them.
    pub fn bytes_to_send(&self) -> u64 {
        let sent = |blob: &&PlannedBlob| matches!(blob.way, BlobWay::Find | BlobWay::Upload);
        self.blobs.iter().filter(sent).map(|blob| blob.descriptor.size).sum()
    }

    /// The repositories that blobs are mounted from, each once.
    pub fn mounts_from(&self) -> Vec<Repository> {
        let mut found: Vec<Repository> = Vec::new();
        for blob in &self.blobs {
            if let BlobWay::Mount { from, .. } = &blob.way
                && !found.contains(from)
            {
                found.push(from.clone());
            }
        }
        found
    }
}
