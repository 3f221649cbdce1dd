//! Authentication to one registry: no ping, driven by the registry's own 401.
//!
//! The first request goes out bare, or with Basic where a password is known. A 401 says where tokens
//! come from; from then on tokens are fetched before they are needed, once for everybody who waits,
//! and renewed when most of their life is over.
//!
//! Credentials go to the registry and to the token server that it names, never over plain HTTP off this
//! machine, and never to anybody else.

mod error;
mod token;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use granary_net::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use granary_net::{Answer, Http};
use granary_oci::{RegistryHost, Repository};
use granary_redact::{Redactor, Secret};
use url::Url;

pub use error::AuthError;

use crate::challenge::Challenge;
use crate::credentials::{Credentials, Login};
use crate::observe::Audience;
use crate::said::Said;
use crate::scope::Scope;
pub(crate) use token::{Patience, listed};
use token::{Token, TokenServer};

/// What a request went out with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Nothing.
    Bare,
    /// Basic, before the registry had asked for it.
    Guessed,
    /// Basic, as the registry wants it.
    Basic,
    /// A token.
    Token(Secret),
}

/// How the registry wants to be spoken to, as far as it is known.
#[derive(Clone)]
enum Scheme {
    Unknown,
    Basic,
    Bearer(TokenServer),
}

struct State {
    scheme: Scheme,
    tokens: Vec<Token>,
    /// The registry refuses a guessed Basic outright instead of answering with a challenge.
    never_guess: bool,
    logins: HashMap<Repository, Option<Login>>,
}

/// The registry's address and the time there is, as a request sees them.
#[derive(Clone, Copy)]
pub(crate) struct Occasion<'a> {
    /// The registry's root, as it is spoken to now.
    pub(crate) base: &'a Url,
    pub(crate) patience: Patience,
    /// The request takes so long that a token in the second half of its life might die on the way.
    pub(crate) lasting: bool,
}

pub(crate) struct Authenticator {
    host: RegistryHost,
    http: Http,
    credentials: Credentials,
    redactor: RwLock<Redactor>,
    state: Mutex<State>,
    fetching: Mutex<HashMap<Vec<Scope>, Arc<tokio::sync::Mutex<()>>>>,
    settled: AtomicBool,
    audience: Audience,
}

impl Authenticator {
    pub(crate) fn new(
        host: RegistryHost,
        http: Http,
        credentials: Credentials,
        redactor: Redactor,
        audience: Audience,
    ) -> Self {
        let state =
            State { scheme: Scheme::Unknown, tokens: Vec::new(), never_guess: false, logins: HashMap::new() };
        Authenticator {
            host,
            http,
            credentials,
            redactor: RwLock::new(redactor),
            state: Mutex::new(state),
            fetching: Mutex::default(),
            settled: AtomicBool::new(false),
            audience,
        }
    }

