//! The token server: which one may be asked, how, and how long its tokens live.

use std::time::Duration;

use bytes::Bytes;
use granary_net::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use granary_net::{Answer, Body, Deadline, Http, HttpError, Method, Request, RetryPolicy};
use granary_oci::RegistryHost;
use granary_redact::{SafeUrl, Secret};
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;
use url::form_urlencoded::Serializer;

use super::AuthError;
use crate::challenge::Challenge;
use crate::credentials::Login;
use crate::observe::{Audience, Event, reason};
use crate::said::Said;
use crate::scope::Scope;

/// The life of a token that says nothing about it, and the least that any is given credit for
/// (distribution, "Token Authentication Specification").
const MINIMUM_LIFE: Duration = Duration::from_secs(60);

/// The part of a token's life after which it is renewed, in percent: an upload that starts later might
/// outlive it.
const RENEW_AT_PERCENT: u32 = 80;

/// Largest answer of a token server, in bytes. Tokens with hundreds of scopes have some ten KB.
const MAX_TOKEN_ANSWER: u64 = 1024 * 1024;

/// How often and how long to try.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) policy: RetryPolicy,
    pub(crate) deadline: Deadline,
}

/// A token and what it is good for.
pub(super) struct Token {
    pub(super) value: Secret,
    pub(super) scopes: Vec<Scope>,
    half_at: Instant,
    renew_at: Instant,
}

impl Token {
    fn new(value: Secret, scopes: &[Scope], asked_at: Instant, life: Duration) -> Self {
        let (half_at, renew_at) = (asked_at + life / 2, asked_at + life * RENEW_AT_PERCENT / 100);
        Token { value, scopes: scopes.to_vec(), half_at, renew_at }
    }

    pub(super) fn is_past_half(&self) -> bool {
        Instant::now() >= self.half_at
    }

    pub(super) fn is_stale(&self) -> bool {
        Instant::now() >= self.renew_at
    }
}

/// Where a registry's tokens come from.
#[derive(Clone)]
pub(super) struct TokenServer {
    realm: Url,
    service: Option<String>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl TokenServer {
    /// Reads a Bearer challenge of the registry at `base`.
    pub(super) fn from_challenge(
        challenge: &Challenge,
        base: &Url,
        host: &RegistryHost,
    ) -> Result<Self, AuthError> {
        let text = challenge.parameter("realm").unwrap_or_default();
        // Relative realms are not in the specification, and are sent.
        let realm = base.join(text).ok().filter(|realm| !text.is_empty() && realm.has_host());
        let Some(realm) = realm else {
            return Err(AuthError::Realm { realm: SafeUrl::from_text(text), reason: "it is not a URL" });
        };
        match distrust(&realm, base, host) {
            Some(reason) => Err(AuthError::Realm { realm: SafeUrl::new(&realm), reason }),
            None => Ok(TokenServer { realm, service: challenge.parameter("service").map(str::to_owned) }),
        }
    }

    /// Fetches a token for these scopes.
    pub(super) async fn fetch(
        &self,
        http: &Http,
        login: Option<&Login>,
        scopes: &[Scope],
        patience: Patience,
        audience: &Audience,
        said: impl Fn(&[u8]) -> Said,
    ) -> Result<Token, AuthError> {
        if login.is_some() && self.realm.scheme() != "https" && !is_loopback(&self.realm) {
            let reason = "credentials would travel over plain HTTP";
            return Err(AuthError::Realm { realm: SafeUrl::new(&self.realm), reason });
        }
        let request = match login {
            Some(Login::IdentityToken(token)) => self.refresh_request(token, scopes),
            Some(Login::Password { username, password }) => {
                let mut value = HeaderValue::from_str(super::basic(username, password).expose())
                    .map_err(|_| AuthError::Unsendable)?;
                value.set_sensitive(true);
                self.plain_request(scopes).with_header(AUTHORIZATION, value)
            }
            None => self.plain_request(scopes),
        };
        let asked_at = Instant::now();
        let before_pause = |result: &Result<Answer, HttpError>, pause| {
            audience.tell(|| Event::Retrying {
                what: format!("{} {}", request.method, SafeUrl::new(&self.realm)),
                reason: reason("the token server", result.as_ref().map(|answer| answer.status)),
                pause,
            });
        };
        let answer = http
            .fetch(&request, MAX_TOKEN_ANSWER, patience.policy, patience.deadline, before_pause)
            .await
            .map_err(|source| AuthError::TokenServer { source: Box::new(source) })?;
        let (status, realm) = (answer.status, || SafeUrl::new(&self.realm));
        if !status.is_success() {
            let said = Box::new(said(&answer.body));
            // 400 is what OAuth2 answers to a refresh token that is not good any more (RFC 6749 §5.2).
            return Err(match (status.as_u16(), login) {
                (400 | 401 | 403, Some(Login::Password { username, .. })) => {
                    AuthError::Rejected { username: Some(username.clone()), status, said }
                }
                (400 | 401 | 403, Some(Login::IdentityToken(_))) => {
                    AuthError::Rejected { username: None, status, said }
                }
                (401 | 403, None) => AuthError::Insufficient {
                    scopes: format!("{} (no credentials given)", listed(scopes)),
                    said,
                },
                _ => AuthError::TokenStatus { realm: realm(), status, said },
            });
        }
        let parsed: Option<TokenAnswer> = serde_json::from_slice(&answer.body).ok();
        let Some(parsed) = parsed else { return Err(AuthError::NoToken { realm: realm() }) };
        let text = parsed.token.filter(|text| !text.is_empty()).or(parsed.access_token);
        let Some(text) = text.filter(|text| !text.is_empty()) else {
            return Err(AuthError::NoToken { realm: realm() });
        };
        audience.tell(|| Event::TokenFetched { realm: realm(), scopes: listed(scopes) });
        let life = parsed.expires_in.map_or(MINIMUM_LIFE, Duration::from_secs).max(MINIMUM_LIFE);
        // A life of centuries is somebody's "never"; a day is as good and cannot overflow.
        let life = life.min(Duration::from_secs(24 * 3600));
        Ok(Token::new(Secret::new(text), scopes, asked_at, life))
    }

    fn plain_request(&self, scopes: &[Scope]) -> Request {
        let mut url = self.realm.clone();
        {
            let mut query = url.query_pairs_mut();
            query.extend_pairs(self.service.iter().map(|service| ("service", service)));
            query.extend_pairs(scopes.iter().map(|scope| ("scope", scope.to_string())));
        }
        Request::new(Method::GET, url)
    }

    fn refresh_request(&self, token: &Secret, scopes: &[Scope]) -> Request {
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "refresh_token");
        form.append_pair("client_id", "granary");
        form.extend_pairs(self.service.iter().map(|service| ("service", service)));
        form.append_pair("scope", &scopes.iter().map(Scope::to_string).collect::<Vec<_>>().join(" "));
        form.append_pair("refresh_token", token.expose());
        Request::new(Method::POST, self.realm.clone())
            .with_header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))
            .with_body(Body::Bytes(Bytes::from(form.finish())))
    }
}

