//! What is printed: one table per row, and one of all targets.

use std::fmt::Write as _;
use std::time::Duration;

use crate::harness::{Entrant, RowError, Sample};
use crate::log::milliseconds;

/// The first contender of a row is ours.
pub const OURS: &str = "**granary**";

/// A number of DESIGN §10, and what was found.
#[derive(Clone, Debug)]
pub struct Target {
    /// `≤ 31 requests`.
    pub wanted: String,
    /// `33 requests`.
    pub found: String,
    /// Whether that is good enough.
    pub reached: bool,
    /// What cannot be gone below, by facts/registry.md §3; shown where the target is missed.
    pub floor: String,
}

impl Target {
    /// A count that must not be exceeded.
    #[must_use]
    pub fn at_most(limit: usize, what: &str, found: Option<usize>, floor: &str) -> Self {
        let found_text = found.map_or_else(|| "not measured".to_owned(), |found| format!("{found} {what}"));
        let reached = found.is_some_and(|found| found <= limit);
        Self { wanted: format!("≤ {limit} {what}"), found: found_text, reached, floor: floor.to_owned() }
    }

    /// A quantity with a unit that must not be exceeded (or fallen below, with `at_least`).
    #[must_use]
    pub fn quantity(limit: f64, unit: &str, at_least: bool, found: Option<f64>, floor: &str) -> Self {
        let sign = if at_least { "≥" } else { "≤" };
        let reached = found.is_some_and(|found| if at_least { found >= limit } else { found <= limit });
        let found = found.map_or_else(|| "not measured".to_owned(), |found| format!("{found:.2} {unit}"));
        Self { wanted: format!("{sign} {limit} {unit}"), found, reached, floor: floor.to_owned() }
    }
}

/// One row of the benchmark.
#[derive(Debug)]
pub struct Row {
    /// What is done.
    pub title: String,
    /// Where.
    pub server: String,
    /// Added to each request.
    pub delay: Duration,
    /// Ours first.
    pub entrants: Vec<Entrant>,
    /// Of DESIGN §10.
    pub targets: Vec<Target>,
    /// What one must know to read the numbers.
    pub notes: Vec<String>,
}

/// The middle one, the smallest and the largest.
#[must_use]
pub fn spread<T: Copy + PartialOrd>(values: impl IntoIterator<Item = T>) -> Option<(T, T, T)> {
    let mut values: Vec<T> = values.into_iter().collect();
    values.sort_by(|left, right| left.partial_cmp(right).unwrap_or(std::cmp::Ordering::Equal));
    Some((*values.get(values.len() / 2)?, *values.first()?, *values.last()?))
}

impl Row {
    /// A row without targets and notes.
    #[must_use]
    pub fn new(
        title: impl Into<String>,
        server: impl Into<String>,
        delay: Duration,
        entrants: Vec<Entrant>,
    ) -> Self {
        let (title, server) = (title.into(), server.into());
        Self { title, server, delay, entrants, targets: Vec::new(), notes: Vec::new() }
    }

    /// Adds a target.
    #[must_use]
    pub fn target(mut self, target: Target) -> Self {
        self.targets.push(target);
        self
    }

    /// Adds a note.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// The samples of a contender.
    #[must_use]
    pub fn samples(&self, name: &str) -> &[Sample] {
        let entrant = self.entrants.iter().find(|entrant| entrant.name == name);
        entrant.and_then(|entrant| entrant.samples.as_deref().ok()).unwrap_or_default()
    }

    /// Median of something of ours.
    #[must_use]
    pub fn ours<T: Copy + PartialOrd>(&self, of: impl Fn(&Sample) -> T) -> Option<T> {
        spread(self.samples(OURS).iter().map(of)).map(|(median, _, _)| median)
    }

    /// Median over the rounds of how many times longer than ours it took.
    #[must_use]
    pub fn ratio(&self, name: &str) -> Option<f64> {
        let pairs = self.samples(name).iter().zip(self.samples(OURS));
        let ratios = pairs.map(|(theirs, ours)| theirs.wall.as_secs_f64() / ours.wall.as_secs_f64());
        spread(ratios).map(|(median, _, _)| median)
    }

