//! Manifests: read as bytes, checked, written as bytes.

use bytes::Bytes;
use granary_net::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use granary_net::{Answer, Body, Method, StatusCode};
use granary_oci::{
    Descriptor, Digest, MAX_MANIFEST_BYTES, RawManifest, Repository, Tag, TagOrDigest, empty_descriptor,
    media_type,
};

use crate::client::Registry;
use crate::error::{Operation, ProtocolProblem, RegistryError};
use crate::request::{Call, Target, is_web_page};

/// The registry's word for what it stored or sent.
pub(crate) const CONTENT_DIGEST: &str = "docker-content-digest";

/// What the registry says about a manifest that it took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutOutcome {
    /// It lists the manifest among the referrers of its subject (`OCI-Subject`): no fallback tag needed.
    pub subject_acknowledged: bool,
    /// Tags that it set along the way (`OCI-Tag`).
    pub tags_set: Vec<Tag>,
}

impl Registry {
    /// The manifest behind a tag or digest, byte for byte; `None` if there is none.
    ///
    /// # Errors
    /// Also if the content is not what was asked for, or not what the registry calls it.
    pub async fn manifest(
        &self,
        repository: &Repository,
        target: &TagOrDigest,
    ) -> Result<Option<RawManifest>, RegistryError> {
        let operation = self.operation("reading manifest", repository, shown(target), false);
        let answer = self.ask_manifest(operation.clone(), Method::GET, target).await?;
        if answer.status == StatusCode::NOT_FOUND && self.is_absence(&answer) {
            return Ok(None);
        }
        if answer.status != StatusCode::OK {
            return Err(self.refused(operation, &answer));
        }
        if is_web_page(&answer) {
            return Err(operation.problem(ProtocolProblem::WebPage { status: answer.status }));
        }
        let content_type = answer.header(CONTENT_TYPE.as_str()).unwrap_or_default().to_owned();
        let actual = Digest::of(&answer.body);
        if let TagOrDigest::Digest(asked) = target
            && !asked.matches(&answer.body)
        {
            return Err(operation.problem(ProtocolProblem::WrongContent { asked: asked.clone(), actual }));
        }
        check_claim(&answer, &operation, |claimed| claimed.matches(&answer.body), &actual)?;
        let raw = RawManifest::new(answer.body.into(), &content_type).map_err(|source| {
            RegistryError::Manifest { operation: Box::new(operation), source: Box::new(source) }
        })?;
        self.remember_blobs_of(repository, &raw);
        Ok(Some(raw))
    }

