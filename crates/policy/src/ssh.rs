//! SSH public keys as a line of `id_ed25519.pub` has them. Signatures are verified elsewhere.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// Kinds of keys that requests may be signed with.
///
/// # Design
///
/// Those whose signatures need nothing but a hash and one of the two curves. RSA keys are long and mostly
/// old; keys in hardware (`sk-…`) sign over a counter and flags as well, which a verifier has to judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SshAlgorithm {
    /// `ssh-ed25519`
    Ed25519,
    /// `ecdsa-sha2-nistp256`
    EcdsaP256,
}

/// A public key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SshKey {
    algorithm: SshAlgorithm,
    blob: Vec<u8>,
}

impl SshAlgorithm {
    /// As SSH names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            SshAlgorithm::Ed25519 => "ssh-ed25519",
            SshAlgorithm::EcdsaP256 => "ecdsa-sha2-nistp256",
        }
    }
}

impl SshKey {
    /// Reads one line; a comment behind the key is left aside.
    ///
    /// # Errors
    ///
    /// What is wrong with it, without the text: it may be a private key.
    pub(crate) fn parse(line: &str) -> Result<SshKey, &'static str> {
        let line = line.trim();
        if line.contains("PRIVATE KEY") {
            return Err("it is a private key, which belongs into no repository; make a new one");
        }
        if line.lines().count() > 1 {
            return Err("it has more than one line");
        }
        let mut words = line.split_ascii_whitespace();
        let algorithm = match words.next().unwrap_or_default() {
            "ssh-ed25519" => SshAlgorithm::Ed25519,
            "ecdsa-sha2-nistp256" => SshAlgorithm::EcdsaP256,
            "ssh-rsa" | "ssh-dss" => return Err("RSA and DSA keys are not accepted"),
            kind if kind.starts_with("sk-") => return Err("keys in hardware are not accepted yet"),
            _ => return Err("it does not begin with the kind of the key"),
        };
        let encoded = words.next().ok_or("the key itself is missing")?;
        let blob = STANDARD.decode(encoded).map_err(|_| "the key itself is not base64")?;
        match is_whole(algorithm, &blob) {
            true => Ok(SshKey { algorithm, blob }),
            false => Err("the key itself is cut off, or is of another kind than the line says"),
        }
    }

    /// Its kind.
    #[must_use]
    pub fn algorithm(&self) -> SshAlgorithm {
        self.algorithm
    }

    /// The key in SSH's wire format (RFC 4253, §6.6; RFC 8709; RFC 5656), as signatures carry it.
    #[must_use]
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// `SHA256:…`, as `ssh-keygen -l` shows it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let digest = base64::engine::general_purpose::STANDARD_NO_PAD.encode(Sha256::digest(&self.blob));
        format!("SHA256:{digest}")
    }
}

impl fmt::Debug for SshKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.algorithm.name(), self.fingerprint())
    }
}

/// Whether the wire format holds exactly the fields of the kind.
fn is_whole(algorithm: SshAlgorithm, blob: &[u8]) -> bool {
    let Some((name, rest)) = field(blob).filter(|(name, _)| *name == algorithm.name().as_bytes()) else {
        return false;
    };
    debug_assert!(!name.is_empty(), "names of kinds are not empty");
    match algorithm {
        SshAlgorithm::Ed25519 => field(rest).is_some_and(|(key, rest)| key.len() == 32 && rest.is_empty()),
        SshAlgorithm::EcdsaP256 => field(rest).is_some_and(|(curve, rest)| {
            // Uncompressed points, the only ones that SSH has.
            let point = field(rest).filter(|(point, rest)| point.len() == 65 && rest.is_empty());
            curve == b"nistp256" && point.is_some_and(|(point, _)| point.first() == Some(&4))
        }),
    }
}

/// A length of four bytes, and as many bytes.
fn field(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    (length <= rest.len()).then(|| rest.split_at(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    // From ssh-keygen 9.2.
    const ED25519: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAxSqQmnwCopkzhRjUMgVg1ouCZKyCO428VKO4oT8x18 ann@example.com";
    const P256: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBDhzdK6c/kU6wjmlWJ/h5uve+IjPI7ndPihWntWy4yBbO/o9F6JGXV6w88oUh5kvzjHP5ocxwy6r0/MdVtc77qs= bob@example.com";

    #[test]
    fn keys_are_read_as_ssh_keygen_writes_them() {
        for (line, fingerprint) in [
            (ED25519, "SHA256:Yc69Q3wn+HGWPNJVWa/iad6/cAVi21ENLPFjaieMO1E"),
            (P256, "SHA256:8pOxZtkzGH6hAiB6a7cB3pwNmrtjIdPnPX0FASN8eBA"),
        ] {
            assert_eq!(SshKey::parse(line).expect(line).fingerprint(), fingerprint);
            let bare = line.rsplit_once(' ').expect("a comment").0;
            assert_eq!(SshKey::parse(bare), SshKey::parse(line));
        }
    }

    #[test]
    fn whatever_is_no_key_is_refused() {
        let cut = &ED25519[..ED25519.len() - 20];
        let renamed = ED25519.replace("ssh-ed25519", "ecdsa-sha2-nistp256");
        let two = format!("{ED25519}\n{P256}");
        for line in [
            "",
            "ssh-ed25519",
            "ssh-ed25519 AAAA",
            "ssh-ed25519 !!!!",
            "ssh-rsa AAAAB3NzaC1yc2E=",
            "sk-ssh-ed25519@openssh.com AAAA",
            "-----BEGIN OPENSSH PRIVATE KEY-----",
            cut,
            &renamed,
            &two,
        ] {
            assert!(SshKey::parse(line).is_err(), "{line}");
        }
    }
}
