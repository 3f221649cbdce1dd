//! cosign's encrypted private keys: scrypt makes a key of the password, NaCl's secretbox (XSalsa20, Poly1305) holds
//! PKCS#8 in DER.
//!
//! The JSON in the PEM block is that of `go-securesystemslib/encrypted`, which cosign 1 to 3 write and read. Written
//! is what cosign 3 writes; read is everything of that form whose cost stays in bounds ([`MAX_SCRYPT_COST`]).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use poly1305::Poly1305;
use poly1305::universal_hash::KeyInit;
use salsa20::XSalsa20;
use salsa20::cipher::{KeyIvInit, StreamCipher};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::key::KeyError;
use crate::pem::Block;

/// Label that cosign writes since 2.0.
pub(crate) const SIGSTORE: &str = "ENCRYPTED SIGSTORE PRIVATE KEY";
/// Label that it wrote before.
pub(crate) const COSIGN: &str = "ENCRYPTED COSIGN PRIVATE KEY";

/// Most that a key file may ask of scrypt: N·r·p, of which N·r takes 128 bytes of memory each (128 MiB in all). That
/// is the dearest of the three choices that cosign reads; it writes the one of half of it.
pub const MAX_SCRYPT_COST: u64 = 1 << 20;

/// What cosign 3.1 writes, as log₂ of N, r and p: 64 MiB of memory.
const WRITTEN: (u8, u32, u32) = (16, 8, 1);

const SCRYPT: &str = "scrypt";
const SECRETBOX: &str = "nacl/secretbox";
const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 16;

/// Bytes of salt in what is written.
pub const SALT_BYTES: usize = 32;
/// Bytes of the nonce.
pub const NONCE_BYTES: usize = 24;

#[derive(Serialize, Deserialize)]
struct Sealed {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Serialize, Deserialize)]
struct Kdf {
    name: String,
    #[serde(default)]
    params: Params,
    #[serde(default)]
    salt: String,
}

#[derive(Default, Serialize, Deserialize)]
struct Params {
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
}

#[derive(Serialize, Deserialize)]
struct Cipher {
    name: String,
    #[serde(default)]
    nonce: String,
}

/// Opens the box in a PEM block with one of the two labels; returns PKCS#8 in DER.
pub(crate) fn open(block: &Block, password: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let malformed = || KeyError::Malformed { label: block.label.clone() };
    let sealed: Sealed = serde_json::from_slice(&block.der()?).map_err(|_| malformed())?;
    known("key derivation", &sealed.kdf.name, SCRYPT)?;
    known("cipher", &sealed.cipher.name, SECRETBOX)?;
    let decode = |text: &str| STANDARD.decode(text).map_err(|_| malformed());
    let nonce: [u8; NONCE_BYTES] = decode(&sealed.cipher.nonce)?.try_into().map_err(|_| malformed())?;
    let mut content = Zeroizing::new(decode(&sealed.ciphertext)?);
    if content.len() < TAG_BYTES {
        return Err(malformed());
    }

    let Params { n, r, p } = sealed.kdf.params;
    let cost = n.checked_mul(r.into()).and_then(|cost| cost.checked_mul(p.into()));
    if cost.is_none_or(|cost| cost > MAX_SCRYPT_COST) {
        return Err(KeyError::TooCostly { n, r, p });
    }
    if !n.is_power_of_two() {
        return Err(malformed());
    }
    let log_n = u8::try_from(n.ilog2()).map_err(|_| malformed())?;
    let params = scrypt::Params::new(log_n, r, p).map_err(|_| malformed())?;
    let key = derive(password, &decode(&sealed.kdf.salt)?, &params);

    let mut cipher = XSalsa20::new((&*key).into(), &nonce.into());
    let tag_key = tag_key(&mut cipher);
    // Whoever can measure this has the file and may guess at leisure: equal time would protect nothing.
    if tag(&tag_key, &content[TAG_BYTES..]) != content[..TAG_BYTES] {
        return Err(KeyError::WrongPassword);
    }
    cipher.apply_keystream(&mut content[TAG_BYTES..]);
    content.drain(..TAG_BYTES);
    Ok(content)
}

