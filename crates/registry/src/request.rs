//! One request to the registry: authenticated, limited, tried again, learnt from.

mod call;

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use granary_net::header::DATE;
use granary_net::{
    Answer, HttpError, Request, Response, StatusCode, Verdict, classify_status, http_date, random_unit,
};
use granary_redact::SafeUrl;
use url::Url;

use crate::auth::Sent;
use crate::client::Registry;
use crate::error::{Operation, ProtocolProblem, RegistryError};
use crate::observe::{Event, reason};
use crate::said::Said;
use call::MAX_ERROR_BODY;
pub(crate) use call::{Call, Reply, Target};

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
        if answer.status.is_success() && is_web_page(answer) {
            return operation.problem(ProtocolProblem::WebPage { status: answer.status });
        }
        let said = Box::new(self.inner().auth.said(&answer.body));
        RegistryError::Status { operation: Box::new(operation), status: answer.status, said }
    }

    /// The registry's words in an answer.
    pub(crate) fn said(&self, answer: &Answer) -> Said {
        self.inner().auth.said(&answer.body)
    }

    async fn run(&self, call: Call, streaming: bool) -> Result<Reply, RegistryError> {
        let inner = self.inner();
        // Whoever has no login is seldom challenged, and would wait for nothing.
        let alone = !inner.auth.is_settled() && inner.auth.has_login(&call.operation.repository).await;
        let mut first = match alone {
            false => None,
            true => Some(inner.first.lock().await).filter(|_| !inner.auth.is_settled()),
        };
        let operation = &call.operation;
        let mut rights = self.rights(operation, call.lasting);
        let mut tries = self.tries();
        loop {
            // A stream that feeds an upload to the same registry must not wait for a permit that the
            // upload holds.
            let permit = if streaming { None } else { Some(inner.limit.acquire().await) };
            let base = self.base();
            let mut request = self.request(&call, &base);
            // What the others wait for is known: how to ask for tokens. They need wait neither for ours nor
            // for the answer; who needs the same token waits for that one by itself.
            first.take_if(|_| inner.auth.is_settled());
            let sent = match request.url.origin() == base.origin() {
                true => Some(self.authorize(&mut request, operation, &mut rights, &base).await?),
                false => None,
            };
            let result = match sent {
                Some(_) => self.once_in_either_scheme(&request, &call, streaming).await,
                None => self.once(&request, &call, streaming).await,
            };
            drop(permit);
            let base = self.base();
            if let Ok(reply) = &result {
                self.learn(reply, &base);
                if matches!(sent, Some(Sent::Bare)) && reply.url().origin() == base.origin() {
                    self.learn_from_openness(reply.status());
                }
                // Past a redirect it is another server's 401, and none of its business who we are.
                if let Some(sent) = &sent
                    && reply.url().origin() == base.origin()
                    && self.authenticates_anew(operation, sent, reply, &mut rights, &base).await?
                    && call.replays
                {
                    continue;
                }
            }
            let (verdict, asked) = match &result {
                Err(error) => (error.verdict(), None),
                Ok(Reply::Streaming(_)) => (Verdict::Fatal, None),
                Ok(Reply::Whole(answer)) => (classify_status(answer.status), answer.retry_after()),
            };
            if verdict == Verdict::Retry
                && call.repeatable
                && let Some(pause) =
                    tries.failed(result.as_ref().ok().map(Reply::status), asked, random_unit())
            {
                let why = reason("the registry", result.as_ref().map(Reply::status));
                self.pause(format!("{} {}", request.method, SafeUrl::new(&request.url)), why, pause).await;
                continue;
            }
            return result.map_err(|source| unreachable_error(operation, source));
        }
    }

    /// Waits before the next try, and says so.
    pub(crate) async fn pause(&self, what: String, reason: String, pause: Duration) {
        self.inner().audience.tell(|| Event::Retrying { what, reason, pause });
        tokio::time::sleep(pause).await;
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
            match self.once(&over_tls, call, streaming).await {
                Ok(reply) => {
                    inner.secure.store(true, Ordering::Relaxed);
                    inner.scheme_proven.store(true, Ordering::Relaxed);
                    return Ok(reply);
                }
                // It does speak TLS, and what is wrong with its certificate is the news. Where the plain
                // connection only broke, that is: it may work the next time.
                Err(error @ HttpError::Tls { .. }) if result.is_ok() => return Err(error),
                Err(_) => {}
            }
        }
        inner.scheme_proven.fetch_or(result.is_ok(), Ordering::Relaxed);
        result
    }

    async fn once(&self, request: &Request, call: &Call, streaming: bool) -> Result<Reply, HttpError> {
        let began = Instant::now();
        let response = self.inner().http.send(request, self.inner().deadline).await?;
        let reply = match response.status().is_success() {
            true if streaming => Reply::Streaming(response),
            true => Reply::Whole(response.read(call.limit).await?),
            false => Reply::Whole(response.read(MAX_ERROR_BODY).await?),
        };
        self.inner().audience.tell(|| Event::Answered {
            method: request.method.clone(),
            url: SafeUrl::new(&request.url),
            status: reply.status(),
            took: began.elapsed(),
        });
        Ok(reply)
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

    fn learn(&self, reply: &Reply, base: &Url) {
        match reply.status() {
            StatusCode::TOO_MANY_REQUESTS => self.inner().limit.throttled(),
            _ => self.inner().limit.answered(),
        }
        if reply.url().origin() != base.origin() {
            return;
        }
        let headers = reply.headers();
        if reply.status() == StatusCode::UNAUTHORIZED {
            self.learn_from_challenge(headers, base);
        }
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

/// Whether an answer is a page for people, which no part of a registry's protocol is. Its `Content-Type`
/// alone would not do: Quay calls answers without any content HTML.
pub(crate) fn is_web_page(answer: &Answer) -> bool {
    let begin = String::from_utf8_lossy(&answer.body[..answer.body.len().min(256)]);
    let begin = begin.trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
    ["<!doctype", "<html", "<head", "<body", "<!--"].iter().any(|tag| begin.starts_with(tag))
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
