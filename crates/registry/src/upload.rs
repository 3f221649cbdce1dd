//! Uploads: found, mounted, or sent; tried again from the source until one way works.

mod ways;

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use granary_net::header::LOCATION;
use granary_net::{Answer, Method, StatusCode, random_unit};
use granary_oci::{Descriptor, Repository};
use url::Url;

use crate::blob_source::{BlobSource, Progress, SourceError};
use crate::client::Registry;
use crate::error::{Operation, ProtocolProblem, RegistryError};
use crate::observe::reason;
use crate::request::{Call, Target};

/// Blobs up to this size are read into memory and sent from there.
const SMALL_BLOB: u64 = 64 * 1024;

/// Least size of a ranged chunk but for the last, unless the registry asks for more: ECR takes no
/// smaller ones.
const CHUNK_BYTES: u64 = 5 * 1024 * 1024;

/// Largest chunk that is put together in memory, whatever `OCI-Chunk-Min-Length` asks for.
const MAX_CHUNK_BYTES: u64 = 64 * 1024 * 1024;

/// How a blob got to where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlobOutcome {
    /// It was there already.
    Present,
    /// The registry took it over from another repository.
    Mounted,
    /// It was sent.
    Uploaded,
}

/// What is known about a push beforehand.
#[derive(Clone, Default)]
pub struct PushOptions {
    /// The blob is not there: do not ask. Being wrong about it costs an upload, nothing else.
    pub known_absent: bool,
    /// Mount it from this repository of the same registry, if possible.
    pub mount_from: Option<Repository>,
    /// Told about every piece.
    pub progress: Option<Progress>,
}

/// The ways of getting content into a session, in the order in which they are tried. What a registry
/// refuses is not tried again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// One PUT with everything.
    Put,
    /// One PATCH with everything and an empty PUT, as Docker does.
    Patch,
    /// PATCHes with `Content-Range` and an empty PUT.
    Chunks,
}

const WAYS: [Way; 3] = [Way::Put, Way::Patch, Way::Chunks];

/// How one try at an upload ended, if not well.
enum Setback {
    /// This way will not do; the next may.
    Unsupported(RegistryError),
    /// Try the same again, after the pause that the registry asked for.
    Passing(RegistryError, Option<Duration>),
    /// Neither.
    Final(RegistryError),
}

/// An open session.
struct Session {
    url: Url,
    chunk_bytes: u64,
}

/// What is uploaded, and where.
struct Upload<'a> {
    registry: &'a Registry,
    repository: &'a Repository,
    descriptor: &'a Descriptor,
    source: &'a BlobSource,
    /// The content, where it is small.
    small: Option<Bytes>,
    options: &'a PushOptions,
    operation: Operation,
}

impl Registry {
    /// Brings a blob into a repository: knows or finds it there, has it mounted, or uploads it.
    ///
    /// The content is checked while it is sent; if it is not what `descriptor` says, the upload is not
    /// completed. After a commit whose answer was lost the registry is asked for the blob before
    /// anything is sent again (GHCR commits 700 MB for longer than its own proxy waits).
    ///
    /// # Errors
    /// After all retries and all ways of uploading.
    pub async fn push_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        source: &BlobSource,
        options: &PushOptions,
    ) -> Result<BlobOutcome, RegistryError> {
        if self.knows_blob(repository, &descriptor.digest) {
            return Ok(BlobOutcome::Present);
        }
        let mount_from = match (&options.mount_from, source) {
            (Some(from), _) => Some(from),
            (None, BlobSource::Remote { registry, repository }) if registry.is_same_as(self) => {
                Some(repository)
            }
            (None, _) => None,
        };
        let mount_from = mount_from.filter(|from| *from != repository && self.mounts_into(repository));
        self.announce_writes(repository, mount_from.map_or(&[], std::slice::from_ref));
        // Where a mount is possible it answers the question at the price of asking it.
        if !options.known_absent
            && mount_from.is_none()
            && self.blob_exists(repository, &descriptor.digest).await?
        {
            return Ok(BlobOutcome::Present);
        }
        let operation = self.operation("pushing blob", repository, format!("@{}", descriptor.digest), true);
        let mut upload =
            Upload { registry: self, repository, descriptor, source, small: None, options, operation };
        if descriptor.size <= SMALL_BLOB && !matches!(source, BlobSource::Remote { .. }) {
            upload.small = Some(source.read(descriptor).await.map_err(|error| upload.source_error(error))?);
        }
        let outcome = upload.run(mount_from).await?;
        self.remember_blob(repository, &descriptor.digest);
        Ok(outcome)
    }
}

