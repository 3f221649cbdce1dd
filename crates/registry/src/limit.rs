//! How many requests run at once: fewer after a 429, slowly more again.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Undisturbed answers until one more request at a time is dared again.
const CALM_ANSWERS: usize = 32;

/// Requests in flight to one registry, additive increase and multiplicative decrease.
pub(crate) struct Limit {
    permits: Semaphore,
    current: AtomicUsize,
    most: usize,
    calm: AtomicUsize,
}

impl Limit {
    pub(crate) fn new(most: usize) -> Self {
        let most = most.max(1);
        Limit {
            permits: Semaphore::new(most),
            current: AtomicUsize::new(most),
            most,
            calm: AtomicUsize::new(0),
        }
    }

    /// How many there may be at most.
    pub(crate) fn most(&self) -> usize {
        self.most
    }

    pub(crate) async fn acquire(&self) -> SemaphorePermit<'_> {
        self.permits.acquire().await.expect("invariant: the semaphore is never closed")
    }

    /// The registry said 429: half as many from now on. Only permits that nobody holds can be taken
    /// away, which is enough: whoever holds one has just been told to wait.
    pub(crate) fn throttled(&self) {
        self.calm.store(0, Ordering::Relaxed);
        let surplus = self.current.load(Ordering::Relaxed) / 2;
        let removed = self.permits.forget_permits(surplus);
        self.current.fetch_sub(removed, Ordering::Relaxed);
    }

    /// The registry answered without complaint.
    pub(crate) fn answered(&self) {
        if self.current.load(Ordering::Relaxed) < self.most
            && self.calm.fetch_add(1, Ordering::Relaxed) + 1 >= CALM_ANSWERS
        {
            self.calm.store(0, Ordering::Relaxed);
            self.current.fetch_add(1, Ordering::Relaxed);
            self.permits.add_permits(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn halves_and_recovers_by_one() {
        let limit = Limit::new(16);
        limit.throttled();
        assert_eq!(limit.permits.available_permits(), 8);
        for _ in 0..CALM_ANSWERS {
            limit.answered();
        }
        assert_eq!(limit.permits.available_permits(), 9);
        for _ in 0..10 {
            limit.throttled();
        }
        assert_eq!(limit.permits.available_permits(), 1, "never none at all");
    }
}
