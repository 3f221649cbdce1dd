//! From exec to the first request.

use std::time::Duration;

use super::{Stage, on_each};
use crate::harness::{Bench, Contender, Turn, race};
use crate::material::release;
use crate::process::measure;
use crate::rows::promote::tested;
use crate::servers::Kind;
use crate::table::{OURS, Row, Target, spread};

const TITLE: &str = "from exec to the first request";
const ROUNDS: usize = 20;
const NOTHING: &str = "start and end of a static binary";

pub(super) fn rows(bench: &Bench) -> Vec<Row> {
    on_each(&[Kind::Testkit], TITLE, |kind| {
        let stage = Stage::open(bench, kind, 0)?;
        bench.runtime.block_on(release(9, 0)?.put(&stage.client, "bench/start", "v1"))?;
        let tested = tested(bench, kind, 70)?;
        let source = format!("{}/bench/start:v1", bench.host());
        measure(&mut tested.promote(bench))?;
        let tested = &tested;
        let contenders = vec![
            Contender::new(OURS, |_| Ok(Turn::of(vec![tested.promote(bench)]))),
            Contender::new("registry-push", |_| Ok(Turn::of(vec![tested.publish(bench)]))),
            Contender::new("integration-test", |_| Ok(Turn::of(vec![tested.report(bench)?]))),
        ];
        let peer = |name: &'static str, arguments: Vec<String>| {
            Contender::new(name, move |_| {
                let mut command = match name {
                    "regctl" => bench.peers.regctl(&[&bench.host()])?,
                    name => bench.peers.command(name)?,
                };
                command.args(&arguments);
                Ok(Turn::of(vec![command]))
            })
        };
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let docker = format!("docker://{source}");
        let peers = vec![
            peer("crane", words(&["digest", &source])),
            peer("regctl", words(&["image", "digest", &source])),
            peer("oras-peer", words(&["tag", &source, "again"])),
            peer("skopeo", words(&["inspect", "--raw", "--tls-verify=false", &docker])),
        ];
        let floor = Contender::new(NOTHING, |_| {
            let mut command = bench.peers.driver();
            command.arg("nothing");
            Ok(Turn::of(vec![command]))
        });
        let rounds = if bench.quick { bench.rounds } else { ROUNDS };
        let contenders = contenders.into_iter().chain(peers).chain([floor]).collect();
        let mut row =
            Row::new(TITLE, kind.name(), Duration::ZERO, race(bench, Duration::ZERO, rounds, contenders));
        let mut worst: Option<f64> = None;
        let mut starts = Vec::new();
        for entrant in &row.entrants {
            let Ok(samples) = &entrant.samples else { continue };
            let Some((median, least, most)) =
                spread(samples.iter().filter_map(|sample| sample.first_request))
            else {
                continue;
            };
            let [median, least, most] = [median, least, most].map(|time| time.as_secs_f64() * 1000.0);
            let name = if entrant.name == OURS { "promote" } else { &entrant.name };
            starts.push(format!("{name} {median:.2} ms ({least:.2}–{most:.2})"));
            if ["promote", "registry-push", "integration-test"].contains(&name) {
                worst = Some(worst.map_or(median, |worst| worst.max(median)));
            }
        }
        row = row
            .note(format!("From spawning to the first request's head at the proxy: {}.", starts.join(", ")))
            .note("Our first line is promote; each of ours does its usual work again (nothing to do, unchanged, attach again), each peer \
                   reads one manifest (oras-go also writes a tag). Fork, exec and connecting are included.");
        let floor = "fork, exec and one connection on loopback.";
        Ok(vec![row.target(Target::quantity(4.0, "ms, the slowest of our three", false, worst, floor))])
    })
}