impl Upload<'_> {
    async fn run(&self, mut mount_from: Option<&Repository>) -> Result<BlobOutcome, RegistryError> {
        let mut attempts = self.registry.attempts();
        loop {
            let Some(session) = self.open_session(mount_from.take()).await? else {
                return Ok(BlobOutcome::Mounted);
            };
            let position = usize::from(self.registry.learnt().upload_method.load(Ordering::Relaxed));
            let way = WAYS[position.min(WAYS.len() - 1)];
            let turn = match self.small {
                Some(_) => None,
                None => Some(self.registry.stream_turn().await),
            };
            let sent = self.send(way, session).await;
            drop(turn);
            let setback = match sent {
                Ok(()) => return Ok(BlobOutcome::Uploaded),
                Err(Setback::Final(error)) => return Err(error),
                Err(setback) => setback,
            };
            if self.registry.blob_exists(self.repository, &self.descriptor.digest).await? {
                return Ok(BlobOutcome::Uploaded);
            }
            match setback {
                Setback::Final(error) => return Err(error),
                Setback::Unsupported(error) if position + 1 >= WAYS.len() => return Err(error),
                Setback::Unsupported(_) => {
                    let next = u8::try_from(position + 1).unwrap_or(u8::MAX);
                    self.registry.learnt().upload_method.fetch_max(next, Ordering::Relaxed);
                }
                Setback::Passing(error, asked) => match attempts.failed(asked, random_unit()) {
                    Some(pause) => self.pause(&error, pause).await,
                    None => return Err(error),
                },
            }
        }
    }

    /// Opens a session; `None` if the blob was mounted instead. A registry that refuses the mount is
    /// asked again without.
    async fn open_session(&self, mount_from: Option<&Repository>) -> Result<Option<Session>, RegistryError> {
        let digest = &self.descriptor.digest;
        // Never `mount` without `from`: Quay answers that with an error.
        let query = mount_from.map(|from| format!("?mount={digest}&from={from}")).unwrap_or_default();
        let target = Target::Below(format!("blobs/uploads/{query}"));
        let call = Call::new(self.operation.clone(), Method::POST, target);
        let answer = match self.registry.exchange(call).await {
            // There is no token that may read there.
            Err(RegistryError::Auth { source, .. }) if mount_from.is_some() && source.is_refusal() => {
                self.registry.give_up_mounts(self.repository);
                return Box::pin(self.open_session(None)).await;
            }
            answer => answer?,
        };
        match answer.status {
            StatusCode::CREATED if mount_from.is_some() => Ok(None),
            StatusCode::ACCEPTED => Ok(Some(Session {
                url: self.location(&answer, None)?,
                chunk_bytes: chunk_bytes(answer.header("oci-chunk-min-length")),
            })),
            status if mount_from.is_some() && status.is_client_error() => {
                Box::pin(self.open_session(None)).await
            }
            _ => Err(self.registry.refused(self.operation.clone(), &answer)),
        }
    }

    /// Where the session goes on. The address may be absolute, relative, or on another host, which then
    /// gets no credentials; it may not lead from https to http.
    fn location(&self, answer: &Answer, before: Option<Url>) -> Result<Url, RegistryError> {
        let problem = |problem| self.operation.clone().problem(problem);
        let Some(location) = answer.header(LOCATION.as_str()) else {
            return before.ok_or_else(|| problem(ProtocolProblem::NoLocation));
        };
        let base = self.registry.base();
        let url = answer.url.join(location).ok().filter(Url::has_host);
        let Some(url) = url else { return Err(problem(ProtocolProblem::BadLocation("not a URL"))) };
        let url = self.registry.own_address(url);
        match (base.scheme(), url.scheme()) {
            (_, "https") | ("http", "http") => Ok(url),
            (_, "http") => Err(problem(ProtocolProblem::BadLocation("it leads from https to http"))),
            _ => Err(problem(ProtocolProblem::BadLocation("neither http nor https"))),
        }
    }

    async fn pause(&self, error: &RegistryError, pause: Duration) {
        let reason = match error {
            RegistryError::Status { status, .. } => reason("the registry", Ok(*status)),
            RegistryError::Unreachable { source, .. } => reason("the registry", Err(source)),
            _ => "the content broke off".to_owned(),
        };
        let path = format!("/v2/{}/blobs/{}", self.repository, self.descriptor.digest);
        let url = self.registry.base().join(&path).expect("invariant: names and digests form a URL");
        self.registry.pause(&Method::PUT, &url, reason, pause).await;
    }

    fn source_error(&self, source: SourceError) -> RegistryError {
        RegistryError::Source { operation: Box::new(self.operation.clone()), source: Box::new(source) }
    }
}

fn chunk_bytes(minimum: Option<&str>) -> u64 {
    let minimum = minimum.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    CHUNK_BYTES.max(minimum).min(MAX_CHUNK_BYTES)
}
