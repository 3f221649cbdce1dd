//! What the tests said, for readers, in Markdown.
//!
//! Pure. Whatever foreign code wrote stands in code spans, with everything that could end one as an
//! entity: no name can make a link, an image or a row of its own.

use std::fmt::Write as _;

use granary_plugin::output::seconds;

use super::Content;
use crate::results::{Test, cut, first_line};

/// Most rows of each table; all tests are in `junit_file`.
const MAX_ROWS: usize = 100;
/// Most of a message's first line that stands in a table, in bytes.
const LONGEST_LINE: usize = 300;
/// How many of the slowest tests are listed.
const SLOWEST: usize = 10;

pub(super) fn render(content: &Content<'_>) -> String {
    let mut text = String::new();
    let decision = content.decision;
    line(&mut text, format_args!("# Integration tests: {}", decision.result));
    let took = content.took.map_or_else(String::new, |took| format!(" in {}", seconds(took)));
    let attempts = (content.attempts > 1).then(|| content.attempts.to_string());
    let rows = [
        ("Tests", Some(format!("{}{took}", decision.counts()))),
        ("Candidate", Some(code(&content.candidate))),
        ("Commit", Some(code(&content.commit))),
        ("Set", Some(code(&content.set))),
        ("Environment", Some(code(&content.public(content.environment)))),
        ("Attempts", attempts),
        ("Pipeline", content.pipeline_url.map(|url| link(&content.public(url)))),
    ];
    line(&mut text, format_args!("\n| | |\n| --- | --- |"));
    for (name, value) in rows {
        if let Some(value) = value {
            line(&mut text, format_args!("| {name} | {value} |"));
        }
    }
    let problems: Vec<String> =
        decision.problems.iter().map(|problem| format!("- {}", code(&content.public(problem)))).collect();
    section(&mut text, "What is wrong", "", &problems);
    let row = |test: &Test| {
        let message = content.public(test.message.as_deref().unwrap_or("no message"));
        let first = cut(first_line(&message), LONGEST_LINE);
        format!("| {} | {} |", code(&content.name(&test.name)), code(&first))
    };
    let failed: Vec<String> =
        content.outcome.tests.iter().filter(|test| test.status.is_bad()).map(row).collect();
    section(&mut text, "Failed tests", "| Test | Message |\n| --- | --- |", &failed);
    let flaky: Vec<String> =
        decision.warned.iter().map(|name| format!("- {}", code(&content.name(name)))).collect();
    section(&mut text, "Flaky tests", "", &flaky);
    let slowest: Vec<String> = content
        .outcome
        .slowest(SLOWEST)
        .into_iter()
        .map(|(duration, name)| format!("| {} | {} |", seconds(duration), code(&content.name(name))))
        .collect();
    section(&mut text, "Slowest tests", "| Time | Test |\n| --- | --- |", &slowest);
    text
}

fn section(text: &mut String, title: &str, head: &str, rows: &[String]) {
    if rows.is_empty() {
        return;
    }
    line(text, format_args!("\n## {title}\n"));
    if !head.is_empty() {
        line(text, format_args!("{head}"));
    }
    rows.iter().take(MAX_ROWS).for_each(|row| line(text, format_args!("{row}")));
    if rows.len() > MAX_ROWS {
        line(text, format_args!("\nand {} more", rows.len() - MAX_ROWS));
    }
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    writeln!(text, "{content}").expect("invariant: a string takes everything");
}

/// `text` as code, on one line. A code span knows no escapes and a table cuts it at a bar, so a text with
/// anything of the kind is written as HTML, every mark an entity.
fn code(text: &str) -> String {
    let is_plain = |letter: char| {
        letter.is_alphanumeric()
            || matches!(letter, ' ' | '-' | '_' | '.' | ':' | '/' | '@' | ',' | '=' | '+')
    };
    if !text.is_empty() && text.trim() == text && text.chars().all(is_plain) {
        return format!("`{text}`");
    }
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' | '\r' | '\t' => escaped.push(' '),
            _ if letter.is_control() => escaped.push('\u{fffd}'),
            _ if letter.is_ascii_punctuation() => {
                write!(escaped, "&#{};", u32::from(letter)).expect("invariant: a string takes everything");
            }
            _ => escaped.push(letter),
        }
    }
    format!("<code>{escaped}</code>")
}

/// A link where it is one to a web page, else code.
fn link(url: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-._~:/?#@!$&+,;=%".contains(letter);
    let is_web = url.starts_with("https://") || url.starts_with("http://");
    if is_web && url.chars().all(is_plain) { format!("<{url}>") } else { code(url) }
}
