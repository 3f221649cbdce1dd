//! What a client does, told to whoever wants to show it.

use std::sync::Arc;
use std::time::Duration;

use granary_net::{HttpError, Method, StatusCode};
use granary_redact::SafeUrl;

/// One thing that happened. Nothing in it is secret: URLs are cut to what may be shown, headers and
/// content are left out.
#[derive(Clone, Debug)]
pub enum Event {
    /// The registry answered a request, with whatever status.
    Answered {
        /// The method.
        method: Method,
        /// Where it went, before any redirect.
        url: SafeUrl,
        /// The status.
        status: StatusCode,
        /// From sending to the end of the answer; of content that is streamed, to its beginning.
        took: Duration,
    },
    /// A passing trouble: the same is tried again after a pause.
    Retrying {
        /// What is tried again: a request with its method and URL, or the upload of a blob, which may go on
        /// in another way than it began.
        what: String,
        /// A clause without its end, such as `the registry answered 429`.
        reason: String,
        /// The pause that begins now.
        pause: Duration,
    },
    /// The token server gave out a token.
    TokenFetched {
        /// The token server.
        realm: SafeUrl,
        /// What the token was asked for, separated by spaces.
        scopes: String,
    },
}

/// Is told of every event, on the task that it happens on: it should return at once.
pub type Observer = Arc<dyn Fn(&Event) + Send + Sync>;

/// The observer, if there is one.
#[derive(Clone)]
pub(crate) struct Audience(pub(crate) Option<Observer>);

impl Audience {
    pub(crate) fn tell(&self, event: impl FnOnce() -> Event) {
        if let Some(observer) = &self.0 {
            observer(&event());
        }
    }
}

/// Why something is tried again. `who`: `the registry`, `the token server`.
pub(crate) fn reason(who: &str, result: Result<StatusCode, &HttpError>) -> String {
    match result {
        Ok(status) => format!("{who} answered {}", status.as_u16()),
        Err(HttpError::Connect { .. }) => format!("{who} cannot be reached"),
        Err(HttpError::Idle { .. }) => format!("{who} is silent"),
        Err(_) => format!("{who} broke the connection off"),
    }
}
