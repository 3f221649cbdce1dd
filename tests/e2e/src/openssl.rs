//! Keys and certificates by the `openssl` program: what users have, in the forms in which they have it.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tempfile::TempDir;

use crate::programs::{command, said_by};

/// A P-256 key pair, each half in PEM.
#[derive(Clone, Debug)]
pub struct KeyPair {
    /// PKCS#8, without a password.
    pub private: String,
    /// `SubjectPublicKeyInfo`.
    pub public: String,
}

impl KeyPair {
    /// A new one.
    ///
    /// # Panics
    /// Where openssl fails.
    #[must_use]
    pub fn generate() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("key.pem");
        let mut generate = command("openssl");
        generate.args(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out"]);
        let _ = said_by(generate.arg(&file));
        let public = said_by(command("openssl").args(["pkey", "-pubout", "-in"]).arg(&file));
        let private = fs::read_to_string(&file).expect("openssl has written the key");
        Self { private, public }
    }
}

/// What is in a DSSE envelope, once openssl has accepted its signature by this key.
///
/// # Panics
/// Where the envelope is none, or openssl does not accept the signature.
#[must_use]
pub fn verified_payload(envelope: &Value, public: &str) -> Value {
    let text = |value: &Value| value.as_str().expect("a DSSE envelope's field").to_owned();
    let decode = |value: &Value| STANDARD.decode(text(value)).expect("base64");
    let (kind, payload) = (text(&envelope["payloadType"]), decode(&envelope["payload"]));
    // Pre-authentication encoding: <https://github.com/secure-systems-lab/dsse/blob/v1.0.2/protocol.md>
    let signed = [format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).as_bytes(), &payload].concat();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, bytes: &[u8]| {
        fs::write(folder.path().join(name), bytes).expect("a temporary folder can be written");
    };
    write("signed", &signed);
    write("signature", &decode(&envelope["signatures"][0]["sig"]));
    write("key", public.as_bytes());
    let mut verify = command("openssl");
    verify.args(["dgst", "-sha256", "-verify", "key", "-signature", "signature", "signed"]);
    assert_eq!(said_by(verify.current_dir(folder.path())), "Verified OK");
    serde_json::from_slice(&payload).expect("a statement is JSON")
}

/// A CA that no system trusts and the certificate that it gave to a server on `127.0.0.1`.
#[derive(Debug)]
pub struct PrivateCa {
    folder: TempDir,
}

impl Default for PrivateCa {
    fn default() -> Self {
        Self::new()
    }
}

impl PrivateCa {
    /// A new CA, with a server certificate.
    ///
    /// # Panics
    /// Where openssl fails.
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("granary-ca-").tempdir().expect("a temporary folder");
        let openssl = |arguments: &str| {
            let mut openssl = command("openssl");
            let _ = said_by(openssl.current_dir(folder.path()).args(arguments.split(' ')));
        };
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        openssl(&format!("req -x509 {key} -keyout ca-key.pem -out ca.pem -days 2 -subj /CN=journeys-ca"));
        openssl(&format!("req {key} -keyout server-key.pem -out server.csr -subj /CN=registry"));
        fs::write(folder.path().join("extensions"), "subjectAltName = IP:127.0.0.1\n")
            .expect("a temporary folder can be written");
        openssl(
            "x509 -req -in server.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 1 -extfile extensions -out \
             server.pem",
        );
        Self { folder }
    }

    /// The file with the CA's certificate.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The CA's certificate, in PEM.
    ///
    /// # Panics
    /// Where it has gone.
    #[must_use]
    pub fn pem(&self) -> String {
        fs::read_to_string(self.certificate()).expect("the certificate is there")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}
