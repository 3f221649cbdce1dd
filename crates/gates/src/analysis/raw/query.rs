//! What a metric asks.

use jiff::SignedDuration;

use super::limits::{given, number};
use super::{RawPrometheus, RawRange, RawTraffic};
use crate::analysis::duration::go_duration;
use crate::analysis::fault::{Fault, Faults};
use crate::analysis::metric::{Query, Range, Traffic};

/// As in Rollouts, in seconds.
const TIMEOUT: i64 = 30;
const MAX_TIMEOUT: i64 = 300;
/// Points per series of a range.
const MAX_POINTS: i64 = 1_000;

pub(super) struct Asked {
    pub(super) query: Query,
    pub(super) address: Option<String>,
    pub(super) timeout: SignedDuration,
}

pub(super) fn prometheus(faults: &mut Faults, raw: Option<&RawPrometheus>) -> Option<Asked> {
    let Some(raw) = raw else {
        faults.lacking("provider.prometheus", Fault::Missing { needed: "a query" });
        return None;
    };
    let mut below = faults.below("provider.prometheus");
    let text = given(raw.query.as_deref());
    if text.is_none() {
        below.lacking("query", Fault::Missing { needed: "a query" });
    }
    // Rollouts takes 0, with which nothing is ever answered in time.
    let timeout = number(&mut below, "timeout", raw.timeout.as_ref(), 1, MAX_TIMEOUT);
    let range = raw.range_query.as_ref().map(|raw| {
        let mut range = below.below("rangeQuery");
        let found = self::range(&mut range, raw);
        below.take(range);
        found
    });
    faults.take(below);
    let range = match range {
        None => None,
        Some(range) => Some(range?),
    };
    Some(Asked {
        query: Query { text: text?.to_owned(), range },
        address: given(raw.address.as_deref()).map(str::to_owned),
        timeout: SignedDuration::from_secs(timeout?.unwrap_or(TIMEOUT)),
    })
}

fn range(faults: &mut Faults, raw: &RawRange) -> Option<Range> {
    let mut time = |field, raw: &Option<String>| match given(raw.as_deref()) {
        Some(text) => faults.check(field, text, ago(text).ok_or(Fault::NotATime)),
        None => {
            faults.lacking(field, Fault::Missing { needed: "now() or now() - duration(\"1h\")" });
            None
        }
    };
    let (start, end) = (time("start", &raw.start), time("end", &raw.end));
    let step = match given(raw.step.as_deref()) {
        Some(text) => faults.check("step", text, go_duration(text)),
        None => {
            faults.lacking("step", Fault::Missing { needed: "a duration such as 1m" });
            None
        }
    };
    let (start_ago, end_ago, step) = (start?, end?, step?);
    if step < SignedDuration::from_secs(1) || step > SignedDuration::from_hours(24) {
        let fault = Fault::DurationOutOfRange { shortest: "1s", longest: "24h" };
        faults.about("step", &raw.step.as_deref().unwrap_or_default(), fault);
        return None;
    }
    if end_ago >= start_ago {
        faults.about("end", &raw.end.as_deref().unwrap_or_default(), Fault::EndNotAfterStart);
        return None;
    }
    let points = start_ago.saturating_sub(end_ago).as_secs() / step.as_secs() + 1;
    if points > MAX_POINTS {
        faults.lacking("step", Fault::TooManyPoints { points, most: MAX_POINTS });
        return None;
    }
    Some(Range { start_ago, end_ago, step })
}

/// `now()`, `now() - duration("1h")`. The original evaluates any expression; these are the documented ones.
fn ago(text: &str) -> Option<SignedDuration> {
    let rest = text.trim().strip_prefix("now")?.trim_start().strip_prefix('(')?.trim_start();
    let rest = rest.strip_prefix(')')?.trim_start();
    if rest.is_empty() {
        return Some(SignedDuration::ZERO);
    }
    let rest = rest.strip_prefix('-')?.trim_start().strip_prefix("duration")?.trim_start();
    let inner = rest.strip_prefix('(')?.strip_suffix(')')?.trim();
    let quoted = |quote| inner.strip_prefix(quote).and_then(|inner| inner.strip_suffix(quote));
    let ago = go_duration(quoted('"').or_else(|| quoted('\''))?).ok()?;
    (!ago.is_negative()).then_some(ago)
}

pub(super) fn traffic(faults: &mut Faults, raw: &RawTraffic) -> Option<Traffic> {
    let mut below = faults.below("traffic");
    let query = given(raw.query.as_deref());
    if query.is_none() {
        below.lacking("query", Fault::Missing { needed: "a query" });
    }
    let at_least = raw.at_least.filter(|number| number.is_finite() && *number >= 0.0);
    match (raw.at_least, at_least) {
        (None, _) => below.lacking("at_least", Fault::Missing { needed: "a number" }),
        (Some(number), None) => below.about("at_least", &number, Fault::NotFinite),
        _ => {}
    }
    faults.take(below);
    Some(Traffic { query: query?.to_owned(), at_least: at_least? })
}
