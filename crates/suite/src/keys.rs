//! The key that a plugin signs with: `signing_key` and `signing_key_password`.

use granary_attest::key::{KeyError, SigningKey};
use granary_plugin::{Context, Failure, Kind, Pem, Reader};
use granary_redact::Secret;

/// Where the private key is, and what opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKeySettings {
    /// The key, as PEM text or path.
    pub key: Pem,
    /// The password of a key that is encrypted as cosign does it.
    pub password: Option<Secret>,
}

impl SigningKeySettings {
    /// Reads them; `None` where no key is set. A password without a key is left with the reader.
    pub fn resolve(reader: &mut Reader<'_>) -> Option<Self> {
        let password = reader.secret("signing_key_password");
        let key = reader.pem("signing_key");
        if key.is_none() && password.is_some() {
            let reason = "there is no `signing_key` that it could be for";
            reader.reject("signing_key_password", reason, "both, or neither");
        }
        Some(SigningKeySettings { key: key?, password })
    }

    /// The key itself.
    ///
    /// # Errors
    /// With exit code 2 where the file cannot be read, 20 where it holds no key that can be used, or the
    /// password does not open it.
    pub fn load(&self, context: &Context) -> Result<SigningKey, Failure> {
        let text = context.load("signing_key", &self.key)?;
        let password = self.password.as_ref().map(|password| password.expose().as_bytes());
        SigningKey::from_pem_with_password(text.expose(), password).map_err(|error| {
            let hint = match &error {
                KeyError::WrongPassword | KeyError::NoPassword { .. } => {
                    "`signing_key_password` is the password that the key was made with"
                }
                _ => {
                    "a P-256 key: integration-test keygen, cosign generate-key-pair, or openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256"
                }
            };
            Failure::new(Kind::BadInput, "`signing_key` cannot be used").caused_by(error).hint(hint)
        })
    }
}

#[cfg(test)]
mod tests {
    use granary_plugin::Common;

    use super::*;

    fn load(text: &str, password: Option<&str>) -> Result<SigningKey, Failure> {
        let settings = SigningKeySettings { key: Pem::from_value(text), password: password.map(Secret::new) };
        settings.load(&Context::detached(Common::default()))
    }

    #[test]
    fn a_key_that_cannot_be_used_says_what_would_do() {
        let key = SigningKey::generate([3; 32]).unwrap();
        let sealed = key.to_encrypted_pem(b"right", [1; 32], [2; 24]);
        assert_eq!(load(&key.to_pem(), None).unwrap().public_key(), key.public_key());
        assert_eq!(load(&sealed, Some("right")).unwrap().public_key(), key.public_key());
        let table = [
            (sealed.as_str(), Some("wrong"), 20, "the password that the key was made with"),
            (&sealed, None, 20, "the password that the key was made with"),
            (&key.public_key().to_pem(), None, 20, "integration-test keygen"),
            (
                "/nonexistent/promoter.key",
                None,
                2,
                "error: `signing_key` cannot be used\n  cause 1: cannot read /nonexistent/promoter.key",
            ),
        ];
        for (text, password, code, said) in table {
            let failure = load(text, password).unwrap_err();
            assert_eq!(failure.kind().code(), code, "{said}");
            assert!(failure.render().contains(said), "{}", failure.render());
        }
    }
}
