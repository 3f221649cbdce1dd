//! One request to the API: authenticated, bounded, tried again; never answered by anybody else.

use std::sync::atomic::Ordering;
use std::time::Duration;

use granary_net::header::{ACCEPT, AUTHORIZATION, HeaderName, HeaderValue, LOCATION};
use granary_net::{
    Answer, Attempts, HttpError, Method, Request, StatusCode, Verdict, classify_status, random_unit,
};
use granary_redact::SafeUrl;
use serde::de::DeserializeOwned;
use url::Url;

use crate::client::{Ask, Forge};
use crate::error::{ForgeError, Problem};
use crate::link;
use crate::name::ForgeKind;
use crate::observe::Event;
use crate::said::Said;
use crate::throttle::{LONGEST_WAIT, asked_to_wait};

/// Most bytes of one answer: the list of the tags whose names begin alike has 280 bytes for each.
const MAX_ANSWER_BYTES: u64 = 8 * 1024 * 1024;

/// Redirects in a row: forges send one where a repository was renamed.
const MAX_REDIRECTS: usize = 3;

/// Most pages of one list.
pub(crate) const MAX_PAGES: usize = 20;

impl Forge {
    /// The address of something below the repository; each segment is one, whatever is in it.
    pub(crate) fn below(&self, segments: &[&str], query: &[(&str, &str)]) -> Url {
        let inner = self.inner();
        let mut url = inner.api.clone();
        url.path_segments_mut()
            .expect("invariant: an http URL has a path")
            .pop_if_empty()
            .extend(["repos", inner.repository.owner(), inner.repository.name()])
            .extend(segments);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// The JSON at an address; `None` where there is none. Whoever concludes anything from that has to call
    /// [`Self::confirm_readable`]: forges say 404, too, to those who may not know.
    ///
    /// # Errors
    /// If nothing comes, or something else.
    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        ask: &Ask,
        url: Url,
    ) -> Result<Option<T>, ForgeError> {
        let answer = self.get(ask, url, "application/json").await?;
        match answer.status {
            StatusCode::OK => self.parse(ask, &answer).map(Some),
            StatusCode::NOT_FOUND if is_json(&answer) => Ok(None),
            // GitHub, of an empty repository.
            StatusCode::CONFLICT if self.kind() == ForgeKind::GitHub => Ok(None),
            _ => Err(self.unexpected(ask, &answer)),
        }
    }

