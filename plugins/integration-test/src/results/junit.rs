//! JUnit XML as pytest, cargo-nextest, Node's test runner, Surefire and their kin write it.
//!
//! Pure. There is no specification, so what counts is what is in the test cases; the counters of a suite are
//! believed only where they say something worse: a suite that has fewer cases than it declares was cut
//! short, and one that counts more failures or skipped tests than its cases name has failed. Refuses document type
//! declarations and unknown entities, so nothing can expand.
//!
//! # Design
//! A test is called by its class name and name, joined by `::`. Where the class name is missing, or is the
//! `test` that Node writes everywhere, the names of the suites around it take its place.
//!
//! Some tools say how a case ended in its attributes `status` and `result`: the worst of these and of its
//! elements counts, and a word that nobody knows is a problem.
//!
//! A failure of a suite itself is a failed test of the suite's name. A failed case that Node marks `todo` is
//! skipped, as it is in TAP.
//!
//! Of attempts that a runner repeats, Surefire and nextest write the ones that failed: with `flaky…`
//! elements the case has passed in the end, with `rerun…` it has not. pytest-rerunfailures writes a case
//! without any child for them, so that only its log knows which tests were flaky.
//!
//! A time stamp without an offset (old pytest writes local time, others UTC) is no time.

mod case;
mod suite;
mod words;

use jiff::Timestamp;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use self::case::Case;
use self::suite::Suite;
use self::words::said_by;
use super::text::excerpt;
use super::{Fault, MAX_MESSAGE, MAX_NAMES, MAX_TESTS, Outcome, Position, after, full_name, seconds};

/// Deepest nesting of elements. Node nests a suite for each `describe`.
const MAX_DEPTH: usize = 128;

/// Most attributes of one element: each is compared with all before it.
const MAX_ATTRIBUTES: usize = 128;

/// Most problems of which it is told: the first ones say enough.
const MAX_PROBLEMS: usize = 20;

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
    name_bytes: usize,
    outcome: Outcome,
}

enum Element {
    Suite,
    Case,
    /// `failure` and the like where it has no attribute `message`: its text is the message.
    Message,
    /// The same directly in a suite: what failed is no case.
    SuiteFailure {
        wants_text: bool,
    },
    Other,
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
        let directly_in_suite = matches!(self.open.last(), Some(Element::Suite));
        let opened = match (name, &mut self.case) {
            ("testsuite" | "testsuites", None) => {
                self.open_suite(name, &get);
                Element::Suite
            }
            ("failure" | "error", None) if directly_in_suite => {
                let wants_text = self.open_suite_failure(name, &get)?;
                Element::SuiteFailure { wants_text }
            }
            ("testcase", None) => {
                self.open_case(&get)?;
                Element::Case
            }
            ("testsuites" | "testsuite" | "testcase", Some(_)) => {
                let problem = format!("a `<{name}>` inside of a `<testcase>`");
                return Err(Fault::Xml { at: self.place(), problem });
            }
            (_, Some(case)) if directly_in_case => {
                let wants_text = case.rule(name, &get);
                let is_repeated =
                    matches!(name, "rerunFailure" | "rerunError" | "flakyFailure" | "flakyError");
                for suite in &mut self.suites {
                    suite.found += usize::from(is_repeated);
                    suite.bad += usize::from(is_repeated || matches!(name, "failure" | "error"));
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

    fn open_suite<'a>(&mut self, element: &str, get: &impl Fn(&str) -> Option<&'a str>) {
        // Node counts them with the cases, in suites and not for all.
        for suite in self.suites.iter_mut().filter(|suite| !suite.is_outermost) {
            suite.found += 1;
        }
        let (suite, problems) = Suite::open(self.at, element, get);
        self.suites.push(suite);
        problems.into_iter().for_each(|problem| self.problem(problem));
    }

    /// What fails outside of all cases, such as a module that cannot be loaded.
    fn open_suite_failure<'a>(
        &mut self,
        element: &str,
        get: &impl Fn(&str) -> Option<&'a str>,
    ) -> Result<bool, Fault> {
        self.suites.iter_mut().for_each(|suite| suite.bad += 1);
        let (own, around) = self.suites.split_last().expect("invariant: it is directly in a suite");
        let around: Vec<&str> = around.iter().map(|suite| suite.name.as_str()).collect();
        let own = if own.title.is_empty() { "suite" } else { own.title.as_str() };
        let name = full_name(&around, own, || self.place().to_string())?;
        let mut case = Case::new(name);
        let wants_text = case.rule(element, get);
        self.case = Some(case);
        Ok(wants_text)
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
        let at = || self.place().to_string();
        let name = match class {
            Some(class) => full_name(&[class], own, at)?,
            None => {
                let around: Vec<&str> = self.suites.iter().map(|suite| suite.name.as_str()).collect();
                full_name(&around, own, at)?
            }
        };
        let mut case = Case::new(name);
        for attribute in ["status", "result"] {
            let Some(word) = get(attribute).map(str::trim).filter(|word| !word.is_empty()) else { continue };
            match said_by(word) {
                Some(status) => case.worsen(status),
                None => {
                    let (name, word) = (excerpt(&case.name), excerpt(word));
                    self.problem(format!("test `{name}` has {attribute} `{word}`, which may mean anything"));
                }
            }
        }
        case.duration = get("time").and_then(number).and_then(seconds);
        self.case = Some(case);
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
                self.check_counters(suite)?;
            }
            Some(Element::Case | Element::SuiteFailure { .. }) => {
                let case = self.case.take().expect("invariant: an open case is kept");
                self.suites.iter_mut().for_each(|suite| suite.count(&case));
                self.name_bytes += case.name.len();
                if self.name_bytes > MAX_NAMES {
                    return Err(Fault::TooManyNames);
                }
                self.outcome.tests.push(case.into_test());
            }
            _ => {}
        }
        Ok(())
    }

    fn check_counters(&mut self, suite: Suite) -> Result<(), Fault> {
        if let Some(declared) = suite.declared.filter(|&declared| declared > suite.found) {
            return Err(Fault::CutShort {
                at: Position::of(self.text, suite.at),
                suite: suite.title,
                declared,
                found: suite.found,
            });
        }
        suite.problems().into_iter().for_each(|problem| self.problem(problem));
        Ok(())
    }

    fn problem(&mut self, problem: String) {
        if self.outcome.problems.len() < MAX_PROBLEMS {
            self.outcome.problems.push(problem);
        }
    }

    fn characters(&mut self, content: &str) -> Result<(), Fault> {
        if self.open.is_empty() && !content.trim().is_empty() {
            return Err(Fault::Xml { at: self.place(), problem: "text outside of all elements".to_owned() });
        }
        let wanted =
            matches!(self.open.last(), Some(Element::Message | Element::SuiteFailure { wants_text: true }));
        if let Some(case) = self.case.as_mut().filter(|_| wanted)
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
            if attributes.len() >= MAX_ATTRIBUTES {
                return Err(fault(format!("an element has more than {MAX_ATTRIBUTES} attributes")));
            }
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
            (false, _) => Err(Fault::EndsEarly { at: end }),
        }
    }
}

/// A number of seconds. Some tools group thousands: `1,234.5`.
fn number(text: &str) -> Option<f64> {
    text.trim().replace(',', "").parse().ok()
}
