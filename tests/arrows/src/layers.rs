//! The layers, as one table.
//!
//! ```text
//! plugins/*  →  suite  →  plugin                       (Woodpecker; nothing of OCI or Git)
//!                  ↓
//!       registry, git, forge  →  net                   (I/O; nothing of plugins)
//!                  ↓            ↓
//!    policy → release, attest, gates → oci   redact    (pure: bytes in, decisions out)
//! ```

use crate::graph::{Graph, Kind};

/// A crate of the workspace and what it may import.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The package.
    pub name: &'static str,
    /// Members of the workspace that it may have as normal or build dependencies.
    pub may_use: &'static [&'static str],
    /// What may be nowhere below it, however many crates away.
    pub never: &'static [&'static str],
}

/// The one crate that everybody may use in tests, and nobody in what is shipped.
pub const TEST_ONLY: &str = "granary-testkit";

/// Those that are never shipped and may therefore build on [`TEST_ONLY`].
pub const TOOLS: &[&str] = &["xtask", "bench", "e2e", "flow"];

/// Sockets, event loops, files beyond `std`: a crate that has one of these below it is not pure.
pub const IO: &[&str] = &["tokio", "mio", "hyper", "reqwest", "rustix", "git2", "tempfile"];

/// A plugin's binary may stand on everything but another plugin.
const BELOW_PLUGINS: &[&str] = &[
    "granary-attest",
    "granary-forge",
    "granary-gates",
    "granary-git",
    "granary-net",
    "granary-oci",
    "granary-plugin",
    "granary-policy",
    "granary-redact",
    "granary-registry",
    "granary-release",
    "granary-suite",
];

/// Who may import whom. Whoever adds an arrow adds it here, in the same commit, with the reason in its message.
pub const LAYERS: &[Place] = &[
    // Pure.
    Place { name: "granary-redact", may_use: &[], never: IO },
    Place { name: "granary-oci", may_use: &[], never: IO },
    Place { name: "granary-attest", may_use: &[], never: IO },
    Place { name: "granary-gates", may_use: &[], never: IO },
    // The policy names keys, windows and evidence, and gives each to the crate that judges it.
    Place {
        name: "granary-policy",
        may_use: &["granary-attest", "granary-gates", "granary-release"],
        never: IO,
    },
    Place { name: "granary-release", may_use: &["granary-oci"], never: IO },
    // I/O.
    Place { name: "granary-net", may_use: &["granary-redact"], never: &["git2"] },
    Place {
        name: "granary-registry",
        may_use: &["granary-net", "granary-oci", "granary-redact"],
        never: &["git2"],
    },
    Place { name: "granary-git", may_use: &[], never: &["reqwest"] },
    Place { name: "granary-forge", may_use: &["granary-net", "granary-redact"], never: &["git2"] },
    // Woodpecker.
    Place { name: "granary-plugin", may_use: &["granary-redact"], never: &["reqwest", "hyper", "git2"] },
    Place {
        name: "granary-suite",
        may_use: &[
            "granary-attest",
            "granary-forge",
            "granary-git",
            "granary-net",
            "granary-oci",
            "granary-plugin",
            "granary-redact",
            "granary-registry",
            "granary-release",
        ],
        never: &[],
    },
    Place { name: "registry-push", may_use: BELOW_PLUGINS, never: &[] },
    Place { name: "integration-test", may_use: BELOW_PLUGINS, never: &[] },
    Place { name: "promote", may_use: BELOW_PLUGINS, never: &[] },
    // Never shipped. The test registry shares no code with the client that it tests.
    Place { name: "granary-testkit", may_use: &[], never: &[] },
    Place { name: "arrows", may_use: &[], never: IO },
    // Measures the registry crate as a program, and the plugins as they are.
    Place {
        name: "bench",
        may_use: &["granary-attest", "granary-net", "granary-oci", "granary-registry", "granary-testkit"],
        never: &[],
    },
    // Both run the plugins as processes; flow reads their evidence.
    Place { name: "e2e", may_use: &["granary-testkit"], never: &[] },
    Place { name: "flow", may_use: &["granary-attest", "granary-testkit"], never: &[] },
    // Evidence that integration-test would never make is made by hand.
    Place { name: "flow", may_use: &["granary-attest", "granary-testkit"], never: &[] },
    // The demo makes a key, `docs` knows the markers of the settings tables.
    Place { name: "xtask", may_use: &["granary-attest", "granary-plugin", "granary-testkit"], never: &[] },
];

