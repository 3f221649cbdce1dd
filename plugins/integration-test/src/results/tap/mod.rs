//! TAP 13 and 14, the Test Anything Protocol, as Perl, Node's test runner, node-tap and bats write it.
//!
//! Pure. What TAP is sure of is the plan: a stream without one, or with another number of test points, is a
//! failure, and so is one that bails out. Lines that are no TAP are ignored, as the specification asks.
//!
//! # Design
//! A point is called by its description, `test N` where it has none; a point of a subtest by the subtest's
//! name and its own, joined by `::`. The point that ends a subtest sums it up and is no test of its own,
//! except where it says what no point inside does: that it failed for a reason of its own, or that nothing
//! ran inside.
//!
//! `SKIP` and `TODO` count as skipped, whatever stands in front: a failing TODO is no failure, and of one
//! that is `ok` nobody knows whether it ran. Perl and Node say so of tests that ran, node-tap of tests that
//! it never started.

mod line;
mod stream;
mod yaml;

use self::line::{Directive, Line, Point};
use self::stream::{Stream, Told, judged, skip_reason, todo_message};
use self::yaml::Block;
use super::{Fault, MAX_NAME, MAX_NAMES, MAX_TESTS, Outcome, Position, Status, Test, text};

/// Deepest nesting of subtests.
const MAX_DEPTH: usize = 64;
/// Columns by which a subtest is indented.
const INDENT: usize = 4;

/// Whether a text begins as TAP does, blanks and comments aside.
pub(super) fn is_tap(text: &str) -> bool {
    let first = text.lines().map(str::trim_end).find(|line| !line.is_empty() && !line.starts_with('#'));
    let read = line::read(first.unwrap_or_default().trim_start());
    matches!(read, Line::Version(_) | Line::Plan { .. } | Line::Point(_) | Line::BailOut(_))
}

/// Reads a stream; `file` names it where it says that it was skipped as a whole.
pub(super) fn parse(text: &str, file: &str) -> Result<Outcome, Fault> {
    let mut reader = Reader::default();
    reader.streams.push(Stream::default());
    for (index, line) in text.lines().enumerate() {
        reader.line = index + 1;
        if reader.take(line)? == Next::Stop {
            break;
        }
    }
    reader.finish(text, file)
}

#[derive(PartialEq, Eq)]
enum Next {
    Line,
    /// The tests gave up; whatever follows is no result.
    Stop,
}

#[derive(Default)]
struct Reader {
    line: usize,
    /// The stream and the subtests in it that have not ended yet.
    streams: Vec<Stream>,
    block: Option<Block>,
    /// Whether the last line that said something was a test point: YAML may follow.
    after_point: bool,
    /// Whether nothing but comments followed it: they explain it.
    explains: bool,
    bailed_out: Option<String>,
    points: usize,
    name_bytes: usize,
}

impl Reader {
    fn take(&mut self, line: &str) -> Result<Next, Fault> {
        let content = line.trim_start_matches(' ');
        let indent = line.len() - content.len();
        let content = content.trim_end();
        if let Some(block) = &mut self.block {
            let is_end = content == "..." && indent <= block.indent;
            if !is_end && (content.is_empty() || indent >= block.indent) {
                block.line(line.get(block.indent..).unwrap_or_default());
                return Ok(Next::Line);
            }
            self.end_block();
            if is_end {
                return Ok(Next::Line);
            }
        }
        if content.is_empty() {
            self.explains = false;
            return Ok(Next::Line);
        }
        if content == "---" && self.after_point && indent == (self.streams.len() - 1) * INDENT + 2 {
            self.block = Some(Block::new(indent));
            self.explains = false;
            return Ok(Next::Line);
        }
        let bare = content.trim_start();
        if bare.len() < content.len() || !indent.is_multiple_of(INDENT) {
            return Ok(self.misplaced(bare));
        }
        let level = indent / INDENT;
        let read = line::read(content);
        if !matches!(read, Line::Comment(_) | Line::Other) {
            self.after_point = matches!(read, Line::Point(_));
            self.explains = self.after_point;
        }
        match read {
            Line::Comment(comment) => self.comment(comment),
            Line::BailOut(reason) => {
                self.bailed_out = Some(reason);
                return Ok(Next::Stop);
            }
            Line::Subtest(name) => {
                // Of an outer subtest: the inner ones ended without a point, which their end will tell.
                if let Some(stream) = self.streams.get_mut(level) {
                    stream.announced = Some(name);
                } else {
                    self.descend(level)?.announced = Some(name);
                }
            }
            Line::Version(version) => self.version(level, version)?,
            Line::Plan { first, last, reason } => {
                self.ascend(level)?;
                self.descend(level)?.plan(first, last, reason);
            }
            Line::Point(point) => self.point(level, &point)?,
            Line::Other => self.explains = false,
        }
        Ok(Next::Line)
    }

