//! A request before it is made, and what it brought.

use granary_net::header::HeaderMap;
use granary_net::{Answer, Body, Method, Response, StatusCode};
use url::Url;

use crate::error::Operation;

/// Largest error answer that is read, in bytes.
pub(super) const MAX_ERROR_BODY: u64 = 64 * 1024;

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
    /// Whether it is sent again by itself when its token turns out to be too old. Large content is not:
    /// whoever sent it gets the 401, and may know of something better.
    pub(crate) replays: bool,
    /// Whether it takes so long that an old token might die on the way.
    pub(crate) lasting: bool,
}

impl Call {
    pub(crate) fn new(operation: Operation, method: Method, target: Target) -> Self {
        let (headers, body) = (HeaderMap::new(), Body::Empty);
        Call {
            operation,
            method,
            target,
            headers,
            body,
            limit: MAX_ERROR_BODY,
            repeatable: true,
            replays: true,
            lasting: false,
        }
    }
}

/// What a request brought.
pub(crate) enum Reply {
    Whole(Answer),
    Streaming(Response),
}

impl Reply {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Reply::Whole(answer) => answer.status,
            Reply::Streaming(response) => response.status(),
        }
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        match self {
            Reply::Whole(answer) => &answer.headers,
            Reply::Streaming(response) => response.headers(),
        }
    }

    pub(super) fn url(&self) -> &Url {
        match self {
            Reply::Whole(answer) => &answer.url,
            Reply::Streaming(response) => response.url(),
        }
    }
}
