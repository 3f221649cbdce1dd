//! One big layer and twenty small ones, cold, and again when all is there.

use std::cell::RefCell;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{Stage, has_outcome, on_each, publish};
use crate::harness::{Bench, Contender, DELAY, RowError, Turn, race};
use crate::material::{BigImage, big_layout};
use crate::peers::Step;
use crate::process::said_by;
use crate::servers::Kind;
use crate::table::{OURS, Row, Target, spread};

const BIG: usize = 1 << 30;
const FLOOR_NAME: &str = "one curl PUT of the blob";
const DIRECT: &str = "the same without the proxy";

pub(super) fn rows(bench: &Bench) -> Vec<Row> {
    let bytes = if bench.quick { BIG / 16 } else { BIG };
    let title = format!("push {} MiB + 20 small layers", bytes >> 20);
    // The test registry keeps every byte that it reads.
    on_each(&[Kind::Docker, Kind::Ggcr], &title, |kind| {
        let folder = bench.folder("big")?;
        let image = big_layout(&folder.join("image"), bytes)?;
        let rows = vec![cold(bench, kind, &image, &title), again(bench, kind, &image, &title)?];
        std::fs::remove_dir_all(&folder).map_err(|source| RowError::File { path: folder, source })?;
        Ok(rows)
    })
}

fn cold(bench: &Bench, kind: Kind, image: &BigImage, title: &str) -> Row {
    // Each turn has an empty registry; the one before is stopped, and its content gone.
    let stage: RefCell<Option<Stage>> = RefCell::new(None);
    let stage = &stage;
    let fresh = move || -> Result<String, RowError> {
        *stage.borrow_mut() = None;
        // What the turn before left to be written is not this one's to wait for.
        said_by(&mut Command::new("sync"))?;
        let opened = Stage::open(bench, kind, 0)?;
        let direct = opened.server.address().to_string();
        *stage.borrow_mut() = Some(opened);
        Ok(direct)
    };
    let ours = Contender::new(OURS, move |round| {
        fresh()?;
        ours(bench, image, round, "done")
    });
    let peer = |name: &'static str| {
        Contender::new(name, move |_| {
            fresh()?;
            Ok(Turn::of(vec![peer_command(bench, name, image, "cold")?]))
        })
    };
    let floor = |name: &'static str, through: bool| {
        Contender::new(name, move |_| {
            let direct = fresh()?;
            let host = if through { bench.host() } else { direct };
            Ok(Turn::of(vec![put(bench, &host, image)?]))
        })
    };
    let contenders = vec![
        ours,
        peer("crane"),
        peer("regctl"),
        peer("skopeo"),
        floor(FLOOR_NAME, true),
        floor(DIRECT, false),
    ];
    let row = Row::new(format!("{title}, cold"), kind.name(), Duration::ZERO, race(bench, Duration::ZERO, bench.rounds, contenders))
        .note("Ours is registry-push as a whole: it hashes what it sends, and writes the set and three tags. Every turn has a new, empty registry.")
        .note("oras-go's harness reads no OCI layout and does not take part.")
        .note("The last two lines push the big blob alone, its session opened beforehand: the difference between them is what the proxy costs.");
    let requests = row.ours(|sample| sample.summary.requests);
    let peak = row.samples(OURS).iter().map(|sample| sample.peak_kib).max();
    let peak = peak.map(|kib| kib as f64 * 1024.0 / 1e6);
    let slower = row.samples(OURS).iter().zip(row.samples(FLOOR_NAME));
    let slower = slower.map(|(ours, floor)| ours.wall.as_secs_f64() / floor.wall.as_secs_f64());
    let slower = spread(slower).map(|(median, _, _)| median);
    row.target(Target::at_most(
        45 + SET_REQUESTS,
        "requests (45 and 11 of the set)",
        requests,
        "22 blobs × 2, 1 manifest; list of tags, looks for the commit, the candidate and its set, the set's \
                empty configuration × 2, the set under 2 tags, 3 tags of the lead.",
    ))
    .target(Target::quantity(1.05, "× the curl PUT", false, slower, "the PUT itself."))
    .target(Target::quantity(
        10.0,
        "MB of memory",
        false,
        peak,
        "3–7 MB for one PUT with this HTTP client (facts/registry.md §4.3).",
    ))
}

