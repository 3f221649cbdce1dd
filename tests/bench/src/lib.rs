//! Granary beside the tools that people use today: same registry, same run, same proxy that counts.
//!
//! `cargo xtask bench` builds everything and runs `granary-bench`, which writes `docs/benchmarks.md`. Numbers come from the run
//! alone; a peer that is not installed is named, never left out.
//!
//! * [`proxy`]: stands before the registry, keeps each client's connections as they are, counts and delays requests.
//! * [`log`]: what the proxy saw, and what follows from it: how many requests, how deep, how many at once.
//! * [`process`]: runs a program and measures it: wall clock, peak memory, processor time.
//! * [`servers`], [`peers`], [`material`]: what is measured on, beside what, and with what.
//! * [`harness`]: rounds in which all contenders take turns.
//! * [`rows`]: the rows of DESIGN §10 that concern registries.
//! * [`table`]: what is printed.
//!
//! Only its own binaries import it.

pub mod cli;
pub mod harness;
pub mod log;
pub mod material;
pub mod peers;
pub mod process;
pub mod proxy;
pub mod rows;
pub mod servers;
pub mod table;
