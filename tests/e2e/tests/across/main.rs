//! The journeys that need what `cargo xtask tools` builds with Go: registries of every kind, and the readers crane, regctl and
//! cosign. Where there is no Go, `cargo xtask test` lists them as not run.

#![expect(clippy::unwrap_used, reason = "a journey that finds nothing to unwrap has failed")]

mod at_once;
mod cosign;
mod gitea;
mod keys;
mod killed;
mod nested;
mod pairs;
mod scene;
mod summaries;
mod within;
