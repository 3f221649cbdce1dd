//! Which crates and licences may be in a plugin: `deny.toml`, read here as well, so that the check needs no cargo-deny.
//!
//! cargo-deny checks more (advisories, duplicates, the texts of the licences). What is checked here is what must never be
//! shipped by accident, and it is checked on every `cargo test`.

use toml::{Table, Value};

use crate::graph::{Graph, Kind};

/// The lists of `deny.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// SPDX identifiers.
    pub allowed: Vec<String>,
    /// Crate and the further identifiers that it alone may have.
    pub exceptions: Vec<(String, Vec<String>)>,
    /// Crates that may not be there.
    pub banned: Vec<String>,
}

impl Rules {
    /// Reads the text of `deny.toml`.
    ///
    /// # Panics
    /// Where it is not TOML or lacks `licenses.allow` or `bans.deny`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let file: Table = text.parse().unwrap_or_else(|error| panic!("deny.toml: {error}"));
        let exceptions = file["licenses"].get("exceptions").and_then(Value::as_array);
        Self {
            allowed: texts(&file["licenses"]["allow"]),
            exceptions: exceptions
                .into_iter()
                .flatten()
                .map(|exception| (crate_name(exception), texts(&exception["allow"])))
                .collect(),
            banned: list(&file["bans"]["deny"]).iter().map(crate_name).collect(),
        }
    }

    /// Every crate below `roots` that is banned or has a licence that is not allowed, as the path that leads to it.
    ///
    /// Bans count for build scripts too: what they compile is linked. Licences count for what is linked.
    #[must_use]
    pub fn broken(&self, graph: &Graph, roots: &[&str]) -> Vec<String> {
        let mut findings = Vec::new();
        for root in roots {
            for (id, path) in graph.closure(root, &[Kind::Normal, Kind::Build]) {
                if self.banned.contains(&graph.package(id).name) {
                    findings.push(format!("{path} (banned in deny.toml)"));
                }
            }
            for (id, path) in graph.closure(root, &[Kind::Normal]) {
                let package = graph.package(id);
                let exceptions: Vec<&String> = self
                    .exceptions
                    .iter()
                    .filter(|(name, _)| *name == package.name)
                    .flat_map(|(_, licences)| licences)
                    .collect();
                let is_allowed = |licence: &str| {
                    self.allowed.iter().chain(exceptions.iter().copied()).any(|allowed| allowed == licence)
                };
                match &package.licence {
                    None => findings.push(format!("{path} (names no licence)")),
                    Some(expression) => match satisfies(expression, &is_allowed) {
                        Some(true) => {}
                        Some(false) => findings.push(format!("{path} (licence {expression})")),
                        None => findings.push(format!("{path} (licence {expression} is no SPDX expression)")),
                    },
                }
            }
        }
        findings
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("deny.toml: a list instead of {value:?} is wanted"))
}

fn texts(value: &Value) -> Vec<String> {
    list(value).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn crate_name(entry: &Value) -> String {
    let name = entry.get("crate").and_then(Value::as_str);
    name.unwrap_or_else(|| panic!("deny.toml: {entry:?} has no `crate`")).to_owned()
}

/// Whether a licence that `is_allowed` can be chosen from this SPDX expression; `None` where it cannot be read.
///
/// `WITH` is part of the licence's name here: an exception is asked for as `Apache-2.0 WITH LLVM-exception`. The `/` of old
/// manifests means OR.
#[must_use]
pub fn satisfies(expression: &str, is_allowed: &dyn Fn(&str) -> bool) -> Option<bool> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut words = words.as_slice();
    let answer = any_of(&mut words, is_allowed)?;
    words.is_empty().then_some(answer)
}

fn any_of(words: &mut &[&str], is_allowed: &dyn Fn(&str) -> bool) -> Option<bool> {
    let mut answer = all_of(words, is_allowed)?;
    while let Some(("OR", rest)) = words.split_first().map(|(word, rest)| (*word, rest)) {
        *words = rest;
        answer |= all_of(words, is_allowed)?;
    }
    Some(answer)
}

fn all_of(words: &mut &[&str], is_allowed: &dyn Fn(&str) -> bool) -> Option<bool> {
    let mut answer = one(words, is_allowed)?;
    while let Some(("AND", rest)) = words.split_first().map(|(word, rest)| (*word, rest)) {
        *words = rest;
        answer &= one(words, is_allowed)?;
    }
    Some(answer)
}

fn one(words: &mut &[&str], is_allowed: &dyn Fn(&str) -> bool) -> Option<bool> {
    match **words {
        ["(", ref rest @ ..] => {
            *words = rest;
            let answer = any_of(words, is_allowed)?;
            *words = words.strip_prefix(&[")"])?;
            Some(answer)
        }
        [licence, "WITH", exception, ref rest @ ..] => {
            *words = rest;
            Some(is_allowed(&format!("{licence} WITH {exception}")))
        }
        [licence, ref rest @ ..] if !matches!(licence, ")" | "OR" | "AND" | "WITH") => {
            *words = rest;
            Some(is_allowed(licence))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::graph::tests::graph;
    use super::*;

    #[test]
    fn spdx_expressions() {
        let allowed = ["MIT", "Apache-2.0", "ISC"];
        let is_allowed = |licence: &str| allowed.contains(&licence);
        for (expression, expected) in [
            ("MIT", Some(true)),
            ("GPL-3.0", Some(false)),
            ("MIT OR GPL-3.0", Some(true)),
            ("MIT AND GPL-3.0", Some(false)),
            ("MIT/Apache-2.0", Some(true)),
            ("GPL-3.0/LGPL-3.0", Some(false)),
            // AND binds more strongly than OR.
            ("GPL-3.0 AND LGPL-3.0 OR MIT", Some(true)),
            ("GPL-3.0 AND (LGPL-3.0 OR MIT)", Some(false)),
            ("(MIT OR Apache-2.0) AND ISC", Some(true)),
            ("Apache-2.0 WITH LLVM-exception", Some(false)),
            ("Apache-2.0 WITH LLVM-exception OR MIT", Some(true)),
            ("", None),
            ("MIT OR", None),
            ("(MIT", None),
            ("MIT Apache-2.0", None),
        ] {
            assert_eq!(satisfies(expression, &is_allowed), expected, "{expression}");
        }
    }

    #[test]
    fn bans_and_licences_are_found_below_the_roots_only() {
        let rules = Rules::new(
            r#"
            [licenses]
            allow = ["MIT"]
            exceptions = [{ crate = "odd", allow = ["Zlib"] }]
            [bans]
            deny = [{ crate = "bad-sys", reason = "C" }]
            "#,
        );
        let graph = graph(
            &["app", "tool"],
            &[
                ("app", "good", None),
                ("good", "bad-sys", Some("build")),
                ("app", "bad-sys", Some("dev")),
                ("tool", "bad-sys", None),
            ],
        );
        assert_eq!(rules.broken(&graph, &["app"]), ["app -> good -> bad-sys (banned in deny.toml)"]);
        let strict = Rules { allowed: vec!["ISC".to_owned()], banned: Vec::new(), ..rules.clone() };
        assert_eq!(strict.broken(&graph, &["app"]), ["app (licence MIT)", "app -> good (licence MIT)"]);
        let excepted = Rules { exceptions: vec![("app".to_owned(), vec!["MIT".to_owned()])], ..strict };
        assert_eq!(excepted.broken(&graph, &["app"]), ["app -> good (licence MIT)"]);
    }
}
