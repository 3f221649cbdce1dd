//! Blobs: looked for, read.

use bytes::Bytes;
use granary_net::{Method, Response, StatusCode};
use granary_oci::{Descriptor, Digest, Repository};

use crate::client::Registry;
use crate::error::{ProtocolProblem, RegistryError};
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

    /// Opens a blob to be streamed; nothing is checked here.
    pub(crate) async fn open_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<Response, RegistryError> {
        let operation = self.operation("reading blob", repository, format!("@{}", descriptor.digest), false);
        let target = Target::Below(format!("blobs/{}", descriptor.digest));
        self.open(Call::new(operation, Method::GET, target)).await
    }
}