    /// What is behind a tag or digest, without its content; `None` if there is nothing. Where the
    /// registry does not say enough, the manifest is read after all.
    ///
    /// # Errors
    /// As [`Self::manifest`].
    pub async fn head_manifest(
        &self,
        repository: &Repository,
        target: &TagOrDigest,
    ) -> Result<Option<Descriptor>, RegistryError> {
        let operation = self.operation("looking for manifest", repository, shown(target), false);
        let answer = self.ask_manifest(operation.clone(), Method::HEAD, target).await?;
        match answer.status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
                return Ok(self.manifest(repository, target).await?.map(|raw| raw.descriptor()));
            }
            _ => return Err(self.refused(operation, &answer)),
        }
        let digest = answer.header(CONTENT_DIGEST).and_then(|text| text.parse::<Digest>().ok());
        let kind =
            answer.header(CONTENT_TYPE.as_str()).and_then(|text| text.split(';').next()).map(str::trim);
        match (digest, answer.content_length(), kind.filter(|kind| media_type::is_manifest(kind))) {
            (Some(digest), Some(size), Some(kind)) => {
                if let TagOrDigest::Digest(asked) = target
                    && *asked != digest
                {
                    let problem = ProtocolProblem::WrongContent { asked: asked.clone(), actual: digest };
                    return Err(operation.problem(problem));
                }
                Ok(Some(Descriptor::new(kind, digest, size)))
            }
            _ => Ok(self.manifest(repository, target).await?.map(|raw| raw.descriptor())),
        }
    }

    /// Stores a manifest under a tag or its digest. On a registry whose tags cannot be moved, a tag that
    /// already names this very manifest is a success. Where the registry turns out to miss the content of
    /// the empty descriptor, it is sent, for everybody knows it. With `verify` a tag is looked up afterwards.
    ///
    /// # Errors
    /// Also if the registry says that it stored something else.
    pub async fn put_manifest(
        &self,
        repository: &Repository,
        target: &TagOrDigest,
        manifest: &RawManifest,
    ) -> Result<PutOutcome, RegistryError> {
        let outcome = self.put_shared(repository, target, manifest).await?;
        self.verify_tag(repository, target, manifest).await?;
        Ok(outcome)
    }

    /// The same without a look afterwards, whatever `verify` says: for tags that several write at once, each
    /// with bytes of its own.
    ///
    /// # Errors
    /// As [`Self::put_manifest`].
    pub async fn put_shared(
        &self,
        repository: &Repository,
        target: &TagOrDigest,
        manifest: &RawManifest,
    ) -> Result<PutOutcome, RegistryError> {
        let operation = self.operation("pushing manifest", repository, shown(target), true);
        let mut answer = self.send_manifest(&operation, target.as_str().to_owned(), manifest).await?;
        if !answer.status.is_success()
            && self.said(&answer).misses_blob()
            && self.forget_blobs_of(repository, manifest, &empty_descriptor().digest)
        {
            self.push_empty(repository, false).await?;
            answer = self.send_manifest(&operation, target.as_str().to_owned(), manifest).await?;
        }
        if answer.status.is_success() {
            let outcome = put_outcome(&answer, &operation, manifest)?;
            self.check_stored(&answer, operation, repository, target, manifest).await?;
            self.remember_blobs_of(repository, manifest);
            return Ok(outcome);
        }
        if let TagOrDigest::Tag(_) = target
            && matches!(answer.status.as_u16(), 400 | 403 | 405 | 409 | 412)
            && let Ok(Some(found)) = self.head_manifest(repository, target).await
            && found.digest == *manifest.digest()
        {
            return Ok(PutOutcome::default());
        }
        Err(self.refused(operation, &answer))
    }

    /// 201 with the digest is what a registry says when it has stored a manifest (`put_outcome` has compared
    /// the digest). Anything else that sounds like success may come from a proxy or a login page, and counts
    /// only where the manifest is really there.
    async fn check_stored(
        &self,
        answer: &Answer,
        operation: Operation,
        repository: &Repository,
        target: &TagOrDigest,
        manifest: &RawManifest,
    ) -> Result<(), RegistryError> {
        if answer.status == StatusCode::CREATED && answer.header(CONTENT_DIGEST).is_some() {
            return Ok(());
        }
        match self.head_manifest(repository, target).await? {
            Some(found) if found.digest == *manifest.digest() => Ok(()),
            _ => Err(operation.problem(ProtocolProblem::NotStored { status: answer.status })),
        }
    }

    async fn ask_manifest(
        &self,
        operation: Operation,
        method: Method,
        target: &TagOrDigest,
    ) -> Result<Answer, RegistryError> {
        let mut call = Call::new(operation, method, Target::Below(format!("manifests/{}", target.as_str())));
        call.headers.insert(ACCEPT, HeaderValue::from_static(media_type::ACCEPT_MANIFESTS));
        call.limit = MAX_MANIFEST_BYTES as u64;
        self.exchange(call).await
    }

    pub(crate) async fn send_manifest(
        &self,
        operation: &Operation,
        path: String,
        manifest: &RawManifest,
    ) -> Result<Answer, RegistryError> {
        self.exchange(manifest_call(operation, &path, manifest)).await
    }

    /// Whether a 404 means "no such manifest": it says so with a registry's own code. Anything else, an empty
    /// body too, may come from a router or proxy in front, and a version taken for absent would be moved.
    pub(crate) fn is_absence(&self, answer: &Answer) -> bool {
        let said = self.said(answer);
        ["MANIFEST_UNKNOWN", "NAME_UNKNOWN", "NOT_FOUND"].iter().any(|code| said.has_code(code))
    }
}

pub(crate) fn manifest_call(operation: &Operation, path: &str, manifest: &RawManifest) -> Call {
    let mut call = Call::new(operation.clone(), Method::PUT, Target::Below(format!("manifests/{path}")));
    let content_type = HeaderValue::from_str(manifest.media_type())
        .expect("invariant: a manifest's media type is one of the known ones");
    call.headers.insert(CONTENT_TYPE, content_type);
    call.body = Body::Bytes(Bytes::from_owner(manifest.clone()));
    call
}

/// `:tag` or `@digest`.
pub(crate) fn shown(target: &TagOrDigest) -> String {
    match target {
        TagOrDigest::Tag(tag) => format!(":{tag}"),
        TagOrDigest::Digest(digest) => format!("@{digest}"),
    }
}

pub(crate) fn put_outcome(
    answer: &Answer,
    operation: &Operation,
    manifest: &RawManifest,
) -> Result<PutOutcome, RegistryError> {
    // `Location` is not looked at: some registries leave it out (ECR), and nothing follows from it.
    check_claim(answer, operation, |claimed| claimed.matches(manifest.bytes()), manifest.digest())?;
    let tags = answer.headers.get_all("oci-tag").iter().filter_map(|value| value.to_str().ok());
    let tags_set =
        tags.flat_map(|value| value.split(',')).filter_map(|tag| tag.trim().parse().ok()).collect();
    Ok(PutOutcome { subject_acknowledged: answer.headers.contains_key("oci-subject"), tags_set })
}

/// Compares `Docker-Content-Digest`, if it is sent, with the content.
pub(crate) fn check_claim(
    answer: &Answer,
    operation: &Operation,
    is_right: impl Fn(&Digest) -> bool,
    actual: &Digest,
) -> Result<(), RegistryError> {
    let Some(claimed) = answer.header(CONTENT_DIGEST) else { return Ok(()) };
    if claimed.parse::<Digest>().is_ok_and(|digest| is_right(&digest)) {
        return Ok(());
    }
    let claimed = claimed.chars().take(140).collect();
    Err(operation.clone().problem(ProtocolProblem::DigestClaim { claimed, actual: actual.clone() }))
}
