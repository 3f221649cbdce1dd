//! `cargo xtask demo`: two commits and a restart, from build to promotion, on a registry of its own.
//!
//! The three plugins run as Woodpecker runs them: release binaries, settings as `PLUGIN_*`, the pipeline as `CI_*`, nothing
//! else in the environment, one folder per pipeline. What is published is an image of the plugins themselves. Every exit
//! code and every tag is checked: a demo that only looks right would be worse than none.

mod material;
mod pipeline;
mod scene;
mod table;

use std::io;
use std::path::PathBuf;
use std::time::Instant;

use granary_testkit::image::Image;

use crate::dist::{self, DistError};
use crate::workspace::Workspace;
use material::{Commit, LAYOUT, RESULTS};
use pipeline::{Event, Pipeline, Step};
use scene::{REPOSITORY, Scene};

/// Where the demo is not what it claims to be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    /// There is nothing to show.
    #[error(transparent)]
    Dist(#[from] DistError),
    /// A file of the demo could not be read or written.
    #[error("cannot use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A plugin could not be run.
    #[error("cannot run {plugin}")]
    Start {
        /// The plugin.
        plugin: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A plugin ended in another way than it should.
    #[error("{plugin} ended with {found}, and should have with exit code {expected}")]
    Exit {
        /// The plugin.
        plugin: &'static str,
        /// How it ended.
        found: String,
        /// How it should have.
        expected: i32,
    },
    /// A plugin's result file says something else.
    #[error("{plugin} reports the outcome {found}, and should report {expected}")]
    Outcome {
        /// The plugin.
        plugin: &'static str,
        /// What it says.
        found: String,
        /// What it should say.
        expected: &'static str,
    },
    /// The registry holds something else.
    #[error("{what}: found {found}, and should have found {expected}")]
    Registry {
        /// What was looked at.
        what: String,
        /// What is there.
        found: String,
        /// What should be there.
        expected: String,
    },
    /// A secret was printed.
    #[error("{plugin} has printed the secret setting {setting}")]
    Leak {
        /// The plugin.
        plugin: &'static str,
        /// Whose value it was.
        setting: &'static str,
    },
}

const FIRST: Commit = Commit {
    id: "3f2a91c05b7d4e8896aa10c2f4b35d7e9081c6ab",
    message: "release: all three plugins",
    forgotten: &[],
};
/// What tests are for: an image that somebody forgot to put something into.
const SECOND: Commit = Commit {
    id: "b81d0e4429c3f76a5d1f8e02b7a6c4939e5f1d20",
    message: "image: tidy up the Dockerfile",
    forgotten: &["promote"],
};

/// Builds the plugins and shows them.
pub(crate) fn run(workspace: &Workspace) -> Result<(), DemoError> {
    let binaries = dist::build(workspace)?;
    let started = Instant::now();
    let scene = Scene::new(workspace.release_folder())?;
    let good = material::image(&binaries, &FIRST);
    let bad = material::image(&binaries, &SECOND);

    first_commit_becomes_a_release(&scene, &good)?;
    second_commit_is_refused(&scene, &good, &bad)?;
    restart_changes_nothing(&scene, &good)?;

    table::print(&scene, &[(&FIRST, &good), (&SECOND, &bad)]);
    println!("\nAll as it should be, in {:.1} s.", started.elapsed().as_secs_f64());
    Ok(())
}

fn first_commit_becomes_a_release(scene: &Scene, image: &Image) -> Result<(), DemoError> {
    let pipeline = Pipeline::new(scene, &FIRST, 1, Event::Push)?;
    pipeline.title("a push to main: build, publish a candidate, test it, promote it");
    pipeline.checkout(image)?;
    pipeline.run(&push(scene))?.has_outcome("done")?;
    pipeline.run(&tests(scene))?;
    pipeline.run(&report(scene))?.has_outcome("done")?;
    pipeline.run(&promote(scene))?.has_outcome("done")?;

    for tag in ["0.1.0-rc.1", "sha-3f2a91c", "integration-3f2a91c", "0.1.0", "validated-3f2a91c"] {
        scene.expect_tag(tag, Some(image.digest()))?;
    }
    let set = scene.tag(&format!("set-{}", FIRST.id));
    scene.expect_tag("set-0.1.0", set.as_deref())?;
    scene.expect_evidence(image.digest())
}

fn second_commit_is_refused(scene: &Scene, good: &Image, bad: &Image) -> Result<(), DemoError> {
    let pipeline = Pipeline::new(scene, &SECOND, 2, Event::Push)?;
    pipeline.title("the next push: its image lacks a binary, so its tests fail");
    pipeline.checkout(bad)?;
    pipeline.run(&push(scene))?.has_outcome("done")?;
    pipeline.run(&Step { expected: 13, ..tests(scene) })?.has_outcome("failed")?;
    // `when: status: [success, failure]`: that the tests failed is evidence, too.
    pipeline.run(&Step { expected: 13, ..report(scene) })?.has_outcome("failed")?;

    let by_hand = Pipeline::new(scene, &SECOND, 3, Event::Manual)?;
    by_hand.title("somebody promotes that commit all the same, in a pipeline started by hand");
    by_hand.run(&Step { expected: 14, ..promote(scene) })?.has_outcome("refused")?;

    scene.expect_tag("0.1.1-rc.2", Some(bad.digest()))?;
    scene.expect_tag("0.1.1", None)?;
    scene.expect_tag("validated-b81d0e4", None)?;
    scene.expect_tag("0.1.0", Some(good.digest()))
}

fn restart_changes_nothing(scene: &Scene, image: &Image) -> Result<(), DemoError> {
    let before = scene.registry.tags(REPOSITORY);
    let pipeline = Pipeline::new(scene, &FIRST, 4, Event::Restart { of: 1 })?;
    pipeline.title("pipeline 1 is restarted: a new number, the same bytes, nothing to do");
    pipeline.checkout(image)?;
    pipeline.run(&push(scene))?.has_outcome("unchanged")?;
    pipeline.run(&tests(scene))?;
    pipeline.run(&report(scene))?;
    pipeline.run(&promote(scene))?.has_outcome("unchanged")?;
    scene.expect_tags(&before)
}

fn push(scene: &Scene) -> Step {
    let mut settings = scene.registry_settings();
    settings.push(("source", format!("oci:{LAYOUT}")));
    Step { plugin: "registry-push", settings, expected: 0 }
}

/// The step that runs foreign code: it has no key, and what it starts does not see the password.
fn tests(scene: &Scene) -> Step {
    let mut settings = scene.registry_settings();
    settings.push(("mode", "run".to_owned()));
    settings.push(("command", "sh ci/integration.sh {digest} {results}".to_owned()));
    settings.push(("results", RESULTS.to_owned()));
    Step { plugin: "integration-test", settings, expected: 0 }
}

/// The step that signs: it runs nothing.
fn report(scene: &Scene) -> Step {
    let mut settings = scene.registry_settings();
    settings.push(("mode", "report".to_owned()));
    settings.push(("results", RESULTS.to_owned()));
    settings.push(("signing_key", scene.signing_key.clone()));
    Step { plugin: "integration-test", settings, expected: 0 }
}

fn promote(scene: &Scene) -> Step {
    let mut settings = scene.registry_settings();
    settings.push(("trusted_keys", scene.public_key.clone()));
    Step { plugin: "promote", settings, expected: 0 }
}
