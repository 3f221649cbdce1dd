use super::*;

const PKCS8_PEM: &str = include_str!("../../tests/data/keys/p256.pkcs8.pem");
const PUBLIC_PEM: &str = include_str!("../../tests/data/keys/p256.pub.pem");
const OTHER_PUBLIC_PEM: &str = include_str!("../../tests/data/keys/other.pub.pem");
/// `openssl pkey -pubout -outform DER | openssl dgst -sha256 -binary | base64`
const HINT: &str = "B47x0AhtGnvAbCBkHHrRjvjcHoo1FXqatm3oWdXZLAs=";

#[test]
fn encodings_of_one_private_key() {
    for (name, pem) in [
        ("PKCS#8", PKCS8_PEM),
        ("SEC1", include_str!("../../tests/data/keys/p256.sec1.pem")),
        ("SEC1 after EC PARAMETERS", include_str!("../../tests/data/keys/p256.sec1-with-params.pem")),
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
    let encrypted = |label: &str| KeyError::UnsupportedEncryption { label: label.to_owned() };
    let ssh = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----";
    let rsa_pkcs1 = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----";
    let certificate = "-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----";
    let expected = PRIVATE;
    let unexpected = |label: &str| KeyError::UnexpectedBlock { label: label.to_owned(), expected };
    let (head, tail) = PKCS8_PEM.split_at(100);
    let label = || PKCS8.to_owned();
    for (pem, error) in [
        (include_str!("../../tests/data/keys/p256.pkcs8-encrypted.pem"), encrypted("ENCRYPTED PRIVATE KEY")),
        (include_str!("../../tests/data/keys/p256.sec1-encrypted.pem"), encrypted("EC PRIVATE KEY")),
        (PUBLIC_PEM, KeyError::PublicInsteadOfPrivate),
        (
            include_str!("../../tests/data/keys/p384.pkcs8.pem"),
            KeyError::WrongAlgorithm { found: "ECDSA P-384" },
        ),
        (
            include_str!("../../tests/data/keys/p384.sec1.pem"),
            KeyError::WrongAlgorithm { found: "ECDSA P-384" },
        ),
        (
            include_str!("../../tests/data/keys/ed25519.pkcs8.pem"),
            KeyError::WrongAlgorithm { found: "Ed25519" },
        ),
        (include_str!("../../tests/data/keys/rsa.pkcs8.pem"), KeyError::WrongAlgorithm { found: "RSA" }),
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
    for pem in [PUBLIC_PEM, include_str!("../../tests/data/keys/p256.pub-compressed.pem")] {
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
            include_str!("../../tests/data/keys/p384.pub.pem").to_owned(),
            KeyError::WrongAlgorithm { found: "ECDSA P-384" },
        ),
        (
            include_str!("../../tests/data/keys/rsa.pub.pem").to_owned(),
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
