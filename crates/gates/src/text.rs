//! Times of day, durations and moments as people write them.

use jiff::civil::{DateTime, Time};
use jiff::{SignedDuration, Timestamp};

use crate::problem::Problem;
use crate::zone::Zone;

/// `09:30`; nothing shorter, nothing longer.
pub(crate) fn time_of_day(text: &str) -> Result<Time, Problem> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !text.is_empty() && digits(text) {
        return Err(Problem::UnquotedTime);
    }
    let parts = text
        .split_once(':')
        .filter(|(hour, minute)| hour.len() == 2 && minute.len() == 2 && digits(hour) && digits(minute));
    let Some((hour, minute)) = parts else { return Err(Problem::NotATime) };
    if (hour, minute) == ("24", "00") {
        return Err(Problem::TwentyFour);
    }
    // Two digits always parse; `08` is eight here, whatever shells make of it.
    let (hour, minute) = (hour.parse().unwrap_or(i8::MAX), minute.parse().unwrap_or(i8::MAX));
    Time::new(hour, minute, 0, 0).map_err(|_| Problem::NotATime)
}

/// `15m`, `1h30m`: whole numbers with units, the larger unit first, each at most once. The settings' own
/// grammar.
///
/// # Errors
///
/// [`Problem::NotADuration`], or [`Problem::TooLong`] with the name of the longest that is accepted.
pub fn duration(text: &str, longest: SignedDuration, name: &'static str) -> Result<SignedDuration, Problem> {
    const UNITS: [(char, i64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];
    let too_long = Problem::TooLong { longest: name };
    let mut rest = text;
    let mut seconds: i64 = 0;
    for (unit, length) in UNITS {
        let Some((count, after)) = rest.split_once(unit) else { continue };
        if count.is_empty() || !count.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Problem::NotADuration);
        }
        let part = count.parse::<i64>().ok().and_then(|count| count.checked_mul(length));
        seconds = part.and_then(|part| seconds.checked_add(part)).ok_or_else(|| too_long.clone())?;
        rest = after;
    }
    let duration = SignedDuration::from_secs(seconds);
    match text.is_empty() || !rest.is_empty() {
        true => Err(Problem::NotADuration),
        false if duration > longest => Err(too_long),
        false => Ok(duration),
    }
}

/// The latest instant that a moment may mean; a local one is by the clocks of `zone`.
///
/// # Errors
///
/// [`Problem::NotAMoment`] or [`Problem::TwentyFour`].
pub fn latest(text: &str, zone: &Zone) -> Result<Timestamp, Problem> {
    Ok(match moment(text)? {
        Moment::Instant(at) => at,
        Moment::Local(local) => zone.instants(local).last,
    })
}

/// A moment as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// With `Z` or an offset.
    Instant(Timestamp),
    /// By the clocks of a zone that is named elsewhere.
    Local(DateTime),
}

/// `2026-12-24T12:00`, with seconds or not, with `Z`, `-05:00` or neither.
pub(crate) fn moment(text: &str) -> Result<Moment, Problem> {
    let clock = text.split_once('T').map(|(_, clock)| clock).ok_or(Problem::NotAMoment)?;
    if clock.starts_with("24:00") {
        return Err(Problem::TwentyFour);
    }
    let local = |text: &str| local_moment(text).ok_or(Problem::NotAMoment);
    let parsed = || text.parse::<Timestamp>().map(Moment::Instant).map_err(|_| Problem::NotAMoment);
    if let Some(rest) = text.strip_suffix('Z') {
        return local(rest).and_then(|_| parsed());
    }
    // Behind the date, a sign begins an offset.
    let Some(sign) = clock.find(['+', '-']) else { return local(text).map(Moment::Local) };
    let (rest, offset) = text.split_at(text.len() - clock.len() + sign);
    let shape = offset.len() == 6 && offset.as_bytes().get(3) == Some(&b':');
    if !shape {
        return Err(Problem::NotAMoment);
    }
    local(rest).and_then(|_| parsed())
}

