//! A client for OCI registries: tags, manifests byte for byte, blobs, referrers.
//!
//! Knows nothing of plugins. It refuses to take a failed listing for an empty one, to send credentials
//! to anybody but the registry and its token server, to serialise a manifest again, and to complete an
//! upload whose content is not what its digest says. Everything is bounded by one deadline.
//!
//! Spec: <https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md>.

mod auth;
mod blob_source;
mod blobs;
mod challenge;
mod client;
mod content;
mod copy;
mod credentials;
mod error;
mod fallback;
mod learnt;
mod limit;
mod link;
mod manifests;
mod nested;
mod observe;
mod plan;
mod presence;
mod referrers;
mod request;
mod rights;
mod said;
mod scope;
mod tagging;
mod tags;
mod transfer;
mod tries;
mod upload;

pub use auth::AuthError;
pub use blob_source::{BlobSource, Progress, SourceError};
pub use client::{Registry, RegistryOptions};
pub use content::Content;
pub use copy::{CopyOptions, LeaveOut};
pub use credentials::{AuthFileEnvironment, CredentialError, Credentials, HelperEnvironment};
pub use error::{Class, Operation, ProtocolProblem, RegistryError};
pub use manifests::PutOutcome;
pub use observe::{Event, Observer};
pub use plan::{BlobWay, ByteCount, PlanError, PlannedBlob, PlannedManifest, TransferFacts, TransferPlan};
pub use said::Said;
pub use transfer::{
    BlobFate, BlobSettled, PlanOptions, TransferError, TransferListener, TransferProgress, TransferReport,
};
pub use upload::{BlobOutcome, PushOptions};