    /// A line that stands where no subtest can be. Most are output of the tests; but whoever indents that
    /// something failed does not say that it passed.
    fn misplaced(&mut self, content: &str) -> Next {
        match line::read(content) {
            Line::BailOut(reason) => {
                self.bailed_out = Some(reason);
                return Next::Stop;
            }
            Line::Point(point) if judged(&point).0 == Status::Failed => {
                let line = self.line;
                self.streams[0].problem(format!("line {line} is an indented `not ok` of no subtest"));
            }
            _ => {}
        }
        Next::Line
    }

    fn version(&mut self, level: usize, version: &str) -> Result<(), Fault> {
        if !matches!(version, "13" | "14") {
            return Err(Fault::TapVersion { at: self.at(), found: version.to_owned() });
        }
        let at = self.at();
        let stream = self.descend(level)?;
        if stream.has_begun() {
            stream.problem(format!("a second TAP document begins at {at}"));
        }
        Ok(())
    }

    fn point(&mut self, level: usize, point: &Point) -> Result<(), Fault> {
        self.points += 1;
        if self.points > MAX_TESTS {
            return Err(Fault::TooManyTests);
        }
        self.descend(level)?;
        self.ascend(level + 1)?;
        let inside = if self.streams.len() > level + 1 { self.streams.pop() } else { None };
        let at = self.at();
        let stream = self.streams.last_mut().expect("invariant: the outermost stream stays");
        let announced = stream.announced.take().filter(|name| !name.is_empty());
        let number = stream.count(point);
        let name = match (point.description.is_empty(), announced) {
            (false, _) => text::one_line(&point.description),
            (true, Some(name)) => text::one_line(&name),
            (true, None) => format!("test {number}"),
        };
        if name.len() > MAX_NAME {
            return Err(Fault::Name { at: at.to_string() });
        }
        let (status, message) = judged(point);
        let mut told = Told {
            test: Test { name, status, duration: point.duration, message },
            explained: String::new(),
            sums_up: false,
            alone: false,
        };
        if let Some(inside) = inside {
            let todo = (point.directive == Some(Directive::Todo)).then_some(point.reason.as_str());
            let skipped_whole = inside.skipped().is_some();
            let (any, failed) = self.take_in(inside, &told.test.name, todo)?;
            told.sums_up = any;
            told.alone = told.test.status == Status::Failed && !failed;
            if skipped_whole && status == Status::Passed {
                told.test.status = Status::Skipped;
            }
        }
        self.innermost().tests.push(told);
        Ok(())
    }

    /// Opens subtests down to `level`.
    fn descend(&mut self, level: usize) -> Result<&mut Stream, Fault> {
        if level > MAX_DEPTH {
            return Err(Fault::TooDeep { at: self.at(), limit: MAX_DEPTH });
        }
        while self.streams.len() <= level {
            self.streams.push(Stream::default());
        }
        Ok(&mut self.streams[level])
    }

    /// Ends the subtests below `level`, none of which has a point that sums it up.
    fn ascend(&mut self, level: usize) -> Result<(), Fault> {
        while self.streams.len() > level + 1 {
            let inside = self.streams.pop().expect("invariant: there are more than `level`");
            let name = self.announced();
            self.innermost().problem(format!("subtest `{name}` has no test point that ends it"));
            self.take_in(inside, &name, None)?;
        }
        Ok(())
    }