    /// Whether ours was measured.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        !self.samples(OURS).is_empty()
    }

    fn heading(&self) -> String {
        let delay = match self.delay.is_zero() {
            true => String::new(),
            false => format!(", {} ms per request", self.delay.as_millis()),
        };
        format!("{} — {}{delay}", self.title, self.server)
    }

    /// As Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = format!("### {}\n\n", self.heading());
        text.push_str(
            "| | requests | deep | at once | connections | wall ms, median (min–max) | × ours | peak MB | CPU ms | up / down kB | |\n\
             |---|---|---|---|---|---|---|---|---|---|---|\n",
        );
        for entrant in &self.entrants {
            text.push_str(&self.line(entrant));
        }
        text.push('\n');
        if let Some(sample) = self.samples(OURS).first().filter(|sample| sample.summary.requests > 0) {
            let _ = writeln!(text, "- Our requests: {}.", sample.summary.breakdown());
        }
        for target in &self.targets {
            let (mark, floor) = match target.reached {
                true => ("reached", String::new()),
                false => ("**not reached**", format!(" Floor: {}", target.floor)),
            };
            let _ = writeln!(text, "- Target {}: {mark}, {}.{floor}", target.wanted, target.found);
        }
        for note in &self.notes {
            let _ = writeln!(text, "- {note}");
        }
        text.push('\n');
        text
    }

    fn line(&self, entrant: &Entrant) -> String {
        let samples = match &entrant.samples {
            Ok(samples) => samples,
            Err(error) => return format!("| {} | {} |||||||||\n", entrant.name, one_line(error)),
        };
        let count = |of: fn(&Sample) -> usize| {
            let (median, least, most) = spread(samples.iter().map(of)).unwrap_or_default();
            if least == most { median.to_string() } else { format!("{median} ({least}–{most})") }
        };
        let (median, least, most) = spread(samples.iter().map(|sample| sample.wall)).unwrap_or_default();
        let wall = [median, least, most].map(milliseconds);
        let ratio = match entrant.name == OURS {
            true => String::new(),
            false => self.ratio(&entrant.name).map_or_else(String::new, |ratio| format!("{ratio:.2}")),
        };
        let peak = samples.iter().map(|sample| sample.peak_kib).max().unwrap_or(0);
        let (cpu, _, _) = spread(samples.iter().map(|sample| sample.cpu)).unwrap_or_default();
        let kilobytes = |of: fn(&Sample) -> u64| {
            let (median, _, _) = spread(samples.iter().map(of)).unwrap_or_default();
            median / 1000
        };
        let mut notes: Vec<&str> = samples.iter().map(|sample| sample.note.as_str()).collect();
        notes.dedup();
        format!(
            "| {} | {} | {} | {} | {} | {} ({}–{}) | {ratio} | {} | {} | {} / {} | {} |\n",
            entrant.name,
            count(|sample| sample.summary.requests),
            count(|sample| sample.summary.depth),
            count(|sample| sample.summary.at_once),
            count(|sample| sample.summary.connections),
            wall[0],
            wall[1],
            wall[2],
            megabytes(peak * 1024),
            cpu.as_millis(),
            kilobytes(|sample| sample.summary.up),
            kilobytes(|sample| sample.summary.down),
            notes.join("; "),
        )
    }
}

/// All targets of all rows.
#[must_use]
pub fn targets(rows: &[Row]) -> String {
    let mut text = String::from("| Work | target | found | |\n|---|---|---|---|\n");
    for row in rows {
        for target in &row.targets {
            let mark = if target.reached { "reached" } else { "**not reached**" };
            let _ = writeln!(text, "| {} | {} | {} | {mark} |", row.heading(), target.wanted, target.found);
        }
    }
    text.push('\n');
    text
}

/// Decimal megabytes.
#[must_use]
pub fn megabytes(bytes: u64) -> String {
    let tenths = (bytes + 50_000) / 100_000;
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// An error with its causes, fit for a cell.
#[must_use]
pub fn one_line(error: &RowError) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text.replace('\n', " ").replace('|', "/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Summary;

    fn entrant(name: &str, walls: &[u64]) -> Entrant {
        let sample = |wall: &u64| Sample {
            wall: Duration::from_millis(*wall),
            peak_kib: 3000,
            cpu: Duration::from_millis(10),
            first_request: None,
            summary: Summary { requests: 3, depth: 2, at_once: 2, connections: 2, ..Summary::default() },
            note: "3 referrers".to_owned(),
            exchanges: Vec::new(),
        };
        Entrant { name: name.to_owned(), samples: Ok(walls.iter().map(sample).collect()) }
    }

    #[test]
    fn a_row_shows_ours_the_peers_and_who_is_missing() {
        let missing =
            Entrant { name: "regctl".to_owned(), samples: Err(RowError::Missing { program: "regctl" }) };
        let entrants = vec![entrant(OURS, &[100, 120, 90]), entrant("crane", &[300, 240, 270]), missing];
        let row = Row::new("tag", "somewhere", Duration::from_millis(30), entrants)
            .target(Target::at_most(3, "requests", Some(3), "2"))
            .target(Target::at_most(1, "deep", Some(2), "1."))
            .target(Target::quantity(10.0, "× faster", true, None, "none"));
        assert!(row.is_whole());
        assert!(
            row.ratio("crane").is_some_and(|ratio| (ratio - 3.0).abs() < 1e-9),
            "the middle of 3, 2 and 3"
        );
        let text = row.markdown();
        for part in [
            "### tag — somewhere, 30 ms per request",
            "| **granary** | 3 | 2 | 2 | 2 | 100 (90.0–120) |  | 3.1 | 10 | 0 / 0 | 3 referrers |",
            "| crane | 3 | 2 | 2 | 2 | 270 (240–300) | 3.00 |",
            "| regctl | regctl is not installed |",
            "- Target ≤ 3 requests: reached, 3 requests.\n",
            "- Target ≤ 1 deep: **not reached**, 2 deep. Floor: 1.",
            "- Target ≥ 10 × faster: **not reached**, not measured.",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert!(
            targets(&[row])
                .contains("| tag — somewhere, 30 ms per request | ≤ 3 requests | 3 requests | reached |")
        );
    }

    #[test]
    fn the_median_of_nothing_is_nothing() {
        assert_eq!(spread([0_u8; 0]), None);
        assert_eq!(spread([3, 1, 2, 9]), Some((3, 1, 9)));
        assert_eq!(megabytes(2_949_999), "2.9");
    }
}
