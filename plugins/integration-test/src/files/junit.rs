//! JUnit XML of what the tests said, for Jenkins, GitLab and other readers.
//!
//! Pure. One suite, named after the environment; a test's name is cut in two at its first `::`, into class
//! name and name. Names without stand in a suite without a name, so that each is read back as it was: rules
//! and records of runs name tests. What is wrong beside the tests is an error of its own, since readers
//! know only tests.

use std::fmt::Write as _;
use std::time::Duration;

use super::{Content, Told};
use crate::results::{Status, first_line};

/// The class name of what no test said.
const OWN_CLASS: &str = "integration-test";

/// The class name that a reader takes for none, since Node writes it everywhere.
const NODES_CLASS: &str = "test";

/// Cases of one suite, and what they count.
#[derive(Default)]
struct Cases {
    text: String,
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
    took: Duration,
}

pub(super) fn render(content: &Content<'_>) -> String {
    let (mut classed, mut plain) = (Cases::default(), Cases::default());
    for told in content.tests() {
        let name = content.name(&told.test.name);
        match name.split_once("::") {
            Some((class, own)) if !class.is_empty() && class != NODES_CLASS && !own.is_empty() => {
                classed.add(content, &told, Some(class), own);
            }
            _ => plain.add(content, &told, None, &name),
        }
    }
    for (index, problem) in content.decision.problems.iter().enumerate() {
        classed.tests += 1;
        classed.errors += 1;
        let number = if index == 0 { String::new() } else { format!(" ({})", index + 1) };
        let problem = escaped(&content.public(problem));
        let cases = &mut classed.text;
        line(
            cases,
            format_args!("    <testcase classname=\"{OWN_CLASS}\" name=\"as a whole{number}\" time=\"0\">"),
        );
        line(cases, format_args!("      <error message=\"{problem}\"/>"));
        line(cases, format_args!("    </testcase>"));
    }
    let whole = Cases {
        text: String::new(),
        tests: classed.tests + plain.tests,
        failures: classed.failures + plain.failures,
        errors: classed.errors + plain.errors,
        skipped: classed.skipped + plain.skipped,
        took: content.took.unwrap_or(classed.took + plain.took),
    };
    let mut text = String::new();
    line(&mut text, format_args!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>"));
    line(&mut text, format_args!("<testsuites name=\"{OWN_CLASS}\" {}>", whole.counts()));
    let started = escaped(&content.outcome.started.unwrap_or(content.judged).to_string());
    let environment = escaped(&content.public(content.environment));
    line(
        &mut text,
        format_args!("  <testsuite name=\"{environment}\" {} timestamp=\"{started}\">", classed.counts()),
    );
    line(&mut text, format_args!("    <properties>"));
    let (result, attempts) = (content.decision.result.to_string(), content.attempts.to_string());
    let properties = [
        ("result", Some(result.as_str())),
        ("candidate", Some(content.candidate.as_str())),
        ("commit", Some(content.commit.as_str())),
        ("set", Some(content.set.as_str())),
        ("attempts", Some(attempts.as_str())),
        ("url", content.pipeline_url),
    ];
    for (name, value) in properties {
        if let Some(value) = value {
            let value = escaped(&content.public(value));
            line(&mut text, format_args!("      <property name=\"{name}\" value=\"{value}\"/>"));
        }
    }
    line(&mut text, format_args!("    </properties>"));
    text.push_str(&classed.text);
    line(&mut text, format_args!("  </testsuite>"));
    if plain.tests > 0 {
        line(&mut text, format_args!("  <testsuite name=\"\" {} timestamp=\"{started}\">", plain.counts()));
        text.push_str(&plain.text);
        line(&mut text, format_args!("  </testsuite>"));
    }
    line(&mut text, format_args!("</testsuites>"));
    text
}

impl Cases {
    fn add(&mut self, content: &Content<'_>, told: &Told<'_>, class: Option<&str>, name: &str) {
        self.tests += 1;
        match told.test.status {
            Status::Failed => self.failures += 1,
            Status::Error => self.errors += 1,
            Status::Skipped => self.skipped += 1,
            Status::Passed | Status::Flaky => {}
        }
        self.took += told.test.duration.unwrap_or_default();
        case(&mut self.text, content, told, class, name);
    }

    fn counts(&self) -> String {
        let Cases { tests, failures, errors, skipped, .. } = self;
        let took = self.took.as_secs_f64();
        format!(
            "tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\" time=\"{took:.3}\""
        )
    }
}

fn case(text: &mut String, content: &Content<'_>, told: &Told<'_>, class: Option<&str>, name: &str) {
    let class = class.map_or_else(String::new, |class| format!("classname=\"{}\" ", escaped(class)));
    let seconds = told.test.duration.unwrap_or_default().as_secs_f64();
    let opening = format!("    <testcase {class}name=\"{}\" time=\"{seconds:.3}\"", escaped(name));
    let element = match told.test.status {
        Status::Failed => "failure",
        Status::Error => "error",
        Status::Skipped => "skipped",
        Status::Passed | Status::Flaky if told.is_flaky => "flakyFailure",
        Status::Passed | Status::Flaky => return line(text, format_args!("{opening}/>")),
    };
    let message = told.test.message.as_deref().map(|message| content.public(message));
    let message = message.as_deref().unwrap_or(match told.test.status {
        Status::Passed => "it failed before, and passed when the tests were repeated",
        Status::Flaky => "it failed first, and passed when it was repeated",
        Status::Skipped => "",
        Status::Failed | Status::Error => "no message",
    });
    line(text, format_args!("{opening}>"));
    let first = escaped(first_line(message));
    let kind = if told.test.status.is_bad() { format!(" type=\"{element}\"") } else { String::new() };
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
