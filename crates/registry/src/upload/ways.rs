//! The ways of getting content into an upload session: PUT, PATCH and PUT, ranged chunks.

use granary_net::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderValue};
use granary_net::{Answer, Body, HttpError, Method, StatusCode, Verdict, classify_status};
use url::Url;

use super::course::Setback;
use super::session::Session;
use super::{Upload, Way};
use crate::blob_source::{BlobSource, Part, Pieces, SourceError};
use crate::error::{ProtocolProblem, RegistryError};
use crate::manifests::check_claim;
use crate::request::{Call, Target};

impl Upload<'_> {
    /// Sends what the session does not have yet, and completes it. Afterwards the session says how far it
    /// got.
    pub(super) async fn send(&self, way: Way, session: &mut Session) -> Result<(), Setback> {
        match way {
            Way::Put => {
                let mut call = self.call(Method::PUT, self.committing(session.url.clone()));
                self.put_whole(&mut call, session).await;
                let answer = self.transfer(call, session).await?;
                self.committed(&answer).await
            }
            Way::Patch => {
                let mut call = self.call(Method::PATCH, session.url.clone());
                self.put_whole(&mut call, session).await;
                let answer = self.transfer(call, session).await?;
                self.accepted(&answer, session)?;
                session.at = self.descriptor.size;
                self.commit(session).await
            }
            Way::Chunks => {
                self.send_chunks(session).await?;
                self.commit(session).await
            }
        }
    }

    async fn send_chunks(&self, session: &mut Session) -> Result<(), Setback> {
        let size = self.descriptor.size;
        let learnt = &self.registry.learnt().chunk_bytes;
        let mut reading: Option<Pieces> = None;
        while session.at < size {
            let (known, minimum) = (self.known(), session.minimum);
            let usual = learnt.bytes(known, minimum).min(self.cautious.bytes(known, minimum));
            let length = usual.min(size - session.at);
            let mut pieces = reading
                .take()
                .unwrap_or_else(|| self.source.open(self.descriptor, session.at, &session.trail));
            if let Err(error) = pieces.ready().await {
                return Err(self.source_setback(error, &session.url).await);
            }
            let mut call = self.call(Method::PATCH, session.url.clone());
            let range = format!("{}-{}", session.at, session.at + length - 1);
            let range = HeaderValue::from_str(&range).expect("invariant: digits are a header value");
            call.headers.insert(CONTENT_RANGE, range);
            let (source, descriptor, trail) = (self.source, self.descriptor, &session.trail);
            let (body, left) = Part { source, descriptor, trail, from: session.at, length }.body(pieces);
            call.body = body;
            match self.transfer(call, session).await {
                Ok(answer) => self.accepted(&answer, session)?,
                // Too large, or at the wrong place where a break has left the place in doubt.
                Err(Setback::Unsupported(error))
                    if is_too_large(&error) && !(session.resumed && session.at > 0) =>
                {
                    match learnt.halve(length, known, minimum) {
                        true => continue,
                        false => return Err(Setback::Unsupported(error)),
                    }
                }
                Err(Setback::Unsupported(error)) if session.resumed => return Err(Setback::Lost(error)),
                Err(Setback::Passing(error, asked)) => {
                    // What cuts requests off at some length or time cuts off the same one again.
                    if matches!(error, RegistryError::Unreachable { .. }) {
                        self.cautious.halve(length, known, minimum);
                    }
                    return Err(Setback::Passing(error, asked));
                }
                Err(setback) => return Err(setback),
            }
            // What `Range` says about the progress is not believed: at ECR it stays at the first
            // chunk for ever. Our own count and the digest at the end are enough.
            session.at += length;
            session.resumed = false;
            reading = left.take();
            if let Some(progress) = &self.options.progress {
                progress(session.at);
            }
        }
        Ok(())
    }

    /// Completes a session that has everything.
    async fn commit(&self, session: &mut Session) -> Result<(), Setback> {
        let mut call = self.call(Method::PUT, self.committing(session.url.clone()));
        call.lasting = self.is_large();
        let answer = match self.transfer(call, session).await {
            // Chunks that were taken and are not there (aws/containers-roadmap#2831): our own check has seen
            // the whole, or the last piece would not have been sent.
            Err(Setback::Final(error)) if error.is_wrong_content() => return Err(Setback::Lost(error)),
            answer => answer?,
        };
        self.committed(&answer).await
    }

    /// 201 is what a registry says when it has stored a blob. Anything else that sounds like success may come
    /// from a proxy or a login page, and counts only where the blob is really there.
    async fn committed(&self, answer: &Answer) -> Result<(), Setback> {
        let digest = &self.descriptor.digest;
        check_claim(answer, &self.operation, |claimed| claimed == digest, digest).map_err(Setback::Final)?;
        if answer.status == StatusCode::CREATED {
            return Ok(());
        }
        match self.registry.blob_exists(self.repository, digest).await {
            Ok(true) => Ok(()),
            Ok(false) => {
                let problem = ProtocolProblem::NotStored { status: answer.status };
                Err(Setback::Final(self.operation.clone().problem(problem)))
            }
            Err(error) => Err(Setback::Final(error)),
        }
    }

    /// Sends one request of a session. It is not repeated as it is: how much the registry has taken is not
    /// known until it is asked.
    async fn transfer(&self, call: Call, session: &Session) -> Result<Answer, Setback> {
        let answer = match self.registry.exchange(call).await {
            Ok(answer) => answer,
            Err(RegistryError::Unreachable { operation, source }) => {
                return Err(match *source {
                    HttpError::Source { source: cause, .. } => {
                        let error = cause.downcast::<SourceError>().unwrap_or(SourceError::Stopped);
                        self.source_setback(error, &session.url).await
                    }
                    error => {
                        let verdict = error.verdict();
                        let error = RegistryError::Unreachable { operation, source: Box::new(error) };
                        match verdict {
                            Verdict::Retry => Setback::Passing(error, None),
                            Verdict::Fatal => Setback::Final(error),
                        }
                    }
                });
            }
            Err(error) => return Err(Setback::Final(error)),
        };
        let status = answer.status;
        if matches!(status.as_u16(), 200 | 201 | 202 | 204) {
            return Ok(answer);
        }
        let said = self.registry.said(&answer);
        let error = self.registry.refused(self.operation.clone(), &answer);
        let unsupported = matches!(status.as_u16(), 404 | 405 | 411 | 413 | 416 | 501);
        // A session that its registry forgot: replicas without common state, or a commit that is
        // through although its answer was lost. A new session, or a look, is what helps.
        let lost = said.has_code("BLOB_UPLOAD_UNKNOWN") || said.has_code("BLOB_UPLOAD_INVALID");
        Err(match () {
            () if lost => Setback::Passing(error, None),
            () if status == StatusCode::UNAUTHORIZED => Setback::Expired(error),
            () if classify_status(status) == Verdict::Retry => Setback::Passing(error, answer.retry_after()),
            () if unsupported || said.has_code("UNSUPPORTED") => Setback::Unsupported(error),
            () => {
                self.cancel(&session.url).await;
                Setback::Final(error)
            }
        })
    }

    async fn source_setback(&self, error: SourceError, session: &Url) -> Setback {
        let passing = error.is_passing();
        if !passing || !self.is_large() {
            self.cancel(session).await;
        }
        let error = self.source_error(error);
        match passing {
            true => Setback::Passing(error, None),
            false => Setback::Final(error),
        }
    }

    /// A request of a session. Nothing in it may be sent twice without a thought.
    pub(super) fn call(&self, method: Method, url: Url) -> Call {
        let mut call = Call::new(self.operation.clone(), method, Target::Url(url));
        call.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        call.repeatable = false;
        call
    }

    /// Makes a request carry the whole content.
    async fn put_whole(&self, call: &mut Call, session: &Session) {
        match &self.small {
            Some(bytes) => call.body = Body::Bytes(bytes.clone()),
            None => {
                let progress = self.options.progress.as_ref();
                let within = matches!(self.source, BlobSource::Remote { registry, .. } if registry.is_same_as(self.registry));
                call.body = match within {
                    true => self.source.opened_body(self.descriptor, &session.trail, progress).await,
                    false => self.source.body(self.descriptor, &session.trail, progress),
                };
                call.replays = false;
                call.lasting = self.is_large();
            }
        }
    }

    fn committing(&self, mut url: Url) -> Url {
        url.query_pairs_mut().append_pair("digest", self.descriptor.digest.as_str());
        url
    }

    /// Takes over the session's address after a PATCH. ECR answers 201 and everybody else 202.
    fn accepted(&self, answer: &Answer, session: &mut Session) -> Result<(), Setback> {
        session.url = self.location(answer, Some(session.url.clone())).map_err(Setback::Final)?;
        Ok(())
    }
}

fn is_too_large(error: &RegistryError) -> bool {
    matches!(error.status(), Some(StatusCode::PAYLOAD_TOO_LARGE | StatusCode::RANGE_NOT_SATISFIABLE))
}
