//! Docker's `config.json` and containers' `auth.json`, which share one format: pure.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use granary_oci::{RegistryHost, Repository};
use granary_redact::Secret;
use serde::Deserialize;

use super::CredentialError;

/// The user name under which helpers hand out identity tokens.
const TOKEN_USER: &str = "<token>";

/// Something to authenticate with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Login {
    /// For Basic, and for token servers.
    Password { username: String, password: Secret },
    /// An OAuth2 refresh token; good for token servers only.
    IdentityToken(Secret),
}

impl Login {
    pub(super) fn new(username: String, secret: Secret) -> Self {
        match username == TOKEN_USER {
            true => Login::IdentityToken(secret),
            false => Login::Password { username, password: secret },
        }
    }
}

/// What a file says about a repository.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing.
    Nothing,
    /// The credentials themselves.
    Login(Login),
    /// Ask this helper about this server.
    Helper { name: String, server: String },
}

/// A parsed file.
#[derive(Clone)]
pub(super) struct AuthFile {
    path: PathBuf,
    document: Document,
}

impl fmt::Debug for AuthFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "AuthFile({})", self.path.display())
    }
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Clone, Default, Deserialize)]
struct Entry {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    identitytoken: String,
}

impl AuthFile {
    pub(super) fn parse(path: &Path, text: &[u8]) -> Result<Self, CredentialError> {
        let document = serde_json::from_slice(text)
            .map_err(|error| CredentialError::Json { path: path.to_owned(), line: error.line() })?;
        Ok(AuthFile { path: path.to_owned(), document })
    }

    /// Looks a repository up: a helper of its own first, then entries from the most specific key
    /// (`host/org/app`) to the host alone, then the helper for everything. Entries without content stand
    /// for "the helper has it" and are passed over.
    pub(super) fn find(
        &self,
        host: &RegistryHost,
        repository: &Repository,
        helpers: bool,
    ) -> Result<Found, CredentialError> {
        let helper = |name: &String| Found::Helper { name: name.clone(), server: host.as_str().to_owned() };
        if let Some(name) = self.document.cred_helpers.get(host.as_str()).filter(|_| helpers) {
            return Ok(helper(name));
        }
        for wanted in keys(host, repository) {
            let matching = self.document.auths.iter().filter(|(key, _)| normalised(key) == wanted);
            for (key, entry) in matching {
                if let Some(login) = self.login(key, entry)? {
                    return Ok(Found::Login(login));
                }
            }
        }
        match self.document.creds_store.as_ref().filter(|name| helpers && !name.is_empty()) {
            Some(name) => Ok(helper(name)),
            None => Ok(Found::Nothing),
        }
    }

