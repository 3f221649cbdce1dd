//! ECDSA P-256 keys: reading them from PEM, signing, verifying.
//!
//! Reads private keys as PKCS#8 or SEC1 and public keys as SPKI, in the PEM that `openssl` and `cosign public-key`
//! write, and the encrypted private keys of `cosign generate-key-pair`. Refuses other encryption, other algorithms and
//! curves, and a key of the wrong kind, each by name: "bad key" at 3 a.m. helps nobody. No error and no `Debug` output
//! contains key material.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use p256::ecdsa::signature::{Signer, Verifier};
use p256::ecdsa::{DerSignature, VerifyingKey};
use p256::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, LineEnding};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::pem::{self, Block};
use crate::sealed;

mod error;

pub use self::error::KeyError;
pub use crate::sealed::{MAX_SCRYPT_COST, NONCE_BYTES, SALT_BYTES};

const PUBLIC: &str = "PUBLIC KEY";
const PKCS8: &str = "PRIVATE KEY";
const SEC1: &str = "EC PRIVATE KEY";
/// What would do where a private key is expected.
const PRIVATE: &str = "PRIVATE KEY, EC PRIVATE KEY or ENCRYPTED SIGSTORE PRIVATE KEY";

/// A private key. Wiped from memory when dropped; `Debug` shows the hint of its public key only.
#[derive(Clone)]
pub struct SigningKey(p256::ecdsa::SigningKey);

impl SigningKey {
    /// Reads one private key that needs no password. See [`Self::from_pem_with_password`].
    ///
    /// # Errors
    ///
    /// [`KeyError`], naming the kind of key that was found.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        Self::from_pem_with_password(text, None)
    }

    /// Reads one private key from PEM as CI secrets carry it: PKCS#8 (`PRIVATE KEY`), SEC1 (`EC PRIVATE KEY`), or
    /// cosign's own (`ENCRYPTED SIGSTORE PRIVATE KEY`, before `ENCRYPTED COSIGN PRIVATE KEY`).
    ///
    /// A public key or `EC PARAMETERS` beside it is skipped. A password that is not needed is no error: it guards
    /// nothing, and a key may be decrypted before its password is taken away. Without a password the empty one is
    /// tried, because an empty setting counts as absent and `COSIGN_PASSWORD=""` is common.
    ///
    /// An encrypted key takes up to 128 MiB of memory for a moment, 64 MiB where cosign 3 made it.
    ///
    /// # Errors
    ///
    /// [`KeyError`], naming the kind of key that was found.
    pub fn from_pem_with_password(text: &str, password: Option<&[u8]>) -> Result<Self, KeyError> {
        let blocks = pem::blocks(text)?;
        let private: Vec<&Block> = blocks.iter().filter(|block| block.label.ends_with(PKCS8)).collect();
        let block = match private.as_slice() {
            [block] => *block,
            [] if blocks.iter().any(|block| block.label == PUBLIC) => {
                return Err(KeyError::PublicInsteadOfPrivate);
            }
            [] => return Err(unexpected(&blocks[0], PRIVATE)),
            several => return Err(KeyError::SeveralKeys { count: several.len() }),
        };
        let (der, secret) = match block.label.as_str() {
            PKCS8 => pkcs8(block.der()?),
            SEC1 => {
                let der = block.der()?;
                let secret = p256::SecretKey::from_sec1_der(&der).ok();
                (der, secret)
            }
            sealed::SIGSTORE | sealed::COSIGN => {
                let opened = sealed::open(block, password.unwrap_or_default());
                pkcs8(opened.map_err(|error| match error {
                    KeyError::WrongPassword if password.is_none() => {
                        KeyError::NoPassword { label: block.label.clone() }
                    }
                    error => error,
                })?)
            }
            "RSA PRIVATE KEY" => return Err(KeyError::WrongAlgorithm { found: "RSA" }),
            label if label.starts_with("ENCRYPTED ") => {
                return Err(KeyError::UnsupportedEncryption { label: block.label.clone() });
            }
            _ => return Err(unexpected(block, PRIVATE)),
        };
        secret.map(|secret| Self(secret.into())).ok_or_else(|| explain(block, &der))
    }

    /// Makes a key of 32 bytes from a cryptographic random source.
    ///
    /// # Errors
    ///
    /// [`KeyError::RandomOutOfRange`]: draw again.
    pub fn generate(random: [u8; 32]) -> Result<Self, KeyError> {
        let random = Zeroizing::new(random);
        p256::ecdsa::SigningKey::from_slice(random.as_slice())
            .map(Self)
            .map_err(|_| KeyError::RandomOutOfRange)
    }

    /// Writes the key as unencrypted PKCS#8 PEM.
    #[must_use]
    pub fn to_pem(&self) -> Zeroizing<String> {
        self.0.to_pkcs8_pem(LineEnding::LF).expect("invariant: a P-256 key of fixed size has a PKCS#8 form")
    }

    /// Writes the key encrypted, as cosign 3 does and reads it. `salt` and `nonce` come from a cryptographic random
    /// source and serve for one key only.
    #[must_use]
    pub fn to_encrypted_pem(
        &self,
        password: &[u8],
        salt: [u8; SALT_BYTES],
        nonce: [u8; NONCE_BYTES],
    ) -> String {
        let der = self.0.to_pkcs8_der().expect("invariant: a P-256 key of fixed size has a PKCS#8 form");
        sealed::seal(der.as_bytes(), password, salt, nonce)
    }

    /// Returns the public half.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey(*self.0.verifying_key())
    }

    /// Signs `message` (SHA-256, RFC 6979) and returns the signature in DER, as Go's `ecdsa.SignASN1` writes it.
    ///
    /// `s` is not brought to its lower half: no verifier of bundles asks for it, and Go's does not do it either.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature: DerSignature = self.0.sign(message);
        signature.as_bytes().to_vec()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SigningKey").field("hint", &self.public_key().hint()).finish_non_exhaustive()
    }
}

