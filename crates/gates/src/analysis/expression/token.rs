//! The words of a condition, cut as the original's lexer cuts them.

use super::error::ExpressionError;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'a> {
    Int(i64),
    Float(f64),
    /// A name, keywords included: `not`, `in`, `and`, `or` are operators only where one is expected.
    Name(&'a str),
    /// Operators and brackets.
    Symbol(&'a str),
    End,
}

/// The tokens with the places, in bytes, where they begin.
pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token<'_>)>, ExpressionError> {
    let mut found = Vec::new();
    let mut at = 0;
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$';
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let bytes = rest.as_bytes();
        let (first, second) = (bytes[0], bytes.get(1).copied().unwrap_or(0));
        let run = |accept: &dyn Fn(u8) -> bool| bytes.iter().take_while(|byte| accept(**byte)).count();
        let length = match (first, second) {
            (b' ' | b'\t' | b'\r' | b'\n', _) => {
                at += 1;
                continue;
            }
            (b'/', b'/') => {
                at += rest.find('\n').map_or(rest.len(), |end| end + 1);
                continue;
            }
            (b'/', b'*') => {
                let end = rest.get(2..).and_then(|rest| rest.find("*/"));
                at += end.ok_or(ExpressionError::UnclosedComment { at })? + 4;
                continue;
            }
            (b'0'..=b'9', _) | (b'.', b'0'..=b'9') => {
                let (token, length) = number(rest).ok_or(ExpressionError::NotANumber { at })?;
                found.push((at, token));
                at += length;
                continue;
            }
            (b'\'' | b'"' | b'`', _) | (b'b' | b'B', b'\'' | b'"') => {
                return Err(ExpressionError::Unsupported { at, what: "a text" });
            }
            (byte, _) if word(byte) => {
                let length = run(&word);
                found.push((at, Token::Name(&rest[..length])));
                at += length;
                continue;
            }
            // `#index`, `#acc`; `#and` would be one too.
            (b'#', byte) if word(byte) => {
                return Err(ExpressionError::Unsupported { at, what: "a named pointer" });
            }
            (b'?', b'.' | b'?') | (b'|', b'|') | (b':', b':') | (b'.', b'.') | (b'#', b'#') => 2,
            (b'&' | b'!' | b'=' | b'*' | b'<' | b'>', b'&' | b'=' | b'*') => 2,
            (byte, _) if b"?|:.#&!=*<>()[]{},;%+-^/".contains(&byte) => 1,
            _ => return Err(ExpressionError::Character { at, found: rest.chars().next().unwrap_or(' ') }),
        };
        found.push((at, Token::Symbol(&rest[..length])));
        at += length;
    }
    found.push((text.len(), Token::End));
    Ok(found)
}

/// A number at the beginning of the text, and how long it is.
fn number(text: &str) -> Option<(Token<'static>, usize)> {
    let bytes = text.as_bytes();
    let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
    let radix = match (byte(0), byte(1)) {
        (b'0', b'x' | b'X') => 16,
        (b'0', b'o' | b'O') => 8,
        (b'0', b'b' | b'B') => 2,
        _ => 10,
    };
    let run = |mut at: usize| {
        while byte(at) == b'_' || char::from(byte(at)).is_digit(radix) {
            at += 1;
        }
        at
    };
    let mut end = run(if radix == 10 { 0 } else { 2 });
    // Two dots would be a range.
    if byte(end) == b'.' && byte(end + 1) != b'.' {
        end = run(end + 1);
    }
    if matches!(byte(end), b'e' | b'E') {
        end += 1;
        end = run(if matches!(byte(end), b'+' | b'-') { end + 1 } else { end });
    }
    let next = text.get(end..)?.chars().next().unwrap_or(' ');
    if next.is_alphanumeric() || next == '_' || next == '$' {
        return None;
    }
    let digits = text.get(..end)?.replace('_', "");
    let token = match radix {
        10 if digits.contains(['.', 'e', 'E']) => {
            Token::Float(digits.parse().ok().filter(|number: &f64| number.is_finite())?)
        }
        10 => Token::Int(digits.parse().ok()?),
        _ => Token::Int(i64::from_str_radix(digits.get(2..)?, radix).ok()?),
    };
    Some((token, end))
}