    /// A list whose pages are linked.
    ///
    /// # Errors
    /// As [`Self::json`], and if it has too many pages or goes on at another host.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        ask: &Ask,
        first: Url,
    ) -> Result<Option<Vec<T>>, ForgeError> {
        let (mut all, mut url) = (Vec::new(), first);
        for _ in 0..MAX_PAGES {
            let answer = self.get(ask, url, "application/json").await?;
            match answer.status {
                StatusCode::OK => {}
                StatusCode::NOT_FOUND if all.is_empty() && is_json(&answer) => return Ok(None),
                _ => return Err(self.unexpected(ask, &answer)),
            }
            let page: Vec<T> = self.parse(ask, &answer)?;
            let ended = page.is_empty();
            all.extend(page);
            let next = answer.header("link").and_then(link::next).filter(|_| !ended);
            let Some(next) = next else { return Ok(Some(all)) };
            url = self.within(ask, &answer.url, next)?;
        }
        Err(ask.question.problem(Problem::Endless { bound: MAX_PAGES }))
    }

    /// Makes sure that this login may read the repository's content, so that a 404 means "there is none".
    ///
    /// # Errors
    /// If it may not, or nobody knows.
    pub(crate) async fn confirm_readable(&self, ask: &Ask) -> Result<(), ForgeError> {
        if self.inner().readable.load(Ordering::Relaxed) {
            return Ok(());
        }
        let limit = match self.kind() {
            ForgeKind::Gitea => "limit",
            ForgeKind::GitHub => "per_page",
        };
        let url = self.below(&["branches"], &[(limit, "1")]);
        // Gitea says `null` of an empty repository.
        match self.json::<Option<Vec<serde::de::IgnoredAny>>>(ask, url).await? {
            Some(_) => {
                self.inner().readable.store(true, Ordering::Relaxed);
                Ok(())
            }
            None => Err(ForgeError::Hidden {
                question: Box::new(ask.question.clone()),
                login: self.inner().login,
                needs: ask.question.needs,
            }),
        }
    }

    /// The answer to a GET, which is 2xx, or a 4xx that may have a meaning to the question. All retries,
    /// redirects and waiting are done here.
    ///
    /// # Errors
    /// If nothing comes, the login is refused or the quota used up.
    pub(crate) async fn get(&self, ask: &Ask, url: Url, accept: &'static str) -> Result<Answer, ForgeError> {
        let mut attempts = Attempts::new(self.inner().retries, ask.deadline);
        let mut waited = Duration::ZERO;
        loop {
            let result = self.once(ask, url.clone(), accept).await?;
            let (reason, pause) = match &result {
                Ok(answer) => {
                    self.tell(|| Event::Answered { url: SafeUrl::new(&url), status: answer.status });
                    let said = self.said(answer);
                    if let Some(wait) = asked_to_wait(answer, said.mentions("rate limit")) {
                        waited = waited.saturating_add(wait);
                        let pause = Some(wait).filter(|_| waited <= LONGEST_WAIT);
                        let pause = pause.and_then(|wait| attempts.failed(Some(wait), random_unit()));
                        let Some(pause) = pause else {
                            let question = Box::new(ask.question.clone());
                            return Err(ForgeError::RateLimited { question, wait: Some(wait) });
                        };
                        ("the forge's rate limit is used up".to_owned(), Some(pause))
                    } else if classify_status(answer.status) == Verdict::Retry {
                        let pause = attempts.failed(answer.retry_after(), random_unit());
                        (format!("the forge answered {}", answer.status.as_u16()), pause)
                    } else {
                        (String::new(), None)
                    }
                }
                Err(error) if error.verdict() == Verdict::Retry => {
                    ("the forge cannot be reached".to_owned(), attempts.failed(None, random_unit()))
                }
                Err(_) => (String::new(), None),
            };
            if let Some(pause) = pause {
                self.tell(|| Event::Retrying { url: SafeUrl::new(&url), reason, pause });
                tokio::time::sleep(pause).await;
                continue;
            }
            let unreachable = |source| ForgeError::Unreachable {
                question: Box::new(ask.question.clone()),
                source: Box::new(source),
            };
            return self.judged(ask, result.map_err(unreachable)?);
        }
    }

    async fn once(
        &self,
        ask: &Ask,
        url: Url,
        accept: &'static str,
    ) -> Result<Result<Answer, HttpError>, ForgeError> {
        let mut url = url;
        for _ in 0..=MAX_REDIRECTS {
            let mut request =
                Request::new(Method::GET, url.clone()).with_header(ACCEPT, HeaderValue::from_static(accept));
            if self.kind() == ForgeKind::GitHub {
                let version = HeaderName::from_static("x-github-api-version");
                request = request.with_header(version, HeaderValue::from_static("2022-11-28"));
            }
            if let Some(authorization) = &self.inner().authorization {
                request = request.with_header(AUTHORIZATION, authorization.clone());
            }
            let response = match self.inner().http.send_without_following(&request, ask.deadline).await {
                Ok(response) => response,
                Err(error) => return Ok(Err(error)),
            };
            if !response.status().is_redirection() {
                return Ok(response.read(MAX_ANSWER_BYTES).await);
            }
            let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            url = self.within(ask, &url, location.unwrap_or("//"))?;
        }
        Err(ask.question.problem(Problem::Endless { bound: MAX_REDIRECTS }))
    }

    /// Where a redirect or a link leads, if that is still this API.
    fn within(&self, ask: &Ask, from: &Url, to: &str) -> Result<Url, ForgeError> {
        let api = &self.inner().api;
        match from.join(to) {
            Ok(url) if url.origin() == api.origin() && url.path().starts_with(api.path()) => Ok(url),
            Ok(url) => Err(ask.question.problem(Problem::Redirect { to: SafeUrl::new(&url) })),
            Err(_) => Err(ask.question.problem(Problem::Redirect { to: SafeUrl::from_text(to) })),
        }
    }

    fn judged(&self, ask: &Ask, answer: Answer) -> Result<Answer, ForgeError> {
        let (question, login) = (Box::new(ask.question.clone()), self.inner().login);
        let said = Box::new(self.said(&answer));
        match answer.status {
            StatusCode::UNAUTHORIZED => Err(ForgeError::Unauthorized { question, login, said }),
            StatusCode::FORBIDDEN => {
                // GitHub names the permissions that would do.
                let named = answer.header("x-accepted-github-permissions").filter(|named| named.len() < 200);
                let needs = named
                    .map_or_else(|| question.needs.to_owned(), |named| self.inner().redactor.clean(named));
                Err(ForgeError::Forbidden { question, login, needs, said })
            }
            status if status.is_server_error() => Err(ForgeError::Status { question, status, said }),
            _ => Ok(answer),
        }
    }

    /// The error for an answer that this question does not have.
    pub(crate) fn unexpected(&self, ask: &Ask, answer: &Answer) -> ForgeError {
        if is_web_page(answer) {
            return ask.question.problem(Problem::WebPage { status: answer.status });
        }
        let (question, said) = (Box::new(ask.question.clone()), Box::new(self.said(answer)));
        ForgeError::Status { question, status: answer.status, said }
    }

    pub(crate) fn parse<T: DeserializeOwned>(&self, ask: &Ask, answer: &Answer) -> Result<T, ForgeError> {
        serde_json::from_slice(&answer.body).map_err(|error| {
            ask.question.problem(match is_web_page(answer) {
                true => Problem::WebPage { status: answer.status },
                // It may quote a value.
                false => Problem::Json { reason: Said::of(&error.to_string(), &self.inner().redactor) },
            })
        })
    }

    fn said(&self, answer: &Answer) -> Said {
        Said::read(&answer.body, &self.inner().redactor)
    }
}

/// Whether an API said it: a route that it does not have, and a proxy's page, are no JSON.
fn is_json(answer: &Answer) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(&answer.body).is_ok()
}

fn is_web_page(answer: &Answer) -> bool {
    let begin = String::from_utf8_lossy(&answer.body[..answer.body.len().min(256)]);
    let begin = begin.trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
    ["<!doctype", "<html", "<head", "<body", "<!--"].iter().any(|tag| begin.starts_with(tag))
}
