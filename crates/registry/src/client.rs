//! One registry: who it is, what has been learnt about it, what bounds hold for it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use granary_net::{DEFAULT_ATTEMPTS, Deadline, Http, RetryPolicy};
use granary_oci::{Digest, RegistryHost, Repository};
use granary_redact::Redactor;
use jiff::Timestamp;
use url::Url;

use crate::auth::Authenticator;
use crate::credentials::Credentials;
use crate::error::Operation;
use crate::fallback::Queue;
use crate::learnt::Learnt;
use crate::limit::Limit;
use crate::observe::{Audience, Observer};
use crate::presence::Presence;
use crate::tries::Tries;

/// Requests in flight to one registry, unless told otherwise; with 30 ms per request that is 500
/// requests per second, and registries in small clusters begin to queue there.
const DEFAULT_CONCURRENCY: usize = 16;

/// Quarters of a megabyte that uploads which stream may hold together. More big blobs at once do not make the
/// line faster, and of small ones a megabyte each would be too much to ask.
const STREAM_UNITS: usize = 16;

/// What one unit stands for, in bytes, and how many the largest blob takes.
const STREAM_UNIT_BYTES: u64 = 256 * 1024;
const MOST_STREAM_UNITS: u64 = 4;

/// How to treat a registry.
#[derive(Clone)]
pub struct RegistryOptions {
    /// Who we are.
    pub credentials: Credentials,
    /// Plain HTTP instead of https. A registry on this machine is tried with plain HTTP anyway.
    pub plain_http: bool,
    /// Tries per request, the first one included.
    pub attempts: u32,
    /// The end of everything, retries and uploads included.
    pub deadline: Deadline,
    /// Requests in flight at most.
    pub concurrency: usize,
    /// Knows the secrets that must not be shown should the registry repeat them.
    pub redactor: Redactor,
    /// Look after each tag that was written whether it is: some registries answer 201 and leave it where it
    /// was.
    pub verify: bool,
    /// Is told of requests, pauses and tokens.
    pub observer: Option<Observer>,
}

impl RegistryOptions {
    /// Anonymous, https, the usual patience.
    pub fn new(deadline: Deadline) -> Self {
        RegistryOptions {
            credentials: Credentials::anonymous(),
            plain_http: false,
            attempts: DEFAULT_ATTEMPTS,
            deadline,
            concurrency: DEFAULT_CONCURRENCY,
            redactor: Redactor::new(),
            verify: false,
            observer: None,
        }
    }
}

/// A client for one registry. Cheap to clone; clones share connections, tokens and what was learnt
/// about the registry.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) host: RegistryHost,
    pub(crate) http: Http,
    pub(crate) auth: Authenticator,
    pub(crate) limit: Limit,
    pub(crate) policy: RetryPolicy,
    pub(crate) deadline: Deadline,
    pub(crate) verify: bool,
    pub(crate) plain_http: bool,
    /// Whether https is spoken. Fixed, but for a registry on this machine (see [`Registry::new`]).
    pub(crate) secure: AtomicBool,
    /// Whether anything has been understood over the present scheme.
    pub(crate) scheme_proven: AtomicBool,
    /// Held by the first request, so that its 401 is learnt from once and not sixteen times.
    pub(crate) first: tokio::sync::Mutex<()>,
    /// Repositories that are written to.
    pub(crate) writing: Mutex<HashMap<Repository, Writing>>,
    pub(crate) server_time: Mutex<Option<Timestamp>>,
    pub(crate) learnt: Learnt,
    /// What uploads that stream may hold in memory.
    pub(crate) streams: tokio::sync::Semaphore,
    /// Read-modify-write of one fallback index within this process goes one at a time.
    fallback: Mutex<HashMap<(Repository, Digest), Arc<Queue>>>,
    pub(crate) presence: Presence,
    pub(crate) audience: Audience,
}

/// How a repository is written to.
#[derive(Default)]
pub(crate) struct Writing {
    /// Where its blobs are mounted from: one token for all.
    pub(crate) sources: Vec<Repository>,
    /// No token is given out for that, so nothing is mounted there any more.
    pub(crate) without_mounts: bool,
}

impl Registry {
    /// A client for the registry at `host`. Nothing is sent yet.
    ///
    /// # Design
    /// https, unless `plain_http` is set. A registry on this machine is first spoken to in plain HTTP,
    /// as every registry tool does; if it does not understand that, https is tried once, and stays if
    /// it works. Nobody has to set anything for a local registry of either kind, and nothing leaves
    /// the machine by that. Off this machine there is no such guessing.
    pub fn new(host: RegistryHost, http: Http, options: RegistryOptions) -> Self {
        let secure = !options.plain_http && !host.is_loopback();
        let audience = Audience(options.observer);
        let (credentials, redactor) = (options.credentials, options.redactor);
        let auth = Authenticator::new(host.clone(), http.clone(), credentials, redactor, audience.clone());
        Registry(Arc::new(Inner {
            http,
            auth,
            limit: Limit::new(options.concurrency),
            policy: RetryPolicy::with_attempts(options.attempts.max(1)),
            deadline: options.deadline,
            verify: options.verify,
            plain_http: options.plain_http,
            secure: AtomicBool::new(secure),
            scheme_proven: AtomicBool::new(secure || !host.is_loopback()),
            host,
            first: tokio::sync::Mutex::default(),
            writing: Mutex::default(),
            server_time: Mutex::default(),
            learnt: Learnt::default(),
            streams: tokio::sync::Semaphore::new(STREAM_UNITS),
            fallback: Mutex::default(),
            presence: Presence::default(),
            audience,
        }))
    }

