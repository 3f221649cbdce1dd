//! The dependency graph that `cargo metadata` resolves.
//!
//! It is the graph of this machine's platform with all features that any workspace member asks for, tests included: a crate
//! may seem to have a dependency that only another member's feature brings, never the other way round.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;

/// Why a crate depends on another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It ends up in what is built.
    Normal,
    /// Build scripts use it.
    Build,
    /// Tests use it.
    Dev,
}

/// One resolved package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its SPDX expression, where it has one.
    pub licence: Option<String>,
    /// Where it came from; `None` for members of the workspace.
    pub source: Option<String>,
}

/// Packages by id, with their edges.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    packages: BTreeMap<String, Package>,
    edges: BTreeMap<String, BTreeSet<(String, Kind)>>,
    members: BTreeSet<String>,
}

impl Graph {
    /// Reads the output of `cargo metadata --format-version 1`.
    ///
    /// # Panics
    /// Where that is not what `document` is.
    #[must_use]
    pub fn new(document: &Value) -> Self {
        let mut graph = Self::default();
        for package in array(document, "packages") {
            let described = Package {
                name: text(package, "name"),
                version: text(package, "version"),
                licence: package["license"].as_str().map(str::to_owned),
                source: package["source"].as_str().map(str::to_owned),
            };
            graph.packages.insert(text(package, "id"), described);
        }
        for node in array(&document["resolve"], "nodes") {
            let edges = array(node, "deps").iter().flat_map(|dependency| {
                let to = text(dependency, "pkg");
                array(dependency, "dep_kinds").iter().map(move |kind| (to.clone(), kind_of(&kind["kind"])))
            });
            graph.edges.insert(text(node, "id"), edges.collect());
        }
        for member in array(document, "workspace_members") {
            graph.members.insert(member.as_str().expect("a member is an id").to_owned());
        }
        graph
    }

    /// The workspace's own packages: name and id.
    pub fn members(&self) -> impl Iterator<Item = (&str, &str)> {
        self.members.iter().map(|id| (self.packages[id].name.as_str(), id.as_str()))
    }

    /// True for a package of the workspace.
    #[must_use]
    pub fn is_member(&self, id: &str) -> bool {
        self.members.contains(id)
    }

    /// The package with this id.
    ///
    /// # Panics
    /// Where there is none.
    #[must_use]
    pub fn package(&self, id: &str) -> &Package {
        &self.packages[id]
    }

    /// All packages.
    pub fn packages(&self) -> impl Iterator<Item = &Package> {
        self.packages.values()
    }

    /// What `id` depends on directly, for these reasons.
    pub fn dependencies<'a>(&'a self, id: &str, kinds: &'a [Kind]) -> impl Iterator<Item = &'a str> {
        let edges = self.edges.get(id).into_iter().flatten();
        edges.filter(|(_, kind)| kinds.contains(kind)).map(|(to, _)| to.as_str())
    }

    /// Everything below `id`, itself included, each with the shortest path to it, written `a -> b -> c`.
    #[must_use]
    pub fn closure<'a>(&'a self, id: &'a str, kinds: &[Kind]) -> BTreeMap<&'a str, String> {
        let mut paths = BTreeMap::from([(id, self.packages[id].name.clone())]);
        let mut queue = VecDeque::from([id]);
        while let Some(from) = queue.pop_front() {
            let edges = self.edges.get(from).into_iter().flatten();
            for (to, _) in edges.filter(|(_, kind)| kinds.contains(kind)) {
                if !paths.contains_key(to.as_str()) {
                    let path = format!("{} -> {}", paths[from], self.packages[to].name);
                    paths.insert(to, path);
                    queue.push_back(to);
                }
            }
        }
        paths
    }
}

fn kind_of(kind: &Value) -> Kind {
    match kind.as_str() {
        None => Kind::Normal,
        Some("build") => Kind::Build,
        Some("dev") => Kind::Dev,
        Some(other) => panic!("cargo metadata has a new kind of dependency: {other}"),
    }
}

fn array<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("cargo metadata has no list `{key}`"))
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_else(|| panic!("cargo metadata has no text `{key}`")).to_owned()
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// A graph of `("a", "b", "dev")` edges; packages are what the edges and `members` name.
    pub(crate) fn graph(members: &[&str], edges: &[(&str, &str, Option<&str>)]) -> Graph {
        let mut names: BTreeSet<&str> = members.iter().copied().collect();
        names.extend(edges.iter().flat_map(|(from, to, _)| [*from, *to]));
        let packages: Vec<Value> = names
            .iter()
            .map(|name| {
                let source = (!members.contains(name)).then_some("registry+https://index.example.test");
                json!({"id": name, "name": name, "version": "1.0.0", "license": "MIT", "source": source})
            })
            .collect();
        let nodes: Vec<Value> = names
            .iter()
            .map(|name| {
                let own = edges.iter().filter(|(from, _, _)| from == name);
                let deps: Vec<Value> =
                    own.map(|(_, to, kind)| json!({"pkg": to, "dep_kinds": [{"kind": kind}]})).collect();
                json!({"id": name, "deps": deps})
            })
            .collect();
        Graph::new(&json!({"packages": packages, "workspace_members": members, "resolve": {"nodes": nodes}}))
    }

    #[test]
    fn closures_follow_only_the_kinds_asked_for_and_keep_the_shortest_path() {
        let graph = graph(
            &["app"],
            &[
                ("app", "long", None),
                ("long", "way", None),
                ("way", "tokio", None),
                ("app", "short", None),
                ("short", "tokio", None),
                ("app", "cc", Some("build")),
                ("app", "mock", Some("dev")),
                ("tokio", "app", None),
            ],
        );
        let paths: Vec<String> = graph.closure("app", &[Kind::Normal]).into_values().collect();
        assert_eq!(
            paths,
            ["app", "app -> long", "app -> short", "app -> short -> tokio", "app -> long -> way"]
        );
        let with_build = graph.closure("app", &[Kind::Normal, Kind::Build]);
        assert_eq!(with_build.get("cc").map(String::as_str), Some("app -> cc"));
        assert_eq!(with_build.get("mock"), None);
    }
}
