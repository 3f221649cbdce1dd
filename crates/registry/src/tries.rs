//! How often something is tried, and how long a registry that says when to come back is waited for.

use std::time::Duration;

use granary_net::{Attempts, Deadline, RetryPolicy, StatusCode};

/// The longest that one request waits for a registry that answers 429 with `Retry-After`, all pauses
/// together. GHCR counts requests per minute, so minutes are usual; beyond ten the quota is not a matter of
/// patience.
const THROTTLE_PATIENCE: Duration = Duration::from_secs(600);

/// The spread of the pauses after `Retry-After`, so that those who were sent away together do not come back
/// together.
const THROTTLE_SPREAD: Duration = Duration::from_millis(500);

/// The tries of one request or upload.
pub(crate) struct Tries {
    policy: RetryPolicy,
    deadline: Deadline,
    attempts: Attempts,
    /// Waited because the registry asked for it.
    throttled: Duration,
}

impl Tries {
    pub(crate) fn new(policy: RetryPolicy, deadline: Deadline) -> Self {
        Tries { policy, deadline, attempts: Attempts::new(policy, deadline), throttled: Duration::ZERO }
    }

    /// Something has been achieved since the last failure: patience begins anew.
    pub(crate) fn refresh(&mut self) {
        self.attempts = Attempts::new(self.policy, self.deadline);
        self.throttled = Duration::ZERO;
    }

    /// Notes a failed try. Returns how long to wait before the next one, or `None` when there is none. A 429
    /// that says when to come back is no failure of the request: it is waited for, within bounds, and not
    /// counted.
    pub(crate) fn failed(
        &mut self,
        status: Option<StatusCode>,
        asked: Option<Duration>,
        random: f64,
    ) -> Option<Duration> {
        match asked.filter(|asked| !asked.is_zero()) {
            Some(asked) if status == Some(StatusCode::TOO_MANY_REQUESTS) && self.policy.attempts > 1 => {
                let pause = asked.saturating_add(THROTTLE_SPREAD.mul_f64(random.clamp(0.0, 1.0)));
                self.throttled = self.throttled.saturating_add(pause);
                (pause < self.deadline.remaining() && self.throttled <= THROTTLE_PATIENCE).then_some(pause)
            }
            asked => self.attempts.failed(asked, random),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tries(attempts: u32, seconds: u64) -> Tries {
        Tries::new(RetryPolicy::with_attempts(attempts), Deadline::after(Duration::from_secs(seconds)))
    }

    #[test]
    fn a_throttled_registry_is_waited_for_beyond_the_tries_and_within_the_bounds() {
        let throttled = Some(StatusCode::TOO_MANY_REQUESTS);
        let ten = Some(Duration::from_secs(10));
        let mut patient = tries(3, 3600);
        let pauses = (0..100).take_while(|_| patient.failed(throttled, ten, 0.0).is_some()).count();
        assert_eq!(pauses, 60, "ten minutes");
        patient.refresh();
        assert_eq!(patient.failed(throttled, ten, 0.0), ten);
        let spread = patient.failed(throttled, ten, 0.5);
        assert_eq!(spread, Some(Duration::from_millis(10_250)), "they do not come back together");
        assert_eq!(tries(3, 5).failed(throttled, ten, 0.0), None, "behind the deadline");
        assert_eq!(tries(1, 3600).failed(throttled, ten, 0.0), None, "nobody wants a second try");
        let mut counted = tries(3, 3600);
        let unavailable = Some(StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(counted.failed(unavailable, ten, 0.0), ten);
        assert!(counted.failed(throttled, Some(Duration::ZERO), 0.0).is_some());
        assert_eq!(counted.failed(unavailable, ten, 0.0), None);
    }
}
