//! The plugins together: what the tests of `tests/flow` stand on.
//!
//! Each plugin's own tests look at its decisions one by one. Here the built binaries run one after the other as a
//! pipeline runs them, on the in-process registry of `granary-testkit`, so that a promise that spans several of them
//! ("killed anywhere, a rerun ends where an undisturbed run would") can be kept or broken. Real servers are the
//! business of `tests/e2e`.
//!
//! * [`programs`]: the built plugins, built.
//! * [`pipeline`]: pipelines as Woodpecker would run them.
//! * [`evidence`]: test evidence made by hand: old, foreign, about something else.
//! * [`state`]: what is left in a registry, in a form in which two runs can be compared.
//!
//! It panics where a test could do nothing but fail. Only its own tests import it.

pub mod evidence;
pub mod pipeline;
pub mod programs;
pub mod state;
