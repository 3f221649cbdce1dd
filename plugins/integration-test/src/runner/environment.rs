//! What the tests see of the environment.
//!
//! Pure. What is never handed on is decided by [`granary_plugin::Env::for_child`].

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use granary_plugin::Env;
use thiserror::Error;

/// The default of `pass_env`, as its text: what Woodpecker says about the pipeline, where programs are, how
/// to get out, and whom to trust.
pub const DEFAULT_PASS_ENV: &str = "CI,CI_*,PATH,HTTP_PROXY,http_proxy,HTTPS_PROXY,https_proxy,NO_PROXY,no_proxy,ALL_PROXY,all_proxy,SSL_CERT_FILE";

/// A name in the setting `env` that cannot be one of a variable.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{name}` cannot be the name of an environment variable, it is empty or holds `=` or NUL")]
pub struct BadVariable {
    /// The name as given.
    pub name: String,
}

/// The whole environment of a test command: what `pass_env` lets through of `env`, then `extra`, which wins.
///
/// A `PLUGIN_*` of ours never passes, and `CI_NETRC_*` only where `pass_env` names it in full: it is a
/// person's token for the forge. What the tests need to know beyond that is written into `extra`.
///
/// # Errors
/// A name in `extra` that the kernel would read otherwise.
pub fn child_env(
    env: &Env,
    pass_env: &[String],
    extra: &BTreeMap<String, String>,
) -> Result<Vec<(OsString, OsString)>, BadVariable> {
    if let Some(name) = extra.keys().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
        return Err(BadVariable { name: name.clone() });
    }
    let mut child = env.for_child(pass_env);
    child.retain(|(name, _)| !extra.keys().any(|key| OsStr::new(key) == name));
    child.extend(extra.iter().map(|(name, value)| (name.into(), value.into())));
    Ok(child)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_pass_what_tests_need_and_no_secret() {
        let env = Env::from_pairs([
            ("CI", "woodpecker"),
            ("CI_COMMIT_SHA", "3f2a"),
            ("CI_NETRC_PASSWORD", "token"),
            ("PLUGIN_SIGNING_KEY", "key"),
            ("DRONE_COMMIT", "3f2a"),
            ("PATH", "/bin"),
            ("https_proxy", "http://proxy"),
            ("SSL_CERT_FILE", "/ca.pem"),
            ("LD_PRELOAD", "/x.so"),
        ]);
        let defaults: Vec<String> = DEFAULT_PASS_ENV.split(',').map(str::to_owned).collect();
        let extra = BTreeMap::from([
            ("PATH".to_owned(), "/opt/bin".to_owned()),
            ("PLUGIN_URL".to_owned(), "http://app".to_owned()),
        ]);
        let pairs = |pass: &[String]| -> Vec<String> {
            let child = child_env(&env, pass, &extra).unwrap();
            child.iter().map(|(name, value)| format!("{}={}", name.display(), value.display())).collect()
        };
        assert_eq!(
            pairs(&defaults),
            [
                "CI=woodpecker",
                "CI_COMMIT_SHA=3f2a",
                "SSL_CERT_FILE=/ca.pem",
                "https_proxy=http://proxy",
                "PATH=/opt/bin",
                "PLUGIN_URL=http://app"
            ]
        );
        let named = ["CI_NETRC_PASSWORD", "PLUGIN_*", "PLUGIN_SIGNING_KEY"].map(str::to_owned);
        assert_eq!(pairs(&named), ["CI_NETRC_PASSWORD=token", "PATH=/opt/bin", "PLUGIN_URL=http://app"]);
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        for name in ["", "A=B", "A\0"] {
            let extra = BTreeMap::from([(name.to_owned(), "x".to_owned())]);
            let refused = child_env(&Env::default(), &[], &extra);
            assert_eq!(refused, Err(BadVariable { name: name.to_owned() }));
        }
    }
}
