//! The negative control: a candidate that is known to be bad has to be refused.
//!
//! A gate that lets everything in looks like one that works, for months. So a pipeline of its own asks now
//! and then for what must not be had, and nothing is written whatever the answer is. Whether a newer candidate
//! supersedes it is not asked: a control grows old, and its age says nothing about its tests.

use granary_plugin::{Failure, Kind, Outcome};
use granary_release::Version;

use super::{PlacedSet, Promotion};
use crate::refusal::{let_in, not_admitted};
use crate::report;
use crate::wait::Wait;

impl Promotion<'_> {
    /// Asks what a promotion would be asked: branch and evidence. `promoted` is a version that the set has.
    ///
    /// # Errors
    /// With exit code 16 where it would be let in or was; whatever leaves that open has its own code.
    pub(super) async fn control(
        &self,
        subject: &PlacedSet,
        promoted: Option<Version>,
        wait: &mut Wait,
    ) -> Result<Outcome, Failure> {
        let found = &subject.set;
        if let Some(version) = promoted {
            return Err(let_in(found, format!("it is {version} already")));
        }
        let refused = match self.settings.admission.refuse_branch(&found.set) {
            Some(refused) => not_admitted(found, refused),
            None => match self.evidence_of(subject, wait).await {
                Ok(()) => return Err(let_in(found, "its branch and its evidence let it in".to_owned())),
                Err(failure) => failure,
            },
        };
        match (refused.kind(), refused.refusal()) {
            (Kind::Evidence | Kind::Refused, Some(refusal)) => {
                report::controlled(self.context, found, &refusal);
                Ok(Outcome::Unchanged)
            }
            _ => Err(refused),
        }
    }

    async fn evidence_of(&self, subject: &PlacedSet, wait: &mut Wait) -> Result<(), Failure> {
        let (verdict, _) = self.verdict(&subject.set).await?;
        self.accept(&subject.set, verdict, wait).await.map(drop)
    }
}
