//! Makes text that foreign code wrote fit for a log, a file and evidence.
//!
//! Pure. Colours go, what is left of control characters is spelled out: a test's name must neither steer a
//! terminal nor look like a line of ours.

use super::{Fault, MAX_MESSAGE, Position};

/// Longest piece of a file that an error message repeats.
const MAX_EXCERPT: usize = 200;

/// Escape, with which sequences that steer a terminal begin; and its one-character form.
const ESCAPE: char = '\u{1b}';
const CSI: char = '\u{9b}';

/// The text of a file, without its byte order mark.
///
/// # Errors
/// Another encoding, by name where the file names it. A file that declares one is refused even where its
/// bytes happen to be UTF-8: they mean something else then.
pub(super) fn decoded(bytes: &[u8]) -> Result<&str, Fault> {
    let utf_16 = [&b"\xff\xfe"[..], b"\xfe\xff", b"<\0", b"\0<", b"{\0", b"\0{"];
    if utf_16.iter().any(|start| bytes.starts_with(start)) {
        return Err(Fault::Encoding { found: "UTF-16".to_owned() });
    }
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    if let Some(found) = declared_encoding(bytes) {
        let is_ascii = found.eq_ignore_ascii_case("us-ascii") || found.eq_ignore_ascii_case("ascii");
        if !found.eq_ignore_ascii_case("utf-8") && !found.eq_ignore_ascii_case("utf8") && !is_ascii {
            return Err(Fault::Encoding { found });
        }
    }
    std::str::from_utf8(bytes).map_err(|error| Fault::NotUtf8 { at: Position::Byte(error.valid_up_to()) })
}

/// What an XML declaration in front says.
fn declared_encoding(bytes: &[u8]) -> Option<String> {
    const LONGEST_DECLARATION: usize = 200;
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST_DECLARATION)]);
    let declaration = head.trim_start().strip_prefix("<?xml")?.split_once("?>")?.0;
    let value = declaration.split_once("encoding")?.1.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    Some(excerpt(value[1..].split_once(quote)?.0))
}

/// `text` as one line.
pub(super) fn one_line(text: &str) -> String {
    spelled_out(text, false)
}

/// `text` without blanks around it and not longer than [`MAX_MESSAGE`]; it may have several lines.
pub(super) fn message(text: &str) -> Option<String> {
    let text = text.trim();
    // Cut first: what makes a character harmless may make it longer, and nobody reads 64 MiB.
    let kept = &text[..text.floor_char_boundary(MAX_MESSAGE)];
    let clean = spelled_out(kept, true);
    let clean = clean.trim();
    match (clean.is_empty(), kept.len() < text.len()) {
        (true, _) => None,
        (false, false) => Some(clean.to_owned()),
        (false, true) => Some(format!("{clean} […]")),
    }
}

/// As much of `text` as a message can show, and what tells that there was more.
pub(super) fn beginning(text: &str) -> &str {
    &text[..text.ceil_char_boundary(MAX_MESSAGE + 1)]
}

/// The first line that says something; empty where none does.
pub fn first_line(text: &str) -> &str {
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default()
}

/// At most `most` bytes of `text`, and a sign where there is more.
pub fn cut(text: &str, most: usize) -> String {
    match text.floor_char_boundary(most) {
        kept if kept < text.len() => format!("{} […]", &text[..kept]),
        _ => text.to_owned(),
    }
}

/// The beginning of something that stands in a file, for an error message.
pub(super) fn excerpt(text: &str) -> String {
    // Cut first: what makes a character harmless may make it longer.
    one_line(&cut(text, MAX_EXCERPT))
}

fn spelled_out(text: &str, several_lines: bool) -> String {
    let is_plain = |letter: char| !letter.is_control() && !misleads(letter);
    if text.chars().all(is_plain) {
        return text.to_owned();
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let after = &rest[letter.len_utf8()..];
        rest = after;
        match letter {
            ESCAPE | CSI => match after_sequence(letter, after) {
                Some(after) => rest = after,
                None => clean.extend(letter.escape_unicode()),
            },
            '\r' if several_lines && after.starts_with('\n') => {}
            '\n' | '\t' if several_lines => clean.push(letter),
            _ if is_plain(letter) => clean.push(letter),
            _ if misleads(letter) => clean.extend(letter.escape_unicode()),
            _ => clean.extend(letter.escape_default()),
        }
    }
    clean
}

/// Line ends that are no control characters, and characters that turn the direction of what follows: with
/// them, a name reads as another one.
fn misleads(letter: char) -> bool {
    matches!(letter, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What follows after the sequence that began with `introducer`; `None` where it has no end.
fn after_sequence(introducer: char, text: &str) -> Option<&str> {
    let between = |letter: char| matches!(letter, ' '..='/');
    let body = match (introducer, text.chars().next()?) {
        (CSI, _) => text.trim_start_matches(|letter| matches!(letter, ' '..='?')),
        (_, '[') => text[1..].trim_start_matches(|letter| matches!(letter, ' '..='?')),
        // A title or a link: up to BEL or ESC \.
        (_, ']') => {
            let (_, after) = text.split_at(text.find(['\u{7}', ESCAPE])?);
            return after.strip_prefix('\u{7}').or_else(|| after.strip_prefix("\u{1b}\\"));
        }
        _ => text.trim_start_matches(between),
    };
    let last = body.chars().next().filter(|letter| matches!(letter, '0'..='~'))?;
    Some(&body[last.len_utf8()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_harmless_line() {
        let table = [
            ("test_sum[1]", "test_sum[1]"),
            ("ümläut 🦀 👩\u{200d}🔬", "ümläut 🦀 👩\u{200d}🔬"),
            ("\u{1b}[1;31mred\u{1b}[0m", "red"),
            ("\u{9b}31mred", "red"),
            ("\u{1b}]0;title\u{7}a\u{1b}]8;;http://x\u{1b}\\b", "ab"),
            ("\u{1b}(Ba\u{1b}cb", "ab"),
            ("never ended \u{1b}[31", "never ended \\u{1b}[31"),
            ("never ended \u{1b}]0;title", "never ended \\u{1b}]0;title"),
            ("a\nPASSED: 9 passed\r\tb", "a\\nPASSED: 9 passed\\r\\tb"),
            ("nul\0bell\u{7}", "nul\\u{0}bell\\u{7}"),
            ("a\u{202e}b\u{2028}c", "a\\u{202e}b\\u{2028}c"),
        ];
        for (text, expected) in table {
            assert_eq!(one_line(text), expected, "{text:?}");
        }
    }

    #[test]
    fn messages_keep_their_lines_and_have_an_end() {
        assert_eq!(message(" \u{1b}[31mone\u{1b}[0m\r\n\ttwo\u{8} ").as_deref(), Some("one\n\ttwo\\u{8}"));
        assert_eq!(message(" \u{1b}[0m\n"), None);
        let long = message(&"ü".repeat(10_000)).unwrap();
        assert_eq!(long.len(), MAX_MESSAGE + " […]".len());
        assert_eq!(excerpt(&"x".repeat(MAX_EXCERPT + 1)), format!("{} […]", "x".repeat(MAX_EXCERPT)));
    }
}
