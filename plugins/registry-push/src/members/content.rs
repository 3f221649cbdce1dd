//! The content of a member on its way into the member's repository.

use std::sync::Arc;

use granary_oci::{RawManifest, Repository, TagOrDigest};
use granary_plugin::{Context, Failure, Progress};
use granary_registry::{Content, CopyOptions, PlanOptions, Registry, TransferPlan};
use granary_suite::{Sending, registry_failure};

use super::failures::transfer_failure;
use super::{Bytes, Loaded};

impl Loaded {
    /// The manifest or index that tags will name.
    pub fn top(&self) -> &RawManifest {
        &self.top
    }

    /// Whether the bytes come from the very repository that they are for.
    fn is_in_place(&self, registry: &Registry) -> bool {
        matches!(&self.bytes, Bytes::Remote { registry: from, repository }
            if from.is_same_as(registry) && *repository == self.member.repository)
    }

    /// Finds out what has to be sent to bring the bytes into the member's repository. Reads only, so what
    /// is incomplete or not for this registry is known before anything is written. `None` where they are
    /// there already. `is_empty`: nothing is there yet, so nothing is looked for.
    ///
    /// # Errors
    /// With exit code 20, if the content cannot be published; else if a registry fails.
    pub async fn plan(&self, registry: &Registry, is_empty: bool) -> Result<Option<TransferPlan>, Failure> {
        let place = &self.member.repository;
        let options = PlanOptions { fresh_repository: is_empty, top_absent: false };
        match &self.bytes {
            Bytes::Local(content) => planned(registry, place, content, options).await,
            Bytes::Remote { .. } if self.is_in_place(registry) => Ok(None),
            Bytes::Remote { registry: from, repository } => {
                // If it is there, its content need not be read at the other end.
                let target = TagOrDigest::from(&self.member.digest);
                if !is_empty
                    && registry.head_manifest(place, &target).await.map_err(registry_failure)?.is_some()
                {
                    return Ok(None);
                }
                let read = from.read_content_of(repository, &self.top, &CopyOptions::default()).await;
                let content = read.map_err(registry_failure)?;
                planned(registry, place, &content, PlanOptions { top_absent: true, ..options }).await
            }
        }
    }

    /// Carries out the plan and says what was done; `true` where anything had to be. `shown` is what all
    /// members together have sent.
    ///
    /// # Errors
    /// If the registry fails or the bytes are not what their digests say.
    pub async fn push(
        &self,
        context: &Context,
        registry: &Registry,
        plan: Option<&TransferPlan>,
        shown: &Arc<Progress>,
    ) -> Result<bool, Failure> {
        if self.is_in_place(registry) {
            return Ok(false);
        }
        let place = self.member.repository.as_str();
        let Some(plan) = plan else {
            context.output.done(format_args!("{place}@{}: there already", self.member.digest));
            return Ok(false);
        };
        let sending = Sending { context, registry, place };
        let sent = sending.send_among(plan, shown).await;
        sent.map_err(transfer_failure)?;
        Ok(!plan.is_empty())
    }
}

async fn planned(
    registry: &Registry,
    place: &Repository,
    content: &Content,
    options: PlanOptions,
) -> Result<Option<TransferPlan>, Failure> {
    let plan = registry.plan_transfer(place, content, options).await.map_err(transfer_failure)?;
    Ok(Some(plan))
}
