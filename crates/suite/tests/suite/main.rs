//! What the suite reads back from a registry, and what it does not believe.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

mod evidence;
mod records;
mod support;
