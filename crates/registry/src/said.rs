//! What a server says about its refusal, made fit to be shown: pure.

use std::fmt;

use granary_redact::Redactor;
use serde_json::Value;

/// Longest text that is shown, in characters. A proxy's HTML page says nothing more behind that.
const LONGEST: usize = 300;

/// Codes and text of an error answer, bounded, redacted, on one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    codes: Vec<String>,
    text: String,
}

impl Said {
    /// Reads an error body: the spec's envelope (distribution-spec, "Error Codes"), the objects that
    /// token servers send (`{"details":…}`, `{"error":…,"error_description":…}`), else plain text.
    pub(crate) fn read(body: &[u8], redactor: &Redactor) -> Self {
        let document: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let errors = document.get("errors").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let word = |value: &Value, field: &str| value.get(field).and_then(Value::as_str).map(str::to_owned);
        let codes: Vec<String> = errors
            .iter()
            .filter_map(|error| word(error, "code"))
            .map(|code| shown(&code, redactor))
            .collect();
        let text = if document.is_object() {
            let messages: Vec<String> = errors.iter().filter_map(|error| word(error, "message")).collect();
            let other = ["error_description", "message", "details", "error"];
            match messages.is_empty() {
                true => other.iter().find_map(|field| word(&document, field)).unwrap_or_default(),
                false => messages.join("; "),
            }
        } else {
            String::from_utf8_lossy(&body[..body.len().min(8 * LONGEST)]).into_owned()
        };
        Said { codes, text: shown(&text, redactor) }
    }

    /// Whether the error has this code of the spec.
    pub fn has_code(&self, code: &str) -> bool {
        self.codes.iter().any(|known| known == code)
    }

    /// Whether it is about a blob that a pushed manifest names and the repository does not have.
    pub(crate) fn misses_blob(&self) -> bool {
        self.has_code("MANIFEST_BLOB_UNKNOWN") || self.has_code("BLOB_UNKNOWN")
    }

    /// Whether it said nothing.
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty() && self.text.is_empty()
    }

    /// Whether the text mentions one of these words, in any case.
    pub(crate) fn mentions(&self, words: &[&str]) -> bool {
        let text = self.text.to_ascii_lowercase();
        words.iter().any(|word| text.contains(word))
    }
}

/// `: CODE text`, or nothing.
impl fmt::Display for Said {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let codes = self.codes.join(" ");
        match (codes.is_empty(), self.text.is_empty()) {
            (true, true) => Ok(()),
            (false, true) => write!(formatter, ": {codes}"),
            (true, false) => write!(formatter, ": {}", self.text),
            (false, false) => write!(formatter, ": {codes} {}", self.text),
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
            (
                r#"{"errors":[{"code":"DENIED","message":"no hunter2-long"},{"code":"UNAUTHORIZED"}]}"#,
                ": DENIED UNAUTHORIZED no ***",
            ),
            (r#"{"details":"incorrect username or password"}"#, ": incorrect username or password"),
            (r#"{"error":"invalid_grant","error_description":"bad\ntoken"}"#, ": bad token"),
            ("404 page not found\n", ": 404 page not found"),
            ("\u{1b}[31mred\u{7}", ": [31mred"),
            (r#"{"errors":[]}"#, ""),
            ("", ""),
        ];
        for (body, expected) in table {
            assert_eq!(Said::read(body.as_bytes(), &redactor).to_string(), expected, "{body}");
        }
        let long = Said::read("x".repeat(5000).as_bytes(), &redactor);
        assert_eq!(long.to_string().chars().count(), 2 + LONGEST + 1);
    }
}
