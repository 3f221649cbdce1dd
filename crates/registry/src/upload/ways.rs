//! The ways of getting content into an upload session: PUT, PATCH and PUT, ranged chunks.

use bytes::{Bytes, BytesMut};
use granary_net::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderValue};
use granary_net::{Answer, Body, HttpError, Method, Verdict, classify_status};
use url::Url;

use super::{Session, Setback, Upload, Way};
use crate::blob_source::{Pieces, SourceError};
use crate::error::RegistryError;
use crate::manifests::check_claim;
use crate::request::{Call, Target};

impl Upload<'_> {
    pub(super) async fn send(&self, way: Way, session: Session) -> Result<(), Setback> {
        let size = self.descriptor.size;
        match way {
            Way::Put => {
                let mut call = self.call(Method::PUT, self.committing(session.url.clone()));
                call.body = self.whole();
                let answer = self.transfer(call, &session.url).await?;
                self.committed(&answer)
            }
            Way::Patch => {
                let mut call = self.call(Method::PATCH, session.url.clone());
                call.body = self.whole();
                let answer = self.transfer(call, &session.url).await?;
                let url = self.accepted(&answer, session.url)?;
                self.commit(url).await
            }
            Way::Chunks => {
                let mut url = session.url;
                let mut pieces = self.source.open(self.descriptor);
                let mut begin = 0;
                while begin < size {
                    let length = session.chunk_bytes.min(size - begin);
                    let chunk = self.chunk(&mut pieces, length, &url).await?;
                    let mut call = self.call(Method::PATCH, url.clone());
                    let range = format!("{begin}-{}", begin + length - 1);
                    let range = HeaderValue::from_str(&range).expect("invariant: digits are a header value");
                    call.headers.insert(CONTENT_RANGE, range);
                    call.body = Body::Bytes(chunk);
                    let answer = self.transfer(call, &url).await?;
                    // What `Range` says about the progress is not believed: at ECR it stays at the first
                    // chunk for ever. Our own count and the digest at the end are enough.
                    url = self.accepted(&answer, url)?;
                    begin += length;
                    if let Some(progress) = &self.options.progress {
                        progress(begin);
                    }
                }
                self.commit(url).await
            }
        }
    }

    /// A chunk of exactly `length` bytes from the source. Pieces are as long as chunks are multiples of
    /// them or shorter; what is left over of a piece waits in front of the next chunk.
    async fn chunk(&self, pieces: &mut Pieces, length: u64, session: &Url) -> Result<Bytes, Setback> {
        let mut chunk = BytesMut::with_capacity(usize::try_from(length).unwrap_or_default());
        while (chunk.len() as u64) < length {
            let wanted = usize::try_from(length).unwrap_or(usize::MAX) - chunk.len();
            match pieces.next_up_to(wanted).await {
                Some(Ok(piece)) => chunk.extend_from_slice(&piece),
                Some(Err(error)) => return Err(self.source_setback(error, session).await),
                None => return Err(self.source_setback(SourceError::Stopped, session).await),
            }
        }
        Ok(chunk.freeze())
    }

    async fn commit(&self, url: Url) -> Result<(), Setback> {
        let call = self.call(Method::PUT, self.committing(url.clone()));
        let answer = self.transfer(call, &url).await?;
        self.committed(&answer)
    }

    fn committed(&self, answer: &Answer) -> Result<(), Setback> {
        let digest = &self.descriptor.digest;
        let checked = check_claim(answer, &self.operation, |claimed| claimed == digest, digest);
        checked.map_err(Setback::Final)
    }

    /// Sends one request of a session. It is not repeated as it is: where it is unknown how much the
    /// registry has taken, a new session is the only safe ground.
    async fn transfer(&self, call: Call, session: &Url) -> Result<Answer, Setback> {
        let answer = match self.registry.exchange(call).await {
            Ok(answer) => answer,
            Err(RegistryError::Unreachable { operation, source }) => {
                return Err(match *source {
                    HttpError::Source { source: cause, .. } => {
                        let error = cause.downcast::<SourceError>().unwrap_or(SourceError::Stopped);
                        self.source_setback(error, session).await
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
            () if classify_status(status) == Verdict::Retry => Setback::Passing(error, answer.retry_after()),
            () if unsupported || said.has_code("UNSUPPORTED") => Setback::Unsupported(error),
            () => {
                self.cancel(session).await;
                Setback::Final(error)
            }
        })
    }

    async fn source_setback(&self, error: SourceError, session: &Url) -> Setback {
        self.cancel(session).await;
        let passing = error.is_passing();
        let error = self.source_error(error);
        match passing {
            true => Setback::Passing(error, None),
            false => Setback::Final(error),
        }
    }

    /// Gives a session up, so that the registry need not keep what it got. Nothing depends on it: many
    /// registries refuse it, and all forget sessions after a while.
    async fn cancel(&self, session: &Url) {
        let mut call = self.call(Method::DELETE, session.clone());
        call.repeatable = false;
        let _ = self.registry.exchange(call).await;
    }

    fn call(&self, method: Method, url: Url) -> Call {
        let mut call = Call::new(self.operation.clone(), method, Target::Url(url));
        call.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        call.repeatable = false;
        call
    }

    fn whole(&self) -> Body {
        match &self.small {
            Some(bytes) => Body::Bytes(bytes.clone()),
            None => self.source.body(self.descriptor, self.options.progress.as_ref()),
        }
    }

    fn committing(&self, mut url: Url) -> Url {
        url.query_pairs_mut().append_pair("digest", self.descriptor.digest.as_str());
        url
    }

    /// The session's address after a PATCH. ECR answers 201 and everybody else 202.
    fn accepted(&self, answer: &Answer, before: Url) -> Result<Url, Setback> {
        self.location(answer, Some(before)).map_err(Setback::Final)
    }
}
