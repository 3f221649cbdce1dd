//! Scripted misfortune: which request it strikes, how often, and what happens.
//!
//! Faults are an ordered list. A request is shown to them in order; the first that matches, has skipped
//! enough and still has strikes left takes it, and those behind it do not see it. "503 twice, then 429, then
//! success" is two entries. A used-up entry lets everything pass.

use std::fmt;
use std::time::Duration;

use super::journal::Request;

/// What happens to a request that a [`Fault`] strikes.
#[derive(Clone, Debug)]
pub enum Action {
    /// Answers this and does not carry the request out. An empty body is replaced by the spec's error
    /// envelope.
    Status {
        /// The status code.
        code: u16,
        /// Additional headers, such as `Retry-After`.
        headers: Vec<(String, String)>,
        /// The body as it is sent.
        body: String,
    },
    /// Reads the request, does not carry it out, and resets the connection.
    ResetBefore,
    /// Carries the request out and resets the connection: the answer is lost, the deed is done.
    ResetAfter,
    /// Resets the connection when this many bytes of the request's body were read. What an upload session got
    /// so far stays in it, as on a real server.
    ResetRequestAt(usize),
    /// Sends head, `Content-Length` and this many bytes of the body, then resets the connection; where there
    /// is no body to send it is [`Action::ResetAfter`].
    ResetResponseAt(usize),
    /// Sends only this many bytes of the body with a `Content-Length` to match: size and digest alone can
    /// show it.
    Truncate(usize),
    /// Flips the lowest bit of the body's first byte; an empty body stays as it is.
    Corrupt,
    /// Sends this as `Docker-Content-Digest`.
    LieDigest(String),
    /// Waits, then answers truthfully.
    Delay(Duration),
    /// Every token that is out stops working; then answers truthfully, so that the token of this request is
    /// too old.
    ExpireTokens,
    /// Never answers and does not carry the request out; ends when the client goes away.
    Hang,
}

impl Action {
    /// An answer with this status, the spec's error envelope and no further headers.
    #[must_use]
    pub fn status(code: u16) -> Self {
        Self::Status { code, headers: Vec::new(), body: String::new() }
    }

    /// 429 with `Retry-After` in seconds.
    #[must_use]
    pub fn too_many_requests(retry_after_seconds: u32) -> Self {
        let headers = vec![("Retry-After".to_owned(), retry_after_seconds.to_string())];
        Self::Status { code: 429, headers, body: String::new() }
    }
}

type Matching = Box<dyn Fn(&Request) -> bool + Send>;

/// One entry of the script: strikes once unless told otherwise.
pub struct Fault {
    matching: Matching,
    skip: usize,
    strikes_left: usize,
    action: Action,
}

impl Fault {
    /// Strikes requests of this method (`*`: any) whose path and query contain `part`.
    #[must_use]
    pub fn on(method: &str, part: &str, action: Action) -> Self {
        let (method, part) = (method.to_owned(), part.to_owned());
        Self::when(move |r| (method == "*" || r.method == method) && r.target().contains(&part), action)
    }

    /// Strikes requests for which `matching` is true. It runs on the registry's thread and sees the request's
    /// head only.
    #[must_use]
    pub fn when(matching: impl Fn(&Request) -> bool + Send + 'static, action: Action) -> Self {
        Self { matching: Box::new(matching), skip: 0, strikes_left: 1, action }
    }

    /// Lets the first `skip` matching requests pass.
    #[must_use]
    pub fn after(mut self, skip: usize) -> Self {
        self.skip = skip;
        self
    }

    /// Strikes this often; `usize::MAX` is for ever.
    #[must_use]
    pub fn times(mut self, strikes: usize) -> Self {
        self.strikes_left = strikes;
        self
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fault({:?}, skip {}, {} left)", self.action, self.skip, self.strikes_left)
    }
}

/// The script as far as it is not yet played.
#[derive(Debug, Default)]
pub(crate) struct Script(Vec<Fault>);

impl Script {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn strikes_left(&self) -> usize {
        self.0.iter().fold(0, |sum, fault| sum.saturating_add(fault.strikes_left))
    }

    pub(crate) fn pick(&mut self, request: &Request) -> Option<Action> {
        for fault in &mut self.0 {
            if fault.strikes_left == 0 || !(fault.matching)(request) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            if fault.strikes_left != usize::MAX {
                fault.strikes_left -= 1;
            }
            return Some(fault.action.clone());
        }
        None
    }
}

/// Whether a killed request was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The server never saw it.
    Before,
    /// It was carried out, and nobody read the answer.
    After,
}

/// The client's death at one request.
pub(crate) struct Kill {
    /// Requests to go, 1 is the next.
    pub(crate) countdown: usize,
    pub(crate) when: When,
    pub(crate) deed: Box<dyn FnOnce() + Send>,
}