/// Every arrow that the table does not allow, as the path that it makes; empty where all is well.
#[must_use]
pub fn broken(graph: &Graph, layers: &[Place]) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, id) in graph.members() {
        let Some(place) = layers.iter().find(|place| place.name == name) else {
            findings.push(format!("{name} has no place in the table of layers (tests/arrows/src/layers.rs)"));
            continue;
        };
        for (reason, kinds) in
            [("in what is built", &[Kind::Normal, Kind::Build] as &[_]), ("in tests", &[Kind::Dev])]
        {
            for to in graph.dependencies(id, kinds).filter(|to| graph.is_member(to)) {
                let used = graph.package(to).name.as_str();
                let allowed = place.may_use.contains(&used) || (kinds == [Kind::Dev] && used == TEST_ONLY);
                if !allowed {
                    findings.push(format!("{name} -> {used} ({reason})"));
                }
            }
        }
        let closure = graph.closure(id, &[Kind::Normal]);
        for (below, path) in &closure {
            let below = graph.package(below).name.as_str();
            if place.never.contains(&below) {
                findings.push(format!("{path} ({name} stays free of {below})"));
            }
            if below == TEST_ONLY && name != TEST_ONLY && !TOOLS.contains(&name) {
                findings.push(format!("{path} ({TEST_ONLY} is for tests and tools)"));
            }
        }
    }
    for place in layers {
        if !graph.members().any(|(name, _)| name == place.name) {
            findings.push(format!("{} is in the table of layers but not in the workspace", place.name));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::graph::tests::graph;
    use super::*;

    const TABLE: &[Place] = &[
        Place { name: "pure", may_use: &[], never: &["tokio"] },
        Place { name: "net", may_use: &["pure"], never: &[] },
        Place { name: "plugin", may_use: &["pure"], never: &["git2"] },
        Place { name: "granary-testkit", may_use: &[], never: &[] },
        Place { name: "xtask", may_use: &["granary-testkit"], never: &[] },
    ];
    const MEMBERS: &[&str] = &["pure", "net", "plugin", "granary-testkit", "xtask"];

    #[test]
    fn each_kind_of_broken_arrow_is_found_with_its_path() {
        for (edges, expected) in [
            (&[("net", "pure", None), ("net", "tokio", None)] as &[_], &[] as &[&str]),
            (
                &[("pure", "serde", None), ("serde", "tokio", None)],
                &["pure -> serde -> tokio (pure stays free of tokio)"],
            ),
            (&[("pure", "tokio", Some("dev"))], &[]),
            (&[("net", "plugin", None)], &["net -> plugin (in what is built)"]),
            (&[("net", "plugin", Some("build"))], &["net -> plugin (in what is built)"]),
            (&[("net", "plugin", Some("dev"))], &["net -> plugin (in tests)"]),
            (&[("net", "granary-testkit", Some("dev")), ("xtask", "granary-testkit", None)], &[]),
            (
                &[("net", "granary-testkit", None)],
                &[
                    "net -> granary-testkit (in what is built)",
                    "net -> granary-testkit (granary-testkit is for tests and tools)",
                ],
            ),
        ] {
            assert_eq!(broken(&graph(MEMBERS, edges), TABLE), expected, "{edges:?}");
        }
    }

    #[test]
    fn a_crate_without_a_place_and_a_place_without_a_crate_are_found() {
        let members = ["pure", "net", "plugin", "granary-testkit", "stranger"];
        assert_eq!(
            broken(&graph(&members, &[]), TABLE),
            [
                "stranger has no place in the table of layers (tests/arrows/src/layers.rs)",
                "xtask is in the table of layers but not in the workspace",
            ]
        );
    }
}
