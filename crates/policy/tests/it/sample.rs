//! Policies for tests.

use std::collections::BTreeMap;
use std::path::PathBuf;

use granary_policy::{Policy, PolicyError, Source};

/// The one that reads like documentation.
pub(crate) const EXAMPLE: &str = include_str!("../data/promotion.yaml");

/// Two stages and nothing else.
pub(crate) const SMALL: &str = "version: 1\nzone: America/New_York\nstages:\n  beta: {}\n  stable: {}\n";

/// The files that the example names.
pub(crate) fn files() -> BTreeMap<String, String> {
    let file = |path: &str, content: &str| (path.to_owned(), content.to_owned());
    [
        file("policy/us-equities.yaml", include_str!("../data/us-equities.yaml")),
        file("policy/keys/staging.pub", include_str!("../data/keys/staging.pub")),
    ]
    .into()
}

pub(crate) fn read(text: &str) -> Result<Policy, Vec<PolicyError>> {
    Source::read(text, "promotion.yaml")?.resolve(&files())
}

/// A stage `stable` with these lines in it.
pub(crate) fn stable(lines: &str) -> String {
    let lines: String = lines.lines().map(|line| format!("    {line}\n")).collect();
    format!("version: 1\nzone: America/New_York\nstages:\n  stable:\n{lines}")
}

/// A policy with these lines before its stages.
pub(crate) fn above(lines: &str) -> String {
    format!("version: 1\nzone: America/New_York\n{lines}\nstages:\n  stable: {{}}\n")
}

/// The errors, one a line, without the file's name.
pub(crate) fn errors(text: &str) -> Vec<String> {
    let errors = read(text).err().unwrap_or_default();
    errors.iter().map(|error| error.to_string().replacen("promotion.yaml:", "", 1)).collect()
}

/// Holds a file of policies against what is said about each of them: behind each, lines that begin with
/// `=> `; between two, `====`. With `UPDATE_EXPECTED` set, writes what is said instead.
pub(crate) fn hold(file: &str, said: impl Fn(&str) -> Vec<String>) {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "data", file].iter().collect();
    let text = std::fs::read_to_string(&path).expect(file);
    let update = std::env::var_os("UPDATE_EXPECTED").is_some();
    let mut blocks = Vec::new();
    for block in text.split("====\n") {
        let (expected, lines): (Vec<&str>, Vec<&str>) =
            block.lines().partition(|line| line.starts_with("=> "));
        let policy: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let said: Vec<String> = said(&policy).into_iter().map(|line| format!("=> {line}")).collect();
        if !update {
            assert_eq!(said, expected, "\n{policy}");
        }
        blocks.push(format!("{policy}{}\n", said.join("\n")));
    }
    if update {
        std::fs::write(&path, blocks.join("====\n")).expect(file);
    }
}
