//! The real workspace, checked.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use arrows::graph::Graph;
use arrows::layers::{IO, LAYERS, broken};
use arrows::licences::Rules;
use arrows::sources::{Source, below};
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The graph of this platform: with all platforms, crates would have to be downloaded that nobody builds.
static METADATA: LazyLock<Value> = LazyLock::new(|| {
    let rustc = Command::new("rustc").arg("-vV").output().expect("rustc is on PATH");
    let rustc = String::from_utf8(rustc.stdout).expect("rustc speaks UTF-8");
    let host = rustc.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc names its host");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", host])
        .current_dir(root())
        .output()
        .expect("cargo can be run");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON")
});

static GRAPH: LazyLock<Graph> = LazyLock::new(|| Graph::new(&METADATA));

/// The members' folders, with their names.
fn members() -> Vec<(String, PathBuf)> {
    let packages = METADATA["packages"].as_array().expect("cargo metadata lists packages");
    let own = packages.iter().filter(|package| package["source"].is_null());
    own.map(|package| {
        let manifest = Path::new(package["manifest_path"].as_str().expect("a package has a manifest"));
        let folder = manifest.parent().expect("a manifest is in a folder");
        (package["name"].as_str().expect("a package has a name").to_owned(), folder.to_owned())
    })
    .collect()
}

#[track_caller]
fn assert_none(what: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{what}:\n  {}", findings.join("\n  "));
}

#[test]
fn every_arrow_is_in_the_table_of_layers() {
    assert_none("arrows that the layers do not allow", &broken(&GRAPH, LAYERS));
}

/// The check above would pass on a graph without edges, so the edges that must be there are looked up.
#[test]
fn the_graph_is_the_real_one() {
    let (_, id) =
        GRAPH.members().find(|(name, _)| *name == "granary-registry").expect("there is a registry client");
    let closure = GRAPH.closure(id, &[arrows::graph::Kind::Normal]);
    let paths: Vec<&String> = closure.values().filter(|path| path.ends_with("-> tokio")).collect();
    assert_eq!(paths, ["granary-registry -> tokio"]);
}

#[test]
fn the_plugins_hold_no_banned_crate_and_no_unlisted_licence() {
    let text = std::fs::read_to_string(root().join("deny.toml")).expect("deny.toml is there");
    let rules = Rules::new(&text);
    let plugins = root().join("plugins").canonicalize().expect("there are plugins");
    let members = members();
    let is_plugin =
        |name: &str| members.iter().any(|(member, folder)| member == name && folder.starts_with(&plugins));
    let roots: Vec<&str> = GRAPH.members().filter(|(name, _)| is_plugin(name)).map(|(_, id)| id).collect();
    assert!(roots.len() >= 3, "the plugins were not found: {roots:?}");
    assert_none("crates that deny.toml does not allow", &rules.broken(&GRAPH, &roots));
}

#[test]
fn everything_comes_from_one_registry() {
    let mut sources: Vec<&str> = GRAPH.packages().filter_map(|package| package.source.as_deref()).collect();
    sources.sort_unstable();
    sources.dedup();
    assert_eq!(sources.len(), 1, "{sources:?}");
    assert!(sources[0].starts_with("registry+"), "{sources:?}");
}

#[test]
fn every_file_says_what_it_is_for_and_none_is_too_long() {
    let sources: Vec<Source> = members().iter().flat_map(|(_, folder)| below(&folder.join("src"))).collect();
    assert!(sources.len() > 20, "the sources were not found");
    assert_none("files", &sources.iter().flat_map(Source::problems).collect::<Vec<_>>());
}

#[test]
fn pure_crates_read_no_clock_no_environment_and_no_files() {
    let is_pure =
        |name: &str| name.starts_with("granary-") && LAYERS.iter().any(|p| p.name == name && p.never == IO);
    let pure: Vec<PathBuf> = members()
        .into_iter()
        .filter(|(name, _)| is_pure(name))
        .map(|(_, folder)| folder.join("src"))
        .collect();
    assert_eq!(pure.len(), 6);
    let findings: Vec<String> =
        pure.iter().flat_map(|folder| below(folder)).flat_map(|s| s.impurities()).collect();
    assert_none("pure crates that are not", &findings);
}
