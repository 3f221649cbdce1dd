//! Durations as Go writes them, since that is what stands in an AnalysisTemplate.

use jiff::SignedDuration;

use super::fault::Fault;

/// Reads `1m30s`, `1.5h`, `-10s`, `0`: what Go's `time.ParseDuration` reads, and nothing else. No `d`.
pub(crate) fn go_duration(text: &str) -> Result<SignedDuration, Fault> {
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return Err(Fault::NotADuration);
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (nanos, after) = part(rest).ok_or(Fault::NotADuration)?;
        total = total.checked_add(nanos).filter(|total| *total <= 1 << 63).ok_or(Fault::NotADuration)?;
        rest = after;
    }
    let nanos = if negative { 0_i64.checked_sub_unsigned(total) } else { i64::try_from(total).ok() };
    nanos.map(SignedDuration::from_nanos).ok_or(Fault::NotADuration)
}

/// One number with its unit, in nanoseconds, and what follows it.
fn part(text: &str) -> Option<(u64, &str)> {
    let (whole, text) = digits(text);
    let (fraction, text) = text.strip_prefix('.').map_or(("", text), digits);
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let end = text.find(|letter: char| letter == '.' || letter.is_ascii_digit()).unwrap_or(text.len());
    let (unit, text) = text.split_at(end);
    let unit: u64 = match unit {
        "ns" => 1,
        // Both letters that look like a micro.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? };
    Some((whole.checked_mul(unit)?.checked_add(share(fraction, unit))?, text))
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

/// That part of a unit, cut off below a nanosecond; digits beyond what counts are dropped, as Go does.
fn share(fraction: &str, unit: u64) -> u64 {
    let (mut value, mut scale): (u128, u128) = (0, 1);
    for digit in fraction.bytes().take(18) {
        value = value * 10 + u128::from(digit - b'0');
        scale *= 10;
    }
    u64::try_from(value * u128::from(unit) / scale).unwrap_or(0)
}
