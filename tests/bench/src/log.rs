//! What the proxy saw, and what follows from it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

/// One request and its answer.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Which proxy it went through: 0, or 1 for the second registry of a copy across registries.
    pub proxy: usize,
    /// The client's connection, counted from 1 over both proxies.
    pub connection: usize,
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// The status; `None` where no answer came.
    pub status: Option<u16>,
    /// When the head was complete.
    pub begin: Instant,
    /// When the last byte of the answer had come from the registry, before the client got it: what the client does because of
    /// the answer begins later.
    pub end: Option<Instant>,
    /// Bytes of the body from the client.
    pub up: u64,
    /// Bytes of the body to the client.
    pub down: u64,
}

impl Exchange {
    /// What the request is for, in words that all clients share.
    #[must_use]
    pub fn kind(&self) -> String {
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let method = &self.method;
        let reference = |part: &str| {
            let reference = path.split(part).nth(1).unwrap_or_default();
            // The fallback tag of registries without the referrers API.
            if reference.starts_with("sha256-") {
                "fallback tag"
            } else if reference.contains(':') {
                "by digest"
            } else {
                "by tag"
            }
        };
        if path.contains("/blobs/uploads/") {
            return match method.as_str() {
                "POST" if query.contains("mount=") => "POST mount".to_owned(),
                _ => format!("{method} upload"),
            };
        }
        if path.contains("/manifests/") {
            return format!("{method} manifest {}", reference("/manifests/"));
        }
        let what = [("/blobs/", "blob"), ("/referrers/", "referrers"), ("/tags/list", "tags")];
        match what.iter().find(|(part, _)| path.contains(part)) {
            Some((_, what)) => format!("{method} {what}"),
            None if path == "/v2/" || path == "/v2" => format!("{method} /v2/"),
            None => format!("{method} other"),
        }
    }
}

/// Totals of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Requests, answered or not.
    pub requests: usize,
    /// The longest chain of requests of which each began after the one before had ended.
    pub depth: usize,
    /// Most requests under way at one moment.
    pub at_once: usize,
    /// Connections.
    pub connections: usize,
    /// Bytes of bodies to the registry.
    pub up: u64,
    /// Bytes of bodies from the registry.
    pub down: u64,
    /// Requests by what they are for.
    pub kinds: BTreeMap<String, usize>,
    /// When the first one came.
    pub first: Option<Instant>,
}

impl Summary {
    /// Counts.
    #[must_use]
    pub fn of(exchanges: &[Exchange]) -> Self {
        let mut kinds = BTreeMap::new();
        for exchange in exchanges {
            *kinds.entry(exchange.kind()).or_insert(0) += 1;
        }
        let intervals: Vec<(Instant, Instant)> =
            exchanges.iter().filter_map(|exchange| Some((exchange.begin, exchange.end?))).collect();
        let connections: std::collections::BTreeSet<usize> =
            exchanges.iter().map(|exchange| exchange.connection).collect();
        Self {
            requests: exchanges.len(),
            depth: depth(&intervals),
            at_once: at_once(&intervals),
            connections: connections.len(),
            up: exchanges.iter().map(|exchange| exchange.up).sum(),
            down: exchanges.iter().map(|exchange| exchange.down).sum(),
            kinds,
            first: exchanges.iter().map(|exchange| exchange.begin).min(),
        }
    }

    /// `16 POST mount, 6 GET manifest by digest, …`, the most frequent first.
    #[must_use]
    pub fn breakdown(&self) -> String {
        let mut kinds: Vec<(&String, &usize)> = self.kinds.iter().collect();
        kinds.sort_by_key(|(kind, count)| (std::cmp::Reverse(**count), (*kind).clone()));
        kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect::<Vec<_>>().join(", ")
    }
}

/// The longest chain of intervals that do not overlap: always the one that ends first, then the next that begins after it.
fn depth(intervals: &[(Instant, Instant)]) -> usize {
    let mut by_end = intervals.to_vec();
    by_end.sort_by_key(|(_, end)| *end);
    let mut chain = 0;
    let mut last: Option<Instant> = None;
    for (begin, end) in by_end {
        if last.is_none_or(|last| begin >= last) {
            chain += 1;
            last = Some(end);
        }
    }
    chain
}

