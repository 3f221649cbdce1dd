//! An index with its referrers into another repository, of the same registry or another one, and once more.

use std::process::Command;
use std::time::Duration;

use granary_registry::Registry;

use super::{Stage, on_each};
use crate::harness::{Bench, Contender, DELAY, RowError, Turn, race};
use crate::material::{REFERRERS, Release, release};
use crate::servers::Kind;
use crate::table::{OURS, Row, Target};

const TITLE: &str = "copy a 2-platform index + 3 referrers to another repository";
const SOURCE: &str = "bench/source";
const FLOOR: &str = "3 GET manifests, 3 GET referrers lists, 3 GET referrers, 16 mounts (12 blobs of the image, 3 of the \
                     referrers, their common configuration), 3 + 3 PUT, the index under its tag alone: 31, 5 deep.";

const SHARED: &str = "This registry keeps the blobs of all repositories in one place: a HEAD in the new repository finds what only the old one \
                      was given. Clients that look first have nothing to upload here; a real registry would not answer so.";

pub(super) fn rows(bench: &Bench) -> Vec<Row> {
    let mut rows = on_each(&Kind::ALL, TITLE, |kind| same_registry(bench, kind));
    for (from, to) in
        [(Kind::Docker, Kind::Docker), (Kind::Docker, Kind::Ggcr), (Kind::Testkit, Kind::Testkit)]
    {
        rows.extend(on_each(&[from], TITLE, |from| across(bench, from, to)));
    }
    rows
}

/// What takes part: whether referrers come along is each tool's own.
const ALL: [(&str, bool); 5] =
    [(OURS, true), ("regctl", true), ("oras-go", true), ("crane", false), ("skopeo", false)];