/// A public key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads exactly one public key (`PUBLIC KEY`, SPKI).
    ///
    /// # Errors
    ///
    /// [`KeyError`], naming the kind of key that was found.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        match Self::many_from_pem(text)?.as_slice() {
            [key] => Ok(*key),
            several => Err(KeyError::SeveralKeys { count: several.len() }),
        }
    }

    /// Reads one or more concatenated public keys, in their order.
    ///
    /// # Errors
    ///
    /// [`KeyError`] of the first block that is not a public key: a list that is half read would trust less, or
    /// something else, than was written.
    pub fn many_from_pem(text: &str) -> Result<Vec<Self>, KeyError> {
        pem::blocks(text)?
            .iter()
            .map(|block| match block.label.as_str() {
                PUBLIC => {
                    let der = block.der()?;
                    VerifyingKey::from_public_key_der(&der).map(Self).map_err(|_| explain(block, &der))
                }
                label if label.ends_with(PKCS8) => Err(KeyError::PrivateInsteadOfPublic),
                _ => Err(unexpected(block, PUBLIC)),
            })
            .collect()
    }

    /// Writes the key as SPKI PEM, byte for byte as `cosign.pub` and `openssl` have it.
    #[must_use]
    pub fn to_pem(&self) -> String {
        self.0
            .to_public_key_pem(LineEnding::LF)
            .expect("invariant: a P-256 key of fixed size has an SPKI form")
    }

    /// Returns base64(SHA-256(SPKI in DER)), by which Sigstore bundles name a key. A name only: it proves nothing.
    #[must_use]
    pub fn hint(&self) -> String {
        let der = self.0.to_public_key_der().expect("invariant: a P-256 key of fixed size has an SPKI form");
        STANDARD.encode(Sha256::digest(der.as_bytes()))
    }

    /// Whether `signature` (DER) is this key's over `message`.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        DerSignature::from_bytes(signature).is_ok_and(|signature| self.0.verify(message, &signature).is_ok())
    }
}

impl AsRef<PublicKey> for PublicKey {
    fn as_ref(&self) -> &PublicKey {
        self
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PublicKey({})", self.hint())
    }
}

fn pkcs8(der: Zeroizing<Vec<u8>>) -> (Zeroizing<Vec<u8>>, Option<p256::SecretKey>) {
    let secret = p256::SecretKey::from_pkcs8_der(&der).ok();
    (der, secret)
}

fn unexpected(block: &Block, expected: &'static str) -> KeyError {
    KeyError::UnexpectedBlock { label: block.label.clone(), expected }
}

/// DER object identifiers (tag and length included) of the keys that people bring instead.
const OTHER_ALGORITHMS: [(&[u8], &str); 6] = [
    (b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01", "RSA"),
    (b"\x06\x05\x2b\x81\x04\x00\x22", "ECDSA P-384"),
    (b"\x06\x05\x2b\x81\x04\x00\x23", "ECDSA P-521"),
    (b"\x06\x05\x2b\x81\x04\x00\x0a", "ECDSA secp256k1"),
    (b"\x06\x03\x2b\x65\x70", "Ed25519"),
    (b"\x06\x03\x2b\x65\x71", "Ed448"),
];

/// Names why a key did not decode. Looking for the identifier anywhere is good enough to explain a refusal that has
/// already happened, and is the same for PKCS#8, SEC1 and SPKI.
fn explain(block: &Block, der: &[u8]) -> KeyError {
    let found = OTHER_ALGORITHMS.iter().find(|(oid, _)| der.windows(oid.len()).any(|window| window == *oid));
    match found {
        Some((_, found)) => KeyError::WrongAlgorithm { found },
        None => KeyError::Malformed { label: block.label.clone() },
    }
}

#[cfg(test)]
mod tests;
