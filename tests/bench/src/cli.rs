//! The run from beginning to end: arguments, rows, report.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;

use crate::harness::{Bench, RowError};
use crate::log::Readable;
use crate::peers::Peers;
use crate::process::said_by;
use crate::proxy::{Log, Proxy};
use crate::rows;
use crate::table::{Row, Target, megabytes, targets};

/// Rounds of a whole run.
const ROUNDS: usize = 5;
/// Rounds of a quick one.
const QUICK_ROUNDS: usize = 2;
/// Below every binary of DESIGN §10 that has no Git in it, in bytes.
const IMAGE_LIMIT: u64 = 3_000_000;
const PLUGINS: [&str; 3] = ["registry-push", "integration-test", "promote"];

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    /// The workspace.
    pub root: PathBuf,
    /// Where the peers are that are built here; PATH is looked at, too.
    pub tools: PathBuf,
    /// Our own binaries.
    pub binaries: PathBuf,
    /// The report; none is written in a quick or partial run unless this is given.
    pub output: Option<PathBuf>,
    /// One line per request of each contender's first round.
    pub requests: Option<PathBuf>,
    /// Groups of rows whose name contains this.
    pub only: String,
    /// Fewer rounds, fewer bytes.
    pub quick: bool,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// It was called in a way that is not known.
    #[error("unknown or incomplete: {0}")]
    Usage(String),
    /// A file or socket.
    #[error("cannot use {what}")]
    Io {
        /// For what.
        what: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Ours failed somewhere: the report says where.
    #[error("granary was not measured in {0} rows")]
    Holes(usize),
}

impl Arguments {
    /// Reads `--root DIR --tools DIR --binaries DIR [--output FILE] [--requests FILE] [--only GROUP] [--quick]`.
    ///
    /// # Errors
    /// Where something is unknown or missing.
    pub fn parse(words: &[String]) -> Result<Self, BenchError> {
        let mut arguments = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "--quick" {
                arguments.quick = true;
                continue;
            }
            let value = words.next().ok_or_else(|| BenchError::Usage(word.clone()))?;
            match word.as_str() {
                "--root" => arguments.root = value.into(),
                "--tools" => arguments.tools = value.into(),
                "--binaries" => arguments.binaries = value.into(),
                "--output" => arguments.output = Some(value.into()),
                "--requests" => arguments.requests = Some(value.into()),
                "--only" => arguments.only.clone_from(value),
                _ => return Err(BenchError::Usage(word.clone())),
            }
        }
        if [&arguments.root, &arguments.tools, &arguments.binaries]
            .iter()
            .any(|path| path.as_os_str().is_empty())
        {
            return Err(BenchError::Usage("--root, --tools and --binaries".to_owned()));
        }
        Ok(arguments)
    }
}

/// Measures everything, calls `say` with each part of the report as it is done, and writes the whole.
///
/// # Errors
/// Where nothing can be measured at all, a file cannot be written, or ours failed in some row.
pub fn run(arguments: &Arguments, mut say: impl FnMut(&str)) -> Result<(), BenchError> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |source| BenchError::Io { what, source }
    };
    let scratch =
        tempfile::Builder::new().prefix("granary-bench-").tempdir().map_err(failed("a temporary folder"))?;
    let log = Log::default();
    let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
    let proxy = |number| Proxy::start(number, nowhere, &log).map_err(failed("a proxy"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let bench = Bench {
        peers: Peers::new(&arguments.root, &arguments.tools, &arguments.binaries, scratch.path()),
        proxies: [proxy(0)?, proxy(1)?],
        log: log.clone(),
        scratch: scratch.path().to_owned(),
        rounds: if arguments.quick { QUICK_ROUNDS } else { ROUNDS },
        quick: arguments.quick,
        runtime: runtime.map_err(failed("an event loop"))?,
    };
    let started = Instant::now();
    // Of what was built just now: somebody may commit while we measure.
    let before = Before { load: load(), commit: commit(&arguments.root), date: Timestamp::now() };
    let mut rows = Vec::new();
    let mut requests = String::new();
    rows::run(&bench, &arguments.only, |row| {
        say(&row.markdown());
        requests.push_str(&logs(&row));
        rows.push(row);
    });
    let (sizes, size_targets) = sizes(&bench.peers);
    let machine = machine(&bench, &before, started);
    let mut report = format!("# Benchmarks\n\n{INTRODUCTION}\n{machine}\n## Targets of DESIGN §10\n\n");
    report.push_str(&targets(&rows));
    for target in &size_targets {
        let mark = if target.reached { "reached" } else { "not reached" };
        let _ = writeln!(report, "- Size: {}, {}: {mark}.", target.wanted, target.found);
    }
    let _ = write!(report, "\n## Rows\n\n");
    rows.iter().for_each(|row| report.push_str(&row.markdown()));
    report.push_str(&sizes);
    say(&report[..report.find("## Rows").unwrap_or(report.len())]);
    say(&sizes);
    let write = |path: &Path, text: &str| {
        let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        folder.and_then(|()| std::fs::write(path, text)).map_err(failed(&path.display().to_string()))
    };
    if let Some(path) = &arguments.output {
        write(path, &report)?;
    }
    if let Some(path) = &arguments.requests {
        write(path, &requests)?;
    }
    match rows.iter().filter(|row| !row.is_whole()).count() {
        0 => Ok(()),
        holes => Err(BenchError::Holes(holes)),
    }
}

const INTRODUCTION: &str = "\
Written by `cargo xtask bench`, never by hand. Every number was measured in one run, ours and the peers' taking turns.

All clients go through the same proxy, which keeps a connection to the registry for each of the client's, counts requests, and delays each \
by 30 ms where the row says so. *Deep* is the longest chain of requests of which each began after the one before had ended; without the delay \
requests sent together end too soon to be told from a chain, so only the rows with it mean something there. *× ours* is the median over the rounds of \
a peer's wall time by ours in the same round. Wall time runs from the first program's start to the last one's end. *Peak* is the largest resident memory \
of any of the programs in any round. CPU times are whole hundredths of a second. Homes and caches of the peers are empty each time.
";

/// What is so when the run begins.
struct Before {
    load: String,
    commit: String,
    date: Timestamp,
}

/// The commit, and whether it is all that was built.
fn commit(root: &Path) -> String {
    let git =
        |words: &[&str]| said_by(Command::new("git").arg("-C").arg(root).args(words)).unwrap_or_default();
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).lines().count();
    match (git(&["rev-parse", "--short=12", "HEAD"]), changed) {
        (commit, 0) => commit,
        (commit, changed) => format!("{commit} with {changed} files changed since"),
    }
}

