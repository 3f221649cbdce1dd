//! Proxies and trust anchors from the environment, as far as they can be believed (DESIGN §4.11).
//!
//! Restarting a pipeline with `?HTTPS_PROXY=…&SSL_CERT_FILE=…` puts a stranger between a plugin and its
//! registry. So on a pipeline with a parent or a rerun count these names count only where `only` lists
//! them, and a trust anchor that an earlier step could have written never counts.

use std::path::{Component, Path, PathBuf};

use granary_redact::Secret;

use crate::ci::Ci;
use crate::environment::Env;

/// The variables that `only` may name besides settings.
pub const VARIABLES: [&str; 5] = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"];

/// What the environment says about the way to servers. The HTTP client takes this and reads nothing itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// For `http:` URLs; secret because it may carry a password.
    pub http_proxy: Option<Secret>,
    /// For `https:` URLs; secret because it may carry a password.
    pub https_proxy: Option<Secret>,
    /// Hosts that are reached directly, comma-separated.
    pub no_proxy: Option<String>,
    /// A PEM bundle that replaces the system's.
    pub ssl_cert_file: Option<PathBuf>,
    /// A folder of PEM files that replaces the system's.
    pub ssl_cert_dir: Option<PathBuf>,
}

impl Network {
    /// Reads what counts, with a warning for each variable that does not. `only` is the setting's list in
    /// lower case, `here` the working folder.
    ///
    /// Looks at the file system, to resolve symbolic links of `SSL_CERT_*`.
    pub fn read(env: &Env, ci: &Ci, only: Option<&[String]>, here: &Path) -> (Network, Vec<String>) {
        let mut warnings = Vec::new();
        // The lower-case spelling wins where both are set, as it does for curl.
        let mut read = |name: &str| {
            let lower = name.to_ascii_lowercase();
            let value = env.get(&lower).or_else(|| env.get(name))?.to_owned();
            let named = only.is_some_and(|names| names.contains(&lower));
            if ci.is_rerun_or_deployed() && !named {
                warnings.push(format!(
                    "{name} is ignored: this pipeline was restarted or deployed, and `only` does not name it"
                ));
                return None;
            }
            Some(value)
        };
        let mut network = Network {
            http_proxy: read("HTTP_PROXY").map(Secret::new),
            https_proxy: read("HTTPS_PROXY").map(Secret::new),
            no_proxy: read("NO_PROXY"),
            ssl_cert_file: read("SSL_CERT_FILE").map(PathBuf::from),
            ssl_cert_dir: read("SSL_CERT_DIR").map(PathBuf::from),
        };
        let untrusted = untrusted_folders(env, ci, here);
        for (name, path) in
            [("SSL_CERT_FILE", &mut network.ssl_cert_file), ("SSL_CERT_DIR", &mut network.ssl_cert_dir)]
        {
            let refused = path.as_deref().and_then(|path| within(path, here, &untrusted));
            if let Some(folder) = refused {
                warnings.push(format!(
                    "{name} is ignored: it lies under {}, where other steps can write; use `ca_cert`",
                    folder.display()
                ));
                *path = None;
            }
        }
        (network, warnings)
    }

    /// The secrets among them: passwords of proxies.
    pub fn secrets(&self) -> Vec<Secret> {
        let password = |proxy: &Secret| {
            let (_, rest) = proxy.expose().split_once("://")?;
            let (user_info, _) = rest.split('/').next()?.rsplit_once('@')?;
            Some(Secret::new(user_info.split_once(':').map_or(user_info, |(_, password)| password)))
        };
        [&self.http_proxy, &self.https_proxy].into_iter().flatten().filter_map(password).collect()
    }
}

/// Where an earlier step, or a caller's parameter, can put a file.
fn untrusted_folders(env: &Env, ci: &Ci, here: &Path) -> Vec<PathBuf> {
    let fixed = ["/proc", "/dev", "/tmp", "/var/tmp", "/woodpecker"].map(PathBuf::from);
    let mut folders = Vec::from(fixed);
    folders.push(here.to_owned());
    folders.extend(ci.workspace.as_deref().map(PathBuf::from));
    folders.extend(env.get("TMPDIR").map(PathBuf::from));
    // A static binary from scratch has `/` as its working folder: that says nothing about who can write.
    folders.retain(|folder| folder != Path::new("/"));
    let resolved: Vec<PathBuf> =
        folders.iter().filter_map(|folder| std::fs::canonicalize(folder).ok()).collect();
    folders.extend(resolved);
    folders
}

