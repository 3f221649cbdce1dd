//! What a client does, told to whoever wants to show it.

use std::sync::Arc;
use std::time::Duration;

use granary_net::StatusCode;
use granary_redact::SafeUrl;

/// One thing that happened. Nothing in it is secret.
#[derive(Clone, Debug)]
pub enum Event {
    /// The forge answered, with whatever status.
    Answered {
        /// What was asked.
        url: SafeUrl,
        /// The status.
        status: StatusCode,
    },
    /// A passing trouble, or a rate limit: the same is asked again after a pause.
    Retrying {
        /// What is asked again.
        url: SafeUrl,
        /// A clause without its end, such as `the forge answered 502`.
        reason: String,
        /// The pause that begins now.
        pause: Duration,
    },
}

/// Is told of every event, on the task that it happens on: it should return at once.
pub type Observer = Arc<dyn Fn(&Event) + Send + Sync>;