    /// What the innermost stream's comment calls a subtest that has ended without a point.
    fn announced(&mut self) -> String {
        let name = self.innermost().announced.take().filter(|name| !name.is_empty());
        name.map_or_else(|| "subtest".to_owned(), |name| text::one_line(&name))
    }

    /// Moves what a subtest said to the one around it. Whether anything ran in it, and whether any of it
    /// failed.
    fn take_in(&mut self, inside: Stream, name: &str, todo: Option<&str>) -> Result<(bool, bool), Fault> {
        let (tests, problems) = inside.close();
        let mut failed = false;
        let mut moved = Vec::with_capacity(tests.len());
        for mut test in tests {
            if let (Some(reason), Status::Failed) = (todo, test.status) {
                test.status = Status::Skipped;
                test.message = todo_message(reason);
            }
            failed |= test.status == Status::Failed;
            self.name_bytes += name.len();
            test.name = format!("{name}::{}", test.name);
            if test.name.len() > MAX_NAME {
                return Err(Fault::Name { at: self.at().to_string() });
            }
            if self.name_bytes > MAX_NAMES {
                return Err(Fault::TooManyNames);
            }
            moved.push(Told { test, explained: String::new(), sums_up: false, alone: false });
        }
        let any = !moved.is_empty();
        let outer = self.innermost();
        outer.tests.extend(moved);
        problems.into_iter().for_each(|problem| outer.problem(format!("subtest `{name}`: {problem}")));
        Ok((any, failed))
    }

    /// Many producers explain a failure in the comments behind it.
    fn comment(&mut self, comment: &str) {
        if !self.explains {
            return;
        }
        let told = self.innermost().tests.last_mut();
        if let Some(told) = told.filter(|told| told.test.status == Status::Failed) {
            told.explain(comment);
        }
    }

    fn end_block(&mut self) {
        let Some(said) = self.block.take().map(Block::end) else { return };
        let Some(told) = self.innermost().tests.last_mut() else { return };
        let message = text::message(&said.message);
        if told.test.status == Status::Failed && message.is_some() {
            told.test.message = message;
            told.explained.clear();
        }
        told.test.duration = told.test.duration.or(said.duration);
        told.alone |= told.test.status == Status::Failed && said.has_own_failure;
    }

    fn at(&self) -> Position {
        Position::Line(self.line, 1)
    }

    fn innermost(&mut self) -> &mut Stream {
        self.streams.last_mut().expect("invariant: the outermost stream stays")
    }

    fn finish(mut self, text: &str, file: &str) -> Result<Outcome, Fault> {
        let is_cut = self.block.is_some() || (self.after_point && !text.ends_with('\n'));
        self.end_block();
        let bailed_out = self.bailed_out.take();
        if is_cut && bailed_out.is_none() {
            self.streams[0].problem("it ends in the middle, it was cut short".to_owned());
        }
        match bailed_out {
            None => self.ascend(0)?,
            // What did not come to its end is no news any more.
            Some(reason) => {
                while self.streams.len() > 1 {
                    let mut inside = self.streams.pop().expect("invariant: there is more than one");
                    inside.give_up();
                    let name = self.announced();
                    self.take_in(inside, &name, None)?;
                }
                self.streams[0].give_up();
                let reason = text::excerpt(&reason);
                let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
                self.streams[0].problem(format!("the tests bailed out{why}"));
            }
        }
        let outermost = self.streams.pop().expect("invariant: the outermost stream stays");
        let skipped = outermost.skipped().map(|plan| Test {
            name: text::one_line(file),
            status: Status::Skipped,
            duration: None,
            message: text::message(skip_reason(&plan.reason)),
        });
        let (mut tests, problems) = outermost.close();
        tests.extend(skipped);
        Ok(Outcome { tests, problems, ..Outcome::default() })
    }
}
