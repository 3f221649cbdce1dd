//! The one check that this crate makes on digests: `sha256:` and 64 lower-case hex digits.
//!
//! Upper case is refused: registries compare digests as text, so a digest that differs in case would match nothing
//! and look like missing evidence.

/// Returns the hex part of `sha256:<64 hex>`.
pub(crate) fn sha256_hex(digest: &str) -> Option<&str> {
    digest.strip_prefix("sha256:").filter(|hex| is_lower_hex(hex, 64))
}

/// Whether `text` is exactly `length` lower-case hex digits.
pub(crate) fn is_lower_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_digests() {
        let hex = "0123456789abcdef".repeat(4);
        assert_eq!(sha256_hex(&format!("sha256:{hex}")), Some(hex.as_str()));
        for refused in [
            hex.clone(),
            format!("sha256:{}", hex.to_uppercase()),
            format!("sha256:{}", &hex[1..]),
            format!("sha256:{hex}0"),
            format!("sha512:{hex}"),
            format!("sha256: {}", &hex[1..]),
            "sha256:".to_owned(),
        ] {
            assert_eq!(sha256_hex(&refused), None, "{refused}");
        }
    }
}
