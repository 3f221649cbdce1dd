//! The grammar of one line of TAP.
//!
//! Pure. Reads TAP 14 with the leniency that its specification asks for, and 13, which differs in nothing
//! that a line shows.

use std::time::Duration;

/// What a line says, without its indentation.
#[derive(Debug, PartialEq)]
pub(super) enum Line<'t> {
    Version(&'t str),
    Plan {
        first: u64,
        last: u64,
        /// What stands behind `#`.
        reason: String,
    },
    Point(Point),
    BailOut(String),
    /// A comment that gives the following subtest its name.
    Subtest(String),
    Comment(&'t str),
    /// Blank, a pragma, or no TAP: to be ignored in either case.
    Other,
}

/// One test point.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Point {
    pub(super) ok: bool,
    pub(super) number: Option<u64>,
    pub(super) description: String,
    pub(super) directive: Option<Directive>,
    /// Behind the directive's word.
    pub(super) reason: String,
    /// From `# time=12ms`, with which node-tap ends a line.
    pub(super) duration: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Directive {
    Skip,
    Todo,
}

/// Reads a line whose indentation was taken away.
pub(super) fn read(line: &str) -> Line<'_> {
    if let Some(version) = line.strip_prefix("TAP version ") {
        return Line::Version(version.trim());
    }
    if let Some(comment) = line.strip_prefix('#') {
        let comment = comment.trim();
        return match comment.strip_prefix("Subtest") {
            Some("") => Line::Subtest(String::new()),
            Some(name) if name.starts_with(':') => Line::Subtest(unescaped(name[1..].trim())),
            _ => Line::Comment(comment),
        };
    }
    const BAIL_OUT: &str = "bail out!";
    if line.get(..BAIL_OUT.len()).is_some_and(|start| start.eq_ignore_ascii_case(BAIL_OUT)) {
        return Line::BailOut(unescaped(line[BAIL_OUT.len()..].trim()));
    }
    let (ok, rest) = match (line.strip_prefix("ok"), line.strip_prefix("not ok")) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return plan(line).unwrap_or(Line::Other),
    };
    if rest.starts_with(|letter: char| letter.is_alphanumeric() || letter == '_') {
        return Line::Other;
    }
    Line::Point(point(ok, rest))
}

fn plan(line: &str) -> Option<Line<'_>> {
    let (range, reason) = line.split_once('#').unwrap_or((line, ""));
    let (first, last) = range.trim_end().split_once("..")?;
    Some(Line::Plan { first: count(first)?, last: count(last)?, reason: unescaped(reason.trim()) })
}

/// A number that is too large is still one, and larger than any number of tests.
fn count(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

fn point(ok: bool, rest: &str) -> Point {
    let text = rest.trim_start();
    let (word, after) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let number = count(word).filter(|_| text.len() < rest.len());
    let text = if number.is_some() { after } else { text };
    let (description, found) = split_directive(text, ok);
    let (directive, reason) = found.map_or((None, String::new()), |(word, reason)| (Some(word), reason));
    let description = description.trim();
    let description = match description.strip_prefix('-') {
        Some(rest) if rest.is_empty() || rest.starts_with(char::is_whitespace) => rest.trim_start(),
        _ => description,
    };
    let (description, duration) = split_time(description);
    Point { ok, number, description: unescaped(description), directive, reason, duration }
}

/// Cuts a directive off. The first `#` between blanks decides, says the specification; but many producers do
/// not escape what is in a name, so that `ok handles # comments # skip` is as good as it reads: a test that
/// may have been skipped is not said to have passed.
fn split_directive(text: &str, ok: bool) -> (&str, Option<(Directive, String)>) {
    for (index, at) in delimiters(text).enumerate() {
        let after = text[at + 1..].trim_start();
        let is_word = |word: &str| after.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(word));
        let directive = match () {
            () if is_word("skip") => Directive::Skip,
            () if is_word("todo") => Directive::Todo,
            () => continue,
        };
        if index == 0 || (ok && directive == Directive::Skip) {
            let reason = after.split_once(char::is_whitespace).map_or("", |(_, reason)| reason.trim());
            return (&text[..at], Some((directive, unescaped(reason))));
        }
    }
    (text, None)
}

/// Where an unescaped `#` stands that may begin a directive: behind a blank, and before a blank or one of
/// the two words.
fn delimiters(text: &str) -> impl Iterator<Item = usize> + '_ {
    let mut escaped = false;
    let mut after_blank = true;
    text.char_indices().filter_map(move |(at, letter)| {
        let begins = letter == '#' && !escaped && after_blank;
        escaped = letter == '\\' && !escaped;
        after_blank = letter.is_whitespace();
        if !begins {
            return None;
        }
        let rest = &text[at + letter.len_utf8()..];
        let word = rest.get(..4).map(str::to_ascii_lowercase);
        let is_word = matches!(word.as_deref(), Some("skip" | "todo"));
        (is_word || rest.is_empty() || rest.starts_with(char::is_whitespace)).then_some(at)
    })
}

