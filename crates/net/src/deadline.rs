//! One end for everything that a run does on the network.

use std::time::Duration;

use tokio::time::Instant;

/// Stands for "no end" where somebody asks for more than a clock can add.
const FAR_AWAY: Duration = Duration::from_secs(365 * 24 * 3600);

/// A moment on the monotonic clock after which nothing is started or waited for any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// `duration` from now.
    pub fn after(duration: Duration) -> Self {
        Deadline(Instant::now() + duration.min(FAR_AWAY))
    }

    /// The moment itself, for `sleep_until` and `timeout_at`.
    pub fn at(self) -> Instant {
        self.0
    }

    /// What is left; zero when it has passed.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether it has passed.
    pub fn has_passed(self) -> bool {
        self.remaining().is_zero()
    }
}
