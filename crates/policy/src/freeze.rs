//! The file that stops the line.

use granary_gates::{Freeze, Zone, latest};

use crate::yaml::{self, shown};

/// Where it is looked for, unless the policy names another path: the line can be stopped without editing
/// the policy.
pub const DEFAULT_FREEZE_FILE: &str = "FREEZE";

/// As much of it is read; what lies behind changes nothing.
pub const MAX_FREEZE_BYTES: usize = 4096;

const NO_REASON: &str = "no reason given";

/// What a file says that stops the line. Its presence is what counts, so there is nothing that it could say
/// wrong: `reason: …` and `until: …` (a moment, a local one by the clocks of `zone`), or any text, which then
/// is the reason. Without an end that can be read, the line stands until the file is gone.
#[must_use]
pub fn freeze(content: &str, zone: &Zone) -> Freeze {
    let end = content.char_indices().map(|(at, _)| at).take_while(|at| *at <= MAX_FREEZE_BYTES).last();
    let content = match end {
        Some(end) if content.len() > MAX_FREEZE_BYTES => &content[..end],
        _ => content,
    };
    let (root, faults) = yaml::load(content);
    let known = |root: &yaml::Node| {
        let keys = root.entries().iter().map(|entry| entry.key.as_str());
        !root.entries().is_empty() && keys.clone().all(|key| key == "reason" || key == "until")
    };
    let Some(root) = root.filter(|root| faults.is_empty() && known(root)) else {
        let reason: Vec<&str> = content.split_whitespace().collect();
        let reason = if reason.is_empty() { NO_REASON.to_owned() } else { shown(&reason.join(" ")) };
        return Freeze { reason, until: None };
    };
    let reason = root.get("reason").and_then(yaml::Node::written).map(str::trim).unwrap_or_default();
    let reason = if reason.is_empty() { NO_REASON.to_owned() } else { shown(reason) };
    match root.get("until").map(|until| until.written().unwrap_or_default().trim()) {
        None => Freeze { reason, until: None },
        Some(text) => match latest(text, zone) {
            Ok(until) => Freeze { reason, until: Some(until) },
            Err(problem) => {
                Freeze { reason: format!("{reason} (its `until` `{}` {problem})", shown(text)), until: None }
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_file_says_the_line_stands() {
        let zone = Zone::named("America/New_York").expect("a zone");
        let until = |text: &str| Some(text.parse().expect("a timestamp"));
        for (content, reason, end) in [
            ("reason: incident 12\nuntil: 2026-12-24T12:00\n", "incident 12", until("2026-12-24T17:00Z")),
            ("reason: incident 12\nuntil: 2026-12-24T12:00Z\n", "incident 12", until("2026-12-24T12:00Z")),
            // Twice on that night; the later one holds.
            ("until: 2026-11-01T01:30", "no reason given", until("2026-11-01T06:30Z")),
            ("reason: 12\n", "12", None),
            ("", "no reason given", None),
            ("incident 12,\nask Ann\n", "incident 12, ask Ann", None),
            ("reason: [a\nuntil: 2020-01-01T00:00Z", "reason: [a until: 2020-01-01T00:00Z", None),
            // A typing error must not let the line run.
            ("reason: x\nuntill: 2020-01-01T00:00Z", "reason: x untill: 2020-01-01T00:00Z", None),
        ] {
            let found = freeze(content, &zone);
            assert_eq!((found.reason.as_str(), found.until), (reason, end), "{content:?}");
        }
        let found = freeze("reason: x\nuntil: tomorrow", &zone);
        assert!(
            found.until.is_none() && found.reason.starts_with("x (its `until` `tomorrow` is not a moment")
        );
        let long = "é".repeat(MAX_FREEZE_BYTES);
        assert!(freeze(&long, &zone).reason.chars().count() < 200);
    }
}
