//! The plugins as static binaries: `target/release/<plugin>`, ready for an image `FROM scratch`.
//!
//! Linked statically against the host's glibc. Proc macros are dynamic libraries and cannot be; they are spared because a
//! `--target` is named, even though it is the host. Refuses to leave a binary behind that asks for a dynamic linker.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::command::{self, CommandError};
use crate::elf::{self, ElfError};
use crate::workspace::Workspace;

const STATIC: &str = "-C target-feature=+crt-static";

/// Why there are no binaries.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DistError {
    /// They do not compile.
    #[error(transparent)]
    Build(#[from] CommandError),
    /// A file could not be read or written.
    #[error("cannot put {} in its place", path.display())]
    File {
        /// The binary.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// What was built is no binary of this machine.
    #[error("cannot tell whether {} is static", path.display())]
    Unreadable {
        /// The binary.
        path: PathBuf,
        /// What is odd about it.
        #[source]
        source: ElfError,
    },
    /// It would not start in an empty image.
    #[error("{} is not static, it asks for {interpreter}", path.display())]
    Dynamic {
        /// The binary.
        path: PathBuf,
        /// The dynamic linker.
        interpreter: String,
    },
}

/// A finished binary.
pub(crate) struct Binary {
    /// The plugin's name.
    pub(crate) name: String,
    /// What is in it.
    pub(crate) bytes: Vec<u8>,
}

/// Builds all plugins, checks them, puts them into place and prints their sizes.
pub(crate) fn build(workspace: &Workspace) -> Result<Vec<Binary>, DistError> {
    let mut cargo = workspace.cargo(&["build", "--release", "--locked", "--target", &workspace.host]);
    let flags = match std::env::var("RUSTFLAGS") {
        Ok(flags) if !flags.is_empty() => format!("{flags} {STATIC}"),
        _ => STATIC.to_owned(),
    };
    command::run(cargo.args(workspace.plugin_packages()).env("RUSTFLAGS", flags))?;
    let built = workspace.target.join(&workspace.host).join("release");
    let mut binaries = Vec::new();
    for plugin in &workspace.plugins {
        let bytes = place(&built.join(&plugin.name), &workspace.release_folder())?;
        println!(
            "{:18} {}, {} compressed",
            plugin.name,
            megabytes(bytes.len()),
            megabytes(compressed_size(&bytes))
        );
        binaries.push(Binary { name: plugin.name.clone(), bytes });
    }
    Ok(binaries)
}

/// Checks a binary and puts a copy of it into `folder`, by rename: one that is running is not overwritten.
fn place(built: &Path, folder: &Path) -> Result<Vec<u8>, DistError> {
    let failed = |source| DistError::File { path: built.to_owned(), source };
    let bytes = fs::read(built).map_err(failed)?;
    let interpreter = elf::interpreter(&bytes)
        .map_err(|source| DistError::Unreadable { path: built.to_owned(), source })?;
    if let Some(interpreter) = interpreter {
        return Err(DistError::Dynamic { path: built.to_owned(), interpreter });
    }
    let name = built.file_name().unwrap_or_default();
    let unfinished = folder.join(format!(".{}.new", name.display()));
    fs::create_dir_all(folder).map_err(failed)?;
    fs::copy(built, &unfinished).map_err(failed)?;
    fs::rename(&unfinished, folder.join(name)).map_err(failed)?;
    Ok(bytes)
}

/// What it costs to pull: layers travel as gzip.
fn compressed_size(bytes: &[u8]) -> usize {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.expect("invariant: writing to memory does not fail").len()
}

/// Decimal megabytes with two places.
fn megabytes(bytes: usize) -> String {
    let hundredths = (bytes + 5_000) / 10_000;
    format!("{}.{:02} MB", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded() {
        for (bytes, text) in [(0, "0.00 MB"), (4_999, "0.00 MB"), (5_000, "0.01 MB"), (6_846_704, "6.85 MB")]
        {
            assert_eq!(megabytes(bytes), text);
        }
    }

    #[test]
    fn what_is_no_binary_is_not_put_into_place() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("promote");
        fs::write(&script, "#!/bin/sh\n").unwrap();
        let release = folder.path().join("release");
        let error = place(&script, &release).unwrap_err();
        assert!(matches!(error, DistError::Unreadable { source: ElfError::Foreign, .. }));
        assert!(!release.exists());
    }
}