    /// Whether the registry has said how it wants to be spoken to. Until then requests should queue up
    /// behind the first one instead of collecting a 401 each.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Acquire)
    }

    /// The registry's words, fit to be shown.
    pub(crate) fn said(&self, body: &[u8]) -> Said {
        Said::read(body, &self.redactor.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds the right `Authorization` to `headers`; fetches a token if one is needed.
    pub(crate) async fn authorize(
        &self,
        headers: &mut HeaderMap,
        repository: &Repository,
        scopes: &[Scope],
        occasion: Occasion<'_>,
    ) -> Result<Sent, AuthError> {
        headers.remove(AUTHORIZATION);
        let login = self.login(repository).await?;
        if login.is_some() && occasion.base.scheme() == "http" && !self.host.is_loopback() {
            return Err(AuthError::PlainHttp { host: self.host.clone() });
        }
        let (scheme, never_guess) = {
            let state = self.state();
            (state.scheme.clone(), state.never_guess)
        };
        let (sent, value) = match (scheme, login) {
            (Scheme::Unknown, Some(Login::Password { username, password })) if !never_guess => {
                (Sent::Guessed, basic(&username, &password))
            }
            (Scheme::Unknown, _) => return Ok(Sent::Bare),
            (Scheme::Basic, Some(Login::Password { username, password })) => {
                (Sent::Basic, basic(&username, &password))
            }
            (Scheme::Basic, Some(Login::IdentityToken(_)) | None) => return Ok(Sent::Bare),
            (Scheme::Bearer(server), login) => {
                let token = self.token(&server, login.as_ref(), scopes, occasion).await?;
                let value = Secret::new(format!("Bearer {}", token.expose()));
                (Sent::Token(token), value)
            }
        };
        let mut value = HeaderValue::from_str(value.expose()).map_err(|_| AuthError::Unsendable)?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
        Ok(sent)
    }

    /// Takes note of an answer that is not a 401. Returns whether the request should be sent again
    /// without credentials, to get a challenge in place of a flat refusal of the guess.
    pub(crate) fn answered(&self, sent: &Sent, answer_is_refusal: bool) -> bool {
        let mut state = self.state();
        if *sent == Sent::Guessed && matches!(state.scheme, Scheme::Unknown) {
            if answer_is_refusal {
                state.never_guess = true;
                return true;
            }
            state.scheme = Scheme::Basic;
        }
        self.settled.store(true, Ordering::Release);
        false
    }

    /// Takes note of a 401: afterwards [`Self::authorize`] does better, or this says why it cannot.
    /// `scopes` grows by what the registry names in addition.
    pub(crate) async fn challenged(
        &self,
        sent: &Sent,
        answer: &Answer,
        repository: &Repository,
        scopes: &mut Vec<Scope>,
        base: &Url,
    ) -> Result<(), AuthError> {
        let values = answer.headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let challenges: Vec<Challenge> = values.flat_map(Challenge::parse).collect();
        let login = self.login(repository).await?;
        let named = |scheme: &str| challenges.iter().find(|challenge| challenge.scheme == scheme);
        let scheme = match (named("bearer"), named("basic")) {
            (Some(bearer), _) => {
                Scope::merge(scopes, Scope::parse_all(bearer.parameter("scope").unwrap_or_default()));
                Scheme::Bearer(TokenServer::from_challenge(bearer, base, &self.host)?)
            }
            // Some proxies in front of a registry send a 401 without a challenge; Basic is what they want.
            (None, Some(_)) | (None, None) if challenges.is_empty() || named("basic").is_some() => {
                let said = Box::new(self.said(&answer.body));
                match (sent, login) {
                    (_, None) => return Err(AuthError::NoCredentials { host: self.host.clone(), said }),
                    (_, Some(Login::IdentityToken(_))) => return Err(AuthError::TokenNotUsable),
                    (Sent::Guessed | Sent::Basic, Some(Login::Password { username, .. })) => {
                        return Err(AuthError::Rejected {
                            username: Some(username),
                            status: answer.status,
                            said,
                        });
                    }
                    (Sent::Bare | Sent::Token(_), Some(Login::Password { .. })) => Scheme::Basic,
                }
            }
            _ => {
                let schemes: Vec<&str> =
                    challenges.iter().map(|challenge| challenge.scheme.as_str()).take(3).collect();
                return Err(AuthError::Scheme { schemes: schemes.join(", ") });
            }
        };
        let mut state = self.state();
        if let Sent::Token(refused) = sent {
            state.tokens.retain(|token| token.value != *refused);
        }
        state.scheme = scheme;
        self.settled.store(true, Ordering::Release);
        Ok(())
    }

    /// A valid token for `scopes`. Whoever asks while somebody else is fetching it waits for that one.
    async fn token(
        &self,
        server: &TokenServer,
        login: Option<&Login>,
        scopes: &[Scope],
        occasion: Occasion<'_>,
    ) -> Result<Secret, AuthError> {
        if let Some(token) = self.known_token(scopes, occasion.lasting) {
            return Ok(token);
        }
        let turn = {
            let mut fetching = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
            fetching.entry(scopes.to_vec()).or_default().clone()
        };
        let _turn = turn.lock().await;
        if let Some(token) = self.known_token(scopes, occasion.lasting) {
            return Ok(token);
        }
        let said = |body: &[u8]| self.said(body);
        let token = server.fetch(&self.http, login, scopes, occasion.patience, &self.audience, said).await?;
        self.keep_secret(&token.value);
        let value = token.value.clone();
        let mut state = self.state();
        state.tokens.retain(|known| !known.is_stale());
        // In front of those that are older.
        state.tokens.insert(0, token);
        Ok(value)
    }

    fn known_token(&self, scopes: &[Scope], lasting: bool) -> Option<Secret> {
        let state = self.state();
        let is_old = |token: &Token| token.is_stale() || (lasting && token.is_past_half());
        let fits = |token: &&Token| !is_old(token) && Scope::covers(&token.scopes, scopes);
        state.tokens.iter().find(fits).map(|token| token.value.clone())
    }

    /// Whether there is somebody to be there. Trouble with finding out shows when it matters.
    pub(crate) async fn has_login(&self, repository: &Repository) -> bool {
        !matches!(self.login(repository).await, Ok(None))
    }

    async fn login(&self, repository: &Repository) -> Result<Option<Login>, AuthError> {
        if let Some(login) = self.state().logins.get(repository) {
            return Ok(login.clone());
        }
        let found = self.credentials.login(&self.host, repository).await;
        let login = found.map_err(|source| AuthError::Credentials { source: Box::new(source) })?;
        match &login {
            Some(Login::Password { username, password }) => {
                self.redactor.write().unwrap_or_else(PoisonError::into_inner).add_basic(username, password);
            }
            Some(Login::IdentityToken(token)) => self.keep_secret(token),
            None => {}
        }
        self.state().logins.insert(repository.clone(), login.clone());
        Ok(login)
    }

    /// A server may echo what we sent; its words are shown.
    fn keep_secret(&self, secret: &Secret) {
        self.redactor.write().unwrap_or_else(PoisonError::into_inner).add(secret);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn basic(username: &str, password: &Secret) -> Secret {
    let pair = Secret::new(format!("{username}:{}", password.expose()));
    Secret::new(format!("Basic {}", STANDARD.encode(pair.expose())))
}
