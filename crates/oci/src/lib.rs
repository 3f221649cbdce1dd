//! The nouns of the OCI specifications: names, digests, descriptors, manifests.
//!
//! Pure: no network, no clock, no files. Text is parsed once, at the border, into a type that cannot
//! hold anything else. Manifests are bytes: they are read through [`Manifest`], but what is stored,
//! hashed and sent on is always what was received ([`RawManifest`]), because a manifest that was
//! serialised again is another manifest.
//!
//! Specs: <https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md>,
//! <https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md>.

mod artifact;
mod descriptor;
mod digest;
mod fallback;
mod manifest;
pub mod media_type;
mod name;

pub use artifact::{ArtifactManifest, EMPTY_JSON, empty_descriptor};
pub use descriptor::{Descriptor, Platform};
pub use digest::{Digest, Digester, ParseDigestError};
pub use fallback::{FallbackError, FallbackIndex};
pub use manifest::{MAX_MANIFEST_BYTES, Manifest, ManifestError, RawManifest};
pub use name::{ParseNameError, Reference, RegistryHost, Repository, Tag, TagOrDigest, without_userinfo};
