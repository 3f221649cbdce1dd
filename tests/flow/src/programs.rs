//! The plugins' binaries, of this very source.
//!
//! Cargo builds no other package's binaries for a test. Found in the target folder they may be of yesterday, and a
//! test that passes then proves nothing; so they are built first, unless `GRANARY_BIN_DIR` says which ones are meant.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

use granary_testkit::process::binary;

const PLUGINS: [&str; 3] = ["registry-push", "integration-test", "promote"];

/// What Cargo tells the program that it runs about that program's package. Handed on to another Cargo they would make
/// build scripts run anew that ask for them, and everything above them.
const ABOUT_THIS_PACKAGE: [&str; 5] =
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"];

/// The binary of a plugin.
///
/// # Panics
/// Where it cannot be built, or is not in `$GRANARY_BIN_DIR`.
#[must_use]
pub fn plugin(name: &str) -> PathBuf {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| {
        if std::env::var_os("GRANARY_BIN_DIR").is_none() {
            build();
        }
    });
    binary(name)
}

/// Builds them with the profile, and into the folder, of the running test.
fn build() {
    let own = std::env::current_exe().expect("a running program has a path");
    // target/debug/deps/flow-1a2b
    let mut folders = own.ancestors().skip(2);
    let (Some(profile), Some(target)) = (folders.next(), folders.next()) else {
        panic!("{} does not lie in a target folder; set GRANARY_BIN_DIR", own.display());
    };
    let profile = match profile.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--quiet", "--offline", "--profile", profile, "--target-dir"]).arg(target);
    command.args(PLUGINS.iter().flat_map(|name| ["--package", name]));
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ABOUT_THIS_PACKAGE.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    let status = command.status().unwrap_or_else(|error| panic!("cannot run cargo: {error}"));
    assert!(status.success(), "the plugins cannot be built; set GRANARY_BIN_DIR to a folder that has them");
}
