//! A tree of manifests as a Flux-style artifact: how much of it per second of processor time.

use std::time::Duration;

use super::{Stage, has_outcome, on_each, publish};
use crate::harness::{Bench, Contender, Entrant, RowError, Turn, race};
use crate::material;
use crate::peers::Step;
use crate::servers::Kind;
use crate::table::{OURS, Row, Target};

const TITLE: &str = "Flux-style artifact of a manifests tree";
/// Of manifests.
const BYTES: usize = 64_000_000;

pub(super) fn rows(bench: &Bench) -> Vec<Row> {
    on_each(&[Kind::Ggcr], TITLE, |kind| {
        let _stage = Stage::open(bench, kind, 0)?;
        let tree = bench.folder("manifests")?;
        let bytes = material::manifests(&tree, if bench.quick { BYTES / 16 } else { BYTES })?;
        let ours = Contender::new(OURS, |round| {
            let (workspace, host) = (bench.folder("flux")?, bench.host());
            let step =
                Step { host: &host, repository: "acme/manifests", number: round + 1, workspace: &workspace };
            // A link: the workspace is the plugin's own, the tree is everybody's.
            let link = workspace.join("tree");
            let linked = std::os::unix::fs::symlink(&tree, &link);
            linked.map_err(|source| RowError::File { path: link, source })?;
            let mut command = publish(bench, &step, "dir:tree/");
            command.env("PLUGIN_NAMES", "manifests");
            Ok(Turn::checked(vec![command], move || has_outcome(&workspace, "registry-push", "done")))
        });
        let pipe = |name: &'static str, program: &'static str, options: &'static str| {
            let tree = tree.clone();
            Contender::new(name, move |_| {
                let packer = bench.peers.locate(program).ok_or(RowError::Missing { program })?;
                let mut shell = bench.peers.command("sh")?;
                let script = format!(
                    "tar --sort=name -C {} -cf - . | {} {options} > /dev/null",
                    tree.display(),
                    packer.display()
                );
                shell.args(["-c", &script]);
                Ok(Turn::of(vec![shell]))
            })
        };
        let contenders = vec![
            ours,
            pipe("tar, gzip -6 (GNU)", "gzip", "-6"),
            pipe("tar, pigz -6, one thread", "pigz", "-6 -p 1"),
        ];
        let rounds = bench.rounds.max(5);
        let mut row = Row::new(TITLE, kind.name(), Duration::ZERO, race(bench, Duration::ZERO, rounds, contenders))
            .note(format!("{:.1} MB of manifests. Ours is registry-push as a whole, pushing included; the peers only pack.", bytes as f64 / 1e6))
            .note("Go's compress/gzip, which Flux's own client uses, is not among the peers: nothing installed here runs it alone.");
        let rates: Vec<String> = row
            .entrants
            .iter()
            .filter_map(|entrant| Some(format!("{} {:.0} MB/s", entrant.name, rate(bytes, entrant)?)))
            .collect();
        row = row.note(format!("Per second of processor time: {}.", rates.join(", ")));
        let ours =
            row.entrants.iter().find(|entrant| entrant.name == OURS).and_then(|entrant| rate(bytes, entrant));
        let floor = "the compressor alone, facts/registry.md §4.2: 154 MB/s.";
        Ok(vec![row.target(Target::quantity(140.0, "MB/s per core", true, ours, floor))])
    })
}

/// Bytes of manifests by processor time, over all rounds: one round's time is known to a hundredth of a second only.
fn rate(bytes: u64, entrant: &Entrant) -> Option<f64> {
    let samples = entrant.samples.as_ref().ok()?;
    let cpu: f64 = samples.iter().map(|sample| sample.cpu.as_secs_f64()).sum();
    (cpu > 0.0).then(|| bytes as f64 * samples.len() as f64 / 1e6 / cpu)
}
