//! What is masked of the variables that the tests get. Pure.

use granary_plugin::Env;
use granary_redact::Secret;

use crate::runner::DEFAULT_PASS_ENV;
use crate::settings::Commands;

/// What cleaned texts have in the place of values: those in `env`.
///
/// Numbers and yes or no are as little masked here as in the step's own output: a log without `true` and
/// `8080` says nothing any more.
pub(super) fn of_env(commands: &Commands) -> impl Iterator<Item = Secret> {
    commands.env.values().filter(|value| is_telling(value)).map(Secret::new)
}

/// The same of the variables that `pass_env` names one by one: whoever does so mostly passes a token.
pub(super) fn of_pass_env(commands: &Commands, env: &Env) -> Vec<Secret> {
    let named = commands.pass_env.iter().filter(|name| !is_public(name));
    named.filter_map(|name| env.get(name)).filter(|value| is_telling(value)).map(Secret::new).collect()
}

/// Prefixes, what everybody passes, and what Woodpecker says about the pipeline, a token for the forge aside.
fn is_public(name: &str) -> bool {
    let is_forge_token = name.starts_with("CI_NETRC_");
    name.ends_with('*')
        || name == "HOME"
        || DEFAULT_PASS_ENV.split(',').any(|public| public == name)
        || (name.starts_with("CI_") && !is_forge_token)
}

fn is_telling(value: &str) -> bool {
    value.parse::<u32>().is_err() && !matches!(value.to_ascii_lowercase().as_str(), "true" | "false")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_in_full_is_masked() {
        for name in ["TOKEN", "CI_NETRC_PASSWORD", "BROKER_URL"] {
            assert!(!is_public(name), "{name}");
        }
        for name in ["APP_*", "CI", "CI_COMMIT_SHA", "PATH", "HOME", "https_proxy", "SSL_CERT_FILE"] {
            assert!(is_public(name), "{name}");
        }
        for value in ["8080", "true", "False"] {
            assert!(!is_telling(value), "{value}");
        }
    }
}