    fn login(&self, key: &str, entry: &Entry) -> Result<Option<Login>, CredentialError> {
        if !entry.identitytoken.is_empty() {
            return Ok(Some(Login::IdentityToken(Secret::new(entry.identitytoken.as_str()))));
        }
        if !entry.username.is_empty() && !entry.password.is_empty() {
            return Ok(Some(Login::new(entry.username.clone(), Secret::new(entry.password.as_str()))));
        }
        if entry.auth.is_empty() {
            return Ok(None);
        }
        let decoded = STANDARD.decode(entry.auth.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let parts = decoded.as_deref().and_then(|text| text.split_once(':'));
        let Some((username, password)) = parts.filter(|(username, _)| !username.is_empty()) else {
            return Err(CredentialError::Entry { path: self.path.clone(), key: key.to_owned() });
        };
        // Old Docker versions padded the password with NUL.
        Ok(Some(Login::new(username.to_owned(), Secret::new(password.trim_end_matches('\0')))))
    }
}

/// The keys under which a repository may stand, most specific first.
fn keys(host: &RegistryHost, repository: &Repository) -> Vec<String> {
    let mut keys = vec![host.as_str().to_owned()];
    for part in repository.as_str().split('/') {
        let longer = format!("{}/{part}", keys[keys.len() - 1]);
        keys.push(longer);
    }
    keys.reverse();
    keys
}

/// A key without what older Docker versions wrote around the host.
fn normalised(key: &str) -> String {
    let bare = key.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    let bare = bare.strip_suffix("/v1").or_else(|| bare.strip_suffix("/v2")).unwrap_or(bare);
    match bare.split_once('/') {
        Some((host, path)) => format!("{}/{path}", host.to_ascii_lowercase()),
        None => bare.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str, host: &str, repository: &str, helpers: bool) -> Result<Found, CredentialError> {
        let file = AuthFile::parse(Path::new("/auth.json"), text.as_bytes())?;
        file.find(&host.parse().unwrap(), &repository.parse().unwrap(), helpers)
    }

    fn password(username: &str, password: &str) -> Found {
        Found::Login(Login::Password { username: username.to_owned(), password: Secret::new(password) })
    }

    #[test]
    fn every_shape_of_entry() {
        let auth = STANDARD.encode("ci:pa:ss\0");
        let entry = format!(r#"{{"auth":"{auth}"}}"#);
        let table = [
            (format!(r#"{{"auths":{{"h.test":{entry}}}}}"#), password("ci", "pa:ss")),
            (format!(r#"{{"auths":{{"https://H.test/v1/":{entry}}}}}"#), password("ci", "pa:ss")),
            (format!(r#"{{"auths":{{"http://h.test/v2/":{entry}}}}}"#), password("ci", "pa:ss")),
            (format!(r#"{{"auths":{{"h.test:5000":{entry}}}}}"#), Found::Nothing),
            (r#"{"auths":{"h.test":{"username":"u","password":"p"}}}"#.to_owned(), password("u", "p")),
            (
                r#"{"auths":{"h.test":{"auth":"ignored","identitytoken":"t"}}}"#.to_owned(),
                Found::Login(Login::IdentityToken(Secret::new("t"))),
            ),
            (r#"{"auths":{"h.test":{}},"HttpHeaders":{"x":"y"}}"#.to_owned(), Found::Nothing),
            ("{}".to_owned(), Found::Nothing),
        ];
        for (text, expected) in table {
            assert_eq!(find(&text, "h.test", "acme/app", true).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn the_most_specific_key_wins() {
        let text = r#"{"auths":{
            "h.test":{"username":"host","password":"1"},
            "h.test/acme":{"username":"org","password":"2"},
            "h.test/acme/app":{"username":"app","password":"3"},
            "h.test/ac":{"username":"not a part","password":"4"}}}"#;
        let table = [
            ("acme/app", "app", "3"),
            ("acme/other", "org", "2"),
            ("acme/app/x", "app", "3"),
            ("z", "host", "1"),
        ];
        for (repository, username, secret) in table {
            assert_eq!(find(text, "h.test", repository, false).unwrap(), password(username, secret));
        }
    }

    #[test]
    fn helpers_only_where_allowed() {
        let text = r#"{"credsStore":"store","credHelpers":{"h.test":"own"},"auths":{"i.test":{}}}"#;
        let helper =
            |name: &str, server: &str| Found::Helper { name: name.to_owned(), server: server.to_owned() };
        assert_eq!(find(text, "h.test", "a", true).unwrap(), helper("own", "h.test"));
        assert_eq!(find(text, "i.test", "a", true).unwrap(), helper("store", "i.test"));
        assert_eq!(find(text, "h.test", "a", false).unwrap(), Found::Nothing);
    }

    #[test]
    fn a_broken_entry_is_named_and_not_shown() {
        let text = r#"{"auths":{"h.test":{"auth":"hunter2"}}}"#;
        let message = find(text, "h.test", "a", false).unwrap_err().to_string();
        assert_eq!(message, "auth file /auth.json has an unreadable `auth` for `h.test`");
    }
}
