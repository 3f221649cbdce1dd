//! DSSE envelopes (Dead Simple Signing Envelope, protocol version 1): a payload, its type and signatures over both.
//!
//! Knows nothing of what the payload says. Refuses to tell a payload's content apart by anything but its type, which
//! is why the type is under the signature too.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_PAD_INDIFFERENT};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::key::{PublicKey, SigningKey};

/// Media type of an in-toto statement in an envelope.
pub const IN_TOTO_PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// Most signatures of one envelope that are looked at. Bundles have exactly one; checking one costs a fraction of a
/// millisecond, and a stranger's envelope of 10 MB could hold a hundred thousand.
pub const MAX_SIGNATURES: usize = 16;

/// A signed payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// The bytes that were signed, as they were signed.
    #[serde(with = "base64_text")]
    pub payload: Vec<u8>,
    /// Media type of the payload.
    pub payload_type: String,
    /// One or more signatures by different keys over the same payload.
    pub signatures: Vec<Signature>,
}

/// One signature of an [`Envelope`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// What the signer calls his key. Unauthenticated, so never more than a hint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyid: Option<String>,
    /// ECDSA signature in DER.
    #[serde(with = "base64_text")]
    pub sig: Vec<u8>,
}

impl Envelope {
    /// Signs `payload` with one key. No `keyid` is written: in a bundle the hint names the key.
    #[must_use]
    pub fn sign(payload: Vec<u8>, payload_type: &str, key: &SigningKey) -> Self {
        let sig = key.sign(&pre_authentication_encoding(payload_type, &payload));
        Self {
            payload,
            payload_type: payload_type.to_owned(),
            signatures: vec![Signature { keyid: None, sig }],
        }
    }

    /// Returns the first of `keys` that made one of the first [`MAX_SIGNATURES`] signatures. Each is tried with each
    /// key, whatever `keyid` says.
    #[must_use]
    pub fn verified_by<'k, K: AsRef<PublicKey>>(&self, keys: &'k [K]) -> Option<&'k K> {
        let message = pre_authentication_encoding(&self.payload_type, &self.payload);
        keys.iter().find(|key| {
            self.signatures
                .iter()
                .take(MAX_SIGNATURES)
                .any(|signature| (*key).as_ref().verifies(&message, &signature.sig))
        })
    }
}

/// PAE of the DSSE protocol: what is signed. Lengths are in bytes, so no two pairs of type and payload encode alike.
#[must_use]
pub fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// Base64 in JSON. Writes the standard alphabet; reads the URL-safe one too, as DSSE and protobuf's JSON demand of
/// readers, padded or not.
mod base64_text {
    use super::{Deserialize, Deserializer, Engine, STANDARD, STANDARD_PAD_INDIFFERENT, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?.replace('-', "+").replace('_', "/");
        STANDARD_PAD_INDIFFERENT.decode(text).map_err(|_| de::Error::custom("invalid base64"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::generate([seed; 32]).unwrap()
    }

    /// The vector of the DSSE protocol document, and lengths in bytes rather than characters.
    #[test]
    fn encoding_before_signing() {
        for (payload_type, payload, expected) in [
            (
                "http://example.com/HelloWorld",
                "hello world",
                "DSSEv1 29 http://example.com/HelloWorld 11 hello world",
            ),
            ("", "", "DSSEv1 0  0 "),
            ("a b", "ü", "DSSEv1 3 a b 2 ü"),
        ] {
            assert_eq!(pre_authentication_encoding(payload_type, payload.as_bytes()), expected.as_bytes());
        }
    }

    #[test]
    fn says_which_key_signed() {
        let keys = [key(1).public_key(), key(2).public_key(), key(3).public_key()];
        let mut envelope = Envelope::sign(b"payload".to_vec(), "text/plain", &key(2));
        assert_eq!(envelope.verified_by(&keys), Some(&keys[1]));
        assert_eq!(envelope.verified_by(&keys[2..]), None);
        assert_eq!(envelope.verified_by::<PublicKey>(&[]), None);

        // A signature by a stranger before ours, and one that is no signature at all, change nothing.
        let foreign = Envelope::sign(b"payload".to_vec(), "text/plain", &key(9)).signatures.remove(0);
        let garbage = Signature { keyid: Some("x".to_owned()), sig: vec![0x30, 0] };
        envelope.signatures = vec![garbage, foreign, envelope.signatures.remove(0)];
        assert_eq!(envelope.verified_by(&keys), Some(&keys[1]));
        let ours = envelope.signatures.remove(2);
        envelope.signatures = vec![envelope.signatures.remove(0); MAX_SIGNATURES - 1];
        envelope.signatures.push(ours);
        assert_eq!(envelope.verified_by(&keys), Some(&keys[1]));
        envelope.signatures.insert(0, envelope.signatures[0].clone());
        assert_eq!(envelope.verified_by(&keys), None, "beyond the bound nothing is checked");
        envelope.signatures.clear();
        assert_eq!(envelope.verified_by(&keys), None);
    }

    #[test]
    fn type_and_payload_are_both_signed() {
        let keys = [key(1).public_key()];
        let good = Envelope::sign(b"payload".to_vec(), "text/plain", &key(1));
        let other_type = Envelope { payload_type: "text/html".to_owned(), ..good.clone() };
        let other_payload = Envelope { payload: b"Payload".to_vec(), ..good.clone() };
        assert_eq!(good.verified_by(&keys), Some(&keys[0]));
        assert_eq!(other_type.verified_by(&keys), None);
        assert_eq!(other_payload.verified_by(&keys), None);
    }

    #[test]
    fn json() {
        let envelope = Envelope {
            payload: vec![0xfb, 0xff, 0xfe, 0x01],
            payload_type: "t".to_owned(),
            signatures: vec![Signature { keyid: None, sig: vec![0xff] }],
        };
        let json = r#"{"payload":"+//+AQ==","payloadType":"t","signatures":[{"sig":"/w=="}]}"#;
        assert_eq!(serde_json::to_string(&envelope).unwrap(), json);
        for text in [
            json,
            r#"{"payload":"-__-AQ","payloadType":"t","signatures":[{"sig":"_w"}]}"#,
            r#"{"new":1,"signatures":[{"sig":"/w==","keyid":null}],"payloadType":"t","payload":"+//+AQ=="}"#,
        ] {
            assert_eq!(serde_json::from_str::<Envelope>(text).unwrap(), envelope, "{text}");
        }
        for text in
            [r#"{"payload":"*","payloadType":"t","signatures":[]}"#, r#"{"payload":"","signatures":[]}"#]
        {
            assert!(serde_json::from_str::<Envelope>(text).is_err(), "{text}");
        }
    }
}
