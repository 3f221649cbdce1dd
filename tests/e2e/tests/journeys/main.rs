//! The journeys: what a user does, on servers that a user has. Each starts what it needs and shares nothing with the others.

#![expect(clippy::unwrap_used, reason = "a journey that finds nothing to unwrap has failed")]

mod already_pushed;
mod at_once;
mod folder;
mod git_tags;
mod killed;
mod left_behind;
mod main_flow;
mod many_tags;
mod negative_control;
mod reruns;
mod secrets;
mod servers;
mod several;
mod summaries;
mod test_tools;
mod tls;
mod unsteady;
mod ways_in;
mod wrong_password;

use std::path::Path;
use std::process::Command;

/// Unpacks an archive with the system's tar, which Debian marks as essential.
fn untar(archive: &Path, folder: &Path) {
    let mut tar = Command::new("tar");
    let _ = e2e::programs::said_by(tar.arg("-xf").arg(archive).arg("-C").arg(folder));
}
