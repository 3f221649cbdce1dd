//! A trap for a client: `kill -9` at a chosen write.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use granary_testkit::process::Leash;

/// Kills a client at one of its writes, counted over all proxies that it is set in.
#[derive(Clone, Debug)]
pub struct Trap(Arc<TrapState>);

#[derive(Debug)]
struct TrapState {
    leash: Leash,
    at: usize,
    arrives: bool,
    writes: AtomicUsize,
}

impl Trap {
    /// Kills what is on the leash at its write number `at`, the first being 1; where that write `arrives`, after the registry has
    /// carried it out and before the client hears of it, else before the registry does.
    #[must_use]
    pub fn new(leash: &Leash, at: usize, arrives: bool) -> Self {
        Self(Arc::new(TrapState { leash: leash.clone(), at, arrives, writes: AtomicUsize::new(0) }))
    }

    /// Counts a write; true where it is the one.
    pub(super) fn springs(&self) -> bool {
        self.0.writes.fetch_add(1, Ordering::SeqCst) + 1 == self.0.at
    }

    /// Whether the write is let through first.
    pub(super) fn arrives(&self) -> bool {
        self.0.arrives
    }

    /// Kills the client.
    pub(super) fn kill(&self) {
        self.0.leash.kill();
    }

    /// True once it has killed.
    #[must_use]
    pub fn has_sprung(&self) -> bool {
        self.0.writes.load(Ordering::SeqCst) >= self.0.at
    }
}
