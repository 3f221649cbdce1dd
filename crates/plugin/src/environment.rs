//! The environment as a value: read once in `main`, handed down from there, built by hand in tests.
//!
//! Refuses to show values (a `Debug` of the environment is a dump of every secret) and to hand a
//! `PLUGIN_*` to a child process.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;

/// Names and values of environment variables.
#[derive(Clone, Default)]
pub struct Env {
    variables: BTreeMap<OsString, OsString>,
}

impl Env {
    /// The environment of this process. Only [`crate::main`] calls it.
    pub(crate) fn of_process() -> Self {
        Env { variables: std::env::vars_os().collect() }
    }

    /// An environment made of the given pairs.
    pub fn from_pairs<N: Into<OsString>, V: Into<OsString>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        Env { variables: pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect() }
    }

    /// The value of a variable; a value that is empty or not UTF-8 counts as absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables
            .get(OsStr::new(name))
            .and_then(|value| value.to_str())
            .filter(|value| !value.is_empty())
    }

    /// All pairs, in order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.variables.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    /// What a child process may see: the variables that are named, or begin with `PREFIX` where a
    /// pattern is `PREFIX*`.
    ///
    /// `PLUGIN_*` is never among them: those are this plugin's settings, secrets included. `CI_NETRC_*`,
    /// a person's token at the forge, only where it is named in full; `CI_*` does not cover it.
    pub fn for_child(&self, patterns: &[String]) -> Vec<(OsString, OsString)> {
        let wanted = |name: &str| {
            patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix) && !name.starts_with("CI_NETRC_"),
                None => name == pattern,
            })
        };
        self.variables
            .iter()
            .filter(|(name, _)| {
                name.to_str()
                    .is_some_and(|name| !name.to_ascii_uppercase().starts_with("PLUGIN_") && wanted(name))
            })
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.variables.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_sees_neither_settings_nor_the_forge_token() {
        let env = Env::from_pairs([
            ("CI_REPO", "acme/app"),
            ("CI_NETRC_PASSWORD", "token"),
            ("PLUGIN_PASSWORD", "hunter2"),
            ("plugin_password", "hunter2"),
            ("PATH", "/bin"),
            ("LD_PRELOAD", "x.so"),
        ]);
        let names = |patterns: &[&str]| -> Vec<String> {
            let patterns: Vec<String> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
            env.for_child(&patterns).into_iter().map(|(name, _)| name.into_string().unwrap()).collect()
        };
        assert_eq!(names(&["CI_*", "PATH"]), ["CI_REPO", "PATH"]);
        assert_eq!(names(&["*", "PLUGIN_PASSWORD"]), ["CI_REPO", "LD_PRELOAD", "PATH"]);
        assert_eq!(names(&["CI_NETRC_PASSWORD"]), ["CI_NETRC_PASSWORD"]);
    }

    #[test]
    fn empty_is_absent_and_debug_shows_names_only() {
        let env = Env::from_pairs([("A", ""), ("B", "hunter2")]);
        assert_eq!((env.get("A"), env.get("B"), env.get("C")), (None, Some("hunter2"), None));
        assert_eq!(format!("{env:?}"), r#"{"A", "B"}"#);
    }
}
