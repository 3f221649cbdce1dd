//! ECDSA P-256 keys: reading them from PEM, signing, verifying.
//!
//! Reads private keys as PKCS#8 or SEC1 and public keys as SPKI, in the PEM that `openssl` and `cosign public-key`
//! write. Refuses encrypted keys, other algorithms and curves, and a key of the wrong kind, each by name: "bad key" at
//! 3 a.m. helps nobody. No error and no `Debug` output contains key material.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use p256::ecdsa::signature::{Signer, Verifier};
use p256::ecdsa::{DerSignature, VerifyingKey};
use p256::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, LineEnding};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::pem::{self, Block};

const PUBLIC: &str = "PUBLIC KEY";
const PKCS8: &str = "PRIVATE KEY";
const SEC1: &str = "EC PRIVATE KEY";

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
    /// The private key is protected by a password, as those of `cosign generate-key-pair` always are.
    #[error("the private key is encrypted ({label}): encrypted keys are not supported yet")]
    Encrypted {
        /// Label of the block.
        label: String,
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

/// A private key. Wiped from memory when dropped; `Debug` shows the hint of its public key only.
#[derive(Clone)]
pub struct SigningKey(p256::ecdsa::SigningKey);

impl SigningKey {
    /// Reads one private key: PKCS#8 (`PRIVATE KEY`) or SEC1 (`EC PRIVATE KEY`), from PEM as CI secrets carry it.
    ///
    /// A public key or `EC PARAMETERS` beside it is skipped.
    ///
    /// # Errors
    ///
    /// [`KeyError`], naming the kind of key that was found.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let blocks = pem::blocks(text)?;
        let private: Vec<&Block> = blocks.iter().filter(|block| block.label.ends_with(PKCS8)).collect();
        let block = match private.as_slice() {
            [block] => *block,
            [] if blocks.iter().any(|block| block.label == PUBLIC) => {
                return Err(KeyError::PublicInsteadOfPrivate);
            }
            [] => return Err(unexpected(&blocks[0], "PRIVATE KEY or EC PRIVATE KEY")),
            several => return Err(KeyError::SeveralKeys { count: several.len() }),
        };
        if block.label.starts_with("ENCRYPTED ") {
            return Err(KeyError::Encrypted { label: block.label.clone() });
        }
        let der = block.der()?;
        let secret = match block.label.as_str() {
            PKCS8 => p256::SecretKey::from_pkcs8_der(&der).ok(),
            SEC1 => p256::SecretKey::from_sec1_der(&der).ok(),
            "RSA PRIVATE KEY" => return Err(KeyError::WrongAlgorithm { found: "RSA" }),
            _ => return Err(unexpected(block, "PRIVATE KEY or EC PRIVATE KEY")),
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
mod tests {
    use super::*;

    const PKCS8_PEM: &str = include_str!("../tests/data/keys/p256.pkcs8.pem");
    const PUBLIC_PEM: &str = include_str!("../tests/data/keys/p256.pub.pem");
    const OTHER_PUBLIC_PEM: &str = include_str!("../tests/data/keys/other.pub.pem");
    /// `openssl pkey -pubout -outform DER | openssl dgst -sha256 -binary | base64`
    const HINT: &str = "B47x0AhtGnvAbCBkHHrRjvjcHoo1FXqatm3oWdXZLAs=";

    #[test]
    fn encodings_of_one_private_key() {
        for (name, pem) in [
            ("PKCS#8", PKCS8_PEM),
            ("SEC1", include_str!("../tests/data/keys/p256.sec1.pem")),
            ("SEC1 after EC PARAMETERS", include_str!("../tests/data/keys/p256.sec1-with-params.pem")),
            ("beside its public key", &format!("{PUBLIC_PEM}{PKCS8_PEM}")),
        ] {
            let key = SigningKey::from_pem(pem).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(key.public_key().hint(), HINT, "{name}");
            assert_eq!(key.to_pem().as_str(), PKCS8_PEM, "{name}");
        }
    }

    #[test]
    fn what_ci_secrets_do_to_pem_is_mended() {
        let trimmed = PKCS8_PEM.trim_end();
        for (name, pem) in [
            ("CRLF", PKCS8_PEM.replace('\n', "\r\n")),
            ("no newline at the end", trimmed.to_owned()),
            ("literal \\n", PKCS8_PEM.replace('\n', "\\n")),
            ("literal \\r\\n", PKCS8_PEM.replace('\n', "\\r\\n")),
            ("spaces", trimmed.replace('\n', " ")),
            ("one line", trimmed.replace('\n', "")),
            ("indented", PKCS8_PEM.replace('\n', "\n    ")),
            ("quoted", format!("\"{trimmed}\"")),
            ("byte order mark", format!("\u{feff}{PKCS8_PEM}")),
        ] {
            let key = SigningKey::from_pem(&pem).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(key.public_key().hint(), HINT, "{name}");
        }
    }

    #[test]
    fn refused_private_keys() {
        let encrypted = |label: &str| KeyError::Encrypted { label: label.to_owned() };
        let cosign = "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\neyJrZGYi\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n";
        let ssh = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----";
        let rsa_pkcs1 = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----";
        let certificate = "-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----";
        let expected = "PRIVATE KEY or EC PRIVATE KEY";
        let unexpected = |label: &str| KeyError::UnexpectedBlock { label: label.to_owned(), expected };
        let (head, tail) = PKCS8_PEM.split_at(100);
        let label = || PKCS8.to_owned();
        for (pem, error) in [
            (cosign, encrypted("ENCRYPTED SIGSTORE PRIVATE KEY")),
            (include_str!("../tests/data/keys/p256.pkcs8-encrypted.pem"), encrypted("ENCRYPTED PRIVATE KEY")),
            (include_str!("../tests/data/keys/p256.sec1-encrypted.pem"), encrypted("EC PRIVATE KEY")),
            (PUBLIC_PEM, KeyError::PublicInsteadOfPrivate),
            (
                include_str!("../tests/data/keys/p384.pkcs8.pem"),
                KeyError::WrongAlgorithm { found: "ECDSA P-384" },
            ),
            (
                include_str!("../tests/data/keys/p384.sec1.pem"),
                KeyError::WrongAlgorithm { found: "ECDSA P-384" },
            ),
            (
                include_str!("../tests/data/keys/ed25519.pkcs8.pem"),
                KeyError::WrongAlgorithm { found: "Ed25519" },
            ),
            (include_str!("../tests/data/keys/rsa.pkcs8.pem"), KeyError::WrongAlgorithm { found: "RSA" }),
            (rsa_pkcs1, KeyError::WrongAlgorithm { found: "RSA" }),
            (ssh, unexpected("OPENSSH PRIVATE KEY")),
            (certificate, unexpected("CERTIFICATE")),
            (&PKCS8_PEM.repeat(2), KeyError::SeveralKeys { count: 2 }),
            (head, KeyError::Truncated { label: label() }),
            (&format!("{head}{}", tail.replace(PKCS8, PUBLIC)), KeyError::Truncated { label: label() }),
            (&format!("{head}!{tail}"), KeyError::BadBase64 { label: label() }),
            (&format!("{head}AAAA{tail}"), KeyError::Malformed { label: label() }),
            ("", KeyError::NoPem),
            ("/run/secrets/cosign.key", KeyError::NoPem),
            ("-----BEGIN ", KeyError::NoPem),
            (&PKCS8_PEM.replace("KEY-----", "KEY"), KeyError::NoPem),
        ] {
            assert_eq!(SigningKey::from_pem(pem).unwrap_err(), error, "{pem}");
        }
    }

    #[test]
    fn public_keys() {
        for pem in [PUBLIC_PEM, include_str!("../tests/data/keys/p256.pub-compressed.pem")] {
            let key = PublicKey::from_pem(pem).unwrap();
            assert_eq!((key.hint().as_str(), key.to_pem().as_str()), (HINT, PUBLIC_PEM));
        }
        let two =
            PublicKey::many_from_pem(&format!("# ours\n{PUBLIC_PEM}\n# theirs\n{OTHER_PUBLIC_PEM}")).unwrap();
        let one_by_one =
            [PublicKey::from_pem(PUBLIC_PEM).unwrap(), PublicKey::from_pem(OTHER_PUBLIC_PEM).unwrap()];
        assert_eq!(two, one_by_one);
        assert_ne!(two[0], two[1]);

        for (pem, error) in [
            (format!("{PUBLIC_PEM}{OTHER_PUBLIC_PEM}"), KeyError::SeveralKeys { count: 2 }),
            (PKCS8_PEM.to_owned(), KeyError::PrivateInsteadOfPublic),
            (format!("{PUBLIC_PEM}{PKCS8_PEM}"), KeyError::PrivateInsteadOfPublic),
            (
                include_str!("../tests/data/keys/p384.pub.pem").to_owned(),
                KeyError::WrongAlgorithm { found: "ECDSA P-384" },
            ),
            (
                include_str!("../tests/data/keys/rsa.pub.pem").to_owned(),
                KeyError::WrongAlgorithm { found: "RSA" },
            ),
            (
                "-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----".to_owned(),
                KeyError::UnexpectedBlock { label: "CERTIFICATE".to_owned(), expected: PUBLIC },
            ),
        ] {
            assert_eq!(PublicKey::from_pem(&pem).unwrap_err(), error, "{pem}");
        }
    }

    #[test]
    fn private_material_is_never_printed() {
        let key = SigningKey::from_pem(PKCS8_PEM).unwrap();
        assert_eq!(format!("{key:?}"), format!("SigningKey {{ hint: \"{HINT}\", .. }}"));
        // A newline lost in the first line must not turn the body into a printable label.
        let mangled = PKCS8_PEM.replacen("-----\n", "", 1);
        let error = SigningKey::from_pem(&mangled).unwrap_err();
        assert_eq!(format!("{error} {error:?}"), "no PEM block found NoPem");
    }

    /// RFC 6979, A.2.5: P-256, SHA-256, message "sample".
    #[test]
    fn deterministic_signature_of_rfc_6979() {
        let secret: Vec<u8> =
            (0..32).map(|i| u8::from_str_radix(&RFC_KEY[2 * i..2 * i + 2], 16).unwrap()).collect();
        let key = SigningKey::generate(secret.try_into().unwrap()).unwrap();
        let signature = key.sign(b"sample");
        let hex: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, RFC_SIGNATURE);
        assert!(key.public_key().verifies(b"sample", &signature));
        assert!(!key.public_key().verifies(b"Sample", &signature));
        assert!(!key.public_key().verifies(b"sample", &signature[..70]));
        assert!(!key.public_key().verifies(b"sample", b""));
    }

    const RFC_KEY: &str = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";
    /// `r` and `s` of the RFC in a DER sequence of two integers, each with the sign byte that its high bit needs.
    const RFC_SIGNATURE: &str = "3046022100efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
                                 022100f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8";

    #[test]
    fn random_bytes_out_of_range() {
        assert_eq!(SigningKey::generate([0; 32]).unwrap_err(), KeyError::RandomOutOfRange);
        assert_eq!(SigningKey::generate([0xff; 32]).unwrap_err(), KeyError::RandomOutOfRange);
        assert!(SigningKey::generate([1; 32]).is_ok());
    }
}
