//! Basic and Bearer: challenges, the token endpoint, and what a request may touch.
//!
//! A token holds what was asked for *and* granted, nothing else, and dies at its hour. A mount needs `pull`
//! on the source in the very token that pushes to the target; a client that asks for one repository only
//! finds its mounts turned into uploads.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;
use serde_json::json;

use super::options::{Auth, Options};
use super::reply::Reply;
use super::route::{Query, Route};
use super::state::sha256_digest;

/// What a request's credentials allow.
#[derive(Debug)]
pub(crate) enum Access {
    Everything,
    Granted(BTreeSet<(String, String)>),
}

impl Access {
    pub(crate) fn allows(&self, repository: &str, action: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Granted(scopes) => scopes.contains(&(repository.to_owned(), action.to_owned())),
        }
    }
}

#[derive(Debug)]
struct Grant {
    scopes: BTreeSet<(String, String)>,
    expires: Instant,
}

/// The tokens that are out.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    grants: HashMap<String, Grant>,
    issued: u64,
}

impl Tokens {
    pub(crate) fn expire_all(&mut self) {
        self.grants.clear();
    }

    fn issue(&mut self, scopes: BTreeSet<(String, String)>, lifetime: Duration) -> String {
        self.issued += 1;
        let seed = format!("{:?} {} {}", Instant::now(), std::process::id(), self.issued);
        let token = sha256_digest(seed.as_bytes()).replace("sha256:", "tok-");
        self.grants.insert(token.clone(), Grant { scopes, expires: Instant::now() + lifetime });
        token
    }
}

/// Says what a request may do, or answers it with a challenge or a refusal.
pub(crate) fn authorize(
    options: &Options,
    tokens: &Tokens,
    base_url: &str,
    method: &str,
    route: &Route,
    headers: &HeaderMap,
) -> Result<Access, Reply> {
    let needed = route.repository().map(|name| (name, action(method)));
    let read_only =
        needed.is_some_and(|(name, action)| action != "pull" && options.read_only.iter().any(|r| r == name));
    let anonymous = options.anonymous_pull && needed.is_none_or(|(_, action)| action == "pull");
    match &options.auth {
        Auth::None if read_only => Err(denied()),
        Auth::None => Ok(Access::Everything),
        Auth::Basic { user, password } => match basic(headers) {
            Some(given) if given == (user.clone(), password.clone()) => {
                if read_only {
                    Err(denied())
                } else {
                    Ok(Access::Everything)
                }
            }
            None if anonymous && !headers.contains_key("authorization") => Ok(Access::Everything),
            None if !headers.contains_key("authorization") => {
                Err(unauthorized("authentication required")
                    .header("WWW-Authenticate", "Basic realm=\"testkit\""))
            }
            _ => Err(unauthorized("wrong user name or password")
                .header("WWW-Authenticate", "Basic realm=\"testkit\"")),
        },
        Auth::Token { .. } => {
            let given = bearer(headers);
            let grant = given.and_then(|token| tokens.grants.get(token));
            let live = grant.filter(|grant| grant.expires > Instant::now());
            let failure = match (given, grant, live) {
                (_, _, Some(grant)) => {
                    let granted =
                        needed.is_none_or(|(name, action)| grant.scopes.contains(&scope(name, action)));
                    if granted {
                        return Ok(Access::Granted(grant.scopes.clone()));
                    }
                    Some("insufficient_scope")
                }
                (Some(_), _, None) => Some("invalid_token"),
                (None, ..) => None,
            };
            Err(challenge(options, base_url, needed, failure))
        }
    }
}

fn action(method: &str) -> &'static str {
    match method {
        "GET" | "HEAD" => "pull",
        "DELETE" => "delete",
        _ => "push",
    }
}

fn scope(repository: &str, action: &str) -> (String, String) {
    (repository.to_owned(), action.to_owned())
}