/// Scopes for people.
pub(crate) fn listed(scopes: &[Scope]) -> String {
    scopes.iter().map(Scope::to_string).collect::<Vec<_>>().join(" ")
}

/// Why the registry at `base` may not send us to `realm`, if so. A registry that we reach over TLS must
/// not downgrade us, and one that is somewhere else must not point us at services of this machine.
fn distrust(realm: &Url, base: &Url, host: &RegistryHost) -> Option<&'static str> {
    let same_server = realm.host() == base.host() && realm.scheme() == base.scheme();
    match realm.scheme() {
        "https" | "http" if is_loopback(realm) && !host.is_loopback() => {
            Some("a registry elsewhere points at this machine")
        }
        "https" => None,
        "http" if is_loopback(realm) || same_server => None,
        "http" => Some("it is reached over plain HTTP"),
        _ => Some("it is not an http or https URL"),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_token_servers_are_asked() {
        let table = [
            ("https://r.test", "r.test", "https://auth.test/token", None),
            ("https://r.test", "r.test", "https://r.test:8443/token", None),
            ("https://r.test", "r.test", "http://r.test/token", Some("it is reached over plain HTTP")),
            ("https://r.test", "r.test", "http://auth.test/token", Some("it is reached over plain HTTP")),
            (
                "https://r.test",
                "r.test",
                "https://127.0.0.1/token",
                Some("a registry elsewhere points at this machine"),
            ),
            ("http://r.test:5000", "r.test:5000", "http://r.test:5000/token", None),
            ("http://r.test", "r.test", "http://auth.test/token", Some("it is reached over plain HTTP")),
            ("http://127.0.0.1:5000", "127.0.0.1:5000", "http://localhost:5001/token", None),
            ("http://127.0.0.1:5000", "127.0.0.1:5000", "https://auth.test/token", None),
            ("https://r.test", "r.test", "ftp://auth.test/token", Some("it is not an http or https URL")),
        ];
        for (base, host, realm, expected) in table {
            let (base, realm) = (base.parse().unwrap(), realm.parse().unwrap());
            assert_eq!(distrust(&realm, &base, &host.parse().unwrap()), expected, "{base} → {realm}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_renewed_in_time_and_earlier_for_what_takes_long() {
        let token = Token::new(Secret::new("t"), &[], Instant::now(), Duration::from_secs(100));
        let table =
            [(0, false, false), (49, false, false), (51, false, true), (79, false, true), (81, true, true)];
        for (age, stale, past_half) in table {
            let born = Instant::now();
            let token = Token::new(token.value.clone(), &[], born, Duration::from_secs(100));
            tokio::time::advance(Duration::from_secs(age)).await;
            assert_eq!((token.is_stale(), token.is_past_half()), (stale, past_half), "{age} s");
        }
    }

    #[test]
    fn one_request_asks_for_everything() {
        let server =
            TokenServer { realm: "https://h.test/token?x=1".parse().unwrap(), service: Some("s".to_owned()) };
        let scopes = Scope::parse_all("repository:b:pull,push repository:a:pull");
        assert_eq!(
            server.plain_request(&scopes).url.as_str(),
            "https://h.test/token?x=1&service=s&scope=repository%3Ab%3Apull%2Cpush&scope=repository%3Aa%3Apull"
        );
        let Body::Bytes(form) = server.refresh_request(&Secret::new("t&t"), &scopes).body else { panic!() };
        assert_eq!(
            String::from_utf8_lossy(&form),
            "grant_type=refresh_token&client_id=granary&service=s&scope=repository%3Ab%3Apull%2Cpush+repository%3Aa%3Apull&refresh_token=t%26t"
        );
    }
}
