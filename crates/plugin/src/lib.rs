//! What it means to be a Woodpecker plugin: settings, CI context, failures and exit codes, the files by
//! which results travel, output, signals (DESIGN §4.10, §4.11, §4.13, §6).
//!
//! A plugin crate implements [`Plugin`] and its `main.rs` calls [`main`]; nothing else reads the process
//! environment, installs a signal handler or prints. This crate knows Woodpecker and nothing of
//! registries or Git.

pub mod ci;
pub mod docs;
pub mod environment;
pub mod failure;
pub mod file;
pub mod network;
pub mod output;
pub mod previous;
pub mod report;
pub mod settings;
pub mod stop;

mod common;
mod context;
mod pem;
mod run;

pub use ci::{Ci, Event, Operator};
pub use common::Common;
pub use context::Context;
pub use environment::Env;
pub use failure::{Failure, Kind, Refusal, with_causes};
pub use file::{FileError, read_bytes, read_file, read_json};
pub use network::Network;
pub use output::{Level, Output, Progress, Table, bytes, rate, seconds};
pub use pem::{Pem, PemError};
pub use report::{Artifact, Facts, Outcome, StepResult, WriteError, prepare_file, write_file};
pub use run::{Example, Plugin, main};
pub use settings::{COMMON, Form, Group, REGISTRY, Reader, Setting};
pub use stop::{Stop, Stopped};
