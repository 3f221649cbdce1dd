//! Rate limits, as forges announce them: pure.

use std::time::Duration;

use granary_net::{Answer, StatusCode, http_date};

/// The longest that one question waits for a quota to be filled again. GitHub's fills by the hour, its
/// secondary limits within minutes.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// What GitHub's documentation asks for where a limit comes without a time.
const UNTOLD_WAIT: Duration = Duration::from_secs(60);

/// How long the forge asks to stay away because too much was asked; `None` where the answer is none of that
/// kind. A 403 is one on GitHub only if it says so: every refusal looks the same otherwise. The end of the
/// quota is a moment on the forge's clock and is counted from its own `Date`.
pub(crate) fn asked_to_wait(answer: &Answer, says_so: bool) -> Option<Duration> {
    let used_up = answer.header("x-ratelimit-remaining").is_some_and(|left| left.trim() == "0");
    let throttled = match answer.status {
        StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::FORBIDDEN => used_up || says_so || answer.header("retry-after").is_some(),
        _ => false,
    };
    if !throttled {
        return None;
    }
    if let Some(wait) = answer.retry_after() {
        return Some(wait);
    }
    let reset = answer.header("x-ratelimit-reset").and_then(|text| text.trim().parse::<i64>().ok());
    let now = answer.header("date").and_then(http_date).map(jiff::Timestamp::as_second);
    match (used_up, reset, now) {
        (true, Some(reset), Some(now)) => {
            Some(Duration::from_secs(u64::try_from(reset.saturating_sub(now)).unwrap_or(0) + 1))
        }
        _ => Some(UNTOLD_WAIT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use granary_net::header::{HeaderMap, HeaderName, HeaderValue};

    fn answer(status: u16, headers: &[(&'static str, &'static str)]) -> Answer {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: map,
            url: "https://forge.test/".parse().unwrap(),
            body: Vec::new().into(),
        }
    }

    #[test]
    fn table() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        // 2026-11-21T07:00:00Z
        let date = ("date", "Sat, 21 Nov 2026 07:00:00 GMT");
        let used_up = ("x-ratelimit-remaining", "0");
        let table = [
            (answer(429, &[("retry-after", "7")]), false, seconds(7)),
            (answer(429, &[]), false, seconds(60)),
            (answer(403, &[]), false, None),
            (answer(403, &[("x-ratelimit-remaining", "4999")]), false, None),
            (answer(403, &[("retry-after", "30")]), false, seconds(30)),
            (answer(403, &[]), true, seconds(60)),
            (answer(403, &[used_up, date, ("x-ratelimit-reset", "1795244460")]), false, seconds(61)),
            (answer(403, &[used_up, date, ("x-ratelimit-reset", "1795240000")]), false, seconds(1)),
            (answer(403, &[used_up, ("x-ratelimit-reset", "soon")]), false, seconds(60)),
            (answer(200, &[used_up]), false, None),
            (answer(500, &[("retry-after", "7")]), false, None),
        ];
        for (answer, says_so, expected) in table {
            assert_eq!(asked_to_wait(&answer, says_so), expected, "{answer:?}");
        }
    }
}
