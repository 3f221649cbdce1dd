//! Answers as data: status, headers, body; errors in the spec's JSON envelope.

use bytes::Bytes;
use serde_json::{Value, json};

/// What a handler wants to say, before faults and HTTP get at it.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn body(mut self, media_type: &str, body: Bytes) -> Self {
        self.body = body;
        self.header("Content-Type", media_type)
    }

    pub(crate) fn json(status: u16, value: &Value) -> Self {
        Self::new(status).body("application/json", Bytes::from(value.to_string()))
    }

    /// One error, distribution-spec "Error Codes".
    pub(crate) fn error(status: u16, code: &str, message: &str) -> Self {
        Self::errors(status, &[json!({"code": code, "message": message})])
    }

    pub(crate) fn errors(status: u16, errors: &[Value]) -> Self {
        Self::json(status, &json!({ "errors": errors }))
    }

    /// What a router says that never heard of the path: not even the envelope.
    pub(crate) fn no_route() -> Self {
        Self::new(404).body("text/plain; charset=utf-8", Bytes::from_static(b"404 page not found\n"))
    }

    /// The envelope for a scripted status without a body of its own.
    pub(crate) fn scripted(status: u16) -> Self {
        let code = match status {
            401 => "UNAUTHORIZED",
            403 => "DENIED",
            405 => "UNSUPPORTED",
            429 => "TOOMANYREQUESTS",
            _ => "UNKNOWN",
        };
        Self::error(status, code, "scripted fault")
    }
}
