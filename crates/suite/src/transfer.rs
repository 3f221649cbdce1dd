//! Content on its way between repositories: what is shown while it is sent, and what its failures mean.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use granary_oci::Digest;
use granary_plugin::{Context, Failure, Kind};
use granary_registry::{
    Class, PlanError, Registry, RegistryError, TransferError, TransferOptions, TransferPlan, TransferReport,
};

use crate::failures::registry_failure;

/// A transfer that a person follows: a bar or a line every few seconds, and one line at its end.
pub struct Sending<'a> {
    /// The run.
    pub context: &'a Context,
    /// Where it goes.
    pub registry: &'a Registry,
    /// How the place is called in the output: the repository, with its host where that is another one.
    pub place: &'a str,
}

impl Sending<'_> {
    /// Carries out a plan. `options` as they were when it was made; its `progress` is ours.
    ///
    /// # Errors
    /// If the registry fails, or the bytes are not what their digests say.
    pub async fn send(
        &self,
        plan: &TransferPlan,
        options: &TransferOptions,
    ) -> Result<TransferReport, Failure> {
        let started = Instant::now();
        let total = plan.bytes_to_send();
        let label = format!("pushing {}", self.place);
        let shown = Mutex::new(self.context.output.progress(label, (total > 0).then_some(total)));
        let progress = Arc::new(move |_: &Digest, bytes: u64| {
            shown.lock().unwrap_or_else(PoisonError::into_inner).add(bytes);
        });
        let options = TransferOptions { progress: Some(progress), ..options.clone() };
        let report =
            self.registry.execute(plan.repository(), plan, &options).await.map_err(transfer_failure)?;
        drop(options);
        let line = format!("{}@{}: {report}", self.place, plan.top());
        self.context.output.done_in(line, started.elapsed());
        Ok(report)
    }
}

/// Maps a failed transfer to its exit code, with what can be done about it. Nothing has been tagged.
pub fn transfer_failure(error: TransferError) -> Failure {
    match error {
        TransferError::Registry(error) if is_lost(&error) => registry_failure(error)
            .hint("the registry that it is copied from may have lost it: publish the commit anew"),
        TransferError::Registry(error) => registry_failure(error),
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
