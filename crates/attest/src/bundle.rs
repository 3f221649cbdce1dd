//! Sigstore bundles v0.3: the file in which a signed statement travels beside an image.
//!
//! Only bundles with a DSSE envelope and a bare public key are made and opened. Certificates and transparency-log
//! entries may be in a bundle and are not looked at: trust comes from the keys that the caller names, nothing else.
//! Bundles by strangers lie beside every public image; telling theirs from ours, and ours from a damaged one of ours,
//! is what [`OpenError`] is made for.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::dsse::{Envelope, IN_TOTO_PAYLOAD_TYPE};
use crate::key::SigningKey;
use crate::statement::{Statement, StatementError};
use crate::trust::TrustedKey;

/// Media type of the bundle, of its layer and `artifactType` of the manifest that carries it.
pub const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// The same in the spelling of older versions, accepted when reading.
pub const MEDIA_TYPE_WITH_PARAMETER: &str = "application/vnd.dev.sigstore.bundle+json;version=0.3";

/// Annotation of the carrying manifest that says what kind of signature the bundle holds.
pub const CONTENT_ANNOTATION: &str = "dev.sigstore.bundle.content";
/// Value of [`CONTENT_ANNOTATION`] for what is made here.
pub const CONTENT_DSSE: &str = "dsse-envelope";
/// Annotation of the carrying manifest that repeats the statement's predicate type. Unsigned: good for filtering
/// what to fetch, never for believing.
pub const PREDICATE_TYPE_ANNOTATION: &str = "dev.sigstore.bundle.predicateType";

/// Largest bundle, in bytes: what Kyverno reads. Callers stop fetching there; nothing larger is written.
pub const MAX_BUNDLE_BYTES: usize = 10 * 1024 * 1024;

/// Why a statement could not be signed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SignError {
    /// The statement could not be read back.
    #[error("refusing to sign this statement")]
    Statement {
        /// What is wrong with it.
        #[source]
        source: StatementError,
    },
    /// The bundle could not be written as JSON.
    #[error("cannot write the bundle")]
    Json {
        /// What the writer said.
        #[source]
        source: serde_json::Error,
    },
    /// Above [`MAX_BUNDLE_BYTES`]: verifiers would refuse it.
    #[error("the bundle has {size} bytes, more than the {MAX_BUNDLE_BYTES} that verifiers read")]
    TooLarge {
        /// Size in bytes.
        size: usize,
    },
}

/// Why a bundle is no evidence.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Not JSON, or not with the fields of a bundle.
    #[error("not a Sigstore bundle")]
    NotABundle {
        /// Where and what.
        #[source]
        source: serde_json::Error,
    },
    /// A bundle of another version.
    #[error("bundle media type {found:?} is not supported")]
    OtherMediaType {
        /// What the bundle calls itself.
        found: String,
    },
    /// A signature over the artifact's own bytes: it states nothing.
    #[error("the bundle holds a message signature, not a statement")]
    MessageSignature,
    /// Neither envelope nor message signature.
    #[error("the bundle holds no DSSE envelope")]
    NoEnvelope,
    /// Signed with a key that is not in the list.
    #[error("no trusted key made the signature (key hint {})", hint.as_deref().unwrap_or("absent"))]
    NoTrustedKey {
        /// The key that the bundle names, base64 of the SHA-256 of its SPKI.
        hint: Option<String>,
    },
    /// The bundle names a trusted key, and that key did not sign these bytes: damaged or forged.
    #[error("the bundle names the trusted key {key:?}, but its signature does not verify")]
    SignatureInvalid {
        /// Name of the trusted key.
        key: String,
    },
    /// A trusted key signed something that is no in-toto statement.
    #[error("payload type {found:?}, signed by {key:?}, is not {IN_TOTO_PAYLOAD_TYPE}")]
    WrongPayloadType {
        /// Name of the trusted key.
        key: String,
        /// The payload's type.
        found: String,
    },
    /// A trusted key signed a statement that cannot be understood.
    #[error("the statement signed by {key:?} cannot be used")]
    Statement {
        /// Name of the trusted key.
        key: String,
        /// What is wrong with it.
        #[source]
        source: StatementError,
    },
}

