//! Tags given to a manifest: many at once where the registry can, looked after where that is asked for.

use std::collections::BTreeSet;

use granary_net::{Answer, StatusCode, Verdict, classify_status, random_unit};
use granary_oci::{RawManifest, Repository, Tag, TagOrDigest};

use crate::client::Registry;
use crate::error::{Operation, ProtocolProblem, RegistryError};
use crate::manifests::{manifest_call, put_outcome, shown};

impl Registry {
    /// Gives a manifest these tags, in any order and possibly at once: for tags whose order matters call
    /// it once for each. Uses one request for all of them where the registry can do that
    /// (distribution-spec, "Pushing Manifests", `?tag=`).
    ///
    /// # Errors
    /// The first that occurred, with the tags that are written and those of which that is not known. All are
    /// tried.
    pub async fn put_tags(
        &self,
        repository: &Repository,
        manifest: &RawManifest,
        tags: &[Tag],
    ) -> Result<(), RegistryError> {
        let mut missing: BTreeSet<&Tag> = tags.iter().collect();
        let mut written: BTreeSet<&Tag> = BTreeSet::new();
        if missing.len() > 1 && self.learnt().oci_tag.get() != Some(false) {
            let set = self.put_tags_at_once(repository, manifest, &missing).await;
            let set = set.map_err(|error| self.not_all_tags(repository, manifest, &written, tags, error))?;
            written = missing.iter().copied().filter(|tag| set.contains(tag)).collect();
            missing.retain(|tag| !set.contains(tag));
        }
        let looks = written.iter().map(|tag| async move {
            (*tag, self.verify_tag(repository, &TagOrDigest::from(*tag), manifest).await)
        });
        let puts = missing.iter().map(|tag| async move {
            (*tag, self.put_manifest(repository, &TagOrDigest::from(*tag), manifest).await.map(|_| ()))
        });
        let (looks, puts) = (futures_util::future::join_all(looks), futures_util::future::join_all(puts));
        let (looks, puts) = futures_util::future::join(looks, puts).await;
        let mut first: Option<RegistryError> = None;
        written.clear();
        for (tag, result) in looks.into_iter().chain(puts) {
            match result {
                Ok(()) => drop(written.insert(tag)),
                Err(error) => drop(first.get_or_insert(error)),
            }
        }
        match first {
            None => Ok(()),
            Some(error) => Err(self.not_all_tags(repository, manifest, &written, tags, error)),
        }
    }

    /// Sets tags with one request; returns those that the registry says it has set, which may be none.
    async fn put_tags_at_once(
        &self,
        repository: &Repository,
        manifest: &RawManifest,
        tags: &BTreeSet<&Tag>,
    ) -> Result<Vec<Tag>, RegistryError> {
        let names: Vec<String> = tags.iter().map(|tag| format!("tag={tag}")).collect();
        let operation = self.operation("tagging", repository, format!("@{}", manifest.digest()), true);
        let path = format!("{}?{}", manifest.digest(), names.join("&"));
        let answer = self.send_manifest(&operation, path, manifest).await?;
        match answer.status {
            StatusCode::CREATED => {
                let outcome = put_outcome(&answer, &operation, manifest)?;
                self.learnt().oci_tag.set(!outcome.tags_set.is_empty());
                Ok(outcome.tags_set)
            }
            status if classify_status(status) == Verdict::Retry => Err(self.refused(operation, &answer)),
            // A refusal may concern one tag only (immutable); one by one it shows which.
            _ => Ok(Vec::new()),
        }
    }

    fn not_all_tags(
        &self,
        repository: &Repository,
        manifest: &RawManifest,
        written: &BTreeSet<&Tag>,
        tags: &[Tag],
        source: RegistryError,
    ) -> RegistryError {
        if tags.len() < 2 {
            return source;
        }
        let operation = self.operation("tagging", repository, format!("@{}", manifest.digest()), true);
        let missing = tags.iter().filter(|tag| !written.contains(tag)).cloned().collect();
        let written = tags.iter().filter(|tag| written.contains(tag)).cloned().collect();
        RegistryError::Tags { operation: Box::new(operation), written, missing, source: Box::new(source) }
    }

    /// Writes a tag with a single request, whatever becomes of it, and without a look at it.
    pub(crate) async fn put_once(
        &self,
        operation: &Operation,
        tag: &Tag,
        manifest: &RawManifest,
    ) -> Result<Answer, RegistryError> {
        let mut call = manifest_call(operation, tag.as_str(), manifest);
        call.repeatable = false;
        self.exchange(call).await
    }

    /// Where it is asked for: makes sure that a tag names this manifest. Harbor answers 201 to two that
    /// create the same tag at once, and keeps one (harbor#23118). Only where nothing is there is it written
    /// again: another digest is somebody else's, and a version must not be taken from him.
    pub(crate) async fn verify_tag(
        &self,
        repository: &Repository,
        target: &TagOrDigest,
        manifest: &RawManifest,
    ) -> Result<(), RegistryError> {
        if !self.inner().verify || matches!(target, TagOrDigest::Digest(_)) {
            return Ok(());
        }
        let mut found = self.head_manifest(repository, target).await?;
        if found.is_none() {
            // Replicas may be behind for a moment.
            tokio::time::sleep(self.inner().policy.pause(1, random_unit())).await;
            self.put_shared(repository, target, manifest).await?;
            found = self.head_manifest(repository, target).await?;
        }
        match found {
            Some(found) if found.digest == *manifest.digest() => Ok(()),
            found => {
                let found = found.map_or_else(|| "nothing".to_owned(), |found| found.digest.to_string());
                let operation = self.operation("tagging", repository, shown(target), true);
                Err(operation.problem(ProtocolProblem::TagElsewhere { found }))
            }
        }
    }
}
