//! Referrers: what was attached to a manifest, through the API or the fallback tag.

use granary_net::header::{ACCEPT, HeaderValue};
use granary_net::{Method, StatusCode};
use granary_oci::{
    Descriptor, Digest, FallbackIndex, MAX_MANIFEST_BYTES, RawManifest, Repository, TagOrDigest, media_type,
};
use serde::Deserialize;

use crate::client::Registry;
use crate::error::{ProtocolProblem, RegistryError};
use crate::request::{Call, Target, is_web_page};
use crate::tags::{MAX_PAGES, next_page};

#[derive(Deserialize)]
struct ReferrersPage {
    manifests: Vec<Descriptor>,
}

impl Registry {
    /// What refers to a manifest; only the given type of artifact, if one is given, and what is listed
    /// without its type.
    ///
    /// # Errors
    /// Whatever else than "this registry has no such API" or "there is no fallback tag" kept the list
    /// from us: a list of signatures that could not be read is not an empty one.
    pub async fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        let mut found = match self.learnt().referrers_api.get() {
            Some(false) => None,
            _ => self.referrers_by_api(repository, subject, artifact_type).await?,
        };
        if found.is_none() {
            let index = self.fallback_index(repository, subject).await?;
            found = Some(index.entries().to_vec());
        }
        let mut referrers = found.unwrap_or_default();
        // Filtering is optional for the registry, so it is done again here. Some lists do not know the type:
        // go-containerregistry's gives that of the empty configuration, hand-made fallback indexes none. What
        // is listed so may be what is wanted.
        referrers.retain(|entry| {
            artifact_type.is_none_or(|wanted| {
                entry
                    .artifact_type
                    .as_deref()
                    .is_none_or(|found| found == wanted || found == media_type::OCI_EMPTY)
            })
        });
        Ok(referrers)
    }

    /// Stores a manifest that names `subject` and makes sure that it is found from there: by the
    /// registry, where it says so (`OCI-Subject`), else through the fallback tag. Blobs come first.
    ///
    /// The fallback index has no protection against concurrent writers, so it is merged, written, and
    /// read again after a while, until our entry and everything that was in it before are there.
    ///
    /// # Errors
    /// Also if the manifest names another subject, or other writers never let go.
    pub async fn attach(
        &self,
        repository: &Repository,
        subject: &Descriptor,
        manifest: &RawManifest,
    ) -> Result<(), RegistryError> {
        let operation = self.operation("attaching to", repository, format!("@{}", subject.digest), true);
        let parsed = manifest.parse().map_err(|source| RegistryError::Manifest {
            operation: Box::new(operation.clone()),
            source: Box::new(source),
        })?;
        if parsed.subject.as_ref().is_none_or(|named| named.digest != subject.digest) {
            let problem = ProtocolProblem::NotAReferrer { subject: subject.digest.clone() };
            return Err(operation.problem(problem));
        }
        let target = TagOrDigest::from(manifest.digest());
        let outcome = self.put_manifest(repository, &target, manifest).await?;
        if outcome.subject_acknowledged {
            self.learnt().referrers_api.set(true);
            return Ok(());
        }
        let entry = FallbackIndex::entry(manifest, parsed);
        self.enter_in_fallback(repository, &subject.digest, &[entry], operation).await
    }

    /// `None` if the registry has no such API.
    pub(crate) async fn referrers_by_api(
        &self,
        repository: &Repository,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Option<Vec<Descriptor>>, RegistryError> {
        let operation = self.operation("listing referrers of", repository, format!("@{subject}"), false);
        let filter = artifact_type.map(|wanted| {
            let encoded: String = url::form_urlencoded::byte_serialize(wanted.as_bytes()).collect();
            format!("?artifactType={encoded}")
        });
        let mut target = Target::Below(format!("referrers/{subject}{}", filter.unwrap_or_default()));
        let mut referrers: Vec<Descriptor> = Vec::new();
        for page in 0..MAX_PAGES {
            let mut call = Call::new(operation.clone(), Method::GET, target);
            call.headers.insert(ACCEPT, HeaderValue::from_static(media_type::OCI_INDEX));
            call.limit = MAX_MANIFEST_BYTES as u64;
            let answer = self.exchange(call).await?;
            if answer.status == StatusCode::NOT_FOUND && page == 0 {
                // An unknown repository says nothing about the API.
                if !self.said(&answer).has_code("NAME_UNKNOWN") {
                    self.learnt().referrers_api.set(false);
                }
                return Ok(None);
            }
            if answer.status != StatusCode::OK {
                return Err(self.refused(operation, &answer));
            }
            if is_web_page(&answer) {
                return Err(operation.problem(ProtocolProblem::WebPage { status: answer.status }));
            }
            let document: ReferrersPage = serde_json::from_slice(&answer.body).map_err(|error| {
                let problem = ProtocolProblem::Document {
                    expected: "an index of referrers",
                    reason: error.to_string(),
                };
                operation.clone().problem(problem)
            })?;
            self.learnt().referrers_api.set(true);
            let before = referrers.len();
            for entry in document.manifests {
                if !referrers.iter().any(|known| known.digest == entry.digest) {
                    referrers.push(entry);
                }
            }
            let next = next_page(&answer, &self.base(), &operation)?;
            // With a filter a page may be empty and yet not the last; without, it ends the list.
            match next.filter(|_| referrers.len() > before || artifact_type.is_some()) {
                Some(url) => target = Target::Url(url),
                None => return Ok(Some(referrers)),
            }
        }
        Err(operation.problem(ProtocolProblem::TooManyPages { limit: MAX_PAGES }))
    }
}
