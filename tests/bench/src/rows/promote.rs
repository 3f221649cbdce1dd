//! The whole of promote, for one image in one repository, and again when there is nothing to do.

use std::path::{Path, PathBuf};
use std::process::Command;

use granary_attest::key::SigningKey;

use super::{Stage, has_outcome, on_each, publish};
use crate::harness::{Bench, Contender, DELAY, RowError, Turn, race};
use crate::material;
use crate::peers::Step;
use crate::process::measure;
use crate::servers::Kind;
use crate::table::{OURS, Row, Target};

const TITLE: &str = "the whole promote of one image in one repository";

pub(super) fn rows(bench: &Bench) -> Vec<Row> {
    on_each(&Kind::ALL, TITLE, |kind| {
        let stage = Stage::open(bench, kind, 0)?;
        let stage = &stage;
        let workspaces: Vec<Tested> =
            (0..bench.rounds).map(|round| tested(bench, kind, round)).collect::<Result<_, _>>()?;
        let turns = |expected: &'static str| {
            let workspaces = &workspaces;
            Contender::new(OURS, move |round| {
                let tested = &workspaces[round];
                Ok(Turn::checked(vec![tested.promote(bench)], move || {
                    has_outcome(&tested.workspace, "promote", expected)?;
                    tested.left(bench, stage)
                }))
            })
        };
        let first = Row::new(TITLE, kind.name(), DELAY, race(bench, DELAY, bench.rounds, vec![turns("done")]))
            .note("The plugin itself. No peer does it. No signing key is set, so there is no verification summary (VSA). The image is an index of two platforms, tested by \
                   integration-test; preparing that is not measured.");
        let requests = first.ours(|sample| sample.summary.requests);
        let depth = first.ours(|sample| sample.summary.depth);
        let floor = "what the log below shows to be waited for.";
        let first = first
            .target(Target::at_most(24, "requests", requests, floor))
            .target(Target::at_most(12, "deep", depth, floor));
        let again = race(bench, DELAY, bench.rounds, vec![turns("unchanged")]);
        let again = Row::new("promote when there is nothing to do", kind.name(), DELAY, again);
        let requests = again.ours(|sample| sample.summary.requests);
        let again = again.target(Target::at_most(
            4,
            "requests",
            requests,
            "set, list of tags, version, set of the version.",
        ));
        Ok(vec![first, again])
    })
}

/// A published and tested commit.
pub(super) struct Tested {
    pub(super) workspace: PathBuf,
    host: String,
    repository: String,
    number: usize,
}

/// Publishes and tests, without delay.
pub(super) fn tested(bench: &Bench, kind: Kind, round: usize) -> Result<Tested, RowError> {
    let workspace = bench.folder("promote")?;
    let repository = format!("acme/promote-{}", round + 1);
    let tested = Tested { workspace, host: bench.host(), repository, number: round + 1 };
    let seed =
        100 + round as u64 + 1000 * Kind::ALL.iter().position(|known| *known == kind).unwrap_or(0) as u64;
    material::small_layout(&tested.workspace.join("image"), seed);
    measure(&mut tested.publish(bench))?;
    measure(&mut tested.report(bench)?)?;
    Ok(tested)
}

impl Tested {
    fn step(&self) -> Step<'_> {
        Step {
            host: &self.host,
            repository: &self.repository,
            number: self.number,
            workspace: &self.workspace,
        }
    }

    pub(super) fn publish(&self, bench: &Bench) -> Command {
        publish(bench, &self.step(), "oci:image")
    }

    pub(super) fn report(&self, bench: &Bench) -> Result<Command, RowError> {
        write(
            &self.workspace.join("results.json"),
            r#"{"tests": [{"name": "answers", "status": "passed"}]}"#,
        )?;
        write(&self.workspace.join("key.pem"), &key().to_pem())?;
        let mut command = bench.peers.plugin("integration-test", &self.step());
        command.env("PLUGIN_MODE", "report").env("PLUGIN_RESULTS", "results.json");
        command.env("PLUGIN_SIGNING_KEY", key().to_pem());
        Ok(command)
    }

    /// What the promotion left of what DESIGN §9 asks for.
    fn left(&self, bench: &Bench, stage: &Stage) -> Result<String, RowError> {
        let tags = bench.runtime.block_on(stage.client.tags(&self.repository.parse()?))?;
        let claimed = tags.iter().any(|tag| tag.as_str().starts_with("claim-"));
        Ok(if claimed { "claimed" } else { "no claim" }.to_owned())
    }

    pub(super) fn promote(&self, bench: &Bench) -> Command {
        let mut command = bench.peers.plugin("promote", &self.step());
        command.env("PLUGIN_TRUSTED_KEYS", key().public_key().to_pem());
        command
    }
}

fn write(path: &Path, text: &str) -> Result<(), RowError> {
    std::fs::write(path, text).map_err(|source| RowError::File { path: path.to_owned(), source })
}

fn key() -> SigningKey {
    SigningKey::generate([7; 32]).expect("invariant: every byte but 0 and 255 makes a key of P-256")
}
