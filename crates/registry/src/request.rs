//! One request to the registry: authenticated, limited, tried again, learnt from.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use granary_net::header::{DATE, HeaderMap};
use granary_net::{
    Answer, Body, HttpError, Method, Request, Response, StatusCode, Verdict, classify_status, http_date,
    random_unit,
};
use url::Url;

use crate::auth::{AuthError, Patience, Place, listed};
use crate::client::Registry;
use crate::error::{Operation, ProtocolProblem, RegistryError};
use crate::said::Said;
use crate::scope::Scope;

/// Largest error answer that is read, in bytes.
const MAX_ERROR_BODY: u64 = 64 * 1024;

/// Where a request goes.
pub(crate) enum Target {
    /// Below `/v2/<repository>/`.
    Below(String),
    /// Where the registry sent us: an upload session, the next page.
    Url(Url),
}

/// A request to the registry.
pub(crate) struct Call {
    pub(crate) operation: Operation,
    pub(crate) method: Method,
    pub(crate) target: Target,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
    /// Largest answer to a success, in bytes.
    pub(crate) limit: u64,
    /// Whether it may be sent twice when it is not known whether the first one was carried out.
    pub(crate) repeatable: bool,
}

impl Call {
    pub(crate) fn new(operation: Operation, method: Method, target: Target) -> Self {
        let (headers, body) = (HeaderMap::new(), Body::Empty);
        Call { operation, method, target, headers, body, limit: MAX_ERROR_BODY, repeatable: true }
    }
}

/// What a request brought.
enum Reply {
    Whole(Answer),
    Streaming(Response),
}

impl Reply {
    fn status(&self) -> StatusCode {
        match self {
            Reply::Whole(answer) => answer.status,
            Reply::Streaming(response) => response.status(),
        }
    }

    fn headers(&self) -> &HeaderMap {
        match self {
            Reply::Whole(answer) => &answer.headers,
            Reply::Streaming(response) => response.headers(),
        }
    }

    fn url(&self) -> &Url {
        match self {
            Reply::Whole(answer) => &answer.url,
            Reply::Streaming(response) => response.url(),
        }
    }
}

impl Registry {
    /// Sends a request and reads the answer, whatever its status; all retries are done here.
    pub(crate) async fn exchange(&self, call: Call) -> Result<Answer, RegistryError> {
        match self.run(call, false).await? {
            Reply::Whole(answer) => Ok(answer),
            Reply::Streaming(_) => unreachable!("invariant: streaming was not asked for"),
        }
    }

    /// Sends a request whose answer is read piece by piece, if it is a success.
    pub(crate) async fn open(&self, call: Call) -> Result<Response, RegistryError> {
        let operation = call.operation.clone();
        match self.run(call, true).await? {
            Reply::Streaming(response) => Ok(response),
            Reply::Whole(answer) => Err(self.refused(operation, &answer)),
        }
    }

    /// The error for an answer with another status than was hoped for.
    pub(crate) fn refused(&self, operation: Operation, answer: &Answer) -> RegistryError {
        let said = Box::new(self.inner().auth.said(&answer.body));
        RegistryError::Status { operation: Box::new(operation), status: answer.status, said }
    }

    /// The registry's words in an answer.
    pub(crate) fn said(&self, answer: &Answer) -> Said {
        self.inner().auth.said(&answer.body)
    }

    async fn run(&self, call: Call, streaming: bool) -> Result<Reply, RegistryError> {
        let inner = self.inner();
        let first = match inner.auth.is_settled() {
            true => None,
            false => Some(inner.first.lock().await).filter(|_| !inner.auth.is_settled()),
        };
        let operation = &call.operation;
        let repository = &operation.repository;
        let mut scopes = self.scopes(operation);
        let mut attempts = self.attempts();
        let mut challenged = false;
        loop {
            // A stream that feeds an upload to the same registry must not wait for a permit that the
            // upload holds.
            let permit = if streaming { None } else { Some(inner.limit.acquire().await) };
            let base = self.base();
            let mut request = self.request(&call, &base);
            let ours = request.url.origin() == base.origin();
            let mut sent = None;
            if ours {
                let place = Place { base: &base, patience: self.patience() };
                let authorized = inner.auth.authorize(&mut request.headers, repository, &scopes, place).await;
                sent = Some(authorized.map_err(|source| auth_error(operation, source))?);
            }
            let result = match ours {
                true => self.once_in_either_scheme(&request, &call, streaming).await,
                false => self.once(&request, &call, streaming).await,
            };
            drop(permit);
            let base = self.base();
            let (verdict, asked) = match &result {
                Err(error) => (error.verdict(), None),
                Ok(Reply::Streaming(_)) => (Verdict::Fatal, None),
                Ok(Reply::Whole(answer)) => (classify_status(answer.status), answer.retry_after()),
            };
            if let Ok(reply) = &result {
                self.learn(reply, &base);
                // Past a redirect it is another server's 401, and none of its business who we are.
                let registry_spoke = reply.url().origin() == base.origin();
                if let (Some(sent), true) = (&sent, registry_spoke) {
                    match reply {
                        Reply::Whole(answer) if answer.status == StatusCode::UNAUTHORIZED => {
                            let known = scopes.len();
                            let answered =
                                inner.auth.challenged(sent, answer, repository, &mut scopes, &base).await;
                            answered.map_err(|source| auth_error(operation, source))?;
                            if challenged && scopes.len() == known {
                                let scopes = listed(&scopes);
                                let said = Box::new(self.said(answer));
                                return Err(auth_error(operation, AuthError::Insufficient { scopes, said }));
                            }
                            challenged = true;
                            continue;
                        }
                        reply => {
                            let refusal = reply.status() == StatusCode::FORBIDDEN;
                            if inner.auth.answered(sent, refusal) {
                                continue;
                            }
                        }
                    }
                }
            }
            if verdict == Verdict::Retry
                && call.repeatable
                && let Some(pause) = attempts.failed(asked, random_unit())
            {
                tokio::time::sleep(pause).await;
                continue;
            }
            drop(first);
            return result.map_err(|source| unreachable_error(operation, source));
        }
    }

