//! Blobs: looked for, read.

use bytes::Bytes;
use granary_net::header::{CONTENT_RANGE, HeaderValue, RANGE};
use granary_net::{Answer, Method, Response, StatusCode};
use granary_oci::{Descriptor, Digest, Repository};

use crate::client::Registry;
use crate::error::{ProtocolProblem, RegistryError};
use crate::manifests::CONTENT_DIGEST;
use crate::request::{Call, Target};

impl Registry {
    /// Whether a repository has a blob, as the registry says now.
    ///
    /// # Errors
    /// If the registry neither says yes nor no.
    pub(crate) async fn blob_exists(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<bool, RegistryError> {
        let operation = self.operation("looking for blob", repository, format!("@{digest}"), false);
        let target = Target::Below(format!("blobs/{digest}"));
        let answer = self.exchange(Call::new(operation.clone(), Method::HEAD, target)).await?;
        match answer.status {
            StatusCode::OK if is_page(&answer, digest) => {
                Err(operation.problem(ProtocolProblem::WebPage { status: answer.status }))
            }
            StatusCode::OK => {
                self.remember_blob(repository, digest);
                Ok(true)
            }
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(self.refused(operation, &answer)),
        }
    }

    /// Reads a blob of at most `limit` bytes into memory and checks it against its descriptor.
    ///
    /// # Errors
    /// Also if it is larger, or not what the descriptor says.
    pub async fn blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        limit: u64,
    ) -> Result<Bytes, RegistryError> {
        let operation = self.operation("reading blob", repository, format!("@{}", descriptor.digest), false);
        if descriptor.size > limit {
            return Err(operation.problem(ProtocolProblem::TooLarge { size: descriptor.size, limit }));
        }
        let target = Target::Below(format!("blobs/{}", descriptor.digest));
        let mut call = Call::new(operation.clone(), Method::GET, target);
        call.limit = descriptor.size;
        let answer = self.exchange(call).await?;
        if answer.status != StatusCode::OK {
            return Err(self.refused(operation, &answer));
        }
        let actual = answer.body.len() as u64;
        if actual != descriptor.size {
            return Err(operation.problem(ProtocolProblem::WrongSize { expected: descriptor.size, actual }));
        }
        if !descriptor.digest.matches(&answer.body) {
            let (asked, actual) = (descriptor.digest.clone(), Digest::of(&answer.body));
            return Err(operation.problem(ProtocolProblem::WrongContent { asked, actual }));
        }
        Ok(answer.body)
    }

    /// Opens a blob to be streamed, at byte `from` where the registry gives out parts (206), else at its
    /// beginning (200); nothing is checked here.
    pub(crate) async fn open_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        from: Option<u64>,
    ) -> Result<Response, RegistryError> {
        let operation = self.operation("reading blob", repository, format!("@{}", descriptor.digest), false);
        let target = Target::Below(format!("blobs/{}", descriptor.digest));
        let mut call = Call::new(operation.clone(), Method::GET, target);
        if let Some(from) = from {
            let range = HeaderValue::from_str(&format!("bytes={from}-"));
            call.headers.insert(RANGE, range.expect("invariant: digits are a header value"));
        }
        let response = self.open(call).await?;
        if response.status() == StatusCode::PARTIAL_CONTENT {
            let range = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
            let begin = range.and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.parse().ok());
            if begin.is_none() || begin != from {
                let reason = format!("`Content-Range` is {}", range.unwrap_or("missing"));
                let expected = "the part of the blob that was asked for";
                return Err(operation.problem(ProtocolProblem::Document { expected, reason }));
            }
        }
        Ok(response)
    }
}

/// Whether a success is that of a login page or the like: it calls itself HTML, and does not call itself by
/// the digest either. Quay's answers without content say HTML too, but name the digest.
fn is_page(answer: &Answer, digest: &Digest) -> bool {
    let is_html = answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
    is_html && answer.header(CONTENT_DIGEST).is_none_or(|named| named != digest.as_str())
}
