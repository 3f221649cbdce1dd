//! Upload sessions: opened, asked how far they are, given up.

use std::time::Duration;

use granary_net::header::LOCATION;
use granary_net::{Answer, Method, StatusCode, Verdict, classify_status};
use granary_oci::Repository;
use url::Url;

use super::Upload;
use super::course::Course;
use crate::blob_source::Trail;
use crate::error::{ProtocolProblem, RegistryError};
use crate::request::{Call, Target};

/// How long a registry may take to give a session up.
const CANCEL_PATIENCE: Duration = Duration::from_secs(5);

/// An open session.
pub(super) struct Session {
    /// Where it goes on.
    pub(super) url: Url,
    /// How much the registry has, as it has confirmed.
    pub(super) at: u64,
    /// `OCI-Chunk-Min-Length`.
    pub(super) minimum: Option<u64>,
    /// How far the source has been read for it.
    pub(super) trail: Trail,
    /// It is where the registry said that it was, and no chunk was taken since.
    pub(super) resumed: bool,
}

impl Upload<'_> {
    /// Opens a session; `None` if the blob was mounted instead. A registry that refuses the mount is
    /// asked again without.
    pub(super) async fn open_session(
        &self,
        mount_from: Option<&Repository>,
    ) -> Result<Option<Session>, RegistryError> {
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
                at: 0,
                minimum: answer.header("oci-chunk-min-length").and_then(|text| text.trim().parse().ok()),
                trail: Trail::default(),
                resumed: false,
            })),
            // One that is only busy has not said anything about mounts.
            status
                if mount_from.is_some()
                    && status.is_client_error()
                    && classify_status(status) == Verdict::Fatal =>
            {
                Box::pin(self.open_session(None)).await
            }
            _ => Err(self.registry.refused(self.operation.clone(), &answer)),
        }
    }

    /// Asks a session that broke how much it has. `None` where nothing can be made of it: the upload is not
    /// to go on in chunks, the registry forgot the session, or what it says does not fit what it got. Then a
    /// new one is needed.
    ///
    /// # Errors
    /// If the registry does not answer at all any more.
    pub(super) async fn resume(
        &self,
        course: &Course,
        mut session: Session,
    ) -> Result<Option<Session>, RegistryError> {
        if !course.resumes() {
            self.cancel(&session.url).await;
            return Ok(None);
        }
        let call = self.call(Method::GET, session.url.clone());
        let answer = match self.registry.exchange(Call { repeatable: true, ..call }).await {
            Ok(answer) => answer,
            // An answer that cannot be used is none; one that never comes is the end.
            Err(RegistryError::Protocol { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let claimed = match answer.status.is_success() {
            true => answer.header("range").and_then(received),
            false => None,
        };
        // What was confirmed before counts: ECR stays at the end of the first chunk. If that is wrong the
        // next chunk is refused, or the whole when it is completed.
        let claimed = claimed.map(|at| at.max(session.at));
        let Some(at) = claimed.filter(|at| session.trail.allows(*at, self.descriptor.size)) else {
            // Distribution has given it up by itself: there, a session whose request broke off in mid-body
            // ends.
            if answer.status != StatusCode::NOT_FOUND {
                self.cancel(&session.url).await;
            }
            return Ok(None);
        };
        session.url = self.location(&answer, Some(session.url))?;
        (session.at, session.resumed) = (at, true);
        Ok(Some(session))
    }

    /// Where the session goes on. The address may be absolute, relative, or on another host, which then
    /// gets no credentials; it may not lead from https to http.
    pub(super) fn location(&self, answer: &Answer, before: Option<Url>) -> Result<Url, RegistryError> {
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

    /// Gives a session up, so that the registry need not keep what it got. Nothing depends on it: many
    /// registries refuse it, and all forget sessions after a while.
    pub(super) async fn cancel(&self, session: &Url) {
        let asked = self.registry.exchange(self.call(Method::DELETE, session.clone()));
        let _ = tokio::time::timeout(CANCEL_PATIENCE, asked).await;
    }
}

/// The number of bytes that `Range` says were received: `0-N` is one more than N. `0-0` is sent for one byte
/// and for none; none is the safe reading, as a byte is soon sent again.
fn received(range: &str) -> Option<u64> {
    let (begin, end) = range.trim().trim_start_matches("bytes=").split_once('-')?;
    let end: u64 = end.parse().ok()?;
    (begin == "0").then(|| if end == 0 { 0 } else { end.saturating_add(1) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_as_they_are_sent() {
        let table = [
            ("0-0", Some(0)),
            ("0-1048575", Some(1_048_576)),
            ("bytes=0-9", Some(10)),
            (" 0-9", Some(10)),
            ("5-9", None),
            ("0--1", None),
            ("0-18446744073709551615", Some(u64::MAX)),
            ("", None),
        ];
        for (range, expected) in table {
            assert_eq!(received(range), expected, "{range}");
        }
    }
}
