//! PEM blocks as they come out of CI secrets.
//!
//! A secret that went through a web form, an environment variable or a YAML scalar has often lost its line structure:
//! CRLF, indentation, no newline at the end, spaces or a literal `\n` in place of newlines. All of that is mended,
//! because base64 knows no whitespace and nothing can be read two ways. What is missing is not guessed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::key::KeyError;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// Longest label that is believed to be one, in bytes. The label is printed in errors, key material never may be.
const MAX_LABEL_BYTES: usize = 40;

/// One PEM block, its body not yet decoded.
pub(crate) struct Block {
    /// `PRIVATE KEY`, `PUBLIC KEY`, …: upper-case letters, digits and spaces only.
    pub(crate) label: String,
    body: Zeroizing<String>,
}

impl Block {
    /// Decodes the body.
    pub(crate) fn der(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        // RFC 1421 headers stand before the body of "traditional" encrypted keys of OpenSSL.
        if self.body.contains("Proc-Type:") {
            return Err(KeyError::UnsupportedEncryption { label: self.label.clone() });
        }
        let base64: Zeroizing<String> = Zeroizing::new(self.body.split_ascii_whitespace().collect());
        match STANDARD.decode(base64.as_bytes()) {
            Ok(der) => Ok(Zeroizing::new(der)),
            Err(_) => Err(KeyError::BadBase64 { label: self.label.clone() }),
        }
    }
}

/// Splits `text` into its PEM blocks; text around them (`Bag Attributes`, comments, quotes) is skipped.
pub(crate) fn blocks(text: &str) -> Result<Vec<Block>, KeyError> {
    let text = Zeroizing::new(text.replace("\\r", "\n").replace("\\n", "\n"));
    let mut blocks = Vec::new();
    let mut rest = text.as_str();
    while let Some((_, after_begin)) = rest.split_once(BEGIN) {
        let (label, after_label) =
            after_begin.split_once(DASHES).filter(|(label, _)| is_label(label)).ok_or(KeyError::NoPem)?;
        let truncated = || KeyError::Truncated { label: label.to_owned() };
        let (body, after_end) = after_label.split_once(END).ok_or_else(truncated)?;
        let end = after_end.strip_prefix(label).and_then(|rest| rest.strip_prefix(DASHES));
        rest = end.ok_or_else(truncated)?;
        blocks.push(Block { label: label.to_owned(), body: Zeroizing::new(body.to_owned()) });
    }
    if blocks.is_empty() { Err(KeyError::NoPem) } else { Ok(blocks) }
}

fn is_label(label: &str) -> bool {
    label.len() <= MAX_LABEL_BYTES
        && label.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ')
}
