//! What production needs of a release, brought there by digest before any tag tells of it (DESIGN §4.3).

use futures_util::future::{try_join, try_join_all};
use granary_plugin::Failure;
use granary_registry::{CopyOptions, LeaveOut, PlanOptions, TransferPlan};
use granary_release::Version;
use granary_suite::{
    SUMMARY_VERSION, Sending, registry_failure, target_failure, transfer_failure, transfer_progress,
};

use super::{Manifests, PlacedSet, Promotion};
use crate::places::{Place, Side};
use crate::plan::Lists;
use crate::sites::Target;

/// One member's way into the target.
pub(crate) struct Copy {
    place: Place,
    /// What it takes.
    pub(crate) plan: TransferPlan,
}

impl Promotion<'_> {
    /// Finds out what it takes to have every member in the target, with everything that refers to it. All of
    /// it is known, and known to be taken there, before the first byte is sent. Summaries are left out, for each
    /// version gets its own there; but that of a version that was let in before comes along (`summary_of`).
    ///
    /// # Errors
    /// If a registry fails, or the target is one that does not take this content.
    pub(super) async fn plan_content(
        &self,
        subject: &PlacedSet,
        manifests: &Manifests,
        lists: &Lists,
        summary_of: Option<Version>,
    ) -> Result<Vec<Copy>, Failure> {
        let Some(target) = &self.sites.target else { return Ok(Vec::new()) };
        let target_is_new = matches!(lists.target, Some(None));
        let members =
            subject.places.members().iter().filter_map(|placed| Some((placed, placed.on(Side::Target)?)));
        let plans = members.map(|(placed, place)| async move {
            let repository = &placed.member.repository;
            let top = &manifests[&placed.member.digest];
            let reading = async {
                let except = summary_of.map(|version| version.to_string());
                let leave_out = Some(LeaveOut { annotation: SUMMARY_VERSION, except });
                let options = CopyOptions { referrers: true, leave_out };
                let content = self.sites.candidates.read_content_of(repository, top, &options).await;
                content.map_err(registry_failure)
            };
            let (content, is_new) = try_join(reading, is_new(target, &place, target_is_new)).await?;
            let options = PlanOptions { fresh_repository: is_new, top_absent: false };
            let plan = target.registry.plan_transfer(&place.repository, &content, options).await;
            Ok::<_, Failure>(Copy { place, plan: plan.map_err(transfer_failure)? })
        });
        try_join_all(plans).await
    }

    /// Sends what is missing; `true` where anything was.
    ///
    /// # Errors
    /// If a registry fails.
    pub(super) async fn send_content(&self, content: &[Copy]) -> Result<bool, Failure> {
        let missing: Vec<&Copy> = content.iter().filter(|copy| !copy.plan.is_empty()).collect();
        self.context.stop.check()?;
        let label = match missing.as_slice() {
            [copy] => format!("pushing {}", self.sites.name(&copy.place)),
            several => format!("pushing {} images", several.len()),
        };
        let shown = transfer_progress(self.context, label, missing.iter().map(|copy| &copy.plan));
        let send = missing.iter().map(|copy| async {
            let registry = self.sites.registry(copy.place.side);
            let place = self.sites.name(&copy.place);
            let sending = Sending { context: self.context, registry, place: &place };
            sending.send_among(&copy.plan, &shown).await
        });
        shown.during(try_join_all(send)).await.map_err(transfer_failure)?;
        Ok(!missing.is_empty())
    }
}

/// Whether a repository has yet to come into being. Only where the lead's has, others are asked for.
async fn is_new(target: &Target, place: &Place, target_is_new: bool) -> Result<bool, Failure> {
    if !target_is_new || place.repository == target.lead {
        return Ok(target_is_new);
    }
    let tags = target.registry.existing_tags(&place.repository).await.map_err(target_failure)?;
    Ok(tags.is_none())
}
