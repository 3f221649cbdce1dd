//! What Granary's tests and its demo stand on: a registry, images, Git repositories, and runs of the built binaries.
//!
//! * [`registry`]: an OCI registry in this process, with faults that can be scripted and a log of every request.
//! * [`image`]: small images whose bytes are the same on every run, in every form that a build leaves behind, whole or damaged.
//! * [`git`]: a Git repository in a temporary folder, with commit ids that are the same on every run.
//! * [`process`]: a built binary, run as Woodpecker runs a plugin: nothing of the environment leaks in.
//! * [`crash`]: such a run killed before and after each of its requests, and run again.
//!
//! It imports no other crate of the workspace and only tests, benches and `xtask` import it. It panics where a test could
//! do nothing but fail.

pub mod crash;
pub mod git;
pub mod image;
pub mod process;
pub mod registry;
