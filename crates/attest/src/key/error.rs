//! Why a key is none.

use thiserror::Error;

use crate::sealed::MAX_SCRYPT_COST;

/// Why a key could not be read or made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// There is no `-----BEGIN …-----`, or what follows it is no label.
    #[error("no PEM block found")]
    NoPem,
    /// The block has no end, or its end has another label.
    #[error("the PEM block {label} is cut off: its END line is missing")]
    Truncated {
        /// Label of the block.
        label: String,
    },
    /// The body of the block is not base64.
    #[error("the PEM block {label} is damaged: its body is not base64")]
    BadBase64 {
        /// Label of the block.
        label: String,
    },
    /// The private key is encrypted as OpenSSL does it. Reading these would take nine more crates, for a key that
    /// one command rewrites.
    #[error(
        "the private key is encrypted in a form that is not supported ({label}): decrypt it with \
         `openssl pkey -in OLD -out NEW`; `cosign import-key-pair --key NEW` encrypts it in a form that is"
    )]
    UnsupportedEncryption {
        /// Label of the block.
        label: String,
    },
    /// The private key is encrypted as cosign does it, and nothing was given to open it with.
    #[error("the private key is encrypted ({label}): its password is needed (`signing_key_password`)")]
    NoPassword {
        /// Label of the block.
        label: String,
    },
    /// The box does not open. Which of the two it is cannot be told.
    #[error(
        "the private key does not open: the password (`signing_key_password`) is not its own, or it is damaged"
    )]
    WrongPassword,
    /// Encrypted as cosign does it, with algorithms that it did not use when this was written.
    #[error("the private key is encrypted with the {what} {found}, and only {expected} is supported")]
    UnknownEncryption {
        /// Key derivation or cipher.
        what: &'static str,
        /// Its name.
        found: String,
        /// The one that would do.
        expected: &'static str,
    },
    /// Above [`MAX_SCRYPT_COST`]: such a file would take the machine's memory.
    #[error(
        "the private key asks for scrypt with N={n}, r={r}, p={p}: N*r*p is more than {MAX_SCRYPT_COST}, \
         which cosign never asks for"
    )]
    TooCostly {
        /// N.
        n: u64,
        /// r.
        r: u32,
        /// p.
        p: u32,
    },
    /// A public key where the private key belongs.
    #[error("this is a public key, and a private key is needed to sign")]
    PublicInsteadOfPrivate,
    /// A private key where the public key belongs: it has been shown to those who should only verify.
    #[error("this is a private key, and only the public key belongs here")]
    PrivateInsteadOfPublic,
    /// A certificate, an OpenSSH key, a request…
    #[error("the PEM block {label} is not supported, expected {expected}")]
    UnexpectedBlock {
        /// Label of the block.
        label: String,
        /// Labels that would do.
        expected: &'static str,
    },
    /// More than one key where one is meant.
    #[error("{count} keys found where one is expected")]
    SeveralKeys {
        /// How many.
        count: usize,
    },
    /// RSA, Ed25519, another curve.
    #[error("the key is for {found}, and only ECDSA P-256 is supported")]
    WrongAlgorithm {
        /// Name of the algorithm or curve.
        found: &'static str,
    },
    /// The block decodes, and holds no key. What DER parser failed where would tell the reader nothing.
    #[error("the PEM block {label} does not hold a valid key")]
    Malformed {
        /// Label of the block.
        label: String,
    },
    /// The random bytes are no private key: draw again. The chance is 2⁻³².
    #[error("the random bytes are outside the range of P-256 private keys")]
    RandomOutOfRange,
}
