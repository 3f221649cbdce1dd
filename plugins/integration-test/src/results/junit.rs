//! JUnit XML as pytest, cargo-nextest, Node's test runner, Surefire and their kin write it.
//!
//! Pure. There is no specification, so what counts is what is in the test cases; the counters of a suite are
//! believed in one respect only: a suite that has fewer cases than it declares was cut short. Refuses
//! document type declarations and unknown entities, so nothing can expand.
//!
//! # Design
//! A test is called by its class name and name, joined by `::`. Where the class name is missing, or is the
//! `test` that Node writes everywhere, the names of the suites around it take its place.
//!
//! A time stamp without an offset (old pytest writes local time, others UTC) is no time.

use std::time::Duration;

use jiff::Timestamp;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::{
    Fault, MAX_MESSAGE, MAX_NAME, MAX_TESTS, Outcome, Position, Status, Test, after, message, seconds,
};

/// Deepest nesting of elements. Node nests a suite for each `describe`.
const MAX_DEPTH: usize = 128;

/// The class name that Node gives to every test.
const NODES_CLASS: &str = "test";

pub(super) fn parse(text: &str) -> Result<Outcome, Fault> {
    let mut reader = Reader::from_str(text);
    let mut report = Report { text, ..Report::default() };
    loop {
        let at = offset(reader.buffer_position());
        let event = reader.read_event().map_err(|error| Fault::Xml {
            at: Position::of(text, offset(reader.error_position())),
            problem: error.to_string(),
        })?;
        report.at = at;
        match event {
            Event::Start(element) => report.open(&element)?,
            Event::Empty(element) => {
                report.open(&element)?;
                report.close()?;
            }
            Event::End(_) => report.close()?,
            Event::Text(content) => report.characters(&content.xml10_content())?,
            Event::CData(content) => report.characters(&content.xml10_content())?,
            Event::GeneralRef(reference) => {
                let name = reference.into_inner();
                let unknown = || Fault::Entity { at: Position::of(text, at), name: name.to_string() };
                let resolved =
                    quick_xml::escape::unescape(&format!("&{name};")).map_err(|_| unknown())?.into_owned();
                report.characters(&resolved)?;
            }
            Event::DocType(_) => return Err(Fault::Dtd { at: Position::of(text, at) }),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => break,
        }
    }
    report.finish()
}

/// Positions count bytes of a text in memory.
fn offset(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

/// What is being read.
#[derive(Default)]
struct Report<'t> {
    text: &'t str,
    /// Where the event that is being handled begins.
    at: usize,
    open: Vec<Element>,
    suites: Vec<Suite>,
    case: Option<Case>,
    seen_root: bool,
    outcome: Outcome,
}

enum Element {
    Suite,
    Case,
    /// `failure` and the like where it has no attribute `message`: its text is the message.
    Message,
    Other,
}

struct Suite {
    at: usize,
    name: String,
    declared: Option<usize>,
    /// Cases in it and in suites below it, and what some count beside them: Node the suites in a suite, others
    /// every attempt of a case that was tried again.
    found: usize,
}

struct Case {
    name: String,
    status: Status,
    duration: Option<Duration>,
    message: String,
}