fn at_once(intervals: &[(Instant, Instant)]) -> usize {
    // An end at the same moment as a begin comes first.
    let mut moments: Vec<(Instant, i32)> =
        intervals.iter().flat_map(|(begin, end)| [(*begin, 1), (*end, -1)]).collect();
    moments.sort();
    let mut now = 0_i32;
    let peak = moments.iter().map(|(_, change)| {
        now += change;
        now
    });
    usize::try_from(peak.max().unwrap_or(0)).unwrap_or(0)
}

/// A log that people can read, one line per request in the order of arrival, times from the first.
#[derive(Debug)]
pub struct Readable<'a>(pub &'a [Exchange]);

impl fmt::Display for Readable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(start) = self.0.iter().map(|exchange| exchange.begin).min() else { return Ok(()) };
        let milliseconds = |moment: Instant| moment.saturating_duration_since(start).as_secs_f64() * 1000.0;
        for exchange in self.0 {
            let end = exchange.end.map_or_else(|| "-".to_owned(), |end| format!("{:.1}", milliseconds(end)));
            let status = exchange.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
            writeln!(
                f,
                "{:8.1} {end:>8}  proxy {} conn {:3}  {status} {} {}",
                milliseconds(exchange.begin),
                exchange.proxy,
                exchange.connection,
                exchange.method,
                exchange.target
            )?;
        }
        Ok(())
    }
}

/// Milliseconds with a precision that fits their size.
#[must_use]
pub fn milliseconds(duration: Duration) -> String {
    let value = duration.as_secs_f64() * 1000.0;
    match value {
        value if value < 10.0 => format!("{value:.2}"),
        value if value < 100.0 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(method: &str, target: &str, begin: Instant, end: Option<Instant>) -> Exchange {
        let (method, target) = (method.to_owned(), target.to_owned());
        Exchange { proxy: 0, connection: 1, method, target, status: Some(200), begin, end, up: 1, down: 2 }
    }

    #[test]
    fn depth_is_the_longest_chain_and_not_the_number_of_requests() {
        let zero = Instant::now();
        let at =
            |begin: u64, end: u64| (zero + Duration::from_millis(begin), zero + Duration::from_millis(end));
        for (intervals, expected) in [
            (vec![], (0, 0)),
            (vec![at(0, 30)], (1, 1)),
            // One after the other.
            (vec![at(0, 30), at(30, 60), at(61, 90)], (3, 1)),
            // A whole level at once, then one.
            (vec![at(0, 30), at(1, 31), at(2, 32), at(33, 60)], (2, 3)),
            // A long upload beside a chain of short ones.
            (vec![at(0, 100), at(1, 10), at(11, 20), at(21, 30)], (3, 2)),
            // The long one ends last and nothing follows it, but something follows the first.
            (vec![at(0, 10), at(5, 50), at(12, 20), at(60, 70)], (3, 2)),
        ] {
            assert_eq!((depth(&intervals), at_once(&intervals)), expected, "{intervals:?}");
        }
    }

    #[test]
    fn requests_are_named_by_what_they_are_for() {
        for (method, target, kind) in [
            ("GET", "/v2/", "GET /v2/"),
            ("GET", "/v2/a/manifests/1.2.3", "GET manifest by tag"),
            ("PUT", "/v2/a/b/manifests/sha256:00", "PUT manifest by digest"),
            ("GET", "/v2/a/manifests/sha256-00", "GET manifest fallback tag"),
            ("POST", "/v2/a/blobs/uploads/?mount=sha256:00&from=b", "POST mount"),
            ("POST", "/v2/a/blobs/uploads/", "POST upload"),
            ("PATCH", "/v2/a/blobs/uploads/1?state=x", "PATCH upload"),
            ("HEAD", "/v2/a/blobs/sha256:00", "HEAD blob"),
            ("GET", "/v2/a/referrers/sha256:00", "GET referrers"),
            ("GET", "/v2/a/tags/list?n=1000", "GET tags"),
            ("GET", "/token?scope=a", "GET other"),
        ] {
            assert_eq!(exchange(method, target, Instant::now(), None).kind(), kind);
        }
    }

    #[test]
    fn a_request_without_an_answer_counts() {
        let now = Instant::now();
        let answered = exchange("GET", "/v2/a/tags/list", now, Some(now));
        let summary = Summary::of(&[answered, exchange("HEAD", "/v2/a/blobs/sha256:00", now, None)]);
        assert_eq!((summary.requests, summary.depth, summary.up, summary.down), (2, 1, 2, 4));
        assert_eq!(summary.breakdown(), "1 GET tags, 1 HEAD blob");
    }
}
