//! Whether results are too old to count. Pure.

use std::time::Duration;

use granary_plugin::output::seconds;
use jiff::{SignedDuration, Timestamp};

/// How far the clocks of two steps may be apart.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(1);

/// Why results that ended at `finished`, by what they say, and whose oldest file was written at `written` are
/// not younger than `most`; `None` where they are. Pure.
///
/// The older time counts: both can be set by whoever made the files, and neither makes them younger. Without
/// any time there is no telling, and a time to come is no age.
pub fn too_old(
    finished: Option<Timestamp>,
    written: Option<Timestamp>,
    most: Duration,
    now: Timestamp,
) -> Option<String> {
    let allowed = seconds(most);
    let Some(oldest) = finished.into_iter().chain(written).min() else {
        return Some(format!("the results have no time, and `max_results_age` is {allowed}"));
    };
    let age = now.duration_since(oldest);
    if age < SignedDuration::ZERO - CLOCK_SKEW {
        return Some(format!("the results are from {oldest}, which is yet to come"));
    }
    let age = Duration::try_from(age).unwrap_or_default();
    (age > most).then(|| {
        format!("the results are from {oldest}, {} ago; `max_results_age` is {allowed}", seconds(age))
    })
}

/// The time of results that were there before the candidate was, by what they say and by when their files
/// were written; `None` where they may be about it.
pub fn older_than(
    created: Timestamp,
    finished: Option<Timestamp>,
    written: Option<Timestamp>,
) -> Option<Timestamp> {
    let limit = created.checked_sub(CLOCK_SKEW).unwrap_or(Timestamp::MIN);
    finished.into_iter().chain(written).min().filter(|time| *time < limit)
}

/// Whether this time is further ahead than clocks may differ: then one of the two is wrong.
pub fn is_ahead(time: Timestamp, now: Timestamp) -> bool {
    time.duration_since(now) > CLOCK_SKEW
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_time_counts_and_none_is_too_old() {
        let at = |text: &str| Some(text.parse::<Timestamp>().unwrap());
        let table = [
            (at("2026-11-21T11:00:00Z"), at("2026-11-21T11:30:00Z"), None),
            (at("2026-11-21T11:00:00Z"), None, None),
            (None, at("2026-11-21T12:00:30Z"), None),
            (
                at("2026-11-21T10:59:59Z"),
                at("2026-11-21T12:00:00Z"),
                Some("the results are from 2026-11-21T10:59:59Z, 1h00m ago; `max_results_age` is 1h00m"),
            ),
            (
                at("2026-11-21T11:59:00Z"),
                at("2026-11-20T12:00:00Z"),
                Some("the results are from 2026-11-20T12:00:00Z, 24h00m ago; `max_results_age` is 1h00m"),
            ),
            (None, None, Some("the results have no time, and `max_results_age` is 1h00m")),
            (
                at("2027-01-01T00:00:00Z"),
                None,
                Some("the results are from 2027-01-01T00:00:00Z, which is yet to come"),
            ),
        ];
        let now = "2026-11-21T12:00:00Z".parse().unwrap();
        for (finished, written, expected) in table {
            let found = too_old(finished, written, Duration::from_secs(3600), now);
            assert_eq!(found.as_deref(), expected, "{finished:?} {written:?}");
        }
    }

    #[test]
    fn results_from_before_the_candidate_are_about_another() {
        let at = |text: &str| Some(text.parse::<Timestamp>().unwrap());
        let created = at("2026-11-21T11:00:00Z").unwrap();
        let table = [
            (None, None, None),
            (at("2026-11-21T11:00:01Z"), at("2026-11-21T11:00:02Z"), None),
            // Clocks of two machines differ a little.
            (at("2026-11-21T10:59:30Z"), None, None),
            (at("2026-11-20T11:00:00Z"), at("2026-11-21T11:30:00Z"), at("2026-11-20T11:00:00Z")),
            (at("2026-11-21T11:30:00Z"), at("2026-11-21T10:00:00Z"), at("2026-11-21T10:00:00Z")),
        ];
        for (finished, written, expected) in table {
            assert_eq!(older_than(created, finished, written), expected, "{finished:?} {written:?}");
        }
        for (now, expected) in
            [("2026-11-21T12:00:00Z", false), ("2026-11-21T10:59:00Z", false), ("2026-11-21T10:58:59Z", true)]
        {
            assert_eq!(is_ahead(created, at(now).unwrap()), expected, "{now}");
        }
    }
}
