//! Holds what ARCHITECTURE.md says about the workspace against the workspace itself: who may import whom, what pure crates
//! stay free of, which crates and licences may be in a plugin, and that every file says what it is for.
//!
//! * [`layers`]: the table of the layers. A new crate is placed there, or the test fails.
//! * [`graph`]: `cargo metadata` as a graph, with the path that leads from one crate to another.
//! * [`licences`]: the part of `deny.toml` that needs no cargo-deny to be checked, and SPDX expressions.
//! * [`sources`]: what can be seen in a file without compiling it.
//!
//! Each check is a function from data to a list of findings; `tests/arrows.rs` feeds them the real workspace. Nothing imports
//! this crate.

pub mod graph;
pub mod layers;
pub mod licences;
pub mod sources;
