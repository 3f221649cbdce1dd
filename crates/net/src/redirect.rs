//! Which redirects are followed, and what goes along: pure.

use reqwest::{Method, StatusCode};
use url::Url;

/// Redirects in a row. A registry needs one (to its object store); three is what chained CDNs use.
pub(crate) const MAX_REDIRECTS: u32 = 5;

/// What to do with an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It is the answer.
    Keep,
    /// Ask there, with or without the credentials.
    Follow { url: Url, keep_authorization: bool },
    /// Neither.
    Refuse(&'static str),
}

/// Decides over an answer. 307 and 308 repeat any request; 301, 302 and 303 turn everything but GET and
/// HEAD into a GET, which for an upload is never what was meant, so there the answer stands.
pub(crate) fn step(from: &Url, method: &Method, status: StatusCode, location: Option<&str>) -> Step {
    let reads = method == Method::GET || method == Method::HEAD;
    match status.as_u16() {
        307 | 308 => {}
        301..=303 if reads => {}
        _ => return Step::Keep,
    }
    let Some(location) = location else { return Step::Refuse("it names no target") };
    let Ok(url) = from.join(location) else { return Step::Refuse("its target is not a URL") };
    match (from.scheme(), url.scheme()) {
        (_, "https") | ("http", "http") => {}
        ("https", "http") => return Step::Refuse("it leads from https to http"),
        _ => return Step::Refuse("its target is not an http or https URL"),
    }
    let keep_authorization = url.origin() == from.origin();
    Step::Follow { url, keep_authorization }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        let from: Url = "https://registry.example.test/v2/a/blobs/x?y=1".parse().unwrap();
        let follow =
            |url: &str, keep_authorization| Step::Follow { url: url.parse().unwrap(), keep_authorization };
        let table = [
            (Method::GET, 200, None, Step::Keep),
            (Method::GET, 304, None, Step::Keep),
            (Method::GET, 307, Some("/other"), follow("https://registry.example.test/other", true)),
            (
                Method::GET,
                302,
                Some("https://cdn.example.test/b?sig=1"),
                follow("https://cdn.example.test/b?sig=1", false),
            ),
            (
                Method::PUT,
                307,
                Some("https://registry.example.test:8443/b"),
                follow("https://registry.example.test:8443/b", false),
            ),
            (Method::POST, 302, Some("/other"), Step::Keep),
            (Method::GET, 302, None, Step::Refuse("it names no target")),
            (
                Method::GET,
                302,
                Some("http://registry.example.test/b"),
                Step::Refuse("it leads from https to http"),
            ),
            (
                Method::GET,
                301,
                Some("file:///etc/passwd"),
                Step::Refuse("its target is not an http or https URL"),
            ),
            (Method::GET, 301, Some("https://"), Step::Refuse("its target is not a URL")),
        ];
        for (method, status, location, expected) in table {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(step(&from, &method, status, location), expected, "{method} {status} {location:?}");
        }
    }
}
