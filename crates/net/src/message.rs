//! Requests that can be sent again, and answers that are read with a bound.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use granary_redact::SafeUrl;
use reqwest::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Method, StatusCode};
use tokio::time::timeout;
use url::Url;

use crate::Deadline;
use crate::error::HttpError;

/// Content on its way out.
pub type BodyStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// What a request carries.
#[derive(Clone, Default)]
pub enum Body {
    /// Nothing; sent with `Content-Length: 0` where the method would otherwise leave that open,
    /// since some proxies answer 411 to a POST without.
    #[default]
    Empty,
    /// Bytes in memory.
    Bytes(Bytes),
    /// Content that is opened anew for every try, so that memory does not grow with its size.
    Stream {
        /// Size in bytes, sent as `Content-Length`.
        length: u64,
        /// Opens it at its beginning.
        open: Arc<dyn Fn() -> BodyStream + Send + Sync>,
    },
}

/// A request; may be sent any number of times.
#[derive(Clone)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Absolute URL.
    pub url: Url,
    /// Headers; `Authorization` values should be marked sensitive.
    pub headers: HeaderMap,
    /// Content.
    pub body: Body,
}

impl Request {
    /// A request without headers and content.
    pub fn new(method: Method, url: Url) -> Self {
        Request { method, url, headers: HeaderMap::new(), body: Body::Empty }
    }

    /// Sets a header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Sets the content.
    #[must_use]
    pub fn with_body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }
}

/// An answer whose content is still to be read.
pub struct Response {
    pub(crate) inner: reqwest::Response,
    pub(crate) method: Method,
    pub(crate) idle: Duration,
    pub(crate) deadline: Deadline,
}

impl Response {
    /// Status.
    pub fn status(&self) -> StatusCode {
        self.inner.status()
    }

    /// Headers.
    pub fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    /// Where the answer came from, after redirects.
    pub fn url(&self) -> &Url {
        self.inner.url()
    }

    /// The next piece of the content; `None` at its end.
    ///
    /// # Errors
    /// If the connection breaks, is silent for too long, or the deadline passes.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        let patience = self.idle.min(self.deadline.remaining());
        match timeout(patience, self.inner.chunk()).await {
            Ok(Ok(chunk)) => Ok(chunk),
            Ok(Err(error)) => {
                let url = SafeUrl::new(self.inner.url());
                Err(HttpError::from_library(error, &self.method, url))
            }
            Err(_) => {
                let (method, url) = (self.method.clone(), SafeUrl::new(self.inner.url()));
                Err(match self.deadline.has_passed() {
                    true => HttpError::Deadline { method, url },
                    false => HttpError::Idle { method, url, idle: self.idle },
                })
            }
        }
    }

    /// The whole content, if it has at most `limit` bytes.
    ///
    /// # Errors
    /// As [`Self::chunk`], and if it is larger.
    pub async fn read(mut self, limit: u64) -> Result<Answer, HttpError> {
        let announced = self.inner.content_length().unwrap_or(0);
        let mut body = BytesMut::with_capacity(announced.min(limit) as usize);
        let is_head = self.method == Method::HEAD;
        if announced > limit && !is_head {
            return Err(self.too_large(limit));
        }
        while let Some(chunk) = self.chunk().await? {
            if body.len() as u64 + chunk.len() as u64 > limit {
                return Err(self.too_large(limit));
            }
            body.extend_from_slice(&chunk);
        }
        let (status, url) = (self.inner.status(), self.inner.url().clone());
        let headers = std::mem::take(self.inner.headers_mut());
        Ok(Answer { status, headers, url, body: body.freeze() })
    }

    fn too_large(&self, limit: u64) -> HttpError {
        HttpError::TooLarge { method: self.method.clone(), url: SafeUrl::new(self.inner.url()), limit }
    }
}

/// An answer read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Where it came from, after redirects.
    pub url: Url,
    /// Content.
    pub body: Bytes,
}

impl Answer {
    /// A header's text; `None` if it is absent or not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// How long the server asks to stay away, as seen from now.
    pub fn retry_after(&self) -> Option<Duration> {
        let value = self.header(RETRY_AFTER.as_str())?;
        crate::retry::retry_after(value, jiff::Timestamp::now())
    }

    /// `Content-Length`, which for an answer to HEAD is not the size of [`Self::body`].
    pub fn content_length(&self) -> Option<u64> {
        self.header(CONTENT_LENGTH.as_str()).and_then(|text| text.parse().ok())
    }
}