impl OpenError {
    /// Whether nothing ties the bundle to a trusted key: it is somebody else's and may be ignored.
    ///
    /// The others concern us and should be reported. Still none of them is evidence, neither for nor against: anybody
    /// who may push can write our key's hint into a bundle.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        match self {
            Self::NotABundle { .. }
            | Self::OtherMediaType { .. }
            | Self::MessageSignature
            | Self::NoEnvelope
            | Self::NoTrustedKey { .. } => true,
            Self::SignatureInvalid { .. } | Self::WrongPayloadType { .. } | Self::Statement { .. } => false,
        }
    }
}

/// A statement, and the key that vouches for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Opened<'k> {
    /// What was signed.
    pub statement: Statement,
    /// Who signed. Whether this key covers the statement's environment and time is for the caller to ask.
    pub key: &'k TrustedKey,
}

/// The bundle's JSON, as far as it is read. Field order is cosign's.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    media_type: String,
    #[serde(default)]
    verification_material: VerificationMaterial,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dsse_envelope: Option<Envelope>,
    #[serde(default, skip_serializing)]
    message_signature: Option<serde::de::IgnoredAny>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct VerificationMaterial {
    #[serde(default)]
    public_key: Option<PublicKeyIdentifier>,
}

#[derive(Serialize, Deserialize)]
struct PublicKeyIdentifier {
    #[serde(default)]
    hint: String,
}

/// Signs `statement` and returns the bundle's bytes. The same statement and key always give the same bytes.
///
/// # Errors
///
/// [`SignError`].
pub fn sign_statement(statement: &Statement, key: &SigningKey) -> Result<Vec<u8>, SignError> {
    let payload = statement.to_bytes().map_err(|source| SignError::Statement { source })?;
    let bundle = Wire {
        media_type: MEDIA_TYPE.to_owned(),
        verification_material: VerificationMaterial {
            public_key: Some(PublicKeyIdentifier { hint: key.public_key().hint() }),
        },
        dsse_envelope: Some(Envelope::sign(payload, IN_TOTO_PAYLOAD_TYPE, key)),
        message_signature: None,
    };
    let bytes = serde_json::to_vec(&bundle).map_err(|source| SignError::Json { source })?;
    if bytes.len() > MAX_BUNDLE_BYTES { Err(SignError::TooLarge { size: bytes.len() }) } else { Ok(bytes) }
}

/// Opens a bundle: its signature is checked with `keys` first, its content read after.
///
/// Callers bound the size by [`MAX_BUNDLE_BYTES`]. Unknown fields are skipped.
///
/// # Errors
///
/// [`OpenError`]; see [`OpenError::is_foreign`].
pub fn open<'k>(bytes: &[u8], keys: &'k [TrustedKey]) -> Result<Opened<'k>, OpenError> {
    let wire: Wire = serde_json::from_slice(bytes).map_err(|source| OpenError::NotABundle { source })?;
    if ![MEDIA_TYPE, MEDIA_TYPE_WITH_PARAMETER].contains(&wire.media_type.as_str()) {
        return Err(OpenError::OtherMediaType { found: wire.media_type });
    }
    let Some(envelope) = wire.dsse_envelope else {
        let signature = wire.message_signature.is_some();
        return Err(if signature { OpenError::MessageSignature } else { OpenError::NoEnvelope });
    };
    let Some(key) = envelope.verified_by(keys) else {
        let hint = wire.verification_material.public_key.map(|key| key.hint);
        return Err(match keys.iter().find(|key| Some(key.key.hint()) == hint) {
            Some(key) => OpenError::SignatureInvalid { key: key.name.clone() },
            None => OpenError::NoTrustedKey { hint },
        });
    };
    if envelope.payload_type != IN_TOTO_PAYLOAD_TYPE {
        return Err(OpenError::WrongPayloadType { key: key.name.clone(), found: envelope.payload_type });
    }
    let statement = Statement::from_bytes(&envelope.payload)
        .map_err(|source| OpenError::Statement { key: key.name.clone(), source })?;
    Ok(Opened { statement, key })
}