/// A date and a time in exactly this form: jiff alone reads more, a leap second for one.
fn local_moment(text: &str) -> Option<DateTime> {
    let shape = |pattern: &str| {
        text.len() == pattern.len()
            && text.bytes().zip(pattern.bytes()).all(|(byte, like)| match like {
                b'0' => byte.is_ascii_digit(),
                _ => byte == like,
            })
    };
    let known = shape("0000-00-00T00:00") || (shape("0000-00-00T00:00:00") && !text.ends_with(":60"));
    if known { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_day_are_two_and_two_digits() {
        for (text, hour, minute) in [("00:00", 0, 0), ("08:09", 8, 9), ("09:30", 9, 30), ("23:59", 23, 59)] {
            assert_eq!(time_of_day(text), Time::new(hour, minute, 0, 0).map_err(|_| Problem::NotATime));
        }
        for (text, problem) in [
            ("24:00", Problem::TwentyFour),
            ("570", Problem::UnquotedTime),
            ("0930", Problem::UnquotedTime),
            ("24:01", Problem::NotATime),
            ("9:30", Problem::NotATime),
            ("09:60", Problem::NotATime),
            ("09:30:00", Problem::NotATime),
            ("+9:30", Problem::NotATime),
            ("09:3\u{0660}", Problem::NotATime),
            ("", Problem::NotATime),
        ] {
            assert_eq!(time_of_day(text), Err(problem), "{text}");
        }
    }

    #[test]
    fn durations_have_units_and_an_upper_bound() {
        let day = SignedDuration::from_hours(24);
        for (text, seconds) in [("15m", 900), ("1h30m", 5400), ("0s", 0), ("1d", 86_400), ("08m", 480)] {
            assert_eq!(duration(text, day, "a day"), Ok(SignedDuration::from_secs(seconds)), "{text}");
        }
        let too_long = Problem::TooLong { longest: "a day" };
        for (text, problem) in [
            ("15", Problem::NotADuration),
            ("", Problem::NotADuration),
            ("30m1h", Problem::NotADuration),
            ("-5m", Problem::NotADuration),
            ("1.5h", Problem::NotADuration),
            ("25h", too_long.clone()),
            ("99999999999999999999d", too_long.clone()),
            ("9000000000000000000d", too_long),
        ] {
            assert_eq!(duration(text, day, "a day"), Err(problem), "{text}");
        }
    }

    #[test]
    fn moments_have_a_date_and_a_time() {
        let instant = |text: &str| Moment::Instant(text.parse().expect("a timestamp"));
        let local = |text: &str| Moment::Local(text.parse().expect("a local time"));
        for (text, expected) in [
            ("2026-12-24T12:00", local("2026-12-24T12:00:00")),
            ("2026-12-24T12:00:30", local("2026-12-24T12:00:30")),
            ("2026-12-24T12:00Z", instant("2026-12-24T12:00:00Z")),
            ("2026-12-24T12:00-05:00", instant("2026-12-24T17:00:00Z")),
            ("2026-12-24T12:00:01+01:00", instant("2026-12-24T11:00:01Z")),
        ] {
            assert_eq!(moment(text), Ok(expected), "{text}");
        }
        for text in [
            "2026-12-24",
            "2026-12-24 12:00",
            "2026-12-24T12",
            "2026-13-24T12:00",
            "2026-12-24T23:59:60",
            "2026-12-24T12:00-05",
            "2026-12-24T12:00-05:00[America/New_York]",
            "2026-12-24T12:00+",
            "2026-12-24T12:00é",
            "",
        ] {
            assert_eq!(moment(text), Err(Problem::NotAMoment), "{text}");
        }
        assert_eq!(moment("2026-12-24T24:00"), Err(Problem::TwentyFour));
        assert_eq!(moment("2026-12-24T24:00:00Z"), Err(Problem::TwentyFour));
    }
}
