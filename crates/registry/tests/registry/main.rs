//! The client against a scripted registry: what goes over the wire, and what becomes of misfortune.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

mod auth;
mod bad_input;
mod blobs;
mod copy;
mod manifests;
mod observer;
mod presence;
mod referrers;
mod resume;
mod setbacks;
mod support;
mod tags;
mod transfer;
