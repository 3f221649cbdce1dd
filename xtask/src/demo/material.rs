//! What a checkout and a build leave in the workspace: the tests' script and an image.

use std::fs;
use std::path::Path;

use granary_testkit::image::{Image, ImageBuilder};

use super::DemoError;
use crate::dist::Binary;

/// Where the build leaves the image, in the workspace.
pub(super) const LAYOUT: &str = "out/image";
/// Where the tests leave their results.
pub(super) const RESULTS: &str = "out/results.json";

const SCRIPT: &str = include_str!("integration.sh");

/// A commit of the demo.
pub(super) struct Commit {
    /// 40 hex digits.
    pub(super) id: &'static str,
    /// Its message.
    pub(super) message: &'static str,
    /// Plugins that its build leaves out of the image.
    pub(super) forgotten: &'static [&'static str],
}

impl Commit {
    /// The first 7 digits.
    pub(super) fn short(&self) -> &'static str {
        &self.id[..7]
    }
}

/// The image that a commit's build makes: the same bytes each time.
pub(super) fn image(binaries: &[Binary], commit: &Commit) -> Image {
    let kept = binaries.iter().filter(|binary| !commit.forgotten.contains(&binary.name.as_str()));
    let files: Vec<(&str, &[u8])> =
        kept.map(|binary| (binary.name.as_str(), binary.bytes.as_slice())).collect();
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    ImageBuilder::new(&format!("linux/{architecture}"))
        .layer(&files)
        .label("org.opencontainers.image.revision", commit.id)
        .build()
}

/// Writes what is needed from checkout and build into `workspace`.
pub(super) fn write(workspace: &Path, image: &Image) -> Result<(), DemoError> {
    let script = workspace.join("ci/integration.sh");
    let folder = workspace.join("ci");
    fs::create_dir_all(&folder).map_err(|source| DemoError::File { path: folder, source })?;
    fs::write(&script, SCRIPT).map_err(|source| DemoError::File { path: script, source })?;
    image.write_layout(&workspace.join(LAYOUT), "latest");
    Ok(())
}