/// Encrypts PKCS#8 in DER and returns the PEM, as `cosign import-key-pair` would write it.
pub(crate) fn seal(der: &[u8], password: &[u8], salt: [u8; SALT_BYTES], nonce: [u8; NONCE_BYTES]) -> String {
    let (log_n, r, p) = WRITTEN;
    let params = scrypt::Params::new(log_n, r, p).expect("invariant: what is written can be read");
    let key = derive(password, &salt, &params);
    let mut cipher = XSalsa20::new((&*key).into(), &nonce.into());
    let tag_key = tag_key(&mut cipher);
    let mut content = der.to_vec();
    cipher.apply_keystream(&mut content);
    let tag = tag(&tag_key, &content);
    let sealed = Sealed {
        kdf: Kdf {
            name: SCRYPT.to_owned(),
            params: Params { n: 1 << log_n, r, p },
            salt: STANDARD.encode(salt),
        },
        cipher: Cipher { name: SECRETBOX.to_owned(), nonce: STANDARD.encode(nonce) },
        ciphertext: STANDARD.encode([tag.as_slice(), &content].concat()),
    };
    let json = serde_json::to_vec(&sealed).expect("invariant: texts and numbers have a JSON form");
    let body = STANDARD.encode(json);
    let mut pem = format!("-----BEGIN {SIGSTORE}-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = more;
    }
    pem + &format!("-----END {SIGSTORE}-----\n")
}

fn derive(password: &[u8], salt: &[u8], params: &scrypt::Params) -> Zeroizing<[u8; KEY_BYTES]> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    scrypt::scrypt(password, salt, params, key.as_mut()).expect("invariant: scrypt gives 32 bytes");
    key
}

/// Takes the first 32 bytes of the key stream, which are the key of the tag.
fn tag_key(cipher: &mut XSalsa20) -> Zeroizing<[u8; KEY_BYTES]> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    cipher.apply_keystream(key.as_mut());
    key
}

fn tag(key: &[u8; KEY_BYTES], ciphertext: &[u8]) -> [u8; TAG_BYTES] {
    Poly1305::new(key.into()).compute_unpadded(ciphertext).into()
}

