//! What is of use in the YAML behind a test point: the message and the duration.
//!
//! Pure. No YAML parser: the keys that producers agree on stand on lines of their own at the outermost
//! level, and whatever else a block has is passed over. A block counts for nothing but what people read.

use std::time::Duration;

use super::super::MAX_MESSAGE;

/// A block that is being read.
#[derive(Debug)]
pub(super) struct Block {
    /// Columns before its outermost keys.
    pub(super) indent: usize,
    said: Said,
    /// The lines of a message that has several follow.
    in_message: bool,
}

/// What a block said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) message: String,
    pub(super) duration: Option<Duration>,
    /// Node: the point failed for a reason of its own, and not for a subtest's.
    pub(super) has_own_failure: bool,
}

impl Block {
    pub(super) fn new(indent: usize) -> Self {
        Block { indent, said: Said::default(), in_message: false }
    }

    /// Takes a line without the block's own indentation.
    pub(super) fn line(&mut self, line: &str) {
        let is_key = line.starts_with(|letter: char| !letter.is_whitespace());
        if !is_key {
            if self.in_message && self.said.message.len() <= MAX_MESSAGE {
                self.said.message.push_str(line.trim());
                self.said.message.push('\n');
            }
            return;
        }
        self.in_message = false;
        let Some((key, value)) = line.split_once(':') else { return };
        let value = value.trim();
        match key {
            "message" | "error" if self.said.message.is_empty() => match value {
                "|" | "|-" | "|+" | ">" | ">-" | ">+" => self.in_message = true,
                _ => self.said.message = unquoted(value),
            },
            "duration_ms" => {
                let millis = value.parse::<f64>().ok();
                self.said.duration =
                    millis.and_then(|millis| Duration::try_from_secs_f64(millis / 1000.0).ok());
            }
            "failureType" => self.said.has_own_failure = unquoted(value) != "subtestsFailed",
            _ => {}
        }
    }

    pub(super) fn end(self) -> Said {
        self.said
    }
}

fn unquoted(value: &str) -> String {
    let single = value.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    if let Some(text) = single {
        return text.replace("''", "'");
    }
    // Double quotes escape as JSON does, as far as messages go.
    match value.starts_with('"') {
        true => serde_json::from_str(value).unwrap_or_else(|_| value.to_owned()),
        false => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(lines: &[&str]) -> Said {
        let mut block = Block::new(2);
        lines.iter().for_each(|line| block.line(line));
        block.end()
    }

    #[test]
    fn messages_in_every_style() {
        let table: [(&[&str], &str); 8] = [
            (&["message: plain: text"], "plain: text"),
            (&["message: 'it''s'"], "it's"),
            (&["message: \"a \\\"b\\\"\\nc\""], "a \"b\"\nc"),
            (&["message: \"broken"], "\"broken"),
            (&["error: |-", "  one", "", "    two", "code: 'X'", "  three"], "one\n\ntwo\n"),
            (&["message: first", "error: second"], "first"),
            (&["data:", "  message: nested"], ""),
            (&["- a list", "...: odd"], ""),
        ];
        for (lines, expected) in table {
            assert_eq!(said(lines).message, expected, "{lines:?}");
        }
        let node = said(&["duration_ms: 1.5", "failureType: 'hookFailed'"]);
        assert_eq!((node.duration, node.has_own_failure), (Some(Duration::from_micros(1500)), true));
        assert!(!said(&["failureType: 'subtestsFailed'"]).has_own_failure);
        assert_eq!(said(&["duration_ms: -1"]).duration, None);
        let long = said(&[vec!["error: |"], vec!["  0123456789"; 10_000]].concat());
        assert!(long.message.len() < MAX_MESSAGE + 100);
    }
}
