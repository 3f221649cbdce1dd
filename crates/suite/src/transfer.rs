//! Content on its way between repositories: what is shown while it is sent, and what its failures mean.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use granary_oci::{Descriptor, Digest};
use granary_plugin::{Context, Failure, Kind, Progress};
use granary_registry::{
    BlobFate, BlobWay, Class, PlanError, PlannedBlob, Registry, RegistryError, TransferError,
    TransferListener, TransferPlan, TransferReport,
};

use crate::failures::target_failure;

/// A transfer that a person follows: a bar or a line every few seconds, a line where nothing moves, and one
/// at its end.
pub struct Sending<'a> {
    /// The run.
    pub context: &'a Context,
    /// Where it goes.
    pub registry: &'a Registry,
    /// How the place is called in the output: the repository, with its host where that is another one.
    pub place: &'a str,
}

impl Sending<'_> {
    /// Carries out a plan.
    ///
    /// # Errors
    /// If the registry fails, or the bytes are not what their digests say.
    pub async fn send(&self, plan: &TransferPlan) -> Result<TransferReport, Failure> {
        let shown = transfer_progress(self.context, format!("pushing {}", self.place), [plan]);
        let sent = shown.during(self.send_among(plan, &shown)).await;
        sent.map_err(transfer_failure)
    }

    /// The same for one of several transfers: `shown` is what all of them together have sent, see
    /// [`transfer_progress`]. Whoever waits for all of them does so in [`Progress::during`].
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn send_among(
        &self,
        plan: &TransferPlan,
        shown: &Arc<Progress>,
    ) -> Result<TransferReport, TransferError> {
        let started = Instant::now();
        let report = self.registry.execute(plan.repository(), plan, &followed(plan, shown)).await?;
        let line = format!("{}@{}: {report}", self.place, plan.top());
        match plan.is_empty() {
            true => self.context.output.done(line),
            false => self.context.output.done_in(line, started.elapsed()),
        }
        Ok(report)
    }
}

/// What several transfers will have to send, as far as is known before each blob is looked for.
pub fn transfer_progress<'p>(
    context: &Context,
    label: String,
    plans: impl IntoIterator<Item = &'p TransferPlan>,
) -> Arc<Progress> {
    let total: u64 = plans.into_iter().map(TransferPlan::bytes_to_send).sum();
    Arc::new(context.output.progress(label, (total > 0).then_some(total)))
}

/// Keeps `shown` true: what turns out to be there is taken off its total, and what has to be
/// sent after all (a mount was refused, a blob was lost) is added as soon as it begins to move.
fn followed(plan: &TransferPlan, shown: &Arc<Progress>) -> TransferListener {
    /// Whether a blob is in the total, and its size.
    type InTotal = HashMap<Digest, (bool, u64)>;
    let is_sent = |blob: &PlannedBlob| matches!(blob.way, BlobWay::Find | BlobWay::Upload);
    let blobs = plan.blobs().iter();
    let in_total: InTotal =
        blobs.map(|blob| (blob.descriptor.digest.clone(), (is_sent(blob), blob.descriptor.size))).collect();
    let in_total = Arc::new(Mutex::new(in_total));
    // Returns the size where this changes something.
    let set = move |digest: &Digest, sent: bool| -> Option<u64> {
        let mut in_total = in_total.lock().unwrap_or_else(PoisonError::into_inner);
        let (counted, size) = in_total.get_mut(digest)?;
        (std::mem::replace(counted, sent) != sent).then_some(*size)
    };
    let (moving, ended) = (set.clone(), set);
    let (sent, settled) = (shown.clone(), shown.clone());
    TransferListener {
        progress: Some(Arc::new(move |digest: &Digest, bytes: u64| {
            if let Some(size) = moving(digest, true) {
                sent.grow(size);
            }
            sent.add(bytes);
        })),
        settled: Some(Arc::new(move |blob: &Descriptor, fate: &BlobFate| {
            if *fate != BlobFate::Uploaded
                && let Some(size) = ended(&blob.digest, false)
            {
                settled.skip(size);
            }
        })),
    }
}

/// Maps a failed transfer into the registry that is promoted to.
pub fn transfer_failure(error: TransferError) -> Failure {
    match error {
        TransferError::Registry(error) if is_lost(&error) => target_failure(error)
            .hint("the registry that it is copied from may have lost it: publish the commit anew"),
        TransferError::Registry(error) => target_failure(error),
        TransferError::Plan(error @ PlanError::NestedIndex { .. }) => {
            Failure::new(Kind::BadInput, "refusing to copy what the registry does not take")
                .caused_by(error)
                .hint("build one index of all platforms, or choose another registry; nothing was written")
        }
        TransferError::Plan(error) => Failure::new(Kind::BadInput, "the content is not complete")
            .caused_by(error)
            .hint("publish the commit anew; nothing was written"),
    }
}

/// Content that was there when its manifest was pushed.
fn is_lost(error: &RegistryError) -> bool {
    matches!(error.class(), Class::NotFound | Class::Local)
}