/// The untrusted folder that `path` lies in, by its name or by where its links lead.
fn within(path: &Path, here: &Path, untrusted: &[PathBuf]) -> Option<PathBuf> {
    let absolute = here.join(path);
    let resolved = std::fs::canonicalize(&absolute).ok();
    [Some(normalized(&absolute)), resolved]
        .into_iter()
        .flatten()
        .find_map(|path| untrusted.iter().find(|folder| path.starts_with(folder)).cloned())
}

/// `path` with `.` and `..` taken out by name.
fn normalized(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut whole, component| {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                whole.pop();
            }
            other => whole.push(other),
        }
        whole
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)], only: Option<&[&str]>) -> (Network, Vec<String>) {
        let env = Env::from_pairs(pairs.iter().copied());
        let ci = Ci::read(&env).0;
        let only: Option<Vec<String>> = only.map(|names| names.iter().map(|&name| name.to_owned()).collect());
        Network::read(&env, &ci, only.as_deref(), Path::new("/srv/work"))
    }

    #[test]
    fn a_restart_cannot_bring_its_own_proxy() {
        let restarted = [
            ("CI", "woodpecker"),
            ("CI_PIPELINE_PARENT", "4"),
            ("https_proxy", "http://eve:8080"),
            ("NO_PROXY", "localhost"),
            ("SSL_CERT_FILE", "/etc/ssl/own.pem"),
        ];
        let (network, warnings) = read(&restarted, None);
        assert_eq!(network, Network::default());
        let ignored = "is ignored: this pipeline was restarted or deployed, and `only` does not name it";
        let expected = ["HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE"].map(|name| format!("{name} {ignored}"));
        assert_eq!(warnings, expected);

        let (network, warnings) = read(&restarted, Some(&["https_proxy", "no_proxy", "ssl_cert_file"]));
        assert_eq!(network.https_proxy, Some(Secret::new("http://eve:8080")));
        assert_eq!(network.no_proxy.as_deref(), Some("localhost"));
        assert_eq!(network.ssl_cert_file, Some(PathBuf::from("/etc/ssl/own.pem")));
        assert_eq!(warnings, Vec::<String>::new());
    }

    #[test]
    fn on_a_first_run_both_spellings_count_and_the_lower_one_wins() {
        let (network, warnings) = read(
            &[("CI_PIPELINE_PARENT", "0"), ("HTTP_PROXY", "http://a"), ("http_proxy", "http://b")],
            None,
        );
        assert_eq!(network.http_proxy, Some(Secret::new("http://b")));
        assert_eq!(warnings, Vec::<String>::new());
    }

    #[test]
    fn trust_anchors_that_others_can_write_never_count() {
        for (path, folder) in [
            ("/tmp/ca.pem", "/tmp"),
            ("ca.pem", "/srv/work"),
            ("/etc/../proc/self/environ", "/proc"),
            ("/srv/shared/../work/ca.pem", "/srv/work"),
            ("/data/tmp/ca.pem", "/data/tmp"),
            ("/woodpecker/ca.pem", "/woodpecker"),
            ("/data/space/ca.pem", "/data/space"),
        ] {
            let (network, warnings) = read(
                &[("SSL_CERT_FILE", path), ("TMPDIR", "/data/tmp"), ("CI_WORKSPACE", "/data/space")],
                Some(&["ssl_cert_file"]),
            );
            assert_eq!(network.ssl_cert_file, None, "{path}");
            let expected = format!(
                "SSL_CERT_FILE is ignored: it lies under {folder}, where other steps can write; use `ca_cert`"
            );
            assert_eq!(warnings, [expected], "{path}");
        }
        let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let link = folder.path().join("ca.pem");
        std::os::unix::fs::symlink("/proc/self/environ", &link).unwrap();
        let (network, warnings) = read(&[("SSL_CERT_FILE", link.to_str().unwrap())], None);
        assert_eq!((network.ssl_cert_file, warnings.len()), (None, 1), "a link is followed");
    }

    #[test]
    fn the_password_of_a_proxy_is_a_secret() {
        let (network, _) =
            read(&[("HTTP_PROXY", "http://ci:hunter2@proxy:3128/"), ("HTTPS_PROXY", "http://proxy")], None);
        assert_eq!(network.secrets(), [Secret::new("hunter2")]);
        assert!(!format!("{network:?}").contains("hunter2"));
    }
}
