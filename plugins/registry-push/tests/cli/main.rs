//! The built binary as a pipeline meets it: settings and events in, output, exit code and registry out.
//!
//! Snapshots hold standard output, standard error and exit code in full; what differs from run to run is
//! masked by [`stable`] alone.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its files has failed")]

mod crash;
mod docs;
mod events;
mod kinds;
mod meanwhile;
mod production;
mod progress;
mod publish;
mod refusals;
mod sequence;
mod sets;
mod several;

use std::path::{Path, PathBuf};

use granary_oci::RawManifest;
use granary_release::{FoundSet, ReleaseSet};
use granary_testkit::image::{Image, ImageBuilder};
use granary_testkit::process::{Finished, Run};
use granary_testkit::registry::{Options, Registry};

const BINARY: &str = env!("CARGO_BIN_EXE_registry-push");

/// The commit of the recorded push, pipeline 11 of `acme/app` on `main`.
const SHA: &str = "7a77c5932e35c13bf0bf61a33f757b21d41692b5";
const SET: &str = "set-7a77c5932e35c13bf0bf61a33f757b21d41692b5";

fn recorded(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../crates/plugin/tests/data/woodpecker-env")
        .join(format!("{name}.env"))
}

/// A step of a recorded pipeline in a workspace of its own, without the settings of the recording.
fn step(recording: &str, registry: &Registry) -> Run {
    let run = Run::new(BINARY).recorded(&recorded(recording)).without_prefix("PLUGIN_");
    let workspace = run.workspace().to_str().unwrap().to_owned();
    run.env("CI_WORKSPACE", &workspace).plugin("registry", &registry.host())
}

/// The step of the recorded push that publishes [`image`] from `build/app`.
fn push(registry: &Registry) -> Run {
    let run = step("push.plugin", registry);
    image(1).write_layout(&run.workspace().join("build/app"), "latest");
    run.plugin("source", "oci:build/app")
}

/// An image of two layers; another seed is another build of it.
fn image(seed: u64) -> Image {
    ImageBuilder::new("linux/amd64").file("app/run", b"#!/bin/sh\n").random_layer(seed, 5000).build()
}

/// The release set under a tag.
fn set(registry: &Registry, repository: &str, tag: &str) -> ReleaseSet {
    let (media_type, bytes) = registry.manifest(repository, tag).unwrap();
    FoundSet::read(RawManifest::new(bytes.to_vec(), &media_type).unwrap()).unwrap().set
}

/// Every tag with its digest, in one line each.
fn tags(registry: &Registry, repository: &str) -> Vec<String> {
    registry.tags(repository).into_keys().collect()
}

/// How often something was asked for that can change the registry.
fn writes(registry: &Registry) -> usize {
    registry.count(granary_testkit::registry::Request::is_write)
}

/// All that a run said and how it ended, without what differs from run to run.
fn stable(finished: &Finished, registries: &[&Registry]) -> String {
    let mut text = finished.to_string().replace(finished.workspace.to_str().unwrap(), "[WORKSPACE]");
    for (number, registry) in registries.iter().enumerate() {
        let name = if number == 0 { "[HOST]".to_owned() } else { format!("[HOST {}]", number + 1) };
        text = text.replace(&registry.host(), &name);
    }
    without_digests(&text).lines().map(without_time).collect::<Vec<_>>().join("\n")
}

/// Every run of 64 hex digits, with `sha256:` where that stands before it.
fn without_digests(text: &str) -> String {
    let mut clean = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let hex = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
        if hex == 64 {
            clean.truncate(clean.strip_suffix("sha256:").map_or(clean.len(), str::len));
            clean.push_str("[DIGEST]");
        }
        let step = if hex == 0 { first.len_utf8() } else { hex };
        if hex != 64 {
            clean.push_str(&rest[..step]);
        }
        rest = &rest[step..];
    }
    clean
}

/// `… (0.01s)` and `registry-push: done in 0.02s`.
fn without_time(line: &str) -> String {
    let is_time = |text: &str| text.strip_suffix('s').is_some_and(|number| number.parse::<f64>().is_ok());
    let tail = line.strip_suffix(')').unwrap_or(line);
    let bracket = if tail.len() < line.len() { ")" } else { "" };
    let cut = tail.rfind([' ', '(']).map_or(0, |position| position + 1);
    match is_time(&tail[cut..]) {
        true => format!("{}[TIME]{bracket}", &tail[..cut]),
        false => line.to_owned(),
    }
}

/// The lines of a failed run that say why, without the hints.
fn causes(finished: &Finished, registry: &Registry) -> String {
    let text = stable(finished, &[registry]);
    let causes = text.lines().filter(|line| line.starts_with("  cause "));
    causes.filter_map(|line| line.split_once(": ")).map(|(_, cause)| cause).collect::<Vec<_>>().join(": ")
}

/// The requests in order, one in each line.
fn requests(registry: &Registry) -> String {
    let session = |line: String| match line.split_once("/uploads/") {
        Some((before, after)) if after.contains("digest=") => {
            format!("{before}/uploads/[SESSION] {}", after.rsplit(' ').next().unwrap_or_default())
        }
        _ => line,
    };
    let mut lines: Vec<String> =
        registry.requests().iter().map(|request| session(without_digests(&request.to_string()))).collect();
    // Blobs are independent of each other: in which order they go is chance.
    lines
        .chunk_by_mut(|one, next| one.contains("/blobs/") && next.contains("/blobs/"))
        .for_each(<[String]>::sort);
    lines.join("\n")
}

fn start() -> Registry {
    Registry::start(Options::default())
}