fn same_registry(bench: &Bench, kind: Kind) -> Result<Vec<Row>, RowError> {
    let stage = Stage::open(bench, kind, 0)?;
    let release = release(2, REFERRERS)?;
    let host = bench.host();
    bench.runtime.block_on(release.put(&stage.client, SOURCE, "v1"))?;
    let mut rows = Vec::new();
    for delay in [Duration::ZERO, DELAY] {
        let contenders = ALL.map(|(name, referrers)| {
            let place = Place { host: &host, client: &stage.client, release: &release };
            let repository = move |round| format!("bench/{}-{round}-{}", id(name), delay.as_millis());
            contender(bench, name, referrers, place, repository)
        });
        let title = format!("{TITLE} of the same registry");
        let mut row = Row::new(
            title,
            kind.name(),
            delay,
            race(bench, delay, bench.rounds, contenders.into()),
        )
        .note("Ours is `granary-bench-driver copy --referrers`: the registry crate as a program of its own.")
        .note(
            "crane and skopeo do not copy referrers. Each run has a new target repository and an empty home.",
        );
        if kind == Kind::Ggcr {
            row = row.note(SHARED);
        }
        rows.push(if delay.is_zero() { row } else { with_targets(row, kind) });
    }
    // Into a repository that has it all.
    bench.runtime.block_on(release.put(&stage.client, "bench/again", "v1"))?;
    let again = |names: &[(&'static str, bool)]| {
        let contenders = names.iter().map(|&(name, referrers)| {
            let place = Place { host: &host, client: &stage.client, release: &release };
            contender(bench, name, referrers, place, |_| "bench/again".to_owned())
        });
        race(bench, DELAY, bench.rounds, contenders.collect())
    };
    let unchanged = Row::new(
        "the same when nothing has changed, referrers compared",
        kind.name(),
        DELAY,
        again(&ALL[..3]),
    )
    .note("Ours compares the tag's digest and the referrers of the index on both sides.");
    rows.push(unchanged);
    let names = [(OURS, false), ("crane", false), ("regctl", false), ("skopeo", false)];
    let row =
        Row::new("the same when nothing has changed, by the tag's digest", kind.name(), DELAY, again(&names))
            .note("All without referrers; the oras harness always asks for them (row before).");
    let requests = row.ours(|sample| sample.summary.requests);
    rows.push(row.target(Target::at_most(2, "requests", requests, "a GET and a HEAD.")));
    Ok(rows)
}

fn with_targets(row: Row, kind: Kind) -> Row {
    let requests = row.ours(|sample| sample.summary.requests);
    let depth = row.ours(|sample| sample.summary.depth);
    let seconds = row.ours(|sample| sample.wall).map(|wall| wall.as_secs_f64());
    let (request_floor, depth_floor) = match kind {
        Kind::Testkit => (FLOOR.to_owned(), FLOOR.to_owned()),
        Kind::Docker => (
            format!(
                "{FLOOR} Without the referrers API every list is asked for twice (API, then fallback tag) until the first 404 is known, \
                     and the fallback index needs a GET, a PUT and a look afterwards."
            ),
            "5, and 3 for the fallback index.".to_owned(),
        ),
        Kind::Ggcr => (
            format!("{FLOOR} Without mounts (202) each blob is also read and put: 16 GET and 16 PUT more."),
            "5, and 2 for reading and putting blobs.".to_owned(),
        ),
    };
    row.target(Target::at_most(31, "requests", requests, &request_floor))
        .target(Target::at_most(5, "deep", depth, &depth_floor))
        .target(Target::quantity(0.20, "s", false, seconds, "5 × 30 ms."))
}

fn across(bench: &Bench, from: Kind, to: Kind) -> Result<Vec<Row>, RowError> {
    let source = Stage::open(bench, from, 0)?;
    let target = Stage::open(bench, to, 1)?;
    let release = release(3, REFERRERS)?;
    bench.runtime.block_on(release.put(&source.client, SOURCE, "v1"))?;
    let host = bench.proxies[1].host();
    let contenders = ALL.map(|(name, referrers)| {
        let place = Place { host: &host, client: &target.client, release: &release };
        contender(bench, name, referrers, place, move |round| format!("bench/across-{}-{round}", id(name)))
    });
    let entrants = race(bench, DELAY, bench.rounds, contenders.into());
    let title = format!("{TITLE} of another registry");
    let server = format!("{} to {}", from.name(), to.name());
    let row = Row::new(title, server, DELAY, entrants)
        .note("Both registries behind a proxy each; requests to either are counted. crane and skopeo do not copy referrers.");
    drop((source.server, target.server));
    Ok(vec![if to == Kind::Ggcr { row.note(SHARED) } else { row }])
}

/// Where a copy goes, and what should be found there.
#[derive(Clone, Copy)]
struct Place<'a> {
    host: &'a str,
    client: &'a Registry,
    release: &'a Release,
}

fn contender<'a>(
    bench: &'a Bench,
    name: &'static str,
    referrers: bool,
    place: Place<'a>,
    repository: impl Fn(usize) -> String + 'a,
) -> Contender<'a> {
    Contender::new(name, move |round| {
        let repository = repository(round);
        let target = format!("{}/{repository}:v1", place.host);
        let command = command(bench, name, referrers, &target)?;
        Ok(Turn::checked(vec![command], move || {
            bench.runtime.block_on(place.release.found(place.client, &repository, "v1", referrers))
        }))
    })
}

fn command(bench: &Bench, name: &str, referrers: bool, target: &str) -> Result<Command, RowError> {
    let hosts = [bench.proxies[0].host(), bench.proxies[1].host()];
    let source = format!("{}/{SOURCE}:v1", hosts[0]);
    let mut command = match name {
        "crane" => bench.peers.command("crane")?,
        "oras-go" => bench.peers.command("oras-peer")?,
        "regctl" => {
            let mut command = bench.peers.regctl(&[&hosts[0], &hosts[1]])?;
            command.arg("image");
            command
        }
        "skopeo" => {
            let mut command = bench.peers.skopeo_copy()?;
            command.args(["--all", &format!("docker://{source}"), &format!("docker://{target}")]);
            return Ok(command);
        }
        _ => bench.peers.driver(),
    };
    command.arg("copy");
    // The oras harness has no switch for it.
    if referrers && name != "oras-go" {
        command.arg("--referrers");
    }
    command.args([&source, target]);
    Ok(command)
}

fn id(name: &str) -> String {
    name.trim_matches('*').to_owned()
}
