//! How the time of a step is shared out.
//!
//! Pure. Tests that passed count for nothing until evidence says so, therefore its time is set aside before
//! anything starts, and no child gets into it: what a command may take includes its being ended.

use std::time::Duration;

/// What looking at the tags again, signing and attaching may take: at most this, and an eighth of the step.
const EVIDENCE: Duration = Duration::from_secs(15);
/// How long a teardown may take; a quarter of the step is kept for it, where that is less.
const TEARDOWN: Duration = Duration::from_secs(5 * 60);
/// What a command has, however little there is.
const LEAST: Duration = Duration::from_secs(1);
/// Between SIGTERM and SIGKILL: at most this, and an eighth of what the command may take.
const GRACE: Duration = Duration::from_secs(10);

/// What of a step's time belongs to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shares {
    /// The tests'.
    pub(super) tests: Duration,
    /// What the teardown finds at least, when the tests took all of theirs.
    teardown: Duration,
    /// What is left in the end.
    evidence: Duration,
}

impl Shares {
    /// Shares out what is left of the step before the tests start.
    pub(super) fn of(left: Duration, has_teardown: bool) -> Self {
        let evidence = EVIDENCE.min(left / 8);
        let teardown = if has_teardown { TEARDOWN.min(left / 4) } else { Duration::ZERO };
        Shares { tests: left.saturating_sub(evidence + teardown).max(LEAST), teardown, evidence }
    }

    /// The teardown's, with so much left when it starts: what the tests did not use is its own as well.
    pub(super) fn teardown(self, left: Duration) -> Duration {
        left.saturating_sub(self.evidence).clamp(LEAST, TEARDOWN)
    }
}

/// When a command with this share is asked to end, and how long it then has.
pub(super) fn limit_and_grace(share: Duration) -> (Duration, Duration) {
    let grace = GRACE.min(share / 8);
    (share - grace, grace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_and_teardown_have_their_time_before_the_tests() {
        // Milliseconds: the step, then tests, teardown and evidence.
        let table = [
            (3_600_000, true, [3_285_000, 300_000, 15_000]),
            (3_600_000, false, [3_585_000, 0, 15_000]),
            (1_200_000, true, [885_000, 300_000, 15_000]),
            (120_000, true, [75_000, 30_000, 15_000]),
            (33_000, true, [20_625, 8_250, 4_125]),
            (33_000, false, [28_875, 0, 4_125]),
            (800, true, [1_000, 200, 100]),
            (0, true, [1_000, 0, 0]),
        ];
        for (left, has_teardown, expected) in table {
            let shares = Shares::of(Duration::from_millis(left), has_teardown);
            let [tests, teardown, evidence] = expected.map(Duration::from_millis);
            assert_eq!(shares, Shares { tests, teardown, evidence }, "{left} {has_teardown}");
        }
    }

    #[test]
    fn a_teardown_leaves_the_evidence_its_time() {
        // The step, what is left of it after the tests, and what of that is the teardown's.
        let table = [
            (3_600_000, 3_599_000, 300_000),
            (3_600_000, 315_000, 300_000),
            (33_000, 33_000, 28_875),
            (33_000, 12_375, 8_250),
            (33_000, 4_000, 1_000),
            (33_000, 0, 1_000),
        ];
        for (step, left, expected) in table {
            let shares = Shares::of(Duration::from_millis(step), true);
            let share = shares.teardown(Duration::from_millis(left));
            assert_eq!(share, Duration::from_millis(expected), "{step} {left}");
        }
    }

    #[test]
    fn being_ended_is_part_of_the_share() {
        for (share, limit, grace) in
            [(3_285_000, 3_275_000, 10_000), (20_625, 18_047, 2_578), (1_000, 875, 125)]
        {
            let (found_limit, found_grace) = limit_and_grace(Duration::from_millis(share));
            assert_eq!(found_limit + found_grace, Duration::from_millis(share));
            let rounded = [found_limit, found_grace].map(|part| (part.as_micros() + 500) / 1000);
            assert_eq!(rounded, [limit, grace], "{share}");
        }
    }
}
