//! Bringing whole images into a repository: planned over what is known, then carried out.
//!
//! Everything is put by digest and nothing is tagged: what nobody can name is not published yet, so a run
//! that is killed leaves nothing half-visible.

mod execute;
mod report;

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use granary_oci::{Descriptor, Digest, Repository, TagOrDigest};
use thiserror::Error;

use crate::blob_source::BlobSource;
use crate::client::Registry;
use crate::content::Content;
use crate::error::RegistryError;
use crate::plan::{PlanError, TransferFacts, TransferPlan, steps};
pub use report::TransferReport;

/// Why content could not be pushed.
#[derive(Debug, Error)]
pub enum TransferError {
    /// It is not complete, or not for this registry; nothing was sent.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The registry, or a source.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// Told which blob has sent how many bytes more. What is sent again after a failure counts once, so that
/// the numbers of a blob that was sent add up to its size.
pub type TransferProgress = Arc<dyn Fn(&Digest, u64) + Send + Sync>;

/// How a blob came to be there, and why it was skipped if it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlobFate {
    /// It was known to be there: a manifest that names it is, or it was sent before.
    Known,
    /// The registry was asked and has it.
    Found,
    /// The registry took it over from this repository of its own.
    Mounted {
        /// The repository.
        from: Repository,
    },
    /// It was sent.
    Uploaded,
}

/// Told of each blob that is there now, and how.
pub type BlobSettled = Arc<dyn Fn(&Descriptor, &BlobFate) + Send + Sync>;

/// What is known of the target when a transfer is planned.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlanOptions {
    /// The repository did not exist a moment ago (see [`Registry::existing_tags`]): nothing is looked
    /// for before it is sent.
    pub fresh_repository: bool,
    /// The caller has just looked for the top, and it is not there.
    pub top_absent: bool,
}

/// Who is told how a transfer goes.
#[derive(Clone, Default)]
pub struct TransferListener {
    /// Shows how far it is.
    pub progress: Option<TransferProgress>,
    /// Hears what became of each blob.
    pub settled: Option<BlobSettled>,
}

impl Registry {
    /// Finds out what it takes to bring content into a repository. Reads only: it asks for the top, unless
    /// the options say that it cannot be there, and where it is, for the lists of referrers that the
    /// content would add to. If the top is there, so is everything below it. An index inside an index may
    /// cost a request more, see [`Registry::check_nested_indexes`].
    ///
    /// # Errors
    /// If the content is not complete, the registry is known to refuse it, or does not answer.
    pub async fn plan_transfer(
        &self,
        repository: &Repository,
        content: &Content,
        options: PlanOptions,
    ) -> Result<TransferPlan, TransferError> {
        // Nobody is asked anything about content that is not complete.
        let steps = steps(content, false)?;
        let mut facts = TransferFacts::new(self.host().clone(), repository.clone());
        facts.fresh = options.fresh_repository;
        let asks = !options.fresh_repository && !options.top_absent;
        if asks {
            let top = TagOrDigest::from(&content.top);
            facts.top_present = self.head_manifest(repository, &top).await?.is_some();
        }
        if facts.top_present {
            let others = steps.iter().filter(|step| !step.below_top);
            let subjects = others.filter_map(|step| step.manifest.subject.as_ref());
            facts.listed = self.listed_referrers(repository, subjects.map(|subject| &subject.digest)).await?;
        } else if asks {
            self.check_nested_as_known(content).await?;
        } else {
            self.check_nested_indexes(repository, content).await?;
        }
        facts.known_blobs = content
            .blobs
            .iter()
            .filter(|(blob, _)| self.knows_blob(repository, &blob.digest))
            .map(|(blob, _)| blob.digest.clone())
            .collect();
        facts.mounts = self.mounts_into(repository);
        facts.referrers_api = self.learnt().referrers_api.get() == Some(true);
        facts.refuses_nested_indexes = self.refuses_nested_indexes() == Some(true);
        Ok(TransferPlan::new(content, &facts)?)
    }

    /// Brings content into a repository, by digest only: [`Registry::plan_transfer`] and
    /// [`Registry::execute`]. If its top is there already, so is everything below it, and one request is
    /// all it takes.
    ///
    /// # Errors
    /// If the content is not complete (nothing is sent then), or something could not be sent.
    pub async fn push_content(
        &self,
        repository: &Repository,
        content: &Content,
        options: PlanOptions,
    ) -> Result<TransferReport, TransferError> {
        // Said first, so that the token of the first look is good for the writes, too.
        let mounts: Vec<Repository> =
            content.blobs.iter().filter_map(|(_, source)| self.mountable(source)).collect();
        self.announce_writes(repository, &mounts);
        let plan = self.plan_transfer(repository, content, options).await?;
        self.execute(repository, &plan, &TransferListener::default()).await
    }

    /// What is found from any of these subjects.
    async fn listed_referrers(
        &self,
        repository: &Repository,
        subjects: impl Iterator<Item = &Digest>,
    ) -> Result<HashSet<Digest>, RegistryError> {
        let subjects: HashSet<&Digest> = subjects.collect();
        let listings: Vec<_> =
            subjects.into_iter().map(|subject| self.referrers(repository, subject, None)).collect();
        let listed: Vec<Vec<Descriptor>> =
            stream::iter(listings).buffer_unordered(self.inner().limit.most()).try_collect().await?;
        Ok(listed.into_iter().flatten().map(|entry| entry.digest).collect())
    }

    /// The repository of this registry that a source could be mounted from.
    fn mountable(&self, source: &BlobSource) -> Option<Repository> {
        match source {
            BlobSource::Remote { registry, repository } if registry.is_same_as(self) => {
                Some(repository.clone())
            }
            _ => None,
        }
    }
}
