//! Two more tags on an existing index.

use std::process::Command;
use std::time::Duration;

use super::{Stage, on_each};
use crate::harness::{Bench, Contender, DELAY, RowError, Turn, race};
use crate::material::{Release, release};
use crate::servers::Kind;
use crate::table::{OURS, Row, Target};

const TITLE: &str = "2 more tags on an existing index";
const REPOSITORY: &str = "bench/tags";

pub(super) fn rows(bench: &Bench) -> Vec<Row> {
    on_each(&Kind::ALL, TITLE, |kind| {
        let stage = Stage::open(bench, kind, 0)?;
        let release = release(1, 0)?;
        bench.runtime.block_on(release.put(&stage.client, REPOSITORY, "v1"))?;
        Ok([Duration::ZERO, DELAY].map(|delay| row(bench, &stage, kind, &release, delay)).into())
    })
}

fn row(bench: &Bench, stage: &Stage, kind: Kind, release: &Release, delay: Duration) -> Row {
    let contenders = [OURS, "oras-go", "regctl", "crane", "skopeo"];
    let contenders = contenders.map(|name| {
        Contender::new(name, move |round| {
            let id = name.trim_matches('*').replace('-', "");
            let tags = ["a", "b"].map(|tag| format!("{id}-{round}-{}-{tag}", delay.as_millis()));
            let commands = commands(bench, name, &tags)?;
            Ok(Turn::checked(commands, move || {
                for tag in &tags {
                    bench.runtime.block_on(release.found(&stage.client, REPOSITORY, tag, false))?;
                }
                Ok(String::new())
            }))
        })
    });
    let row = Row::new(TITLE, kind.name(), delay, race(bench, delay, bench.rounds, contenders.into()))
        .note("Ours is `granary-bench-driver tag`: the registry crate as a program of its own; no plugin only tags. \
               crane, regctl and skopeo take one tag per run, so these are two runs.");
    if delay.is_zero() {
        return row;
    }
    let (limit, floor) = match kind {
        Kind::Testkit => (2, "1 GET and 1 PUT that names both tags."),
        _ => (3, "1 GET and a PUT for each tag."),
    };
    let found = row.ours(|sample| sample.summary.requests);
    let depth = row.ours(|sample| sample.summary.depth);
    row.target(Target::at_most(limit, "requests", found, floor))
        .target(Target::at_most(2, "deep", depth, floor))
}

fn commands(bench: &Bench, name: &str, tags: &[String; 2]) -> Result<Vec<Command>, RowError> {
    let host = bench.host();
    let image = |tag: &str| format!("{host}/{REPOSITORY}:{tag}");
    let source = image("v1");
    let each =
        |command: &dyn Fn(&str) -> Result<Command, RowError>| tags.iter().map(|tag| command(tag)).collect();
    match name {
        "oras-go" => {
            let mut command = bench.peers.command("oras-peer")?;
            command.args(["tag", &source]).args(tags);
            Ok(vec![command])
        }
        "crane" => each(&|tag| {
            let mut command = bench.peers.command("crane")?;
            command.args(["tag", &source, tag]);
            Ok(command)
        }),
        "regctl" => each(&|tag| {
            let mut command = bench.peers.regctl(&[&host])?;
            command.args(["image", "copy", &source, &image(tag)]);
            Ok(command)
        }),
        "skopeo" => each(&|tag| {
            let mut command = bench.peers.skopeo_copy()?;
            command.args(["--all", &format!("docker://{source}"), &format!("docker://{}", image(tag))]);
            Ok(command)
        }),
        _ => {
            let mut command = bench.peers.driver();
            command.args(["tag", &source]).args(tags);
            Ok(vec![command])
        }
    }
}
