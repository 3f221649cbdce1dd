//! The client: one pool of connections for each of plain HTTP and https.

use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use granary_redact::{SafeUrl, Secret};
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Method, NoProxy, Proxy};
use rustls::pki_types::CertificateDer;
use tokio::time::{Instant, sleep_until};

use crate::Deadline;
use crate::error::{HttpError, HttpSetupError};
use crate::message::{Answer, Body, BodyStream, Request, Response};
use crate::options::{HttpOptions, Proxies};
use crate::redirect::{MAX_REDIRECTS, Step, step};
use crate::retry::{Attempts, RetryPolicy, Verdict, classify_status, random_unit};
use crate::tls;

/// Idle connections kept per host: as many as requests run at once at most. With fewer, the others would
/// shake hands anew for each request.
const IDLE_CONNECTIONS_PER_HOST: usize = 64;

/// An HTTP/1.1 client. Cheap to clone, meant to be shared: connections are pooled.
#[derive(Clone)]
pub struct Http(Arc<Inner>);

struct Inner {
    options: HttpOptions,
    extra_roots: Vec<CertificateDer<'static>>,
    proxies: Vec<Proxy>,
    plain: OnceLock<reqwest::Client>,
    secure: OnceLock<reqwest::Client>,
}

impl Http {
    /// Checks the options. Connections, and the system's certificates, are left until the first
    /// request that needs them.
    ///
    /// # Errors
    /// If a CA certificate or a proxy URL is unusable.
    pub fn new(options: HttpOptions) -> Result<Self, HttpSetupError> {
        let extra_roots = tls::parse_certificates(&options.ca_certificates)?;
        let proxies = proxies(&options.proxies)?;
        let (plain, secure) = (OnceLock::new(), OnceLock::new());
        Ok(Http(Arc::new(Inner { options, extra_roots, proxies, plain, secure })))
    }

    /// Sends a request once, following redirects. Any status is an answer.
    ///
    /// # Errors
    /// If no answer comes. [`HttpError::verdict`] says whether another try makes sense.
    pub async fn send(&self, request: &Request, deadline: Deadline) -> Result<Response, HttpError> {
        let mut hop = request.clone();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send_hop(&hop, deadline).await?;
            let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            match step(&hop.url, &hop.method, response.status(), location) {
                Step::Keep => return Ok(response),
                Step::Follow { url, keep_authorization } => {
                    if !keep_authorization {
                        hop.headers.remove(AUTHORIZATION);
                    }
                    hop.url = url;
                }
                Step::Refuse(reason) => return Err(refused(&hop, reason.to_owned())),
            }
        }
        Err(refused(&hop, format!("more than {MAX_REDIRECTS} in a row")))
    }

    /// Sends a request once and leaves a redirect to the caller. Any status is an answer.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn send_without_following(
        &self,
        request: &Request,
        deadline: Deadline,
    ) -> Result<Response, HttpError> {
        self.send_hop(request, deadline).await
    }

    /// Sends a request once and reads the whole answer, at most `limit` bytes of it.
    ///
    /// # Errors
    /// As [`Self::send`], and if the answer breaks off or is larger.
    pub async fn exchange(
        &self,
        request: &Request,
        limit: u64,
        deadline: Deadline,
    ) -> Result<Answer, HttpError> {
        self.send(request, deadline).await?.read(limit).await
    }

    /// Sends a request that may be sent any number of times, until it gets an answer that time will
    /// not change, the tries are used up, or the deadline is near. The last answer is returned,
    /// whatever its status. `before_pause` is told of each failed try that is not the last, and how long
    /// the pause is that follows.
    ///
    /// # Errors
    /// As [`Self::exchange`], for the last try.
    pub async fn fetch(
        &self,
        request: &Request,
        limit: u64,
        policy: RetryPolicy,
        deadline: Deadline,
        before_pause: impl Fn(&Result<Answer, HttpError>, Duration),
    ) -> Result<Answer, HttpError> {
        let mut attempts = Attempts::new(policy, deadline);
        loop {
            let result = self.exchange(request, limit, deadline).await;
            let (verdict, asked) = match &result {
                Ok(answer) => (classify_status(answer.status), answer.retry_after()),
                Err(error) => (error.verdict(), None),
            };
            if verdict == Verdict::Fatal {
                return result;
            }
            let Some(pause) = attempts.failed(asked, random_unit()) else { return result };
            before_pause(&result, pause);
            tokio::time::sleep(pause).await;
        }
    }

    async fn send_hop(&self, request: &Request, deadline: Deadline) -> Result<Response, HttpError> {
        let method = || request.method.clone();
        let url = || SafeUrl::new(&request.url);
        let client = self.client(request.url.scheme() == "https").map_err(|source| HttpError::Setup {
            method: method(),
            url: url(),
            source,
        })?;
        let watch = Arc::new(Watch::new());
        let idle = self.0.options.idle_timeout;
        let sending = client.execute(prepare(request, &watch));
        tokio::pin!(sending);
        loop {
            let patience = watch.last_movement() + idle;
            tokio::select! {
                biased;
                result = &mut sending => {
                    return match (result, watch.take_failure()) {
                        (Ok(inner), _) => Ok(Response { inner, method: method(), idle, deadline }),
                        (Err(_), Some(source)) => Err(HttpError::Source { method: method(), url: url(), source }),
                        (Err(error), None) => Err(HttpError::from_library(error, &request.method, url())),
                    };
                }
                () = sleep_until(patience.min(deadline.at())) => {
                    if deadline.has_passed() {
                        return Err(HttpError::Deadline { method: method(), url: url() });
                    }
                    if watch.last_movement() + idle <= Instant::now() {
                        return Err(HttpError::Idle { method: method(), url: url(), idle });
                    }
                }
            }
        }
    }

    fn client(&self, secure: bool) -> Result<&reqwest::Client, HttpSetupError> {
        // A proxy that is itself reached over TLS makes the certificates necessary for plain URLs too.
        let tls_proxy =
            self.0.options.proxies.http.as_ref().is_some_and(|proxy| proxy.expose().starts_with("https:"));
        let slot = match secure || tls_proxy {
            true => &self.0.secure,
            false => &self.0.plain,
        };
        if let Some(client) = slot.get() {
            return Ok(client);
        }
        let config = match secure || tls_proxy {
            true => tls::with_roots(&self.0.options, &self.0.extra_roots)?,
            false => tls::without_roots()?,
        };
        let built = self.build(config).map_err(|source| HttpSetupError::Client { source })?;
        Ok(slot.get_or_init(|| built))
    }

    fn build(&self, config: rustls::ClientConfig) -> reqwest::Result<reqwest::Client> {
        let mut headers = HeaderMap::new();
        // Digests are over the bytes as stored; a proxy that compresses on the way would break them.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(config)
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .pool_max_idle_per_host(IDLE_CONNECTIONS_PER_HOST)
            .connect_timeout(self.0.options.connect_timeout)
            .user_agent(self.0.options.user_agent.clone())
            .default_headers(headers);
        for proxy in &self.0.proxies {
            builder = builder.proxy(proxy.clone());
        }
        builder.build()
    }
}

