//! When to try again, and when: pure. Clock and randomness are arguments.

use std::hash::{BuildHasher as _, Hasher as _};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::StatusCode;

use crate::Deadline;

/// Tries per request, the first one included: with full jitter about three seconds of patience on
/// average, enough for a registry that restarts behind its load balancer.
pub const DEFAULT_ATTEMPTS: u32 = 6;

/// The longest first pause.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// The longest pause at all, unless the server asks for more.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Whether sending the same request again makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A passing trouble.
    Retry,
    /// The same request will get the same answer.
    Fatal,
}

/// Sorts a status. 401 is fatal here: it is the authentication that must change, not the time. 522 is
/// a CDN's "origin did not answer"; 425 is "too early". 501 and 505 say that it will never work.
pub fn classify_status(status: StatusCode) -> Verdict {
    match status.as_u16() {
        408 | 425 | 429 | 500 | 502 | 503 | 504 | 522 => Verdict::Retry,
        _ => Verdict::Fatal,
    }
}

/// How often and how patiently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries per request, the first one included; at least one.
    pub attempts: u32,
    /// Upper bound of the first pause; it doubles from there.
    pub first_pause: Duration,
    /// Upper bound of every pause.
    pub longest_pause: Duration,
}

impl RetryPolicy {
    /// The usual pauses with this many tries.
    pub fn with_attempts(attempts: u32) -> Self {
        RetryPolicy { attempts, first_pause: FIRST_PAUSE, longest_pause: LONGEST_PAUSE }
    }

    /// The pause before try `retry` + 1 (so 1 is the first retry): full jitter, evenly spread between
    /// nothing and the bound, which keeps clients that failed together from coming back together.
    /// `random` lies in `0.0..1.0`.
    pub fn pause(&self, retry: u32, random: f64) -> Duration {
        let doublings = retry.saturating_sub(1).min(31);
        let bound = self.first_pause.saturating_mul(1 << doublings).min(self.longest_pause);
        bound.mul_f64(random.clamp(0.0, 1.0))
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy::with_attempts(DEFAULT_ATTEMPTS)
    }
}

/// The tries of one request.
#[derive(Clone, Copy, Debug)]
pub struct Attempts {
    policy: RetryPolicy,
    deadline: Deadline,
    failed: u32,
}

impl Attempts {
    /// None made yet.
    pub fn new(policy: RetryPolicy, deadline: Deadline) -> Self {
        Attempts { policy, deadline, failed: 0 }
    }

    /// Notes a failed try. Returns how long to wait before the next one, or `None` when there is no
    /// next one: tries used up, or the pause would end behind the deadline. What the server asked
    /// for (`Retry-After`) is a minimum; coming earlier would only be refused again.
    pub fn failed(&mut self, retry_after: Option<Duration>, random: f64) -> Option<Duration> {
        self.failed += 1;
        if self.failed >= self.policy.attempts {
            return None;
        }
        let pause = match retry_after {
            Some(asked) => asked.saturating_add(self.policy.pause(1, random)),
            None => self.policy.pause(self.failed, random),
        };
        (pause < self.deadline.remaining()).then_some(pause)
    }
}

/// Reads `Retry-After`: seconds, or a date as seen from `now`. A date in the past is "at once".
pub fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    match value.parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            http_date(value).map(|date| Duration::try_from(date.duration_since(now)).unwrap_or_default())
        }
    }
}

/// Reads an HTTP date (RFC 9110 §5.6.7, the fixed-length form, the only one that may be sent).
pub fn http_date(value: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value.trim()).ok()
}

/// A number in `0.0..1.0` for jitter. The standard library seeds its hash maps from the system; that
/// is plenty here and saves a crate.
pub fn random_unit() -> f64 {
    let bits = std::collections::hash_map::RandomState::new().build_hasher().finish();
    // 53 bits are what a double holds exactly.
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn statuses() {
        for status in [408, 425, 429, 500, 502, 503, 504, 522] {
            assert_eq!(classify_status(StatusCode::from_u16(status).unwrap()), Verdict::Retry, "{status}");
        }
        for status in [200, 201, 202, 304, 307, 400, 401, 403, 404, 405, 409, 412, 413, 416, 501, 505] {
            assert_eq!(classify_status(StatusCode::from_u16(status).unwrap()), Verdict::Fatal, "{status}");
        }
    }

    #[test]
    fn retry_after_in_seconds_and_as_a_date() {
        let now: Timestamp = "2026-11-21T07:00:00Z".parse().unwrap();
        let table = [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("Sat, 21 Nov 2026 07:00:30 GMT", Some(30)),
            ("Sat, 21 Nov 2026 06:00:00 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
            ("", None),
        ];
        for (value, seconds) in table {
            assert_eq!(retry_after(value, now), seconds.map(Duration::from_secs), "{value:?}");
        }
    }

    #[test]
    fn tries_are_counted_and_the_servers_wish_is_a_minimum() {
        let policy = RetryPolicy::with_attempts(3);
        let mut attempts = Attempts::new(policy, Deadline::after(Duration::from_secs(60)));
        assert_eq!(attempts.failed(None, 0.5), Some(Duration::from_millis(100)));
        assert_eq!(attempts.failed(Some(Duration::from_secs(2)), 0.5), Some(Duration::from_millis(2100)));
        assert_eq!(attempts.failed(None, 0.5), None);
    }

    #[test]
    fn nobody_waits_for_what_lies_behind_the_deadline() {
        let mut attempts = Attempts::new(RetryPolicy::default(), Deadline::after(Duration::from_secs(60)));
        assert_eq!(attempts.failed(Some(Duration::from_secs(3600)), 0.0), None);
    }

    proptest! {
        #[test]
        fn pauses_stay_in_their_bounds(retry in 1u32..200, random in 0.0f64..1.0) {
            let policy = RetryPolicy::default();
            let pause = policy.pause(retry, random);
            let bound = policy.pause(retry, 1.0);
            prop_assert!(pause <= bound);
            prop_assert!(bound <= Duration::from_secs(30));
            prop_assert!(bound >= Duration::from_millis(200));
            prop_assert!(policy.pause(retry + 1, 1.0) >= bound);
        }

    }

    #[test]
    fn randomness_is_a_fraction_and_spread() {
        let drawn: Vec<f64> = (0..200).map(|_| random_unit()).collect();
        assert!(drawn.iter().all(|unit| (0.0..1.0).contains(unit)));
        for quarter in [0.0, 0.25, 0.5, 0.75] {
            assert!(drawn.iter().any(|unit| (quarter..quarter + 0.25).contains(unit)), "{quarter}");
        }
    }
}
