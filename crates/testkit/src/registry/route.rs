//! From a path to what it is about. Repository names may have any depth, so paths are read from the right.

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Base,
    Token,
    Tags(String),
    Manifest(String, String),
    Referrers(String, String),
    Uploads(String),
    Upload(String, String),
    Blob(String, String),
    /// A name that the spec's grammar does not allow.
    BadName,
    Unknown,
}

impl Route {
    pub(crate) fn parse(path: &str) -> Self {
        if matches!(path, "/token" | "/v2/token") {
            return Self::Token;
        }
        let Some(rest) = path.strip_prefix("/v2") else { return Self::Unknown };
        if rest.is_empty() || rest == "/" {
            return Self::Base;
        }
        let Some(rest) = rest.strip_prefix('/') else { return Self::Unknown };
        let route = if let Some(name) = rest.strip_suffix("/tags/list") {
            Self::Tags(name.to_owned())
        } else if let Some(name) = rest.strip_suffix("/blobs/uploads") {
            Self::Uploads(name.to_owned())
        } else {
            let Some((head, last)) = rest.rsplit_once('/') else { return Self::Unknown };
            let Some((name, kind)) = head.rsplit_once('/') else { return Self::Unknown };
            match kind {
                "manifests" => Self::Manifest(name.to_owned(), last.to_owned()),
                "referrers" => Self::Referrers(name.to_owned(), last.to_owned()),
                "blobs" => Self::Blob(name.to_owned(), last.to_owned()),
                "uploads" => match (name.strip_suffix("/blobs"), last) {
                    (Some(name), "") => Self::Uploads(name.to_owned()),
                    (Some(name), id) => Self::Upload(name.to_owned(), id.to_owned()),
                    (None, _) => Self::Unknown,
                },
                _ => Self::Unknown,
            }
        };
        if route.repository().is_some_and(|name| !is_name(name)) { Self::BadName } else { route }
    }

    pub(crate) fn repository(&self) -> Option<&str> {
        match self {
            Self::Tags(name) | Self::Uploads(name) => Some(name),
            Self::Manifest(name, _)
            | Self::Referrers(name, _)
            | Self::Upload(name, _)
            | Self::Blob(name, _) => Some(name),
            Self::Base | Self::Token | Self::BadName | Self::Unknown => None,
        }
    }
}

/// distribution-spec "Pulling manifests", `<name>`: lower-case parts, separators only between letters or
/// digits.
fn is_name(name: &str) -> bool {
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    name.split('/').all(|part| {
        let bytes = part.as_bytes();
        bytes.first().is_some_and(|b| letter(*b))
            && bytes.last().is_some_and(|b| letter(*b))
            && bytes.iter().all(|b| letter(*b) || b"._-".contains(b))
    })
}

/// distribution-spec, `<reference>` as a tag.
pub(crate) fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let bytes = tag.as_bytes();
    bytes.len() <= 128
        && bytes.first().is_some_and(|b| word(*b))
        && bytes.iter().all(|b| word(*b) || b".-".contains(b))
}

/// A query string or form, decoded, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(text: &str) -> Self {
        Self(url::form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_from_the_right() {
        let own = str::to_owned;
        let table = [
            ("/v2/", Route::Base),
            ("/v2", Route::Base),
            ("/v2/a/tags/list", Route::Tags(own("a"))),
            ("/v2/a/b/c/d/manifests/1.2.3", Route::Manifest(own("a/b/c/d"), own("1.2.3"))),
            ("/v2/a/manifests/manifests/x", Route::Manifest(own("a/manifests"), own("x"))),
            ("/v2/a/b/blobs/uploads/", Route::Uploads(own("a/b"))),
            ("/v2/a/b/blobs/uploads", Route::Uploads(own("a/b"))),
            ("/v2/a/blobs/uploads/7", Route::Upload(own("a"), own("7"))),
            ("/v2/a/blobs/sha256:00", Route::Blob(own("a"), own("sha256:00"))),
            ("/v2/a/referrers/sha256:00", Route::Referrers(own("a"), own("sha256:00"))),
            ("/v2/Upper/tags/list", Route::BadName),
            ("/v2/a/../b/tags/list", Route::BadName),
            ("/v2/_catalog", Route::Unknown),
            ("/token", Route::Token),
            ("/", Route::Unknown),
        ];
        for (path, route) in table {
            assert_eq!(Route::parse(path), route, "{path}");
        }
    }

    #[test]
    fn tags_follow_the_grammar() {
        assert!(is_tag("1.2.3-rc.4") && is_tag("_x") && is_tag(&"a".repeat(128)));
        assert!(!is_tag("") && !is_tag(".x") && !is_tag("a+b") && !is_tag(&"a".repeat(129)));
    }
}
