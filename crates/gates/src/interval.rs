//! Half-open intervals of instants, and sets of them.
//!
//! Every question about time is put to such sets: what is open is what allows cover minus what denies cover,
//! and the next opening is where an interval begins. So a boundary is exact, whatever the distance between
//! two looks.

use jiff::{SignedDuration, Timestamp};

/// From `start` on and before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interval {
    /// The first instant inside.
    pub start: Timestamp,
    /// The first instant after.
    pub end: Timestamp,
}

/// Intervals in order; none is empty and no two of them touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Intervals(Vec<Interval>);

impl Interval {
    /// From `start` on and before `end`.
    #[must_use]
    pub fn new(start: Timestamp, end: Timestamp) -> Interval {
        Interval { start, end }
    }

    /// Whether an instant lies inside.
    #[must_use]
    pub fn contains(&self, at: Timestamp) -> bool {
        self.start <= at && at < self.end
    }

    /// Longer by `before` at its start and by `after` at its end; shorter where they are negative.
    #[must_use]
    pub(crate) fn stretched(&self, before: SignedDuration, after: SignedDuration) -> Interval {
        Interval { start: sum(self.start, -before), end: sum(self.end, after) }
    }

    fn is_empty(&self) -> bool {
        self.end <= self.start
    }
}

/// An instant and a duration; the last instant that there is where the sum lies beyond it.
pub(crate) fn sum(at: Timestamp, by: SignedDuration) -> Timestamp {
    let limit = if by.is_negative() { Timestamp::MIN } else { Timestamp::MAX };
    at.checked_add(by).unwrap_or(limit)
}

impl FromIterator<Interval> for Intervals {
    /// In any order; those that overlap or touch become one.
    fn from_iter<I: IntoIterator<Item = Interval>>(intervals: I) -> Self {
        let mut sorted: Vec<Interval> = intervals.into_iter().filter(|one| !one.is_empty()).collect();
        sorted.sort_unstable();
        let mut merged: Vec<Interval> = Vec::with_capacity(sorted.len());
        for next in sorted {
            match merged.last_mut() {
                Some(last) if next.start <= last.end => last.end = last.end.max(next.end),
                _ => merged.push(next),
            }
        }
        Intervals(merged)
    }
}

impl From<Interval> for Intervals {
    fn from(interval: Interval) -> Self {
        Intervals::from_iter([interval])
    }
}

impl Intervals {
    /// No instant at all.
    #[must_use]
    pub(crate) fn none() -> Intervals {
        Intervals::default()
    }

    /// In order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Interval> {
        self.0.iter()
    }

    /// The interval in which an instant lies.
    #[must_use]
    pub(crate) fn at(&self, instant: Timestamp) -> Option<Interval> {
        let after = self.0.partition_point(|one| one.start <= instant);
        let candidate = after.checked_sub(1).and_then(|index| self.0.get(index))?;
        candidate.contains(instant).then_some(*candidate)
    }

    /// Whether an instant lies in one of them.
    #[must_use]
    pub(crate) fn contains(&self, instant: Timestamp) -> bool {
        self.at(instant).is_some()
    }

    /// The first interval that begins after an instant.
    #[must_use]
    pub(crate) fn next_after(&self, instant: Timestamp) -> Option<Interval> {
        self.0.get(self.0.partition_point(|one| one.start <= instant)).copied()
    }

    /// What lies in either.
    #[must_use]
    pub(crate) fn union(&self, other: &Intervals) -> Intervals {
        self.0.iter().chain(&other.0).copied().collect()
    }

    /// What lies in both.
    #[must_use]
    pub(crate) fn intersection(&self, other: &Intervals) -> Intervals {
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut both = Vec::new();
        while let (Some(one), Some(two)) = (left.peek(), right.peek()) {
            both.push(Interval::new(one.start.max(two.start), one.end.min(two.end)));
            if one.end <= two.end {
                left.next();
            } else {
                right.next();
            }
        }
        both.into_iter().collect()
    }

    /// What lies in `whole` and not here.
    #[must_use]
    pub(crate) fn complement(&self, whole: Interval) -> Intervals {
        let mut rest = Vec::with_capacity(self.0.len() + 1);
        let mut from = whole.start;
        for one in &self.0 {
            rest.push(Interval::new(from, one.start.min(whole.end)));
            from = from.max(one.end);
        }
        rest.push(Interval::new(from, whole.end));
        rest.into_iter().collect()
    }

    /// Every interval longer at both ends, or shorter where the durations are negative.
    #[must_use]
    pub(crate) fn stretched(&self, before: SignedDuration, after: SignedDuration) -> Intervals {
        self.0.iter().map(|one| one.stretched(before, after)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a second")
    }

    fn set(pairs: &[(i64, i64)]) -> Intervals {
        pairs.iter().map(|&(start, end)| Interval::new(second(start), second(end))).collect()
    }

    #[test]
    fn touching_and_overlapping_ones_are_one_and_empty_ones_none() {
        assert_eq!(set(&[(5, 7), (1, 3), (3, 4), (9, 9), (8, 6), (6, 8)]), set(&[(1, 4), (5, 8)]));
        assert_eq!(set(&[(1, 4)]).at(second(4)), None);
        assert_eq!(set(&[(1, 4)]).at(second(3)), Some(Interval::new(second(1), second(4))));
        assert_eq!(set(&[(1, 4), (6, 7)]).next_after(second(1)), Some(Interval::new(second(6), second(7))));
    }

    proptest! {
        #[test]
        fn sets_are_what_their_instants_say(
            left in prop::collection::vec((0i64..40, 0i64..12), 0..6),
            right in prop::collection::vec((0i64..40, 0i64..12), 0..6),
            before in 0i64..4,
            after in 0i64..4,
        ) {
            let make = |pairs: &[(i64, i64)]| {
                set(&pairs.iter().map(|(at, length)| (*at, at + length)).collect::<Vec<_>>())
            };
            let (left, right) = (make(&left), make(&right));
            let whole = Interval::new(second(3), second(45));
            let (union, both) = (left.union(&right), left.intersection(&right));
            let rest = left.complement(whole);
            let seconds = SignedDuration::from_secs;
            let grown = left.stretched(seconds(before), seconds(after));
            let shrunk = left.stretched(seconds(-before), seconds(-after));
            for at in -6..60 {
                let now = second(at);
                let (in_left, in_right) = (left.contains(now), right.contains(now));
                prop_assert_eq!(union.contains(now), in_left || in_right);
                prop_assert_eq!(both.contains(now), in_left && in_right);
                prop_assert_eq!(rest.contains(now), whole.contains(now) && !in_left);
                let near = |from: i64, to: i64, all: bool| {
                    let mut hits = (at + from..=at + to).map(|other| left.contains(second(other)));
                    if all { hits.all(|hit| hit) } else { hits.any(|hit| hit) }
                };
                prop_assert_eq!(grown.contains(now), near(-after, before, false));
                prop_assert_eq!(shrunk.contains(now), near(-before, after, true));
            }
        }
    }
}
