//! Rounds in which all contenders take turns, so that whatever else the machine does hits them alike.

use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use granary_net::HttpSetupError;
use granary_oci::{ManifestError, ParseNameError};
use granary_registry::{RegistryError, TransferError};

use crate::log::{Exchange, Summary};
use crate::peers::Peers;
use crate::process::{ProcessError, Usage, measure};
use crate::proxy::{Log, Proxy};
use crate::servers::ServerError;

/// Answers that are on their way when a program ends are counted, too.
const SETTLING: Duration = Duration::from_millis(5);

/// The delay of the rows in which round trips decide.
pub const DELAY: Duration = Duration::from_millis(30);

/// Why something was not measured.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// A program is not there.
    #[error("{program} is not installed")]
    Missing {
        /// The program.
        program: &'static str,
    },
    /// A program failed.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A registry does not run.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A registry refused what was to be measured on.
    #[error("the registry could not be prepared or asked")]
    Registry(#[from] RegistryError),
    /// The same, for whole images.
    #[error("the registry could not be prepared")]
    Transfer(#[from] TransferError),
    /// No HTTP client.
    #[error("there is no HTTP client")]
    Http(#[from] HttpSetupError),
    /// A name that is none.
    #[error("a name of the benchmark is none")]
    Name(#[from] ParseNameError),
    /// A manifest that is none.
    #[error("a manifest of the benchmark is none")]
    Manifest(#[from] ManifestError),
    /// A file of ours.
    #[error("cannot use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It did not do what it was measured at.
    #[error("wrong result: {found} where there should be {expected}")]
    Wrong {
        /// What is there.
        found: String,
        /// What should be.
        expected: String,
    },
}

/// What everything runs with.
#[derive(Debug)]
pub struct Bench {
    /// Programs.
    pub peers: Peers,
    /// Before the registry; with a second one for copies across registries.
    pub proxies: [Proxy; 2],
    /// What the proxies saw.
    pub log: Log,
    /// Gone at the end.
    pub scratch: PathBuf,
    /// Rounds of each row.
    pub rounds: usize,
    /// A sixteenth of the bytes, for a look whether it all works.
    pub quick: bool,
    /// Our own client.
    pub runtime: tokio::runtime::Runtime,
}

impl Bench {
    /// The proxy before the registry.
    #[must_use]
    pub fn host(&self) -> String {
        self.proxies[0].host()
    }

    /// A new, empty folder.
    ///
    /// # Errors
    /// Where there is no place for it.
    pub fn folder(&self, name: &str) -> Result<PathBuf, RowError> {
        let folder = tempfile::Builder::new().prefix(&format!("{name}-")).tempdir_in(&self.scratch);
        Ok(folder.map_err(|source| RowError::File { path: self.scratch.clone(), source })?.keep())
    }
}

/// One turn of a contender: what is measured, and how its result is judged afterwards. Whatever had to be prepared has been.
pub struct Turn<'a> {
    /// Run one after the other.
    pub commands: Vec<Command>,
    /// Looks at what was done; says what the table should note.
    pub check: Box<dyn FnOnce() -> Result<String, RowError> + 'a>,
}

impl<'a> Turn<'a> {
    /// A turn whose programs' exit codes say it all.
    #[must_use]
    pub fn of(commands: Vec<Command>) -> Self {
        Self { commands, check: Box::new(|| Ok(String::new())) }
    }

    /// A turn with a look at its result.
    #[must_use]
    pub fn checked(commands: Vec<Command>, check: impl FnOnce() -> Result<String, RowError> + 'a) -> Self {
        Self { commands, check: Box::new(check) }
    }
}

/// Who takes part.
pub struct Contender<'a> {
    /// For the table.
    pub name: String,
    /// Prepares the turn of a round, counted from 0.
    pub turn: Box<dyn FnMut(usize) -> Result<Turn<'a>, RowError> + 'a>,
}

impl<'a> Contender<'a> {
    /// A contender.
    pub fn new(name: impl Into<String>, turn: impl FnMut(usize) -> Result<Turn<'a>, RowError> + 'a) -> Self {
        Self { name: name.into(), turn: Box::new(turn) }
    }
}

/// One turn, measured.
#[derive(Clone, Debug)]
pub struct Sample {
    /// From the first program's start to the last one's end.
    pub wall: Duration,
    /// The largest peak of its programs, in KiB.
    pub peak_kib: u64,
    /// Processor time of all.
    pub cpu: Duration,
    /// From the first program's start to its first request.
    pub first_request: Option<Duration>,
    /// What went through the proxies.
    pub summary: Summary,
    /// What the check noted.
    pub note: String,
    /// Every request.
    pub exchanges: Vec<Exchange>,
}

/// A contender's part of a row.
#[derive(Debug)]
pub struct Entrant {
    /// For the table.
    pub name: String,
    /// One sample per round, or why there is none.
    pub samples: Result<Vec<Sample>, RowError>,
}

/// Lets all contenders take turns, in another order each round. One that fails is out, and the table says why.
pub fn race(bench: &Bench, delay: Duration, rounds: usize, contenders: Vec<Contender<'_>>) -> Vec<Entrant> {
    let mut contenders: Vec<(Contender<'_>, Result<Vec<Sample>, RowError>)> =
        contenders.into_iter().map(|contender| (contender, Ok(Vec::new()))).collect();
    for round in 0..rounds {
        let count = contenders.len().max(1);
        for place in 0..contenders.len() {
            let (contender, samples) = &mut contenders[(place + round) % count];
            let Ok(taken) = samples else { continue };
            match one(bench, delay, (contender.turn)(round)) {
                Ok(sample) => taken.push(sample),
                Err(error) => *samples = Err(error),
            }
        }
    }
    contenders.into_iter().map(|(contender, samples)| Entrant { name: contender.name, samples }).collect()
}

fn one(bench: &Bench, delay: Duration, turn: Result<Turn<'_>, RowError>) -> Result<Sample, RowError> {
    let Turn { mut commands, check } = turn?;
    drop(bench.log.take());
    bench.proxies.iter().for_each(|proxy| proxy.delay(delay));
    let started = Instant::now();
    let usages: Result<Vec<Usage>, ProcessError> = commands.iter_mut().map(measure).collect();
    let wall = started.elapsed();
    std::thread::sleep(SETTLING);
    bench.proxies.iter().for_each(|proxy| proxy.delay(Duration::ZERO));
    let exchanges = bench.log.take();
    let usages = usages?;
    let note = check()?;
    let summary = Summary::of(&exchanges);
    let begun = usages.first().map(|usage| usage.started);
    Ok(Sample {
        wall,
        peak_kib: usages.iter().map(|usage| usage.peak_kib).max().unwrap_or(0),
        cpu: usages.iter().map(|usage| usage.cpu).sum(),
        first_request: summary.first.zip(begun).map(|(first, begun)| first.saturating_duration_since(begun)),
        summary,
        note,
        exchanges,
    })
}
