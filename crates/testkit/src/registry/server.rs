//! One request from head to answer: log it, kill or strike it, check access, carry it out.
//!
//! Handlers are plain functions over the locked state; nothing here waits while it holds a lock.

use std::future::pending;
use std::io;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};

use super::auth::{self, Tokens};
use super::call::Call;
use super::fault::{Action, Kill, Script, When};
use super::journal::{Entry, Journal};
use super::options::Options;
use super::payload::Payload;
use super::reply::Reply;
use super::route::{Query, Route};
use super::state::State;
use super::wire::Slam;
use super::{blobs, lists, manifests};

/// What the registry's thread and its handle share.
pub(crate) struct Server {
    pub(crate) options: Options,
    pub(crate) base_url: String,
    state: Arc<Mutex<State>>,
    journal: Mutex<Journal>,
    script: Mutex<Script>,
    tokens: Mutex<Tokens>,
    kill: Mutex<Option<Kill>>,
    /// Seconds by which the clock is ahead of the machine's.
    clock_ahead: AtomicI64,
}

/// A test that panics elsewhere must not hide behind a poisoned lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Server {
    pub(crate) fn new(options: Options, base_url: String, state: Arc<Mutex<State>>) -> Self {
        Self {
            options,
            base_url,
            state,
            journal: Mutex::new(Journal::new()),
            script: Mutex::default(),
            tokens: Mutex::default(),
            kill: Mutex::default(),
            clock_ahead: AtomicI64::new(0),
        }
    }

    pub(crate) fn move_clock(&self, seconds: i64) {
        self.clock_ahead.fetch_add(seconds, Ordering::Relaxed);
    }

    /// `Date`, where it is not the machine's own, which hyper says.
    fn date(&self) -> Option<String> {
        let ahead = self.clock_ahead.load(Ordering::Relaxed);
        let now = || jiff::Timestamp::now() + jiff::SignedDuration::from_secs(ahead);
        (ahead != 0).then(|| now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
    }

    pub(crate) fn shared_state(&self) -> Arc<Mutex<State>> {
        Arc::clone(&self.state)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(crate) fn journal(&self) -> MutexGuard<'_, Journal> {
        lock(&self.journal)
    }

    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        lock(&self.script)
    }

    pub(crate) fn tokens(&self) -> MutexGuard<'_, Tokens> {
        lock(&self.tokens)
    }

    pub(crate) fn kill(&self) -> MutexGuard<'_, Option<Kill>> {
        lock(&self.kill)
    }

    pub(crate) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        connection: usize,
        slam: Slam,
    ) -> Result<Response<Payload>, io::Error> {
        let method = request.method().as_str();
        let entry = self.journal().begin(connection, method, request.uri(), request.headers());
        let head_only = method == "HEAD";
        let _in_flight = InFlight(&self);
        let kill = self.kill_if_due();
        if let Some(kill) = kill {
            if kill.when == When::After {
                self.carry_out(request, entry, None, &slam).await?;
            }
            (kill.deed)();
            return Err(slam.now());
        }
        tokio::time::sleep(self.options.latency).await;
        // A clone, so that the journal is free while the script's closures run.
        let seen = self.journal().entry(entry).cloned();
        let fault = seen.and_then(|seen| self.script().pick(&seen));
        match &fault {
            Some(Action::Hang) => return pending().await,
            Some(Action::ExpireTokens) => self.tokens().expire_all(),
            Some(Action::Delay(delay)) => tokio::time::sleep(*delay).await,
            _ => {}
        }
        let mut reply = self.carry_out(request, entry, fault.as_ref(), &slam).await?;
        match fault {
            Some(Action::ResetBefore | Action::ResetAfter) => return Err(slam.now()),
            Some(Action::Truncate(keep)) => reply.body.truncate(keep),
            Some(Action::Corrupt) => {
                let mut bytes = reply.body.to_vec();
                if let Some(first) = bytes.first_mut() {
                    *first ^= 1;
                }
                reply.body = Bytes::from(bytes);
            }
            Some(Action::LieDigest(digest)) => {
                reply.headers.retain(|(name, _)| name != "Docker-Content-Digest");
                reply = reply.header("Docker-Content-Digest", digest);
            }
            // There is no body to break off in, and a fault that strikes must hurt.
            Some(Action::ResetResponseAt(_)) if head_only || reply.body.is_empty() => return Err(slam.now()),
            Some(Action::ResetResponseAt(keep)) => {
                let payload = Payload::broken(&reply.body, keep, slam);
                return Ok(self.response(entry, reply, payload));
            }
            _ => {}
        }
        let payload = Payload::whole(reply.body.clone());
        Ok(self.response(entry, reply, payload))
    }

    fn kill_if_due(&self) -> Option<Kill> {
        let mut slot = self.kill();
        let kill = slot.as_mut()?;
        kill.countdown = kill.countdown.saturating_sub(1);
        if kill.countdown == 0 { slot.take() } else { None }
    }

    fn response(&self, entry: Entry, reply: Reply, payload: Payload) -> Response<Payload> {
        if let Some(logged) = self.journal().entry(entry) {
            logged.status = Some(reply.status);
        }
        let mut response = Response::new(payload);
        *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::IM_A_TEAPOT);
        for (name, value) in reply.headers {
            let name = hyper::header::HeaderName::from_bytes(name.as_bytes());
            if let (Ok(name), Ok(value)) = (name, value.parse()) {
                response.headers_mut().append(name, value);
            }
        }
        if self.options.api_version {
            let version = hyper::header::HeaderValue::from_static("registry/2.0");
            response.headers_mut().insert("docker-distribution-api-version", version);
        }
        if let Some(date) = self.date().and_then(|date| date.parse().ok()) {
            response.headers_mut().insert("date", date);
        }
        // Said aloud so that HEAD has it too; 204 must not.
        if response.status() != StatusCode::NO_CONTENT {
            let length = response.body().size_hint().exact().unwrap_or_default();
            response.headers_mut().insert("content-length", length.into());
        }
        response
    }

    /// Reads the body and handles the request, unless the fault says that it never gets that far.
    async fn carry_out(
        &self,
        request: Request<Incoming>,
        entry: Entry,
        fault: Option<&Action>,
        slam: &Slam,
    ) -> Result<Reply, io::Error> {
        let (parts, mut incoming) = request.into_parts();
        let route = Route::parse(parts.uri.path());
        let stop_at = match fault {
            Some(Action::ResetRequestAt(stop_at)) => Some(*stop_at),
            _ => None,
        };
        let mut body = BytesMut::new();
        loop {
            if let Some(stop_at) =
                stop_at.filter(|stop_at| body.len() >= *stop_at || incoming.is_end_stream())
            {
                body.truncate(stop_at);
                self.keep_partial(entry, &route, &parts.method, &body);
                return Err(slam.now());
            }
            let Some(frame) = incoming.frame().await else { break };
            let frame = match frame {
                Ok(frame) => frame,
                Err(gone) => {
                    self.keep_partial(entry, &route, &parts.method, &body);
                    return Err(io::Error::other(gone));
                }
            };
            if let Some(data) = frame.data_ref() {
                body.extend_from_slice(data);
            }
        }
        self.logged_length(entry, body.len());
        match fault {
            Some(Action::Status { code, headers, body }) => {
                let mut reply = if body.is_empty() {
                    Reply::scripted(*code)
                } else {
                    Reply::new(*code).body("text/plain; charset=utf-8", Bytes::from(body.clone()))
                };
                if headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
                    reply.headers.retain(|(name, _)| name != "Content-Type");
                }
                reply.headers.extend(headers.iter().cloned());
                Ok(reply)
            }
            Some(Action::ResetBefore) => Err(slam.now()),
            _ => Ok(self.handle(parts.method.as_str(), &parts.uri, &parts.headers, &route, body.freeze())),
        }
    }

    /// A session keeps what arrived of a body that broke off.
    fn keep_partial(&self, entry: Entry, route: &Route, method: &Method, body: &[u8]) {
        self.logged_length(entry, body.len());
        if let (Route::Upload(name, id), "PATCH" | "PUT") = (route, method.as_str()) {
            blobs::keep_partial(&mut self.state(), name, id, body);
        }
    }

    fn logged_length(&self, entry: Entry, length: usize) {
        if let Some(logged) = self.journal().entry(entry) {
            logged.body_length = length;
        }
    }

    fn handle(
        &self,
        method: &str,
        uri: &hyper::Uri,
        headers: &HeaderMap,
        route: &Route,
        body: Bytes,
    ) -> Reply {
        let query = Query::parse(uri.query().unwrap_or_default());
        match route {
            Route::Token => {
                return auth::token(&self.options, &mut self.tokens(), method, &query, headers, &body);
            }
            Route::Unknown => return Reply::no_route(),
            Route::BadName => return Reply::error(400, "NAME_INVALID", "invalid repository name"),
            _ => {}
        }
        let access = auth::authorize(&self.options, &self.tokens(), &self.base_url, method, route, headers);
        let access = match access {
            Ok(access) => access,
            Err(refusal) => return refusal.header("Docker-Distribution-Api-Version", "registry/2.0"),
        };
        let (options, base_url) = (&self.options, self.base_url.as_str());
        let call = Call { method, query, headers, body, access, options, base_url };
        let mut state = self.state();
        match route {
            Route::Tags(name) => lists::tags(&call, &state, name),
            Route::Referrers(name, subject) => lists::referrers(&call, &state, name, subject),
            Route::Manifest(name, reference) => manifests::handle(&call, &mut state, name, reference),
            Route::Blob(name, digest) => blobs::blob(&call, &mut state, name, digest),
            Route::Uploads(name) => blobs::open(&call, &mut state, name),
            Route::Upload(name, id) => blobs::session(&call, &mut state, name, id),
            Route::Base | Route::Token | Route::BadName | Route::Unknown => {
                Reply::json(200, &serde_json::json!({}))
                    .header("Docker-Distribution-Api-Version", "registry/2.0")
            }
        }
    }
}

/// Counts a request as in flight until it is answered or dropped with its connection.
struct InFlight<'a>(&'a Server);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.journal().end();
    }
}