/// Cuts off how long the test took: as part of its name it would be another test each time.
fn split_time(description: &str) -> (&str, Option<Duration>) {
    let found = description.rsplit_once("# time=").and_then(|(before, time)| {
        let millis: f64 = time.trim_end().strip_suffix("ms")?.parse().ok()?;
        Some((before.trim_end(), Duration::try_from_secs_f64(millis / 1000.0).ok()?))
    });
    found.map_or((description, None), |(before, duration)| (before, Some(duration)))
}

/// `\#` is `#` and `\\` is `\`; before anything else a backslash is one.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let escaped = (letter == '\\').then(|| letters.next_if(|next| matches!(next, '#' | '\\'))).flatten();
        plain.push(escaped.unwrap_or(letter));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str) -> String {
        match read(line) {
            Line::Point(point) => {
                let status = if point.ok { "ok" } else { "not ok" };
                let number = point.number.map_or("-".to_owned(), |number| number.to_string());
                let directive =
                    point.directive.map_or(String::new(), |word| format!(" {word:?}({})", point.reason));
                format!("{status} {number} [{}]{directive}", point.description)
            }
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn test_points() {
        let table = [
            ("ok", "ok - []"),
            ("not ok", "not ok - []"),
            ("ok 42 - this is the description", "ok 42 [this is the description]"),
            ("ok 42 this is the description", "ok 42 [this is the description]"),
            ("not ok 3", "not ok 3 []"),
            ("ok - no number", "ok - [no number]"),
            ("ok 2fast", "ok - [2fast]"),
            ("ok 99999999999999999999 x", "ok 18446744073709551615 [x]"),
            ("ok: strange", "ok - [: strange]"),
            ("okay 1", "Other"),
            ("not okay", "Other"),
            ("OK 1", "Other"),
            // The examples of the specification.
            ("ok 1 - must be skipped test # SKIP", "ok 1 [must be skipped test] Skip()"),
            ("ok 2 - must not be skipped test \\# SKIP", "ok 2 [must not be skipped test # SKIP]"),
            ("ok 3 - may skip, but should warn# skip", "ok 3 [may skip, but should warn# skip]"),
            ("ok 4 - may skip, but should warn #skip", "ok 4 [may skip, but should warn] Skip()"),
            ("ok 1 - do it later # Skipped", "ok 1 [do it later] Skip()"),
            ("ok 2 - works # Skipped: only on windows", "ok 2 [works] Skip(only on windows)"),
            ("ok 1 # skip this test is skipped", "ok 1 [] Skip(this test is skipped)"),
            ("ok 5 - # SKIP no /sys directory", "ok 5 [] Skip(no /sys directory)"),
            (
                "ok 2 not: https://example.com/page.html#skip is a url",
                "ok 2 [not: https://example.com/page.html#skip is a url]",
            ),
            ("ok 3 - #SkIp case insensitive", "ok 3 [] Skip(case insensitive)"),
            ("not ok 14 # TODO bend space and time", "not ok 14 [] Todo(bend space and time)"),
            ("ok 3 - hello # todo hash \\# character", "ok 3 [hello] Todo(hash # character)"),
            ("ok 5 - hello \\\\# todo hash", "ok 5 [hello \\# todo hash]"),
            ("ok 7 - hello # description # todo", "ok 7 [hello # description # todo]"),
            ("ok 8 - hello \\\\\\\\\\\\\\# todo", "ok 8 [hello \\\\\\# todo]"),
            // What nobody escaped: as bad as it may be meant.
            ("ok 4 handles # comments # skip no display", "ok 4 [handles # comments] Skip(no display)"),
            ("not ok 4 handles # comments # todo some day", "not ok 4 [handles # comments # todo some day]"),
            ("ok 4 - fixes #12 # skip", "ok 4 [fixes #12] Skip()"),
        ];
        for (line, expected) in table {
            assert_eq!(shown(line), expected, "{line}");
        }
        let Line::Point(timed) = read("ok 1 - adds # time=12.5ms") else { panic!() };
        assert_eq!(
            (timed.description.as_str(), timed.duration),
            ("adds", Some(Duration::from_micros(12_500)))
        );
    }

    #[test]
    fn other_lines() {
        let plan = |first, last, reason: &str| Line::Plan { first, last, reason: reason.to_owned() };
        let table = [
            ("TAP version 14", Line::Version("14")),
            ("1..5", plan(1, 5, "")),
            ("1..0 # SKIP no network", plan(1, 0, "SKIP no network")),
            ("5..8", plan(5, 8, "")),
            ("1..x", Line::Other),
            ("1..", Line::Other),
            ("Bail out! \\# and \\\\", Line::BailOut("# and \\".to_owned())),
            ("bAIL oUT!", Line::BailOut(String::new())),
            ("# Subtest: a \\# b", Line::Subtest("a # b".to_owned())),
            ("# Subtest", Line::Subtest(String::new())),
            ("# Subtests are nice", Line::Comment("Subtests are nice")),
            ("#", Line::Comment("")),
            ("pragma +strict", Line::Other),
            ("", Line::Other),
            ("ümläut", Line::Other),
        ];
        for (line, expected) in table {
            assert_eq!(read(line), expected, "{line}");
        }
    }
}
