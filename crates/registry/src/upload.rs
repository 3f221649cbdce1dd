//! Uploads: found, mounted, or sent; continued or begun again until one way works.
//!
//! # Design
//! A blob goes up in one PUT. Where that breaks off and the blob is large, the same upload goes on in ranged chunks: what
//! cut the one request off (a proxy's limit or time-out, a weak line) would cut the next one off as well. The session
//! is asked how much it has; an answer that fits what was sent is believed, any other one costs a new session. Tries
//! are counted anew whenever a session has got further, new sessions are counted over the whole upload: it ends.

mod limits;
mod session;
mod ways;

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use granary_net::{Method, StatusCode, random_unit};
use granary_oci::{Descriptor, Repository};

use crate::blob_source::{BlobSource, Progress, SourceError};
use crate::client::Registry;
use crate::error::{Operation, RegistryError};
use crate::observe::reason;
pub(crate) use limits::{Known, LearntChunk};
use session::Session;

/// Blobs up to this size are read into memory and sent from there.
const SMALL_BLOB: u64 = 64 * 1024;

/// Blobs from this size on are continued in chunks after a setback. Below, there are so few chunks that sending the whole
/// again costs less than asking.
const LARGE_BLOB: u64 = 16 * 1024 * 1024;

/// What a session must have got further between two failures for patience to begin anew.
const PROGRESS_BYTES: u64 = 256 * 1024;

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
    /// The same, but what the session holds is not known or not wanted: in a new one.
    Lost(RegistryError),
    /// The token was too old for this request; there is or will be a new one.
    Expired(RegistryError),
    /// None of these.
    Final(RegistryError),
}

/// What one upload has met so far.
#[derive(Default)]
struct Course {
    /// The whole did not get through: it goes on in chunks.
    broken: bool,
    /// The registry cannot put chunks together after all.
    chunks_fail: bool,
    /// The last failure was an old token.
    expired: bool,
    /// Sessions that came to nothing.
    sessions_lost: u32,
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
        let mut tries = self.registry.tries();
        let mut course = Course::default();
        let mut kept: Option<Session> = None;
        loop {
            let mut session = match kept.take() {
                Some(session) => session,
                None => match self.open_session(mount_from.take()).await? {
                    Some(session) => session,
                    None => return Ok(BlobOutcome::Mounted),
                },
            };
            let began_at = session.at;
            let position = usize::from(self.registry.learnt().upload_method.load(Ordering::Relaxed));
            let position = position.min(WAYS.len() - 1);
            let way = match began_at > 0 || (course.broken && !course.chunks_fail) {
                true => Way::Chunks,
                false => WAYS[position],
            };
            let turn = match self.small {
                Some(_) => None,
                None => Some(self.registry.stream_turn().await),
            };
            let sent = self.send(way, &mut session).await;
            drop(turn);
            let setback = match sent {
                Ok(()) => return Ok(BlobOutcome::Uploaded),
                Err(Setback::Final(error)) => return Err(error),
                Err(setback) => setback,
            };
            if self.is_there().await? {
                return Ok(BlobOutcome::Uploaded);
            }
            let expired_before = std::mem::replace(&mut course.expired, false);
            match setback {
                Setback::Final(error) => return Err(error),
                Setback::Unsupported(_) if course.broken && way == Way::Chunks && WAYS[position] != way => {
                    course.chunks_fail = true;
                    self.lose(&mut course, session).await;
                }
                Setback::Unsupported(error) if position + 1 >= WAYS.len() => return Err(error),
                Setback::Unsupported(_) => {
                    let next = u8::try_from(position + 1).unwrap_or(u8::MAX);
                    self.registry.learnt().upload_method.fetch_max(next, Ordering::Relaxed);
                }
                Setback::Expired(error) if expired_before => return Err(error),
                Setback::Expired(_) => {
                    course.expired = true;
                    // A token that lives shorter than the whole takes would be too old again.
                    let all_sent = session.trail.length() >= self.descriptor.size;
                    course.broken |= self.is_large() && self.known().takes_chunks && all_sent;
                    kept = self.resume(&course, session).await?;
                }
                Setback::Lost(error) => {
                    if way == Way::Chunks && WAYS[position] != way {
                        course.chunks_fail |= error.is_wrong_content();
                    }
                    if course.sessions_lost + 1 >= self.registry.attempts_most() {
                        return Err(self.stalled(error, session.at));
                    }
                    let Some(pause) = tries.failed(None, None, random_unit()) else {
                        return Err(self.stalled(error, session.at));
                    };
                    self.lose(&mut course, session).await;
                    self.pause(&error, pause).await;
                }
                Setback::Passing(error, asked) => {
                    if session.at >= began_at + PROGRESS_BYTES {
                        tries.refresh();
                    }
                    let Some(pause) = tries.failed(error.status(), asked, random_unit()) else {
                        return Err(error);
                    };
                    self.pause(&error, pause).await;
                    // A registry that had everything may have been at it still.
                    if session.at == self.descriptor.size && self.is_large() && self.is_there().await? {
                        return Ok(BlobOutcome::Uploaded);
                    }
                    // A throttled registry got nothing and will take the whole later.
                    let throttled = error.status() == Some(StatusCode::TOO_MANY_REQUESTS);
                    course.broken |= self.is_large() && self.known().takes_chunks && !throttled;
                    let before = session.at;
                    kept = self.resume(&course, session).await?;
                    match &kept {
                        Some(session) if session.at >= before + PROGRESS_BYTES => tries.refresh(),
                        None if course.broken => {
                            course.sessions_lost += 1;
                            if course.sessions_lost >= self.registry.attempts_most() {
                                return Err(error);
                            }
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    /// Gives a session up for good.
    async fn lose(&self, course: &mut Course, session: Session) {
        course.sessions_lost += 1;
        self.cancel(&session.url).await;
    }

    async fn is_there(&self) -> Result<bool, RegistryError> {
        self.registry.blob_exists(self.repository, &self.descriptor.digest).await
    }

    fn is_large(&self) -> bool {
        self.descriptor.size >= LARGE_BLOB
    }

    fn known(&self) -> Known {
        Known::of(self.registry.host())
    }

    /// The error for an upload that does not get on although the registry answers.
    fn stalled(&self, error: RegistryError, at: u64) -> RegistryError {
        match error.status() {
            Some(StatusCode::RANGE_NOT_SATISFIABLE) => RegistryError::Stalled {
                operation: Box::new(self.operation.clone()),
                at,
                source: Box::new(error),
            },
            _ => error,
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