    /// The registry's host.
    pub fn host(&self) -> &RegistryHost {
        &self.0.host
    }

    /// Whether both are clients of the same registry, so that blobs can be mounted.
    pub fn is_same_as(&self, other: &Registry) -> bool {
        self.0.host == other.0.host
    }

    /// The registry's own clock as of its last answer (`Date`): what is compared by several machines
    /// has to come from one.
    pub fn server_time(&self) -> Option<Timestamp> {
        *self.0.server_time.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says beforehand that a repository will be written to, with blobs mounted from `sources`: the
    /// first token is then good for everything. Pushing says it by itself, but a listing that comes
    /// before would have got a token that can only read.
    pub fn announce_writes(&self, repository: &Repository, sources: &[Repository]) {
        let mut writing = self.writing();
        let known = writing.entry(repository.clone()).or_default();
        for source in sources {
            if !known.without_mounts && source != repository && !known.sources.contains(source) {
                known.sources.push(source.clone());
            }
        }
    }

    /// Whether blobs may still be mounted into a repository.
    pub(crate) fn mounts_into(&self, repository: &Repository) -> bool {
        !self.writing().get(repository).is_some_and(|known| known.without_mounts)
    }

    /// From now on a repository is written to without mounts, and with tokens for it alone.
    pub(crate) fn give_up_mounts(&self, repository: &Repository) {
        // One that is only read stays so: nobody is asked for the right to write there.
        if let Some(known) = self.writing().get_mut(repository) {
            *known = Writing { sources: Vec::new(), without_mounts: true };
        }
    }

    pub(crate) fn writing(&self) -> MutexGuard<'_, HashMap<Repository, Writing>> {
        self.0.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }

    pub(crate) fn learnt(&self) -> &Learnt {
        &self.0.learnt
    }

    pub(crate) fn tries(&self) -> Tries {
        Tries::new(self.0.policy, self.0.deadline)
    }

    /// Tries of one thing, the first one included.
    pub(crate) fn attempts_most(&self) -> u32 {
        self.0.policy.attempts
    }

    /// What waits to be entered in the fallback index of a subject.
    pub(crate) fn fallback_queue(&self, repository: &Repository, subject: &Digest) -> Arc<Queue> {
        let mut queues = self.0.fallback.lock().unwrap_or_else(PoisonError::into_inner);
        queues.entry((repository.clone(), subject.clone())).or_default().clone()
    }

    /// Waits until one more blob of this size may be streamed.
    pub(crate) async fn stream_turn(&self, size: u64) -> tokio::sync::SemaphorePermit<'_> {
        let units = size.div_ceil(STREAM_UNIT_BYTES).clamp(1, MOST_STREAM_UNITS);
        let units = u32::try_from(units).unwrap_or(1);
        self.0.streams.acquire_many(units).await.expect("invariant: the semaphore is never closed")
    }

    /// Describes an operation for errors.
    pub(crate) fn operation(
        &self,
        doing: &'static str,
        repository: &Repository,
        target: impl Into<String>,
        writes: bool,
    ) -> Operation {
        Operation {
            doing,
            host: self.0.host.clone(),
            repository: repository.clone(),
            target: target.into(),
            writes,
        }
    }

    /// The registry's root URL as it is spoken to now.
    pub(crate) fn base(&self) -> Url {
        let scheme = if self.0.secure.load(Ordering::Relaxed) { "https" } else { "http" };
        Url::parse(&format!("{scheme}://{}/", self.0.host)).expect("invariant: a RegistryHost forms a URL")
    }

    /// An address that the registry gave us, as it should have been: behind a TLS proxy of which it does
    /// not know, a registry names itself with `http` and often without the port.
    pub(crate) fn own_address(&self, mut url: Url) -> Url {
        let base = self.base();
        let itself = url.host() == base.host() && (url.port().is_none() || url.port() == base.port());
        if itself && base.scheme() == "https" && url.scheme() == "http" {
            // Neither can fail for URLs with a host.
            let _ = url.set_scheme("https");
            let _ = url.set_port(base.port());
        }
        url
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Registry({})", self.0.host)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;
    use granary_net::HttpOptions;

    use super::*;

    #[tokio::test]
    async fn what_streams_at_once_is_bounded_by_what_it_holds() {
        let options = RegistryOptions::new(Deadline::after(Duration::from_secs(60)));
        let http = Http::new(HttpOptions::default()).unwrap();
        let registry = Registry::new("registry.example.test".parse().unwrap(), http, options);
        for (size, at_once) in [(100_000, 16), (300_000, 8), (1 << 20, 4), (10 << 30, 4)] {
            let mut turns = Vec::new();
            while let Some(turn) = registry.stream_turn(size).now_or_never() {
                turns.push(turn);
            }
            assert_eq!(turns.len(), at_once, "{size}");
            turns.pop();
            assert!(registry.stream_turn(size).now_or_never().is_some(), "{size}");
        }
    }
}