impl Report<'_> {
    fn place(&self) -> Position {
        Position::of(self.text, self.at)
    }

    fn open(&mut self, element: &BytesStart<'_>) -> Result<(), Fault> {
        if self.open.len() >= MAX_DEPTH {
            return Err(Fault::TooDeep { at: self.place(), limit: MAX_DEPTH });
        }
        let attributes = self.attributes(element)?;
        let get =
            |name: &str| attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let local = element.local_name();
        let name: &str = local.as_ref();
        if self.open.is_empty() {
            self.check_root(name)?;
        }
        if matches!(name, "testsuites" | "testsuite" | "testcase") {
            self.note_times(&get);
        }
        let directly_in_case = matches!(self.open.last(), Some(Element::Case));
        let opened = match (name, &mut self.case) {
            ("testsuite", None) => {
                self.open_suite(&get);
                Element::Suite
            }
            ("testcase", None) => {
                self.open_case(&get)?;
                Element::Case
            }
            ("testsuite" | "testcase", Some(_)) => {
                let problem = format!("a `<{name}>` inside of a `<testcase>`");
                return Err(Fault::Xml { at: self.place(), problem });
            }
            (_, Some(case)) if directly_in_case => {
                let wants_text = case.rule(name, &get);
                if name.starts_with("rerun") || name.starts_with("flaky") {
                    self.count_in_suites();
                }
                if wants_text { Element::Message } else { Element::Other }
            }
            _ => Element::Other,
        };
        self.open.push(opened);
        Ok(())
    }

    fn check_root(&mut self, name: &str) -> Result<(), Fault> {
        if self.seen_root {
            return Err(Fault::Xml { at: self.place(), problem: "a second outermost element".to_owned() });
        }
        if !matches!(name, "testsuites" | "testsuite") {
            return Err(Fault::NotJunit { at: self.place(), element: name.to_owned() });
        }
        self.seen_root = true;
        Ok(())
    }

    fn open_suite<'a>(&mut self, get: &impl Fn(&str) -> Option<&'a str>) {
        self.count_in_suites();
        self.suites.push(Suite {
            at: self.at,
            name: get("name").unwrap_or_default().to_owned(),
            declared: get("tests").and_then(|count| count.trim().parse().ok()),
            found: 0,
        });
    }

    /// pytest dates its suites, nextest the whole run and each case.
    fn note_times<'a>(&mut self, get: &impl Fn(&str) -> Option<&'a str>) {
        let started = get("timestamp").and_then(|time| time.trim().parse::<Timestamp>().ok());
        let took = get("time").and_then(number).and_then(seconds).unwrap_or_default();
        let finished = started.and_then(|started| after(started, took));
        let outcome = &mut self.outcome;
        outcome.started = [outcome.started, started].into_iter().flatten().min();
        outcome.finished = [outcome.finished, finished].into_iter().flatten().max();
    }

    fn open_case<'a>(&mut self, get: &impl Fn(&str) -> Option<&'a str>) -> Result<(), Fault> {
        if self.outcome.tests.len() >= MAX_TESTS {
            return Err(Fault::TooManyTests);
        }
        self.count_in_suites();
        let own = get("name").unwrap_or_default();
        let class = get("classname").filter(|class| !class.is_empty() && *class != NODES_CLASS);
        let name = match class {
            Some(class) => format!("{class}::{own}"),
            None => {
                let around =
                    self.suites.iter().map(|suite| suite.name.as_str()).filter(|name| !name.is_empty());
                around.chain([own]).collect::<Vec<_>>().join("::")
            }
        };
        if own.is_empty() || name.len() > MAX_NAME {
            return Err(Fault::Name { at: self.place().to_string() });
        }
        // GoogleTest and others have no element for tests that did not run.
        let did_not_run = matches!(get("status"), Some("notrun" | "skipped" | "disabled"));
        self.case = Some(Case {
            name,
            status: if did_not_run { Status::Skipped } else { Status::Passed },
            duration: get("time").and_then(number).and_then(seconds),
            message: String::new(),
        });
        Ok(())
    }

    fn count_in_suites(&mut self) {
        for suite in &mut self.suites {
            suite.found += 1;
        }
    }

    fn close(&mut self) -> Result<(), Fault> {
        match self.open.pop() {
            Some(Element::Suite) => {
                let suite = self.suites.pop().expect("invariant: an open suite is on the stack");
                match suite.declared {
                    Some(declared) if declared > suite.found => {
                        return Err(Fault::CutShort {
                            at: Position::of(self.text, suite.at),
                            suite: suite.name,
                            declared,
                            found: suite.found,
                        });
                    }
                    _ => {}
                }
            }
            Some(Element::Case) => {
                let case = self.case.take().expect("invariant: an open case is kept");
                self.outcome.tests.push(Test {
                    name: case.name,
                    status: case.status,
                    duration: case.duration,
                    message: message(&case.message),
                });
            }
            _ => {}
        }
        Ok(())
    }

    fn characters(&mut self, content: &str) -> Result<(), Fault> {
        if self.open.is_empty() && !content.trim().is_empty() {
            return Err(Fault::Xml { at: self.place(), problem: "text outside of all elements".to_owned() });
        }
        if let (Some(Element::Message), Some(case)) = (self.open.last(), &mut self.case)
            && case.message.len() <= MAX_MESSAGE
        {
            case.message.push_str(content);
        }
        Ok(())
    }

    fn attributes(&self, element: &BytesStart<'_>) -> Result<Vec<(String, String)>, Fault> {
        let fault = |problem: String| Fault::Xml { at: self.place(), problem };
        let mut attributes = Vec::new();
        for attribute in element.attributes() {
            let attribute = attribute.map_err(|error| fault(error.to_string()))?;
            let value = quick_xml::escape::unescape(attribute.value.as_ref())
                .map_err(|error| fault(error.to_string()))?;
            attributes.push((attribute.key.local_name().as_ref().to_owned(), value.into_owned()));
        }
        Ok(attributes)
    }

    fn finish(self) -> Result<Outcome, Fault> {
        let end = Position::of(self.text, self.text.len());
        match (self.open.is_empty(), self.seen_root) {
            (true, true) => Ok(self.outcome),
            (true, false) => Err(Fault::Xml { at: end, problem: "there is no element in it".to_owned() }),
            (false, _) => {
                Err(Fault::Xml { at: end, problem: "it ends in the middle, it was cut short".to_owned() })
            }
        }
    }
}

impl Case {
    /// Takes what a child element says. Whether its text is part of the message.
    fn rule<'a>(&mut self, element: &str, get: &impl Fn(&str) -> Option<&'a str>) -> bool {
        let (status, prefix) = match element {
            "error" => (Status::Error, ""),
            // Surefire and nextest: this attempt failed, and so did all others.
            "failure" | "rerunFailure" => (Status::Failed, ""),
            "rerunError" => (Status::Error, ""),
            "skipped" | "disabled" => (Status::Skipped, ""),
            // It failed first and passed then.
            "flakyFailure" | "flakyError" => (Status::Passed, "flaky: "),
            _ => return false,
        };
        self.status = worse(self.status, status);
        let text = get("message").unwrap_or_default();
        if !self.message.is_empty() {
            return false;
        }
        self.message.push_str(prefix);
        self.message.push_str(text);
        text.is_empty()
    }
}

/// The status that counts where a case has two: one that failed in its body and in its teardown, say.
fn worse(first: Status, second: Status) -> Status {
    let rank = |status| match status {
        Status::Passed => 0,
        Status::Skipped => 1,
        Status::Failed => 2,
        Status::Error => 3,
    };
    if rank(second) > rank(first) { second } else { first }
}

/// A number of seconds. Some tools group thousands: `1,234.5`.
fn number(text: &str) -> Option<f64> {
    text.trim().replace(',', "").parse().ok()
}
