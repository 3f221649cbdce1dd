//! Tag lists: all pages or an error, never a part.

use std::collections::BTreeSet;

use granary_net::{Answer, Method, StatusCode};
use granary_oci::{Repository, Tag};
use granary_redact::SafeUrl;
use serde::Deserialize;
use url::Url;

use crate::client::Registry;
use crate::error::{Operation, ProtocolProblem, RegistryError};
use crate::link;
use crate::request::{Call, Target, is_web_page};

/// Tags asked for per page. More is an error at some registries (ECR).
const PAGE_SIZE: usize = 1000;

/// Pages of one list. Registries that ignore `n` and give a hundred per page still get through with
/// a hundred thousand tags.
pub(crate) const MAX_PAGES: usize = 1000;

/// Largest page, in bytes: a registry that ignores `n` sends everything at once, at up to 131 bytes
/// per tag.
const MAX_PAGE_BYTES: u64 = 32 * 1024 * 1024;

#[derive(Deserialize)]
struct Page {
    /// `null` where the last tag was deleted. A document without the field is no tag list, whatever its
    /// status says: an error page, a login page, somebody else's `{}`.
    #[serde(deserialize_with = "present")]
    tags: Option<Vec<String>>,
}

/// Reads a field that has to be there, though it may be `null`.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    Option::deserialize(deserializer)
}

impl Registry {
    /// All tags of a repository, sorted by name. A repository that does not exist has none. Names that
    /// are no tags, which only a broken registry sends, are left out: nobody could have asked for them.
    ///
    /// # Errors
    /// Whatever else than "no such repository" kept any part of the list from us.
    pub async fn tags(&self, repository: &Repository) -> Result<Vec<Tag>, RegistryError> {
        Ok(self.existing_tags(repository).await?.unwrap_or_default())
    }

    /// As [`Self::tags`], but `None` where the repository does not exist: everything pushed there is new.
    ///
    /// # Errors
    /// As [`Self::tags`].
    pub async fn existing_tags(&self, repository: &Repository) -> Result<Option<Vec<Tag>>, RegistryError> {
        let operation = self.operation("listing tags of", repository, "", false);
        let mut tags = BTreeSet::new();
        let mut target = Target::Below(format!("tags/list?n={PAGE_SIZE}"));
        let mut visited: BTreeSet<String> = BTreeSet::new();
        for page in 0..MAX_PAGES {
            let mut call = Call::new(operation.clone(), Method::GET, target);
            call.limit = MAX_PAGE_BYTES;
            let answer = self.exchange(call).await?;
            // Harbor says NOT_FOUND where the specification says NAME_UNKNOWN. Both are codes of a
            // registry; a proxy's or router's 404 has none and proves nothing.
            let said = || self.said(&answer);
            let unknown = answer.status == StatusCode::NOT_FOUND
                && (said().has_code("NAME_UNKNOWN") || said().has_code("NOT_FOUND"));
            if unknown && page == 0 {
                return Ok(None);
            }
            if answer.status != StatusCode::OK {
                return Err(self.refused(operation, &answer));
            }
            if is_web_page(&answer) {
                return Err(operation.problem(ProtocolProblem::WebPage { status: answer.status }));
            }
            let document: Page = serde_json::from_slice(&answer.body).map_err(|error| {
                let problem = ProtocolProblem::Document { expected: "a tag list", reason: error.to_string() };
                operation.clone().problem(problem)
            })?;
            tags.extend(document.tags.unwrap_or_default().iter().filter_map(|name| name.parse::<Tag>().ok()));
            // Some lists link to themselves: a page that was read already is the end. An empty page is not,
            // if it links on (Gitea's last one does not): filtering registries send such.
            match next_page(&answer, &self.base(), &operation)? {
                Some(url) if visited.insert(url.to_string()) => target = Target::Url(url),
                _ => return Ok(Some(tags.into_iter().collect())),
            }
        }
        Err(operation.problem(ProtocolProblem::TooManyPages { limit: MAX_PAGES }))
    }
}

/// The page after this one, if the registry names one. It must be on the same host: the list decides
/// what is published, and a request there may carry credentials.
pub(crate) fn next_page(
    answer: &Answer,
    base: &Url,
    operation: &Operation,
) -> Result<Option<Url>, RegistryError> {
    let values = answer.headers.get_all("link");
    let Some(target) = values.iter().filter_map(|value| value.to_str().ok()).find_map(link::next) else {
        return Ok(None);
    };
    let Ok(url) = answer.url.join(target) else {
        let problem =
            ProtocolProblem::Document { expected: "a list", reason: "its `Link` is not a URL".to_owned() };
        return Err(operation.clone().problem(problem));
    };
    // Scheme and port may differ: a registry behind a proxy may know neither as we see them. Only path and
    // query are taken from it.
    let same_host = url.host() == base.host();
    // A continuation of this list, and not somebody else's.
    if !same_host || url.path() != answer.url.path() {
        let problem = ProtocolProblem::ForeignLink { url: SafeUrl::new(&url) };
        return Err(operation.clone().problem(problem));
    }
    let mut next = base.clone();
    next.set_path(url.path());
    next.set_query(url.query());
    Ok(Some(next))
}