/// List of tags, look for the commit's set, the set's empty configuration (POST, PUT), a look at the candidate and at its set behind the
/// content, the set under its two tags, three tags of the lead.
const SET_REQUESTS: usize = 11;

fn again(bench: &Bench, kind: Kind, image: &BigImage, title: &str) -> Result<Row, RowError> {
    let _stage = Stage::open(bench, kind, 0)?;
    let run = |mut command: Command| said_by(&mut command).map(drop);
    let first = ours(bench, image, 0, "done")?;
    first.commands.into_iter().try_for_each(run)?;
    for name in ["crane", "skopeo", "regctl"] {
        match peer_command(bench, name, image, "before") {
            Ok(command) => run(command)?,
            Err(RowError::Missing { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let mut contenders = vec![Contender::new(OURS, |round| ours(bench, image, round + 1, "done"))];
    contenders.extend(["crane", "regctl", "skopeo"].map(|name| {
        Contender::new(name, move |round| {
            Ok(Turn::of(vec![peer_command(bench, name, image, &format!("again-{round}"))?]))
        })
    }));
    let entrants = race(bench, DELAY, bench.rounds, contenders);
    Ok(Row::new(format!("{title}, all there"), kind.name(), DELAY, entrants)
        .note("Ours publishes the same bytes for another commit, a new candidate with three tags and a set; each peer pushes them to one new tag."))
}

fn ours<'a>(bench: &Bench, image: &BigImage, round: usize, expected: &'a str) -> Result<Turn<'a>, RowError> {
    let (workspace, host) = (bench.folder("push")?, bench.host());
    let link = workspace.join("image");
    let linked = std::os::unix::fs::symlink(&image.folder, &link);
    linked.map_err(|source| RowError::File { path: link, source })?;
    let step = Step { host: &host, repository: "acme/big", number: round + 1, workspace: &workspace };
    let command = publish(bench, &step, "oci:image");
    Ok(Turn::checked(vec![command], move || has_outcome(&workspace, "registry-push", expected)))
}

fn peer_command(bench: &Bench, name: &'static str, image: &BigImage, tag: &str) -> Result<Command, RowError> {
    let (host, layout) = (bench.host(), image.folder.display());
    let target = format!("{host}/acme/big:{name}-{tag}");
    let mut command = match name {
        "regctl" => bench.peers.regctl(&[&host])?,
        "skopeo" => bench.peers.skopeo_copy()?,
        name => bench.peers.command(name)?,
    };
    match name {
        "regctl" => command.args(["image", "copy", &format!("ocidir://{layout}:latest"), &target]),
        "skopeo" => command.args([format!("oci:{layout}:latest"), format!("docker://{target}")]),
        _ => command.args(["push", &layout.to_string(), &target]),
    };
    Ok(command)
}

/// Opens a session and returns the PUT of the big blob that ends it.
fn put(bench: &Bench, host: &str, image: &BigImage) -> Result<Command, RowError> {
    let mut open = bench.peers.command("curl")?;
    open.args(["-sS", "-f", "-o", "/dev/null", "-w", "%header{location}", "-X", "POST"]);
    let location = said_by(open.arg(format!("http://{host}/v2/acme/big/blobs/uploads/")))?;
    let location = if location.starts_with('/') { format!("http://{host}{location}") } else { location };
    let joint = if location.contains('?') { '&' } else { '?' };
    let mut command = bench.peers.command("curl")?;
    command.args(["-sS", "-f", "-o", "/dev/null", "-H", "Content-Type: application/octet-stream", "-T"]);
    command.arg(Path::new(&image.blob)).arg(format!("{location}{joint}digest={}", image.blob_digest));
    Ok(command)
}
