//! Files that the policy names: of the same commit, read by the caller.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use crate::error::{PolicyError, Problem};
use crate::reader::Reader;
use crate::yaml::{Node, shown};

/// Longest path, in bytes.
const MAX_PATH: usize = 255;

const PATH: &str = "a path from the repository's root, without `..`, such as policy/keys/tests.pub";

/// The contents that were read, what of them was asked for, and what is wrong in them.
pub(crate) struct Files<'a> {
    contents: &'a BTreeMap<String, String>,
    used: BTreeSet<String>,
    errors: Vec<PolicyError>,
}

impl<'a> Files<'a> {
    pub(crate) fn new(contents: &'a BTreeMap<String, String>) -> Files<'a> {
        Files { contents, used: BTreeSet::new(), errors: Vec::new() }
    }

    /// The content of the file that a value names, and its path.
    pub(crate) fn named(&mut self, reader: &mut Reader, node: &Node, at: &str) -> Option<(String, &'a str)> {
        let path = path(reader, node, at)?;
        match self.contents.get(&path) {
            Some(content) => {
                self.used.insert(path.clone());
                Some((path, content))
            }
            None => {
                reader.at(node.place, at, Problem::FileNotRead { path: shown(&path) });
                None
            }
        }
    }

    /// Takes what is wrong in a file.
    pub(crate) fn wrong(&mut self, reader: Reader) {
        self.errors.extend(reader.into_errors());
    }

    pub(crate) fn digests(&self) -> BTreeMap<String, String> {
        let digest = |path: &String| {
            let content = self.contents.get(path)?;
            Some((path.clone(), hex::encode(Sha256::digest(content.as_bytes()))))
        };
        self.used.iter().filter_map(digest).collect()
    }

    pub(crate) fn into_errors(self) -> Vec<PolicyError> {
        self.errors
    }
}

/// A path in the repository.
pub(crate) fn path(reader: &mut Reader, node: &Node, at: &str) -> Option<String> {
    let text = node.text()?;
    if is_path(text) {
        return Some(text.to_owned());
    }
    reader.at(node.place, at, Problem::Form { found: shown(text), needed: PATH });
    None
}

fn is_path(text: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part != "." && part != ".." && part != ".git";
    text.len() <= MAX_PATH
        && !text.contains(['\\', ':'])
        && !text.chars().any(char::is_control)
        && text.split('/').all(part)
}

/// Whether a key is given by the path of its file. Names of such files have one of two endings: a bare
/// base64 text, perhaps of a private key, is a path as well, and would be shown as one.
pub(crate) fn is_key_path(text: &str) -> bool {
    (text.ends_with(".pub") || text.ends_with(".pem")) && is_path(text)
}

/// Every path that can be told without judging the rest.
pub(crate) fn named(root: &Node) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for calendar in root.get("calendars").into_iter().flat_map(Node::entries) {
        let overrides = calendar.value.get("overrides").and_then(Node::text);
        paths.extend(overrides.filter(|path| is_path(path)).map(str::to_owned));
    }
    let stages = root.get("stages").into_iter().flat_map(Node::entries).map(|stage| &stage.value);
    let of_stages = stages.flat_map(|stage| {
        [stage.get("evidence").and_then(|evidence| evidence.get("trusted_keys")), stage.get("promoter_keys")]
    });
    let common = root.get("evidence").and_then(|evidence| evidence.get("trusted_keys"));
    for keys in of_stages.chain([common]).flatten() {
        let key = |entry: &Node| entry.get("key").and_then(Node::text).map(str::to_owned);
        paths.extend(keys.items().iter().filter_map(key).filter(|key| is_key_path(key)));
    }
    paths
}