impl std::fmt::Debug for Http {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Http")
    }
}

fn proxies(options: &Proxies) -> Result<Vec<Proxy>, HttpSetupError> {
    // As curl and Go do it: what runs on this machine is never behind a proxy.
    let listed = options.no_proxy.as_deref().unwrap_or_default();
    let no_proxy = NoProxy::from_string(&format!("{listed},localhost,127.0.0.0/8,::1"));
    let build = |scheme, url: &Option<Secret>, make: fn(&str) -> reqwest::Result<Proxy>| match url {
        None => Ok(None),
        Some(url) => match make(url.expose()) {
            Ok(proxy) => Ok(Some(proxy.no_proxy(no_proxy.clone()))),
            Err(_) => Err(HttpSetupError::Proxy { scheme }),
        },
    };
    let http = build("http", &options.http, |url| Proxy::http(url))?;
    let https = build("https", &options.https, |url| Proxy::https(url))?;
    Ok(http.into_iter().chain(https).collect())
}

fn refused(request: &Request, reason: String) -> HttpError {
    HttpError::Redirect { method: request.method.clone(), url: SafeUrl::new(&request.url), reason }
}

fn prepare(request: &Request, watch: &Arc<Watch>) -> reqwest::Request {
    let mut prepared = reqwest::Request::new(request.method.clone(), request.url.clone());
    *prepared.headers_mut() = request.headers.clone();
    match &request.body {
        Body::Empty => announce_nothing(&mut prepared),
        Body::Bytes(bytes) if bytes.is_empty() => announce_nothing(&mut prepared),
        Body::Bytes(bytes) => *prepared.body_mut() = Some(bytes.clone().into()),
        Body::Stream { length, open } => {
            prepared.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(*length));
            *prepared.body_mut() = Some(reqwest::Body::wrap_stream(watched(open(), watch.clone())));
        }
    }
    prepared
}

/// The HTTP library leaves the length out where there is nothing to send.
fn announce_nothing(request: &mut reqwest::Request) {
    if matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH) {
        request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
}

fn watched(stream: BodyStream, watch: Arc<Watch>) -> BodyStream {
    Box::pin(stream.map(move |item| {
        watch.moved();
        item.map_err(|error| {
            let kind = error.kind();
            watch.fail(error);
            io::Error::new(kind, "the content to send cannot be read")
        })
    }))
}

/// Sees the request body move. The HTTP library's own read time-out runs from the first byte *sent*,
/// so it would cut every upload that takes longer than the time-out.
struct Watch {
    last: Mutex<Instant>,
    failure: Mutex<Option<io::Error>>,
}

impl Watch {
    fn new() -> Self {
        Watch { last: Mutex::new(Instant::now()), failure: Mutex::new(None) }
    }

    fn moved(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn last_movement(&self) -> Instant {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, error: io::Error) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    fn take_failure(&self) -> Option<io::Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