    /// Sends a request, and finds out on the way whether a registry on this machine speaks TLS.
    async fn once_in_either_scheme(
        &self,
        request: &Request,
        call: &Call,
        streaming: bool,
    ) -> Result<Reply, HttpError> {
        let inner = self.inner();
        let result = self.once(request, call, streaming).await;
        if inner.scheme_proven.load(Ordering::Relaxed) {
            return result;
        }
        if !inner.plain_http && looks_like_tls(&result) {
            let mut over_tls = request.clone();
            let _ = over_tls.url.set_scheme("https");
            if let Ok(reply) = self.once(&over_tls, call, streaming).await {
                inner.secure.store(true, Ordering::Relaxed);
                inner.scheme_proven.store(true, Ordering::Relaxed);
                return Ok(reply);
            }
        }
        inner.scheme_proven.fetch_or(result.is_ok(), Ordering::Relaxed);
        result
    }

    async fn once(&self, request: &Request, call: &Call, streaming: bool) -> Result<Reply, HttpError> {
        let response = self.inner().http.send(request, self.inner().deadline).await?;
        match response.status().is_success() {
            true if streaming => Ok(Reply::Streaming(response)),
            true => response.read(call.limit).await.map(Reply::Whole),
            false => response.read(MAX_ERROR_BODY).await.map(Reply::Whole),
        }
    }

    fn request(&self, call: &Call, base: &Url) -> Request {
        let url = match &call.target {
            Target::Url(url) => url.clone(),
            Target::Below(rest) => base
                .join(&format!("/v2/{}/{rest}", call.operation.repository))
                .expect("invariant: names and digests form a URL"),
        };
        Request { method: call.method.clone(), url, headers: call.headers.clone(), body: call.body.clone() }
    }

    /// The scopes that an operation needs, in one token with everything else that is known to come.
    fn scopes(&self, operation: &Operation) -> Vec<Scope> {
        let repository = &operation.repository;
        if operation.writes {
            self.announce_writes(repository, &[]);
        }
        let writing = self.inner().writing.lock().unwrap_or_else(PoisonError::into_inner);
        match writing.get(repository) {
            Some(sources) => {
                let mut scopes = vec![Scope::pull_push(repository)];
                Scope::merge(&mut scopes, sources.iter().map(Scope::pull));
                scopes
            }
            None => vec![Scope::pull(repository)],
        }
    }

    fn patience(&self) -> Patience {
        Patience { policy: self.inner().policy, deadline: self.inner().deadline }
    }

    fn learn(&self, reply: &Reply, base: &Url) {
        match reply.status() {
            StatusCode::TOO_MANY_REQUESTS => self.inner().limit.throttled(),
            _ => self.inner().limit.answered(),
        }
        if reply.url().origin() != base.origin() {
            return;
        }
        let headers = reply.headers();
        if let Some(date) = headers.get(DATE).and_then(|value| value.to_str().ok()).and_then(http_date) {
            *self.inner().server_time.lock().unwrap_or_else(PoisonError::into_inner) = Some(date);
        }
        // Docker's old version header marks Distribution and what descends from it, none of which sets
        // tags by query. Believing that saves the probe, which there is a request for nothing.
        let legacy = reply.status().is_success() && headers.contains_key("docker-distribution-api-version");
        if legacy && self.inner().learnt.oci_tag.get().is_none() {
            self.inner().learnt.oci_tag.set(false);
        }
    }
}

/// Whether a plain request met a TLS server: Go's and nginx's answer 400 and say so, others send an
/// alert, which is no HTTP, or hang up.
fn looks_like_tls(result: &Result<Reply, HttpError>) -> bool {
    match result {
        Ok(Reply::Whole(answer)) if answer.status == StatusCode::BAD_REQUEST => {
            let text = String::from_utf8_lossy(&answer.body);
            text.contains("HTTPS") || text.contains("SSL")
        }
        Err(HttpError::Interrupted { .. }) => true,
        _ => false,
    }
}

fn auth_error(operation: &Operation, source: AuthError) -> RegistryError {
    RegistryError::Auth { operation: Box::new(operation.clone()), source: Box::new(source) }
}

fn unreachable_error(operation: &Operation, source: HttpError) -> RegistryError {
    RegistryError::Unreachable { operation: Box::new(operation.clone()), source: Box::new(source) }
}

impl Operation {
    /// The error for an answer that breaks the protocol.
    pub(crate) fn problem(self, problem: ProtocolProblem) -> RegistryError {
        RegistryError::Protocol { operation: Box::new(self), problem: Box::new(problem) }
    }
}
