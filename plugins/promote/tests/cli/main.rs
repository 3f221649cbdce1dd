//! The built binary as a pipeline meets it, against a registry in this process.
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

mod candidates;
mod claims;
mod docs;
mod evidence;
mod failures;
mod pipelines;
mod refusals;
mod requests;
mod success;
mod target;
mod target_crash;
mod world;
