//! Whether a registry takes an index inside an index. Gitea's does not (400 `MANIFEST_INVALID`), and says
//! so only when everything below that index has been sent; it is recognised by its challenge beforehand.

use granary_net::header::{HeaderMap, WWW_AUTHENTICATE};
use granary_net::{Body, Method, Request, StatusCode};
use granary_oci::{Repository, TagOrDigest};
use url::Url;

use crate::challenge::Challenge;
use crate::client::Registry;
use crate::content::Content;
use crate::plan::PlanError;
use crate::transfer::TransferError;

impl Registry {
    /// Whether the registry refuses an index that lists an index, as far as its answers have shown.
    pub fn refuses_nested_indexes(&self) -> Option<bool> {
        self.learnt().refuses_nested_indexes.get()
    }

    /// Checks, before anything is written, that the registry takes the indexes of this content. Costs
    /// requests (two at most, reads) only where the content holds an index inside an index and the
    /// registry has not been recognised yet.
    ///
    /// # Errors
    /// If the registry is one that refuses nested indexes, or cannot be asked.
    pub async fn check_nested_indexes(
        &self,
        repository: &Repository,
        content: &Content,
    ) -> Result<(), TransferError> {
        if content.nested_index().is_some() && self.refuses_nested_indexes().is_none() {
            // Settles how the registry is spoken to, too.
            self.head_manifest(repository, &TagOrDigest::from(&content.top)).await?;
        }
        self.check_nested_as_known(content).await
    }

    /// The same for a registry that has been asked for something just now.
    pub(crate) async fn check_nested_as_known(&self, content: &Content) -> Result<(), TransferError> {
        let Some((index, child)) = content.nested_index() else { return Ok(()) };
        self.recognise().await;
        match self.refuses_nested_indexes() {
            Some(true) => Err(PlanError::NestedIndex { index, child, host: self.host().clone() }.into()),
            _ => Ok(()),
        }
    }

    /// Asks for the challenge that a request with credentials may never have met: Gitea takes Basic
    /// without a word. Where there is no answer nothing is learnt, and the registry's own refusal of the
    /// index has to do.
    pub(crate) async fn recognise(&self) {
        if self.refuses_nested_indexes().is_some() {
            return;
        }
        let url = self.base().join("/v2/").expect("invariant: a path joins a URL");
        let request = Request { method: Method::GET, url, headers: HeaderMap::new(), body: Body::Empty };
        if let Ok(response) = self.inner().http.send(&request, self.inner().deadline).await {
            if response.status() == StatusCode::UNAUTHORIZED {
                self.learn_from_challenge(response.headers(), &self.base());
            }
            if self.refuses_nested_indexes().is_none() {
                self.learnt().refuses_nested_indexes.set(false);
            }
        }
    }

    /// Takes note that somebody without a name was answered. Gitea and Forgejo tell such people nothing but
    /// 401.
    pub(crate) fn learn_from_openness(&self, status: StatusCode) {
        let answered = status.is_success() || status == StatusCode::NOT_FOUND;
        if answered && self.refuses_nested_indexes().is_none() {
            self.learnt().refuses_nested_indexes.set(false);
        }
    }

    /// Takes note of what a 401 says about the kind of registry.
    pub(crate) fn learn_from_challenge(&self, headers: &HeaderMap, base: &Url) {
        let values = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let mut challenges = values.flat_map(Challenge::parse);
        if let Some(bearer) = challenges.find(|challenge| challenge.scheme == "bearer") {
            self.learnt().refuses_nested_indexes.set(is_gitea(&bearer, base));
        }
    }
}

/// Gitea and Forgejo. GitLab has the same `service`, and another realm.
fn is_gitea(bearer: &Challenge, base: &Url) -> bool {
    let realm = bearer.parameter("realm").and_then(|realm| base.join(realm).ok());
    bearer.parameter("service") == Some("container_registry")
        && realm.is_some_and(|realm| realm.path().ends_with("/v2/token"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gitea_is_told_from_others() {
        let base = Url::parse("https://git.example.test/").unwrap();
        let table = [
            (
                r#"Bearer realm="https://git.example.test/v2/token",service="container_registry",scope="*""#,
                true,
            ),
            (r#"Bearer realm="https://x.test/forge/v2/token",service="container_registry""#, true),
            (r#"Bearer realm="/v2/token",service="container_registry""#, true),
            (r#"Bearer realm="https://gitlab.example.test/jwt/auth",service="container_registry""#, false),
            (r#"Bearer realm="https://git.example.test/v2/token",service="other""#, false),
            (r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io""#, false),
            ("Bearer", false),
        ];
        for (value, expected) in table {
            let challenge = Challenge::parse(value).remove(0);
            assert_eq!(is_gitea(&challenge, &base), expected, "{value}");
        }
    }
}