fn machine(bench: &Bench, before: &Before, started: Instant) -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut text = String::from("## Run\n\n");
    let _ = writeln!(text, "- Date: {}", before.date.strftime("%Y-%m-%d %H:%M UTC"));
    let _ = writeln!(text, "- Commit: {}", before.commit);
    let _ = writeln!(
        text,
        "- Machine: {cores} cores of {model}, Linux {}",
        read("/proc/sys/kernel/osrelease").trim()
    );
    let _ = writeln!(
        text,
        "- Load average before: {}; after: {}. Took {} s, {} rounds{}.",
        before.load,
        load(),
        started.elapsed().as_secs(),
        bench.rounds,
        if bench.quick { ", quick: a sixteenth of the bytes" } else { "" }
    );
    let _ = writeln!(text, "- granary: {}", env!("CARGO_PKG_VERSION"));
    for version in bench.peers.versions() {
        let _ = writeln!(text, "- {version}");
    }
    text.push('\n');
    text
}

/// The machine's load over the last minute: others may be at work on it.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}

/// What the binaries weigh, until there are images to weigh.
fn sizes(peers: &Peers) -> (String, Vec<Target>) {
    let mut text = String::from(
        "### Size of the plugins\n\nThe static binaries as gzip -9 would send them: a stand-in for the images, which add a few kB.\n\n\
         | | MB | MB compressed |\n|---|---|---|\n",
    );
    let mut targets = Vec::new();
    for name in PLUGINS {
        match weigh(&peers.own(name)) {
            Ok((bytes, compressed)) => {
                let _ = writeln!(text, "| {name} | {} | {} |", megabytes(bytes), megabytes(compressed));
                let (limit, found) = (IMAGE_LIMIT as f64 / 1e6, compressed as f64 / 1e6);
                let unit = format!("MB compressed ({name}, the binary alone)");
                targets.push(Target::quantity(limit, &unit, false, Some(found), ""));
            }
            Err(error) => {
                let _ = writeln!(text, "| {name} | {error} | |");
            }
        }
    }
    (text, targets)
}

fn weigh(path: &Path) -> Result<(u64, u64), RowError> {
    let failed = |source| RowError::File { path: path.to_owned(), source };
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    let bytes = io::copy(&mut file, &mut gzip).map_err(failed)?;
    Ok((bytes, gzip.finish().map_err(failed)?.len() as u64))
}

/// The requests of each contender's first round.
fn logs(row: &Row) -> String {
    let mut text = String::new();
    for entrant in &row.entrants {
        if let Some(sample) = entrant.samples.as_ref().ok().and_then(|samples| samples.first()) {
            let _ = writeln!(
                text,
                "== {} / {} / {} ms / {}: {} requests, {} deep, {} at once\n   begin    end ms",
                row.title,
                row.server,
                row.delay.as_millis(),
                entrant.name,
                sample.summary.requests,
                sample.summary.depth,
                sample.summary.at_once
            );
            let _ = writeln!(text, "{}", Readable(&sample.exchanges));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_and_unknown_ones_refused() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let arguments =
            Arguments::parse(&words("--root /r --tools /t --binaries /b --quick --only tags")).unwrap();
        assert_eq!((arguments.root, arguments.quick, arguments.only), ("/r".into(), true, "tags".to_owned()));
        for (text, named) in [("--root", "--root"), ("--what x", "--what"), ("--root /r", "--binaries")] {
            let error = Arguments::parse(&words(text)).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
