//! The built binary as a pipeline meets it, against a registry in this process.
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

mod candidates;
mod claims;
mod control;
mod docs;
mod evidence;
mod failures;
mod floating;
mod peek;
mod pipelines;
mod refusals;
mod requests;
mod success;
mod summary;
mod summary_crash;
mod target;
mod target_crash;
mod verify;
mod world;