fn challenge(options: &Options, base_url: &str, needed: Option<(&str, &str)>, error: Option<&str>) -> Reply {
    let realm = options.token_realm.clone().unwrap_or_else(|| format!("{base_url}{}", options.token_path));
    let mut value = format!("Bearer realm=\"{realm}\",service=\"{}\"", options.token_service);
    let wanted = options.challenge_scope.clone().or_else(|| {
        needed.map(|(name, action)| {
            format!("repository:{name}:{}", if action == "push" { "pull,push" } else { action })
        })
    });
    if let Some(wanted) = wanted {
        value.push_str(&format!(",scope=\"{wanted}\""));
    }
    if let Some(error) = error {
        value.push_str(&format!(",error=\"{error}\""));
    }
    unauthorized("authentication required").header("WWW-Authenticate", value)
}

fn unauthorized(message: &str) -> Reply {
    Reply::error(401, "UNAUTHORIZED", message)
}

fn denied() -> Reply {
    Reply::error(403, "DENIED", "requested access to the resource is denied")
}

/// `/token`: GET with Basic or nobody, POST with an OAuth2 form.
pub(crate) fn token(
    options: &Options,
    tokens: &mut Tokens,
    method: &str,
    query: &Query,
    headers: &HeaderMap,
    body: &[u8],
) -> Reply {
    let Auth::Token { user, password, refresh_token, lifetime } = &options.auth else {
        return Reply::no_route();
    };
    let form = Query::parse(std::str::from_utf8(body).unwrap_or_default());
    let (asked, known) = match method {
        "GET" => {
            let given = basic(headers);
            let wrong = given.as_ref().is_some_and(|given| *given != (user.clone(), password.clone()))
                || (given.is_none() && headers.contains_key("authorization"));
            if wrong {
                return unauthorized("wrong user name or password");
            }
            (query.all("scope"), given.is_some())
        }
        "POST" => {
            let good = match form.get("grant_type") {
                Some("password") => {
                    form.get("username") == Some(user) && form.get("password") == Some(password)
                }
                Some("refresh_token") => {
                    refresh_token.is_some() && form.get("refresh_token") == refresh_token.as_deref()
                }
                _ => return Reply::json(400, &json!({"error": "unsupported_grant_type"})),
            };
            if !good {
                return unauthorized("wrong user name, password or refresh token");
            }
            (form.all("scope"), true)
        }
        _ => return Reply::error(405, "UNSUPPORTED", "method not allowed"),
    };
    if !known && !options.anonymous_pull {
        return unauthorized("authentication required");
    }
    let mut scopes = BTreeSet::new();
    for asked in asked.iter().flat_map(|asked| asked.split(' ')) {
        // `repository:<name>:<actions>`; the name itself may hold no colon here.
        let mut parts = asked.splitn(3, ':');
        let (Some("repository"), Some(name), Some(actions)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let may_write = known && !options.read_only.iter().any(|read_only| read_only == name);
        for action in actions.split(',').filter(|action| *action == "pull" || may_write) {
            let actions: &[&str] = if action == "*" { &["pull", "push", "delete"] } else { &[action] };
            scopes.extend(actions.iter().map(|action| scope(name, action)));
        }
    }
    let token = tokens.issue(scopes, *lifetime);
    let mut answer = json!({"token": token, "access_token": token, "expires_in": lifetime.as_secs()});
    let offline = query.get("offline_token") == Some("true") || form.get("access_type") == Some("offline");
    if let Some(refresh_token) = refresh_token.as_ref().filter(|_| known && offline) {
        answer["refresh_token"] = json!(refresh_token);
    }
    Reply::json(200, &answer)
}

fn scheme_and_rest(headers: &HeaderMap) -> Option<(&str, &str)> {
    headers.get("authorization")?.to_str().ok()?.split_once(' ')
}

fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let (scheme, rest) = scheme_and_rest(headers)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
    decoded.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, rest) = scheme_and_rest(headers)?;
    scheme.eq_ignore_ascii_case("bearer").then(|| rest.trim())
}
