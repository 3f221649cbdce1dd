//! What a forge says about its refusal, made fit to be shown: pure.

use std::fmt;

use granary_redact::Redactor;
use serde_json::Value;

/// Longest text that is shown, in characters.
const LONGEST: usize = 300;

/// A forge's own words, bounded, redacted, on one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said(String);

impl Said {
    /// Reads `{"message":…,"errors":[…]}`, which both forges send, else plain text.
    pub(crate) fn read(body: &[u8], redactor: &Redactor) -> Self {
        let text = match serde_json::from_slice::<Value>(body) {
            Ok(Value::Object(document)) => {
                let mut words: Vec<&str> =
                    document.get("message").and_then(Value::as_str).into_iter().collect();
                if let Some(errors) = document.get("errors").and_then(Value::as_array) {
                    words.extend(errors.iter().filter_map(Value::as_str));
                }
                words.join(": ")
            }
            Ok(Value::Null) => String::new(),
            _ => String::from_utf8_lossy(&body[..body.len().min(8 * LONGEST)]).into_owned(),
        };
        Said(shown(&text, redactor))
    }

    /// Any text in the same form.
    pub(crate) fn of(text: &str, redactor: &Redactor) -> String {
        shown(text, redactor)
    }

    /// Whether the text mentions this, in any case.
    pub(crate) fn mentions(&self, words: &str) -> bool {
        self.0.to_ascii_lowercase().contains(words)
    }
}

/// `: text`, or nothing.
impl fmt::Display for Said {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.is_empty() {
            true => Ok(()),
            false => write!(formatter, ": {}", self.0),
        }
    }
}

fn shown(text: &str, redactor: &Redactor) -> String {
    // Redacted before it is cut: half a secret at the cut would not be recognised.
    let clean = redactor.clean(text);
    let spaced: String =
        clean.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    let line = spaced.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use granary_redact::Secret;

    #[test]
    fn every_form_becomes_one_clean_line() {
        let mut redactor = Redactor::new();
        redactor.add(&Secret::new("hunter2-long"));
        let table = [
            (r#"{"errors":null,"message":"not found","url":"x"}"#, ": not found"),
            (
                r#"{"errors":["object does not exist [id: , rel_path: none]"],"message":"GetContentsOrList"}"#,
                ": GetContentsOrList: object does not exist [id: , rel_path: none]",
            ),
            (r#"{"message":"bad hunter2-long\n","documentation_url":"x","errors":[{"a":1}]}"#, ": bad ***"),
            ("404 page not found\n", ": 404 page not found"),
            ("null\n", ""),
            ("", ""),
        ];
        for (body, expected) in table {
            assert_eq!(Said::read(body.as_bytes(), &redactor).to_string(), expected, "{body}");
        }
    }
}
