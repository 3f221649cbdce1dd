//! What was asked: one entry for each request, and the raw bytes that clients sent.
//!
//! Request budgets, "no secret on the wire" and "no Authorization to another host" are asserted against it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use hyper::HeaderMap;

/// One request as it arrived. The value of `Authorization` is not kept, its scheme is.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which connection it came on, counted from 1.
    pub connection: usize,
    /// When its head was complete, since the registry's start.
    pub at: Duration,
    /// The method, in capitals.
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// The query without `?`, empty where there was none.
    pub query: String,
    /// Scheme of `Authorization` in lower case, where there was one.
    pub authorization: Option<String>,
    /// All other headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Bytes of the body that were read.
    pub body_length: usize,
    /// Status of the answer; `None` while there is none, and for ever where a fault swallowed it.
    pub status: Option<u16>,
}

impl Request {
    /// Path and query, as in the request line.
    #[must_use]
    pub fn target(&self) -> String {
        if self.query.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, self.query) }
    }

    /// True where the request can change what the registry holds.
    #[must_use]
    pub fn is_write(&self) -> bool {
        matches!(self.method.as_str(), "PUT" | "POST" | "PATCH" | "DELETE")
            && !matches!(self.path.as_str(), "/token" | "/v2/token")
    }
}

/// `PUT /v2/app/manifests/1.2.3 201`, with `-` for a status that never was.
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.method, self.target())?;
        match self.status {
            Some(status) => write!(f, "{status}"),
            None => f.write_str("-"),
        }
    }
}

/// Everything recorded since the start or the last `clear`.
pub(crate) struct Journal {
    started: Instant,
    connections: usize,
    /// Raises with each `clear`, so that an answer to a forgotten request is not written to a new one.
    era: usize,
    requests: Vec<Request>,
    wire: BTreeMap<usize, Vec<u8>>,
    in_flight: usize,
    peak: usize,
}

/// Names one entry of the journal.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    era: usize,
    position: usize,
}

impl Journal {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            connections: 0,
            era: 0,
            requests: Vec::new(),
            wire: BTreeMap::new(),
            in_flight: 0,
            peak: 0,
        }
    }

    pub(crate) fn connect(&mut self) -> usize {
        self.connections += 1;
        self.connections
    }

    pub(crate) fn read(&mut self, connection: usize, bytes: &[u8]) {
        self.wire.entry(connection).or_default().extend_from_slice(bytes);
    }

    pub(crate) fn begin(
        &mut self,
        connection: usize,
        method: &str,
        uri: &hyper::Uri,
        headers: &HeaderMap,
    ) -> Entry {
        let text =
            |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let authorization = headers.get("authorization").map(|value| {
            let value = text(value);
            value.split(' ').next().unwrap_or_default().to_ascii_lowercase()
        });
        let headers = headers.iter().filter(|(name, _)| *name != "authorization");
        self.requests.push(Request {
            connection,
            at: self.started.elapsed(),
            method: method.to_owned(),
            path: uri.path().to_owned(),
            query: uri.query().unwrap_or_default().to_owned(),
            authorization,
            headers: headers.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect(),
            body_length: 0,
            status: None,
        });
        self.in_flight += 1;
        self.peak = self.peak.max(self.in_flight);
        Entry { era: self.era, position: self.requests.len() - 1 }
    }

    pub(crate) fn entry(&mut self, entry: Entry) -> Option<&mut Request> {
        if entry.era == self.era { self.requests.get_mut(entry.position) } else { None }
    }

    pub(crate) fn end(&mut self) {
        self.in_flight -= 1;
    }

    pub(crate) fn requests(&self) -> &[Request] {
        &self.requests
    }

    pub(crate) fn peak(&self) -> usize {
        self.peak
    }

    pub(crate) fn saw_bytes(&self, needle: &[u8]) -> bool {
        assert!(!needle.is_empty(), "an empty needle is in every haystack");
        self.wire.values().any(|bytes| bytes.windows(needle.len()).any(|window| window == needle))
    }

    pub(crate) fn clear(&mut self) {
        self.era += 1;
        self.requests.clear();
        self.wire.clear();
        self.peak = self.in_flight;
    }
}
