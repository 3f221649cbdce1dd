//! JUnit XML of what the tests said, for Jenkins, GitLab and other readers.
//!
//! Pure. One suite, named after the environment. A test's name is cut in two at its first `::`, into class
//! name and name; what is wrong beside the tests is an error of its own, since readers know only tests.

use std::fmt::Write as _;

use super::{Summary, Told, first_line, is_bad};
use crate::report::word;
use crate::results::Status;

/// The class name of what no test said.
const OWN_CLASS: &str = "integration-test";

pub(super) fn render(summary: &Summary<'_>) -> String {
    let mut cases = String::new();
    let (mut tests, mut failures, mut errors, mut skipped) = (0, 0, 0, 0);
    for told in summary.tests() {
        tests += 1;
        match told.test.status {
            Status::Failed => failures += 1,
            Status::Error => errors += 1,
            Status::Skipped => skipped += 1,
            Status::Passed | Status::Flaky => {}
        }
        case(&mut cases, summary, &told);
    }
    for (index, problem) in summary.decision.problems.iter().enumerate() {
        tests += 1;
        errors += 1;
        let number = if index == 0 { String::new() } else { format!(" ({})", index + 1) };
        let problem = escaped(&summary.public(problem));
        line(
            &mut cases,
            format_args!("    <testcase classname=\"{OWN_CLASS}\" name=\"as a whole{number}\" time=\"0\">"),
        );
        line(&mut cases, format_args!("      <error message=\"{problem}\"/>"));
        line(&mut cases, format_args!("    </testcase>"));
    }
    let took =
        summary.took.unwrap_or_else(|| summary.outcome.tests.iter().filter_map(|test| test.duration).sum());
    let counts = format!(
        "tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\" time=\"{:.3}\"",
        took.as_secs_f64()
    );
    let environment = escaped(summary.environment);
    let mut text = String::new();
    line(&mut text, format_args!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>"));
    line(&mut text, format_args!("<testsuites name=\"{OWN_CLASS}\" {counts}>"));
    let started = summary.outcome.started.unwrap_or(summary.judged);
    line(
        &mut text,
        format_args!(
            "  <testsuite name=\"{environment}\" {counts} timestamp=\"{}\">",
            escaped(&started.to_string())
        ),
    );
    line(&mut text, format_args!("    <properties>"));
    let attempts = summary.attempts.to_string();
    let properties = [
        ("result", Some(word(summary.decision.result))),
        ("candidate", Some(summary.candidate.as_str())),
        ("commit", Some(summary.commit.as_str())),
        ("set", Some(summary.set.as_str())),
        ("attempts", Some(attempts.as_str())),
        ("url", summary.pipeline_url),
    ];
    for (name, value) in properties {
        if let Some(value) = value {
            let value = escaped(&summary.public(value));
            line(&mut text, format_args!("      <property name=\"{name}\" value=\"{value}\"/>"));
        }
    }
    line(&mut text, format_args!("    </properties>"));
    text.push_str(&cases);
    text.push_str("  </testsuite>\n</testsuites>\n");
    text
}

fn case(text: &mut String, summary: &Summary<'_>, told: &Told<'_>) {
    let name = summary.name(&told.test.name);
    let (class, name) = match name.split_once("::") {
        Some((class, name)) if !class.is_empty() && !name.is_empty() => (class, name),
        _ => (summary.environment, name.as_str()),
    };
    let seconds = told.test.duration.unwrap_or_default().as_secs_f64();
    let opening = format!(
        "    <testcase classname=\"{}\" name=\"{}\" time=\"{seconds:.3}\"",
        escaped(class),
        escaped(name)
    );
    let element = match told.test.status {
        Status::Failed => "failure",
        Status::Error => "error",
        Status::Skipped => "skipped",
        Status::Passed | Status::Flaky if told.is_flaky => "flakyFailure",
        Status::Passed | Status::Flaky => return line(text, format_args!("{opening}/>")),
    };
    let message = told.test.message.as_deref().map(|message| summary.public(message));
    let message = message.as_deref().unwrap_or(match told.test.status {
        Status::Passed => "it failed before, and passed when the tests were repeated",
        Status::Flaky => "it failed first, and passed when it was repeated",
        Status::Skipped => "",
        Status::Failed | Status::Error => "no message",
    });
    line(text, format_args!("{opening}>"));
    let first = escaped(first_line(message));
    let kind = if is_bad(told.test.status) { format!(" type=\"{element}\"") } else { String::new() };
    match message.lines().nth(1) {
        None => line(text, format_args!("      <{element}{kind} message=\"{first}\"/>")),
        Some(_) => line(
            text,
            format_args!("      <{element}{kind} message=\"{first}\">{}</{element}>", escaped(message)),
        ),
    }
    line(text, format_args!("    </testcase>"));
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    writeln!(text, "{content}").expect("invariant: a string takes everything");
}

/// Fit for an attribute and for text. What XML cannot have at all becomes U+FFFD.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push_str("&#9;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            _ if letter.is_control() => escaped.push('\u{fffd}'),
            _ => escaped.push(letter),
        }
    }
    escaped
}
