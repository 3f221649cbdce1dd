//! The rows of DESIGN §10 that concern registries.

mod copy;
mod flux;
mod promote;
mod push;
mod set;
mod start;
mod tags;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use granary_registry::Registry;

use crate::harness::{Bench, Entrant, RowError};
use crate::material;
use crate::peers::Step;
use crate::servers::{Kind, Server};
use crate::table::{OURS, Row};

/// Runs all groups whose name contains `only`, and hands over each row as it is done.
pub fn run(bench: &Bench, only: &str, mut done: impl FnMut(Row)) {
    type Group = fn(&Bench) -> Vec<Row>;
    let groups: [(&str, Group); 7] = [
        ("tags", tags::rows),
        ("copy", copy::rows),
        ("promote", promote::rows),
        ("set", set::rows),
        ("flux", flux::rows),
        ("start", start::rows),
        ("push", push::rows),
    ];
    for (_, group) in groups.iter().filter(|(name, _)| name.contains(only)) {
        group(bench).into_iter().for_each(&mut done);
    }
}

/// A registry behind the first proxy, and a client of ours that goes around it.
struct Stage {
    server: Server,
    client: Registry,
}

impl Stage {
    fn open(bench: &Bench, kind: Kind, proxy: usize) -> Result<Self, RowError> {
        let server = Server::start(kind, |program| bench.peers.locate(program))?;
        bench.proxies[proxy].lead_to(server.address());
        let client = material::client(&server.address().to_string())?;
        Ok(Self { server, client })
    }
}

/// The rows of each registry; one row with the reason where there are none.
fn on_each(kinds: &[Kind], title: &str, rows: impl Fn(Kind) -> Result<Vec<Row>, RowError>) -> Vec<Row> {
    let on_one = |kind: &Kind| {
        rows(*kind).unwrap_or_else(|error| {
            let entrant = Entrant { name: OURS.to_owned(), samples: Err(error) };
            vec![Row::new(title, kind.name(), Duration::ZERO, vec![entrant])]
        })
    };
    kinds.iter().flat_map(on_one).collect()
}

/// registry-push of what `sources` names, in a workspace of the pipeline.
fn publish(bench: &Bench, step: &Step<'_>, sources: &str) -> Command {
    let mut command = bench.peers.plugin("registry-push", step);
    command.env("PLUGIN_SOURCES", sources);
    command
}

/// What a plugin wrote to its result file, by name.
fn outcome(workspace: &Path, plugin: &str) -> Result<String, RowError> {
    let path = workspace.join(format!(".granary/{plugin}.json"));
    let text = std::fs::read_to_string(&path).map_err(|source| RowError::File { path, source })?;
    let result: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    Ok(result["outcome"].as_str().unwrap_or("none").to_owned())
}

/// Insists on an outcome; notes nothing.
fn has_outcome(workspace: &Path, plugin: &str, expected: &str) -> Result<String, RowError> {
    let found = outcome(workspace, plugin)?;
    match found == expected {
        true => Ok(String::new()),
        false => Err(RowError::Wrong { found, expected: expected.to_owned() }),
    }
}
