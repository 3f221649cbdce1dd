//! Takes known secrets out of text that somebody else wrote.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

use crate::Secret;

/// What a secret is replaced by.
const MASK: &str = "***";

/// Parts shorter than this are not masked: Woodpecker's own limit is 3 characters, and masking every
/// `a` would make the log unreadable and give the secret away by where the gaps are.
const SHORTEST_MASKED: usize = 4;

/// Replaces every known secret in a text by `***`.
///
/// Knows the forms in which a secret travels: as it is, each line of a multi-line one, percent-encoded,
/// JSON-escaped, and base64 (also of `user:password`, the form of a Basic header and of Docker's
/// auth file). Woodpecker's own masking is literal only and absent in `woodpecker-cli exec`.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Longest first, so that a secret which contains another one is masked whole.
    needles: Vec<zeroize::Zeroizing<String>>,
}

impl Redactor {
    /// A redactor that knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a secret in all its forms.
    pub fn add(&mut self, secret: &Secret) {
        let text = secret.expose();
        let mut forms = vec![text.to_owned(), text.trim().to_owned()];
        forms.extend(text.lines().map(|line| line.trim().to_owned()));
        for form in forms {
            self.add_encodings(&form);
        }
        self.needles.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
        self.needles.dedup();
    }

    /// Adds the pair as it travels in a Basic header; the password alone is added with [`Self::add`].
    pub fn add_basic(&mut self, username: &str, password: &Secret) {
        self.add(password);
        self.add(&Secret::new(format!("{username}:{}", password.expose())));
    }

    /// `text` with every known secret replaced by `***`.
    pub fn clean(&self, text: &str) -> String {
        let mut cleaned = text.to_owned();
        for needle in &self.needles {
            if cleaned.contains(needle.as_str()) {
                cleaned = cleaned.replace(needle.as_str(), MASK);
            }
        }
        cleaned
    }

    fn add_encodings(&mut self, plain: &str) {
        if plain.len() < SHORTEST_MASKED {
            return;
        }
        let percent: String = url::form_urlencoded::byte_serialize(plain.as_bytes()).collect();
        let escaped = plain.escape_default().to_string();
        let encodings = [
            plain.to_owned(),
            percent.replace('+', "%20"),
            percent,
            escaped,
            STANDARD.encode(plain),
            STANDARD_NO_PAD.encode(plain),
            URL_SAFE.encode(plain),
            URL_SAFE_NO_PAD.encode(plain),
        ];
        for encoding in encodings {
            let needle = zeroize::Zeroizing::new(encoding);
            if !self.needles.contains(&needle) {
                self.needles.push(needle);
            }
        }
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Redactor({} needles)", self.needles.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_in_which_it_travels_is_masked() {
        let mut redactor = Redactor::new();
        redactor.add_basic("ci", &Secret::new("p@ss w\"rd"));
        let basic = STANDARD.encode("ci:p@ss w\"rd");
        let table = [
            ("plain p@ss w\"rd here", "plain *** here"),
            ("https://ci:p%40ss%20w%22rd@host", "https://ci:***@host"),
            ("form=p%40ss+w%22rd", "form=***"),
            (r#"{"password":"p@ss w\"rd"}"#, r#"{"password":"***"}"#),
        ];
        for (given, shown) in table {
            assert_eq!(redactor.clean(given), shown, "{given}");
        }
        assert_eq!(redactor.clean(&format!("Basic {basic}")), "Basic ***");
    }

    #[test]
    fn each_line_of_a_key_is_masked_and_short_lines_are_not() {
        let mut redactor = Redactor::new();
        redactor.add(&Secret::new("-----BEGIN X-----\nMIGHAgEA\nab\n-----END X-----\n"));
        assert_eq!(redactor.clean("got MIGHAgEA and ab"), "got *** and ab");
    }

    #[test]
    fn the_longer_secret_wins() {
        let mut redactor = Redactor::new();
        redactor.add(&Secret::new("token"));
        redactor.add(&Secret::new("token-of-longer-life"));
        assert_eq!(redactor.clean("a token-of-longer-life b token"), "a *** b ***");
    }
}
