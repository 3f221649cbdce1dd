//! A release set of 14 images, three tags each, everything there but the tags.

use std::fmt::Write as _;
use std::time::Duration;

use super::{Stage, has_outcome, on_each, publish};
use crate::harness::{Bench, Contender, DELAY, RowError, Turn, race};
use crate::material::release;
use crate::peers::Step;
use crate::servers::Kind;
use crate::table::{OURS, Row, Target};

const TITLE: &str = "release set of 14 images, 3 tags each, all blobs present";
const IMAGES: usize = 14;
/// Rounds at most: a round of the loops takes half a minute.
const LOOPS: usize = 3;
const TAGS: [&str; 3] = ["candidate", "sha", "integration"];

pub(super) fn rows(bench: &Bench) -> Vec<Row> {
    on_each(&[Kind::Docker, Kind::Testkit], TITLE, |kind| {
        let stage = Stage::open(bench, kind, 0)?;
        for number in 1..=IMAGES {
            let release = release(500 + number as u64, 0)?;
            bench.runtime.block_on(release.put(&stage.client, &format!("acme/part-{number}"), "build"))?;
        }
        Ok(vec![row(bench, kind, DELAY)])
    })
}

fn row(bench: &Bench, kind: Kind, delay: Duration) -> Row {
    let ours = Contender::new(OURS, |round| {
        let (workspace, host) = (bench.folder("set")?, bench.host());
        let step = Step { host: &host, repository: "acme/{name}", number: round + 1, workspace: &workspace };
        let mut command = publish(bench, &step, &format!("image:{host}/acme/{{name}}:build"));
        command.env("PLUGIN_NAMES", names().join(",")).env("PLUGIN_LEAD", "part-1");
        Ok(Turn::checked(vec![command], move || has_outcome(&workspace, "registry-push", "done")))
    });
    let loop_of = |name: &'static str, line: fn(&str, &str, &str) -> String| {
        Contender::new(format!("shell loop of {name}"), move |round| {
            let mut shell = bench.peers.command(name)?;
            let program = shell.get_program().to_owned();
            let mut script = String::from("set -e\n");
            for image in names() {
                for tag in TAGS {
                    let (image, tag) =
                        (format!("{}/acme/{image}", bench.host()), format!("{name}-{round}-{tag}"));
                    let _ = writeln!(script, "{}", line(&program.to_string_lossy(), &image, &tag));
                }
            }
            let environment: Vec<_> = shell
                .get_envs()
                .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
                .collect();
            shell = std::process::Command::new("/bin/sh");
            shell.env_clear().envs(environment).args(["-c", &script]);
            Ok::<_, RowError>(Turn::of(vec![shell]))
        })
    };
    let tag = loop_of("crane", |crane, image, tag| format!("{crane} tag {image}:build {tag}"));
    let mut copy =
        loop_of("crane", |crane, image, tag| format!("{crane} copy {image}:build {image}:{tag}-copy"));
    copy.name.push_str(" copy");
    let mut tag = tag;
    tag.name.push_str(" tag");
    let row = Row::new(TITLE, kind.name(), delay, race(bench, delay, bench.rounds.min(LOOPS), vec![ours, tag, copy]))
        .note("Ours is registry-push with `image:` sources: it also numbers the candidate, looks at each member's version, writes the set \
               and tags the lead last. The loop only tags: 42 runs, one after the other; its peak is the shell's.");
    let floor = "depth of the protocol: list, look, set, members, lead.";
    let ratio = row.ratio("shell loop of crane tag");
    let row = row.target(Target::quantity(10.0, "× faster than a loop of `crane tag`", true, ratio, floor));
    let ratio = row.ratio("shell loop of crane copy");
    row.target(Target::quantity(10.0, "× faster than a loop of `crane copy`", true, ratio, floor))
}

fn names() -> Vec<String> {
    (1..=IMAGES).map(|number| format!("part-{number}")).collect()
}
