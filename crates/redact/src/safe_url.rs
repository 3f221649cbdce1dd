//! URLs that may be printed.

use std::fmt;

use url::Url;

/// Query keys of the registry and token protocols that carry no credential. Everything else is masked:
/// an upload session's `_state` is a bearer capability, a signed CDN link is one too.
const HARMLESS_QUERY_KEYS: [&str; 11] = [
    "n",
    "last",
    "digest",
    "mount",
    "from",
    "scope",
    "service",
    "artifactType",
    "tag",
    "client_id",
    "grant_type",
];

/// A URL as it may appear in logs and errors: no user information, no fragment, and only those query
/// values that are on an allow list.
///
/// # Design
/// An allow list, not a list of known-bad keys: a registry may name its session token as it likes.
#[derive(Clone, PartialEq, Eq)]
pub struct SafeUrl(String);

impl SafeUrl {
    /// Takes everything out of `url` that is not known to be harmless.
    pub fn new(url: &Url) -> Self {
        let mut shown = url.clone();
        // Both fail only for URLs that cannot have user information at all, which is what is wanted.
        let _ = shown.set_username("");
        let _ = shown.set_password(None);
        shown.set_fragment(None);
        if url.query().is_some() {
            let pairs: Vec<(String, String)> = url
                .query_pairs()
                .map(|(key, value)| match HARMLESS_QUERY_KEYS.contains(&&*key) {
                    true => (key.into_owned(), value.into_owned()),
                    false => (key.into_owned(), "***".to_owned()),
                })
                .collect();
            // Written by hand, not by `query_pairs_mut`: that would turn `***`, `:` and `/` into escapes.
            let query: Vec<String> = pairs.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
            shown.set_query(Some(&query.join("&")));
        }
        SafeUrl(shown.to_string())
    }

    /// The same for text that should be a URL; text that is none is shown as `<not a URL>`, since
    /// there is no telling which part of it would be a password.
    pub fn from_text(text: &str) -> Self {
        Url::parse(text).map_or_else(|_| SafeUrl("<not a URL>".to_owned()), |url| SafeUrl::new(&url))
    }
}

impl From<&Url> for SafeUrl {
    fn from(url: &Url) -> Self {
        SafeUrl::new(url)
    }
}

impl fmt::Display for SafeUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for SafeUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_parts_survive() {
        let table = [
            (
                "https://user:hunter2@host:5000/v2/a/tags/list?n=1000",
                "https://host:5000/v2/a/tags/list?n=1000",
            ),
            (
                "https://host/v2/a/blobs/uploads/1?_state=abc&digest=sha256:12",
                "https://host/v2/a/blobs/uploads/1?_state=***&digest=sha256:12",
            ),
            ("https://cdn/x?X-Amz-Signature=abc#frag", "https://cdn/x?X-Amz-Signature=***"),
            (
                "https://host/token?scope=repository:a/b:pull,push",
                "https://host/token?scope=repository:a/b:pull,push",
            ),
            ("not a url hunter2", "<not a URL>"),
        ];
        for (given, shown) in table {
            assert_eq!(SafeUrl::from_text(given).to_string(), shown, "{given}");
        }
    }
}
