//! What was tested, by whom, signed: in-toto statements in DSSE envelopes in Sigstore bundles.
//!
//! Bytes in, bytes out. The crate is pure: no clock, no files, no network, and no randomness (signatures are
//! deterministic, RFC 6979). Where a bundle lies in a registry, whether its evidence is fresh enough and whether the
//! tests that passed are the tests that were required is decided by those who call it.
//!
//! One algorithm, ECDSA over P-256 with SHA-256, because that is what `cosign` makes and what every verifier of
//! bundles can read. A bundle written here is accepted by `cosign verify-attestation --key`, and the other way round.
//!
//! The order of trust is in [`bundle::open`]: nothing inside a bundle is interpreted before its signature has been
//! checked with a key that the caller trusts.

pub mod bundle;
mod digest;
pub mod dsse;
pub mod key;
mod pem;
mod sealed;
pub mod statement;
pub mod summary;
pub mod test_result;
mod time;
pub mod trust;
