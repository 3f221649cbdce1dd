//! What breaks for a user when two plugins do not fit together. One file for each promise.

#![expect(clippy::unwrap_used, reason = "a test that finds nothing to unwrap has failed")]

mod at_once;
mod crash;
mod evidence;
mod listing;
mod main_flow;
mod pull_requests;
mod rebuilt;
mod secrets;
mod superseded;
mod tag_events;
mod taken;
mod unsteady;
mod wire;
