//! The course of one upload: tries, setbacks, sessions that are kept and sessions that are lost.

use std::sync::atomic::Ordering;
use std::time::Duration;

use granary_net::{StatusCode, random_unit};
use granary_oci::Repository;

use super::session::Session;
use super::{BlobOutcome, Known, LARGE_BLOB, SMALL_BLOB, Upload, WAYS, Way};
use crate::blob_source::SourceError;
use crate::error::RegistryError;
use crate::observe::reason;
use crate::plan::BlobWay;

/// What a session must have got further between two failures for patience to begin anew.
const PROGRESS_BYTES: u64 = 256 * 1024;

/// How one try at an upload ended, if not well.
pub(super) enum Setback {
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
pub(super) struct Course {
    /// The whole did not get through: it goes on in chunks.
    broken: bool,
    /// The registry cannot put chunks together after all.
    chunks_fail: bool,
    /// The last failure was an old token.
    expired: bool,
    /// Sessions that came to nothing.
    sessions_lost: u32,
    /// The furthest that any session was known to be when patience began anew.
    furthest: u64,
}

impl Course {
    /// Whether a session that broke is to be continued, if it can be.
    pub(super) fn resumes(&self) -> bool {
        self.broken && !self.chunks_fail
    }

    /// Whether a session that stands here has got on since patience began anew.
    fn gets_on(&mut self, at: u64) -> bool {
        let further = at >= self.furthest + PROGRESS_BYTES;
        if further {
            self.furthest = at;
        }
        further
    }
}

impl Upload<'_> {
    pub(super) async fn run(
        &self,
        mut mount_from: Option<&Repository>,
    ) -> Result<BlobOutcome, RegistryError> {
        let mut tries = self.registry.tries();
        let mut course = Course::default();
        let mut kept: Option<Session> = None;
        loop {
            let mounting = mount_from.take();
            let mut session = match kept.take() {
                Some(session) => session,
                None => match self.open_session(mounting).await? {
                    Some(session) => session,
                    None => return Ok(BlobOutcome::Mounted),
                },
            };
            // Where nothing is mounted the question whether it is there is still open; a small one is as soon sent.
            let unasked =
                mounting.is_some() && matches!(self.options.way, BlobWay::Mount { absent: false, .. });
            if unasked && self.descriptor.size > SMALL_BLOB && self.is_there().await? {
                self.cancel(&session.url).await;
                return Ok(BlobOutcome::Present);
            }
            let position = self.position();
            let way = match session.at > 0 || (course.broken && !course.chunks_fail) {
                true => Way::Chunks,
                false => WAYS[position],
            };
            let turn = match self.small {
                Some(_) => None,
                None => Some(self.registry.stream_turn(self.descriptor.size).await),
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
                Setback::Unsupported(error) if position + 1 >= WAYS.len() => {
                    self.cancel(&session.url).await;
                    return Err(error);
                }
                Setback::Unsupported(error) => {
                    let too_large = error.status() == Some(StatusCode::PAYLOAD_TOO_LARGE);
                    let learnt = self.registry.learnt();
                    if !too_large || !learnt.too_large.refused(position, self.descriptor.size) {
                        let next = u8::try_from(position + 1).unwrap_or(u8::MAX);
                        learnt.upload_method.fetch_max(next, Ordering::Relaxed);
                    }
                    self.cancel(&session.url).await;
                }
                Setback::Expired(error) if expired_before => return Err(error),
                Setback::Expired(_) => {
                    course.expired = true;
                    // A token that lives shorter than the whole takes would be too old again.
                    let all_sent = session.trail.length() >= self.descriptor.size;
                    course.broken |= self.is_large() && self.known().takes_chunks && all_sent;
                    kept = self.resume(&course, session).await?;
                    course.sessions_lost += u32::from(kept.is_none());
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
                    // A throttled registry got nothing and will take the whole later.
                    let throttled = error.status() == Some(StatusCode::TOO_MANY_REQUESTS);
                    course.broken |= self.is_large() && self.known().takes_chunks && !throttled;
                    if course.resumes() && course.gets_on(session.at) {
                        tries.refresh();
                    }
                    let Some(pause) = tries.failed(error.status(), asked, random_unit()) else {
                        self.cancel(&session.url).await;
                        return Err(error);
                    };
                    self.pause(&error, pause).await;
                    // A registry that had everything may have been at it still.
                    if session.at == self.descriptor.size && self.is_large() && self.is_there().await? {
                        return Ok(BlobOutcome::Uploaded);
                    }
                    kept = self.resume(&course, session).await?;
                    match &kept {
                        Some(session) if course.gets_on(session.at) => tries.refresh(),
                        Some(_) => {}
                        // How long a throttled registry is waited for is bounded by itself.
                        None if throttled => {}
                        None => {
                            course.sessions_lost += 1;
                            if course.sessions_lost >= self.registry.attempts_most() {
                                return Err(error);
                            }
                        }
                    }
                }
            }
        }
    }

    /// The first way of sending the whole that has not been refused for a blob of this size.
    fn position(&self) -> usize {
        let learnt = self.registry.learnt();
        let refused = usize::from(learnt.upload_method.load(Ordering::Relaxed));
        let usable = |position: &usize| !learnt.too_large.refuses(*position, self.descriptor.size);
        (refused.min(WAYS.len() - 1)..WAYS.len()).find(usable).unwrap_or(WAYS.len() - 1)
    }

    /// Gives a session up for good.
    async fn lose(&self, course: &mut Course, session: Session) {
        course.sessions_lost += 1;
        self.cancel(&session.url).await;
    }

    async fn is_there(&self) -> Result<bool, RegistryError> {
        self.registry.blob_exists(self.repository, &self.descriptor.digest).await
    }

    pub(super) fn is_large(&self) -> bool {
        self.descriptor.size >= LARGE_BLOB
    }

    pub(super) fn known(&self) -> Known {
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
        let place = format!("{}/{}", self.registry.host(), self.repository);
        let what = format!("upload of blob {} to {place}", self.descriptor.digest);
        self.registry.pause(what, reason, pause).await;
    }

    pub(super) fn source_error(&self, source: SourceError) -> RegistryError {
        RegistryError::Source { operation: Box::new(self.operation.clone()), source: Box::new(source) }
    }
}
