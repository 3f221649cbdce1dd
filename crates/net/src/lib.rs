//! HTTP for everything in this suite: private CAs, explicit proxies, bounded redirects, bodies and
//! retries, errors without secrets.
//!
//! Knows nothing of registries, forges or plugins. It refuses to read the environment (proxies and
//! certificate paths are arguments), to keep cookies, to follow a redirect from https to http, and to
//! carry an `Authorization` header to another origin. What may fail says so with the method and a
//! [`SafeUrl`](granary_redact::SafeUrl); retrying is offered as data ([`Attempts`]) because only the caller knows whether
//! its request may be sent twice.

mod client;
mod deadline;
mod error;
mod message;
mod options;
mod redirect;
mod retry;
mod tls;

pub use client::Http;
pub use deadline::Deadline;
pub use error::{HttpError, HttpSetupError};
pub use message::{Answer, Body, BodyStream, Request, Response};
pub use options::{HttpOptions, Proxies};
pub use reqwest::header;
pub use reqwest::{Method, StatusCode};
pub use retry::{
    Attempts, DEFAULT_ATTEMPTS, RetryPolicy, Verdict, classify_status, http_date, random_unit, retry_after,
};