/// Refuses another algorithm, by its name where it looks like one: the file could hold anything there.
fn known(what: &'static str, found: &str, expected: &'static str) -> Result<(), KeyError> {
    if found == expected {
        return Ok(());
    }
    let is_name = found.len() <= 40
        && found
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'/' | b'.'));
    let found = if is_name { found.to_owned() } else { "something else".to_owned() };
    Err(KeyError::UnknownEncryption { what, found, expected })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::key::SigningKey;
    use crate::pem;

    const PLAIN: &str = include_str!("../tests/data/keys/p256.pkcs8.pem");
    const COSIGN_KEY: &str = include_str!("../tests/data/cosign/p256.key");
    const LABEL: &str = "ENCRYPTED SIGSTORE PRIVATE KEY";

    fn read(pem: &str, password: Option<&str>) -> Result<SigningKey, KeyError> {
        SigningKey::from_pem_with_password(pem, password.map(str::as_bytes))
    }

    /// The JSON of cosign's key, changed, back in PEM.
    fn changed(change: impl FnOnce(&mut Value)) -> String {
        let der = pem::blocks(COSIGN_KEY).unwrap()[0].der().unwrap();
        let mut sealed: Value = serde_json::from_slice(&der).unwrap();
        change(&mut sealed);
        let body = STANDARD.encode(sealed.to_string());
        format!("-----BEGIN {LABEL}-----\n{body}\n-----END {LABEL}-----\n")
    }

    #[test]
    fn what_cosign_encrypted_opens() {
        let key = read(COSIGN_KEY, Some("secret")).unwrap();
        assert_eq!(key.to_pem().as_str(), PLAIN);
        let older = COSIGN_KEY.replace("SIGSTORE", "COSIGN");
        assert_eq!(read(&older, Some("secret")).unwrap().to_pem().as_str(), PLAIN);
        // A CI secret that lost its lines.
        let one_line = COSIGN_KEY.trim_end().replace('\n', "\\n");
        assert_eq!(read(&one_line, Some("secret")).unwrap().to_pem().as_str(), PLAIN);
    }

    #[test]
    fn an_empty_password_is_one() {
        let empty = include_str!("../tests/data/cosign/p256-empty-password.key");
        for password in [None, Some("")] {
            assert_eq!(read(empty, password).unwrap().to_pem().as_str(), PLAIN, "{password:?}");
        }
        assert_eq!(read(empty, Some("secret")).unwrap_err(), KeyError::WrongPassword);
    }

    #[test]
    fn without_the_password_it_stays_shut() {
        let none = read(COSIGN_KEY, None).unwrap_err();
        assert_eq!(none, KeyError::NoPassword { label: LABEL.to_owned() });
        assert!(none.to_string().contains("`signing_key_password`"), "{none}");
        for wrong in ["", "Secret", "secret\n"] {
            let error = read(COSIGN_KEY, Some(wrong)).unwrap_err();
            assert_eq!(error, KeyError::WrongPassword, "{wrong:?}");
            assert!(!error.to_string().contains("ecret\n"), "{error}");
        }
        // A password that is not needed does no harm.
        assert_eq!(read(PLAIN, Some("secret")).unwrap().to_pem().as_str(), PLAIN);
    }

    #[test]
    fn what_we_encrypt_opens_and_is_what_cosign_would_write() {
        let key = SigningKey::from_pem(PLAIN).unwrap();
        let ours = key.to_encrypted_pem("gr\u{fc}n".as_bytes(), [7; SALT_BYTES], [9; NONCE_BYTES]);
        assert_eq!(read(&ours, Some("gr\u{fc}n")).unwrap().to_pem().as_str(), PLAIN);
        assert_eq!(read(&ours, Some("grun")).unwrap_err(), KeyError::WrongPassword);
        let shape = |pem: &str| {
            let der = pem::blocks(pem).unwrap()[0].der().unwrap();
            let mut sealed: Value = serde_json::from_slice(&der).unwrap();
            for (object, field) in [("/kdf", "salt"), ("/cipher", "nonce"), ("", "ciphertext")] {
                let text = &mut sealed.pointer_mut(object).unwrap()[field];
                *text = json!(STANDARD.decode(text.as_str().unwrap()).unwrap().len());
            }
            sealed
        };
        assert_eq!(shape(&ours), shape(COSIGN_KEY));
        assert!(ours.lines().all(|line| line.len() <= 64), "{ours}");
        assert_eq!(ours.lines().next(), COSIGN_KEY.lines().next());
    }

    #[test]
    fn every_bit_of_the_box_counts() {
        let flipped = |object: &'static str, field: &'static str| {
            changed(|sealed| {
                let text = &mut sealed.pointer_mut(object).unwrap()[field];
                let mut bytes = STANDARD.decode(text.as_str().unwrap()).unwrap();
                *bytes.last_mut().unwrap() ^= 1;
                *text = json!(STANDARD.encode(bytes));
            })
        };
        for (object, field) in [("/kdf", "salt"), ("/cipher", "nonce"), ("", "ciphertext")] {
            let error = read(&flipped(object, field), Some("secret")).unwrap_err();
            assert_eq!(error, KeyError::WrongPassword, "{field}");
        }
    }

    #[test]
    fn what_asks_for_too_much_is_refused_before_it_gets_it() {
        for (n, r, p) in
            [(1_u64 << 40, 8, 1), (1 << 21, 1, 1), (1 << 17, 8, 2), (u64::MAX, 8, 1), (2, 1 << 20, 1)]
        {
            let costly = changed(|sealed| sealed["kdf"]["params"] = json!({"N": n, "r": r, "p": p}));
            assert_eq!(read(&costly, Some("secret")).unwrap_err(), KeyError::TooCostly { n, r, p });
        }
        // The dearest of the choices that cosign has; with it the password is another key.
        let dearest = changed(|sealed| sealed["kdf"]["params"]["N"] = json!(1 << 17));
        assert_eq!(read(&dearest, Some("secret")).unwrap_err(), KeyError::WrongPassword);
    }

    #[test]
    fn what_is_no_box_is_refused_by_name() {
        let malformed = KeyError::Malformed { label: LABEL.to_owned() };
        let set = |pointer: &'static str, value: Value| {
            changed(|sealed| *sealed.pointer_mut(pointer).unwrap() = value)
        };
        let other = |what, found: &str, expected| KeyError::UnknownEncryption {
            what,
            found: found.to_owned(),
            expected,
        };
        for (pem, error) in [
            (set("/kdf/name", json!("argon2id")), other("key derivation", "argon2id", "scrypt")),
            (set("/cipher/name", json!("aes-256-gcm")), other("cipher", "aes-256-gcm", "nacl/secretbox")),
            (set("/cipher/name", json!("x\ny")), other("cipher", "something else", "nacl/secretbox")),
            (set("/kdf/params/N", json!(65535)), malformed.clone()),
            (set("/kdf/params/N", json!(0)), malformed.clone()),
            (set("/kdf/params/r", json!(0)), malformed.clone()),
            (set("/kdf/params/p", json!(0)), malformed.clone()),
            (set("/kdf/params/N", json!("65536")), malformed.clone()),
            (set("/kdf/salt", json!("?")), malformed.clone()),
            (set("/cipher/nonce", json!("AAAA")), malformed.clone()),
            (set("/ciphertext", json!("AAAA")), malformed.clone()),
            (set("/ciphertext", json!(7)), malformed.clone()),
            (changed(|sealed| *sealed = json!([])), malformed.clone()),
            (changed(|sealed| *sealed = json!({})), malformed),
            (
                include_str!("../tests/data/cosign/p384.key").to_owned(),
                KeyError::WrongAlgorithm { found: "ECDSA P-384" },
            ),
        ] {
            assert_eq!(read(&pem, Some("secret")).unwrap_err(), error, "{pem}");
        }
    }
}
