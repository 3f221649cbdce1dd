//! What a request may do: the scopes of its token, and what becomes of a 401.

use granary_net::{Request, StatusCode};
use granary_oci::Repository;
use url::Url;

use crate::auth::{AuthError, Occasion, Patience, Sent, listed};
use crate::client::Registry;
use crate::error::{Operation, RegistryError};
use crate::request::Reply;
use crate::scope::Scope;

/// What a request asks to be allowed, and what became of that so far.
pub(crate) struct Rights {
    scopes: Vec<Scope>,
    /// It has met a 401 before.
    challenged: bool,
    /// The scopes have been cut down to what is needed.
    reduced: bool,
    /// It takes so long that an old token might die on the way.
    lasting: bool,
}

impl Registry {
    /// What an operation needs, before anybody was asked.
    pub(crate) fn rights(&self, operation: &Operation, lasting: bool) -> Rights {
        if operation.writes {
            self.announce_writes(&operation.repository, &[]);
        }
        Rights { scopes: self.scopes(&operation.repository), challenged: false, reduced: false, lasting }
    }

    /// Adds the right `Authorization`. Where no token is given out for the repository together with those
    /// that its blobs would be mounted from, one for the repository alone has to do.
    pub(crate) async fn authorize(
        &self,
        request: &mut Request,
        operation: &Operation,
        rights: &mut Rights,
        base: &Url,
    ) -> Result<Sent, RegistryError> {
        let repository = &operation.repository;
        let occasion = Occasion {
            base,
            lasting: rights.lasting,
            patience: Patience { policy: self.inner().policy, deadline: self.inner().deadline },
        };
        loop {
            let (auth, headers) = (&self.inner().auth, &mut request.headers);
            match auth.authorize(headers, repository, &rights.scopes, occasion).await {
                // Once, since the registry's challenge may name the refused one again.
                Err(source) if source.is_refusal() && rights.scopes.len() > 1 && !rights.reduced => {
                    self.give_up_mounts(repository);
                    rights.scopes = self.scopes(repository);
                    rights.reduced = true;
                }
                authorized => return authorized.map_err(|source| auth_error(operation, source)),
            }
        }
    }

    /// Takes note of what an answer says about who we are. Returns whether the request should be sent
    /// again, with other credentials.
    pub(crate) async fn authenticates_anew(
        &self,
        operation: &Operation,
        sent: &Sent,
        reply: &Reply,
        rights: &mut Rights,
        base: &Url,
    ) -> Result<bool, RegistryError> {
        let auth = &self.inner().auth;
        let answer = match reply {
            Reply::Whole(answer) if answer.status == StatusCode::UNAUTHORIZED => answer,
            reply => return Ok(auth.answered(sent, reply.status() == StatusCode::FORBIDDEN)),
        };
        let known = rights.scopes.len();
        let noted = auth.challenged(sent, answer, &operation.repository, &mut rights.scopes, base).await;
        noted.map_err(|source| auth_error(operation, source))?;
        if rights.challenged && rights.scopes.len() == known {
            let (scopes, said) = (listed(&rights.scopes), Box::new(self.said(answer)));
            return Err(auth_error(operation, AuthError::Insufficient { scopes, said }));
        }
        rights.challenged = true;
        Ok(true)
    }

    /// The scopes for a repository, in one token with everything else that is known to come.
    fn scopes(&self, repository: &Repository) -> Vec<Scope> {
        match self.writing().get(repository) {
            Some(known) => {
                let mut scopes = vec![Scope::pull_push(repository)];
                Scope::merge(&mut scopes, known.sources.iter().map(Scope::pull));
                scopes
            }
            None => vec![Scope::pull(repository)],
        }
    }
}

fn auth_error(operation: &Operation, source: AuthError) -> RegistryError {
    RegistryError::Auth { operation: Box::new(operation.clone()), source: Box::new(source) }
}
