//! Who waits within this process for entries in one fallback index.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use granary_oci::{Descriptor, Digest};

/// What waits to be entered in one index by this client, one writer at a time.
#[derive(Default)]
pub(crate) struct Queue {
    pub(super) turn: tokio::sync::Mutex<()>,
    waiting: Mutex<Waiting>,
    /// Entries that look wrong and are as they should be.
    right: Mutex<HashSet<Digest>>,
}

impl Queue {
    pub(super) fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a ticket.
    pub(super) fn wait(&self, entries: &[Descriptor]) -> Ticket<'_> {
        let mut waiting = self.waiting();
        waiting.last += 1;
        let number = waiting.last;
        waiting.entries.insert(number, entries.to_vec());
        Ticket { queue: self, number }
    }

    pub(super) fn right(&self) -> MutexGuard<'_, HashSet<Digest>> {
        self.right.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Entries by the ticket of who waits for them. Two may wait for the same entry, and each has to hear for
/// himself whether it was written.
#[derive(Default)]
pub(super) struct Waiting {
    last: u64,
    pub(super) entries: BTreeMap<u64, Vec<Descriptor>>,
}

/// Somebody who waits. Whoever has failed, or has gone away, waits no more.
pub(super) struct Ticket<'a> {
    queue: &'a Queue,
    pub(super) number: u64,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.queue.waiting().entries.remove(&self.number);
    }
}
